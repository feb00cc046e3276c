"""Divergence of the sizes of the clusters from given shares."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_dc.distributed import gather_batch
from lightning_dc.errors import InputError
from lightning_dc.functional import zipf_shares
from lightning_dc.losses.heads import mean_over_heads
from lightning_dc.losses.shares import check_number_of_shares, check_shares
from lightning_dc.losses.term import LossTerm


class Balance(LossTerm):
    r"""Divergence KL(g || f) of the mean soft assignment g of a batch from shares f of the clusters, in nats.

    With equal shares it is log K minus the entropy of g, the balance term of IMSAT, SCAN and many others (Krause et al.
    2010, https://papers.nips.cc/paper/4154). The batch is that of all processes.

    Args:
        shares: share of each cluster, which sum to 1; None for equal shares.
        zipf: exponent s of shares that fall as 1 / k^s with the rank k of a cluster; 0 for equal shares.
        in_order: True gives cluster k the k-th share; False compares the sorted sizes with the sorted shares, so that
            any cluster may be the largest.

    Raises:
        InputError: shares are not positive or do not sum to 1, ``zipf`` is negative, or both are given.

    Example:
        >>> q = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
        >>> round(float(Balance()([q.log()])), 6)
        0.0
    """

    def __init__(self, shares: Sequence[float] | None = None, zipf: float = 0.0, in_order: bool = False) -> None:
        super().__init__()
        check_shares(shares, "Balance")
        if shares is not None and zipf != 0:
            raise InputError(f"shares and zipf={zipf} of Balance are both given; give one of them")
        if zipf < 0:
            raise InputError(f"zipf={zipf} of Balance must not be negative; 1 is Zipf's law, 0 gives equal shares")
        self.shares = shares
        self.zipf = zipf
        self.in_order = in_order

    def check_clusters(self, n_clusters: int) -> None:
        check_number_of_shares(self.shares, n_clusters, "Balance")

    def forward(self, log_q: Sequence[Tensor]) -> Tensor:
        """Return the divergence, the mean over the heads, ().

        Args:
            log_q: logarithms of soft assignments, (B, K) for each head.
        """
        return mean_over_heads(lambda table: self._divergence(gather_batch(table.exp()).mean(0)), log_q)

    def _divergence(self, g: Tensor) -> Tensor:
        """Return the divergence of the mean soft assignment of one head, (K,) to (); shares are for K clusters only."""
        is_given = self.shares is not None and len(self.shares) == len(g)
        shares = torch.tensor(self.shares, dtype=torch.float64) if is_given else zipf_shares(len(g), self.zipf)
        log_shares = shares.to(g).log()
        if not self.in_order:
            g, log_shares = g.sort(descending=True).values, log_shares.sort(descending=True).values
        return (g * (g.clamp_min(torch.finfo(g.dtype).tiny).log() - log_shares)).sum()
