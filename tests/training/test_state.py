"""The state of a run, as a checkpoint keeps it."""

from __future__ import annotations

from pathlib import Path

import torch

from lightning_dc.training import Assignments, RunState, TargetDistribution
from lightning_dc.training.loss_window import LossWindow
from tests.helpers.methods import Blobs, dec, trainer


def test_it_makes_the_round_trip_through_a_file(tmp_path: Path) -> None:
    state = RunState(
        seed=5,
        phase_index=1,
        phase_start_step=40,
        seconds={"pretraining": 1.5},
        target_distribution=TargetDistribution(torch.rand(3), torch.rand(4, 3)),
        assignments=Assignments(44, torch.tensor([0, 2, 1, 0]), 0.25),
        loss_window=LossWindow(torch.tensor(1.5, dtype=torch.float64), 3, 0.7, 1),
    )
    for one in (state, RunState(seed=1)):
        torch.save(one.to_dict(), tmp_path / "state.pt")
        again = RunState.from_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        torch.testing.assert_close(again.to_dict(), one.to_dict(), rtol=0, atol=0)
    assert again.assignments is None


def test_a_checkpoint_keeps_it_once(tmp_path: Path) -> None:
    model, run = dec(), trainer(tmp_path)
    run.fit(model, Blobs())
    run.save_checkpoint(tmp_path / "model.ckpt")
    checkpoint = torch.load(tmp_path / "model.ckpt", weights_only=True)
    state = RunState.from_dict(checkpoint["lightning_dc"]["state"])
    assert state.phase_index == 2
    assert list(state.seconds) == ["pretraining", "clustering"]
    assert state.assignments is not None
    assert model.state.assignments is not None
    assert torch.equal(state.assignments.labels, model.state.assignments.labels)
    held = [value for own in checkpoint["callbacks"].values() for value in own.values()]
    assert not [value for value in held if isinstance(value, (dict, torch.Tensor))]  # no callback has a copy


def test_a_fresh_fit_begins_with_a_fresh_state(tmp_path: Path) -> None:
    model = dec()
    trainer(tmp_path).fit(model, Blobs())
    trainer(tmp_path, max_steps=2).fit(model, Blobs())
    assert model.state.assignments is None
    assert model.state.target_distribution is None
    assert list(model.state.seconds) == ["pretraining"]
