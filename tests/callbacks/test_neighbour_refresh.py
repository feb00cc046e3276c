"""Nearest neighbours of the training set, against scikit-learn."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from datamodules import ArrayDataModule
from lightning_dc import SCAN, InputError, MLPEncoder, NeighbourConfig, PhaseConfig, SoftmaxHead
from lightning_dc.callbacks import NeighbourRefresh
from lightning_dc.training import ClusteringModule
from tests.helpers.methods import trainer

X = np.random.default_rng(0).normal(size=(150, 6)) + 2.0
WEIGHTS = {"consistency": 1.0, "balance": 2.0}


class Note(NeighbourRefresh):
    """Refresh that keeps the tables, and the embedding of which they are."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.seen: list[tuple[int, Any, np.ndarray]] = []

    def refresh(self, module: ClusteringModule, *, is_first: bool) -> None:
        super().refresh(module, is_first=is_first)
        z = module.embed(torch.from_numpy(X).float()).detach().numpy()
        self.seen.append((module.progress.step, module.state.neighbours, z))


def scan(**kwargs: Any) -> SCAN:
    defaults: dict[str, Any] = {
        "encoder": functools.partial(MLPEncoder, hidden_dims=[8]),
        "head": SoftmaxHead,
        "consistency": PhaseConfig(max_steps=8, loss_weights=WEIGHTS),
        "self_labelling": PhaseConfig(max_steps=4, loss_weights=WEIGHTS),
    }
    return SCAN((6,), 3, **defaults | kwargs)


def noted(model: SCAN, note: Note) -> Note:
    model.method_callbacks = [
        note if isinstance(callback, NeighbourRefresh) else callback for callback in model.method_callbacks
    ]
    return note


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("chunk", [4096, 40])
def test_neighbours_of_inputs_then_of_the_embedding(
    tmp_path: Path, metric: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("callbacks.neighbour_refresh", "functional.neighbours", "distributed"):
        monkeypatch.setattr(f"lightning_dc.{module}.CHUNK_SIZE", chunk)
    monkeypatch.setattr("lightning_dc.callbacks.neighbour_refresh._ROWS_OF_A_BLOCK", 64)
    model = scan()
    note = noted(model, Note(5, metric, None, 3, None))
    trainer(tmp_path).fit(model, ArrayDataModule(X, batch_size=40, scaling="none"))
    assert [step for step, _, _ in note.seen] == [0, 3, 6, 0, 3]
    for number, (_, neighbours, z) in enumerate(note.seen):
        space = X.astype(np.float32) if number == 0 else z
        search = NearestNeighbors(n_neighbors=5, algorithm="brute", metric=metric).fit(space)
        distances, expected = search.kneighbors()
        found = neighbours.numbers.numpy()
        assert np.mean(found == expected) > 0.99  # the rest are ties, up to rounding
        squares = 2 * distances if metric == "cosine" else distances**2
        np.testing.assert_allclose(neighbours.similarity, np.exp(-squares / squares.mean()), atol=1e-3)
    before, after = (set(enumerate_pairs(note.seen[number][1].numbers)) for number in (0, 1))
    assert note.seen[0][1].changed is None
    assert np.isclose(note.seen[1][1].changed, 1 - len(before & after) / len(before))


def enumerate_pairs(numbers: torch.Tensor) -> list[tuple[int, int]]:
    return [(row, int(number)) for row, found in enumerate(numbers) for number in found]


def test_methods_that_read_no_neighbours_do_not_search_them(tmp_path: Path) -> None:
    weights = {"entropy": 1.0, "balance": 2.0}
    model = scan(consistency=PhaseConfig(max_steps=8, loss_weights=weights), self_labelling=PhaseConfig())
    note = noted(model, Note(5))
    trainer(tmp_path).fit(model, ArrayDataModule(X, batch_size=40))
    assert note.seen == []
    assert model.state.neighbours is None


def test_too_many_neighbours_are_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="k=150 neighbours must be fewer than the 150 samples"):
        trainer(tmp_path).fit(scan(neighbours=NeighbourConfig(k=150)), ArrayDataModule(X))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k=0 neighbours must be at least 1"),
        ({"space": "outputs"}, "space='outputs' is unknown; choose from inputs, embedding"),
        ({"metric": "manhattan"}, "metric='manhattan' is unknown; choose from euclidean, cosine"),
        ({"every_n_steps": 3, "every_n_epochs": 1}, "are both set"),
    ],
)
def test_bad_settings(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        scan(neighbours=NeighbourConfig(**arguments))


@pytest.mark.parametrize("space", ["inputs", "embedding"])
def test_all_searches_are_in_the_space_that_was_asked_for(tmp_path: Path, space: str) -> None:
    model = scan()
    note = noted(model, Note(5, "euclidean", space, 3, None))
    trainer(tmp_path).fit(model, ArrayDataModule(X, batch_size=40, scaling="none"))
    for _, neighbours, z in note.seen:
        search = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(X if space == "inputs" else z)
        assert np.mean(neighbours.numbers.numpy() == search.kneighbors()[1]) > 0.99


def test_inputs_are_read_in_parts_if_they_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = []
    for most in (1 << 26, 300):
        monkeypatch.setattr("lightning_dc.callbacks.neighbour_refresh.LARGE_TABLE", most)
        monkeypatch.setattr("lightning_dc.callbacks.neighbour_refresh.CHUNK_SIZE", 40)
        monkeypatch.setattr("lightning_dc.distributed.CHUNK_SIZE", 40)
        torch.manual_seed(0)
        model = scan(consistency=PhaseConfig(max_steps=1, loss_weights=WEIGHTS), self_labelling=PhaseConfig())
        trainer(tmp_path).fit(model, ArrayDataModule(X, batch_size=40))
        assert model.state.neighbours is not None
        tables.append(model.state.neighbours.numbers)
    assert torch.equal(*tables)
