"""Consistency and conditional entropy, against their formulas in NumPy and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from lightning_dc.losses import Balance, ConditionalEntropy, LossTerm, NeighbourConsistency, ViewConsistency

HEADS = [
    torch.randn(6, k, generator=torch.Generator().manual_seed(k), dtype=torch.float64).log_softmax(1) for k in (3, 5)
]
OTHERS = [
    torch.randn(6, k, generator=torch.Generator().manual_seed(k + 9), dtype=torch.float64).log_softmax(1)
    for k in (3, 5)
]


@pytest.mark.parametrize("term", [NeighbourConsistency(), ViewConsistency()])
def test_it_is_the_negative_log_of_the_product_of_assignments(term: LossTerm) -> None:
    pairs = [(a.exp().numpy(), b.exp().numpy()) for a, b in zip(HEADS, OTHERS, strict=True)]
    expected = np.mean([-np.log([p @ q for p, q in zip(a, b, strict=True)]) for a, b in pairs], axis=0)
    np.testing.assert_allclose(term(HEADS, OTHERS), expected, rtol=1e-12)


def test_the_limits_of_consistency() -> None:
    one_hot = [torch.eye(4).clamp_min(1e-30).log()]
    assert float(NeighbourConsistency()(one_hot, one_hot).abs().max()) < 1e-6
    uniform = [torch.full((4, 4), 0.25).log()]
    np.testing.assert_allclose(NeighbourConsistency()(uniform, uniform), math.log(4), rtol=1e-6)
    apart = [one_hot[0].roll(1, 0)]
    assert float(NeighbourConsistency()(one_hot, apart).min()) > 60  # it does not saturate, as a clamped log would


def test_the_conditional_entropy_is_that_of_scipy() -> None:
    expected = np.mean([entropy(one.exp().numpy(), axis=1) for one in HEADS], axis=0)
    np.testing.assert_allclose(ConditionalEntropy()(HEADS), expected, rtol=1e-12)


def test_balance_and_conditional_entropy_are_the_mutual_information() -> None:
    """Of hard assignments it is the mutual information of clusters and samples that scikit-learn computes."""
    from sklearn.metrics import mutual_info_score

    clusters = np.array([0, 0, 1, 1, 1, 2])
    log_q = [torch.eye(3, dtype=torch.float64)[clusters].clamp_min(1e-300).log()]
    found = math.log(3) - float(Balance()(log_q)) - float(ConditionalEntropy()(log_q).mean())
    assert math.isclose(found, mutual_info_score(clusters, np.arange(6)), rel_tol=1e-9)
