"""Losses of several heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def mean_over_heads(loss: Callable[..., Tensor], *tables: Sequence[Tensor]) -> Tensor:
    """Return the mean of a loss over the heads.

    Args:
        loss: function of one table of each kind, which returns (B,) or ().
        tables: tables of each kind, one for each head.
    """
    return torch.stack([loss(*of_head) for of_head in zip(*tables, strict=True)]).mean(0)
