"""The parts of ``gpu_check.py`` that compare results with those of the CPU, or with themselves."""

from __future__ import annotations

import functools
import statistics
import warnings
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import lightning.pytorch as pl
import torch
from gpu_fits import FITS, augmented, relative_difference, run_fit, tensors_of
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor

from lightning_dc.functional import (
    InputGroups,
    Norm,
    assignment_entropy,
    contingency_table,
    cox_loss,
    group_norms,
    group_penalty,
    kl_divergence,
    mean_squared_error,
    nearest_centroids,
    project_to_bound,
    proximal_step,
    soft_frequencies,
    squared_distances,
    student_t_assignment,
    supervised_losses,
    target_distribution,
)
from lightning_dc.kmeans import kmeans, kmeans_plusplus

CPU = torch.device("cpu")


def _numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


_Z, _C, _W = _numbers(700, 6), _numbers(9, 6, seed=1), _numbers(20, 12, seed=2)
_Q = torch.softmax(2.0 * _numbers(700, 9, seed=3), 1)
_CLASSES = torch.randint(-1, 9, (700,), generator=torch.Generator().manual_seed(4))
_VALUES = _numbers(700, 6, seed=5).masked_fill(_numbers(700, 6, seed=6) > 1.5, float("nan"))
_TIMES = _numbers(700, seed=7).abs().mul(20).ceil()
_EVENTS = (_numbers(700, seed=8) > 0).double()
_GROUPS = InputGroups.of([[0, 3], [1], [2, 5, 4], [6, 7, 8, 9, 10, 11]], 12)


def _of_norm(function: Callable[..., Tensor], norm: Norm, weight: Tensor) -> Tensor:
    return function(weight, norm, _GROUPS.to(weight.device))


def _proximal(norm: Norm, weight: Tensor) -> Tensor:
    return proximal_step(weight.detach(), norm, _GROUPS.to(weight.device), 0.3)


# Functions of tensors, of which the floating ones are converted to a type and a device.
FUNCTIONS: dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "squared_distances": (squared_distances, (_Z, _C)),
    "nearest_centroids": (lambda z, c: nearest_centroids(z, c), (_Z, _C)),
    "student_t_assignment": (lambda z, c: student_t_assignment(z, c, 1.0), (_Z, _C)),
    "student_t_assignment, nu": (lambda z, c: student_t_assignment(z, c, 2.5), (_Z, _C)),
    "target_distribution": (lambda q: target_distribution(q, soft_frequencies(q)), (_Q,)),
    "assignment_entropy": (assignment_entropy, (_Q,)),
    "kl_divergence": (lambda p, q: kl_divergence(p.detach(), q), (_Q, _Q.flip(0))),
    "mean_squared_error": (mean_squared_error, (_Z, _Z.flip(0))),
    "class loss": (lambda o, t: supervised_losses(o, t, "class"), (_Q, _CLASSES)),
    "multilabel loss": (lambda o, t: supervised_losses(o, (t > 0).to(o.dtype), "multilabel"), (_Z, _VALUES)),
    "value loss": (lambda o, t: supervised_losses(o, t, "value"), (_Z, _VALUES)),
    "cox_loss, efron": (lambda e, t, d: cox_loss(e[:, 0], t, d, "efron"), (_Z, _TIMES, _EVENTS)),
    "cox_loss, breslow": (lambda e, t, d: cox_loss(e[:, 0], t, d, "breslow"), (_Z, _TIMES, _EVENTS)),
    **{
        f"{function.__name__}, {norm}": (functools.partial(_of_norm, function, norm), (_W,))
        for function in (group_norms, group_penalty)
        for norm in get_args(Norm)
    },
    **{f"proximal_step, {norm}": (functools.partial(_proximal, norm), (_W,)) for norm in get_args(Norm)},
    "project_to_bound": (lambda w: project_to_bound(w.detach(), 0.4), (_W,)),
    "contingency_table": (
        lambda a, b: contingency_table(a.clamp_min(0), b.clamp_min(0), 9, 9),
        (_CLASSES, _CLASSES.flip(0)),
    ),
    "kmeans_plusplus": (lambda x: kmeans_plusplus(x.detach(), 9, n_init=3), (_Z,)),
    "kmeans": (lambda x: kmeans(x.detach(), 9, n_init=3).centroids, (_Z,)),
    "kmeans, labels": (lambda x: kmeans(x.detach(), 9, n_init=3).labels, (_Z,)),
    "kmeans, weights": (
        lambda x, w: kmeans(x.detach(), 9, n_init=3, sample_weight=w.abs().detach()).centroids,
        (_Z, _TIMES),
    ),
    "kmeans, spherical": (lambda x: kmeans(x.detach(), 9, n_init=3, spherical=True).centroids, (_Z,)),
    "kmeans, random": (lambda x: kmeans(x.detach(), 9, n_init=3, init="random").centroids, (_Z,)),
}


Result = dict[str, Any]
"""Figures of a part as JSON has them, with ``faults``, the names of what went wrong, and a one-line ``summary``."""


def check_functions(args: Namespace, device: torch.device, scratch: Path) -> Result:
    """Compare values and gradients on a device with those of the CPU in float64."""
    differences: dict[str, float] = {}
    for name, (function, inputs) in FUNCTIONS.items():
        for dtype in (torch.float64, torch.float32):
            outputs = [
                _with_gradients(function, inputs, place, kind)
                for place, kind in ((CPU, torch.float64), (device, dtype))
            ]
            found = [relative_difference(value, expected) for expected, value in zip(*outputs, strict=True)]
            differences[f"{name}, {dtype}"] = max(found)
    limits = {name: 1e-9 if "float64" in name else 1e-3 for name in differences}
    faults = [name for name, difference in differences.items() if difference > limits[name]]
    return {"faults": faults, "differences": differences, "summary": f"{len(differences)} compared"}


def check_fits(args: Namespace, device: torch.device, scratch: Path) -> Result:
    """Compare fits of every method in float64 on a device with those of the CPU."""
    differences: dict[str, dict[str, float]] = {}
    for name, case in FITS.items():
        expected, found = (tensors_of(run_fit(case, place, precision="64-true")) for place in (CPU, device))
        differences[name] = {
            key: relative_difference(found[key], expected[key]) if key in found else float("inf") for key in expected
        }
    worst = {name: max(values.values()) for name, values in differences.items()}
    # Rounding differs between devices, and grows a little in each of some hundred steps.
    faults = [f"{name}: {worst[name]:.1e}" for name in worst if worst[name] > 1e-6 or differences[name]["labels"] > 0]
    return {"faults": faults, "differences": differences, "summary": f"largest difference {max(worst.values()):.1e}"}


def check_resume(args: Namespace, device: torch.device, scratch: Path) -> Result:
    """Compare deterministic fits to the last bit: the same again, and those that go on from the first's checkpoints."""
    every = ModelCheckpoint(scratch, "{step}", every_n_train_steps=35, save_top_k=-1)
    case = augmented()
    first = tensors_of(run_fit(case, device, callbacks=(every,), deterministic=True))
    others = {"again": tensors_of(run_fit(case, device, deterministic=True))}
    for path in sorted(scratch.glob("*.ckpt")):
        others[path.stem] = tensors_of(run_fit(case, device, ckpt_path=path, deterministic=True))
    faults = [
        f"{run}: {name}"
        for run, found in others.items()
        for name, value in found.items()
        if name != "losses" and not torch.equal(value, first[name])
    ]
    return {"faults": faults, "summary": f"{len(others)} fits equal, bit by bit" if not faults else ", ".join(faults)}


def check_waits(args: Namespace, device: torch.device, scratch: Path) -> Result:
    """Count waits for the device in training steps; the median step is one without a log, a refresh or k-means."""
    if device.type != "cuda":
        return {"faults": [], "summary": "only CUDA can count them"}
    medians, places = {}, {}
    for name, case in FITS.items():
        counter = WaitCounter()
        run_fit(case, device, callbacks=(counter,), log_every_n_steps=1000)
        medians[name] = statistics.median(counter.of_steps)
        places[name] = dict(counter.places.most_common(20))
    faults = [f"{name}: {median} in the median step" for name, median in medians.items() if median > 0]
    return {"faults": faults, "places": places, "summary": f"at most {max(medians.values())} in the median step"}


def check_files(args: Namespace, device: torch.device, scratch: Path) -> Result:
    """Apply checkpoints on another device than the one that has trained."""
    faults = []
    for trained_on, applied_on in ((CPU, device), (device, CPU)):
        case, path = FITS["dec"], scratch / f"{trained_on.type}.ckpt"
        every = ModelCheckpoint(scratch, trained_on.type, every_n_epochs=1, save_on_train_epoch_end=True)
        outcome = run_fit(case, trained_on, callbacks=(every,))
        module = type(outcome.module).load_from_checkpoint(path, map_location="cpu")
        data = case.data()
        trainer = pl.Trainer(accelerator=applied_on.type, devices=1, logger=False, enable_progress_bar=False)
        predictions = trainer.predict(module, data)
        assert predictions is not None
        labels = torch.cat([part["q"].argmax(1).cpu() for part in predictions])  # type: ignore[call-overload]
        assert outcome.module.final is not None
        n_differ = int((labels != outcome.module.final.labels).sum())
        if n_differ > 2:  # float32 on two devices
            faults.append(f"{n_differ} labels of {trained_on.type} differ on {applied_on.type}")
    return {"faults": faults, "summary": "both ways"}


def check_precision(args: Namespace, device: torch.device, scratch: Path) -> Result:
    """Run fits in the precisions of a GPU, under a distributed strategy of one process, and with a compiled step."""
    accuracies: dict[str, float | str] = {}
    settings: dict[str, dict[str, Any]] = {
        precision: {"precision": precision} for precision in ("32-true", "bf16-mixed", "16-mixed", "bf16-true")
    }
    settings["ddp"] = {"strategy": "ddp"}
    settings["accumulation"] = {"accumulate_grad_batches": 2}
    settings["clipping"] = {"gradient_clip_val": 1.0}
    settings["benchmark"] = {"benchmark": True}
    for name, setting in settings.items():
        try:
            final = run_fit(augmented(20, noise=0.0), device, **setting).module.final
            accuracies[name] = float("nan") if final is None else final.scores()["acc"]
        except Exception as error:
            accuracies[name] = f"{type(error).__name__}: {error}"[:300]
    faults = [f"{name}: {value}" for name, value in accuracies.items() if isinstance(value, str) or not value > 0.3]
    shown = ", ".join(f"{name} {value:.3f}" for name, value in accuracies.items() if isinstance(value, float))
    return {"faults": faults, "accuracies": accuracies, "summary": shown}


def _with_gradients(
    function: Callable[..., Tensor], inputs: tuple[Tensor, ...], device: torch.device, dtype: torch.dtype
) -> list[Tensor]:
    """Return the value of a function and, for each floating input, the gradient of a weighted sum of it, on the CPU."""
    own = [x.to(device, dtype).requires_grad_() if x.is_floating_point() else x.to(device) for x in inputs]
    value = function(*own)
    results = [value.detach()]
    if value.requires_grad:
        weights = torch.linspace(0.0, 1.0, value.numel(), dtype=torch.float64).to(value).view_as(value)
        gradients = torch.autograd.grad((weights * value).sum(), [x for x in own if x.requires_grad], allow_unused=True)
        results += [gradient for gradient in gradients if gradient is not None]
    return [result.cpu() for result in results]


class WaitCounter(Callback):
    """Callback that counts how often the host waits for the device, in each training step and at each line of code."""

    def __init__(self) -> None:
        self.places: Counter[str] = Counter()
        self.of_steps: list[int] = []
        self._recording: Any = None
        self._caught: list[warnings.WarningMessage] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._end_step()
        self._recording = warnings.catch_warnings(record=True)
        self._caught = self._recording.__enter__()
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._end_step()

    def _end_step(self) -> None:
        """End the step that has begun: callbacks that act after it, and the next batch, belong to it."""
        if self._recording is None:
            return
        torch.cuda.set_sync_debug_mode("default")
        self._recording.__exit__(None, None, None)
        self._recording = None
        found = [caught for caught in self._caught if "synchronizing" in str(caught.message)]
        self.of_steps.append(len(found))
        self.places.update(f"{Path(caught.filename).name}:{caught.lineno}" for caught in found)
