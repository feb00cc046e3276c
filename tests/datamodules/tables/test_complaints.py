"""All complaints about a table in one message, with flags that mend them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from datamodules import TableDataModule
from lightning_dc.errors import InputError

RANDOM = np.random.default_rng(0)
GOOD = pd.DataFrame(RANDOM.normal(size=(40, 2)), columns=["a", "b"])


def with_gap(values: Any) -> Any:
    return [None if i == 7 else value for i, value in enumerate(values)]


BAD: dict[str, Any] = {
    "sex": ["m", "f"] * 20,
    "stage, at first": with_gap(["I", "II", "III", "IV"] * 10),
    "age": with_gap(RANDOM.normal(size=40)),
    "zero": [0] * 40,
    "nothing": [None] * 40,
    "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(40), "D"),
    "far": [np.inf, *range(39)],
    "name": [f"Ann {i}" for i in range(40)],
    "note": [f"a remark {i % 39}" for i in range(40)],
    "mostly": ["forty", *map(str, range(39))],
    "no": ["x"] * 40,
}


def module(path: Path, **arguments: Any) -> TableDataModule:
    data = TableDataModule(str(path), **arguments)
    data.setup("fit")
    data.train_dataloader()
    return data


def advice(message: str) -> dict[str, Any]:
    """The arguments of the flags that a message names, as the command line reads them."""
    words = shlex.split(message.partition("; for example ")[2])
    values = [word if word == "," else yaml.safe_load(word) for word in words[1::2]]
    return {flag.removeprefix("--data."): value for flag, value in zip(words[::2], values, strict=True)}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("val_fraction", [0.0, 0.3])
def test_all_complaints_come_at_once_with_flags_that_work(tmp_path: Path, ending: str, val_fraction: float) -> None:
    path = tmp_path / f"t.{ending}"
    frame = GOOD.assign(**BAD)
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path, index=False)
    with pytest.raises(InputError) as error:
        module(path, val_fraction=val_fraction)
    message = str(error.value)
    assert "\n" not in message
    for name in BAD:
        assert repr(name) in message
    assert (
        "column 'sex' holds 'm' in row 0, not numbers; name it in categorical or in drop, and so 'stage, at" in message
    )
    assert "have no value in some rows (the first in row 7)" in message
    data = module(path, val_fraction=val_fraction, **advice(message))
    kept = {"a", "b", "sex", "stage, at first", "age"}
    assert {name.partition("=")[0] for name in data.feature_names} == kept
    ids = data.predict_dataloader().ids
    assert ids is not None
    assert ids.tolist() == BAD["name"]


def test_guessing_the_roles_is_named_and_takes_the_table_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    GOOD.assign(**BAD).to_csv(path, index=False)
    with pytest.raises(
        InputError, match=r"; --data\.guess_roles true takes each column for what it looks like; for ex"
    ):
        module(path)
    data = module(path, guess_roles=True)
    assert [name.partition("=")[0] for name in dict.fromkeys(data.feature_names)] == [
        *("a", "b", "sex", "sex", *["stage, at first"] * 4, "age", "seen: days before newest", "far", "mostly"),
    ]


@pytest.mark.parametrize("name", BAD)
def test_a_single_complaint_has_its_flag_too(tmp_path: Path, name: str) -> None:
    path = tmp_path / "t.csv"
    GOOD.assign(**{name: BAD[name]}).to_csv(path, index=False)
    with pytest.raises(InputError, match=re.escape(repr(name))) as error:
        module(path)
    module(path, **advice(str(error.value)))


def test_categories_of_held_out_rows_alone_are_no_further_complaint(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    GOOD.assign(kind=[f"k{i // 2}" for i in range(40)]).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"for example --data\.categorical '\[kind\]' --data\.unseen zeros$") as error:
        module(path, val_fraction=0.5, scaling="rms")
    data = module(path, val_fraction=0.5, scaling="rms", **advice(str(error.value)))
    assert len(data.feature_names) < 22


def test_flags_keep_what_the_user_has_said(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    GOOD.assign(**BAD, id=[f"p{i}" for i in range(40)]).to_csv(path, index=False)
    said = {"categorical": ["sex"], "drop": ["z*", "far"], "id_column": "id"}
    with pytest.raises(InputError) as error:
        module(path, **said)
    flags = advice(str(error.value))
    assert flags["categorical"] == ["sex", "stage, at first"]
    assert flags["drop"][:2] == ["z*", "far"]
    assert "name" in flags["drop"]
    assert module(path, **{**said, **flags}).predict_dataloader().ids is not None


def test_a_decimal_comma_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f'"{i % 7},5",{i % 5}.5\n' for i in range(20)))
    with pytest.raises(InputError, match=r"for example --data\.decimal ,$"):
        module(path, drop="b")
    assert module(path, drop="b", **advice("; for example --data.decimal ,")).feature_names == ["a"]


@pytest.mark.parametrize("delimiter", [" ", ":", "^"])
def test_a_delimiter_that_is_not_guessed_is_named(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "t.csv"
    GOOD.round(3).to_csv(path, index=False, sep=delimiter)
    with pytest.raises(InputError, match="if another character than a comma is between its fields, set delimiter"):
        module(path)
    assert module(path, delimiter=delimiter).feature_names == ["a", "b"]


def test_no_flags_are_given_if_no_input_would_be_left(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    pd.DataFrame({"a": [0] * 20, "b": [None] * 20}).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"'b' have no value .*; 'a' hold one value only") as error:
        module(path)
    assert "--data" not in str(error.value)


def test_all_columns_that_do_not_exist_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    GOOD.to_csv(path, index=False)
    with pytest.raises(InputError, match=r"drop='z\*' matches no column .*; label='kind' is no column .*; id_column="):
        module(path, drop="z*", label="kind", id_column="id")
