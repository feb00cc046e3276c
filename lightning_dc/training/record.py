"""Scalars to the loggers."""

from __future__ import annotations

from lightning_dc.training.module import ClusteringModule


def record(module: ClusteringModule, values: dict[str, float]) -> None:
    """Write scalars to every logger of the run at the current global step, whatever ``log_every_n_steps`` says."""
    for logger in module.trainer.loggers:
        logger.log_metrics(values, step=module.global_step)
