"""Tests of passes over the training set on two processes, of which one fails or owns nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules import ArrayDataModule, ClusteringDataModule, Samples, SyntheticDataModule
from lightning_dc.distributed import CHUNK_SIZE
from lightning_dc.training import assign_all, sample_chunks
from tests.helpers.methods import dec, trainer
from tests.helpers.processes import run_on_two_processes

X = np.random.default_rng(0).normal(size=(4 * CHUNK_SIZE + 100, 6)).astype("f4")


def assign_with_a_sink_that_fails(rank: int) -> tuple[str, int]:
    """Return the error of a pass and the pieces of its sink; on rank 0 the sink fails at its second piece."""
    pieces: list[slice] = []

    def sink(rows: slice, q: Tensor, z: Tensor) -> None:
        pieces.append(rows)
        if rank == 0 and len(pieces) == 2:
            raise OSError("disk full")

    model = dec()
    model.trainer = trainer(Path())
    try:
        assign_all(model, ArrayDataModule(X).train_dataloader(), sink=sink)
    except Exception as error:
        return f"{type(error).__name__}: {error}", len(pieces)
    return "", len(pieces)


@pytest.mark.distributed
def test_a_sink_that_fails_keeps_no_process_waiting(tmp_path: Path) -> None:
    first, second = run_on_two_processes(assign_with_a_sink_that_fails, tmp_path)
    assert first == ("OSError: disk full", 2)
    assert second == ("RuntimeError: another process has failed; see its message", 3)


class Learned(ClusteringDataModule):
    """DataModule of one chunk of samples with targets."""

    def load(self) -> Samples:
        return SyntheticDataModule(n_samples=300, n_features=6, target="survival").load()

    @property
    def target_spec(self):  # type: ignore[no-untyped-def]
        return SyntheticDataModule(n_samples=300, n_features=6, target="survival").target_spec


def targets_of(rank: int) -> tuple[Tensor, list[tuple[int, int]]]:
    """Return the targets, and the ranges of rows that were read."""
    torch.manual_seed(0)
    loader, ranges = Learned().train_dataloader(), []
    read = loader.read

    def reading(start: int, stop: int):  # type: ignore[no-untyped-def]
        ranges.append((start, stop))
        return read(start, stop)

    loader.read = reading  # type: ignore[method-assign]
    model = dec()
    model.trainer = trainer(Path())
    targets = assign_all(model, loader).targets
    assert targets is not None
    return targets, ranges


@pytest.mark.distributed
def test_targets_are_known_to_a_process_without_a_chunk(tmp_path: Path) -> None:
    alone, ranges = targets_of(0)
    assert ranges == [(0, 300)]
    assert alone.shape == (300, 2)
    first, second = run_on_two_processes(targets_of, tmp_path)
    assert torch.equal(first[0], alone)
    assert torch.equal(second[0], alone)
    assert (first[1], second[1]) == ([(0, 300)], [(0, 1)])


@pytest.mark.parametrize(("latent_dim", "n_clusters", "expected"), [(10, 10, 64), (1024, 10, 4), (4096, 9000, 4)])
def test_a_sample_of_chunks_has_room_for_all_clusters(latent_dim: int, n_clusters: int, expected: int) -> None:
    chunks = sample_chunks(1_000_000, latent_dim, n_clusters, torch.Generator().manual_seed(0))
    assert len(chunks) == len(set(chunks)) == expected
    assert len(chunks) * CHUNK_SIZE >= n_clusters
