"""Choice of one of several heads without labels."""

from __future__ import annotations

import torch

from lightning_dc.callbacks.refresh import Refresh
from lightning_dc.distributed import set_shared_, sum_
from lightning_dc.functional import mutual_information
from lightning_dc.heads import SoftmaxHead
from lightning_dc.training import ClusteringModule, embed_batch, read_owned, record, share_buffers, training_loader


class HeadChoice(Refresh):
    """Callback that chooses the head that gives the clusters, of several ones that are trained together.

    It is the head whose assignments have the largest mutual information with the training samples, H(mean q) - mean
    H(q), the unsupervised objective of RIM and IMSAT (Hu et al. 2017, https://arxiv.org/abs/1702.08720). The
    choice is made when a phase begins, at the interval, and after the last step of a phase; one that ends before its
    length keeps the latest choice. The values of all heads are logged as ``heads/information_0``, ...

    Args:
        every_n_steps: optimizer steps between two choices; with both None, only phases begin and end with one.
        every_n_epochs: epochs between two choices, instead of ``every_n_steps``.
    """

    acts_at_end = True

    def applies(self, module: ClusteringModule) -> bool:
        head = module.model.head
        return super().applies(module) and isinstance(head, SoftmaxHead) and head.n_heads > 1

    @torch.no_grad()
    def refresh(self, module: ClusteringModule, *, is_first: bool) -> None:
        head, loader = module.model.head, training_loader(module)
        assert isinstance(head, SoftmaxHead)
        share_buffers(module)
        sums = torch.zeros(head.n_heads, head.n_clusters + 1, dtype=torch.float64, device=module.device)
        for _, batch in read_owned(module, loader):
            tables = head.log_assignments(embed_batch(module, batch.x))[: head.n_heads]
            log_q = torch.stack(tables).double()
            q = log_q.exp()
            sums += torch.cat([q.sum(1), (q * log_q).sum((1, 2))[:, None]], 1)
        means = sum_(sums) / loader.n_samples
        information = mutual_information(means[:, :-1], -means[:, -1])
        set_shared_(head.chosen, information.argmax())
        record(module, {f"heads/information_{number}": float(value) for number, value in enumerate(information)})
