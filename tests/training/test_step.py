"""Quantities of a training step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_dc import Batch, ClusteringModel, InputError, LossTerm, MLPAutoencoder, Phase, PhaseConfig, StudentTHead
from lightning_dc.augmentation import Augmentation
from lightning_dc.losses import InputSparsity, KLTarget, KMeansLoss, Reconstruction, TaskLoss
from lightning_dc.randomness import StepRandom
from lightning_dc.training import RunState, TargetDistribution, TrainingStep
from lightning_dc.training.step import LayerStep

X = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))


class Counting(MLPAutoencoder):
    """Counts how often it encodes and decodes."""

    def __init__(self) -> None:
        super().__init__((6,), [8], 2)
        self.calls: list[str] = []

    def encode(self, *args: Any) -> Tensor:
        self.calls.append("encode")
        return super().encode(*args)

    def decode(self, *args: Any) -> Tensor:
        self.calls.append("decode")
        return super().decode(*args)


def step_of(network: MLPAutoencoder, *, kind: type[TrainingStep] = TrainingStep, **kwargs: Any) -> TrainingStep:
    settings: dict[str, Any] = {"config": PhaseConfig(), "trainable": ("encoder", "decoder", "head"), **kwargs}
    state, augmentation = settings.pop("state", RunState(0)), settings.pop("augmentation", None)
    phase, random = Phase("a phase", **settings), StepRandom(0, 0, len(X), X.device)
    model = ClusteringModel(network, StudentTHead(3, 2))
    return kind(model, Batch(X, None, torch.arange(7)), phase, state, random, augmentation)


def test_a_quantity_that_nobody_reads_is_never_computed() -> None:
    network = Counting()
    step = step_of(network)
    network.calls.clear()  # of the trial when the model was made
    assert step.read(["q", "z"]).keys() == {"q", "z"}
    assert network.calls == ["encode"]
    first = step.read(["x", "x_hat"])["x_hat"]
    assert network.calls == ["encode", "decode"]
    assert step.read(["x_hat"])["x_hat"] is first


@pytest.mark.parametrize("order", [1, -1])
def test_noise_does_not_depend_on_the_order_in_which_losses_ask(order: int) -> None:
    network = MLPAutoencoder((6,), [8], 2)
    noisy = PhaseConfig(input_dropout=0.3, dropout=0.3)
    names = ["z", "x_hat", "q"]
    expected = step_of(network, config=noisy).read(names)
    found = step_of(network, config=noisy).read(names[::order])
    assert all(torch.equal(found[name], expected[name]) for name in names)
    assert not torch.equal(expected["z"], step_of(network).read(["z"])["z"])


def test_a_view_is_augmented_where_the_phase_augments() -> None:
    class Shift(Augmentation):
        def __call__(self, x: Tensor, random: StepRandom) -> Tensor:
            return x + random.normal("shift", *x.shape[1:])

        def check(self, input_shape: tuple[int, ...]) -> None:
            """Any shape will do."""

    network = MLPAutoencoder((6,), [8], 2)
    step = step_of(network, augmentation=Shift())
    noise = StepRandom(0, 0, 7, X.device).scope("view").normal("shift", 6)
    assert torch.equal(step.read(["x"])["x"], X + noise)
    torch.testing.assert_close(step.read(["z"])["z"], network.encode(X + noise))
    plain = step_of(network, augmentation=Shift(), config=PhaseConfig(augment=False))
    assert torch.equal(plain.read(["x"])["x"], X)


@pytest.mark.parametrize("part", ["encoder", "head"])
def test_parts_that_do_not_train_get_no_gradient(part: str) -> None:
    step = step_of(MLPAutoencoder((6,), [8], 2), trainable=(part,))
    quantities = step.read(["z", "centroids"])
    assert quantities["z"].requires_grad is (part == "encoder")
    assert quantities["centroids"].requires_grad is (part == "head")


def test_p_is_that_of_the_state() -> None:
    table = torch.rand(7, 3, generator=torch.Generator().manual_seed(0))
    state = RunState(0, target_distribution=TargetDistribution(table.sum(0), table))
    assert torch.equal(step_of(MLPAutoencoder((6,), [8], 2), state=state).read(["p"])["p"], table)
    with pytest.raises(InputError, match="phase 'a phase' needs a target distribution"):
        step_of(MLPAutoencoder((6,), [8], 2)).read(["p"])


def test_a_layer_is_reconstructed_by_itself() -> None:
    network = MLPAutoencoder((6,), [8], 2)
    step = step_of(network, kind=LayerStep, layer=1)
    hidden = torch.relu(network.encoder.linear_1(X))
    mirrored = network.decoder.linear_1(network.encoder.linear_2(hidden))
    found = step.read(["x", "x_hat"])
    torch.testing.assert_close(found["x"], hidden)
    torch.testing.assert_close(found["x_hat"], torch.relu(mirrored))


def test_losses_name_what_they_read() -> None:
    known = TrainingStep.quantities()
    for term, expected in (
        (KLTarget, ("p", "q")),
        (KMeansLoss, ("z", "centroids")),
        (Reconstruction, ("x", "x_hat")),
        (TaskLoss, ("output", "targets")),
        (InputSparsity, ("input_weight",)),
    ):
        assert term.quantities == expected
        assert set(expected) <= known.keys()
    assert all(quantity.__doc__ for quantity in known.values())
    assert known.keys() == LayerStep.quantities().keys()


def test_a_loss_is_a_plain_module_that_tensors_are_given_to() -> None:
    class Weighted(LossTerm):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(2.0))

        def forward(self, z: Tensor, power: int = 2) -> Tensor:
            return self.weight * z.pow(power).sum(1)

    assert Weighted.quantities == ("z",)
    assert float(Weighted()(torch.ones(1, 3)).detach()) == 6.0
