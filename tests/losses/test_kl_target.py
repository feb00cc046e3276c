"""Tests of the clustering loss of DEC against torch's KL divergence."""

from __future__ import annotations

import torch
from torch.nn import functional

from lightning_dc.losses import KLTarget


def test_loss_of_each_sample_and_its_gradient_are_torchs() -> None:
    generator = torch.Generator().manual_seed(0)
    p, logits = torch.rand(2, 6, 4, dtype=torch.float64, generator=generator)
    p = p / p.sum(1, keepdim=True)
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = KLTarget()(p=p, q=ours.softmax(1))
    expected = functional.kl_div(theirs.log_softmax(1), p, reduction="none").sum(1)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-14)
    loss.mean().backward()
    functional.kl_div(theirs.log_softmax(1), p, reduction="batchmean").backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-10, atol=1e-14)
