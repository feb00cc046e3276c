"""Softmax heads, against their formula in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from lightning_dc import ClusteringModel, InputError, MLPEncoder
from lightning_dc.heads import SoftmaxHead, StudentTHead

Z = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))


def test_assignments_are_the_softmax_of_a_linear_layer() -> None:
    head = SoftmaxHead(3, 5)
    (linear,) = head.heads
    logits = Z.numpy() @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
    np.testing.assert_allclose(head(Z).detach(), softmax(logits, axis=1), atol=1e-6)
    (log_q,) = head.log_assignments(Z)
    np.testing.assert_allclose(log_q.detach(), log_softmax(logits, axis=1), atol=1e-6)


def test_the_chosen_one_of_several_heads_gives_the_clusters() -> None:
    head = SoftmaxHead(3, 5, n_heads=4, over_clustering=[2, 5], hidden_dim=6)
    tables = head.log_assignments(Z)
    assert [table.shape[1] for table in tables] == [3, 3, 3, 3, 6, 15]
    for chosen in range(4):
        head.chosen.fill_(chosen)
        torch.testing.assert_close(head(Z), tables[chosen].exp())
    first, second = (head.state_dict()[f"heads.{number}.0.weight"] for number in (0, 1))
    assert not torch.equal(first, second)


def test_another_head_has_one_table_of_logarithms() -> None:
    head = StudentTHead(3, 5)
    head.centroids.data.normal_(generator=torch.Generator().manual_seed(1))
    (log_q,) = head.log_assignments(Z)
    torch.testing.assert_close(log_q.exp(), head(Z))


def test_a_model_with_several_heads_can_be_exported() -> None:
    head = SoftmaxHead(3, 32, n_heads=4)
    head.chosen.fill_(2)
    model = ClusteringModel(MLPEncoder((5,)), head).eval()
    program = torch.export.export(model, (Z,), dynamic_shapes=({0: torch.export.Dim("batch", min=2, max=10_000_000)},))
    torch.testing.assert_close(program.module()(Z[:4]), model(Z[:4]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_heads": 0}, "n_heads=0 of SoftmaxHead must be at least 1"),
        ({"hidden_dim": 0}, "hidden_dim=0 of SoftmaxHead must be at least 1"),
        ({"over_clustering": [1]}, r"over_clustering=\[1\] must name multiples of K"),
    ],
)
def test_bad_arguments(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SoftmaxHead(3, 5, **arguments)  # type: ignore[arg-type]
