"""Tests of files of predictions, which are read by pyarrow, numpy and pandas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pytest
import torch
from pyarrow import parquet

from lightning_dc.errors import InputError
from lightning_dc.files import check_writable_folder
from lightning_dc.reports.predictions import check_prediction_path, prediction_stream, write_predictions

INDEX = torch.tensor([3, 8, 9])
Z = torch.tensor([[1.0, -2.0], [3.5, 4.0], [0.0, 0.25]])
Q = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
CLUSTER, CONFIDENCE = [1, 0, 2], [0.7, 0.5, 1.0]


def test_parquet_holds_every_column(tmp_path: Path) -> None:
    write_predictions(tmp_path / "out.parquet", INDEX, Z, Q)
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["index", "cluster", "confidence", "q_0", "q_1", "q_2", "z_0", "z_1"]
    assert table.schema.field("index").type == pyarrow.int64()
    assert table.schema.field("cluster").type == pyarrow.int64()
    assert table.schema.field("q_0").type == pyarrow.float32()
    columns = table.to_pydict()
    assert columns["index"] == INDEX.tolist()
    assert columns["cluster"] == CLUSTER
    assert columns["confidence"] == pytest.approx(CONFIDENCE)
    np.testing.assert_array_equal(np.stack([columns[f"q_{j}"] for j in range(3)], 1), Q.numpy())
    np.testing.assert_array_equal(np.stack([columns[f"z_{j}"] for j in range(2)], 1), Z.numpy())


@pytest.mark.parametrize("is_soft", [True, False])
def test_csv_holds_the_columns_of_parquet(tmp_path: Path, is_soft: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_dc.reports.predictions._ROW_GROUP", 2)
    ids = np.array(["a", 'say "ä", or', "c"])
    others = {"cluster_kmeans": torch.tensor([1, 1, 0])}
    for name in ("out.csv", "out.parquet"):
        with prediction_stream(tmp_path / name, is_soft=is_soft) as write:
            for row in range(len(INDEX)):
                rows = slice(row, row + 1)
                part = {key: column[rows] for key, column in others.items()}
                write(INDEX[rows], Z[rows] / 3, Q[rows] / 3, part, ids[rows])
    expected = pd.read_parquet(tmp_path / "out.parquet")
    found = pd.read_csv(tmp_path / "out.csv", dtype=dict(expected.dtypes), float_precision="round_trip")
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert found["id"].tolist() == ids.tolist()


def test_npz_holds_every_array(tmp_path: Path) -> None:
    write_predictions(tmp_path / "out.npz", INDEX, Z, Q)
    with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
        assert sorted(arrays) == ["cluster", "confidence", "index", "q", "z"]
        np.testing.assert_array_equal(arrays["index"], INDEX.numpy())
        np.testing.assert_array_equal(arrays["cluster"], CLUSTER)
        np.testing.assert_allclose(arrays["confidence"], CONFIDENCE)
        np.testing.assert_array_equal(arrays["q"], Q.numpy())
        np.testing.assert_array_equal(arrays["z"], Z.numpy())
        assert arrays["q"].dtype == np.float32


@pytest.mark.parametrize("ids", [np.array([7, -1, 1 << 40]), np.array(["a", "ä.png", "c"])])
def test_ids_stand_beside_the_index(tmp_path: Path, ids: np.ndarray) -> None:
    write_predictions(tmp_path / "out.parquet", INDEX, Z, Q, ids=ids)
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.column_names[:3] == ["index", "id", "cluster"]
    assert table["id"].to_pylist() == ids.tolist()
    write_predictions(tmp_path / "out.npz", INDEX, Z, Q, ids=ids)
    with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["id"], ids)


@pytest.mark.parametrize("name", ["out.parquet", "out.npz"])
def test_the_precision_of_the_run_is_kept(tmp_path: Path, name: str) -> None:
    write_predictions(tmp_path / name, INDEX, Z.double() / 3, Q.double())
    if name.endswith("npz"):
        with np.load(tmp_path / name) as arrays:
            z = arrays["z"]
    else:
        z = np.stack([parquet.read_table(tmp_path / name)[f"z_{j}"].to_numpy() for j in range(2)], 1)
    np.testing.assert_array_equal(z, Z.double().numpy() / 3)


@pytest.mark.parametrize("name", ["out.parquet", "out.npz"])
def test_an_old_file_is_replaced_and_no_other_is_left(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"old")
    write_predictions(tmp_path / name, INDEX, Z, Q)
    assert (tmp_path / name).read_bytes() != b"old"
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "writer"),
    [("out.parquet", "pyarrow.parquet.ParquetWriter.write_table"), ("out.npz", "zipfile.ZipFile.open")],
)
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, writer: str, error: BaseException
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        file = getattr(args[0], "file_handle", getattr(args[0], "fp", None))
        if file is not None:
            file.write(b"half")
        raise error

    (tmp_path / name).write_bytes(b"old")
    monkeypatch.setattr(writer, fail)
    with pytest.raises(type(error)):
        write_predictions(tmp_path / name, INDEX, Z, Q)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"old"


def test_a_good_path_is_returned_and_its_folder_created(tmp_path: Path) -> None:
    path = check_prediction_path(str(tmp_path / "a" / "b" / "out.npz"))
    assert path == tmp_path / "a" / "b" / "out.npz"
    assert path.parent.is_dir()
    assert not path.exists()


@pytest.mark.parametrize("name", ["out.xlsx", "out", "out.npz.gz", "out.NPZ"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"must end in \.parquet or \.npz or \.csv"):
        check_prediction_path(tmp_path / name)


def test_an_existing_file_needs_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=r"out\.npz' exists; .*--output\.overwrite true"):
        check_prediction_path(path)
    assert check_prediction_path(path, overwrite=True) == path
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_that_name_is_refused(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "out.npz").mkdir()
    with pytest.raises(InputError, match=r"out\.npz' is a folder"):
        check_prediction_path(tmp_path / "out.npz", overwrite=overwrite)


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"output: the folder '.*file/below' can't be written"):
        check_prediction_path(tmp_path / "file" / "below" / "out.npz")


def test_a_folder_without_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", fail)
    with pytest.raises(InputError, match=r"runs: the folder .* can't be written \(Permission denied\)"):
        check_writable_folder(tmp_path, "runs")


def test_pieces_make_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_dc.reports.predictions._ROW_GROUP", 2)
    write_predictions(tmp_path / "whole.parquet", INDEX, Z, Q)
    with prediction_stream(tmp_path / "pieces.parquet") as write:
        for row in range(len(INDEX)):
            assert not (tmp_path / "pieces.parquet").exists()
            write(INDEX[row : row + 1], Z[row : row + 1], Q[row : row + 1])
    pieces = parquet.ParquetFile(tmp_path / "pieces.parquet")
    assert pieces.read().equals(parquet.read_table(tmp_path / "whole.parquet"))
    assert pieces.num_row_groups == -(-len(INDEX) // 2)


@pytest.mark.parametrize("ids", [None, np.array([7, -1, 1 << 40]), np.array(["a", "ä.png", "c"])])
@pytest.mark.parametrize("is_soft", [True, False])
def test_pieces_make_the_arrays_that_numpy_would_save(tmp_path: Path, ids: np.ndarray | None, is_soft: bool) -> None:
    others = {"cluster_kmeans": torch.tensor([1, 1, 0])}
    with prediction_stream(tmp_path / "pieces.npz", is_soft=is_soft) as write:
        for row in range(len(INDEX)):
            rows = slice(row, row + 1)
            own_ids = None if ids is None else ids[rows]
            part = {name: column[rows] for name, column in others.items()}
            write(INDEX[rows], Z.T.contiguous().T[rows], Q[rows], part, own_ids)
    expected = {"index": INDEX, "cluster": np.array(CLUSTER), "z": Z, **others}
    expected |= {"q": Q, "confidence": Q.max(1).values} if is_soft else {}
    expected |= {} if ids is None else {"id": ids}
    np.savez_compressed(tmp_path / "expected.npz", **expected)
    with np.load(tmp_path / "pieces.npz") as pieces, np.load(tmp_path / "expected.npz") as saved:
        assert sorted(pieces) == sorted(saved)
        for name in saved:
            np.testing.assert_array_equal(pieces[name], saved[name], strict=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected.npz", "pieces.npz"]


@pytest.mark.parametrize("name", ["out.npz", "out.parquet", "out.csv"])
@pytest.mark.parametrize("change", ["type", "shape", "less", "more"])
def test_pieces_of_another_kind_are_refused(tmp_path: Path, name: str, change: str) -> None:
    z = {"type": Z.double(), "shape": Z[:, :1], "less": None}.get(change, Z)
    others = {"cluster_kmeans": INDEX} if change == "more" else None
    with pytest.raises(ValueError), prediction_stream(tmp_path / name) as write:  # noqa: PT011, PT012
        write(INDEX, Z, Q)
        write(INDEX, z, Q, others)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["out.npz", "out.parquet", "out.csv"])
def test_a_file_without_predictions_is_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"there are no predictions to write"), prediction_stream(tmp_path / name):
        pass
    assert not list(tmp_path.iterdir())
