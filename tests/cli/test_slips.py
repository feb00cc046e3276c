"""Slips that Lightning or the parser finds: one line with a remedy, and no run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Callback

from tests.conftest import CommandLine
from tests.helpers.command_line import CHECKPOINT, DATA, DIGITS, fit_of, version

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
EARLY = "--trainer.callbacks=EarlyStopping"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param("--trainer.accelerator=gpu", "PyTorch finds no such device", marks=NO_GPU),
        pytest.param("--trainer.accelerator=cuda", "PyTorch finds no such device", marks=NO_GPU),
        ("--trainer.accelerator=gpus", "did you mean gpu?"),
        ("--trainer.devices=-1", "must be a whole number of processes, 1 or more"),
        ("--trainer.devices=0", "must be a whole number of processes, 1 or more"),
        ("--trainer.devices=[0,1]", "must be a whole number of processes, 1 or more"),
        ("--trainer.num_nodes=0", "must be a positive integer"),
        ("--trainer.strategy=nonsense", "'nonsense' is unknown; choose from auto, ddp"),
        ("--trainer.strategy=dpp", "did you mean ddp?"),
        ("--trainer.strategy=fsdp", "splits a model over devices"),
        ("--trainer.strategy=deepspeed_stage_2", "splits a model over devices"),
        ("--trainer.strategy=lightning.pytorch.strategies.ModelParallelStrategy", "splits a model over devices"),
        ("--trainer.precision=24", "--trainer.precision=24 is not possible; give 64, 32, 16"),
        ("--trainer.limit_train_batches=-1", "limit_train_batches"),
        ("--trainer.accumulate_grad_batches=0", "accumulate_grad_batches=0 must be at least 1"),
        ("--trainer.check_val_every_n_epoch=0", "check_val_every_n_epoch=0 must be at least 1"),
        ("--trainer.val_check_interval=100000", "val_check_interval"),
        ("--trainer.profiler=nonsense", "profiler"),
        ("--trainer.max_time=soon", "trainer.max_time='soon' is no time; write DD:HH:MM:SS"),
        ("--trainer.max_time=5", "trainer.max_time='5' is no time; write DD:HH:MM:SS"),
        ("--trainer.callbacks=LearningRateMonitor --trainer.logger=false", "has no logger"),
        (f"{EARLY} --trainer.callbacks.monitor=val/acc", "without held-out samples (data.val_fraction)"),
        (f"{EARLY} --trainer.callbacks.monitor=train/los", "does not log; choose from train/loss"),
        ("--trainer.callbacks=ModelCheckpoint --trainer.callbacks.monitor=val/acc", "without held-out samples"),
        (f"{EARLY} --trainer.callbacks.monitor=val/ac --data.val_fraction=0.2", "val/acc"),
        ("--seed_everything=-1", "seed_everything=-1 must be from 0 to 4294967295"),
        ("--seed_everything=99999999999", "seed_everything=99999999999 must be from 0 to 4294967295"),
        ("--seed_everything=one", "--seed_everything=one is not possible; give bool or integer"),
    ],
)
def test_slips_of_the_trainer(lightning_dc_cli: CommandLine, tmp_path: Path, flags: str, expected: str) -> None:
    assert expected in lightning_dc_cli.fails(*DIGITS, *flags.split())
    assert not list(tmp_path.rglob("clusters.*"))


def test_monitors_of_what_is_counted_or_logged_by_own_parts(lightning_dc_cli: CommandLine) -> None:
    checkpoint = "--trainer.callbacks=ModelCheckpoint"
    lightning_dc_cli(*DIGITS, checkpoint, "--trainer.callbacks.monitor=step", "--trainer.callbacks.mode=max")
    own = f"--trainer.callbacks+={__name__}.LogsMore"
    lightning_dc_cli(*DIGITS, EARLY, "--trainer.callbacks.monitor=own/metric", own)


class LogsMore(Callback):
    def on_train_batch_end(self, trainer: object, pl_module: LightningModule, *args: object) -> None:
        pl_module.log("own/metric", 1.0)


@pytest.mark.parametrize(
    ("flag", "package"),
    [
        ("--trainer.logger=WandbLogger", "wandb"),
        ("--trainer.logger=MLFlowLogger", "mlflow"),
        ("--trainer.callbacks=RichProgressBar", "rich"),
        ("--trainer.accelerator=tpu", "torch_xla"),
    ],
)
def test_packages_that_are_not_installed(lightning_dc_cli: CommandLine, flag: str, package: str) -> None:
    if package != "torch_xla":
        try:
            __import__(package)
        except ImportError:
            pass
        else:
            pytest.skip(f"{package} is installed")
    message = lightning_dc_cli.fails(*DIGITS, flag)
    assert "pip install" in message
    assert package in message


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--model.clustring.max_epochs=2", "did you mean --model.clustering.max_epochs?"),
        ("--modle.n_clusters=2", "did you mean --model.n_clusters?"),
        ("--trainer.max_epoch=2", "did you mean --trainer.max_epochs?"),
        ("--data.bach_size=2", "did you mean --data.batch_size?"),
        ("--seed_everthing=2", "did you mean --seed_everything?"),
        ("--summary.filename=x.npz", "did you mean --summary.file_name?"),
        ("--model.kmeans.ninit=3", "did you mean --model.kmeans.n_init?"),
        ("--model.n_init=3", "did you mean --model.kmeans.n_init?"),
        ("--model.pretraining.lr=0.1", "did you mean --model.pretraining.optimizer.lr?"),
        ("--model.clustering.weight_decay=0.1", "did you mean --model.clustering.optimizer.weight_decay?"),
        ("--model.lr=0.1", "or --model.pretraining.optimizer.lr or --model.clustering.optimizer.lr?"),
        ("--model.pretraining.optimizer.learning_rate=0.1", "did you mean --model.pretraining.optimizer.lr?"),
        ("--model.pretraining.epochs=3", "did you mean --model.pretraining.max_epochs?"),
        ("--data.xyz=3", "--data.xyz is no option; choose from batch_size, scaling"),
        ("--n_clusters=3", "did you mean --model.n_clusters?"),
        ("--n-clusters=3", "did you mean --model.n_clusters?"),
        ("--batch_size=3", "did you mean --data.batch_size?"),
        ("--lr=0.1", "did you mean --model.pretraining.optimizer.lr?"),
        ("--seed=1", "did you mean --seed_everything?"),
        ("--model=DECC", "there is no class DECC; did you mean DEC?"),
        ("--model=dec", "did you mean DEC?"),
        ("--data=MNISTData", "did you mean MNISTDataModule?"),
        ("--data=digits", "did you mean DigitsDataModule?"),
        ("--model.clustering.optimizer=Adm", "did you mean Adam?"),
        ("--model.clustering.optimizer=torch.optim.Adm", "did you mean Adam?"),
        ("--model.pretraining.lr_schedule=StepDecy", "did you mean StepDecay?"),
        ("--model.pretraining.lr_schedule.class_path=lightning_dc.schedules.StepDecy", "did you mean StepDecay?"),
        ("--model.autoencoder=MLPAutoencodr", "did you mean MLPAutoencoder?"),
        ("--model.head=StudentHead", "did you mean StudentTHead?"),
        ("--trainer.callbacks=EarlyStoping", "did you mean EarlyStopping?"),
        ("--trainer.logger=CSVLoger", "did you mean CSVLogger?"),
        ("--data=my_cells.Cells", "my_cells.Cells can't be imported (No module named 'my_cells')"),
        ("--model=", "--model is empty; give a value"),
    ],
)
def test_misspelt_options_and_classes(lightning_dc_cli: CommandLine, flag: str, expected: str) -> None:
    assert expected in lightning_dc_cli.fails(*DIGITS, flag)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("fitt",), "did you mean fit?"),
        (("predct", "--config", "dec_digits"), "did you mean predict?"),
        (("nonsense",), "choose from fit, validate, test, predict, select, configs, completion"),
        (("fit", "--config"), "--config needs the name of a shipped configuration"),
        (("fit",), "--data, --model must be given"),
        (("fit", "--model=DEC", "--data=DigitsDataModule"), "--model.n_clusters must be given"),
        (("fit", "--model=DEC", "--model.n_clusters=3", "--data=TableDataModule"), "--data.path must be given"),
        (
            ("fit", "--config=dec_digits", "--model.n_clusters", "--data.batch_size=9"),
            "--model.n_clusters has no value",
        ),
        (("fit", "--config=dec_digits", "--trainer.max_epochs"), "--trainer.max_epochs has no value"),
        (("fit", "dec_digits"), "dec_digits is a configuration; write lightning-dc fit --config dec_digits"),
        (("fit", "dec_digitz"), "did you mean lightning-dc fit --config dec_digits?"),
        (("fit", "mine.yaml"), "write lightning-dc fit --config mine.yaml"),
        (("fit", "seventeen"), "'seventeen' stands alone, without an option before it"),
        (("configs", "dec_digits"), "configs has no argument 'dec_digits'"),
        (
            ("fit", "--model.n_clusters=3", "--model=DEC"),
            "write --model CLASS, or --config with",
        ),
    ],
)
def test_misspelt_commands(lightning_dc_cli: CommandLine, args: tuple[str, ...], expected: str) -> None:
    assert expected in lightning_dc_cli.fails(*args)


def test_a_class_of_a_file_beside_is_suggested(
    lightning_dc_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cells_beside.py").write_text("from datamodules import DigitsDataModule as CellData\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "did you mean cells_beside.CellData?" in lightning_dc_cli.fails(*DIGITS, "--data=cells_beside.CellDta")


def test_an_error_in_a_file_beside_is_shown(
    lightning_dc_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_beside.py").write_text(
        "import torch\nfrom datamodules import DigitsDataModule\ntorch.nonsense\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    message = lightning_dc_cli.fails(*DIGITS, "--data=broken_beside.DigitsDataModule")
    assert "module 'torch' has no attribute 'nonsense'" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("model:\n  init_args:\n    n_clustrs: 4\n", "mine.yaml: model.init_args.n_clustrs is no option; did you mean"),
        ("modle:\n  init_args:\n    n_clusters: 4\n", "did you mean model.init_args.n_clusters?"),
        ("model:\n  initargs:\n    n_clusters: 4\n", "did you mean model.init_args.n_clusters?"),
        ("trainer:\n  max_epoch: 4\n", "mine.yaml: trainer.max_epoch is no option; did you mean trainer.max_epochs?"),
        ("model:\n  class_path: DECC\n", "mine.yaml: model: there is no class DECC; did you mean DEC?"),
        (
            "model:\n  init_args:\n    pretraining:\n      lr: 0.1\n",
            "did you mean model.init_args.pretraining.optimizer.lr?",
        ),
        (
            "model:\n  init_args:\n    n_clusters: four\n",
            "model.init_args.n_clusters=four is not possible; give integer",
        ),
        ("model:\n init_args:\n   n_clusters: 4\n  x: 3\n", "'mine.yaml', line 4, column 3"),
        ("model:\n\tinit_args: 3\n", "'mine.yaml', line 2, column 1"),
        ("model: [1, 2\ndata: 3\n", "'mine.yaml', line 2"),
        ("model:\n", "has nothing below 'model'"),
        ("just text\n", "holds a str"),
        ("- a\n", "holds a list"),
        ("", "is empty"),
        (b"# gr\xf6\xdfe\nmodel:\n", "is not in UTF-8 but in another encoding, such as Latin-1 (line 1)"),
        ("# gr\xf6\xdfe\nmodel:\n".encode("utf-16"), "is not in UTF-8 but in UTF-16"),
        (b"\x00\x01", "is not YAML"),
    ],
)
def test_slips_in_a_configuration_name_the_file(
    lightning_dc_cli: CommandLine, content: str | bytes, expected: str
) -> None:
    Path("mine.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    message = lightning_dc_cli.fails(*DIGITS, "--config=mine.yaml")
    assert expected in message
    assert "mine.yaml" in message


def test_a_configuration_may_begin_with_a_byte_order_mark(lightning_dc_cli: CommandLine) -> None:
    Path("mine.yaml").write_bytes("seed_everything: 3  # größe\n".encode("utf-8-sig"))
    with pytest.raises(SystemExit) as end:
        lightning_dc_cli(*DIGITS, "--config=mine.yaml", "--print_config")
    assert not end.value.code


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
@pytest.mark.parametrize("flags", [(), ("--data=DigitsDataModule",), ("--config=dec_digits",)])
def test_what_applies_a_model_needs_a_checkpoint(
    lightning_dc_cli: CommandLine, command: str, flags: tuple[str, ...]
) -> None:
    assert f"{command} needs a trained model; add --ckpt_path" in lightning_dc_cli.fails(command, *flags)


def test_a_folder_stands_for_its_last_checkpoint(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    lightning_dc_cli(*fit_of("DEC"))
    run = version(0)
    for folder in (run, run / "checkpoints"):
        assert "acc" in lightning_dc_cli("validate", *DATA, "--ckpt_path", folder)
    lightning_dc_cli(*fit_of("IDEC", "--init_from", run))
    ambiguous = lightning_dc_cli.fails("validate", *DATA, "--ckpt_path=runs")
    assert "is a folder with 2 checkpoints; name one of runs/run/version_0/checkpoints/last.ckpt" in ambiguous
    (tmp_path / "nothing").mkdir()
    assert "is a folder without checkpoints" in lightning_dc_cli.fails("validate", *DATA, "--ckpt_path=nothing")
    for word in ("last", "best", "https://example.com/a.ckpt"):
        assert f"ckpt_path='{word}' is no file" in lightning_dc_cli.fails("predict", *DATA, f"--ckpt_path={word}")
    np.save("seven.npy", np.random.default_rng(0).normal(size=(40, 7)))
    other = ("--data=ArrayDataModule", "--data.x=seven.npy", f"--ckpt_path={run}")
    for command in ("validate", "test", "predict"):
        message = lightning_dc_cli.fails(command, *other)
        assert "input_shape=[20], but this run has input_shape=[7]; give samples of the shape" in message


ENCODERS = """
from torch import nn
from lightning_dc.encoders import Autoencoder

class Wrong(Autoencoder):
    def __init__(self, input_shape, how: str = "inputs"):
        super().__init__((1, 4, 4) if how == "its own shape" else input_shape, 4)
        inputs = {"inputs": 784, "its own shape": 16}.get(how, 64)
        width = 5 if how == "embeddings" else 4
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(inputs, width))
        self.decoder = nn.Linear(width, 49 if how == "outputs" else inputs)
        self.how = how

    def encode(self, x, corrupt=None):
        return self.encoder(x)

    def decode(self, z, corrupt=None):
        return self.decoder(z) if self.how in ("outputs", "flat") else self.decoder(z).view(-1, *self.input_shape)
"""


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("inputs", "Wrong fails on samples of shape (1, 8, 8)"),
        ("embeddings", "Wrong returns embeddings of shape (B, 5), but its latent_dim is 4"),
        ("outputs", "Wrong reconstructs samples of shape (1, 8, 8) as (49,)"),
        ("flat", "Wrong reconstructs samples of shape (1, 8, 8) as (64,)"),
        ("its own shape", "samples of DigitsDataModule have shape (1, 8, 8), but Wrong takes (1, 4, 4)"),
    ],
)
def test_an_encoder_that_does_not_fit_the_samples(
    lightning_dc_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, expected: str
) -> None:
    (tmp_path / "wrong_encoders.py").write_text(ENCODERS)
    monkeypatch.syspath_prepend(tmp_path)
    own = ("--model.autoencoder=wrong_encoders.Wrong", f"--model.autoencoder.how={how}")
    flags = ("fit", "--model=DEC", "--model.n_clusters=3", "--data=DigitsDataModule", *own, "--trainer.accelerator=cpu")
    assert expected in lightning_dc_cli.fails(*flags)
    assert not list(tmp_path.rglob("*.ckpt"))


class Buggy(Callback):
    """Callback with an error of its own, of a kind that Lightning raises, too."""

    def __init__(self, where: str = "start") -> None:
        self.where = where
        if where == "constructor":
            raise AttributeError("a bug")

    def on_train_start(self, trainer: object, pl_module: object) -> None:
        if self.where == "start":
            raise ValueError("a bug")

    def on_train_batch_end(self, trainer: object, pl_module: object, *args: object) -> None:
        if self.where == "batch":
            pl_module.log("x", 1.0, on_step=False, on_epoch=False)  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, object]:
        return {"bug": 1 / 0} if self.where == "checkpoint" else {}


@pytest.mark.parametrize("where", ["start", "constructor", "batch", "checkpoint"])
def test_an_error_of_the_program_keeps_its_traceback(
    lightning_dc_cli: CommandLine, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The last one is raised by Lightning, about a call in the code of a callback."""
    callback = f"--trainer.callbacks={__name__}.Buggy"
    with pytest.raises(Exception) as error:  # noqa: PT011
        lightning_dc_cli(*DIGITS, callback, f"--trainer.callbacks.where={where}")
    assert not isinstance(error.value, SystemExit)


def test_an_error_of_a_fit_leaves_the_checkpoint_of_another(lightning_dc_cli: CommandLine) -> None:
    lightning_dc_cli(*DIGITS)
    before = CHECKPOINT.read_bytes()
    message = lightning_dc_cli.fails(*DIGITS, "--ckpt_path", CHECKPOINT, "--model.autoencoder.hidden_dims=[9]")
    assert "ckpt_path names a checkpoint where" in message
    assert CHECKPOINT.read_bytes() == before


def test_a_forgotten_command_is_named(lightning_dc_cli: CommandLine) -> None:
    said = lightning_dc_cli.fails("--config", "dec_digits", "--model.n_clusters=5")
    assert "write lightning-dc fit --config dec_digits --model.n_clusters=5" in said


@pytest.mark.parametrize("trust", ["[a", "{"])
def test_a_misspelt_list_of_packages_is_a_slip(lightning_dc_cli: CommandLine, trust: str) -> None:
    lightning_dc_cli(*DIGITS)
    said = lightning_dc_cli.fails("predict", "--data=DigitsDataModule", f"--ckpt_path={CHECKPOINT}", f"--trust={trust}")
    assert "write --trust mine" in said


def test_select_takes_no_abbreviations(lightning_dc_cli: CommandLine) -> None:
    assert "--conf" in lightning_dc_cli.fails("select", "--conf", "dec_synthetic", "--k", "2", "3")
