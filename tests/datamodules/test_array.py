"""Tests of arrays from files and from memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules import ArrayDataModule
from lightning_dc.errors import InputError
from tests.conftest import CommandLine
from tests.helpers.command_line import QUICK

X = np.random.default_rng(0).normal(size=(30, 5)).astype("f4")
Y = np.arange(30) % 3


def loaded(*arguments: Any, **options: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Return all samples and labels in order."""
    data = ArrayDataModule(*arguments, scaling="none", **options)
    data.setup("fit")
    batch = data.predict_dataloader().read(0, 1000)
    return batch.x.numpy(), None if batch.y is None else batch.y.numpy()


def in_npy(folder: Path) -> dict[str, Any]:
    np.save(folder / "x.npy", X)
    np.save(folder / "labels.npy", Y)
    return {"x": str(folder / "x.npy"), "y": folder / "labels.npy"}


def in_npz(folder: Path) -> dict[str, Any]:
    np.savez(folder / "both.npz", x=X, y=Y, other=np.array([None]))
    return {"x": folder / "both.npz"}


def in_two_npz(folder: Path) -> dict[str, Any]:
    np.savez_compressed(folder / "x.npz", x=X)
    np.savez_compressed(folder / "y.npz", y=Y)
    return {"x": str(folder / "x.npz"), "y": str(folder / "y.npz")}


def in_sparse_npz(folder: Path) -> dict[str, Any]:
    scipy.sparse.save_npz(folder / "x.npz", scipy.sparse.csr_matrix(X))
    return {"x": str(folder / "x.npz"), "y": Y}


def in_csc_npz(folder: Path) -> dict[str, Any]:
    scipy.sparse.save_npz(folder / "x.npz", scipy.sparse.csc_array(X))
    return {"x": str(folder / "x.npz"), "y": Y}


@pytest.mark.parametrize(
    "form",
    [
        in_npy,
        in_npz,
        in_two_npz,
        in_sparse_npz,
        in_csc_npz,
        lambda _: {"x": X, "y": Y},
        lambda _: {"x": torch.from_numpy(X), "y": torch.from_numpy(Y)},
        lambda _: {"x": scipy.sparse.csr_matrix(X), "y": Y.tolist()},
    ],
)
def test_samples_and_labels_are_those_that_were_given(tmp_path: Path, form: Callable[[Path], dict[str, Any]]) -> None:
    x, y = loaded(**form(tmp_path))
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    assert loaded(**form(tmp_path), labels=False)[1] is None


def test_labels_are_optional(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=X)
    for x in (X, tmp_path / "x.npz"):
        assert loaded(x)[1] is None


def test_labels_that_are_given_come_before_those_of_the_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "both.npz", x=X, y=Y)
    np.testing.assert_array_equal(loaded(tmp_path / "both.npz", Y[::-1])[1], Y[::-1])


def test_a_npy_file_stays_on_disk_and_is_not_written_to(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    data = ArrayDataModule(tmp_path / "x.npy")
    loader = data.train_dataloader()
    mapped = np.memmap(tmp_path / "x.npy", np.float32, "r+", offset=128, shape=X.shape)
    mapped[3] = 7.0  # the loader holds no copy: it sees changes of the file
    mapped.flush()
    np.testing.assert_array_equal(loader.x[3:4], 7.0)
    loader.x[4:5][:] = 9.0
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy")[4], X[4])


@pytest.mark.parametrize("form", ["fortran", "big-endian", "images"])
def test_npy_files_of_any_layout_are_taken(tmp_path: Path, form: str) -> None:
    forms = {"fortran": np.asfortranarray(X), "big-endian": X.astype(">f4"), "images": X.reshape(30, 1, 1, 5)}
    np.save(tmp_path / "x.npy", forms[form])
    np.testing.assert_array_equal(loaded(tmp_path / "x.npy")[0], forms[form].astype("f4"))


def write_text(path: Path) -> None:
    path.write_text("1,2\n3,4\n")


def write_truncated(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, x=X) if path.suffix == ".npz" else np.save(file, X)
    path.write_bytes(path.read_bytes()[:-40])


def write_objects(path: Path) -> None:
    objects = np.array([[1, None], [2, 3]], dtype=object)
    np.savez(path, x=objects) if path.suffix == ".npz" else np.save(path, objects)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("x.npy", None, r"x='.*x\.npy' is no file; give the path of one"),
        ("x.npy", lambda path: path.mkdir(), r"x='.*x\.npy' is no file"),
        ("x.csv", write_text, r"x='.*x\.csv' must end in \.npy or \.npz"),
        ("x.npy", write_text, r"x='.*x\.npy' can't be read \("),
        ("x.npz", write_text, r"x='.*x\.npz' can't be read \("),
        ("x.npy", lambda path: path.write_bytes(b""), r"x='.*x\.npy' can't be read \("),
        ("x.npz", lambda path: path.write_bytes(b""), r"x='.*x\.npz' can't be read \("),
        ("x.npy", write_truncated, r"x='.*x\.npy' can't be read \("),
        ("x.npz", write_truncated, r"x='.*x\.npz' can't be read \("),
        ("x.npy", write_objects, "it holds pickled objects, which could run code"),
        ("x.npz", write_objects, "it holds pickled objects, which could run code"),
        ("x.npz", lambda path: np.savez(path, a=X, b=Y), r"x='.*x\.npz' has no array named x, only a, b; rename one"),
        ("x.npz", lambda path: np.savez(path), "has no array named x, only none"),
        ("x.npy", lambda path: np.save(path, X[:, 0]), r"has shape \(30,\); give \(samples, features\)"),
        ("x.npy", lambda path: np.save(path, X[:0]), r"has shape \(0, 5\)"),
        ("x.npy", lambda path: np.save(path, X.astype(str)), "has dtype <U32; give numbers"),
        ("x.npy", lambda path: np.save(path, np.zeros(3, [("a", int)])), "has dtype .*; give numbers"),
    ],
)
def test_bad_files_are_refused_in_one_line(
    tmp_path: Path, name: str, write: Callable[[Path], Any] | None, message: str
) -> None:
    if write is not None:
        write(tmp_path / name)
    with pytest.raises(InputError, match=message) as error:
        loaded(str(tmp_path / name))
    assert "\n" not in str(error.value)


def test_bad_labels_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", Y[:-1])
    with pytest.raises(InputError, match=r"y of .* has shape \(29,\), but x has 30 samples"):
        loaded(X, tmp_path / "y.npy")
    with pytest.raises(InputError, match=r"y='missing\.npy' is no file"):
        loaded(X, "missing.npy")
    np.savez(tmp_path / "x.npz", x=X)
    with pytest.raises(InputError, match=r"y='.*x\.npz' has no array named y, only x"):
        loaded(X, tmp_path / "x.npz")


@given(st.data(), st.sampled_from(["npy", "npz", "sparse"]))
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_ends_in_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    path = tmp_path_factory.mktemp("damaged") / ("x.npy" if kind == "npy" else "x.npz")
    if kind == "sparse":
        scipy.sparse.save_npz(path, scipy.sparse.csr_matrix(np.eye(4)), compressed=False)
    else:
        np.save(path, X[:3]) if kind == "npy" else np.savez(path, x=X[:3])
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    try:
        loaded(path)
    except InputError as error:
        message = str(error)  # a damaged value may go unseen, so nothing need be raised
        assert str(path) in message
        assert "\n" not in message


def test_the_command_line_takes_files(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    np.save(tmp_path / "cells.npy", X)
    np.save(tmp_path / "labels.npy", Y)
    data = ("--data=ArrayDataModule", "--data.x=cells.npy")
    fit = ("fit", "--model=DEC", "--model.n_clusters=3", *data, *QUICK)
    assert "ACC" in lightning_dc_cli(*fit, "--data.y=labels.npy")
    checkpoint = "runs/run/version_0/checkpoints/last.ckpt"
    lightning_dc_cli("predict", *data, "--ckpt_path", checkpoint, "--output.path=new.npz")
    assert np.load("new.npz")["q"].shape == (30, 3)
    assert "x='nowhere.npy' is no file" in lightning_dc_cli.fails(*fit, "--data.x=nowhere.npy")


def test_long_doubles_are_read_as_doubles(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X.astype(np.longdouble))
    samples = ArrayDataModule(str(tmp_path / "x.npy"), scaling="none").train_dataloader()
    np.testing.assert_array_equal(samples.read(0, len(X)).x, X.astype("f4"))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.where(X[3, 1] == X, np.nan, X), Y, r"x='.*x\.npy', y='.*labels\.npy'\) holds NaN .* first in row 3"),
        (X, Y - 2, r"y of ArrayDataModule\(x='.*', y='.*labels\.npy'\) holds -2"),
        (np.ones_like(X), Y, r"x\.npy'.*: every feature of x is constant"),
    ],
)
def test_messages_about_samples_name_their_files(tmp_path: Path, x: np.ndarray, y: np.ndarray, message: str) -> None:
    files = in_npy(tmp_path)
    np.save(files["x"], x)
    np.save(files["y"], y)
    with pytest.raises(InputError, match=message):
        loaded(**files)
