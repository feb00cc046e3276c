"""Norms of the weights of an input layer, a group an input, and their proximal operators.

The weights are those of a linear layer, (H, F): H hidden units, F inputs. A group is the column of one input, or the
columns of several, such as those of a categorical input that is one-hot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from lightning_dc.errors import InputError

Norm = Literal["l1", "ridge", "l21", "l1inf"]
"""``l1``: sum of absolute values. ``ridge``: sum of squares. ``l21``: sum over the groups of the Euclidean norm (group
lasso, Yuan and Lin 2006, https://doi.org/10.1111/j.1467-9868.2005.00532.x). ``l1inf``: sum over the groups of the
largest absolute value (Turlach et al. 2005, https://doi.org/10.1198/004017005000000139)."""

_SIZE_EXPONENTS: dict[Norm, float] = {"l1": 0.0, "ridge": 0.0, "l21": 0.5, "l1inf": 1.0}


class InputGroups(NamedTuple):
    """Groups of the inputs of a layer; every input is in one.

    Attributes:
        of_input: number of the group of each input, (F,), int64.
        sizes: number of inputs of each group, (G,), int64.
    """

    of_input: Tensor
    sizes: Tensor

    @classmethod
    def of(cls, groups: Sequence[Sequence[int]] | None, n_inputs: int) -> InputGroups:
        """Groups from lists of inputs; None makes a group of each input.

        Raises:
            InputError: an input is in no group or in two, or there is no such input.

        Example:
            >>> InputGroups.of([[0], [1, 2]], 3).of_input
            tensor([0, 1, 1])
        """
        if groups is None:
            groups = [[i] for i in range(n_inputs)]
        members = [i for group in groups for i in group]
        if sorted(members) != list(range(n_inputs)) or not all(groups):
            raise InputError(
                f"feature_groups has {len(groups)} groups of {len(members)} inputs, but each of the {n_inputs} inputs "
                f"(0 to {n_inputs - 1}) must be in one group, and no group empty"
            )
        sizes = torch.tensor([len(group) for group in groups])
        index = torch.empty(n_inputs, dtype=torch.int64)
        index[torch.tensor(members)] = torch.arange(len(groups)).repeat_interleave(sizes)
        return cls(index, sizes)

    def to(self, device: torch.device) -> InputGroups:
        """The same groups on a device."""
        return InputGroups(self.of_input.to(device), self.sizes.to(device))


def check_norm(norm: str) -> None:
    """Check the name of a norm.

    Raises:
        InputError: it is unknown.
    """
    if norm not in get_args(Norm):
        raise InputError(f"norm={norm!r} of the input weights is unknown; choose from {', '.join(get_args(Norm))}")


def group_norms(weight: Tensor, norm: Norm, groups: InputGroups) -> Tensor:
    """Norm of the weights of each group, (G,); for ``ridge`` the sum of squares.

    A group of zeros has the subgradient 0.

    Args:
        weight: weights, (H, F).
        norm: name of the norm.
        groups: groups of the F inputs.

    Example:
        >>> weight = torch.tensor([[3.0, 1.0], [-4.0, 1.0]])
        >>> group_norms(weight, "l21", InputGroups.of(None, 2))
        tensor([5.0000, 1.4142])
    """
    check_norm(norm)
    if norm == "l1":
        return group_sums(weight.abs().sum(0), groups)
    if norm == "l1inf":
        zeros = weight.new_zeros(len(groups.sizes))
        return zeros.scatter_reduce(0, groups.of_input, weight.abs().amax(0), "amax", include_self=False)
    squares = group_sums(weight.square().sum(0), groups)
    if norm == "ridge":
        return squares
    positive = squares > 0  # the square root of 0 would have the gradient inf * 0
    return torch.where(positive, torch.where(positive, squares, 1.0).sqrt(), 0.0)


def group_penalty(weight: Tensor, norm: Norm, groups: InputGroups, group_weights: Tensor | None = None) -> Tensor:
    """Weighted sum of the norms of the groups, scalar.

    Args:
        weight: weights, (H, F).
        norm: name of the norm.
        groups: groups of the F inputs.
        group_weights: factor of each group, (G,), not negative; None is :func:`size_weights`.
    """
    return (group_norms(weight, norm, groups) * _factors(weight, norm, groups, group_weights)).sum()


def proximal_step(
    weight: Tensor, norm: Norm, groups: InputGroups, strength: float, group_weights: Tensor | None = None
) -> Tensor:
    r"""Proximal operator of ``strength`` times :func:`group_penalty`.

    .. math:: \arg\min_V \tfrac12 \|V - W\|^2 + \lambda\, \mathrm{penalty}(V)

    Applied after a gradient step of length eta with strength eta * alpha, it is proximal gradient descent on
    loss + alpha * penalty (Parikh and Boyd 2014, https://doi.org/10.1561/2400000003). ``l21`` and ``l1inf`` set whole
    groups to exactly zero, ``l1`` single weights, ``ridge`` none.

    Args:
        weight: weights W, (H, F).
        norm: name of the norm.
        groups: groups of the F inputs.
        strength: lambda, not negative.
        group_weights: factor of each group, (G,), not negative; None is :func:`size_weights`.

    Returns:
        New weights, (H, F), without gradient.

    Example:
        >>> proximal_step(torch.tensor([[3.0, 0.3], [4.0, 0.4]]), "l21", InputGroups.of(None, 2), 1.0)
        tensor([[2.4000, 0.0000],
                [3.2000, 0.0000]])
    """
    check_norm(norm)
    weight = weight.detach()
    thresholds = strength * _factors(weight, norm, groups, group_weights)
    if norm == "l1":
        return weight - weight.clamp(-thresholds[groups.of_input], thresholds[groups.of_input])
    if norm == "ridge":
        return weight / (1 + 2 * thresholds)[groups.of_input]
    if norm == "l1inf":  # Moreau: what remains is W less its projection onto the l1 ball, so W cut off at a level
        levels = _l1_ball_thresholds(weight.abs(), groups, thresholds)[groups.of_input]
        return weight.clamp(-levels, levels)
    norms = group_norms(weight, norm, groups)
    kept = torch.where(norms > thresholds, 1 - thresholds / norms, 0.0)
    return weight * kept[groups.of_input]


def project_to_bound(weight: Tensor, bound: float) -> Tensor:
    """The nearest weights of which none is above a bound in absolute value: the projection onto an L-infinity ball.

    Args:
        weight: weights, any shape.
        bound: the largest absolute value, not negative.

    Returns:
        New weights without gradient, same shape.
    """
    return weight.detach().clamp(-bound, bound)


def size_weights(norm: Norm, groups: InputGroups) -> Tensor:
    """Factors by which groups of unequal sizes are penalised alike, (G,), float32.

    A group of s inputs has the factor s^(1 - 1/p) with its p-norm: sqrt(s) for ``l21``, as in Yuan and Lin (2006), s
    for ``l1inf``, 1 for ``l1`` and ``ridge``. Then weights of one absolute value cost the same in groups of any size.
    """
    check_norm(norm)
    return groups.sizes.to(torch.float32) ** _SIZE_EXPONENTS[norm]


def _factors(weight: Tensor, norm: Norm, groups: InputGroups, group_weights: Tensor | None) -> Tensor:
    return (size_weights(norm, groups) if group_weights is None else group_weights).to(weight)


def group_sums(values: Tensor, groups: InputGroups) -> Tensor:
    """Sum of a value of each input, (F,), over the inputs of each group, (G,)."""
    return values.new_zeros(len(groups.sizes)).index_add(0, groups.of_input, values)


def _l1_ball_thresholds(magnitudes: Tensor, groups: InputGroups, radii: Tensor) -> Tensor:
    """Level of each group above which its magnitudes add up to the radius, (G,); 0 where all of them do not.

    It is the threshold of the projection onto the l1 ball. Michelot's algorithm (1986), which is exact: a level is too
    low until every member is above it, and members only leave; in a few rounds, for all groups at once.
    """
    inside = group_sums(magnitudes.sum(0), groups) <= radii
    levels = torch.zeros_like(radii)
    members = (magnitudes > 0) & ~inside[groups.of_input]
    while True:
        counts = group_sums(members.sum(0).to(magnitudes), groups)
        sums = group_sums(torch.where(members, magnitudes, 0.0).sum(0), groups)
        # By rounding the last member may leave; the level was right before.
        levels = torch.where(counts > 0, (sums - radii) / counts.clamp_min(1.0), levels)
        remaining = members & (magnitudes > levels[groups.of_input])
        if torch.equal(remaining, members):
            return levels.clamp_min(0.0)
        members = remaining
