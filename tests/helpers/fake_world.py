"""All files that the commands of the documents read, small and invented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers.fake_customers import customers
from tests.helpers.fake_files import texts, write_fake_cells, write_fake_images, write_fake_texts, write_table
from tests.helpers.fake_mnist import write_fake_mnist
from tests.helpers.fake_rcv1 import write_fake_rcv1
from tests.helpers.fake_reuters import write_fake_reuters

_ROLES = ("patient", "age", "gene_a", "gene_b", "sex", "stage")


def patients(n_rows: int, seed: int) -> list[dict[str, Any]]:
    """Return rows with inputs, and with columns for every other role."""
    random = np.random.default_rng(seed)
    return [
        {
            "patient": f"p{seed}-{row:03d}",
            "age": int(random.integers(20, 80)),
            "gene_a": round(float(random.normal() + 4 * (row % 3)), 3),
            "gene_b": round(float(random.normal()), 3) if row % 7 else "",
            "sex": "fm"[row % 2],
            "stage": ("I", "II", "III")[row % 3],
            "diagnosis": ("benign", "malignant")[row % 3 // 2],
            "date_visit": f"2020-01-{1 + row % 28:02d}",
            "months": round(float(random.exponential(20)), 1),
            "event": int(random.integers(0, 2)),
        }
        for row in range(n_rows)
    ]


def write_world(folder: Path, document: str) -> None:
    """Write the files that the commands of a document read.

    Args:
        folder: folder in which its commands run.
        document: name of the document. The tables of the README have inputs and ids alone.
    """
    random = np.random.default_rng(0)
    if document == "README.md":
        for name, n_rows, seed in (("patients.csv", 90, 0), ("new_patients.csv", 20, 1)):
            rows = [{**row, "gene_b": row["gene_b"] or 0.0} for row in patients(n_rows, seed)]
            write_table(folder / name, rows, _ROLES)
    if document == "data.md":
        write_table(folder / "customers.csv", customers(150, seed=0)[0])
        write_table(folder / "new_patients.csv", patients(20, 1), [*_ROLES[::-1], "date_visit"])
        articles = [{"title": f"t{i}", "body": text} for i, text in enumerate(texts())]
        write_table(folder / "articles.parquet", articles)
        write_fake_texts(folder / "notes")
        write_fake_images(folder / "scans")
        _write_cells(folder / "cells.h5ad")
        np.save(folder / "embeddings.npy", random.normal(size=(90, 6)).astype(np.float32))
        np.save(folder / "labels.npy", np.arange(90) % 3)
        (folder / "texts.txt").write_text("\n".join(texts(90)))
        write_fake_mnist(folder / "data/mnist")
        write_fake_reuters(folder / "data/reuters21578")
        write_fake_rcv1(folder / "data/rcv1")
    if document in ("data.md", "supervised.md"):
        outcomes = ("months", "event") if document == "supervised.md" else ()
        write_table(folder / "patients.csv", patients(90, 0), [*_ROLES, "diagnosis", "date_visit", *outcomes])
    if document in ("data.md", "extending.md", "scaling.md"):
        cells = random.normal(size=(90, 7)) + 5 * (np.arange(90)[:, None] % 3)
        np.save(folder / "cells.npy", cells.astype(np.float32))
        np.save(folder / "new_cells.npy", cells[:20].astype(np.float32))
    if document in ("data.md", "scaling.md"):
        rows = [{"a": row % 3 + float(random.normal()), "b": float(random.normal())} for row in range(60)]
        write_table(folder / "measurements" / "part.parquet", rows)


def _write_cells(path: Path) -> None:
    """Write cells with all parts that options name, and with more genes than the 2,000 that are kept."""
    import pandas as pd

    place = np.arange(60)
    obs = pd.DataFrame({"kind": "kind" + pd.Series(place % 3).astype(str), "donor": place // 3 % 2})
    var = pd.DataFrame({"highly_variable": np.arange(2100) % 9 == 0}, index=[f"gene{j}" for j in range(2100)])
    pca = np.random.default_rng(0).normal(size=(60, 6)) + 5 * (place[:, None] % 3)
    write_fake_cells(path, n_genes=2100, obs=obs.set_index(obs.index.astype(str)), var=var, obsm={"X_pca": pca})
