"""Whether clusters follow a single input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_dc.functional import InputGroups, adjusted_rand_index, contingency_table

_LEAST_SHARE = 0.7
_LEAST_AGREEMENT = 0.9


class SingleInput(NamedTuple):
    """Input, or group of inputs that belong together, which the clusters follow.

    Attributes:
        columns: numbers of its inputs.
        agreement: adjusted Rand index of the clusters with those that the input alone tells.
    """

    columns: list[int]
    agreement: float


def single_input(
    x: Tensor, labels: Tensor, n_clusters: int, groups: Sequence[Sequence[int]] | None = None
) -> SingleInput | None:
    """Return the input that clusters follow, if they follow a single one.

    Two things must be true of it. At least 0.7 of the variance between the clusters, summed over all inputs, is its
    own. And a decision tree with K leaves that sees nothing else agrees with the clusters at an adjusted Rand index of
    at least 0.9. Clusters that many inputs tell apart, each of them as well as all, follow no single one.

    Args:
        x: inputs, scaled as the network reads them, (n, F).
        labels: cluster of each sample, (n,).
        n_clusters: number of clusters K.
        groups: inputs that belong together, such as the one-hot inputs of a category, and count as one; None lets each
            input stand for itself.

    Returns:
        The input; None without one, and if there is only one input or one cluster.

    Raises:
        InputError: an input is in no group or in two groups.

    Example:
        >>> x = torch.tensor([[0.0, 1.0], [0.1, 0.0], [9.0, 1.0], [9.1, 0.0]])
        >>> single_input(x, torch.tensor([0, 0, 1, 1]), 2)
        SingleInput(columns=[0], agreement=1.0)
    """
    of_column = InputGroups.of(groups, x.shape[1]).of_input
    n_groups = int(of_column.max()) + 1
    if n_groups < 2 or len(set(labels.tolist())) < 2:
        return None
    between = torch.zeros(n_groups, dtype=torch.float64).index_add_(0, of_column, _between(x, labels, n_clusters))
    group = int(between.argmax())
    if not float(between[group]) >= _LEAST_SHARE * float(between.sum()) > 0:
        return None
    columns = (of_column == group).nonzero()[:, 0]
    agreement = _agreement_of_a_tree(x[:, columns], labels, n_clusters)
    return SingleInput(columns.tolist(), agreement) if agreement >= _LEAST_AGREEMENT else None


def _between(x: Tensor, labels: Tensor, n_clusters: int) -> Tensor:
    """Return the sum of squares between clusters of each input, (F,), float64."""
    wide = x.double() - x.double().mean(0)
    members = torch.nn.functional.one_hot(labels.to(torch.int64), n_clusters).double()
    sizes = members.sum(0).clamp_min(1.0)
    return ((members.T @ wide).square() / sizes[:, None]).sum(0)


def _agreement_of_a_tree(x: Tensor, labels: Tensor, n_clusters: int) -> float:
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_leaf_nodes=max(n_clusters, 2), random_state=0)
    told = torch.as_tensor(tree.fit(x.numpy(), labels.numpy()).predict(x.numpy()))
    return adjusted_rand_index(contingency_table(told, labels, n_clusters, n_clusters).numpy())
