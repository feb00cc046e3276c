"""Tests of tables as people bring them, whose columns are taken for what they look like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import skew

import datamodules.tables.table
from datamodules import TableDataModule
from lightning_dc.errors import InputError
from tests.helpers.wild_tables import (
    AGES,
    DAYS,
    WILD,
    N,
    currency,
    cycle,
    gaps,
    german_dates,
    ids,
    iso_dates,
    normal,
    semicolons,
    thousands,
)

ALL = 1 << 30


def module(source: Any, **arguments: Any) -> TableDataModule:
    data = TableDataModule(str(source) if isinstance(source, Path) else source, guess_roles=True, **arguments)
    data.setup("fit")
    return data


def inputs(data: TableDataModule) -> pd.DataFrame:
    """Return the inputs as they are before they are scaled."""
    loader = data.predict_dataloader()
    x = loader.unscale(loader.read(0, ALL).x)
    assert x is not None
    assert bool(torch.isfinite(x).all())
    return pd.DataFrame(x.numpy(), columns=list(data.feature_names))


@pytest.mark.parametrize("make", WILD, ids=lambda make: make.__name__)
def test_files_as_people_bring_them_are_read_at_the_first_attempt(
    tmp_path: Path, make: Callable[[], tuple[str, list[str]]]
) -> None:
    path = tmp_path / "t.csv"
    text, expected = make()
    path.write_text(text, encoding="utf-8")
    data = module(path, scaling="columns")
    assert list(data.feature_names) == expected
    x = inputs(data)
    assert len(x) == N
    assert (x.std() > 0).all()


def test_the_first_ids_are_those_of_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(ids()[0])
    found = module(path).predict_dataloader().ids
    assert found is not None
    assert found.tolist() == pd.read_csv(path)["key"].tolist()
    found = module(path, id_column="email").predict_dataloader().ids
    assert found is not None
    assert found[0].endswith("@example.org")


@pytest.mark.parametrize(("make", "column"), [(iso_dates, "day"), (iso_dates, "at"), (german_dates, "Datum")])
def test_a_date_is_its_age_in_days(tmp_path: Path, make: Any, column: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(make()[0])
    np.testing.assert_allclose(inputs(module(path))[f"{column}: days before newest"], AGES, atol=1e-3)


@pytest.mark.parametrize(
    ("make", "column", "arguments"),
    [
        (thousands, "sold", {"thousands": ","}),
        (semicolons, "preis", {"sep": ";", "decimal": ",", "thousands": "."}),
        (semicolons, "v", {"sep": ";", "decimal": ","}),
    ],
)
def test_numbers_in_text_are_those_that_pandas_reads(
    tmp_path: Path, make: Any, column: str, arguments: dict[str, Any]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(make()[0])
    np.testing.assert_allclose(inputs(module(path))[column], pd.read_csv(path, **arguments)[column], rtol=1e-5)


def test_signs_of_currencies_and_percent_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(currency()[0])
    x = inputs(module(path))
    expected = np.stack([100 * normal(), normal(1), normal(2), normal(3) - 50], 1)
    np.testing.assert_allclose(x[["price", "cost", "share", "profit"]], expected, atol=0.06)


def test_missing_values_are_the_median_or_the_most_frequent_category_on_request(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(gaps()[0])
    x, raw = inputs(module(path, missing="median")), pd.read_csv(path, na_values=["-"])
    assert raw["v"].isna().sum() == raw["word"].isna().sum() == 5
    np.testing.assert_allclose(x["v"], raw["v"].fillna(raw["v"].median()), rtol=1e-5)
    filled = raw["word"].fillna(raw["word"].mode()[0])
    np.testing.assert_allclose(x["word=a"], filled == "a", atol=1e-5)
    mean = inputs(module(path, missing="mean"))
    np.testing.assert_allclose(mean["v"], raw["v"].fillna(raw["v"].mean()), rtol=1e-5)


@pytest.mark.parametrize("val_fraction", [0.0, 0.5])
def test_a_heavy_tail_becomes_a_logarithm_by_the_training_rows(val_fraction: float) -> None:
    random = np.random.default_rng(1)
    tables = [
        pd.DataFrame(
            {"money": random.lognormal(3, 1, 80), "wide": random.normal(9, 1, 80), "debt": -random.lognormal(3, 1, 80)}
        ),
        pd.DataFrame({"money": random.gamma(2, 10, 80), "v": random.normal(size=80)}),
    ]
    for frame in tables:
        data = module(frame, val_fraction=val_fraction)
        rows = data.train_dataloader().source_rows.numpy()
        heavy = (skew(frame.iloc[rows]) > 1) & (frame.iloc[rows].min() >= 0).to_numpy()
        assert list(data.feature_names) == [
            f"log1p({name})" if is_heavy else name for name, is_heavy in zip(frame, heavy, strict=True)
        ]
        expected = np.where(heavy, np.log1p(frame.clip(lower=0)), frame)
        np.testing.assert_allclose(inputs(data), expected, rtol=1e-4, atol=1e-4)


def test_old_dates_with_a_long_tail_are_on_a_log_scale() -> None:
    days = np.floor(np.random.default_rng(0).exponential(30, N))
    frame = pd.DataFrame({"last": pd.Timestamp("2024-01-01") - pd.to_timedelta(days, "D"), "v": normal()})
    x = inputs(module(frame))
    np.testing.assert_allclose(x["log1p(last: days before newest)"], np.log1p(days - days.min()), atol=1e-4)


def test_infinite_values_are_missing_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("datamodules.tables.reading.tell", told.append)
    frame = pd.DataFrame({"v": normal(), "w": normal(1)})
    frame.loc[3, "v"] = np.inf
    known = frame["v"].drop(3)
    assert inputs(module(frame, missing="median"))["v"][3] == pytest.approx(known.median(), rel=1e-5)
    assert set(told) == {"the data frame: infinite values of column 'v' are taken for missing (1 rows)"}


def test_what_the_user_says_goes_before_what_is_guessed() -> None:
    frame = pd.DataFrame(
        {
            "id": [f"i{i}" for i in range(N)],
            "zip": [f"{i:05d}" for i in range(N)],
            "class": cycle("u", "v"),
            "grade": np.arange(N) % 4,
            "v": normal(),
        }
    )
    assert list(module(frame).feature_names) == ["grade", "v"]
    assert list(module(frame, columns="v").feature_names) == ["v"]
    assert list(module(frame, drop="grade").feature_names) == ["v"]
    assert list(module(frame, columns=["*", "zip"]).feature_names) == ["zip", "grade", "v"]
    assert list(module(frame, categorical="class").feature_names) == ["class=u", "class=v", "grade", "v"]
    data = module(frame, label="class", categorical="grade")
    assert list(data.feature_names) == ["grade=0", "grade=1", "grade=2", "grade=3", "v"]
    batch = data.predict_dataloader().read(0, ALL)
    assert batch.y is not None
    assert batch.y.tolist() == [i % 2 for i in range(N)]
    assert module(frame).predict_dataloader().read(0, ALL).y is None  # it is a label only if the user says so


RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize(
    ("name", "values", "is_id"),
    [
        ("n", np.arange(N) + 100, True),  # they count up
        ("n", RANDOM.permutation(N), True),
        ("n", RANDOM.choice(150, N, replace=False), True),  # by chance, some of 60 would be the same
        ("n", RANDOM.choice(10**6, N, replace=False), False),  # inhabitants of towns
        ("town_id", RANDOM.choice(10**6, N, replace=False), True),
        ("n", RANDOM.integers(0, 50, N), False),
        ("n", np.arange(N) + 0.5, False),
    ],
)
def test_whole_numbers_are_ids_if_it_is_no_chance_that_all_differ(name: str, values: np.ndarray, is_id: bool) -> None:
    data = module(pd.DataFrame({name: values, "v": normal()}))
    assert list(data.feature_names) == (["v"] if is_id else [name, "v"])
    ids = data.predict_dataloader().ids
    assert (ids is not None) == is_id
    assert ids is None or ids.tolist() == values.tolist()


def test_keys_of_other_things_are_categories_if_they_are_few() -> None:
    stores = RANDOM.integers(1, 4, N)
    many = pd.DataFrame(
        {"store_id": stores, "product_id": RANDOM.integers(0, 40, N), "zip": stores + 10_000, "v": normal()}
    )
    names = [f"store_id={i}" for i in (1, 2, 3)] + [f"zip={i}" for i in (10001, 10002, 10003)] + ["v"]
    assert list(module(many).feature_names) == names


def test_targets_of_a_csv_file_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    frame = pd.DataFrame({"a": normal(), "sold": normal(1), "b": cycle("x", "y")})
    frame.to_csv(path, index=False)
    data = module(path, target="value", target_columns="so*")
    assert list(data.feature_names) == ["a", "b=x", "b=y"]
    targets = data.train_dataloader().read(0, ALL).targets
    assert targets is not None
    np.testing.assert_allclose(targets[:, 0], frame["sold"], rtol=1e-6)


def test_a_word_among_numbers_is_missing_if_it_is_rare(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    values = normal().astype(str).tolist()
    frame = pd.DataFrame(
        {"rare": ["unknown", "unknown", *values[2:]], "often": ["unknown"] * 5 + values[5:], "v": normal()}
    )
    frame.to_csv(path, index=False)
    data = module(path, missing="median")
    assert list(data.feature_names) == ["rare", "v"]
    assert inputs(data)["rare"][0] == pytest.approx(np.median(normal()[2:]), rel=1e-5)


AMBIGUOUS = pd.DataFrame(
    {
        "v": [gap if i % 6 == 0 else str(x) for i, (gap, x) in enumerate(zip(cycle("NA", "-"), normal(), strict=True))],
        "smoker": cycle("none", "daily"),
        "rh": cycle("+", "-"),
        "med": cycle("none", "aspirin", "statin", "N/A"),
        "country": cycle("NA", "DE", "FR"),
        "paid": cycle("Yes", "no", "-"),
        "branch": cycle("007", "042", "-"),
        "few": ["none", "-", *cycle("a", "b")[2:]],
    }
)


@pytest.mark.parametrize("as_csv", [True, False])
def test_words_that_may_mean_missing_are_categories_among_words(tmp_path: Path, as_csv: bool) -> None:
    path = tmp_path / "t.csv"
    AMBIGUOUS.to_csv(path, index=False)
    source = path if as_csv else AMBIGUOUS
    data = module(source, scaling="none", missing="median")
    words = ["smoker=daily", "smoker=none", "rh=+", "rh=-", "med=aspirin", "med=none", "med=statin"]
    words += ["country=DE", "country=FR", "country=NA", "paid=-", "paid=no", "paid=yes"]
    assert list(data.feature_names) == ["v", *words, "branch=007", "branch=042", "few=a", "few=b"]
    x = inputs(data)
    np.testing.assert_array_equal(x["med=none"], AMBIGUOUS["med"] == "none")
    np.testing.assert_array_equal(x["country=NA"], AMBIGUOUS["country"] == "NA")
    assert x["v"][0] == pytest.approx(np.median([float(value) for value in AMBIGUOUS["v"] if value not in ("NA", "-")]))
    new = applied(data, str(path) if as_csv else AMBIGUOUS)
    pd.testing.assert_frame_equal(inputs(new), x)
    named = module(source, columns=["smoker", "branch"], categorical=["smoker", "branch"])
    assert list(named.feature_names) == ["smoker=daily", "smoker=none", "branch=007", "branch=042"]


def test_words_that_may_mean_missing_are_so_for_an_earlier_checkpoint() -> None:
    frame = pd.DataFrame({"med": cycle("aspirin", "statin", "aspirin"), "v": normal()})
    trained = module(frame, scaling="none", missing="median")
    trained.train_dataloader()
    state = trained.preprocessing_state()
    for reading in state["table"]["encoding"]["readings"].values():
        del reading["kept"]
    other = TableDataModule(frame.replace({"med": {"statin": "none"}}))
    other.load_preprocessing_state(state)
    other.setup("predict")
    assert (inputs(other)["med=aspirin"] == 1).all()


def test_a_class_or_target_of_a_csv_file_is_missing_where_it_is_na(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    frame = pd.DataFrame({"kind": cycle("a", "b", "NA"), "sold": ["NA", *map(str, range(1, N))], "v": normal()})
    frame.to_csv(path, index=False)
    data = module(path, label="kind", target="value", target_columns="sold")
    assert data.classes == ["a", "b"]
    targets = data.train_dataloader().read(0, ALL).targets
    assert targets is not None
    assert torch.isnan(targets[:, 0]).sum() == 1


def test_what_was_guessed_is_printed_in_short(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(datamodules.tables.table, "tell", told.append)
    frame = pd.DataFrame({f"v{j}": normal(j) for j in range(70)})
    frame.insert(0, "who", [f"p{i}" for i in range(N)])
    frame.insert(1, "colour", cycle("red", "blue"))
    frame.loc[:5, "v0"] = None
    module(frame)
    assert len(told) == 1
    lines = told[0].splitlines()
    assert len(lines) < 50
    assert lines[3].split() == ["who", "id", "no", "input,", "written", "beside", "the", "clusters"]
    assert lines[4].split() == ["colour", "category", "2", "one-hot"]
    assert lines[5].split() == ["v0", "number", "as", "it", "is", "10.0%", "by", "regression"]
    assert lines[-2] == "and 32 more columns: 32 number"
    assert all(
        flag in lines[-1] for flag in ("--data.drop", "--data.categorical", "--data.id_column", "--data.columns")
    )


# ---- new rows --------------------------------------------------------------------------------------------------------


def applied(trained: TableDataModule, source: Any) -> TableDataModule:
    trained.train_dataloader()
    other = TableDataModule(source)
    other.load_preprocessing_state(trained.preprocessing_state())
    other.setup("predict")
    return other


TRAINED = pd.DataFrame(
    {
        "who": [f"p{i}" for i in range(N)],
        "day": DAYS.strftime("%d.%m.%Y"),
        "money": [f"{value:.2f} €" for value in np.random.default_rng(0).lognormal(3, 1, N)],
        "colour": cycle("red", "green", "blue"),
        "v": normal(),
    }
)


def test_new_rows_are_read_as_the_training_rows(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    new = TRAINED.iloc[[4, 8, 9]].drop(columns="who")
    new.iloc[0] = ["14.07.2024", "1,000.00 €", "pink", None]
    new.to_csv(path, index=False)
    trained = module(TRAINED, missing="median")
    x = inputs(applied(trained, str(path)))
    assert list(x) == list(trained.feature_names)
    np.testing.assert_allclose(x.iloc[1:], inputs(trained).iloc[[8, 9]], rtol=1e-4, atol=1e-4)
    assert x["day: days before newest"][0] == pytest.approx(-14, abs=1e-3)
    assert x["log1p(money)"][0] == pytest.approx(np.log1p(1000), rel=1e-5)
    np.testing.assert_allclose(x.filter(like="colour=").iloc[0], 0, atol=1e-5)
    assert x["v"][0] == pytest.approx(np.median(normal()), rel=1e-4)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (
            "day",
            "2024-07-14",
            r"column 'day' holds '2024-07-14' in row 2, no date as dd.mm.yyyy as in the training data",
        ),
        ("money", "much", r"column 'money' holds 'much' in row 2, no number as in the training data; mend the value"),
        ("v", pd.Timestamp("2020-01-01"), r"column 'v' holds datetime.* in row 0, but a number in the training data"),
    ],
)
def test_new_rows_in_another_format_are_refused(column: str, value: Any, message: str) -> None:
    new = TRAINED.copy()
    if isinstance(value, str):
        new.loc[2, column] = value
    else:
        new[column] = value
    with pytest.raises(InputError, match=message) as error:
        applied(module(TRAINED), new).predict_dataloader()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", ["p3", None])
def test_new_rows_need_not_have_ids_where_they_were_guessed(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(datamodules.tables.table, "tell", told.append)
    new = TRAINED.copy()
    new.loc[5, "who"] = value
    trained = module(TRAINED)
    told.clear()
    assert applied(trained, TRAINED).predict_dataloader().ids is not None
    assert told == []
    assert applied(trained, new).predict_dataloader().ids is None
    assert len(set(told)) == 1
    assert "column 'who', which was taken for ids in training, has not another value in each row" in told[0]
    problem = r"twice, in rows 3 and 5" if value else r"has no id in row 5"
    with pytest.raises(InputError, match=problem):  # the user has named it in training
        applied(module(TRAINED, id_column="who"), new).predict_dataloader()
    named = TableDataModule(new, id_column="who")
    named.load_preprocessing_state(trained.preprocessing_state())
    with pytest.raises(InputError, match=problem):  # or for the new rows
        named.predict_dataloader()


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NaT])
@pytest.mark.parametrize("as_csv", [True, False])
def test_a_column_of_new_rows_without_any_value_is_missing(tmp_path: Path, nothing: Any, as_csv: bool) -> None:
    new = TRAINED.assign(day=nothing, money=nothing, colour=nothing)
    new.to_csv(tmp_path / "new.csv", index=False)
    trained = module(TRAINED, missing="median")
    x = inputs(applied(trained, str(tmp_path / "new.csv") if as_csv else new))
    expected = inputs(trained).median()
    for name in ("day: days before newest", "log1p(money)"):
        np.testing.assert_allclose(x[name], expected[name], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(x["colour=blue"], 1, atol=1e-5)


def test_an_earlier_checkpoint_without_readings_is_restored() -> None:
    frame = TRAINED[["v"]].assign(w=normal(1))
    trained = TableDataModule(frame)
    trained.setup("fit")
    trained.train_dataloader()
    state = trained.preprocessing_state()
    expected = trained.predict_dataloader().read(0, ALL).x
    del state["table"]["encoding"]["readings"], state["table"]["left_out"], state["table"]["id_is_guessed"]
    other = TableDataModule(frame)
    other.load_preprocessing_state(state)
    torch.testing.assert_close(other.predict_dataloader().read(0, ALL).x, expected, rtol=0, atol=0)


# ---- bad and odd tables ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"a": [f"x{i}" for i in range(N)]}, r"since 'a' were taken for 1 id \(the file has one column; if another"),
        (
            {"a": [f"x{i}" for i in range(N)], "id": range(N)},
            r"since 'a', 'id' were taken for 2 id; name inputs in cat",
        ),
        ({"a": [None] * N, "b": [""] * N}, r"since 'a', 'b' were taken for 2 empty; name inputs in categorical"),
        ({"a": [1] * N, "b": ["x"] * N}, r"'a', 'b' were taken for 2 constant; .*or set guess_roles to false"),
        ({"kind": [f"c{i % 10_000}" for i in range(20_000)]}, r"no column is left .* 'kind' were taken for 1 text"),
    ],
)
def test_tables_without_inputs_are_refused_in_one_line(frame: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        module(pd.DataFrame(frame))
    assert "\n" not in str(error.value)


def test_constant_inputs_are_named_by_their_columns_which_drop_takes() -> None:
    money = 1e16 + np.array([2, 8] + [0] * (N - 2))  # whose logarithms are the same
    frame = pd.DataFrame({"money": money, "colour": ["red"] * N, "v": normal()})
    arguments: dict[str, Any] = {"categorical": "colour", "scaling": "standard"}
    with pytest.raises(InputError, match=r"data frame: 'money', 'colour' hold one value only .*; name them in drop"):
        module(frame, **arguments).train_dataloader()
    data = module(frame, drop=["money", "colour"], scaling="standard")
    data.train_dataloader()
    assert list(data.feature_names) == ["v"]


def test_a_table_of_one_column_of_dates_alone_or_of_few_rows_works() -> None:
    assert list(module(pd.DataFrame({"v": normal()})).feature_names) == ["v"]
    dates = pd.DataFrame({"a": DAYS, "b": DAYS[::-1].strftime("%m/%d/%Y")})
    assert list(module(dates).feature_names) == ["a: days before newest", "b: days before newest"]
    few = pd.DataFrame({"age": np.arange(20, 80, 3), "sex": cycle("m", "f")[:20], "who": [f"p{i}" for i in range(20)]})
    assert list(module(few).feature_names) == ["age", "sex=f", "sex=m"]


def test_a_column_of_ten_thousand_categories_is_left_out() -> None:
    frame = pd.DataFrame({"kind": [f"c{i % 10_000}" for i in range(20_000)], "v": normal(n=20_000)})
    assert list(module(frame).feature_names) == ["v"]


@pytest.mark.slow
def test_a_hundred_thousand_columns_are_read(tmp_path: Path) -> None:
    """It takes about a minute; a step that looks at all columns for each column would take hours."""
    path = tmp_path / "wide.csv"
    x = np.random.default_rng(0).normal(size=(20, 100_000)).round(3)
    lines = [[f"g{j}" for j in range(x.shape[1])], *(map(str, row) for row in x.tolist())]
    path.write_text("\n".join(map(",".join, lines)))
    data = module(path, scaling="columns")
    assert data.input_shape == (100_000,)
    other = applied(data, str(path))
    torch.testing.assert_close(other.predict_dataloader().read(0, ALL).x, data.predict_dataloader().read(0, ALL).x)
