"""The end of a fit: clusters in a file, figures in a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from lightning_dc.callbacks.access import clustering_module
from lightning_dc.callbacks.phase_scheduler import PhaseScheduler
from lightning_dc.predictions import check_prediction_ending, write_predictions
from lightning_dc.training import ClusteringModule, assign_all, record, training_loader


class RunSummary(Callback):
    """Assigns the training set with the final model, writes the clusters, and prints a table of the run.

    Args:
        file_name: file of the clusters in the run's folder, ``.parquet`` or ``.npz``.
    """

    def __init__(self, file_name: str = "clusters.parquet") -> None:
        check_prediction_ending(file_name, "summary.file_name")
        self.file_name = file_name

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        if module.assignments is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
            if trainer.is_global_zero:
                print(f"\nTraining has stopped in phase {module.phase.name!r}, before there were clusters")
            return
        loader = training_loader(module)
        full = assign_all(module, loader, keep_q=True, keep_z=True)
        assert full.q is not None
        assert full.z is not None
        sizes = torch.bincount(full.labels, minlength=module.head.n_clusters)
        scores = full.scores()
        record(module, {f"final/{name}": score for name, score in scores.items()})
        folder = trainer.log_dir  # on every rank: it is a broadcast
        if trainer.is_global_zero and folder is not None:
            path = Path(folder) / self.file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_predictions(path, loader.sample_ids, full.z, full.q)
            self._print(trainer, module, scores, sizes.tolist(), float(full.entropy), path)

    def _print(
        self,
        trainer: pl.Trainer,
        module: ClusteringModule,
        scores: dict[str, float],
        sizes: list[int],
        entropy: float,
        path: Path,
    ) -> None:
        from tabulate import tabulate

        rows: list[tuple[str, Any]] = [(name.upper(), f"{score:.4f}") for name, score in scores.items()]
        rows.append(("entropy", f"{entropy:.4f} nats"))
        if module.assignments is not None and module.assignments.changed is not None:
            rows.append(("labels changed", f"{module.assignments.changed:.3%} at the last refresh"))
        rows.append(("cluster sizes", _fold(sizes)))
        if not module.phases_over:
            rows.append(("stopped early", f"in phase {module.phase.name!r}"))
        scheduler = next(
            callback
            for callback in trainer.callbacks  # type: ignore[attr-defined]
            if isinstance(callback, PhaseScheduler)
        )
        rows += [(f"seconds {name}", f"{seconds:.1f}") for name, seconds in scheduler.seconds.items()]
        rows.append(("seconds in all", f"{sum(scheduler.seconds.values()):.1f}"))
        rows.append(("clusters", path))
        checkpoint = trainer.checkpoint_callback
        if isinstance(checkpoint, ModelCheckpoint):
            rows.append(("checkpoint", checkpoint.last_model_path or checkpoint.best_model_path))
        rows.append(("TensorBoard", f"tensorboard --logdir {path.parent}"))
        print("\n" + tabulate(rows, tablefmt="simple_outline", disable_numparse=True) + "\n")


def _fold(sizes: list[int], width: int = 60) -> str:
    lines = [""]
    for size in map(str, sizes):
        if len(lines[-1]) + len(size) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {size}".strip()
    return "\n".join(lines)
