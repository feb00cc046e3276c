"""Probability that a sample keeps its cluster if the clustering head is fitted again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_LEAST = 1e-6  # of a probability, and of one minus it
_N_ITERATIONS = 200


@dataclass(frozen=True)
class StabilityModel:
    """Model of the probability that a sample of cluster k and margin m keeps its cluster: c_k / (1 + exp(-s m)).

    The logistic function is that of Platt (1999) without an intercept, since a sample of margin 0 belongs to two
    clusters alike. If the margin is a difference of log assignments, 1 / s is a temperature (Guo et al. 2017,
    https://arxiv.org/abs/1706.04599). The factor c_k is for clusters that are divided or joined as a whole, which no
    margin of a sample tells.

    Attributes:
        slope: s, not negative.
        ceilings: c_k of each cluster, (K,), between 0 and 1.
    """

    slope: float
    ceilings: Tensor

    def probabilities(self, margins: Tensor, labels: Tensor) -> Tensor:
        """Return the probability of each sample, (n,), float32.

        Args:
            margins: margin of each sample, (n,), not negative.
            labels: its cluster, (n,).
        """
        of_cluster = self.ceilings.to(margins.device)[labels.to(torch.int64)]
        return (of_cluster * torch.sigmoid(self.slope * margins.double())).float()


def fit_stability(margins: Tensor, labels: Tensor, kept: Tensor, n_clusters: int) -> StabilityModel:
    """Fit the model by maximum likelihood.

    Args:
        margins: margin of each sample, (n,), not negative.
        labels: its cluster, (n,).
        kept: share of refits in which it has kept its cluster, (n,).
        n_clusters: number of clusters K; one without samples gets the mean of all samples.
    """
    margins, labels, kept = margins.double().cpu(), labels.to(torch.int64).cpu(), kept.double().cpu()
    scale = float(margins.mean()) or 1.0
    mean = float(kept.mean().clamp(0.5, 0.99))
    with torch.enable_grad():
        log_slope = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        logits = torch.full((n_clusters,), mean, dtype=torch.float64).logit().requires_grad_()
        optimizer = torch.optim.LBFGS([log_slope, logits], max_iter=_N_ITERATIONS, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            p = logits.sigmoid()[labels] * torch.sigmoid(log_slope.exp() * margins / scale)
            p = p.clamp(_LEAST, 1 - _LEAST)
            value = -(kept * p.log() + (1 - kept) * (1 - p).log()).mean()
            torch.autograd.backward(value)
            return value

        optimizer.step(loss)  # type: ignore[no-untyped-call]
    return StabilityModel(float(log_slope.detach().exp()) / scale, logits.sigmoid().detach())
