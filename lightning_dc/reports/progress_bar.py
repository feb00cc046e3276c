"""Progress bar of a run."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import TQDMProgressBar

from lightning_dc.training import clustering_module


class ClusteringProgressBar(TQDMProgressBar):
    """Progress bar of Lightning with the phase, the loss and the share of labels that changed at the last refresh.

    Args:
        refresh_rate: steps between two updates of the bar; an update takes about a tenth of a millisecond.
    """

    def __init__(self, refresh_rate: int = 50) -> None:
        super().__init__(refresh_rate=refresh_rate)

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        items = super().get_metrics(trainer, pl_module)
        items.pop("v_num", None)
        module = clustering_module(pl_module)
        items["phase"] = module.phase.name
        loss = trainer.callback_metrics.get("train/loss")
        if loss is not None:
            items["loss"] = f"{float(loss):.4f}"
        if module.state.assignments is not None and module.state.assignments.changed is not None:
            items["changed"] = f"{module.state.assignments.changed:.2%}"
        return items
