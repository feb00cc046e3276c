"""Options of the Trainer that phases obey, and those that are refused before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch.utils.data import DataLoader

from lightning_dc import DEC
from lightning_dc.errors import InputError
from tests.helpers.methods import SGD, Blobs, dec, trainer


class Rows(pl.Callback):
    """Keeps the samples of each batch."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, ...]] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.rows.append(tuple(batch[2].tolist()))


@pytest.mark.parametrize("n_batches", [1, 2, 0.5])
@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_overfit_batches_repeats_the_same_batches_in_each_epoch(tmp_path: Path, n_batches: float) -> None:
    seen = []
    for run in "ab":
        rows, model = Rows(), dec()
        trainer(tmp_path / run, rows, overfit_batches=n_batches).fit(model, Blobs())
        n = int(n_batches * 4) if n_batches < 1 else int(n_batches)
        assert len(rows.rows) == 6 * n
        assert rows.rows == 6 * rows.rows[:n]
        assert model.phases_over
        seen.append(rows.rows)
    assert seen[0] == seen[1]


@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_overfit_batches_repeats_those_of_a_plain_loader(tmp_path: Path) -> None:
    samples = Blobs().train_dataloader().read(0, 150)
    loader = DataLoader([(samples.x[i], samples.y[i], i) for i in range(150)], batch_size=40, shuffle=True)  # type: ignore[arg-type,index]
    rows = Rows()
    trainer(tmp_path, rows, overfit_batches=2).fit(dec(), loader)
    assert len(set(rows.rows)) == 2


def test_limit_train_batches_shortens_epochs_and_so_phases(tmp_path: Path) -> None:
    rows, model = Rows(), dec()
    trainer(tmp_path, rows, limit_train_batches=2).fit(model, Blobs())
    assert model.phases_over
    assert len(rows.rows) == len(set(rows.rows)) == 6 * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_epochs": 1}, "min_epochs=1 .* max_epochs or max_steps of the phases"),
        ({"min_epochs": 30}, "min_epochs=30 "),
        ({"min_steps": 200}, "min_steps=200 "),
        ({"reload_dataloaders_every_n_epochs": 2}, "reload_dataloaders_every_n_epochs=2 .* leave it out"),
        ({"callbacks": [GradientAccumulationScheduler({0: 1, 2: 3})]}, "GradientAccumulationScheduler .* one number"),
        ({"callbacks": [GradientAccumulationScheduler({0: 4})]}, "GradientAccumulationScheduler "),
    ],
)
def test_options_that_contradict_phases_are_refused_before_training(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    model = dec()
    with pytest.raises(InputError, match=message):
        trainer(tmp_path, **options).fit(model, Blobs())
    assert model.global_step == 0


class WithScheduler(DEC):
    def configure_optimizers(self) -> Any:
        optimizer = super().configure_optimizers()
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)]  # type: ignore[arg-type]


class WithPlateau(DEC):
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": "train/loss"}}


class WithOptimizer(DEC):
    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters())


@pytest.mark.parametrize("method", [WithScheduler, WithPlateau, WithOptimizer])
def test_optimizers_and_schedulers_of_a_subclass_are_refused(tmp_path: Path, method: type[DEC]) -> None:
    model = method((6,), 3)
    with pytest.raises(InputError, match=f"{method.__name__} is not used.*optimizer and lr_schedule of the phases"):
        trainer(tmp_path).fit(model, Blobs())


def test_a_configure_optimizers_that_is_set_on_the_object_is_refused(tmp_path: Path) -> None:
    model = dec()
    model.configure_optimizers = lambda: SGD(model.parameters())  # type: ignore[method-assign]
    with pytest.raises(InputError, match="DEC is not used"):
        trainer(tmp_path).fit(model, Blobs())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_epochs": 1}, "'pretraining' at the latest, before there are clusters, because of max_epochs=1 "),
        ({"max_steps": 5}, "'pretraining' .* because of max_steps=5 "),
        ({"max_steps": 5, "max_epochs": 1}, "because of max_epochs=1 "),
        ({"max_epochs": 3}, "'clustering' at the latest because of max_epochs=3 "),
    ],
)
def test_a_trainer_that_ends_before_the_phases_says_so_at_the_start(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    model = dec()
    with pytest.warns(UserWarning, match=message):
        trainer(tmp_path, **options).fit(model, Blobs())
    assert not model.phases_over


@pytest.mark.filterwarnings("error:Training will end")
@pytest.mark.parametrize("options", [{"max_epochs": 6}, {"max_steps": 24}, {"max_epochs": 10}, {"fast_dev_run": True}])
def test_a_trainer_that_leaves_the_end_to_the_phases_does_not_warn(tmp_path: Path, options: dict[str, Any]) -> None:
    trainer(tmp_path, **options).fit(dec(), Blobs())
