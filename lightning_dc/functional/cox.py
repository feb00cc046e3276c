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
    rows = known.nonzero().squeeze(1)
    rows = rows[time[rows].argsort(descending=True, stable=True)]
    eta, died = log_risk[rows], event[rows].to(log_risk.dtype)
    _, group, sizes = torch.unique_consecutive(time[rows], return_inverse=True, return_counts=True)
    # The risk set of a time ends with the last sample of that time.
    log_sums = eta.logcumsumexp(0)[sizes.cumsum(0) - 1][group]
    if ties == "efron":
        zeros = eta.new_zeros(len(sizes))
        deaths = zeros.index_add(0, group, died)
        order = died.cumsum(0) - died - (deaths.cumsum(0) - deaths)[group]  # 0 ... d - 1 among the events of a time
        # Share of the events in the sum of their risk set, which is at most 1 and so does not overflow.
        share = zeros.index_add(0, group, died * (eta - log_sums).exp())
        removed = order * died / deaths.clamp_min(1.0)[group]
        corrections = died * torch.log1p(-removed * share[group].clamp_max(1.0))
        # All tied events get the mean correction, so that values do not depend on the order of the rows.
        log_sums = log_sums + (zeros.index_add(0, group, corrections) / deaths.clamp_min(1.0))[group]
    return torch.zeros_like(log_risk).index_put((rows,), died * (log_sums - eta))
