"""Clusters in AnnData, in memory or in a copy of a file."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.annotation import NO_CLUSTER, Annotation, free_name
from lightning_dc.errors import InputError

CLUSTER, CONFIDENCE, EMBEDDING = "cluster", "cluster_confidence", "X_lightning_dc"


def annotate(data: Any, annotation: Annotation, read: Collection[str | None] = ()) -> None:
    """Set ``obs['cluster']``, ``obs['cluster_confidence']`` and ``obsm['X_lightning_dc']`` of AnnData in memory.

    What an earlier call has set is replaced, as the functions of scanpy do.

    Args:
        data: the AnnData.
        annotation: clusters of its cells.
        read: columns of ``obs`` that are read as labels or batches, which are not replaced.

    Raises:
        InputError: the number of cells has changed, or a column would replace one that is read.
    """
    _check_length(data.n_obs, annotation, "the AnnData")
    columns = _columns(annotation)
    for name in columns:
        if name in read:
            raise InputError(
                f"the AnnData: obs[{name!r}] is read as label or batch_key, so that the clusters can't take its place; "
                "rename the column first"
            )
    for name, values in columns.items():
        data.obs[name] = values
    if annotation.embedding is not None:
        data.obsm[EMBEDDING] = annotation.embedding


def write_annotated_memory(data: Any, path: Path, annotation: Annotation) -> None:
    """Write AnnData in memory to an ``.h5ad`` file with the clusters; the AnnData itself stays as it is.

    Columns are named as by :func:`annotate`, with a number if the name is taken.

    Args:
        data: the AnnData.
        path: file to write.
        annotation: clusters of its cells.

    Raises:
        InputError: the number of cells has changed.
    """
    _check_length(data.n_obs, annotation, "the AnnData")
    copy = data.copy()
    for name, values in _columns(annotation).items():
        copy.obs[free_name(name, list(copy.obs))] = values
    if annotation.embedding is not None:
        copy.obsm[free_name(EMBEDDING, list(copy.obsm))] = annotation.embedding
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about pandas
        copy.write_h5ad(path)


def write_annotated_file(source: Path, path: Path, annotation: Annotation) -> None:
    """Write a copy of an ``.h5ad`` file with the clusters; its other content stays, byte for byte but for ``obs``.

    Columns are named as by :func:`annotate`, with a number if the name is taken.

    Args:
        source: the file.
        path: file to write.
        annotation: clusters of its cells.

    Raises:
        InputError: the number of cells has changed.
    """
    import anndata
    import h5py

    shutil.copyfile(source, path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about pandas and old files, which can be read all the same
        write = _element_writer()
        whole = anndata.read_h5ad(path, backed="r")
        obs, matrices = whole.obs, list(whole.obsm)
        whole.file.close()
        _check_length(len(obs), annotation, str(source))
        for name, values in _columns(annotation).items():
            obs[free_name(name, list(obs))] = values
        with h5py.File(path, "r+") as file:
            write(file, "obs", obs)
            if annotation.embedding is not None:
                if "obsm" not in file:
                    write(file, "obsm", {})
                write(file["obsm"], free_name(EMBEDDING, matrices), annotation.embedding)


def _element_writer() -> Any:
    """Return the function of anndata that writes a part of a file, which has moved in version 0.11."""
    try:
        from anndata.io import write_elem
    except ImportError:
        from anndata.experimental import write_elem
    return write_elem


def _columns(annotation: Annotation) -> Mapping[str, Any]:
    """Return the columns of ``obs``: clusters as categories with their numbers as names, as scanpy has them."""
    import pandas as pd

    numbers = np.unique(annotation.cluster[annotation.cluster != NO_CLUSTER])
    codes = np.where(annotation.cluster == NO_CLUSTER, -1, np.searchsorted(numbers, annotation.cluster))
    columns: dict[str, Any] = {CLUSTER: pd.Categorical.from_codes(codes, [str(number) for number in numbers])}
    if annotation.confidence is not None:
        columns[CONFIDENCE] = annotation.confidence
    return columns


def _check_length(n_cells: int, annotation: Annotation, source: str) -> None:
    if n_cells != len(annotation.cluster):
        raise InputError(
            f"{source}: has {n_cells} cells, but there were {len(annotation.cluster)} when it was read; leave them as "
            "they are until the fit has ended"
        )
