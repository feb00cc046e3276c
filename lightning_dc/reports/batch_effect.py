"""Agreement of the clusters with batches of measurements, which they should not follow."""

from __future__ import annotations

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray

from lightning_dc.reports.closing_table import Rows
from lightning_dc.training import ClusteringModule, FullAssignment, record, training_loader

_FOLLOWS = 0.3


def batch_agreement(clusters: NDArray[np.int64], batches: NDArray[np.int64]) -> float:
    """Return the mutual information of clusters and batches, corrected for chance (Vinh et al. 2010).

    It is divided by the smaller one of both entropies, so that clusters that divide each kind of sample by its batch
    have 1, however many kinds there are.

    Args:
        clusters: cluster of each sample, (N,).
        batches: batch of each sample, (N,).

    Returns:
        At most 1; near 0 if batches are mixed in all clusters, or if there is a single batch or cluster.

    Example:
        >>> batch_agreement(np.array([0, 1, 2, 3] * 5), np.array([0, 0, 1, 1] * 5))
        1.0
    """
    if len(np.unique(clusters)) < 2 or len(np.unique(batches)) < 2:
        return 0.0
    from sklearn.metrics import adjusted_mutual_info_score

    return min(1.0, float(adjusted_mutual_info_score(batches, clusters, average_method="min")))


def rows_of_batches(module: ClusteringModule, final: FullAssignment) -> Rows:
    """Return the row of the closing table that tells how far the clusters follow the batches; none without batches.

    Where they do, a warning says so. Samples of an unknown batch do not count; if all are unknown, there is no row.

    Args:
        module: the trained method.
        final: assignments of the training set by the final model.
    """
    batches = module.data_description.source_batches
    if batches is None:
        return []
    codes = batches.codes[training_loader(module).source_rows.numpy()]
    known = codes >= 0
    if not known.any():
        return []
    agreement = batch_agreement(final.labels.cpu().numpy()[known], codes[known])
    record(module, {"final/batch_ami": agreement})
    if agreement >= _FOLLOWS:
        rank_zero_warn(
            f"The clusters follow {batches.name!r} (AMI {agreement:.2f}): samples of one kind may be in different "
            "clusters because of where they were measured; correct the inputs for it before clustering"
        )
    meaning = "follow it" if agreement >= _FOLLOWS else "do not follow it" if agreement < 0.1 else "follow it in part"
    return [(f"clusters and {batches.name}", f"AMI {agreement:.4f}, the clusters {meaning}")]
