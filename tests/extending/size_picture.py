"""A picture of a user's own at the end of a fit."""

from pathlib import Path

import torch
from matplotlib.figure import Figure

from lightning_dc.reports import Report
from lightning_dc.training import ClusteringModule, FullAssignment, record_figure


class SizePicture(Report):
    """Bars of the cluster sizes, in TensorBoard and as a PNG file.

    Args:
        file_name: name of the file in the folder of the run.
    """

    def __init__(self, file_name: str = "sizes.png") -> None:
        self.file_name = file_name

    def write(self, module: ClusteringModule, final: FullAssignment, collected: None, folder: Path | None) -> None:
        """Draw the figure from the assignments of the final model."""
        sizes = torch.bincount(final.labels, minlength=module.model.head.n_clusters).tolist()
        figure = Figure()
        figure.subplots().bar(range(len(sizes)), sizes)
        record_figure(module, "clusters/sizes", figure)
        if folder is not None:
            figure.savefig(folder / self.file_name)
