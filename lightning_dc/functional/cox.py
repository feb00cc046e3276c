"""Partial likelihood of the proportional hazards model of Cox."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Ties = Literal["efron", "breslow"]
"""Method by which events at the same time are treated."""


def cox_loss(log_risk: Tensor, time: Tensor, event: Tensor, ties: Ties = "efron") -> Tensor:
    r"""Return the negative log partial likelihood, divided among the samples with an event.

    .. math:: -\sum_{i: \text{event}} \Big(\eta_i - \log \sum_{j: t_j \ge t_i} e^{\eta_j}\Big)

    The equation is the form of Breslow (1974). If d events have the same time and their risks have the sum D, the form
    of Efron (1977, https://doi.org/10.1080/01621459.1977.10480613) subtracts l / d times D, l = 0 ... d - 1, from the
    sum of all risks. Sums of risks are computed as a cumulative logsumexp over the sorted times, so large log risks do
    not overflow. The cost is O(B log B).

    Args:
        log_risk: logarithm eta of the relative risk, (B,), floating point.
        time: time of the event or of censoring, (B,), in any unit; NaN where missing.
        event: 1 where the event was observed, 0 where the sample is censored, (B,); NaN where missing.
        ties: ``efron`` or ``breslow``.

    Returns:
        One value for each sample, (B,); their sum is the negative log partial likelihood of the batch. The value is 0
        for samples without an event, and for samples with a missing time or event, which are in no risk set either.

    Example:
        >>> time, event = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 1.0, 0.0])
        >>> cox_loss(torch.zeros(3), time, event)  # log 3, log 2
        tensor([1.0986, 0.6931, 0.0000])
    """
    known = torch.isfinite(time) & torch.isfinite(event)
    times = torch.where(known, time if time.is_floating_point() else time.double(), -torch.inf)
    order = times.argsort(descending=True, stable=True)  # unknown samples come last
    died = torch.where(known, event, 0.0)[order].to(log_risk.dtype)
    eta = torch.where(known, log_risk, 0.0)[order]
    group, ends = _groups_of_equal(times[order])
    log_sums = eta.logcumsumexp(0)[ends]  # the risk set of a time ends with the last sample of that time
    if ties == "efron":
        log_sums = log_sums + _efron_correction(eta - log_sums, died, group)
    return torch.zeros_like(log_risk).index_put((order,), died * (log_sums - eta))


def _groups_of_equal(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the number of the run of equal values, and the position of the last value of that run, (B,) each.

    There is no loop over runs and no list of them, whose length would have to be known on the host: a GPU goes on.
    """
    group = torch.zeros_like(values, dtype=torch.int64)
    group[1:] = (values[1:] != values[:-1]).cumsum(0)
    return group, torch.searchsorted(group, group, right=True) - 1


def _efron_correction(excess: Tensor, died: Tensor, group: Tensor) -> Tensor:
    """Return what Efron's form adds to the logarithm of the sum of each risk set, (B,).

    Args:
        excess: logarithm of the risk of each sample relative to its risk set, (B,), at most 0.
        died: 1 for an event, else 0, (B,).
        group: number of the time of each sample, (B,), ascending.
    """
    zeros = torch.zeros_like(excess)
    deaths = zeros.index_add(0, group, died)
    # 0 ... d - 1 among the events of a time. Sums of integers: CUDA has no deterministic cumsum of other numbers.
    before = deaths.to(torch.int64).cumsum(0)[group] - deaths.to(torch.int64)[group]
    order = died.to(torch.int64).cumsum(0) - died.to(torch.int64) - before
    # Share of the events in the sum of their risk set, which is at most 1 and so does not overflow.
    share = zeros.index_add(0, group, died * excess.exp())
    removed = order * died / deaths.clamp_min(1.0)[group]
    corrections = died * torch.log1p(-removed * share[group].clamp_max(1.0))
    # All tied events get the mean correction, so that values do not depend on the order of the rows.
    return (zeros.index_add(0, group, corrections) / deaths.clamp_min(1.0))[group]
