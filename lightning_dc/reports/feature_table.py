"""The end of a fit: which inputs carry the model, and what the clusters are like in them."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from lightning_dc.batch import Batch, DataDescription, SampleLoader
from lightning_dc.distributed import CHUNK_SIZE, failing_together
from lightning_dc.functional import standardized_differences
from lightning_dc.reports.figures import draw_inputs
from lightning_dc.reports.files import check_ending, whole_csv
from lightning_dc.reports.input_statistics import InputSelector, InputStatistics, input_statistics
from lightning_dc.training import (
    ClusteringModule,
    assign_all,
    clustering_module,
    embed_batch,
    record_figure,
    training_loader,
)

_MOST_DRAWN = 30
_MOST_POINTS = 5000
_MOST_NUMBERS = 1 << 24  # of the points that are drawn, in the inputs


class FeatureTable(Callback):
    """A table of the inputs in the run's folder, and two figures in TensorBoard, whatever the method.

    It is made where inputs have names, and for a method that weighs its inputs, such as DeepType; texts have their
    terms instead (:class:`~lightning_dc.reports.RunSummary`). The table has a row an input:

    - ``rank``, ``feature`` (its name), ``index`` (its column in the data). The first is the most important one; without
      importances, the one that tells some cluster from the rest best.
    - Of a method that weighs its inputs ``importance`` (DeepType: the norm of its group's weights in the input layer)
      and ``selected`` (1 unless that is exactly zero).
    - ``mean``, and for each cluster ``mean_cluster_0`` ...: its mean in the training samples, in the unit of the data,
      as the DataModule's ``load`` has them: before scaling, logarithms of counts as logarithms, of a one-hot input the
      share. They are left out with ``scaling=unit``, which knows no way back. Digits go to a thousandth of the input's
      standard deviation at least.
    - ``standardized_difference_cluster_0`` ...: mean in the cluster minus mean in all other samples, in pooled standard
      deviations of the two (:func:`~lightning_dc.functional.standardized_differences`); ``inf`` where the input differs
      within neither.

    A cluster without samples has neither means nor differences, one with all samples no differences: such fields are
    empty.

    One figure draws importances and standardised differences, the other the clusters in the first two principal
    components of the representation and of the inputs, scaled as the model sees them.

    Args:
        file_name: file of the table in the run's folder, ``.csv``; None leaves table and figures out.

    Raises:
        InputError: another ending.
    """

    def __init__(self, file_name: str | None = "features.csv") -> None:
        if file_name is not None:
            check_ending(file_name, "features.file_name", [".csv"])
        self.file_name = file_name

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        if module.assignments is None or trainer.fast_dev_run or not self._applies(module):  # type: ignore[attr-defined]
            return
        loader = training_loader(module)
        labels = assign_all(module, loader).labels
        n_inputs = math.prod(module.autoencoder.input_shape)
        statistics = input_statistics(loader, labels, module.head.n_clusters, n_inputs).cpu()
        folder = trainer.log_dir  # on every rank: it is a broadcast
        with failing_together(module.device):
            if trainer.is_global_zero and folder is not None and self.file_name is not None:
                self._report(module, loader, labels, statistics, Path(folder) / self.file_name)

    @staticmethod
    def _report(
        module: ClusteringModule, loader: SampleLoader, labels: Tensor, statistics: InputStatistics, path: Path
    ) -> None:
        differences = standardized_differences(statistics.sizes, statistics.sums, statistics.squares)
        importance = module.importance.detach().double().cpu() if isinstance(module, InputSelector) else None
        weight = differences.abs().nan_to_num(0.0, posinf=math.inf).amax(0) if importance is None else importance
        order = weight.argsort(descending=True, stable=True)
        means = _means_in_unit(loader, statistics, module.autoencoder.input_shape)
        _write(path, module.feature_names, order, importance, means, differences)
        if any(isinstance(logger, TensorBoardLogger) for logger in module.trainer.loggers):
            shown = order[:_MOST_DRAWN]
            names = [module.feature_names[j] for j in shown.tolist()]
            drawn = draw_inputs(names, None if importance is None else importance[shown], differences[:, shown])
            record_figure(module, "inputs/clusters", drawn)
            record_figure(module, "clusters/representation", _draw_clusters(module, loader, labels.cpu()))

    def _applies(self, module: ClusteringModule) -> bool:
        data = DataDescription.of(module.trainer.datamodule)  # type: ignore[attr-defined]
        named = data.feature_names is not None and not data.has_terms
        return self.file_name is not None and (named or isinstance(module, InputSelector))


def _means_in_unit(
    loader: SampleLoader, statistics: InputStatistics, input_shape: Sequence[int]
) -> list[list[str]] | None:
    """Mean of each input in all samples and in each cluster, rounded; None where there is no way back to the unit."""
    scaled = torch.stack([statistics.mean, statistics.mean + statistics.deviation, *statistics.means])
    whole = scaled.view(-1, *input_shape)
    unscaled = loader.unscale(whole)
    if unscaled is None:
        return None
    mean, shifted, *means = unscaled.flatten(1)
    return [
        [_rounded(value, spread) for value in values]
        for values, spread in zip(torch.stack([mean, *means], 1).tolist(), (shifted - mean).tolist(), strict=True)
    ]


def _rounded(value: float, spread: float) -> str:
    """A number with digits to a thousandth of the spread at least; nothing for NaN."""
    if math.isnan(value):
        return ""
    if not spread > 0:
        return f"{value:.6g}"
    return f"{value:z.{max(3 - math.floor(math.log10(spread)), 0)}f}"


def _write(
    path: Path,
    names: Sequence[str],
    order: Tensor,
    importance: Tensor | None,
    means: list[list[str]] | None,
    differences: Tensor,
) -> None:
    clusters = [f"cluster_{k}" for k in range(len(differences))]
    with whole_csv(path) as file:
        writer = csv.writer(file)
        header = ["rank", "feature", "index"]
        header += [] if importance is None else ["importance", "selected"]
        header += [] if means is None else ["mean", *(f"mean_{cluster}" for cluster in clusters)]
        writer.writerow([*header, *(f"standardized_difference_{cluster}" for cluster in clusters)])
        for rank, j in enumerate(order.tolist(), start=1):
            row = [rank, names[j], j]
            row += [] if importance is None else [f"{float(importance[j]):.6g}", int(importance[j] > 0)]
            row += [] if means is None else means[j]
            writer.writerow([*row, *("" if math.isnan(d) else f"{d:z.4f}" for d in differences[:, j].tolist())])


def _draw_clusters(module: ClusteringModule, loader: SampleLoader, labels: Tensor) -> Any:
    from matplotlib.figure import Figure
    from sklearn.decomposition import PCA

    n_points = min(len(labels), _MOST_POINTS, max(_MOST_NUMBERS // math.prod(module.autoencoder.input_shape), 100))
    chosen = torch.linspace(0, len(labels) - 1, n_points).long()
    x = _read_rows(loader, chosen)
    batch = module.trainer.strategy.batch_to_device(Batch(x, None, chosen), module.device)
    z = embed_batch(module, module.trainer.precision_plugin.convert_input(batch)).cpu()
    figure = Figure(figsize=(9.0, 4.5), layout="constrained")
    n_colours = 10 if module.head.n_clusters <= 10 else 20
    colours = {"c": labels[chosen].numpy() % n_colours, "cmap": f"tab{n_colours}", "vmin": 0, "vmax": n_colours - 1}
    panels = (("representation", z), ("scaled inputs", x.flatten(1)))
    for axes, (title, rows) in zip(figure.subplots(1, 2), panels, strict=True):
        components = PCA(min(2, *rows.shape), random_state=0).fit_transform(rows.double().numpy()).T
        second = components[1] if len(components) > 1 else np.zeros(len(rows))
        points = axes.scatter(components[0], second, s=6, **colours)
        axes.set(title=title, xlabel="first principal component")
        axes.set_ylabel("second principal component" if len(components) > 1 else "")
    if module.head.n_clusters <= n_colours:
        figure.legend(*points.legend_elements(num=None), title="cluster", loc="outside right upper", frameon=False)
    return figure


def _read_rows(loader: SampleLoader, rows: Tensor) -> Tensor:
    """Inputs of some rows in ascending order, (n, *input_shape): a read for each stretch of the data that has some."""
    parts = []
    for start in range(0, loader.n_samples, CHUNK_SIZE):
        own = rows[(rows >= start) & (rows < start + CHUNK_SIZE)]
        if len(own) > 0:
            parts.append(loader.read(start, min(start + CHUNK_SIZE, loader.n_samples)).x.cpu()[own - start])
    return torch.cat(parts)
