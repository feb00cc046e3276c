"""Association of inputs with an outcome, relative to chance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_dc.functional.norms import InputGroups, group_sums

_QUANTILE = 0.99


def permutations(n_samples: int, n_permutations: int, generator: torch.Generator) -> Tensor:
    """Return P + 1 orders of the samples, (P + 1, N), int32 row numbers: the given order, then P random orders.

    Args:
        n_samples: number of samples N.
        n_permutations: number of random orders P.
        generator: random numbers.
    """
    orders = torch.empty(n_permutations + 1, n_samples, dtype=torch.int32)
    orders[0] = torch.arange(n_samples)
    for order in orders[1:]:
        order.copy_(torch.randperm(n_samples, generator=generator))
    return orders


def input_evidence(products: Tensor, variances: Tensor, n_samples: int, groups: InputGroups) -> Tensor:
    r"""Return the association of each group of inputs with the residuals of a model without inputs, relative to chance.

    .. math:: S_g = \Big(\frac{1}{|g| N} \sum_{j \in g} \Big\|\sum_i \frac{x_{ij}}{\sigma_j} r_i\Big\|^2
        + \Big\|\sum_i \frac{x_{ij}^2}{\tau_j} r_i\Big\|^2\Big)^{1/2}

    The first term is the level of the group lasso penalty at which the inputs would first enter a linear model. The
    second term is the same level for the squares of the inputs. It detects inputs whose spread differs, such as an
    input that separates two halves of a class.

    The unit is the 99 % quantile, over permutations of the residuals, of the *largest* S of all groups (the quantile
    universal threshold of Giacobino et al. 2017, https://doi.org/10.1214/17-EJS1366). Without any association, one data
    set in a hundred has a group above 1, regardless of the number of inputs.

    Args:
        products: sums over the samples of z_ij r_i and z_ij^2 r_i, for the residuals r and P permutations of them,
            (2, F, P + 1, T). The inputs z are standardised; the residuals have mean 0 and mean square 1
            (:func:`~lightning_dc.functional.null_residuals`).
        variances: variances of z, which are 1, or 0 for a constant input, and of z^2, which are tau^2, (2, F).
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
