"""Tests that a run gives the same results if it is killed and resumed, and on one process and two."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.distributed.exactness_scenarios import KILLS, METHODS, STEPS_PER_EPOCH
from tests.helpers.processes import run_command

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("exactness")
    script = Path(__file__).with_name("exactness_scenarios.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    run_command([sys.executable, str(script), str(folder)], environment=environment, timeout_s=600)
    return {path.stem: torch.load(path, weights_only=True) for path in folder.glob("*.pt")}


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("kill", KILLS)
def test_killed_and_resumed_is_bitwise_the_same(results: Results, kill: str, world_size: int) -> None:
    whole, resumed = results[f"whole_{world_size}"], results[f"{kill}_{world_size}"]
    assert resumed["steps"] == whole["steps"] == 6 * STEPS_PER_EPOCH
    assert torch.equal(resumed["weights"], whole["weights"])
    assert torch.equal(resumed["labels"], whole["labels"])
    assert torch.equal(resumed["frequencies"], whole["frequencies"])


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize(("method", "kill"), [(name, kill) for name in METHODS for kill in METHODS[name].kills])
def test_other_methods_killed_and_resumed_are_bitwise_the_same(
    results: Results, method: str, kill: str, world_size: int
) -> None:
    whole, resumed = results[f"{method}_whole_{world_size}"], results[f"{method}_{kill}_{world_size}"]
    assert resumed["steps"] == whole["steps"] == METHODS[method].n_steps
    assert torch.equal(resumed["weights"], whole["weights"])
    assert torch.equal(resumed["labels"], whole["labels"])


@pytest.mark.parametrize("method", METHODS)
def test_other_methods_on_two_processes_equal_one_in_float64(results: Results, method: str) -> None:
    """DeepType has risk sets of the global batch, missing times, and weights that are exactly zero."""
    one, two = results[f"{method}_float64_1"], results[f"{method}_float64_2"]
    assert one["weights"].dtype == torch.float64
    torch.testing.assert_close(two["weights"], one["weights"], rtol=0, atol=1e-12)
    assert torch.equal(two["weights"] == 0, one["weights"] == 0)
    assert method != "deeptype" or (one["weights"] == 0).sum() > 16
    assert torch.equal(two["labels"], one["labels"])
    assert len(one["labels"].unique()) == 5 or method in ("own_parts", "scan")  # whose heads begin at random
    assert len(one["labels"].unique()) > 1


def test_two_processes_equal_one_in_float64(results: Results) -> None:
    one, two = results["float64_1"], results["float64_2"]
    assert one["weights"].dtype == torch.float64
    torch.testing.assert_close(two["weights"], one["weights"], rtol=0, atol=1e-12)
    assert torch.equal(two["labels"], one["labels"])
    torch.testing.assert_close(two["frequencies"], one["frequencies"], rtol=0, atol=1e-9)
    torch.testing.assert_close(two["final"], one["final"], rtol=0, atol=1e-9)


def test_mini_batch_k_means_on_two_processes_equals_one(results: Results) -> None:
    one, two = results["mini_batch_1"], results["mini_batch_2"]
    torch.testing.assert_close(two["weights"], one["weights"], rtol=0, atol=1e-12)
    assert torch.equal(two["labels"], one["labels"])
    assert not torch.equal(one["weights"], results["float64_1"]["weights"])


def test_pieces_of_assignments_make_up_the_tables(results: Results) -> None:
    assert all(result["pieces_are_whole"] for result in results.values())


def test_two_processes_equal_one_in_float32(results: Results) -> None:
    one, two = results["whole_1"], results["whole_2"]
    torch.testing.assert_close(two["weights"], one["weights"], rtol=0, atol=1e-4)
    assert (two["labels"] != one["labels"]).sum() == 0


def test_weights_are_the_same_on_all_ranks(results: Results) -> None:
    assert all(result["ranks_agree"] for result in results.values())


def test_a_checkpoint_of_two_processes_resumes_on_one(results: Results) -> None:
    torch.testing.assert_close(results["from_2_to_1"]["weights"], results["whole_1"]["weights"], rtol=0, atol=1e-4)
    assert torch.equal(results["from_2_to_1"]["labels"], results["whole_1"]["labels"])


def test_the_stop_on_label_change_comes_at_the_same_step_everywhere(results: Results) -> None:
    stopped = results["tolerance_1"]["steps"]
    assert 3 * STEPS_PER_EPOCH < stopped < 6 * STEPS_PER_EPOCH
    assert (stopped - 3 * STEPS_PER_EPOCH) % 7 == 0  # at a refresh, with no step after it
    assert results["tolerance_2"]["steps"] == stopped
    assert results["tolerance_resumed"]["steps"] == stopped
    assert torch.equal(results["tolerance_resumed"]["weights"], results["tolerance_1"]["weights"])


def test_training_has_moved_the_weights(results: Results) -> None:
    assert not torch.equal(results["whole_1"]["weights"], results["tolerance_1"]["weights"])


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("stop", ["twice", "max_steps"])
def test_runs_that_go_on_within_an_epoch_are_bitwise_the_same(results: Results, stop: str, world_size: int) -> None:
    """Resumed from a checkpoint of a resumed run, and from one of a fit that ``max_steps`` has stopped in an epoch."""
    whole, resumed = results[f"whole_{world_size}"], results[f"{stop}_{world_size}"]
    assert resumed["steps"] == whole["steps"]
    assert torch.equal(resumed["weights"], whole["weights"])
    assert torch.equal(resumed["labels"], whole["labels"])


@pytest.mark.parametrize(("method", "whole"), [("dec", "float64_1"), ("dcn", "dcn_float64_1")])
def test_runs_in_float64_resume_with_the_same_bits(results: Results, method: str, whole: str) -> None:
    resumed = results[f"{method}_resumed_float64"]
    assert resumed["weights"].dtype == torch.float64
    assert torch.equal(resumed["weights"], results[whole]["weights"])
