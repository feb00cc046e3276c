"""Which inputs carry the model, and which tell a cluster from the rest."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from lightning_dc.batch import SampleLoader
from lightning_dc.callbacks.access import clustering_module
from lightning_dc.distributed import CHUNK_SIZE, sum_
from lightning_dc.functional import standardized_differences
from lightning_dc.losses import GroupSparsity
from lightning_dc.predictions import whole_csv
from lightning_dc.training import ClusteringModule, assign_all, read_owned, record_figure, training_loader

_MOST_DRAWN = 30
_MOST_POINTS = 5000


class FeatureImportance(Callback):
    """At the end of a fit, a table of the inputs in the run's folder, and two figures in TensorBoard.

    The table has a row an input, the most important first: ``rank``, ``feature`` (its name), ``index`` (its column in
    the data), ``importance`` (the norm of its group's weights in the input layer), ``selected`` (1 unless those are
    exactly zero), and for each cluster its standardised mean difference from all other samples: signed, in standard
    deviations. One figure draws importances and differences, the other the clusters in the first two principal
    components of the representation and of the raw inputs. A run that has dropped every input ends with a warning.

    Args:
        file_name: name of the table.
        term: name of the :class:`~lightning_dc.losses.GroupSparsity` term whose groups and norm count.
    """

    def __init__(self, file_name: str = "features.csv", term: str = "sparsity") -> None:
        self.file_name = file_name
        self.term = term

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = clustering_module(pl_module)
        if module.assignments is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        full = assign_all(module, training_loader(module), keep_z=True)
        differences = _differences(module, full.labels).cpu()
        folder = trainer.log_dir  # on every rank: it is a broadcast
        if not trainer.is_global_zero or folder is None:
            return
        sparsity = module.losses[self.term]
        assert isinstance(sparsity, GroupSparsity)
        importance = sparsity.scores(module.autoencoder.input_layer.weight)[sparsity.of_input].cpu()
        if not bool(importance.any()):
            rank_zero_warn(
                "The weights of all inputs are zero, so neither predictions nor clusters depend on the data. Lower "
                f"loss_weights.{self.term} in all phases, or penalise all inputs alike with gamma=null"
            )
        order = importance.argsort(descending=True, stable=True)
        names = module.feature_names
        path = Path(folder) / self.file_name
        with whole_csv(path) as file:
            writer = csv.writer(file)
            clusters = [f"cluster_{k}" for k in range(len(differences))]
            writer.writerow(["rank", "feature", "index", "importance", "selected", *clusters])
            for rank, j in enumerate(order.tolist(), start=1):
                score = float(importance[j])
                writer.writerow([rank, names[j], j, score, int(score > 0), *differences[:, j].tolist()])
        if not any(isinstance(logger, TensorBoardLogger) for logger in trainer.loggers):
            return
        shown = order[:_MOST_DRAWN]
        bars = _draw_importance([names[j] for j in shown.tolist()], importance[shown], differences[:, shown])
        record_figure(module, "inputs/importance", bars)
        assert full.z is not None
        record_figure(module, "clusters/representation", _draw_clusters(module, full.z.cpu(), full.labels.cpu()))


def _differences(module: ClusteringModule, labels: Tensor) -> Tensor:
    loader, n_clusters = training_loader(module), module.head.n_clusters
    n_inputs = module.autoencoder.input_layer.in_features
    sums = torch.zeros(2, n_clusters, n_inputs, dtype=torch.float64, device=module.device)
    for rows, batch in read_owned(module, loader):
        x, own = batch.x.flatten(1).double(), labels[rows].long()
        sums[0].index_add_(0, own, x)
        sums[1].index_add_(0, own, x.square())
    sum_(sums)
    return standardized_differences(torch.bincount(labels, minlength=n_clusters), sums[0], sums[1])


def _draw_importance(names: list[str], importance: Tensor, differences: Tensor) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 1.5 + 0.25 * len(names)), layout="constrained")
    bars, heat = figure.subplots(1, 2, sharey=True)
    bars.barh(names, importance.numpy())
    bars.invert_yaxis()
    bars.set_xlabel("norm of the input's weights")
    bars.ticklabel_format(axis="x", scilimits=(-2, 3))  # those of a ridge are small, and long numbers would overlap
    limit = max(float(differences.abs().max()), 1e-6)
    image = heat.imshow(differences.T.numpy(), aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit)
    heat.set_xlabel("cluster")
    heat.set_xticks(range(len(differences)))
    figure.colorbar(image, ax=heat, label="difference from the rest (standard deviations)")
    return figure


def _draw_clusters(module: ClusteringModule, z: Tensor, labels: Tensor) -> Any:
    from matplotlib.figure import Figure
    from sklearn.decomposition import PCA

    loader = training_loader(module)
    chosen = torch.linspace(0, len(z) - 1, min(len(z), _MOST_POINTS)).long()
    x = _read_rows(loader, chosen)
    figure = Figure(figsize=(9.0, 4.5), layout="constrained")
    for axes, title, rows in zip(figure.subplots(1, 2), ("representation", "raw inputs"), (z[chosen], x), strict=True):
        plane = PCA(min(2, rows.shape[1]), random_state=0).fit_transform(rows.double().numpy())
        axes.scatter(
            plane[:, 0], plane[:, -1], c=labels[chosen].numpy(), s=6, cmap="tab10" if labels.max() < 10 else "tab20"
        )
        axes.set(title=title, xlabel="first principal component", ylabel="second principal component")
    return figure


def _read_rows(loader: SampleLoader, rows: Tensor) -> Tensor:
    """Inputs of some rows in ascending order, (n, F): a read for each stretch of the data that has some of them."""
    parts = []
    for start in range(0, loader.n_samples, CHUNK_SIZE):
        own = rows[(rows >= start) & (rows < start + CHUNK_SIZE)]
        if len(own) > 0:
            parts.append(loader.read(start, min(start + CHUNK_SIZE, loader.n_samples)).x.cpu().flatten(1)[own - start])
    return torch.cat(parts)
