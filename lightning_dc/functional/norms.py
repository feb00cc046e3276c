"""Norms of the weights of an input layer by groups of inputs, and their proximal operators.

The weights belong to a linear layer, (H, F), with H hidden units and F inputs. A group is the column of one input, or
the columns of several inputs, such as the one-hot columns of a categorical input.
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
    """Groups of the inputs of a layer; every input is in one group.

    Attributes:
        of_input: number of the group of each input, (F,), int64.
        sizes: number of inputs of each group, (G,), int64.
    """

    of_input: Tensor
    sizes: Tensor

    @classmethod
    def of(cls, groups: Sequence[Sequence[int]] | None, n_inputs: int) -> InputGroups:
        """Create groups from lists of input numbers; None puts each input into a group of its own.

        Raises:
            InputError: an input is in no group or in two groups, a group is empty, or an input does not exist.

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
        """Return the groups on a device."""
        return InputGroups(self.of_input.to(device), self.sizes.to(device))


def check_norm(norm: str) -> None:
    """Check the name of a norm.

    Raises:
        InputError: the norm is unknown.
    """
    if norm not in get_args(Norm):
        raise InputError(f"norm={norm!r} of the input weights is unknown; choose from {', '.join(get_args(Norm))}")


def group_norms(weight: Tensor, norm: Norm, groups: InputGroups) -> Tensor:
    """Return the norm of the weights of each group, (G,); for ``ridge``, the sum of squares.

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
    positive = squares > 0  # the gradient of the square root of 0 would be inf * 0
    return torch.where(positive, torch.where(positive, squares, 1.0).sqrt(), 0.0)


def group_penalty(weight: Tensor, norm: Norm, groups: InputGroups, group_weights: Tensor | None = None) -> Tensor:
    """Return the weighted sum of the norms of the groups, scalar.

    Args:
        weight: weights, (H, F).
        norm: name of the norm.
        groups: groups of the F inputs.
        group_weights: factor of each group, (G,), not negative; None is :func:`size_weights`.
    """
    return (group_norms(weight, norm, groups) * _weights_of_groups(weight, norm, groups, group_weights)).sum()


def proximal_step(
    weight: Tensor, norm: Norm, groups: InputGroups, strength: float, group_weights: Tensor | None = None
) -> Tensor:
    r"""Apply the proximal operator of ``strength`` times :func:`group_penalty`.

    .. math:: \arg\min_V \tfrac12 \|V - W\|^2 + \lambda\, \mathrm{penalty}(V)

    If it is applied with strength eta * alpha after each gradient step of length eta, the result is proximal gradient
    descent on loss + alpha * penalty (Parikh and Boyd 2014, https://doi.org/10.1561/2400000003). ``l21`` and ``l1inf``
    set whole groups to exactly zero, ``l1`` sets single weights to zero, and ``ridge`` none.

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
    thresholds = strength * _weights_of_groups(weight, norm, groups, group_weights)
    if norm == "l1":
        return weight - weight.clamp(-thresholds[groups.of_input], thresholds[groups.of_input])
    if norm == "ridge":
        return weight / (1 + 2 * thresholds)[groups.of_input]
    if norm == "l1inf":  # Moreau: the result is W minus its projection onto the l1 ball, that is W clipped at a level
        levels = _l1_ball_thresholds(weight.abs(), groups, thresholds)[groups.of_input]
        return weight.clamp(-levels, levels)
    norms = group_norms(weight, norm, groups)
    kept = torch.where(norms > thresholds, 1 - thresholds / norms, 0.0)
    return weight * kept[groups.of_input]


def project_to_bound(weight: Tensor, bound: float) -> Tensor:
    """Project weights onto an L-infinity ball: return the nearest weights with absolute values up to a bound.

    Args:
        weight: weights, any shape.
        bound: largest absolute value, not negative.

    Returns:
        New weights without gradient, in the shape of ``weight``.
    """
    return weight.detach().clamp(-bound, bound)


def size_weights(norm: Norm, groups: InputGroups) -> Tensor:
    """Return factors that penalise groups of different sizes equally, (G,), float32.

    A group of s inputs with the p-norm has the factor s^(1 - 1/p): sqrt(s) for ``l21``, as in Yuan and Lin (2006), s
    for ``l1inf``, 1 for ``l1`` and ``ridge``. Then a weight of a given absolute value costs the same in groups of any
    size.
    """
    check_norm(norm)
    return groups.sizes.to(torch.float32) ** _SIZE_EXPONENTS[norm]


def _weights_of_groups(weight: Tensor, norm: Norm, groups: InputGroups, group_weights: Tensor | None) -> Tensor:
    return (size_weights(norm, groups) if group_weights is None else group_weights).to(weight)


def group_sums(values: Tensor, groups: InputGroups) -> Tensor:
    """Sum one value for each input, (F,), over the inputs of each group, (G,)."""
    return values.new_zeros(len(groups.sizes)).index_add(0, groups.of_input, values)


def _l1_ball_thresholds(magnitudes: Tensor, groups: InputGroups, radii: Tensor) -> Tensor:
    """Return the thresholds of the projection of each group onto its l1 ball, (G,).

    The magnitudes of a group, reduced by its threshold and clipped at 0, add up to its radius; the threshold is 0 if
    the sum of the magnitudes does not exceed the radius. Both algorithms find the members of each group above its
    threshold. On a CPU, sorting takes about three times as long as Michelot's rounds. On other devices, each round
    would wait for the device.
    """
    inside = group_sums(magnitudes.sum(0), groups) <= radii
    on_cpu = magnitudes.device.type == "cpu"
    levels = (_levels_by_rounds if on_cpu else _levels_by_sorting)(magnitudes, groups, radii, inside)
    return levels.clamp_min(0.0).masked_fill(inside, 0.0)


def _levels_by_rounds(magnitudes: Tensor, groups: InputGroups, radii: Tensor, inside: Tensor) -> Tensor:
    """Return the thresholds of groups that are not ``inside`` by the exact algorithm of Michelot (1986).

    It raises the thresholds and removes members below them, for all groups at once, until none is removed, which takes
    few rounds.
    """
    levels = torch.zeros_like(radii)
    members = (magnitudes > 0) & ~inside[groups.of_input]
    while True:
        levels = _levels_of_members(magnitudes, groups, radii, members, levels)
        remaining = members & (magnitudes > levels[groups.of_input])
        if torch.equal(remaining, members):
            return levels
        members = remaining


def _levels_by_sorting(magnitudes: Tensor, groups: InputGroups, radii: Tensor, inside: Tensor) -> Tensor:
    """Return the thresholds of groups that are not ``inside`` (Held et al. 1974), without waiting for a device.

    In descending order, a magnitude is a member while its rank times it exceeds the sum so far less the radius. Sums
    are of integers, in units of 2^-40 or less of the group's largest magnitude, since CUDA has no deterministic
    cumulative sum of other numbers. The members then give the threshold in the precision of the magnitudes.
    """
    flat, group = _sorted_by_group(magnitudes.double(), groups)
    sizes = groups.sizes * magnitudes.shape[0]
    starts = sizes.cumsum(0) - sizes
    largest = flat[starts]
    unit = 2.0**61 / len(flat) / torch.where(largest > 1e-280, largest, 1.0)
    values, limits = (flat * unit[group]).long(), (radii.double().minimum(largest * sizes) * unit).long()
    sums = values.cumsum(0)
    sums = sums - (sums - values)[starts][group]
    rank = torch.arange(1, len(flat) + 1, device=flat.device) - starts[group]
    is_member = values * rank > sums - limits[group]
    count = torch.zeros_like(sizes).index_add(0, group, is_member.long()).clamp_min(1)
    levels = (sums[starts + count - 1] - limits).double() / count / unit
    members = (magnitudes > levels[groups.of_input]) & ~inside[groups.of_input]
    return _levels_of_members(magnitudes, groups, radii, members, levels.to(radii))


def _levels_of_members(
    magnitudes: Tensor, groups: InputGroups, radii: Tensor, members: Tensor, levels: Tensor
) -> Tensor:
    """Return the thresholds at which the members of each group, (H, F), add up to its radius, (G,).

    Rounding may remove the last member of a group; then its given level is right.
    """
    counts = group_sums(members.sum(0).to(magnitudes), groups)
    sums = group_sums(torch.where(members, magnitudes, 0.0).sum(0), groups)
    return torch.where(counts > 0, (sums - radii) / counts.clamp_min(1.0), levels)


def _sorted_by_group(magnitudes: Tensor, groups: InputGroups) -> tuple[Tensor, Tensor]:
    """Return the magnitudes, (H F,), by group and in descending order within each, with the number of the group."""
    n_hidden, n_inputs = magnitudes.shape
    by_group = groups.of_input.argsort(stable=True)
    columns = magnitudes.T[by_group]
    group = groups.of_input[by_group].unsqueeze(1).expand(n_inputs, n_hidden).flatten()
    if len(groups.sizes) == n_inputs:  # one input in each group: a column is a group
        return columns.sort(1, descending=True).values.flatten(), group
    flat, order = columns.flatten().sort(descending=True)
    again = group[order].argsort(stable=True)
    return flat[again], group
