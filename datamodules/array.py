"""DataModule of arrays in files or in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.base import ClusteringDataModule
from datamodules.decompression import check_archive
from datamodules.documents import TextsBeside, read_texts
from datamodules.loading.file_rows import FileRows
from datamodules.loading.samples import Samples
from datamodules.loading.scaling import ScalingName
from lightning_dc.errors import InputError

_LARGE_BYTES = 1 << 30


class ArrayDataModule(ClusteringDataModule):
    """Samples and labels from files of NumPy and scipy, or from arrays in memory.

    A file is a ``.npy``, or an ``.npz`` with an array named ``x`` and optionally one named ``y`` (if the labels are in
    an ``.npz`` of their own, they are its ``y``), or an ``.npz`` that ``scipy.sparse.save_npz`` has written, which
    stays sparse. A ``.npy`` file in C order and in this machine's byte order stays on disk and is memory-mapped, except
    that ``val_fraction`` copies the rows of both parts into memory. A large ``.npy`` file is read block by block, and
    at most 256 MiB of it are in memory. Pickled objects are never loaded.

    Args:
        x: samples, (N, *input_shape): a path, NumPy array, tensor or scipy sparse matrix.
        y: class of each sample, (N,), integers from 0, -1 where unknown: a path, array or tensor. None takes the
            classes of an ``.npz`` file given as ``x``, if it has any.
        batch_size: number of samples in a training batch, over all processes.
        scaling: see :class:`~datamodules.ClusteringDataModule`.
        val_fraction: share of the samples that is held out for validation.
        keep_on_device: hold the samples on the accelerator.
        labels: give the labels, for evaluation.
        block_shuffle: read a ``.npy`` file in blocks of 4 MiB in random order, and shuffle the rows of 32 blocks at a
            time. Otherwise all rows come in a random order, in which each row is read by itself. None reads files of
            1 GiB or more in blocks.
        texts: text of each sample, (N,), such as those whose embeddings the samples are: a ``.txt`` file in UTF-8 with
            one text a line, a table (CSV, TSV, Parquet), or a sequence of strings. Texts are no inputs. The end of a
            fit tells the top terms of each cluster and the texts that stand for it (``terms.csv``,
            ``documents.csv``).
        text_column: column of a table of texts.

    Raises:
        InputError: a file is missing, corrupt, of another kind, or does not hold numbers; or shapes or the number of
            texts do not fit.

    Example:
        >>> data = ArrayDataModule(np.eye(4), y=[0, 0, 1, 1], batch_size=2)
        >>> data.input_shape
        (4,)
    """

    def __init__(
        self,
        x: str | Any,
        y: str | Any | None = None,
        batch_size: int = 256,
        scaling: ScalingName = "rms",
        val_fraction: float = 0.0,
        keep_on_device: bool = False,
        labels: bool = True,
        block_shuffle: bool | None = None,
        texts: str | Sequence[str] | None = None,
        text_column: str = "text",
    ) -> None:
        super().__init__(batch_size, scaling, val_fraction, keep_on_device)
        self.block_shuffle = block_shuffle
        self.x = x
        self.y = y
        self.labels = labels
        self.texts = texts
        self.text_column = text_column
        self._documents: TextsBeside | None = None

    @property
    def source_files(self) -> Mapping[str, Any]:
        return {name: file for name, file in (("x", self.x), ("y", self.y)) if isinstance(file, (str, PathLike))}

    @property
    def documents(self) -> TextsBeside | None:
        if self.texts is not None:
            self.training_samples()
        return self._documents

    def load(self) -> Samples:
        x, y = self.x, self.y
        if self.block_shuffle and not isinstance(x, (str, PathLike)):
            raise InputError("block_shuffle=True needs samples in a .npy file, but x is in memory; leave it out")
        if isinstance(x, (str, PathLike)):
            arrays = _read(fspath(x), "x")
            if "x" not in arrays:
                raise InputError(
                    f"x={fspath(x)!r} has no array named x, only {', '.join(arrays) or 'none'}; rename one"
                )
            x = self._in_blocks(arrays["x"], Path(fspath(x)).expanduser())
            y = arrays.get("y") if y is None else y
        if isinstance(y, (str, PathLike)):
            arrays = _read(fspath(y), "y")
            if "y" not in arrays:
                raise InputError(
                    f"y={fspath(y)!r} has no array named y, only {', '.join(arrays) or 'none'}; rename one"
                )
            y = arrays["y"]
        self._documents = self._read_texts(np.shape(x))
        return Samples(x, y if self.labels else None)

    def _read_texts(self, shape: Sequence[int]) -> TextsBeside | None:
        """Return the texts after a check that they fit samples of this shape; None without texts."""
        texts = self.texts
        if texts is None or not shape:  # the check of the samples will tell that they are none
            return None
        if not isinstance(texts, (str, PathLike)):
            found, source = TextsBeside(list(texts)), "texts"
        else:
            path = Path(fspath(texts)).expanduser()
            found, source = TextsBeside(read_texts(path, self.text_column)), f"texts={str(path)!r}"
        found.check(shape[0], source)
        return found

    def _in_blocks(self, x: Any, path: Path) -> Any:
        """Return the samples of a file so that they are read in blocks, if they are large or the user wants it."""
        can = path.suffix == ".npy" and x.flags.c_contiguous and x.ndim > 1 and x.size > 0 and x.dtype.kind in "biuf"
        if self.block_shuffle and not can:
            raise InputError(f"block_shuffle=True needs a .npy file of numbers in C order, but x={str(path)!r} is none")
        wanted = x.nbytes >= _LARGE_BYTES if self.block_shuffle is None and can else self.block_shuffle
        return FileRows.of_npy(path) if wanted else x


def _read(name: str, argument: str) -> dict[str, Any]:
    """Return the arrays of a file by their names; an array without a name gets the name of the argument."""
    path = Path(name).expanduser()
    if path.suffix not in (".npy", ".npz"):
        raise InputError(f"{argument}={name!r} must end in .npy or .npz; save it with numpy.save or numpy.savez")
    if not path.is_file():
        raise InputError(f"{argument}={name!r} is no file; give the path of one")
    try:
        return {argument: _map(path)} if path.suffix == ".npy" else _unpack(path, argument)
    except InputError:
        raise
    except Exception as error:  # damaged headers make NumPy's parser and the zip reader fail in many ways
        raise _unreadable_array(argument, name, error) from error


def _map(path: Path) -> Any:
    # Copy on write, since torch refuses read-only memory; the file itself is never written to.
    array = np.lib.format.open_memmap(path, mode="c") if _n_values(path) else np.load(path, allow_pickle=False)
    return np.asarray(array)


def _n_values(path: Path) -> int:
    """Return the number of values in the header; a file without values cannot be mapped."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which could run code")
    return int(np.prod(shape, dtype=object))


def _unpack(path: Path, argument: str) -> dict[str, Any]:
    check_archive(path)
    with path.open("rb") as stream:  # numpy would leave a broken archive open
        with np.load(stream, allow_pickle=False) as file:
            names = file.files
            if "format" not in names or "shape" not in names:
                return {name: file[name] if name in ("x", "y") else None for name in names}
        from scipy.sparse import load_npz

        stream.seek(0)
        return {argument: load_npz(stream)}


def _unreadable_array(argument: str, name: str, error: BaseException) -> InputError:
    reason = " ".join(str(error).split()) or type(error).__name__
    if "allow_pickle" in reason:
        reason = "it holds pickled objects, which could run code"
    return InputError(f"{argument}={name!r} can't be read ({reason}); save numbers again with numpy.save")
