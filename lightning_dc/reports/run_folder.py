"""Reading of the folder of a finished run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch


class Run(NamedTuple):
    """Results of one fit of a setting.

    Attributes:
        ids: index of each training sample in the data, (n,), int64.
        labels: cluster of each training sample, (n,), int64.
        silhouette_before: mean silhouette of the clusters in the embedding before clustering; NaN with a single
            cluster.
        silhouette_after: the same in the trained embedding.
        loss: held-out loss of the task; NaN without a task.
        selected: names of the inputs that were kept; None if the method does not select inputs.
        separation: depth of the valley between the two clusters that are separated least
            (:func:`~lightning_dc.reports.separation.separation`), in the embedding before clustering; NaN with a single
            cluster.
        clustered: 1 if k-means explains more of the inputs than of inputs that are shuffled, 0 if not; NaN where that
            is not known.
    """

    ids: torch.Tensor
    labels: torch.Tensor
    silhouette_before: float
    silhouette_after: float
    loss: float
    selected: list[str] | None
    separation: float = float("nan")
    clustered: float = float("nan")


def read_run(folder: Path) -> Run:
    """Read the results of a fit from its folder.

    Args:
        folder: folder of the run, with ``clusters.parquet`` and TensorBoard's events, among them those of
            :class:`~lightning_dc.reports.Silhouettes`.
    """
    from pyarrow import parquet
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

    table = parquet.read_table(folder / "clusters.parquet")
    labels = table["cluster"].to_numpy()
    events = EventAccumulator(str(folder))
    events.Reload()
    logged = events.Tags()["scalars"]

    def last(name: str) -> float:
        return events.Scalars(name)[-1].value if name in logged else float("nan")

    selected = None
    if (folder / "features.csv").exists():
        with (folder / "features.csv").open() as file:
            features = csv.DictReader(file)
            if "selected" in (features.fieldnames or ()):
                selected = [row["feature"] for row in features if row["selected"] == "1"]
    ids = torch.from_numpy(table["index"].to_numpy().copy())
    return Run(
        ids=ids,
        labels=torch.from_numpy(labels.astype(np.int64)),
        silhouette_before=last("final/silhouette_before"),
        silhouette_after=last("final/silhouette_after"),
        loss=last("val/task"),
        selected=selected,
        separation=last("final/separation"),
        clustered=last("final/clustered"),
    )
