"""Writing of scalars and figures to the loggers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightning.pytorch.loggers import TensorBoardLogger

from lightning_dc.files import whole_file
from lightning_dc.training.module import ClusteringModule

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def record(module: ClusteringModule, values: dict[str, float]) -> None:
    """Write scalars to every logger of the run at the current global step, whatever ``log_every_n_steps`` says.

    The scalar ``epoch`` is added, as Lightning does. The loggers are told to write their files at once.
    """
    for logger in module.trainer.loggers:
        logger.log_metrics(values | {"epoch": module.current_epoch}, step=module.global_step)
        logger.save()  # so that curves can be watched


def record_figure(module: ClusteringModule, name: str, figure: Figure) -> None:
    """Write a figure to the TensorBoard logs of the run at the current global step, on the first process.

    Without such a log it becomes a PNG file in the run's folder: ``clusters/sizes`` is ``clusters_sizes.png``, which a
    later figure of this name replaces.
    """
    logs = [logger for logger in module.trainer.loggers if isinstance(logger, TensorBoardLogger)]
    for logger in logs:
        logger.experiment.add_figure(name, figure, module.global_step)
    if not logs and module.run_folder is not None:
        with whole_file(module.run_folder / f"{name.replace('/', '_')}.png") as file:
            figure.savefig(file, format="png")
