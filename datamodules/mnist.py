"""DataModule of MNIST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.base import ClusteringDataModule
from datamodules.download import download
from datamodules.idx import read_idx
from datamodules.loading.samples import Samples
from datamodules.loading.scaling import ScalingName
from lightning_dc.errors import InputError

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}


class MNISTDataModule(ClusteringDataModule):
    """The 70,000 handwritten digits of 28 x 28 pixels (LeCun et al. 1998).

    Args:
        folder: folder of the four IDX files, gzipped or not; files that are missing are downloaded to it.
        split: train on the 60,000 images of the training set and evaluate on the other 10,000. False pools all 70,000,
            as papers on clustering do.
        download: download missing files.
        mirrors: addresses to download from, tried in turn.
        batch_size: number of images in a training batch, over all processes.
        scaling: see :class:`~datamodules.ClusteringDataModule`.
        val_fraction: share of the training images that is held out for validation.
        keep_on_device: hold the images on the accelerator.
        labels: give the labels, for evaluation.

    Raises:
        InputError: a file is missing or corrupt, or cannot be downloaded.
    """

    def __init__(
        self,
        folder: str = "data/mnist",
        split: bool = False,
        download: bool = True,
        mirrors: Sequence[str] = MIRRORS,
        batch_size: int = 256,
        scaling: ScalingName = "rms",
        val_fraction: float = 0.0,
        keep_on_device: bool = False,
        labels: bool = True,
    ) -> None:
        super().__init__(batch_size, scaling, val_fraction, keep_on_device)
        self.folder = Path(folder).expanduser()
        self.split = split
        self.download = download
        self.mirrors = tuple(mirrors)
        self.labels = labels

    @property
    def source_files(self) -> Mapping[str, Any]:
        return {"folder": self.folder}

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (1, 28, 28)

    def prepare_data(self) -> None:
        missing = [name for name in CHECKSUMS if (self.labels or "labels" not in name) and not self._find(name)]
        if not missing:
            return
        if not self.download:
            raise InputError(
                f"folder={str(self.folder)!r} lacks {', '.join(missing)}; put the files there or set download to true"
            )
        for name in missing:
            download(name, self.folder, CHECKSUMS[name], self.mirrors)

    def load(self) -> Samples:
        train = self._read("train")
        if self.split:
            return train
        test = self._read("t10k")
        y = None if train.y is None or test.y is None else np.concatenate([train.y, test.y])
        return Samples(np.concatenate([train.x, test.x]), y)

    def load_test(self) -> Samples | None:
        return self._read("t10k") if self.split else None

    def _read(self, prefix: str) -> Samples:
        images = self._read_file(f"{prefix}-images-idx3-ubyte.gz")
        if images.ndim != 3 or images.shape[1:] != (28, 28):
            raise InputError(f"{self.folder}: images of {prefix!r} have shape {images.shape[1:]}, not (28, 28)")
        if not self.labels:
            return Samples(images[:, None])
        classes = self._read_file(f"{prefix}-labels-idx1-ubyte.gz")
        if classes.shape != images.shape[:1]:
            raise InputError(f"{self.folder}: {prefix!r} has {len(images)} images but labels of shape {classes.shape}")
        return Samples(images[:, None], classes)

    def _read_file(self, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        path = self._find(name)
        if path is None:
            raise InputError(f"folder={str(self.folder)!r} lacks {name}; put it there or set download to true")
        return read_idx(path)

    def _find(self, name: str) -> Path | None:
        candidates = (self.folder / name, self.folder / name.removesuffix(".gz"))
        return next((path for path in candidates if path.is_file()), None)
