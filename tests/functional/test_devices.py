"""A guard for GPUs that needs none: what runs at each step must not wait for the device, and must be deterministic.

It watches the operations that PyTorch runs on the CPU. A number for Python, a mask as an index and other results whose
shape depends on the values make the host wait for a GPU. Some kernels of CUDA raise an error where
``torch.use_deterministic_algorithms`` is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, get_args

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lightning_dc.functional import (
    InputGroups,
    Norm,
    Ties,
    assignment,
    cox_loss,
    group_norms,
    group_penalty,
    kl_divergence,
    known_targets,
    mean_squared_error,
    nearest_centroids,
    norms,
    project_to_bound,
    proximal_step,
    soft_frequencies,
    squared_distances,
    student_t_assignment,
    supervised_losses,
    target_distribution,
)
from lightning_dc.kmeans import counted_update_

WAITS = {
    *("_local_scalar_dense", "equal", "is_nonzero", "nonzero", "nonzero_numpy", "masked_select", "argwhere"),
    *("unique_consecutive", "unique_dim", "_unique", "_unique2", "bincount"),
}
NO_DETERMINISTIC_KERNEL = {"put_", "histc", "kthvalue", "median", "nanmedian", "_ctc_loss", "grid_sampler_2d_backward"}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
FLOATING = {"cumsum", "cumsum_", "cumprod", "cumprod_"}


class DeviceGuard(TorchDispatchMode):
    """Raises an error at an operation that would wait for a GPU, or for which CUDA has no deterministic kernel."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func.overloadpacket.__name__, kwargs or {}
        assert name not in WAITS, f"{name} waits for the device"
        assert not (name == "repeat_interleave" and "output_size" not in kwargs), "repeat_interleave of sizes waits"
        masks = [i for i in tree_leaves(args[1]) if i is not None and i.dtype == torch.bool] if name in INDEXING else []
        assert not masks, "a mask as an index waits for the device"
        assert name not in NO_DETERMINISTIC_KERNEL, f"{name} has no deterministic kernel"
        assert not (name in FLOATING and args[0].is_floating_point()), f"{name} of floating-point numbers has none"
        sums = name in ("scatter_reduce", "scatter_reduce_") and args[4 if len(args) > 4 else -1] in ("sum", "mean")
        assert not sums, f"{name} by sums has no deterministic kernel"
        return func(*args, **kwargs)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def run_guarded(function: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Run a function and the gradient of its result for the inputs that need one."""
    with DeviceGuard():
        result = function(*inputs)
        if result.requires_grad:
            torch.autograd.grad(result.sum(), [x for x in inputs if x.requires_grad])


NAN = float("nan")
Z, C = numbers(12, 3).requires_grad_(), numbers(4, 3, seed=1).requires_grad_()
Q = torch.softmax(numbers(12, 4), 1).requires_grad_()
TIMES = torch.tensor([[1.0, 1], [2, 0], [2, 1], [2, 1], [NAN, 1], [3, NAN], [5, 1], [0.5, 0]], dtype=torch.float64)
VALUES = numbers(8, 3, seed=2).masked_fill(numbers(8, 3, seed=3) > 1, NAN)
GROUPS = {"single": InputGroups.of(None, 6), "several": InputGroups.of([[0, 3], [1], [2, 5, 4]], 6)}
WEIGHT = numbers(5, 6, seed=4).requires_grad_()

STEPS: dict[str, Callable[[], None]] = {
    "squared_distances": lambda: run_guarded(squared_distances, Z, C),
    "nearest_centroids": lambda: run_guarded(nearest_centroids, Z, C),
    "student_t_assignment": lambda: run_guarded(student_t_assignment, Z, C),
    "target_distribution": lambda: run_guarded(target_distribution, Q.detach(), soft_frequencies(Q.detach())),
    "kl_divergence": lambda: run_guarded(kl_divergence, Q.detach(), Q),
    "mean_squared_error": lambda: run_guarded(mean_squared_error, Z.detach(), Z),
    "class": lambda: run_guarded(lambda o: supervised_losses(o, torch.tensor([1, -1] * 6), "class"), Q),
    "multilabel": lambda: run_guarded(lambda o: supervised_losses(o, (VALUES > 0).double(), "multilabel"), Z[:8]),
    "value": lambda: run_guarded(lambda o: supervised_losses(o, VALUES, "value"), Z[:8]),
    "known_targets": lambda: run_guarded(lambda t: known_targets(t, "survival"), TIMES),
    "project_to_bound": lambda: run_guarded(lambda w: project_to_bound(w, 0.1), WEIGHT),
    "counted_update_": lambda: run_guarded(counted),
}


def counted() -> Tensor:
    centroids, counts = C.detach().clone(), torch.zeros(4)
    counted_update_(centroids, counts, Z, torch.arange(12) % 4, torch.ones(12))
    return centroids


@pytest.mark.parametrize("step", STEPS)
def test_a_step_does_not_wait(step: str) -> None:
    STEPS[step]()


@pytest.mark.parametrize("ties", get_args(Ties))
def test_coxs_loss_does_not_wait(ties: Ties) -> None:
    eta = numbers(8).requires_grad_()
    run_guarded(lambda value: cox_loss(value, TIMES[:, 0], TIMES[:, 1], ties), eta)


@pytest.mark.parametrize("norm", get_args(Norm))
@pytest.mark.parametrize("groups", GROUPS)
def test_norms_and_their_proximal_steps_do_not_wait(monkeypatch: pytest.MonkeyPatch, norm: Norm, groups: str) -> None:
    monkeypatch.setattr(norms, "_levels_by_rounds", norms._levels_by_sorting)  # as on other devices than CPUs
    run_guarded(lambda weight: group_norms(weight, norm, GROUPS[groups]), WEIGHT)
    run_guarded(lambda weight: group_penalty(weight, norm, GROUPS[groups]), WEIGHT)
    run_guarded(lambda weight: proximal_step(weight, norm, GROUPS[groups], 0.3), WEIGHT)


BAD: dict[str, Callable[[Tensor], object]] = {
    "item": lambda x: x.sum().item(),
    "bool": lambda x: bool((x > 0).any()),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "mask written": lambda x: x.clone().index_put_((x > 0,), torch.zeros(())),
    "equal": lambda x: torch.equal(x, x),
    "unique": lambda x: x.unique_consecutive(),
    "repeats": lambda x: torch.repeat_interleave(torch.tensor([1, 2])),
    "cumsum": lambda x: x.cumsum(0),
    "kthvalue": lambda x: x.kthvalue(1),
    "scatter": lambda x: x.scatter_reduce(0, torch.zeros(3, dtype=torch.int64), x, "mean"),
}


@pytest.mark.parametrize("name", BAD)
def test_the_guard_finds(name: str) -> None:
    with DeviceGuard(), pytest.raises(AssertionError, match=r"waits|deterministic|has none"):
        BAD[name](numbers(3))


def test_the_guard_allows_what_is_deterministic() -> None:
    with DeviceGuard():
        x, order = numbers(3), torch.arange(3)
        (
            x.sort(),
            x.gt(0).cumsum(0),
            x[torch.tensor([0, 2])],
            x.masked_fill(x > 0, 1.0),
            x.scatter_reduce(0, order, x, "amax"),
        )


def exact_levels(magnitudes: Tensor, groups: InputGroups, radii: Tensor) -> Iterable[float]:
    """Project each group onto its l1 ball by sorting (Duchi et al. 2008), one after the other."""
    for number, radius in enumerate(radii.tolist()):
        u = magnitudes[:, groups.of_input == number].flatten().sort(descending=True).values
        excess = (u.cumsum(0) - radius) / torch.arange(1, len(u) + 1)
        member = (u > excess).nonzero()
        yield 0.0 if u.sum() <= radius else float(excess[member[-1, 0]]) if len(member) else float(u[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("groups", [*GROUPS.values(), InputGroups.of([[3], [1], [0], [5], [2], [4]], 6)])
@pytest.mark.parametrize("share", [0.0, 1e-3, 0.3, 0.999, 1.0, 1e30])
def test_levels_by_sorting_are_those_by_rounds(dtype: torch.dtype, groups: InputGroups, share: float) -> None:
    for seed in range(20):
        magnitudes = numbers(7, 6, seed=seed).abs() * 10.0 ** numbers(6, seed=seed + 1).mul(3).round()
        magnitudes[:, seed % 6] = 0.0 if seed % 3 == 0 else magnitudes[:, seed % 6].round(decimals=1)  # ties
        magnitudes = magnitudes.to(dtype)
        totals = norms.group_sums(magnitudes.sum(0), groups)
        radii = totals * share
        levels = []
        for find in (norms._levels_by_rounds, norms._levels_by_sorting):
            inside = totals <= radii
            levels.append(find(magnitudes, groups, radii, inside).clamp_min(0.0).masked_fill(inside, 0.0))
        largest = torch.zeros_like(radii).scatter_reduce(0, groups.of_input, magnitudes.amax(0), "amax")
        error = (levels[1] - levels[0]).abs() / largest.clamp_min(1e-30)
        assert error.max() <= 8 * torch.finfo(dtype).eps
        if dtype == torch.float64 and share < 1.0:
            expected = torch.tensor(list(exact_levels(magnitudes, groups, radii)), dtype=torch.float64)
            torch.testing.assert_close(levels[1], expected, rtol=1e-9, atol=1e-12 * float(largest.max()))


def test_differences_are_computed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values and gradients, also of second order, are those of all differences at once; none of these is kept."""
    z, c = numbers(23, 3).requires_grad_(), numbers(4, 3, seed=1).requires_grad_()

    def all_of() -> list[Tensor]:
        distances = squared_distances(z, c)
        first = torch.autograd.grad((distances.sin() ** 2).sum(), (z, c), create_graph=True)
        return [distances, *first, *torch.autograd.grad(sum(g.square().sum() for g in first), (z, c))]

    expected = all_of()
    monkeypatch.setattr(assignment, "_DIFFERENCES", 5 * 12)
    largest = Largest()
    with largest:
        found = all_of()
        with torch.no_grad():
            assert torch.equal(squared_distances(z, c), expected[0])
    assert largest.size == 5 * 12
    assert torch.equal(found[0], expected[0])
    for value, other in zip(found, expected, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-12, atol=1e-12)


class Largest(TorchDispatchMode):
    """Notes the number of elements of the largest result."""

    size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.size = max([self.size, *(t.numel() for t in tree_leaves(result) if isinstance(t, Tensor) and t.ndim == 3)])
        return result


@pytest.mark.parametrize(("n_points", "n_clusters"), [(0, 3), (1, 1), (9, 3)])
def test_blocks_of_one_row_and_none(monkeypatch: pytest.MonkeyPatch, n_points: int, n_clusters: int) -> None:
    z, c = numbers(n_points, 2), numbers(n_clusters, 2)
    expected = squared_distances(z, c)
    monkeypatch.setattr(assignment, "_DIFFERENCES", 1)
    assert torch.equal(squared_distances(z, c), expected)
