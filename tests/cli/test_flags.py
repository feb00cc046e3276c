"""Tests of flags that change a part of a file or of a method's default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import CommandLine

DEEPTYPE = ("fit", "--model=DeepType", "--model.n_clusters=4", "--data=SyntheticDataModule", "--data.target=class")
IDEC = ("fit", "--model=IDEC", "--model.n_clusters=4", "--data=DigitsDataModule")
OWN = "model: {class_path: DeepType, init_args: {n_clusters: 4, pretraining: {loss_weights: {task: 2.0}}}}"


def printed(lightning_dc_cli: CommandLine, capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, Any]:
    """Return the arguments of the model that would be fitted."""
    with pytest.raises(SystemExit) as end:
        lightning_dc_cli(*flags, "--print_config")
    assert not end.value.code
    model: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]
    return model


@pytest.mark.parametrize(
    ("flags", "phase", "expected"),
    [
        ((*DEEPTYPE, "--model.pretraining.loss_weights.sparsity=0.5"), "pretraining", {"task": 1.0, "sparsity": 0.5}),
        (
            (*DEEPTYPE, "--model.joint.loss_weights.distance", "0"),
            "joint",
            {"task": 1.0, "sparsity": 1.0, "distance": 0.0},
        ),
        (
            (*DEEPTYPE, "--model.pretraining.loss_weights.task=3", "--model.pretraining.loss_weights.sparsity=4"),
            "pretraining",
            {"task": 3.0, "sparsity": 4.0},
        ),
        ((*IDEC, "--model.clustering.loss_weights.kl=1"), "clustering", {"reconstruction": 1.0, "kl": 1.0}),
    ],
)
def test_a_weight_that_is_not_named_keeps_its_default(
    lightning_dc_cli: CommandLine,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    phase: str,
    expected: dict[str, float],
) -> None:
    weights = printed(lightning_dc_cli, capsys, *flags)[phase]["loss_weights"]
    assert weights == expected
    assert list(weights) == list(expected)  # so that the sum is taken in one order


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), {"task": 2.0}),
        (("--model.pretraining.loss_weights.sparsity=0.5",), {"task": 2.0, "sparsity": 0.5}),
        (("--model.pretraining.loss_weights={sparsity: 0.5}",), {"sparsity": 0.5}),
    ],
)
def test_a_file_says_which_terms_there_are_and_a_flag_adds_its_own(
    lightning_dc_cli: CommandLine,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    flags: tuple[str, ...],
    expected: dict[str, float],
) -> None:
    (tmp_path / "own.yaml").write_text(OWN)
    model = printed(lightning_dc_cli, capsys, "fit", "--config=own.yaml", *DEEPTYPE[3:], *flags)
    assert model["pretraining"]["loss_weights"] == expected


def test_a_ramp_of_a_file_keeps_what_a_flag_does_not_name(
    lightning_dc_cli: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    ramp = "--model.pretraining.loss_weights.sparsity.end=0.5"
    weights = printed(lightning_dc_cli, capsys, "fit", "--config=deeptype_synthetic", ramp)["pretraining"][
        "loss_weights"
    ]
    assert weights["task"] == 1.0
    assert weights["sparsity"]["init_args"] == {"start": 0.0, "end": 0.5, "time_constant": 5.0}


@pytest.mark.parametrize("form", [("=null",), ("", "null"), ("=~",)])
def test_null_takes_back_what_a_file_sets(
    lightning_dc_cli: CommandLine, capsys: pytest.CaptureFixture[str], form: tuple[str, ...]
) -> None:
    names = ("pretraining.lr_schedule", "clustering.lr_schedule", "clustering.momentum_schedule")
    flags = [part for name in names for part in (f"--model.{name}{form[0]}", *form[1:])]
    before = printed(lightning_dc_cli, capsys, "fit", "--config=dec_mnist")
    model = printed(lightning_dc_cli, capsys, "fit", "--config=dec_mnist", *flags)
    for phase, field in (("pretraining", "lr_schedule"), ("clustering", "lr_schedule")):
        assert before[phase][field] is not None
        assert model[phase][field] is None
        before[phase][field] = None
    assert model == before  # nothing else has changed


@pytest.mark.parametrize(
    "name", ["pretraining.dropout", "pretraining.bias_lr_factor", "encoder.hidden_dims", "joint.loss_weights.task"]
)
def test_null_for_what_needs_a_value_is_refused_in_one_line(
    lightning_dc_cli: CommandLine, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        lightning_dc_cli("fit", "--config=deeptype_synthetic", f"--model.{name}=null")
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert name.split(".")[1] in error
    assert "Traceback" not in error


def test_null_in_a_file_for_what_needs_a_value_is_refused(
    lightning_dc_cli: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("own.yaml").write_text("model: {init_args: {pretraining: {dropout: null}}}")
    with pytest.raises(SystemExit):
        lightning_dc_cli("fit", "--config=deeptype_synthetic", "--config=own.yaml")
    assert "dropout of a phase is None; give a value" in capsys.readouterr().err


def test_the_weights_of_a_run_that_is_resumed_stay(lightning_dc_cli: CommandLine) -> None:
    quick = (
        "--model.pretraining.max_steps=2",
        "--model.joint.max_steps=2",
        "--model.kmeans.n_init=2",
        "--data.n_samples=200",
    )
    common = ("--data.scaling=standard", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false")
    lightning_dc_cli(*DEEPTYPE, "--model.joint.loss_weights={task: 1.0, distance: 0.3}", *quick, *common)
    checkpoint = "runs/run/version_0/checkpoints/last.ckpt"
    data = ("--data=SyntheticDataModule", "--data.target=class", "--data.n_samples=200")
    lightning_dc_cli("fit", *data, *common, f"--ckpt_path={checkpoint}", "--model.joint.loss_weights.task=2")
    model = yaml.safe_load(Path("runs/run/version_1/config.yaml").read_text())["model"]["init_args"]
    assert model["joint"]["loss_weights"] == {"task": 2.0, "distance": 0.3}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--model.refresh.tolerance=0.5",), (None, None, 0.5, 2)),  # neither is set: every 5 epochs
        (("--model.refresh.every_n_steps=7",), (7, None, 0.001, 2)),
        (("--model.refresh.every_n_epochs=3", "--model.refresh.patience=1"), (None, 3, 0.001, 1)),
    ],
)
def test_a_flag_for_refreshes_keeps_the_other_defaults_of_the_method(
    lightning_dc_cli: CommandLine, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], expected: tuple[Any, ...]
) -> None:
    refresh = printed(lightning_dc_cli, capsys, *DEEPTYPE, *flags)["refresh"]
    assert tuple(refresh[key] for key in ("every_n_steps", "every_n_epochs", "tolerance", "patience")) == expected


def test_a_run_is_named_after_its_last_configuration(
    lightning_dc_cli: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.yaml").write_text("model: {init_args: {n_clusters: 9}}")
    for flags, name in (
        (("--config", "dec_digits"), "dec_digits"),
        (("--config=dec_digits", "--config=mine.yaml"), "mine"),
        (("--config=dec_digits", "--trainer.logger.init_args.name=other"), "other"),
        (IDEC[1:], "run"),
    ):
        with pytest.raises(SystemExit):
            lightning_dc_cli("fit", *flags, "--print_config")
        logger = yaml.safe_load(capsys.readouterr().out)["trainer"]["logger"]
        assert logger["init_args"]["name"] == name
        assert logger["class_path"].endswith("TensorBoardLogger")
