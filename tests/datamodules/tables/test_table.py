"""Tests of tables, whose columns become inputs, labels, targets and ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from datamodules import ArrayDataModule, TableDataModule
from lightning_dc.errors import InputError
from tests.helpers.damage import damaged, read_or_refuse
from tests.helpers.fake_files import COLOURS, table_rows, write_table

ROWS = table_rows()
NUMBERS = ["gene_a", "gene_b", "age"]
ALL = 1 << 30


def table(tmp_path: Path, rows: Any = ROWS, ending: str = "csv", **arguments: Any) -> TableDataModule:
    """Set up a DataModule of rows; inputs are the genes unless something else is said."""
    columns = arguments.pop("file_columns", None)
    path = write_table(tmp_path / f"table.{ending}", rows, columns)
    data = TableDataModule(str(path), **{"columns": "gene_*", "scaling": "none", **arguments})
    data.setup("fit")
    return data


def inputs(data: TableDataModule) -> np.ndarray:
    return data.predict_dataloader().read(0, ALL).x.numpy()


def values(*names: str, rows: Any = ROWS) -> np.ndarray:
    return np.array([[row[name] for name in names] for row in rows])


def changed(row: int, **new: Any) -> list[dict[str, Any]]:
    """Return the rows with one of them changed."""
    return [{**old, **new} if i == row else old for i, old in enumerate(ROWS)]


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_numbers_are_inputs_as_they_are(tmp_path: Path, ending: str) -> None:
    data = table(tmp_path, ending=ending, columns=NUMBERS)
    np.testing.assert_allclose(inputs(data), values(*NUMBERS), rtol=1e-6)
    assert data.feature_names == NUMBERS
    assert data.feature_groups == [[0], [1], [2]]
    assert data.input_shape == (3,)
    assert data.target_spec is None
    batch = data.predict_dataloader().read(0, ALL)
    assert (batch.y, batch.targets) == (None, None)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"columns": ["age", "gene_a"]}, ["gene_a", "age"]),  # in the order of the file
        ({"columns": "gene_?"}, ["gene_a", "gene_b"]),
        ({"columns": "gene_*", "drop": "*_b"}, ["gene_a"]),
        (
            {"columns": None, "drop": ["colour", "species", "patient"]},
            ["gene_a", "gene_b", "age", "relapse", "time", "event"],
        ),
        (
            {
                "columns": None,
                "drop": ["colour", "relapse"],
                "label": "species",
                "id_column": "patient",
                "target": "survival",
                "target_columns": ["time", "event"],
            },
            ["gene_a", "gene_b", "age"],
        ),
    ],
)
def test_columns_are_chosen_by_name_and_pattern(tmp_path: Path, choice: dict[str, Any], expected: list[str]) -> None:
    assert table(tmp_path, **choice).feature_names == expected


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_categories_are_one_hot_and_form_a_group(tmp_path: Path, ending: str) -> None:
    data = table(tmp_path, ending=ending, columns=["age", "colour", "gene_a"], categorical="colour")
    one_hot = OneHotEncoder(sparse_output=False).fit_transform(values("colour"))
    np.testing.assert_allclose(inputs(data), np.hstack([values("gene_a", "age"), one_hot]), rtol=1e-6)
    assert data.feature_names == ["gene_a", "age", "colour=blue", "colour=green", "colour=red"]
    assert data.feature_groups == [[0], [1], [2, 3, 4]]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_categories_may_be_numbers_and_keep_their_zeros(tmp_path: Path, ending: str) -> None:
    rows = [{**row, "code": ["10", "9", "01"][i % 3]} for i, row in enumerate(ROWS)]
    assert table(tmp_path, rows, ending, columns="code", categorical="code").feature_names == [
        "code=01",
        "code=9",
        "code=10",
    ]


def test_standardisation_is_learned_on_training_rows(tmp_path: Path) -> None:
    data = table(tmp_path, columns=NUMBERS, scaling="standard", val_fraction=0.4)
    rows = data.train_dataloader().source_rows.numpy()
    assert len(rows) == 36
    expected = StandardScaler().fit(values(*NUMBERS)[rows]).transform(values(*NUMBERS))
    np.testing.assert_allclose(inputs(data), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("missing", ["mean", "median", "most_frequent"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_missing_values_are_imputed_from_training_rows(tmp_path: Path, missing: Any, ending: str) -> None:
    random = np.random.default_rng(1)
    rows = [{**row, **{name: None for name in NUMBERS if random.random() < 0.2}} for row in ROWS]
    data = table(tmp_path, rows, ending, columns=NUMBERS, missing=missing, val_fraction=0.4)
    training = data.train_dataloader().source_rows.numpy()
    raw = values(*NUMBERS, rows=rows).astype(float)
    expected = SimpleImputer(strategy=missing).fit(raw[training]).transform(raw)
    np.testing.assert_allclose(inputs(data), expected, rtol=1e-5)


@pytest.mark.parametrize("gone", ["", "NA", "NaN", None])
def test_a_missing_category_is_the_most_frequent_one(tmp_path: Path, gone: str | None) -> None:
    rows = changed(0, colour=gone)[:7]  # then green comes twice, blue twice, red twice: of several, the smallest
    data = table(tmp_path, rows, columns="colour", categorical="colour", missing="mean")
    assert data.feature_names[int(inputs(data)[0].argmax())] == "colour=blue"


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("name", ["age", "colour"])
def test_missing_values_are_refused(tmp_path: Path, name: str, ending: str) -> None:
    with pytest.raises(InputError, match=rf"table\.{ending}: column '{name}' has no value in row 7; set missing to"):
        table(tmp_path, changed(7, **{name: None}), ending, columns=["age", "colour"], categorical="colour")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_labels_are_numbered_in_order_and_may_be_missing(tmp_path: Path, ending: str) -> None:
    data = table(tmp_path, changed(4, species=None), ending, label="species")
    expected = np.arange(60) % 3
    expected[4] = -1
    np.testing.assert_array_equal(data.predict_dataloader().read(0, ALL).y, expected)
    assert data.classes == ["x", "y", "z"]


def test_a_class_target_is_the_label_too(tmp_path: Path) -> None:
    rows = [{**row, "grade": 8 + i % 4} for i, row in enumerate(ROWS)]
    data = table(tmp_path, rows, target="class", target_columns="grade")
    batch = data.predict_dataloader().read(0, ALL)
    np.testing.assert_array_equal(batch.targets, np.arange(60) % 4)
    np.testing.assert_array_equal(batch.y, batch.targets)
    assert data.target_spec is not None
    assert tuple(data.target_spec.names) == ("8", "9", "10", "11")


@pytest.mark.parametrize(
    ("target", "columns", "names"),
    [
        ("value", ["age"], ["age"]),
        ("value", ["time", "age"], ["age", "time"]),
        ("multilabel", ["relapse", "event"], ["relapse", "event"]),
        ("survival", ["time", "event"], ["time", "event"]),
    ],
)
def test_targets_are_those_of_their_columns(tmp_path: Path, target: Any, columns: list[str], names: list[str]) -> None:
    gone = changed(3, **{columns[0]: None})
    data = table(tmp_path, gone, target=target, target_columns=columns)
    expected = values(*names, rows=gone).astype(float)
    if target == "survival":
        expected[3] = np.nan  # an event without a time says nothing
    np.testing.assert_allclose(data.predict_dataloader().read(0, ALL).targets, expected, rtol=1e-6)
    assert data.target_spec is not None
    assert list(data.target_spec.names) == names


def test_ids_are_integers_where_they_can_be(tmp_path: Path) -> None:
    def ids(*new: str) -> list[Any]:
        rows = [{**row, "patient": value} for row, value in zip(ROWS, new, strict=False)]
        loader = table(tmp_path, rows, id_column="patient").train_dataloader()
        assert loader.ids is not None
        return list(loader.ids.tolist())

    assert ids("12", "-7", "0") == [12, -7, 0]
    assert ids("12", "007", "0") == ["12", "007", "0"]
    data = table(tmp_path, id_column="patient", val_fraction=0.5)
    training = data.train_dataloader()
    assert training.ids is not None
    assert training.ids.tolist() == [ROWS[row]["patient"] for row in training.source_rows.tolist()]


NEW = table_rows(20, seed=1)
ROLES: dict[str, Any] = {
    "columns": ["gene_*", "age", "colour"],
    "categorical": ["colour"],
    "label": "species",
    "target": "survival",
    "target_columns": ["time", "event"],
    "id_column": "patient",
    "missing": "mean",
}


def applied(trained: TableDataModule, path: Path, **arguments: Any) -> TableDataModule:
    """Return a DataModule of another file that gets what the first one has learned, as from a checkpoint."""
    trained.train_dataloader()
    torch.save(trained.preprocessing_state(), path.parent / "state.pt")
    other = TableDataModule(str(path), **arguments)
    other.load_preprocessing_state(torch.load(path.parent / "state.pt", weights_only=True))
    other.setup("predict")
    return other


@pytest.mark.parametrize("arguments", [{}, ROLES])
def test_a_new_file_needs_the_inputs_alone_in_any_order(tmp_path: Path, arguments: dict[str, Any]) -> None:
    trained = table(tmp_path, **ROLES | {"scaling": "standard"})
    names = ["colour", "age", "gene_b", "gene_a"]
    rows = [{**NEW[0], "colour": None, "age": None}, *NEW[1:]]
    data = applied(trained, write_table(tmp_path / "new.csv", rows, names), **arguments)
    batch = data.predict_dataloader().read(0, ALL)
    assert (batch.y, batch.targets, data.predict_dataloader().ids) == (None, None, None)
    assert data.feature_names == trained.feature_names
    assert data.target_spec == trained.target_spec
    raw = values("gene_a", "gene_b", "age", rows=rows).astype(float)
    one_hot = np.array([[row["colour"] == colour for colour in sorted(COLOURS)] for row in rows], dtype=float)
    raw[0, 2], one_hot[0] = values("age").mean(), [1, 0, 0]
    columns = np.hstack([values("gene_a", "gene_b", "age"), values("colour") == sorted(COLOURS)])
    expected = StandardScaler().fit(columns.astype(float)).transform(np.hstack([raw, one_hot]))
    np.testing.assert_allclose(batch.x, expected, rtol=1e-4, atol=1e-5)


def test_labels_targets_and_ids_of_a_new_file_are_read_where_they_are(tmp_path: Path) -> None:
    trained = table(tmp_path, **ROLES)
    rows = [{**row, "species": "xyw"[i % 3]} for i, row in enumerate(NEW)]
    data = applied(trained, write_table(tmp_path / "new.csv", rows))
    batch = data.predict_dataloader().read(0, ALL)
    np.testing.assert_array_equal(batch.y, [[0, 1, 3][i % 3] for i in range(20)])  # w is new: behind x, y, z
    np.testing.assert_allclose(batch.targets, values("time", "event", rows=NEW), rtol=1e-6)
    ids = data.predict_dataloader().ids
    assert ids is not None
    assert ids.tolist() == [row["patient"] for row in NEW]


def test_a_test_file_is_encoded_as_the_training_file(tmp_path: Path) -> None:
    path = write_table(tmp_path / "test.csv", NEW[:5])
    data = table(tmp_path, **ROLES, test_path=str(path))
    test, training = data.test_dataloader().read(0, ALL), data.train_dataloader().read(0, ALL)
    assert test.x.shape == (5, training.x.shape[1])
    np.testing.assert_allclose(test.x[:, :3], values("gene_a", "gene_b", "age", rows=NEW[:5]), rtol=1e-6)
    np.testing.assert_array_equal(test.y, np.arange(5) % 3)


@pytest.mark.parametrize(
    ("rows", "names", "arguments", "message"),
    [
        (NEW, ["gene_a", "age", "colour"], {}, r"new\.csv: lacks 'gene_b', which the training data had"),
        (
            [{**row, "gene_c": 1} for row in NEW],
            None,
            {},
            r"new\.csv: has 'gene_c', which the training data had not; name what is new in drop",
        ),
        (
            [{**row, "colour": "pink"} for row in NEW],
            None,
            {},
            r"new\.csv: column 'colour' holds 'pink' in row 0, which no training row has; set unseen to zeros",
        ),
        ([{**NEW[0], "age": "old"}], None, {}, r"new\.csv: column 'age' holds 'old' in row 0, not numbers"),
        (NEW, None, {"label": "kind"}, r"label='kind' is no column of .*new\.csv"),
        (NEW, None, {"id_column": "number"}, r"id_column='number' is no column of .*new\.csv"),
    ],
)
def test_new_files_that_do_not_fit_are_refused(
    tmp_path: Path, rows: Any, names: Any, arguments: dict[str, Any], message: str
) -> None:
    trained = table(tmp_path, **ROLES)
    with pytest.raises(InputError, match=message):
        applied(trained, write_table(tmp_path / "new.csv", rows, names), **arguments).predict_dataloader()


def test_what_is_new_can_be_dropped_and_unseen_categories_be_zeros(tmp_path: Path) -> None:
    trained = table(tmp_path, **ROLES)
    rows = [{**row, "gene_c": 1, "colour": "pink"} for row in NEW]
    data = applied(trained, write_table(tmp_path / "new.csv", rows), drop="gene_c", unseen="zeros")
    assert data.scaling_name == "standard"  # by default; what the checkpoint says counts
    x = data.predict_dataloader().read(0, ALL).x
    assert x.shape == (20, 6)
    assert not x[:, 3:].any()


@pytest.mark.parametrize("missing", ["mean", "median", "most_frequent"])
def test_missing_values_of_a_new_file_alone_are_refused_or_replaced_as_the_message_says(
    tmp_path: Path, missing: Any
) -> None:
    trained = table(tmp_path, **ROLES | {"missing": "error"})
    path = write_table(tmp_path / "new.csv", [{**NEW[0], "age": None}, {**NEW[1], "colour": None}])
    with pytest.raises(InputError, match="column 'age' has no value in row 0; set missing to mean, median or most_fre"):
        applied(trained, path).predict_dataloader()
    x = applied(trained, path, missing=missing).predict_dataloader().read(0, ALL).x
    ages = values("age")
    assert x[0, 2] == pytest.approx(float(SimpleImputer(strategy=missing).fit(ages).statistics_[0]), rel=1e-6)
    np.testing.assert_array_equal(x[1, 3:], [1, 0, 0])  # of three that are as frequent, the first
    kept = table(tmp_path, **ROLES | {"missing": "median"})
    x = applied(kept, path, missing="most_frequent").predict_dataloader().read(0, ALL).x
    assert x[0, 2] == pytest.approx(np.median(ages))  # what was chosen in training stays


def test_an_earlier_checkpoint_without_such_values_says_so(tmp_path: Path) -> None:
    state = table(tmp_path, **ROLES | {"missing": "error"}).preprocessing_state()
    del state["table"]["encoding"]["spare"]
    new = TableDataModule(str(write_table(tmp_path / "new.csv", [{**NEW[0], "age": None}])), missing="mean")
    new.load_preprocessing_state(state)
    with pytest.raises(InputError, match="column 'age' has no value in row 0; train again with missing set"):
        new.predict_dataloader()


def test_a_checkpoint_of_other_data_is_refused(tmp_path: Path) -> None:
    arrays = ArrayDataModule(values("gene_a", "gene_b"))
    arrays.train_dataloader()
    with pytest.raises(InputError, match="prepared by scaling alone, not by table, as TableDataModule does"):
        table(tmp_path).load_preprocessing_state(arrays.preprocessing_state())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "classes"}, "target='classes' is unknown; choose from none, class, multilabel, value, survival"),
        ({"missing": "drop"}, "missing='drop' is unknown"),
        ({"unseen": "ignore"}, "unseen='ignore' is unknown"),
        ({"target": "survival", "target_columns": "time"}, r"target_columns=\['time'\] must be time and event"),
        ({"target": "class"}, r"target_columns=\[\] must be 1 with target='class'"),
        ({"target": "value"}, r"target_columns=\[\] must be at least one"),
        ({"target_columns": "time"}, r"target_columns=\['time'\] must be 0 with target='none'"),
        ({"delimiter": "::"}, "delimiter='::' must be one character"),
        ({"scaling": "minmax"}, "scaling='minmax' is unknown"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TableDataModule("table.csv", **arguments)


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        (ROWS, {"columns": ["gene_a", "gene_z"]}, r"columns='gene_z' matches no column of .*table\.csv, which has 'pa"),
        (ROWS, {"drop": "gen_*"}, r"drop='gen_\*' matches no column"),
        (ROWS, {"categorical": "colour"}, "categorical='colour' matches no column"),  # it is no input
        (ROWS, {"label": "spe*"}, r"label='spe\*' is no column of .*table\.csv"),
        (ROWS, {"id_column": "id"}, "id_column='id' is no column"),
        (ROWS, {"target": "class", "target_columns": "grade"}, "target_columns='grade' is no column"),
        (ROWS, {"drop": "gene_*"}, "no column is left for the inputs"),
        (ROWS, {"columns": "colour"}, "column 'colour' holds 'red' in row 0, not numbers; name it in categorical"),
        (changed(5, age="forty"), {"columns": "age"}, "column 'age' holds 'forty' in row 5, not numbers"),
        (changed(5, age="inf"), {"columns": "age"}, "column 'age' holds an infinite value in row 5"),
        (changed(5, age="2020-01-01"), {"columns": "age"}, "column 'age' holds '2020-01-01' in row 5, not numbers"),
        (
            [{**row, "age": "2020-01-01"} for row in ROWS],
            {"columns": "age"},
            r"column 'age' holds datetime.date\(2020, 1, 1\) in row 0, not numbers",
        ),
        ([{**row, "age": None} for row in ROWS], {"columns": "age"}, "'age' has no value in the training rows"),
        (
            [{**row, "zero": 0} for row in ROWS],
            {"columns": ["age", "zero"], "scaling": "standard"},
            "'zero' hold one value only in the training rows, so scaling='standard' would divide by 0",
        ),
        (changed(9, patient="p0003"), {"id_column": "patient"}, "the id 'p0003' twice, in rows 3 and 9"),
        (changed(9, patient=None), {"id_column": "patient"}, "column 'patient' has no id in row 9"),
        (
            [{**row, "species": None} for row in ROWS],
            {"label": "species"},
            "column 'species' holds 0 classes, fewer than 1",
        ),
        (
            changed(2, event=2),
            {"target": "survival", "target_columns": ["time", "event"]},
            "column 'event' holds 2 in row 2; it must hold 0 and 1 only",
        ),
        (
            changed(2, time=-0.5),
            {"target": "survival", "target_columns": ["time", "event"]},
            "column 'time' holds -0.5 in row 2; it must hold times from 0 on",
        ),
        (
            changed(2, relapse=0.5),
            {"target": "multilabel", "target_columns": ["relapse", "event"]},
            "column 'relapse' holds 0.5 in row 2; it must hold 0 and 1 only",
        ),
        (changed(2, age="x"), {"target": "value", "target_columns": "age"}, "column 'age' holds 'x' in row 2"),
        (
            [{**row, "species": "x"} for row in ROWS],
            {"target": "class", "target_columns": "species"},
            r"table\.csv: column 'species' holds 1 classes, fewer than 2",
        ),
        (
            [{**row, "time": None} for row in ROWS],
            {"target": "survival", "target_columns": ["time", "event"]},
            r"table\.csv: 'time', 'event' hold no target in any row",
        ),
        (
            [ROWS[0], ROWS[0]],
            {"scaling": "rms"},
            r"table\.csv: every input holds one value only in the training rows",
        ),
    ],
)
def test_bad_columns_and_values_are_refused(tmp_path: Path, rows: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        table(tmp_path, rows, **arguments).train_dataloader()
    assert "\n" not in str(error.value)


def test_an_all_zero_column_is_taken_with_another_scaling(tmp_path: Path) -> None:
    rows = [{**row, "zero": 0} for row in ROWS]
    assert not inputs(table(tmp_path, rows, columns=["age", "zero"], scaling="rms"))[:, 1].any()


def test_a_held_out_category_is_unseen(tmp_path: Path) -> None:
    data = table(tmp_path, val_fraction=0.3)
    row = int(data.val_dataloader().source_rows[0])  # type: ignore[union-attr]
    choice = {"columns": ["age", "colour"], "categorical": "colour", "val_fraction": 0.3}
    with pytest.raises(InputError, match=f"column 'colour' holds 'pink' in row {row}, which no training row has"):
        table(tmp_path, changed(row, colour="pink"), **choice)
    data = table(tmp_path, changed(row, colour="pink"), **choice, unseen="zeros")
    assert not data.predict_dataloader().read(row, row + 1).x[0, 1:].any()


def test_a_new_class_of_a_class_target_is_refused(tmp_path: Path) -> None:
    trained = table(tmp_path, target="class", target_columns="species")
    path = write_table(tmp_path / "new.csv", [NEW[0], {**NEW[1], "species": "w"}])
    with pytest.raises(InputError, match="column 'species' holds 'w' in row 1, a class that the training data had not"):
        applied(trained, path).predict_dataloader()


CELLS = st.one_of(
    st.none(), st.integers(-3, 3), st.floats(width=32), st.sampled_from(["", "NA", "a", "b", "1e5", "\x00", '"', "é,;"])
)


@given(
    st.lists(st.lists(CELLS, min_size=2, max_size=4), max_size=6),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(
        [
            {},
            {"categorical": "b"},
            {"label": "b"},
            {"id_column": "b"},
            {"missing": "mean"},
            {"guess_roles": True},
            {"guess_roles": True, "val_fraction": 0.5, "scaling": "columns", "target": "value", "target_columns": "b"},
            {"target": "class", "target_columns": "b"},
            {"target": "survival", "target_columns": ["a", "b"]},
            {"val_fraction": 0.5, "unseen": "zeros", "categorical": ["a", "b"], "missing": "most_frequent"},
        ]
    ),
)
@settings(max_examples=200, deadline=None)
def test_whatever_is_in_a_file_ends_in_samples_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[Any]], delimiter: str, arguments: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("table") / "table.csv"
    lines = [["a", "b", "c"], *([("" if value is None else str(value)) for value in row] for row in rows)]
    path.write_text("\n".join(delimiter.join(line) for line in lines), encoding="utf-8")
    read_or_refuse(TableDataModule(str(path), **arguments), path)


@given(st.data(), st.sampled_from(["csv", "parquet"]))
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_ends_in_samples_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, ending: str
) -> None:
    path = write_table(tmp_path_factory.mktemp("table") / f"table.{ending}", ROWS[:5], ["gene_a", "colour"])
    path.write_bytes(damaged(data, path.read_bytes()))
    read_or_refuse(TableDataModule(str(path), categorical="colour"), path)
