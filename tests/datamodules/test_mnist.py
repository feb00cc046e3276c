"""Tests of MNIST with tiny files, with a loopback server, and with the real files if they are there."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import datamodules.mnist
from datamodules import MNISTDataModule
from datamodules.download import download
from lightning_dc.errors import InputError
from tests.helpers.fake_mnist import write_fake_mnist, write_idx
from tests.helpers.server import Server

NAMES = tuple(datamodules.mnist.CHECKSUMS)


def arrays(folder: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels, read without the reader under test."""
    images = gzip.decompress((folder / f"{prefix}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((folder / f"{prefix}-labels-idx1-ubyte.gz").read_bytes())[8:]
    return np.frombuffer(images, np.uint8).reshape(-1, 1, 28, 28), np.frombuffer(labels, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_fake_mnist(tmp_path / "mnist", n_train=12, n_test=5)


def module(folder: Path, **arguments: object) -> MNISTDataModule:
    data = MNISTDataModule(str(folder), download=False, scaling="none", **arguments)
    data.prepare_data()
    data.setup("fit")
    return data


def test_both_sets_are_pooled(folder: Path) -> None:
    data = module(folder)
    (train, train_classes), (test, test_classes) = arrays(folder, "train"), arrays(folder, "t10k")
    for loader in (data.train_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        batch = loader.read(0, 100)
        np.testing.assert_array_equal(batch.x, np.concatenate([train, test]))
        np.testing.assert_array_equal(batch.y, np.concatenate([train_classes, test_classes]))
    assert data.input_shape == batch.x.shape[1:] == (1, 28, 28)


def test_the_sets_can_be_kept_apart(folder: Path) -> None:
    data = module(folder, split=True)
    for loader, prefixes in (
        (data.train_dataloader(), ["train"]),
        (data.val_dataloader(), ["t10k"]),
        (data.test_dataloader(), ["t10k"]),
        (data.predict_dataloader(), ["train", "t10k"]),
    ):
        batch = loader.read(0, 100)
        np.testing.assert_array_equal(batch.x, np.concatenate([arrays(folder, prefix)[0] for prefix in prefixes]))
        np.testing.assert_array_equal(batch.y, np.concatenate([arrays(folder, prefix)[1] for prefix in prefixes]))


@pytest.mark.parametrize("split", [False, True])
def test_labels_can_be_left_out(folder: Path, split: bool) -> None:
    data = module(folder, split=split, labels=False)
    assert data.train_dataloader().read(0, 100).y is None
    assert data.test_dataloader().read(0, 100).y is None


def test_unzipped_files_are_found(folder: Path) -> None:
    expected = module(folder).load()
    for name in NAMES:
        content = gzip.decompress((folder / name).read_bytes())
        (folder / name).unlink()
        (folder / name.removesuffix(".gz")).write_bytes(content)
    np.testing.assert_array_equal(module(folder).load().x, expected.x)
    np.testing.assert_array_equal(module(folder).load().y, expected.y)


def test_missing_files_are_named(folder: Path) -> None:
    (folder / NAMES[1]).unlink()
    (folder / NAMES[2]).unlink()
    with pytest.raises(InputError, match=f"lacks {NAMES[1]}, {NAMES[2]}; .* set download to true"):
        MNISTDataModule(str(folder), download=False).prepare_data()
    with pytest.raises(InputError, match=f"lacks {NAMES[1]}"):
        MNISTDataModule(str(folder), download=False).load()


def test_images_and_labels_of_different_number_are_refused(folder: Path) -> None:
    write_idx(folder / NAMES[1], np.zeros(11, np.uint8))
    with pytest.raises(InputError, match=r"'train' has 12 images but labels of shape \(11,\)"):
        module(folder)


@pytest.mark.parametrize("shape", [(12, 32, 32), (12, 784), (12,)])
def test_images_of_another_size_are_refused(folder: Path, shape: tuple[int, ...]) -> None:
    write_idx(folder / NAMES[0], np.zeros(shape, np.uint8))
    with pytest.raises(InputError, match=r"images of 'train' have shape .*, not \(28, 28\)"):
        module(folder)


def test_a_corrupt_file_is_named(folder: Path) -> None:
    (folder / NAMES[2]).write_bytes((folder / NAMES[2]).read_bytes()[:-20])
    with pytest.raises(InputError, match=f"{NAMES[2]}: can't be read"):
        module(folder)


@pytest.fixture
def server(folder: Path, loopback: Callable[[Path], Server], monkeypatch: pytest.MonkeyPatch) -> Server:
    checksums = {name: "md5:" + hashlib.md5((folder / name).read_bytes()).hexdigest() for name in NAMES}
    monkeypatch.setattr(datamodules.mnist, "CHECKSUMS", checksums)
    return loopback(folder)


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("first", ["broken", "changed"])
def test_files_are_downloaded_from_the_first_mirror_that_has_them(
    folder: Path, tmp_path: Path, server: Server, first: str, slash: str
) -> None:
    target = tmp_path / "new" / "folder"
    data = MNISTDataModule(str(target), mirrors=[server.mirror(first) + slash, server.mirror("good") + slash])
    data.prepare_data()
    assert sorted(path.name for path in target.iterdir()) == sorted(NAMES)
    for name in NAMES:
        assert (target / name).read_bytes() == (folder / name).read_bytes()
        attempts = [request for request in server.requests if request.endswith(name)]
        assert attempts[0] == f"/{first}/{name}"
        assert attempts[-1] == f"/good/{name}"
    n_requests = len(server.requests)
    data.prepare_data()
    assert len(server.requests) == n_requests


@pytest.mark.parametrize(("error", "reason"), [(OSError(), "OSError"), (ValueError("a\n b"), "a b")])
def test_a_download_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("pooch.Pooch.fetch", fail)
    with pytest.raises(InputError, match=rf"x could not be downloaded \(http://here/: {reason}\)"):
        download("x", tmp_path, "md5:0", ["http://here/"])


def test_only_missing_files_are_downloaded(folder: Path, tmp_path: Path, server: Server) -> None:
    target = write_fake_mnist(tmp_path / "other", n_train=3, n_test=3)
    kept = (target / NAMES[0]).read_bytes()
    (target / NAMES[3]).unlink()
    MNISTDataModule(str(target), mirrors=[server.mirror("good/")]).prepare_data()
    assert server.requests == [f"/good/{NAMES[3]}"]
    assert (target / NAMES[0]).read_bytes() == kept
    assert (target / NAMES[3]).read_bytes() == (folder / NAMES[3]).read_bytes()


def test_a_wrong_checksum_leaves_no_file_behind(tmp_path: Path, server: Server) -> None:
    target = tmp_path / "new"
    with pytest.raises(InputError, match=rf"{NAMES[0]} could not be downloaded \(.*hash.*put the file into folder="):
        MNISTDataModule(str(target), mirrors=[server.mirror("changed/")]).prepare_data()
    assert list(target.iterdir()) == []


def test_every_mirror_that_failed_is_named(tmp_path: Path, server: Server) -> None:
    mirrors = [server.mirror("broken/"), server.mirror("missing/")]
    with pytest.raises(InputError, match="could not be downloaded") as error:
        MNISTDataModule(str(tmp_path / "new"), mirrors=mirrors).prepare_data()
    assert all(re.search(f"{re.escape(mirror)}: 503", str(error.value)) for mirror in mirrors)
    assert "\n" not in str(error.value)


def test_a_folder_that_can_not_be_created_is_named(tmp_path: Path, server: Server) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="file/below"):
        MNISTDataModule(str(tmp_path / "file" / "below"), mirrors=[server.mirror("good/")]).prepare_data()


@pytest.mark.real_data
def test_the_real_mnist_is_whole(data_folder: Path) -> None:
    if not (data_folder / "mnist").is_dir():
        pytest.skip(f"{data_folder} holds no folder mnist")
    data = MNISTDataModule(str(data_folder / "mnist"), download=False)
    data.prepare_data()
    x, y = data.load()[:2]
    assert x.shape == (70_000, 1, 28, 28)
    assert x.dtype == np.uint8
    counts = [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958]
    np.testing.assert_array_equal(np.bincount(y), counts)
    # mean and deviation of the training set's pixels, as in torchvision's examples
    assert x[:60_000].mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert x[:60_000].std() / 255 == pytest.approx(0.3081, abs=5e-5)
