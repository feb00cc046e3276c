"""How much each input has to do with an outcome, beyond chance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_dc.functional.norms import InputGroups, group_sums

_QUANTILE = 0.99


def permutations(n_samples: int, n_permutations: int, generator: torch.Generator) -> Tensor:
    """The samples as they are, and in P random orders, (P + 1, N), int32: numbers of rows, four bytes each."""
    orders = torch.empty(n_permutations + 1, n_samples, dtype=torch.int32)
    orders[0] = torch.arange(n_samples)
    for order in orders[1:]:
        order.copy_(torch.randperm(n_samples, generator=generator))
    return orders


def input_evidence(products: Tensor, variances: Tensor, n_samples: int, groups: InputGroups) -> Tensor:
    r"""Association of each group of inputs with the residuals of a model without inputs, in units of chance.

    .. math:: S_g = \Big(\frac{1}{|g| N} \sum_{j \in g} \Big\|\sum_i \frac{x_{ij}}{\sigma_j} r_i\Big\|^2
        + \Big\|\sum_i \frac{x_{ij}^2}{\tau_j} r_i\Big\|^2\Big)^{1/2}

    The first part is the level of the group lasso penalty at which the inputs would enter a linear model first; the
    second is that of their squares, and sees inputs whose spread differs, such as one that tells two halves of a class
    apart.

    The unit is the 99 % quantile, over permutations of the residuals, of the *largest* S of all groups (the quantile
    universal threshold of Giacobino et al. 2017, https://doi.org/10.1214/17-EJS1366): with no association at all, one
    data set in a hundred has a group above 1, however many inputs there are.

    Args:
        products: sums over the samples of z_ij r_i and z_ij^2 r_i, for the residuals and P permutations of them,
            (2, F, P + 1, T); z are standardised inputs, residuals have mean 0 and mean square 1
            (:func:`~lightning_dc.functional.null_residuals`).
        variances: variances of z and z^2, (2, F): 1 or 0, and tau^2.
        n_samples: number of samples N.
        groups: groups of the F inputs.

    Returns:
        Evidence of each group, (G,); 0 for constant inputs.
    """
    usable = torch.where(variances > 1e-9, 1.0 / variances.clamp_min(1e-9), 0.0)
    squares = (products.square().sum(3) * usable[:, :, None]).sum(0)
    statistics = torch.stack([group_sums(column, groups) for column in squares.T]) / groups.sizes
    statistics = (statistics / n_samples).sqrt()
    chance = torch.quantile(statistics[1:].amax(1), _QUANTILE)
    return statistics[0] / chance.clamp_min(math.ulp(1.0))
