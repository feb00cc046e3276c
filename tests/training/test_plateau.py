"""The end of a phase whose loss has settled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from lightning_dc import DEC, InputError, PhaseConfig, Plateau
from lightning_dc.schedules import Exponential, Linear, OneCycle, StepDecay
from lightning_dc.training import RunState
from lightning_dc.training.loss_window import LossWindow
from tests.helpers.methods import RECONSTRUCTION, SGD, Blobs, dec, trainer, weights

RULE = Plateau(window=5, tolerance=0.05, patience=2)
UNTIL_SETTLED = PhaseConfig(max_steps=400, plateau=RULE, loss_weights=RECONSTRUCTION, optimizer=SGD)


def plain_end(losses: list[float], rule: Plateau) -> int | None:
    """Return the number of steps after which a phase ends, from all its losses at once; None if it does not end."""
    n_windows = len(losses) // rule.window
    means = np.reshape(losses[: n_windows * rule.window], (n_windows, rule.window)).mean(1)
    marks = [0]  # windows that were improvements
    for k in range(1, n_windows):
        best = means[marks[-1]]
        if (best - means[k]) / abs(best) > rule.tolerance:
            marks.append(k)
        elif k - marks[-1] == rule.patience:
            return (k + 1) * rule.window
    return None


@pytest.mark.parametrize("rule", [RULE, Plateau(1, 0.0, 3), Plateau(7, 0.02, 1), Plateau(3, 0.3, 4)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_it_settles_where_a_plain_loop_says(rule: Plateau, sign: float) -> None:
    ends = set()
    for seed in range(20):
        random = np.random.default_rng(seed)
        falling = 0.02 + np.exp(-np.arange(300) / random.uniform(2, 60))
        losses = [*(sign * falling if sign > 0 else falling - 2) + random.normal(scale=0.003, size=300)]
        window, end = LossWindow(), None
        for step, loss in enumerate(losses, start=1):
            window = window.add(torch.tensor(loss, dtype=torch.float64))
            if window.n_steps == rule.window:
                window = window.end(rule)
                if window.n_calm == rule.patience:
                    end = step
                    break
        assert end == plain_end(losses, rule)
        ends.add(end)
    assert len(ends) > 2


class EveryStep(pl.Callback):
    """Callback that keeps losses and phases, and saves a checkpoint before the callbacks of the method act."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.losses: list[float] = []
        self.phases: list[str] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, DEC)
        self.losses.append(float(outputs["loss"]) * trainer.accumulate_grad_batches)
        self.phases.append(pl_module.phase.name)
        trainer.save_checkpoint(self.folder / f"{len(self.losses)}.ckpt")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_fit_ends_the_phase_at_that_step_killed_or_not(
    tmp_path: Path, accumulate: int, caplog: pytest.LogCaptureFixture
) -> None:
    """An epoch has four batches and a window five steps, so windows begin anywhere in an epoch."""
    phases = {"pretraining": UNTIL_SETTLED, "clustering": PhaseConfig(max_steps=2, loss_weights={"kl": 1.0})}
    every, whole, options = EveryStep(tmp_path), dec(**phases), {"accumulate_grad_batches": accumulate}
    caplog.set_level("INFO", "lightning.pytorch.utilities.rank_zero")
    run = trainer(tmp_path, every, **options)
    run.fit(whole, Blobs())
    n_steps = every.phases.count("pretraining") // accumulate
    losses = np.reshape(every.losses[: every.phases.count("pretraining")], (n_steps, accumulate)).mean(1)
    assert n_steps == plain_end([*losses], RULE)
    assert 3 * RULE.window < n_steps < 400
    assert f"Phase 'pretraining' has settled after {n_steps} steps" in caplog.text
    end = n_steps * accumulate
    for batch in (3, 4, 5, 6, 10, 11, 14, end - 2 * accumulate, end - 1, end, end + accumulate):
        resumed = dec(**phases)
        again = trainer(tmp_path, **options)
        again.fit(resumed, Blobs(), ckpt_path=tmp_path / f"{batch}.ckpt", weights_only=True)
        assert again.global_step == run.global_step
        assert torch.equal(weights(resumed), weights(whole)), batch


def test_a_checkpoint_of_a_version_without_windows_goes_on(tmp_path: Path) -> None:
    run = trainer(tmp_path, max_steps=7)
    run.fit(dec(pretraining=UNTIL_SETTLED), Blobs())
    run.save_checkpoint(tmp_path / "new.ckpt")
    checkpoint = torch.load(tmp_path / "new.ckpt", weights_only=True)
    assert checkpoint["lightning_dc"]["state"].pop("loss_window")["n_steps"] == 2
    torch.save(checkpoint, tmp_path / "old.ckpt")
    model = dec(pretraining=UNTIL_SETTLED)
    trainer(tmp_path).fit(model, Blobs(), ckpt_path=tmp_path / "old.ckpt", weights_only=True)
    assert model.phases_over


def test_a_phase_begins_without_the_windows_of_the_one_before() -> None:
    state = RunState(0, loss_window=LossWindow(torch.ones(()), 3, 0.5, 1))
    state.begin_next_phase(40)
    assert (state.phase_index, state.phase_start_step) == (1, 40)
    assert state.loss_window == LossWindow()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 0}, "window=0 of a plateau is a number of steps"),
        ({"window": 2.5}, r"window=2\.5 of a plateau"),
        ({"patience": 0}, "patience=0 of a plateau is a number of windows"),
        ({"tolerance": 1.0}, r"tolerance=1\.0 of a plateau is a share"),
        ({"tolerance": -0.1}, r"tolerance=-0\.1 of a plateau is a share"),
        ({"tolerance": float("nan")}, "tolerance=nan of a plateau is a share"),
    ],
)
def test_bad_values(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Plateau(**arguments)


def test_a_phase_needs_a_largest_length() -> None:
    with pytest.raises(InputError, match=r"plateau of a phase may never end it.*set max_steps"):
        PhaseConfig(plateau=RULE)
    assert PhaseConfig(plateau=RULE, max_steps=0).max_steps == 0  # leaves the phase out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"lr_schedule": OneCycle()}, "lr_schedule is a OneCycle"),
        ({"momentum_schedule": Linear(0.0, 0.9)}, "momentum_schedule is a Linear"),
        ({"loss_weights": {"kl": 1.0, "reconstruction": Linear()}}, r"loss_weights\.reconstruction is a Linear"),
    ],
)
def test_schedules_that_stretch_over_the_phase_are_refused(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=f"{named}, which stretches over the length.*set plateau to None"):
        PhaseConfig(max_steps=50, plateau=RULE, **arguments)


def test_schedules_that_count_steps_are_not() -> None:
    weights = {"sparsity": Exponential(0.0, 1.0, time_constant=9)}
    for schedule in (StepDecay(20, 0.1), Linear(0.0, 1.0, n_steps=7)):
        PhaseConfig(max_steps=50, plateau=RULE, lr_schedule=schedule, loss_weights=weights)
