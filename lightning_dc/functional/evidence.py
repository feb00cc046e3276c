"""How much each input has to do with an outcome, beyond chance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_dc.functional.norms import InputGroups, group_sums

_QUANTILE = 0.99


def permuted(residuals: Tensor, n_permutations: int, generator: torch.Generator) -> Tensor:
    """The residuals, and copies of them in random orders of the rows, (P + 1, N, T)."""
    copies = [residuals]
    for _ in range(n_permutations):
        copies.append(residuals[torch.randperm(len(residuals), generator=generator).to(residuals.device)])
    return torch.stack(copies)


def input_evidence(products: Tensor, variance: Tensor, n_samples: int, groups: InputGroups) -> Tensor:
    r"""Association of each group of inputs with the residuals of a model without inputs, in units of chance.

    .. math:: S_g = \Big(\frac{1}{|g| N} \sum_{j \in g} \Big\|\sum_i \frac{x_{ij}}{\sigma_j} r_i\Big\|^2\Big)^{1/2}

    It is the level of the group lasso penalty at which the inputs would enter a linear model first, for standardised
    inputs. The unit is the 99 % quantile, over permutations of the residuals, of the *largest* S of all groups (the
    quantile universal threshold of Giacobino et al. 2017, https://doi.org/10.1214/17-EJS1366): with no association at
    all, one group in any is above 1 in one of a hundred data sets, however many inputs there are.

    Args:
        products: sums over the samples of x_ij r_i, for the residuals and P permutations of them, (P + 1, F, T);
            residuals have mean 0 and mean square 1 (:func:`~lightning_dc.functional.null_residuals`).
        variance: variance of each input, (F,).
        n_samples: number of samples N.
        groups: groups of the F inputs.

    Returns:
        Evidence of each group, (G,); 0 for constant inputs.
    """
    usable = variance > 1e-12 * variance.max()
    squares = products.square().sum(2) * torch.where(usable, 1.0 / variance.clamp_min(1e-300), 0.0)
    statistics = torch.stack([group_sums(row, groups) for row in squares]) / groups.sizes
    statistics = (statistics / n_samples).sqrt()
    chance = torch.quantile(statistics[1:].amax(1), _QUANTILE)
    return statistics[0] / chance.clamp_min(math.ulp(1.0))
