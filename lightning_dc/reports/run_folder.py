"""Reading of the folder of a finished run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

_MOST_SAMPLES = 2000  # for the silhouette, whose time grows with the square of their number


class Run(NamedTuple):
    """Results of one fit of a setting.

    Attributes:
        ids: index of each training sample in the data, (n,), int64.
        labels: cluster of each training sample, (n,), int64.
        silhouette: mean silhouette of the representation; NaN with a single cluster.
        loss: held-out loss of the task; NaN without a task.
        selected: names of the inputs that were kept; None if the method does not select inputs.
    """

    ids: torch.Tensor
    labels: torch.Tensor
    silhouette: float
    loss: float
    selected: list[str] | None


def read_run(folder: Path, seed: int) -> Run:
    """Read the results of a fit from its folder.

    Args:
        folder: folder of the run, with ``clusters.parquet`` and TensorBoard's events.
        seed: seed of the samples for the silhouette.
    """
    from pyarrow import parquet
    from sklearn.metrics import silhouette_score
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

    table = parquet.read_table(folder / "clusters.parquet")
    labels = table["cluster"].to_numpy()
    z = np.stack([table[name].to_numpy() for name in table.column_names if name.startswith("z_")], 1)
    silhouette = float("nan")
    if len(np.unique(labels)) > 1:
        silhouette = silhouette_score(z, labels, sample_size=min(len(z), _MOST_SAMPLES), random_state=seed)
    events = EventAccumulator(str(folder))
    events.Reload()
    loss = events.Scalars("val/task")[-1].value if "val/task" in events.Tags()["scalars"] else float("nan")
    selected = None
    if (folder / "features.csv").exists():
        with (folder / "features.csv").open() as file:
            features = csv.DictReader(file)
            if "selected" in (features.fieldnames or ()):
                selected = [row["feature"] for row in features if row["selected"] == "1"]
    ids = torch.from_numpy(table["index"].to_numpy().copy())
    return Run(ids, torch.from_numpy(labels.astype(np.int64)), silhouette, loss, selected)
