"""Tests of the reconstruction error against torch's mean squared error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from lightning_dc.errors import InputError
from lightning_dc.losses import Reconstruction


@pytest.mark.parametrize("shape", [(6, 5), (6, 1, 3, 4)])
def test_mean_over_a_batch_is_torchs(shape: tuple[int, ...]) -> None:
    x, x_hat = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    loss = Reconstruction()(x=x, x_hat=x_hat)
    assert loss.shape == (6,)
    torch.testing.assert_close(loss.mean(), functional.mse_loss(x_hat, x))
    torch.testing.assert_close(loss[2], functional.mse_loss(x_hat[2], x[2]))


@pytest.mark.parametrize(
    ("dtype", "expected"), [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64,) * 2]
)
def test_errors_are_summed_in_float32_at_least(dtype: torch.dtype, expected: torch.dtype) -> None:
    x, x_hat = torch.rand(2, 3, 1000, generator=torch.Generator().manual_seed(0)).to(dtype)
    loss = Reconstruction()(x=x, x_hat=x_hat.to(torch.bfloat16))
    assert loss.dtype == expected
    exact = functional.mse_loss(x_hat.to(torch.bfloat16).double(), x.double(), reduction="none").mean(1)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("shape", [(6, 5), (6, 1, 3, 4)])
def test_sum_is_over_the_features_of_a_sample(shape: tuple[int, ...]) -> None:
    x, x_hat = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loss = Reconstruction(reduction="sum")(x=x, x_hat=x_hat)
    expected = ((x.numpy() - x_hat.numpy()) ** 2).reshape(6, -1).sum(1)
    np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_process_without_a_sample_of_the_last_batch_has_no_loss(reduction: Any) -> None:
    """The last batch of an epoch may hold fewer samples than there are processes."""
    nothing = torch.zeros(0, 3, 4, requires_grad=True)
    loss = Reconstruction(reduction)(x=torch.zeros(0, 3, 4), x_hat=nothing)
    assert loss.shape == (0,)
    loss.sum().backward()


def test_another_reduction_is_refused() -> None:
    wrong: Any = "none"
    with pytest.raises(InputError, match="reduction='none' of the reconstruction error is unknown; choose from mean, "):
        Reconstruction(reduction=wrong)
