"""Tests of Parquet files that are larger than the rows in memory, against pandas."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet

import datamodules.parquet.cache
from datamodules import ParquetDataModule
from datamodules.parquet.cache import ParquetCache
from datamodules.parquet.sources import ParquetSource
from lightning_dc.errors import InputError
from tests.conftest import CommandLine

N_SAMPLES = 90


def frame(n_samples: int = N_SAMPLES, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {f"gene_{j}": random.normal(size=n_samples).astype("f4") for j in range(4)}
    columns["count"] = random.integers(0, 9, n_samples).astype("i2")
    columns["kind"] = np.array(["beta", "alpha", None], object)[np.arange(n_samples) % 3]
    return pd.DataFrame(columns)


def write(path: Path, table: pd.DataFrame | None = None) -> Path:
    table = frame() if table is None else table
    parquet.write_table(pyarrow.Table.from_pandas(table, preserve_index=False), path, row_group_size=20)
    return path


def module(path: Path, **arguments: Any) -> ParquetDataModule:
    data = ParquetDataModule(str(path), **{"label": "kind", "scaling": "none", **arguments})
    data.prepare_data()
    data.setup("fit")
    return data


def samples(data: ParquetDataModule) -> np.ndarray:
    return data.predict_dataloader().read(0, 1000).x.numpy()


FEATURES = ["gene_0", "gene_1", "gene_2", "gene_3", "count"]


@pytest.mark.parametrize(("limit", "n_together"), [("_ROWS", 7), ("_NUMBERS", 36), ("_NUMBERS", 1)])
def test_samples_are_the_columns_of_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, n_together: int
) -> None:
    """Some rows are read at a time, and fewer of wider tables: with five columns, 36 numbers are seven rows."""
    monkeypatch.setattr(datamodules.parquet.cache, limit, n_together)
    lengths: set[int] = set()
    numbers = ParquetCache._numbers
    record = staticmethod(lambda table, *rest: (lengths.add(table.num_rows), numbers(table, *rest))[1])
    monkeypatch.setattr(ParquetCache, "_numbers", record)
    folder = tmp_path / "many"
    folder.mkdir()
    parts = [frame(30, seed) for seed in range(3)]
    for i in (2, 0, 1):
        write(folder / f"part-{i}.parquet", parts[i])
    data, whole = module(folder), pd.concat(parts)
    assert max(lengths) == (1 if n_together == 1 else 7)
    np.testing.assert_array_equal(samples(data), whole[FEATURES].to_numpy("f4"))
    assert data.feature_names == FEATURES
    expected = whole["kind"].map({"alpha": 0, "beta": 1}).fillna(-1)
    assert data.predict_dataloader().read(0, 1000).y.tolist() == expected.tolist()
    assert not [path for path in data.cache.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(("most_bytes", "n_together"), [(1, 1), (300, 2)])
def test_a_reader_does_not_hold_pages_of_all_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int, n_together: int
) -> None:
    """Some columns are read at a time, and then some rows of all columns."""
    monkeypatch.setattr(datamodules.parquet.cache, "_OPEN_BYTES", most_bytes)
    monkeypatch.setattr(datamodules.parquet.cache, "_NUMBERS", 36)
    table = frame().assign(large=2**40 + np.arange(N_SAMPLES) // 2)
    read: list[int] = []
    tables = datamodules.parquet.cache._read_tables
    record = lambda *arguments: (read.append(len(arguments[-1])), tables(*arguments))[1]  # noqa: E731
    monkeypatch.setattr(datamodules.parquet.cache, "_read_tables", record)
    data = module(write(tmp_path / "x.parquet", table))
    np.testing.assert_array_equal(data.load().x[:], table[[*FEATURES, "large"]].to_numpy("f8"))
    assert max(read) == n_together
    assert sorted(path.name for path in data._cache().update().iterdir()) == ["manifest.json", "x.npy", "y.npy"]


def test_columns_are_chosen_by_name_or_pattern(tmp_path: Path) -> None:
    data = module(write(tmp_path / "x.parquet"), columns=["gene_[12]", "count"], label=None)
    np.testing.assert_array_equal(samples(data), frame()[["gene_1", "gene_2", "count"]].to_numpy("f4"))


def test_wide_numbers_stay_exact(tmp_path: Path) -> None:
    table = frame().assign(large=2**40 + np.arange(N_SAMPLES) // 2)
    data = module(write(tmp_path / "x.parquet", table), columns="large", label=None)
    np.testing.assert_array_equal(data.load().x[:][:, 0].numpy(), table["large"])


def test_the_cache_is_made_once_and_again_when_a_source_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    convert = datamodules.parquet.cache.ParquetCache._convert
    monkeypatch.setattr(
        datamodules.parquet.cache.ParquetCache, "_convert", lambda self, f: (made.append(f), convert(self, f))
    )
    path = write(tmp_path / "x.parquet")
    for _ in range(2):
        module(path)
    assert len(made) == 1
    os.utime(path, ns=(1, 1))  # touched: the checksum says that it is the same
    module(path)
    with monkeypatch.context() as patch:
        patch.setattr(datamodules.parquet.cache, "_sha256", None)  # the cache is made only once
        module(path)
    assert len(made) == 1
    table = frame()
    table.loc[5, "gene_0"] = 77.0
    write(path, table)
    np.testing.assert_array_equal(samples(module(path)), table[FEATURES].to_numpy("f4"))
    assert len(made) == 2
    cache = next(file for file in (tmp_path / "x.parquet.cache").rglob("x.npy"))
    cache.write_bytes(cache.read_bytes()[:-1])
    np.testing.assert_array_equal(samples(module(path)), table[FEATURES].to_numpy("f4"))
    assert len(made) == 3
    (cache.parent / "manifest.json").write_text("{")
    module(path)
    assert len(made) == 4


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_conversion_that_ends_early_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = write(tmp_path / "x.parquet")

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(datamodules.parquet.cache.ParquetCache, "_numbers", fail)
        with pytest.raises(type(error) if isinstance(error, KeyboardInterrupt) else (OSError, InputError)):
            module(path)
    assert not list((tmp_path / "x.parquet.cache").iterdir())
    np.testing.assert_array_equal(samples(module(path)), frame()[FEATURES].to_numpy("f4"))


def test_new_data_may_have_their_columns_in_another_order(tmp_path: Path) -> None:
    trained = module(write(tmp_path / "x.parquet"), scaling="standard")
    expected = samples(trained)
    other = ParquetDataModule(str(write(tmp_path / "y.parquet", frame()[[*FEATURES[::-1], "kind"]])))
    other.load_preprocessing_state(trained.preprocessing_state())
    other.setup("predict")
    np.testing.assert_array_equal(samples(other), expected)
    lacking = ParquetDataModule(str(write(tmp_path / "z.parquet", frame()[["gene_0", "gene_1"]])))
    lacking.load_preprocessing_state(trained.preprocessing_state())
    with pytest.raises(InputError, match=r"z\.parquet: lacks column 'gene_2', which the model was trained on"):
        lacking.predict_dataloader()


def test_a_file_without_the_label_is_named_and_new_data_need_none(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    write(folder / "0.parquet")
    write(folder / "1.parquet", frame()[FEATURES])
    with pytest.raises(InputError, match=r"1\.parquet: lacks column 'kind', which the first file has"):
        module(folder)
    (folder / "1.parquet").unlink()
    trained = module(folder)
    expected = samples(trained)
    other = ParquetDataModule(str(write(tmp_path / "new.parquet", frame()[FEATURES])), label="kind")
    other.load_preprocessing_state(trained.preprocessing_state())
    other.prepare_data()
    batch = other.predict_dataloader().read(0, 1000)
    np.testing.assert_array_equal(batch.x, expected)
    assert batch.y is None


@pytest.mark.parametrize("is_stale", [False, True])
@pytest.mark.parametrize("moment", ["convert", "replace"])
def test_of_processes_that_make_the_same_cache_one_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, is_stale: bool
) -> None:
    path = write(tmp_path / "x.parquet", frame(seed=1))
    if is_stale:
        module(path)
        write(path)
    module_, name = (ParquetCache, "_convert") if moment == "convert" else (os, "replace")
    original = getattr(module_, name)
    places: list[int] = []

    def intrude(*arguments: Any) -> None:
        monkeypatch.undo()
        if name == "_convert":
            original(*arguments)
        module(path)
        places.append(next((tmp_path / "x.parquet.cache").glob("[!.]*/x.npy")).stat().st_ino)
        if name == "replace":
            original(*arguments)

    monkeypatch.setattr(module_, name, intrude)
    data = module(path)
    np.testing.assert_array_equal(samples(data), frame(seed=0 if is_stale else 1)[FEATURES].to_numpy("f4"))
    (folder,) = data.cache.iterdir()
    assert sorted(file.name for file in folder.iterdir()) == ["manifest.json", "x.npy", "y.npy"]
    if moment == "convert" or not is_stale:
        assert (folder / "x.npy").stat().st_ino == places[0]


def test_a_cache_of_a_source_that_has_changed_since_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process caches the changed source, or none does, before this process replaces the cache."""
    for other_makes_it in (True, False):
        path = write(tmp_path / f"{other_makes_it}.parquet", frame(seed=1))
        original = os.replace

        def intrude(*arguments: Any, path: Path = path, other: bool = other_makes_it, replace: Any = original) -> None:
            monkeypatch.undo()
            write(path)
            if other:
                module(path)
            replace(*arguments)

        monkeypatch.setattr(os, "replace", intrude)
        data = module(path)
        np.testing.assert_array_equal(samples(data), frame()[FEATURES].to_numpy("f4"))
        assert len(list(data.cache.iterdir())) == 1


def test_a_source_that_never_rests_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.parquet")
    replace = os.replace
    seeds = iter(range(1000))
    monkeypatch.setattr(os, "replace", lambda *arguments: (write(path, frame(seed=next(seeds))), replace(*arguments)))
    with pytest.raises(InputError, match=r"x\.parquet: changes faster than it can be read"):
        ParquetCache([ParquetSource(path, {})], FEATURES, None, tmp_path / "cache").update()
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("is_damaged", [False, True])
def test_there_is_a_cache_at_any_time_and_one_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_damaged: bool
) -> None:
    """Check at each step of a replacement, unless no process could read the replaced cache."""
    path = write(tmp_path / "x.parquet", frame(seed=1))
    old = module(path).load().x
    cache = next((tmp_path / "x.parquet.cache").glob("[!.]*/x.npy"))
    if is_damaged:
        cache.write_bytes(cache.read_bytes()[:-1])
    else:
        write(path)
    steps: list[int] = []

    def look(original: Any) -> Any:
        def step(*arguments: Any, **options: Any) -> None:
            count = lambda: len(list((tmp_path / "x.parquet.cache").glob("[!.]*/x.npy")))  # noqa: E731
            steps.append(count())
            original(*arguments, **options)
            steps.append(count())

        return step

    monkeypatch.setattr(os, "replace", look(os.replace))
    monkeypatch.setattr(shutil, "rmtree", look(shutil.rmtree))
    new = module(path).load().x
    monkeypatch.undo()
    np.testing.assert_array_equal(new[:], frame(seed=1 if is_damaged else 0)[FEATURES].to_numpy("f4"))
    assert is_damaged or min(steps) == 1
    assert len(list((tmp_path / "x.parquet.cache").glob("*/x.npy"))) == 1
    if not is_damaged:
        np.testing.assert_array_equal(old[:], frame(seed=1)[FEATURES].to_numpy("f4"))


def read_again_and_again(path: Path, stop: Any, results: Any) -> None:
    """Read, in a process of its own, whole samples of either seed, whatever the other process does."""
    expected = [frame(seed=seed)[FEATURES].to_numpy("f4") for seed in (0, 1)]
    n_read = 0
    try:
        while not stop.is_set() or n_read < 3:
            try:
                x = ParquetCache([ParquetSource(path, {})], FEATURES, "kind", path.with_name("cache")).read()[0]
            except InputError as error:
                if "has changed while it was converted" in str(error):
                    continue
                raise
            assert any(np.array_equal(x[:], samples) for samples in expected)
            n_read += 1
        results.put(n_read)
    except BaseException as error:
        results.put(repr(error))


def test_a_process_reads_while_another_replaces(tmp_path: Path) -> None:
    path, new = tmp_path / "x.parquet", tmp_path / "new.parquet"
    write(path)
    context = multiprocessing.get_context("spawn")
    stop, results = context.Event(), context.Queue()
    reader = context.Process(target=read_again_and_again, args=(path, stop, results), daemon=True)
    reader.start()
    try:
        for i in range(40):
            write(new, frame(seed=i % 2))
            os.replace(new, path)
            ParquetCache([ParquetSource(path, {})], FEATURES, "kind", tmp_path / "cache").read()
        stop.set()
        n_read = results.get(timeout=120)
    finally:
        stop.set()
        reader.join(30)
        reader.kill()
    write(path, frame(30))  # what was left behind is removed with the cache of a changed source
    ParquetCache([ParquetSource(path, {})], FEATURES, "kind", tmp_path / "cache").read()
    assert isinstance(n_read, int), n_read
    assert n_read >= 3
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_source_that_changes_while_it_is_converted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.parquet")
    numbers = ParquetCache._numbers
    touch = staticmethod(lambda *arguments: (os.utime(path, ns=(1, 1)), numbers(*arguments))[1])
    monkeypatch.setattr(ParquetCache, "_numbers", touch)
    with pytest.raises(InputError, match=r"x\.parquet: has changed while it was converted"):
        module(path)


def test_a_cache_that_can_not_take_its_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(39, "Directory not empty")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InputError, match=r"can't be replaced \(Directory not empty\)"):
        module(write(tmp_path / "x.parquet"))
    assert not list((tmp_path / "x.parquet.cache").iterdir())


@pytest.mark.parametrize("n_bytes", [0, 50, 1500])
def test_a_damaged_file_is_named(tmp_path: Path, n_bytes: int) -> None:
    path = write(tmp_path / "x.parquet")
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(InputError, match=r"x\.parquet: can't be read"):
        module(path)


def test_damage_in_the_middle_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet")
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.parquet: can't be read"):
        module(path)
    assert not list((tmp_path / "x.parquet.cache").iterdir())


@pytest.mark.parametrize(
    ("table", "arguments", "message"),
    [
        (frame(), {"columns": "*", "label": None}, "column 'kind' holds .*, not numbers"),
        (frame(), {"columns": "cell_*"}, "columns='cell_\\*' matches no column"),
        (frame(), {"label": "class"}, "label='class' is no column"),
        (frame(), {"label": "gene_0"}, "label='gene_0' holds neither integers nor text"),
        (frame(), {"columns": "kind"}, "leaves no column of .* but the label"),
        (frame().assign(count=[None, *range(N_SAMPLES - 1)]), {}, "column 'count' has missing values"),
    ],
)
def test_bad_columns_are_named(tmp_path: Path, table: pd.DataFrame, arguments: dict[str, Any], message: str) -> None:
    if arguments.get("label") == "gene_0":
        table = table.drop(columns="kind")
    if "count" in table and table["count"].isna().any():
        table = table.astype({"count": "Int16"})
    with pytest.raises(InputError, match=message):
        module(write(tmp_path / "x.parquet", table), **arguments)


def test_a_number_that_is_not_finite_is_named(tmp_path: Path) -> None:
    table = frame()
    table.loc[7, "gene_1"] = np.inf
    with pytest.raises(InputError, match=r"x\.parquet'\) holds NaN or infinite values, first in row 7"):
        module(write(tmp_path / "x.parquet", table))


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = pyarrow.table([pyarrow.array([1.0, 2.0])] * 3, names=["gene", "cell", "gene"])
    parquet.write_table(twice, tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"x\.parquet: has more than one column named 'gene'"):
        module(tmp_path / "x.parquet", label=None)


def test_a_few_columns_wait_in_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datamodules.parquet.cache.tempfile, "TemporaryFile", None)
    np.testing.assert_array_equal(samples(module(write(tmp_path / "x.parquet"))), frame()[FEATURES].to_numpy("f4"))


def test_missing_files_are_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "x.parquet", tmp_path / "x.csv"):
        with pytest.raises(InputError, match=r"is neither a \.parquet file nor a folder of them"):
            module(path)


def test_a_run_from_the_command_line(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    write(tmp_path / "x.parquet")
    printed = lightning_dc_cli(
        *("fit", "--model=AEKMeans", "--model.n_clusters=3", "--data=ParquetDataModule", "--data.path=x.parquet"),
        *(
            "--data.label=kind",
            "--model.autoencoder=lightning_dc.encoders.Identity",
            "--model.pretraining.max_epochs=0",
        ),
        "--trainer.accelerator=cpu",
    )
    assert "ACC" in printed
    assert "terms of" not in printed
