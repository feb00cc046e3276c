"""Metrics of validation and losses that EarlyStopping and ModelCheckpoint monitor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from datamodules import SyntheticDataModule
from lightning_dc import DeepType, KMeansConfig, PhaseConfig
from lightning_dc.batch import TargetSpec
from lightning_dc.errors import InputError
from lightning_dc.metrics import TaskScores
from lightning_dc.training.evaluation import Evaluation
from tests.helpers.methods import Blobs, Memory, dcn, dec, idec, logged, trainer


class Metrics(Callback):
    """Keeps the phase and the names of the metrics at the end of each validation."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, set[str]]] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        names = {name for name in trainer.callback_metrics if name.startswith("val/")}
        self.seen.append((trainer.current_epoch, names))


def fit(tmp_path: Path, *callbacks: Callback, model: Any = None, data: Any = None, **options: Any) -> list[str]:
    """Fit, and return the names of the checkpoints."""
    saves = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
    run = trainer(tmp_path, *callbacks, enable_checkpointing=saves, **options)
    run.fit(dec() if model is None else model, Blobs(val_fraction=0.2) if data is None else data)
    return sorted(path.name for path in tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize("method", [dec, idec, dcn])
def test_metrics_of_clusters_are_logged_once_there_are_clusters(tmp_path: Path, method: Any) -> None:
    metrics, logger = Metrics(), Memory()
    fit(tmp_path, metrics, model=method(), logger=logger)
    assert all(not names for epoch, names in metrics.seen if epoch < 2)  # of pretraining
    assert all({"val/entropy", "val/acc"} <= names for epoch, names in metrics.seen if epoch >= 2)
    assert len(logged(logger, "val/acc")) == sum(epoch >= 2 for epoch, _ in metrics.seen)


def test_scores_of_a_task_are_logged_in_every_phase(tmp_path: Path) -> None:
    data = SyntheticDataModule(n_samples=300, target="class", val_fraction=0.3)
    phase = PhaseConfig(max_epochs=1, loss_weights={"task": 1.0})
    model = DeepType((20,), data.target_spec, 4, pretraining=phase, joint=phase, kmeans=KMeansConfig(2))
    metrics = Metrics()
    fit(tmp_path, metrics, model=model, data=data)
    assert metrics.seen[0][1] == {"val/task", "val/task_accuracy"}
    assert "val/entropy" in metrics.seen[-1][1]


def test_a_model_that_is_trained_no_further_has_its_metrics(tmp_path: Path) -> None:
    model, run = dec(), trainer(tmp_path)
    run.fit(model, Blobs())
    assert "val/acc" in run.validate(model, Blobs(), verbose=False)[0]
    assert "test/acc" in run.test(model, Blobs(), verbose=False)[0]
    untrained = dec()
    assert trainer(tmp_path).validate(untrained, Blobs(), verbose=False) == [{}]


@pytest.mark.parametrize("kind", ["class", "value"])
def test_names_are_those_of_the_metrics(kind: Any) -> None:
    evaluation = Evaluation(2, TaskScores(TargetSpec(kind, ("a", "b"))))
    evaluation.assignment_statistics.update(torch.eye(2))
    assert evaluation.assignment_statistics.compute().keys() == set(evaluation.assignment_statistics.names)
    assert [*evaluation.names(labelled=False)][-1] == ("task_accuracy" if kind == "class" else "task")
    assert {"acc", "nmi", "ari"} == set(evaluation.names(labelled=True)) - set(evaluation.names(labelled=False))


@pytest.mark.parametrize("monitor", ["val/acc", "val/entropy", "loss/clustering"])
@pytest.mark.parametrize(
    ("save", "options"),
    [
        ({}, {}),
        ({"every_n_train_steps": 2}, {"val_check_interval": 2}),
        ({"save_on_train_epoch_end": True}, {"check_val_every_n_epoch": 2}),
    ],
)
def test_monitors_wait_for_the_phase_of_their_metric(
    tmp_path: Path, monitor: str, save: dict[str, Any], options: dict[str, Any]
) -> None:
    """Without pretraining being ended, and with a checkpoint of the clustering phase."""
    model, saved = dec(), ModelCheckpoint(monitor=monitor, filename="{step}", save_top_k=2, **save)
    files = fit(tmp_path, saved, EarlyStopping(monitor, patience=100), model=model, **options)
    assert model.phases_over
    assert len(files) == 2
    assert all(int(name[5:-5]) > 6 for name in files)  # pretraining has 6 steps
    assert saved.save_top_k == 2


def test_early_stopping_ends_the_phase_of_its_metric_and_no_earlier_one(tmp_path: Path) -> None:
    for monitor in ("val/acc", "loss/clustering"):
        model = dec()
        fit(tmp_path, EarlyStopping(monitor, patience=1, min_delta=1e6), model=model)
        assert model.phase.name == "clustering"
        assert model.global_step == 4 * 3  # two epochs of pretraining, and two of clustering


def test_each_epoch_has_a_loss_of_its_own_whatever_the_interval_of_logs(tmp_path: Path) -> None:
    class Losses(Callback):
        def __init__(self) -> None:
            self.values: list[dict[str, float]] = []

        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            self.values.append({name: float(value) for name, value in trainer.callback_metrics.items()})

    fit(tmp_path, losses := Losses(), log_every_n_steps=1000)
    assert len({values["train/loss"] for values in losses.values}) == 6
    assert [set(values) & {"loss/pretraining", "loss/clustering"} for values in losses.values[:2]] == [
        {"loss/pretraining"}
    ] * 2
    assert all(values["train/loss"] == values["loss/clustering"] for values in losses.values[2:])


def test_the_loss_of_each_phase_is_logged_under_its_name(tmp_path: Path) -> None:
    logger = Memory()
    fit(tmp_path, logger=logger, log_every_n_steps=3)
    both = logged(logger, "loss/pretraining") + logged(logger, "loss/clustering")
    assert both == logged(logger, "train/loss")
    assert len(logged(logger, "loss/pretraining")) == 2


@pytest.mark.parametrize("callback", [EarlyStopping, ModelCheckpoint])
@pytest.mark.parametrize("monitor", ["val_loss", "val/accuracy", "train/acc", "loss/pretrain", "val/task"])
def test_metrics_that_never_come_are_refused_before_training(tmp_path: Path, callback: Any, monitor: str) -> None:
    model = dec()
    with pytest.raises(InputError, match=rf"{callback.__name__} monitors '{monitor}'.*choose from train/loss, "):
        fit(tmp_path, callback(monitor=monitor), model=model)
    assert model.global_step == 0


class OwnBlobs(Blobs):
    """DataModule of the user's own."""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (Blobs(), "without held-out samples"),
        (Blobs("none", val_fraction=0.2), "without labels"),
        (OwnBlobs(), "without held-out samples"),
    ],
)
def test_metrics_that_the_data_cannot_have_are_refused(tmp_path: Path, data: Blobs, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        fit(tmp_path, ModelCheckpoint(monitor="val/acc"), data=data)


class Own(Callback):
    """Callback of the user's own, which may log anything; it logs in the last epochs."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch > 3:
            pl_module.log("mine", float(trainer.current_epoch))


def test_metrics_of_own_code_are_waited_for(tmp_path: Path) -> None:
    assert fit(tmp_path, Own(), ModelCheckpoint(monitor="mine", filename="{epoch}")) == ["epoch=4.ckpt"]


@pytest.mark.parametrize("monitor", ["never", "val/acc"])
def test_a_metric_that_has_not_come_leaves_the_last_checkpoint_and_a_warning(tmp_path: Path, monitor: str) -> None:
    """Labels may all be unknown, which shows only in validation."""
    model = dec()
    with pytest.warns(UserWarning, match=rf"ModelCheckpoint monitors '{monitor}'.*last.ckpt"):
        files = fit(
            tmp_path,
            Own(),
            ModelCheckpoint(monitor=monitor),
            model=model,
            data=Blobs("unknown", val_fraction=0.2),
        )
    assert files == ["last.ckpt"]


def test_a_run_that_ends_in_pretraining_keeps_its_last_state(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="ModelCheckpoint monitors 'val/acc'"):
        assert fit(tmp_path, ModelCheckpoint(monitor="val/acc"), max_epochs=1) == ["last.ckpt"]


def test_the_loss_of_an_earlier_phase_saves_but_does_not_stop(tmp_path: Path) -> None:
    assert fit(tmp_path / "a", ModelCheckpoint(monitor="loss/pretraining", filename="{epoch}")) == ["epoch=1.ckpt"]
    with pytest.raises(InputError, match=r"would end the whole run in phase 'pretraining'.*loss/clustering"):
        fit(tmp_path, EarlyStopping("loss/pretraining"))


def test_a_loss_of_all_phases_is_monitored_with_a_warning(tmp_path: Path) -> None:
    model = dec()
    with pytest.warns(UserWarning, match="'train/loss', which is another loss in each phase; monitor 'loss/clust"):
        fit(tmp_path, EarlyStopping("train/loss", patience=100), model=model, log_every_n_steps=1000)
    assert model.phases_over


@pytest.mark.parametrize("monitor", ["epoch", "step", None])
def test_checkpoints_that_monitor_no_metric_are_as_before(tmp_path: Path, monitor: str | None) -> None:
    saved = ModelCheckpoint(monitor=monitor, mode="max", filename="{step}")
    assert fit(tmp_path, saved) == ["step=18.ckpt"]


class FailsOnce(Callback):
    """Ends the first fit in pretraining by an error of its own."""

    has_failed = False

    def on_train_batch_end(self, *args: Any) -> None:
        if not self.has_failed:
            self.has_failed = True
            raise OSError("disk full")


def test_callbacks_are_as_before_when_a_fit_has_failed(tmp_path: Path) -> None:
    checkpoint, stop, fails = ModelCheckpoint(tmp_path, monitor="val/acc"), EarlyStopping("val/acc"), FailsOnce()
    checkpoint.save_top_k = 2
    with pytest.raises(OSError, match="disk full"):
        fit(tmp_path, checkpoint, stop, fails)
    assert checkpoint.save_top_k == 2
    assert stop.strict
    assert fit(tmp_path, checkpoint, stop, fails)
    assert checkpoint.save_top_k == 2
    assert stop.strict


def test_the_last_state_is_saved_while_a_metric_is_waited_for(tmp_path: Path) -> None:
    """The user has asked for it, and a kill in a long pretraining must not lose everything."""
    checkpoint = ModelCheckpoint(tmp_path, monitor="val/acc", save_last=True)
    with pytest.warns(UserWarning, match="has never logged"):
        names = fit(tmp_path, checkpoint, max_steps=4)  # of 6 steps of pretraining
    assert names == ["last.ckpt"]
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert 0 < state["global_step"] <= 4
