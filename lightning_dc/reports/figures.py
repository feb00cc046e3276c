"""Figures of reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from lightning_dc.reports.reliability import ReliabilityBin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_LETTERS = 40  # of a name in a figure
_MOST_TICKS = 40


def draw_inputs(names: list[str], importance: Tensor | None, differences: Tensor) -> Figure:
    """Draw the importance of inputs beside their standardised differences in each cluster.

    Args:
        names: name of each input, (F,).
        importance: importance of each input, (F,); None leaves its panel out.
        differences: standardised difference of each input in each cluster, (K, F).
    """
    from matplotlib.figure import Figure

    drawn = [_shorten(name) for name in names]
    n_clusters, n_panels = len(differences), 1 if importance is None else 2
    widths = [3.5, max(3.0, 0.35 * min(n_clusters, _MOST_TICKS))][-n_panels:]  # inches
    size = (1.5 + 0.1 * max(map(len, drawn)) + sum(widths), max(1.5 + 0.25 * len(drawn), 3.0))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, n_panels, sharey=True, squeeze=False, width_ratios=widths)[0]
    if importance is not None:
        panels[0].barh(range(len(drawn)), importance.numpy())
        panels[0].set_xlabel("importance")
        panels[0].ticklabel_format(axis="x", scilimits=(-2, 3))  # long labels of small numbers would overlap
    heat, limit = panels[-1], _colour_limit(differences)
    image = heat.imshow(
        differences.clamp(-limit, limit).T.numpy(), aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit
    )
    for k, j in differences.isinf().nonzero().tolist():
        sign = "∞" if differences[k, j] > 0 else "-∞"
        heat.text(k, j, sign, color="white", ha="center", va="center", clip_on=True)
    panels[0].set_yticks(range(len(drawn)), drawn, parse_math=False)  # a name may contain dollar signs
    heat.set_xlabel("cluster")
    heat.set_xticks(range(0, n_clusters, -(-n_clusters // _MOST_TICKS)))
    figure.colorbar(image, ax=heat, label="standardised difference")
    return figure


def draw_clusters(z: Tensor, x: Tensor, labels: Tensor, n_clusters: int) -> Figure:
    """Draw clusters in the first two principal components of the representation and of the inputs.

    Args:
        z: representations, (n, D).
        x: inputs, scaled as the model sees them, (n, F).
        labels: cluster of each sample, (n,).
        n_clusters: number of clusters K.
    """
    from matplotlib.figure import Figure
    from sklearn.decomposition import PCA

    figure = Figure(figsize=(9.0, 4.5), layout="constrained")
    n_colours = 10 if n_clusters <= 10 else 20
    colours = {"c": labels.numpy() % n_colours, "cmap": f"tab{n_colours}", "vmin": 0, "vmax": n_colours - 1}
    panels = (("representation", z), ("scaled inputs", x))
    for axes, (title, rows) in zip(figure.subplots(1, 2), panels, strict=True):
        components = PCA(min(2, *rows.shape), random_state=0).fit_transform(rows.double().numpy()).T
        second = components[1] if len(components) > 1 else np.zeros(len(rows))
        points = axes.scatter(components[0], second, s=6, **colours)
        axes.set(title=title, xlabel="first principal component")
        axes.set_ylabel("second principal component" if len(components) > 1 else "")
    if n_clusters <= n_colours:
        figure.legend(*points.legend_elements(num=None), title="cluster", loc="outside right upper", frameon=False)
    return figure


def draw_reliability(curves: Mapping[str, Sequence[ReliabilityBin]]) -> Figure:
    """Draw the shares of samples that keep their cluster over the probabilities with which they should.

    Args:
        curves: bins of each probability by its name; the area of a point is in proportion to its number of samples.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="calibrated")
    for number, (name, bins) in enumerate(curves.items()):
        largest = max(each.n_samples for each in bins)
        points = [each.predicted for each in bins], [each.kept for each in bins]
        axes.plot(*points, color=f"C{number}", label=name)
        axes.scatter(*points, s=[8 + 80 * each.n_samples / largest for each in bins], color=f"C{number}")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal", xlabel="predicted probability")
    axes.set_ylabel("share that keeps its cluster in unseen refits of the head")
    axes.legend(loc="upper left", frameon=False)
    return figure


def _shorten(name: str) -> str:
    """Return a name that fits beside a figure; a long one keeps both ends, since names often differ at the end."""
    half = _MOST_LETTERS // 2
    return name if len(name) <= _MOST_LETTERS else f"{name[:half]}…{name[1 - half :]}"


def _colour_limit(differences: Tensor) -> float:
    """Return the largest finite absolute difference, which gets the darkest colour; 1 if all are 0."""
    return float(differences.abs().where(differences.isfinite(), 0.0).max()) or 1.0
