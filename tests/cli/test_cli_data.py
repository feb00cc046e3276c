"""Tests of the command line on a user's own files: fit, and predict on new files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from pyarrow import csv, parquet

from datamodules import ClusteringDataModule, TableDataModule, TextDataModule
from lightning_dc import AEKMeans, Identity, KMeansConfig, PhaseConfig
from tests.conftest import CommandLine
from tests.helpers.command_line import fit_of, version
from tests.helpers.fake_files import (
    table_rows,
    write_fake_cells,
    write_fake_images,
    write_fake_texts,
    write_table,
)

CHECKPOINT = version(0) / "checkpoints/last.ckpt"
FIT = [*(flag for flag in fit_of("AEKMeans") if "--data" not in str(flag)), "--model.n_clusters=3"]
INPUTS = ["colour", "age", "gene_b", "gene_a", "patient"]  # not in the order of the training file


def table(folder: Path) -> tuple[Path, Path]:
    return write_table(folder / "t.csv", table_rows()), write_table(folder / "n.csv", table_rows(20, seed=1), INPUTS)


def wide_table(folder: Path) -> tuple[Path, Path]:
    return write_table(folder / "t.parquet", table_rows()), write_table(folder / "n.tsv", table_rows(20, seed=1))


def texts(folder: Path) -> tuple[Path, Path]:
    return write_fake_texts(folder / "t"), write_fake_texts(folder / "n", 20, flat=True, seed=1)


def images(folder: Path) -> tuple[Path, Path]:
    return write_fake_images(folder / "t"), write_fake_images(folder / "n", 20, flat=True, seed=1)


def cells(folder: Path) -> tuple[Path, Path]:
    pytest.importorskip("anndata")
    return write_fake_cells(folder / "t.h5ad"), write_fake_cells(folder / "n.h5ad", 20, seed=1)


TABLE = (
    "--data.columns=[gene_*,age,colour]",
    "--data.categorical=colour",
    "--data.label=species",
    "--data.id_column=patient",
    "--data.missing=median",
)
SURVIVAL = ("--data.target=survival", "--data.target_columns=[time,event]")


@pytest.mark.parametrize(
    ("kind", "write", "flags", "first_id"),
    [
        ("TableDataModule", table, TABLE, "p1000"),
        (
            "TableDataModule",
            wide_table,
            (*TABLE, "--data.target=survival", "--data.target_columns=[time,event]"),
            "p1000",
        ),
        ("TextDataModule", texts, ("--data.n_words=50",), "000.txt"),
        ("ImageFolderDataModule", images, ("--data.size=[6,5]", "--data.color=grey"), "000.png"),
        ("AnnDataModule", cells, ("--data.label=kind", "--data.n_top_genes=12"), "cell0"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # warnings of anndata when it writes
def test_a_checkpoint_knows_what_becomes_of_new_files(
    lightning_dc_cli: CommandLine,
    tmp_path: Path,
    kind: str,
    write: Callable[[Path], Any],
    flags: tuple[str, ...],
    first_id: str,
) -> None:
    path, new = write(tmp_path / "files")
    data = (f"--data={kind}", f"--data.path={path}", "--data.val_fraction=0.2", "--data.batch_size=16", *flags)
    printed = lightning_dc_cli(*FIT, *data)
    assert "ACC" in printed
    clusters = parquet.read_table(version(0) / "clusters.parquet")
    assert clusters.column_names[:3] == ["index", "id", "cluster"]
    # the new files need neither labels nor any other argument
    predict = ("predict", f"--data={kind}", f"--data.path={new}", "--ckpt_path", CHECKPOINT)
    lightning_dc_cli(*predict, "--output.path=new.npz")
    predicted = np.load("new.npz")
    assert predicted["id"][0] == first_id
    assert predicted["z"].shape == (20, 3)
    # a run and a prediction give the same for the training file
    lightning_dc_cli("predict", *data, "--ckpt_path", CHECKPOINT, "--output.path=again.parquet")
    again = parquet.read_table("again.parquet")
    place = {name: row for row, name in enumerate(again["id"].to_pylist())}
    rows = [place[name] for name in clusters["id"].to_pylist()]
    assert again["cluster"].to_numpy()[rows].tolist() == clusters["cluster"].to_pylist()


def test_clusters_and_predictions_are_csv_files_too(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    path, new = table(tmp_path / "files")
    data = (f"--data.path={path}", *TABLE)
    for name in ("clusters.parquet", "clusters.csv"):
        lightning_dc_cli(*FIT, "--data=TableDataModule", *data, f"--summary.file_name={name}")
    for name in ("new.parquet", "new.csv"):
        predict = ("predict", "--data=TableDataModule", f"--data.path={new}", "--ckpt_path", CHECKPOINT)
        lightning_dc_cli(*predict, f"--output.path={name}")
    files = [(version(0) / "clusters.parquet", version(1) / "clusters.csv"), (Path("new.parquet"), Path("new.csv"))]
    for in_parquet, in_csv in files:
        expected = pd.read_parquet(in_parquet)
        found = pd.read_csv(in_csv, dtype=dict(expected.dtypes), float_precision="round_trip")
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert expected["id"].tolist() == [f"p1{row:03d}" for row in range(20)]


def test_a_resumed_run_keeps_what_was_learned(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    path, _ = table(tmp_path / "files")
    data = (f"--data.path={path}", "--data.val_fraction=0.5", "--data.batch_size=8", *TABLE)
    lightning_dc_cli(*FIT, "--data=TableDataModule", *data, "--trainer.max_steps=2")
    resume = ("--ckpt_path", CHECKPOINT, "--seed_everything=5")  # another seed, whose split has other means
    lightning_dc_cli(*FIT, "--data=TableDataModule", *data, *resume)
    saved, resumed = (
        torch.load(version(number) / "checkpoints/last.ckpt", weights_only=True)["lightning_dc"]["preprocessing"]
        for number in (0, 1)
    )
    assert resumed["table"] == saved["table"]
    assert torch.equal(resumed["scaling"]["shift"], saved["scaling"]["shift"])


def test_slips_are_one_line(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    path, new = table(tmp_path / "files")
    fit = ("fit", "--model=DEC", "--model.n_clusters=3", "--data=TableDataModule", f"--data.path={path}")
    assert "column 'patient' holds 'p0000' in row 0, not numbers; name it in" in lightning_dc_cli.fails(*fit)
    assert "columns='gen' matches no column" in lightning_dc_cli.fails(*fit, "--data.columns=gen")
    lightning_dc_cli(
        *fit, "--model.n_clusters=3", "--data=TableDataModule", f"--data.path={path}", "--data.columns=gene_*"
    )
    predict = ("predict", "--data=TableDataModule", f"--data.path={new}", "--ckpt_path", CHECKPOINT)
    write_table(new, table_rows(20), ["gene_a"])
    assert "n.csv: lacks 'gene_b', which the training data had" in lightning_dc_cli.fails(*predict)
    predict = ("predict", "--data=TextDataModule", f"--data.path={new}", "--ckpt_path", CHECKPOINT)
    assert "prepared by ['table'] alone, not by tfidf" in lightning_dc_cli.fails(*predict)


def trainer() -> pl.Trainer:
    return pl.Trainer(
        max_epochs=-1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )


def kmeans(data: ClusteringDataModule) -> AEKMeans:
    return AEKMeans(
        input_shape=data.input_shape,
        n_clusters=3,
        autoencoder=Identity,
        pretraining=PhaseConfig(max_epochs=0),
        kmeans=KMeansConfig(n_init=2),
    )


@pytest.mark.parametrize("from_checkpoint", [False, True])
def test_new_data_in_python_are_preprocessed_as_the_training_data(tmp_path: Path, from_checkpoint: bool) -> None:
    path, new = table(tmp_path)
    roles: dict[str, Any] = {"columns": ["gene_*", "colour"], "categorical": "colour", "label": "species"}
    data = TableDataModule(str(path), **roles)
    model, fitting = kmeans(data), trainer()
    fitting.fit(model, data)
    fitting.save_checkpoint(tmp_path / "last.ckpt")
    if from_checkpoint:
        model = AEKMeans.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    others = TableDataModule(str(new), **roles)  # it lacks the label, so that nothing could be learned from it
    batches: Any = trainer().predict(model, others)
    x = data.ensure_learned().encoding(csv.read_csv(new), new, "error")
    expected = data.train_dataloader().scaling(torch.from_numpy(x), torch.float32)
    torch.testing.assert_close(torch.cat([batch["z"] for batch in batches]), expected)


def test_a_text_data_module_learns_nothing_of_what_is_predicted(tmp_path: Path) -> None:
    path, new = texts(tmp_path)
    data = TextDataModule(str(path), n_words=40)
    model, fitting = kmeans(data), trainer()
    fitting.fit(model, data)
    others = TextDataModule(str(new))
    trainer().predict(model, others)
    assert others.ensure_learned().words == data.ensure_learned().words
