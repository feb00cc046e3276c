"""Reader of AnnData, from a file or as it is in memory."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from datamodules.messages import unreadable_file
from lightning_dc.errors import InputError


def read_cells(source: Any) -> Any:
    """Return AnnData in memory.

    Args:
        source: path of an ``.h5ad`` file, or an ``anndata.AnnData``, which is returned as it is; one that is backed by
            a file is read.

    Raises:
        InputError: the file is missing, damaged or of another kind, or the object is no AnnData.
    """
    if not isinstance(source, Path):
        if not all(hasattr(source, name) for name in ("obs_names", "var_names", "obsm", "isbacked")):
            raise InputError(f"path is a {type(source).__name__}; give the path of an .h5ad file, or an AnnData")
        return source.to_memory() if source.isbacked else source
    if source.suffix != ".h5ad" or not source.is_file():
        raise InputError(f"{source}: is no .h5ad file; give the path of one")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pandas and old files, which can be read all the same
            import anndata

            return anndata.read_h5ad(source)
    except ImportError as error:
        raise InputError(f"{source}: needs anndata; run pip install 'lightning_dc[anndata]'") from error
    except Exception as error:  # damaged files make HDF5 fail in many ways
        raise unreadable_file(source, error) from error
