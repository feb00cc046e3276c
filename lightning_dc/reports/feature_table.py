"""Table of the inputs at the end of a fit: their importance, and the differences between clusters."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lightning_dc.batch import SampleLoader
from lightning_dc.files import check_ending, whole_csv
from lightning_dc.functional import standardized_differences
from lightning_dc.reports.figures import draw_clusters, draw_inputs
from lightning_dc.reports.input_statistics import InputStatistics, input_statistics
from lightning_dc.reports.report import Report
from lightning_dc.training import ClusteringModule, FullAssignment, embed_rows, record_figure, training_loader

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_INPUTS = 30  # that are drawn
_MOST_POINTS = 5000
_MOST_NUMBERS = 1 << 24  # in all inputs of the points that are drawn


class FeatureTable(Report):
    """Report of the inputs for any method: a table in the run's folder, and two figures.

    The report is made if the inputs have names, or if the method weighs its inputs, as DeepType does. For texts,
    :class:`~lightning_dc.reports.RunSummary` reports their terms instead. The table has a row for each input:

    - ``rank``, ``feature`` (its name), ``index`` (its column in the data). The first input is the most important one
      or, without importances, the one that separates some cluster from all other samples best.
    - If the method weighs its inputs, ``importance`` (for DeepType, the norm of its group's weights in the input layer)
      and ``selected`` (1 unless the importance is exactly zero).
    - ``mean``, and for each cluster ``mean_cluster_0`` ...: its mean in the training samples, in the unit of the data
      as ``load`` of the DataModule returns them. This is the unit before scaling; logarithms stay logarithms, as the
      name of the input tells (``log1p(income)``), and the mean of a one-hot input is a share. With ``scaling=unit``
      the means are left out, since this scaling cannot be reversed. Means are rounded to a thousandth of the input's
      standard deviation or more finely.
    - ``standardized_difference_cluster_0`` ...: mean in the cluster minus mean in all other samples, in pooled standard
      deviations of the two (:func:`~lightning_dc.functional.standardized_differences`); ``inf`` if the input is
      constant within both.

    A cluster without samples has neither means nor differences, and a cluster with all samples has no differences:
    their fields are empty.

    One figure shows importances and standardised differences. The other one shows the clusters in the first two
    principal components of the representation and of the inputs, scaled as the model sees them.

    Args:
        file_name: file of the table in the run's folder, ``.csv``; None leaves table and figures out.

    Raises:
        InputError: ``file_name`` has another ending.
    """

    def __init__(self, file_name: str | None = "features.csv") -> None:
        if file_name is not None:
            check_ending(file_name, "features.file_name", [".csv"])
        self.file_name = file_name

    def applies(self, module: ClusteringModule) -> bool:
        data = module.data_description
        named = data.feature_names is not None and not data.has_terms
        return self.file_name is not None and (named or module.importance is not None)

    def collect(self, module: ClusteringModule, final: FullAssignment) -> InputStatistics:
        """Return sums of the inputs over each cluster."""
        n_inputs, n_clusters = math.prod(module.model.input_shape), module.model.head.n_clusters
        labels = final.labels.to(module.device)  # on which processes add up their sums
        return input_statistics(training_loader(module), labels, n_clusters, n_inputs).cpu()

    def write(
        self, module: ClusteringModule, final: FullAssignment, collected: InputStatistics, folder: Path | None
    ) -> None:
        if folder is None or self.file_name is None:
            return
        loader, names = training_loader(module), module.feature_names
        differences = standardized_differences(collected.sizes, collected.sums, collected.squares)
        importance = None if module.importance is None else module.importance.detach().double().cpu()
        weight = differences.abs().nan_to_num(0.0, posinf=math.inf).amax(0) if importance is None else importance
        order = weight.argsort(descending=True, stable=True)
        means = _means_in_unit(loader, collected, module.model.input_shape)
        _write(folder / self.file_name, names, order, importance, means, differences)
        shown = order[:_MOST_INPUTS]
        own_importance = None if importance is None else importance[shown]
        drawn = draw_inputs([names[j] for j in shown.tolist()], own_importance, differences[:, shown])
        record_figure(module, "inputs/clusters", drawn)
        record_figure(module, "clusters/representation", _draw_samples(module, loader, final))


def _means_in_unit(
    loader: SampleLoader, statistics: InputStatistics, input_shape: Sequence[int]
) -> list[list[str]] | None:
    """Return the means of each input, (F, 1 + K), in all samples and in each cluster, rounded, in the unit of the data.

    The result is None if scaling cannot be reversed.
    """
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
    """Format a number, rounded to a thousandth of the spread or more finely; NaN gives an empty string."""
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


def _draw_samples(module: ClusteringModule, loader: SampleLoader, final: FullAssignment) -> Figure:
    """Draw at most 5,000 samples that are spread evenly over the training set."""
    n_samples, n_numbers = len(final.labels), math.prod(module.model.input_shape)
    n_points = min(n_samples, _MOST_POINTS, max(_MOST_NUMBERS // n_numbers, 100))
    chosen = torch.linspace(0, n_samples - 1, n_points).long()
    batch = loader.take(chosen)
    # Without a table of embeddings, there were too many to keep them.
    z = embed_rows(module, loader, chosen) if final.z is None else final.z[chosen.to(final.z.device)]
    labels = final.labels[chosen.to(final.labels.device)]
    return draw_clusters(z.cpu(), batch.x.flatten(1).cpu(), labels.cpu(), module.model.head.n_clusters)
