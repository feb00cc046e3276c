"""Tests of errors of users: each gives one clear line before training, and no file is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import CommandLine
from tests.helpers.command_line import CHECKPOINT, DIGITS, QUICK
from tests.helpers.fake_mnist import write_fake_mnist, write_idx

MNIST = ("fit", "--config", "dec_mnist_paper", *QUICK, "--data.download=false", "--data.folder=mnist")


def assert_nothing_was_trained(folder: Path) -> None:
    assert not list(folder.rglob("*.ckpt"))
    assert not list(folder.rglob("clusters.*"))


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--model.n_clusters=1", "n_clusters=1 must be at least 2"),
        ("--model.n_clusters=2000", "n_clusters=2000 is more than the 1797 samples"),
        ("--model.nu=0", "nu=0.0 must be positive"),
        ("--model.refresh.tolerance=2", "tolerance=2.0 is a share"),
        ("--model.kmeans.n_init=0", "n_init=0 must be at least 1"),
        ("--model.refresh.every_n_steps=0", "every_n_steps=0"),
        ("--model.clustering.dropout=1.5", "dropout=1.5"),
        ("--model.clustering.max_steps=-1", "max_steps=-1"),
        ("--model.clustering.trainable=[encodr]", "trainable of phase 'clustering' names ['encodr']"),
        ("--model.clustering.loss_weights={lk: 1.0}", "loss_weights of phase 'clustering' name ['lk']"),
        ("--model.autoencoder.latent_dim=0", "latent_dim"),
        ("--model.clustering.optimizer.lr=-1", "optimizer of phase 'clustering': Invalid learning rate: -1.0"),
        ("--data.batch_size=0", "batch_size=0 must be at least 1"),
        ("--data.val_fraction=1.0", "val_fraction=1.0"),
        ("--data.scaling=standard", "features of x are constant"),
        ("--summary.file_name=clusters.h5ad", "annotated.file_name='clusters.h5ad' writes a copy of the cells with"),
        ("--summary.file_name=clusters.xlsx", "must end in .parquet or .npz or .csv"),
    ],
)
def test_bad_values(lightning_dc_cli: CommandLine, tmp_path: Path, flag: str, expected: str) -> None:
    assert expected in lightning_dc_cli.fails(*DIGITS, flag)
    assert_nothing_was_trained(tmp_path)


def test_unknown_config_names_the_nearest(lightning_dc_cli: CommandLine) -> None:
    assert "did you mean dec_digits?" in lightning_dc_cli.fails("fit", "--config", "dec_digit")


def test_a_configuration_without_its_flag(lightning_dc_cli: CommandLine) -> None:
    assert "write lightning-dc fit --config dec_digits" in lightning_dc_cli.fails("fit", "dec_digits")


def test_augmentation_of_what_is_no_image(lightning_dc_cli: CommandLine) -> None:
    augmented = "--model.augmentation=lightning_dc.augmentation.RandomAffine"
    assert "needs images" in lightning_dc_cli.fails("fit", "--config", "dec_synthetic", *QUICK, augmented)


def test_missing_and_corrupt_idx_files(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    assert "lacks train-images-idx3-ubyte.gz" in lightning_dc_cli.fails(*MNIST)
    folder = write_fake_mnist(tmp_path / "mnist")
    images = folder / "train-images-idx3-ubyte.gz"
    content = images.read_bytes()
    images.write_bytes(content[: len(content) // 2])
    assert "train-images-idx3-ubyte.gz: can't be read" in lightning_dc_cli.fails(*MNIST)
    write_fake_mnist(folder)
    write_idx(folder / "train-labels-idx1-ubyte.gz", np.zeros(7))
    assert "120 images but labels of shape (7,)" in lightning_dc_cli.fails(*MNIST)
    assert_nothing_was_trained(tmp_path)


USERS_DATA = """
import torch
from datamodules import ClusteringDataModule, Samples

class Broken(ClusteringDataModule):
    def __init__(self, how: str = "nan"):
        super().__init__()
        self.how = how

    def load(self) -> Samples:
        x, y = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 3
        if self.how == "nan":
            x[17, 2] = float("nan")
        if self.how == "inf":
            x[5] = float("inf")
        if self.how == "constant":
            x = torch.ones(40, 6)
        if self.how == "labels":
            y = y[:30]
        return Samples(x, y)
"""


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("nan", "NaN or infinite values, first in row 17"),
        ("inf", "NaN or infinite values, first in row 5"),
        ("constant", "every feature of x is constant"),
        ("labels", "shape (30,), but x has 40 samples"),
    ],
)
def test_bad_data(
    lightning_dc_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, expected: str
) -> None:
    (tmp_path / "broken_data.py").write_text(USERS_DATA)
    monkeypatch.syspath_prepend(tmp_path)
    data = ("--model=DEC", "--model.n_clusters=3", "--data=broken_data.Broken", f"--data.how={how}")
    assert expected in lightning_dc_cli.fails("fit", *data, *QUICK)
    assert_nothing_was_trained(tmp_path)


def test_checkpoints_that_do_not_fit(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    lightning_dc_cli(*DIGITS)
    before = CHECKPOINT.read_bytes()
    assert "is no file" in lightning_dc_cli.fails(*DIGITS, "--ckpt_path=nowhere.ckpt")
    (tmp_path / "half.ckpt").write_bytes(before[: len(before) // 2])
    assert "can't be read as a checkpoint" in lightning_dc_cli.fails(*DIGITS, "--ckpt_path=half.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    assert "is not a checkpoint of lightning_dc" in lightning_dc_cli.fails(*DIGITS, "--ckpt_path=other.ckpt")
    width = lightning_dc_cli.fails("predict", "--config", "dec_synthetic", "--ckpt_path", CHECKPOINT)
    assert "input_shape=[1, 8, 8], but this run has input_shape=[20]" in width
    clusters = lightning_dc_cli.fails(*DIGITS, "--ckpt_path", CHECKPOINT, "--model.n_clusters=7")
    assert "n_clusters=10, but this run has n_clusters=7" in clusters
    phases = lightning_dc_cli.fails(*DIGITS, "--ckpt_path", CHECKPOINT, "--model.layerwise.max_steps=0")
    assert "resume with the same phases" in phases
    assert CHECKPOINT.read_bytes() == before


OTHER_METHOD = """
from lightning_dc import DEC

class Other(DEC):
    pass
"""


def test_an_untrained_model_is_not_applied(lightning_dc_cli: CommandLine) -> None:
    for command in ("validate", "test", "predict"):
        assert f"{command} needs a trained model" in lightning_dc_cli.fails(command, "--config", "dec_digits")


def test_a_checkpoint_of_another_method(
    lightning_dc_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other_method.py").write_text(OTHER_METHOD)
    monkeypatch.syspath_prepend(tmp_path)
    lightning_dc_cli(*DIGITS)
    message = lightning_dc_cli.fails(*DIGITS, "--model=other_method.Other", "--ckpt_path", CHECKPOINT)
    assert "method=DEC, but this run has method=Other" in message


def test_an_existing_run_is_not_overwritten(lightning_dc_cli: CommandLine) -> None:
    lightning_dc_cli(*DIGITS, "--trainer.logger.version=mine")
    run = Path("runs/dec_digits/mine")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert "exists; choose another" in lightning_dc_cli.fails(*DIGITS, "--trainer.logger.version=mine")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_outputs_that_exist_or_can_not_be_written(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    lightning_dc_cli(*DIGITS)
    predict = ("predict", "--config", "dec_digits", "--ckpt_path", CHECKPOINT, "--output.path")
    (tmp_path / "mine.npz").write_bytes(b"precious")
    assert "exists" in lightning_dc_cli.fails(*predict, "mine.npz")
    assert (tmp_path / "mine.npz").read_bytes() == b"precious"
    lightning_dc_cli(*predict, "mine.npz", "--output.overwrite=true")
    assert np.load(tmp_path / "mine.npz")["index"].shape == (1797,)
    assert "must end in .parquet or .npz or .csv" in lightning_dc_cli.fails(*predict, "mine.xlsx")
    assert "can't be written" in lightning_dc_cli.fails(*predict, "/proc/nowhere/mine.npz")
    (tmp_path / "file").touch()
    logger = "--trainer.logger.save_dir"
    assert "can't be written" in lightning_dc_cli.fails(*DIGITS, logger, "file/runs")
    assert "can't be written" in lightning_dc_cli.fails(*DIGITS, logger, "/proc/runs")


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--model.n_clusterz=3", "--model.n_clusterz is no option; did you mean --model.n_clusters?"),
        ("--model.n_clusters=many", "--model.n_clusters=many is not possible; give integer"),
        (
            "--model.autoencoder.hidden_dim=[3]",
            "did you mean --model.autoencoder.hidden_dims?",
        ),
        ("--model=NoSuchMethod", "NoSuchMethod"),
        ("--trainer.no_such=1", "--trainer.no_such is no option"),
    ],
)
def test_errors_of_the_parser_are_one_line_too(lightning_dc_cli: CommandLine, flag: str, expected: str) -> None:
    message = lightning_dc_cli.fails(*DIGITS, flag)
    assert expected in message
    assert len(message) < 400
