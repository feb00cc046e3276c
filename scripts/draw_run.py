"""Draw a run: its clusters before and after the clustering phase, and its curves.

    python scripts/draw_run.py
    python scripts/draw_run.py dec_synthetic --output dec_synthetic.png -- --seed_everything 1

The run is `lightning-dc fit --config CONFIG` in a temporary folder, with the arguments after `--`. The left panel shows
the embeddings with which the phase `clustering` begins, coloured by the clusters of k-means; the middle panel shows the
embeddings of the final model, coloured by its clusters. Both are drawn in the first two principal components. The
right panels show the accuracy and the share of labels that have changed, at each refresh of the target distribution.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as pl
from common import new_parser, parse
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]
from torch import Tensor

from lightning_dc.cli import main as lightning_dc
from lightning_dc.reports import Report
from lightning_dc.training import ClusteringModule, FullAssignment, clustering_module, embed_owned, training_loader


class RunPicture(Report):
    """Report that draws the run; it needs a class attribute, since the command line creates it."""

    output: ClassVar[Path]

    def __init__(self) -> None:
        self._z: Tensor | None = None
        self._labels: Tensor | None = None

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        module = clustering_module(pl_module)
        if self._z is None and module.phase.name == "clustering":
            self._z = embed_owned(module, training_loader(module))

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        assignments = clustering_module(pl_module).state.assignments
        if self._labels is None and assignments is not None:
            self._labels = assignments.labels

    def write(self, module: ClusteringModule, final: FullAssignment, collected: Any, folder: Path | None) -> None:
        assert self._z is not None
        assert self._labels is not None
        assert final.z is not None
        assert folder is not None
        figure = Figure(figsize=(12.0, 4.0), layout="constrained")
        panels = figure.subplot_mosaic([["before", "after", "accuracy"], ["before", "after", "changes"]])
        draw_clusters(panels["before"], "before clustering: autoencoder, then k-means", self._z, self._labels)
        draw_clusters(panels["after"], "after clustering", final.z, final.labels)
        draw_curve(panels["accuracy"], folder, "train/acc", "accuracy")
        draw_curve(panels["changes"], folder, "train/labels_changed", "share of labels that changed")
        panels["changes"].set_xlabel("optimizer step")
        figure.savefig(self.output, dpi=100)


def draw_clusters(axes: Axes, title: str, z: Tensor, labels: Tensor) -> None:
    """Draw embeddings, (N, D), in their first two principal components, coloured by their clusters, (N,)."""
    first, second = PCA(2, random_state=0).fit_transform(z.double().cpu().numpy()).T
    axes.scatter(first, second, s=5, c=labels.cpu().numpy() % 10, cmap="tab10", vmin=0, vmax=9, linewidths=0)
    axes.set(title=title, xlabel="first principal component", ylabel="second principal component")


def draw_curve(axes: Axes, folder: Path, tag: str, title: str) -> None:
    """Draw a scalar that a run has logged to its folder at each refresh."""
    events = EventAccumulator(str(folder))
    events.Reload()
    scalars = events.Scalars(tag)
    axes.plot([one.step for one in scalars], [one.value for one in scalars], marker=".")
    axes.set_title(title)


def main() -> None:
    """Fit the configuration, and draw the run."""
    parser = new_parser(__doc__)
    parser.add_argument("config", nargs="?", default="dec_digits", help="a configuration of DEC or IDEC")
    parser.add_argument("--output", type=Path, default=Path("docs/images/run.png"), help="file of the picture")
    args = parse(parser)
    RunPicture.output = args.output.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        options = [f"--trainer.logger.init_args.save_dir={scratch}", "--trainer.callbacks+=draw_run.RunPicture"]
        lightning_dc(["fit", "--config", args.config, *options, *args.overrides])


if __name__ == "__main__":
    import draw_run  # under the name by which the command line finds it

    draw_run.main()
