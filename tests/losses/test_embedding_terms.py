"""Locality and group sparsity, against a Laplacian and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lightning_dc import InputError
from lightning_dc.losses import GroupSparsity, Locality

Z = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_locality_over_all_pairs_is_the_form_of_the_laplacian() -> None:
    """The sum of S_ij |z_i - z_j|^2 over all pairs is 2 tr(Z^T L Z)."""
    similarity = torch.rand(6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    similarity = similarity + similarity.T
    first, second = torch.meshgrid(torch.arange(6), torch.arange(6), indexing="ij")
    found = Locality()(Z[first.flatten()], Z[second.flatten()], similarity.flatten()).sum()
    laplacian = np.diag(similarity.sum(1)) - similarity.numpy()
    assert math.isclose(float(found), 2 * float(np.trace(Z.numpy().T @ laplacian @ Z.numpy())), rel_tol=1e-9)


@pytest.mark.parametrize("size", [1, 2, 5, 7])
def test_group_sparsity_is_the_sum_of_weighted_norms(size: int) -> None:
    expected = [
        sum(
            math.sqrt(len(row[start : start + size])) * np.linalg.norm(row[start : start + size])
            for start in range(0, 5, size)
        )
        for row in Z.numpy()
    ]
    np.testing.assert_allclose(GroupSparsity(size)(Z), expected, rtol=1e-9)


def test_group_sparsity_of_zeros_has_a_gradient() -> None:
    z = torch.zeros(2, 4, requires_grad=True)
    GroupSparsity()(z).sum().backward()
    assert z.grad is not None
    assert bool((z.grad == 0).all())
    with pytest.raises(InputError, match="group_size=0 of GroupSparsity must be at least 1"):
        GroupSparsity(0)
