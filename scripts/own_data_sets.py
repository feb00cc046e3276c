"""Sets of data as users bring them, whose true clusters are known, for ``benchmark_own_data.py``."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.metrics import adjusted_rand_score
from turntable import turntable_pictures

sys.path.append(str(Path(__file__).parents[1]))  # for the invented customers of the tests

from tests.helpers.fake_customers import customers

Labels = NDArray[np.int64]
_MONEY = ("annual_income", "avg_basket")
_NUMBERS = ("age", "annual_income", "orders_12m", "avg_basket", "support_tickets", "return_rate")


class OwnData(NamedTuple):
    """A set of data in files.

    Attributes:
        flags: arguments of ``lightning-dc fit``: the shipped configuration, and where the data are.
        truth: true cluster of each sample, (N,).
    """

    flags: list[str]
    truth: Labels

    @property
    def n_clusters(self) -> int:
        """Number of true clusters."""
        return len(set(self.truth.tolist()))

    def agreement(self, labels: Labels) -> float:
        """Return the adjusted Rand index of clusters and truth."""
        return float(adjusted_rand_score(self.truth, labels))


class SurvivalData(NamedTuple):
    """A table of patients, in which no cluster is the true one; clusters are of use if their survival differs.

    Attributes:
        flags: arguments of ``lightning-dc fit``.
        truth: event and time of each patient, (N,), a structured array as of scikit-survival. The table lacks them.
    """

    flags: list[str]
    truth: Any

    @property
    def n_clusters(self) -> int:
        """Number of clusters to look for: low, middle and high risk."""
        return 3

    def agreement(self, labels: Labels) -> float:
        """Return the chi-square of the log-rank test between the clusters, NaN with a single one."""
        from sksurv.compare import compare_survival

        return float(compare_survival(self.truth, labels)[0]) if len(set(labels.tolist())) > 1 else float("nan")


Maker = Callable[[Path, int], "OwnData | SurvivalData"]
"""Function that writes a set into a folder; of data without a generator, a seed draws four fifths of the rows."""


def _customers(folder: Path, seed: int, change: Callable[..., Any] | None = None) -> OwnData:
    rows, truth = customers(2500, seed)
    if change is not None:
        rows, truth = change(rows, truth, np.random.default_rng(seed))
    return _table(folder, rows, truth)


def _imbalanced(rows: list[dict[str, Any]], truth: Labels, random: np.random.Generator) -> Any:
    kept = np.sort(np.concatenate([np.flatnonzero(truth == k)[:n] for k, n in enumerate((700, 600, 120, 50))]))
    return [rows[i] for i in kept], truth[kept]


def _with_noise(rows: list[dict[str, Any]], truth: Labels, random: np.random.Generator) -> Any:
    noise = random.normal(size=(len(rows), 10)).round(4)
    return [row | {f"sensor_{j}": x for j, x in enumerate(own)} for row, own in zip(rows, noise, strict=True)], truth


def _in_categories(rows: list[dict[str, Any]], truth: Labels, random: np.random.Generator) -> Any:
    for column in _NUMBERS:
        values = np.array([float(row[column]) if row[column] != "" else np.nan for row in rows])
        edges = np.nanquantile(values, (0.25, 0.5, 0.75))
        for row, value in zip(rows, values, strict=True):
            row[column] = "" if np.isnan(value) else ("low", "below", "above", "high")[np.searchsorted(edges, value)]
    return rows, truth


def _heavy_tailed(rows: list[dict[str, Any]], truth: Labels, random: np.random.Generator) -> Any:
    for row in rows:
        for column in _MONEY:
            if row[column] != "":
                row[column] = round(row[column] * random.lognormal(0, 1), 2)
    return rows, truth


def _with_gaps(rows: list[dict[str, Any]], truth: Labels, random: np.random.Generator) -> Any:
    for row in rows:
        for column in ("age", "annual_income", "orders_12m", "avg_basket", "channel", "plan"):
            if random.random() < 0.3:
                row[column] = ""
    return rows, truth


def _shipped(folder: Path, seed: int, load: Callable[..., Any]) -> OwnData:
    data = load()
    rows = [dict(zip(data.feature_names, row, strict=True)) for row in data.data.tolist()]
    return _table(folder, *_four_fifths(rows, data.target, seed))


def _penguins(folder: Path, seed: int) -> OwnData:
    from palmerpenguins import load_penguins

    frame = load_penguins()
    truth = np.unique(frame.pop("species"), return_inverse=True)[1]
    return _table(folder, *_four_fifths(frame.astype(object).where(frame.notna(), "").to_dict("records"), truth, seed))


def _patients(folder: Path, seed: int, load: str) -> SurvivalData:
    from sksurv import datasets as survival

    frame, outcome = getattr(survival, load)()
    rows, kept = _four_fifths(frame.astype(object).to_dict("records"), np.arange(len(frame)), seed)
    return SurvivalData(_table(folder, rows, kept).flags, outcome[kept])


def _cells(folder: Path, seed: int) -> OwnData:
    """Negative-binomial counts of 3,000 cells of six kinds, two of which are alike, in two batches."""
    import anndata
    from scipy import sparse

    random, n, n_genes = np.random.default_rng(seed), 3000, 2000
    truth = random.choice(6, n, p=(0.15, 0.32, 0.2, 0.2, 0.09, 0.04))
    fold = np.ones((6, n_genes))
    for kind in fold:
        kind[random.choice(n_genes, 60, replace=False)] = random.uniform(3, 8, 60)
    fold[2] = np.where(random.random(n_genes) < 0.99, fold[1], fold[2])
    batch = random.integers(0, 2, n)
    shift = np.where(batch[:, None] == 1, random.lognormal(0, 0.25, n_genes), 1.0)
    mean = random.gamma(0.3, 1.0, n_genes) * fold[truth] * random.lognormal(0, 0.35, n)[:, None] * shift
    counts = random.negative_binomial(2.0, 2.0 / (2.0 + mean)).astype(np.float32)
    anndata.AnnData(sparse.csr_matrix(counts)).write_h5ad(folder / "cells.h5ad")
    return OwnData(["--config=cells", f"--data.path={folder / 'cells.h5ad'}"], truth)


def _blood(folder: Path, seed: int) -> OwnData:
    """700 blood cells that scanpy ships, scaled already; the truth is that of sorted bulks."""
    import scanpy

    cells = scanpy.datasets.pbmc68k_reduced()
    truth = np.unique(cells.obs["bulk_labels"].to_numpy(str), return_inverse=True)[1]
    x, truth = _four_fifths(cells.X, truth, seed)
    np.save(folder / "cells.npy", x.astype(np.float32))
    flags = ["--config=cells", "--data=ArrayDataModule", f"--data.x={folder / 'cells.npy'}"]
    return OwnData(flags, truth)


def _embeddings(
    folder: Path, seed: int, concentration: float = 4.0, widths: tuple[float, float] = (0.075,) * 2
) -> OwnData:
    """Twenty groups on the sphere of 384 dimensions, of unequal sizes and widths."""
    random = np.random.default_rng(seed)
    centers = random.normal(size=(20, 384))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    truth = random.choice(20, 5000, p=random.dirichlet(np.full(20, concentration)))
    x = centers[truth] + random.normal(size=(5000, 384)) * random.uniform(*widths, 20)[truth][:, None]
    np.save(folder / "x.npy", (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32))
    return OwnData(["--config=embeddings", f"--data.x={folder / 'x.npy'}"], truth)


def _long_embeddings(folder: Path, seed: int) -> OwnData:
    """The same with a long axis in each group."""
    random = np.random.default_rng(seed)
    centers = random.normal(size=(20, 384))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    truth = random.choice(20, 5000, p=random.dirichlet(np.full(20, 4.0)))
    axes = random.normal(size=(20, 384)) * 0.025
    x = centers[truth] + random.normal(size=(5000, 384)) * 0.05 + random.normal(size=(5000, 1)) * axes[truth]
    np.save(folder / "x.npy", (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32))
    return OwnData(["--config=embeddings", f"--data.x={folder / 'x.npy'}"], truth)


def _digits(folder: Path, seed: int) -> OwnData:
    digits = datasets.load_digits()
    x, truth = _four_fifths((digits.images * 255 / 16).astype(np.uint8), digits.target, seed)
    return _pictures(folder, x, truth)


def _objects(folder: Path, seed: int) -> OwnData:
    return _pictures(folder, *turntable_pictures(seed=seed))


def _pictures(folder: Path, x: Any, truth: Any) -> OwnData:
    """Write grey pictures, (N, H, W), as files whose names keep the order."""
    from PIL import Image

    for number, picture in enumerate(x):
        Image.fromarray(picture).save(folder / f"{number:05d}.png")
    flags = ["--config=images", f"--data.path={folder}", "--data.color=grey", f"--data.size={x.shape[1]}"]
    return OwnData(flags, np.asarray(truth, dtype=np.int64))


def reuters(folder: Path, seed: int, source: Path) -> OwnData:
    """News of the ten most frequent topics of Reuters-21578 by the configuration for texts."""
    from datamodules import ReutersDataModule

    data = ReutersDataModule(folder=str(source / "reuters21578"))
    data.prepare_data()
    truth = np.asarray(data.load().y)
    flags = ["--config=text", "--data=ReutersDataModule", f"--data.folder={source / 'reuters21578'}"]
    return OwnData(flags, truth)


def _table(folder: Path, rows: list[dict[str, Any]], truth: Any) -> OwnData:
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return OwnData(["--config=table", f"--data.path={folder / 'table.csv'}"], np.asarray(truth, dtype=np.int64))


def _four_fifths(rows: Any, truth: Any, seed: int) -> Any:
    kept = np.sort(np.random.default_rng(seed).permutation(len(truth))[: int(0.8 * len(truth))])
    return ([rows[i] for i in kept] if isinstance(rows, list) else rows[kept]), np.asarray(truth)[kept]


def _of_customers(change: Callable[..., Any] | None) -> Maker:
    return lambda folder, seed: _customers(folder, seed, change)


def _of_package(load: Callable[..., Any]) -> Maker:
    return lambda folder, seed: _shipped(folder, seed, load)


SETS: dict[str, Maker] = {
    "customers": _of_customers(None),
    "customers, imbalanced": _of_customers(_imbalanced),
    "customers, noise columns": _of_customers(_with_noise),
    "customers, only categories": _of_customers(_in_categories),
    "customers, heavy tails": _of_customers(_heavy_tailed),
    "customers, 30 % missing": _of_customers(_with_gaps),
    "penguins": _penguins,
    "iris": _of_package(datasets.load_iris),
    "wine": _of_package(datasets.load_wine),
    "breast cancer": _of_package(datasets.load_breast_cancer),
    "cells, simulated": _cells,
    "blood cells": _blood,
    "embeddings": _embeddings,
    "embeddings, unequal": lambda folder, seed: _embeddings(folder, seed, 0.5, (0.04, 0.12)),
    "embeddings, long": _long_embeddings,
    "digits": _digits,
    "objects": _objects,
}
"""Makers of all sets with a truth that need no files, by name."""

SURVIVAL: dict[str, Maker] = {
    "GBSG2": lambda folder, seed: _patients(folder, seed, "load_gbsg2"),
    "WHAS500": lambda folder, seed: _patients(folder, seed, "load_whas500"),
}
"""Makers of tables of patients that scikit-survival ships, by name."""


def makers(names: list[str], source: Path | None) -> Iterator[tuple[str, Maker]]:
    """Yield the makers of some sets; Reuters needs the folder of the data sets."""
    for name in names:
        if name == "reuters":
            if source is not None:
                yield name, lambda folder, seed: reuters(folder, seed, source)
        else:
            yield name, {**SETS, **SURVIVAL}[name]
