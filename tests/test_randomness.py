"""Tests of counter-based random numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, kstest

from lightning_dc.randomness import StepRandom, mix_seed

CPU = torch.device("cpu")


@pytest.fixture
def set_world(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    def set_(rank: int, world_size: int) -> None:
        monkeypatch.setattr("lightning_dc.randomness.world", lambda: (rank, world_size))

    return set_


@given(st.lists(st.integers(-(2**63), 2**64 - 1), max_size=4))
def test_seeds_are_accepted_by_torch_and_repeat(counters: list[int]) -> None:
    seed = mix_seed(*counters)
    assert 0 <= seed < 2**63
    assert mix_seed(*counters) == seed
    assert torch.Generator().manual_seed(seed).initial_seed() == seed


def test_seeds_of_neighbouring_counters_differ_and_spread() -> None:
    seeds = np.array([mix_seed(seed, step) for seed in range(40) for step in range(50)])
    assert len(set(seeds.tolist())) == len(seeds)
    assert kstest(seeds / 2.0**63, "uniform").pvalue > 1e-3


def test_one_flipped_bit_of_a_counter_flips_half_of_the_seed() -> None:
    flips = [(mix_seed(7, 1000) ^ mix_seed(7, 1000 ^ (1 << bit))).bit_count() for bit in range(64)]
    assert np.mean(flips) == pytest.approx(31.5, abs=2.0)
    assert min(flips) > 12


def test_order_and_number_of_counters_matter() -> None:
    assert len({mix_seed(1, 2), mix_seed(2, 1), mix_seed(1), mix_seed(1, 2, 0), mix_seed()}) == 5


def test_uniform_numbers_are_uniform() -> None:
    numbers = StepRandom(0, 0, 2000, CPU).uniform("a", 3)
    assert numbers.shape == (2000, 3)
    assert numbers.dtype == torch.float32
    assert kstest(numbers.flatten().numpy(), "uniform").pvalue > 1e-3
    assert StepRandom(0, 0, 5, CPU).uniform("a", 2, dtype=torch.float64).dtype == torch.float64


@pytest.mark.parametrize(("world_size", "n_global"), [(2, 8), (3, 8), (4, 3)])
def test_rows_do_not_depend_on_the_number_of_processes(
    set_world: Callable[[int, int], None], world_size: int, n_global: int
) -> None:
    alone = StepRandom(5, 17, n_global, CPU)
    first, second = alone.uniform("a", 2, 3), alone.normal("b")
    for rank in range(world_size):
        set_world(rank, world_size)
        random = StepRandom(5, 17, n_global, CPU)
        assert torch.equal(random.uniform("a", 2, 3), first[rank::world_size])
        assert torch.equal(random.normal("b"), second[rank::world_size])


def test_dropout_does_not_depend_on_the_number_of_processes(set_world: Callable[[int, int], None]) -> None:
    x = torch.arange(1.0, 31.0).view(6, 5)
    whole = StepRandom(1, 2, 6, CPU).dropout("d", x, 0.5)
    for rank in range(2):
        set_world(rank, 2)
        assert torch.equal(StepRandom(1, 2, 6, CPU).dropout("d", x[rank::2], 0.5), whole[rank::2])


@pytest.mark.parametrize("other", [(0, 1), (1, 0)])
def test_another_seed_or_step_draws_other_numbers(other: tuple[int, int]) -> None:
    first = StepRandom(0, 0, 50, CPU).uniform("a")
    assert torch.equal(first, StepRandom(0, 0, 50, CPU).uniform("a"))
    assert not torch.equal(first, StepRandom(*other, 50, CPU).uniform("a"))


def test_draws_of_a_step_differ_by_their_names_and_not_by_their_order() -> None:
    random, other = StepRandom(0, 0, 50, CPU), StepRandom(0, 0, 50, CPU)
    first, second, noise = random.uniform("a"), random.uniform("b"), random.normal("c")
    assert not torch.equal(first, second)
    assert torch.equal(other.normal("c"), noise)
    assert torch.equal(other.uniform("b"), second)
    assert torch.equal(other.uniform("a"), first)
    assert torch.equal(random.uniform("a"), first)


def test_a_part_of_a_step_has_names_of_its_own() -> None:
    random = StepRandom(0, 0, 50, CPU)
    views = [random.scope(name).uniform("shift") for name in ("view 1", "view 2")]
    assert not torch.equal(*views)
    assert torch.equal(random.scope("view 1").uniform("shift"), views[0])
    assert not torch.equal(random.uniform("shift"), views[0])


def test_normal_numbers_are_normal() -> None:
    numbers = StepRandom(0, 0, 2000, CPU).normal("a", 3)
    assert numbers.shape == (2000, 3)
    assert kstest(numbers.flatten().numpy(), "norm").pvalue > 1e-3
    assert StepRandom(0, 0, 5, CPU).normal("a", 2, dtype=torch.float64).dtype == torch.float64


def test_the_global_generator_is_neither_read_nor_moved() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = StepRandom(0, 0, 10, CPU).uniform("a")
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(StepRandom(0, 0, 10, CPU).uniform("a"), first)


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_dropout_zeroes_a_share_of_p_and_scales_the_rest(p: float) -> None:
    x = torch.rand(400, 10, generator=torch.Generator().manual_seed(0)) + 1
    dropped = StepRandom(0, 0, 400, CPU).dropout("d", x, p)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], x[kept] / (1 - p))
    assert binomtest(int((~kept).sum()), kept.numel(), p).pvalue > 1e-3


def test_dropout_of_zero_draws_nothing() -> None:
    x = torch.rand(4, 3)
    random = StepRandom(0, 0, 4, CPU)
    assert torch.equal(random.dropout("d", x, 0.0), x)
    assert torch.equal(random.uniform("a"), StepRandom(0, 0, 4, CPU).uniform("a"))


def test_dropout_keeps_the_dtype() -> None:
    assert StepRandom(0, 0, 4, CPU).dropout("d", torch.ones(4, 3, dtype=torch.bfloat16), 0.5).dtype == torch.bfloat16
