"""Files of invented samples, in three groups that are easy to tell apart."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

COLOURS = ("red", "green", "blue")


def table_rows(n_rows: int = 60, seed: int = 0) -> list[dict[str, Any]]:
    """Return rows with numeric and categorical inputs, and with columns for every role."""
    random = np.random.default_rng(seed)
    group = np.arange(n_rows) % 3
    place = random.normal(size=(n_rows, 2)) + 6 * group[:, None]
    return [
        {
            "patient": f"p{seed}{row:03d}",
            "gene_a": round(float(place[row, 0]), 4),
            "gene_b": round(float(place[row, 1]), 4),
            "age": 20 + int(random.integers(0, 60)),
            "colour": COLOURS[group[row]],
            "species": "xyz"[group[row]],
            "relapse": int(random.integers(0, 2)),
            "time": round(float(random.exponential()), 3),
            "event": int(random.integers(0, 2)),
        }
        for row in range(n_rows)
    ]


def write_table(path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str] | None = None) -> Path:
    """Write a CSV, TSV or Parquet file; ``columns=None`` writes all columns."""
    names = list(rows[0]) if columns is None else list(columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.table({name: [row[name] for row in rows] for name in names}), path)
        return path
    with path.open("w", newline="") as file:
        delimiter = "\t" if path.suffix == ".tsv" else ","
        writer = csv.DictWriter(file, names, extrasaction="ignore", delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_fake_table(folder: Path) -> Path:
    return write_table(folder / "table.csv", table_rows())


def texts(n_texts: int = 60, seed: int = 0) -> list[str]:
    """Return texts with words of their group and with common words."""
    random = np.random.default_rng(seed)
    return [
        " ".join(
            [f"group{i % 3}word{j}" for j in random.integers(0, 9, 12)]
            + [f"common{j}" for j in random.integers(0, 30, 12)]
        )
        for i in range(n_texts)
    ]


def write_fake_texts(folder: Path, n_texts: int = 60, *, flat: bool = False, seed: int = 0) -> Path:
    for i, text in enumerate(texts(n_texts, seed)):
        path = folder / (f"{i:03d}.txt" if flat else f"topic{i % 3}/{i:03d}.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def pictures(n_images: int = 30, seed: int = 0) -> np.ndarray:
    """Return images of 12 x 10 pixels, (N, 12, 10, 3); each group has a colour."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 100, (n_images, 12, 10, 3), dtype=np.uint8)
    for i in range(n_images):
        images[i, :, :, i % 3] += 150
    return images


def write_fake_images(folder: Path, n_images: int = 30, *, flat: bool = False, seed: int = 0) -> Path:
    from PIL import Image

    for i, pixels in enumerate(pictures(n_images, seed)):
        path = folder / (f"{i:03d}.png" if flat else f"{COLOURS[i % 3]}/{i:03d}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def counts(n_cells: int = 60, n_genes: int = 40, seed: int = 0) -> np.ndarray:
    """Return counts of cells, (N, G); each group has genes with high counts."""
    random = np.random.default_rng(seed)
    rate = 0.3 + 3.0 * random.random(n_genes)
    rates = np.tile(rate, (n_cells, 1))
    for i in range(n_cells):
        rates[i, i % 3 :: 9] *= 6
    return random.poisson(rates).astype(np.float32)


def write_fake_cells(path: Path, n_cells: int = 60, n_genes: int = 40, seed: int = 0, **arguments: Any) -> Path:
    """Write an AnnData file with sparse counts and a column ``kind``."""
    import anndata
    import pandas as pd
    from scipy.sparse import csr_matrix

    path.parent.mkdir(parents=True, exist_ok=True)
    obs = pd.DataFrame({"kind": [f"kind{i % 3}" for i in range(n_cells)]}, index=[f"cell{i}" for i in range(n_cells)])
    var = pd.DataFrame(index=[f"gene{j}" for j in range(n_genes)])
    matrix = csr_matrix(counts(n_cells, n_genes, seed))
    anndata.AnnData(**{"X": matrix, "obs": obs, "var": var, **arguments}).write_h5ad(path)
    return path
