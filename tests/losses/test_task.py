"""Tests of the task loss: means over the known targets of the global batch, on one process and on two."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_dc import InputError
from lightning_dc.batch import TargetKind
from lightning_dc.functional import cox_loss
from lightning_dc.losses import TaskLoss
from tests.helpers.processes import run_on_two_processes

NAN = float("nan")
KINDS = get_args(TargetKind)
N_OUTPUTS = {"class": 3, "multilabel": 2, "value": 2, "survival": 1}
N_SAMPLES = 11  # odd: the second process has one row fewer


def batch_of(kind: TargetKind, n_samples: int = N_SAMPLES) -> tuple[Tensor, Tensor]:
    """Draw inputs and targets, a third of them missing, with tied times."""
    random = torch.Generator().manual_seed(5)
    x = torch.randn(n_samples, 4, generator=random, dtype=torch.float64)
    missing = torch.arange(n_samples) % 3 == 1
    if kind == "class":
        targets = torch.randint(0, 3, (n_samples,), generator=random)
        targets[missing] = -1
        return x, targets
    targets = torch.rand(n_samples, 2, generator=random, dtype=torch.float64)
    if kind == "multilabel":
        targets = targets.round()
    if kind == "survival":
        targets = torch.stack([(3 * targets[:, 0]).ceil(), (targets[:, 1] > 0.3).double()], 1)
    targets[missing] = NAN
    if kind in ("multilabel", "value"):
        targets[0, 1] = NAN
    return x, targets


def network(kind: TargetKind) -> nn.Linear:
    layer = nn.Linear(4, N_OUTPUTS[kind]).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape))
    return layer


def mean_of_known(kind: TargetKind, output: Tensor, targets: Tensor) -> Tensor:
    """Compute the loss of the rows with a target by torch."""
    if kind == "class":
        return functional.cross_entropy(output, targets, ignore_index=-1)
    known = ~targets.isnan()
    if kind == "survival":
        rows = known.all(1)
        time, event = targets[rows].unbind(1)
        return cox_loss(output[rows, 0], time, event).sum() / event.sum()
    loss = functional.mse_loss if kind == "value" else functional.binary_cross_entropy_with_logits
    return torch.stack([loss(o[k], t[k]) for o, t, k in zip(output, targets, known, strict=True) if k.any()]).mean()


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_over_the_batch_is_the_mean_over_the_known_targets(kind: TargetKind) -> None:
    x, targets = batch_of(kind)
    output = network(kind)(x)
    losses = TaskLoss(kind)(output, targets)
    assert losses.shape == (N_SAMPLES,)
    torch.testing.assert_close(losses.mean(), mean_of_known(kind, output, targets), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_a_target_has_no_loss_and_no_gradient(kind: TargetKind) -> None:
    x, targets = batch_of(kind)
    layer = network(kind)
    losses = TaskLoss(kind)(layer(x), torch.full_like(targets, -1 if kind == "class" else NAN))
    losses.sum().backward()
    assert losses.tolist() == [0.0] * N_SAMPLES
    assert all(not parameter.grad.any() for parameter in layer.parameters())


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_ties_are_treated_as_asked(ties: Any) -> None:
    x, targets = batch_of("survival")
    output = network("survival")(x)
    losses = TaskLoss("survival", ties)(output, targets)
    known = targets[~targets.isnan().any(1)]
    expected = cox_loss(output[~targets.isnan().any(1), 0], known[:, 0], known[:, 1], ties)
    torch.testing.assert_close(losses.mean(), expected.sum() / known[:, 1].sum())


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_float32_at_least(kind: TargetKind) -> None:
    x, targets = batch_of(kind)
    targets = targets if kind == "class" else targets.float()
    output = network(kind)(x)
    losses = TaskLoss(kind)(output.to(torch.bfloat16), targets)
    assert losses.dtype == torch.float32
    torch.testing.assert_close(
        losses.mean().double(), mean_of_known(kind, output, batch_of(kind)[1]), rtol=0.02, atol=0
    )


@pytest.mark.parametrize(
    ("arguments", "message"), [(("labels",), "kind='labels'"), (("value", "exact"), "ties='exact'")]
)
def test_unknown_arguments_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"{message} of the task loss is unknown; choose from"):
        TaskLoss(*arguments)


def losses_and_gradients(rank: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Compute a training step of rank 0 or 1 of two: loss = sum x W / n, and DDP's mean of the gradients."""
    results = {}
    for kind, n_samples in ((kind, n) for kind in KINDS for n in (N_SAMPLES, 1)):
        x, targets = batch_of(kind, n_samples)
        layer = network(kind)
        losses = TaskLoss(kind)(layer(x[rank::2]), targets[rank::2])
        loss = losses.sum() * (2 / n_samples)
        loss.backward()
        results[f"{kind} {n_samples}"] = loss.detach(), layer.weight.grad
    return results


@pytest.mark.distributed
def test_loss_and_gradient_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    first, second = run_on_two_processes(losses_and_gradients, tmp_path)
    for key in first:
        kind, n_samples = key.split()
        x, targets = batch_of(kind, int(n_samples))
        layer = network(kind)
        loss = TaskLoss(kind)(layer(x), targets).mean()
        loss.backward()
        assert loss.item() > 0 or n_samples == "1"
        torch.testing.assert_close((first[key][0] + second[key][0]) / 2, loss.detach(), rtol=1e-13, atol=1e-13)
        gradient = (first[key][1] + second[key][1]) / 2
        torch.testing.assert_close(gradient, layer.weight.grad, rtol=1e-12, atol=1e-13)
