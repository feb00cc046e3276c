"""The optimizer of the clustering of DEC."""

from __future__ import annotations

from torch.optim import SGD
from torch.optim.optimizer import ParamsT


class MomentumSGD(SGD):
    """SGD with the learning rate and the momentum by which DEC clusters (https://arxiv.org/abs/1511.06335, sec. 4.3).

    It is a class of its own since the command line finds the defaults of an optimizer in the signature of its class.

    Args:
        params: parameters, or groups of them.
        lr: learning rate.
        momentum: share of the last update that goes on.
        weight_decay: factor of an L2 penalty.
    """

    def __init__(self, params: ParamsT, lr: float = 0.01, momentum: float = 0.9, weight_decay: float = 0.0) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)
