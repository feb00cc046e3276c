"""Plain sentences about the clusters of a run, for users without labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_dc.reports.cluster_tendency import ClusterTendency
from lightning_dc.reports.single_input import SingleInput

_MOST_UNEVEN = 10
_CLEARLY_LOWER = 0.05
_MOST_NAMES = 3
_CONFIDENT = 0.9
_CLEARLY_LESS_STABLE = 0.15


def tell_single_input(found: SingleInput | None, names: Sequence[str], *, can_standardise: bool = True) -> str | None:
    """Return a sentence if the clusters follow a single input (:func:`~.single_input.single_input`), else None.

    Args:
        found: the input.
        names: name of each input, (F,).
        can_standardise: whether ``--data.scaling standard`` would give inputs the same weight that have not got it.
    """
    if found is None:
        return None
    shown = ", ".join(names[j] for j in found.columns[:_MOST_NAMES])
    shown += ", ..." if len(found.columns) > _MOST_NAMES else ""
    advice = "If it should not decide the clusters, give it less weight or leave it out of the data."
    if can_standardise:
        advice = (
            "If its unit is what makes it so large, --data.scaling standard gives all inputs the same weight; or leave "
            "it out of the data."
        )
    return (
        f"The clusters follow a single input, {shown}: a decision tree that sees nothing else finds them again "
        f"(adjusted Rand index {found.agreement:.2f}). {advice}"
    )


def tell_tendency(tendency: ClusterTendency | None, n_clusters: int) -> str | None:
    """Return a sentence if there are no clusters (:func:`~.cluster_tendency.cluster_tendency`), else None.

    Args:
        tendency: what k-means explains, on the inputs and shuffled.
        n_clusters: number of clusters K.
    """
    if tendency is None or tendency.is_clustered:
        return None
    return (
        f"There are no clusters: k-means with {n_clusters} clusters explains {tendency.share:.1%} of the variance of "
        f"the inputs, and {tendency.mean:.1%} (standard deviation {tendency.deviation:.1%}) where each input is "
        "shuffled by itself. The clusters of this run are arbitrary parts; choose other inputs, another scaling "
        "(--data.scaling) or another number of clusters (--model.n_clusters)."
    )


def tell_uneven_sizes(
    labels: Tensor, baseline: Tensor, n_clusters: int, *, has_target: bool, assumes_balance: bool = True
) -> str | None:
    """Return a sentence if the largest cluster has more than 10 times the samples of the smallest one, else None.

    The clusters are those of the run or, if these are even, those of the baseline. There is no sentence if the method
    does not favour clusters of similar size.

    Args:
        labels: cluster of each sample, (N,).
        baseline: cluster of each sample by the baseline, (N,).
        n_clusters: number of clusters K.
        has_target: whether the method sharpens a target distribution that is normalised by the sizes of its clusters,
            as DEC and IDEC do.
        assumes_balance: whether the method favours clusters of similar size, as k-means and such a target do, and a
            Gaussian mixture does not.
    """
    if not assumes_balance:
        return None
    for name, clusters in (("clusters", labels), ("clusters of the baseline", baseline)):
        sizes = torch.bincount(clusters.to(torch.int64), minlength=n_clusters)
        smallest, largest = int(sizes.min()), int(sizes.max())
        if largest > _MOST_UNEVEN * smallest:
            who = "the target distribution of this method" if has_target else "k-means"
            return (
                f"The {name} are uneven (from {smallest:,} to {largest:,} samples), but {who} favours clusters of "
                "similar size, so that it may split large ones and join small ones. Compare with "
                "--summary.recluster '[gaussian_mixture, hdbscan]', which do not, or with another --model.n_clusters."
            )
    return None


def tell_better_baseline(own: float, baseline: float, space: str) -> str | None:
    """Return a sentence if the silhouette of the run's clusters is more than 0.05 below the baseline's, else None.

    Args:
        own: silhouette of the run's clusters.
        baseline: silhouette of the baseline's clusters in the same space.
        space: name of the space.
    """
    if not own < baseline - _CLEARLY_LOWER:  # a silhouette may be NaN
        return None
    return (
        f"K-means on the inputs separates its clusters better: its silhouette in {space} is {baseline:.2f}, that of "
        f"this run {own:.2f}. Compare the columns cluster and cluster_baseline in the file of clusters; "
        "--model AEKMeans --model.autoencoder Identity --model.pretraining.max_epochs 0 gives that clustering as a "
        "run of its own."
    )


def tell_unstable(confidence: float | None, stability: float) -> str | None:
    """Return a sentence if clusters are confident (at least 0.9), but by more than 0.15 less stable, else None.

    Args:
        confidence: mean confidence; None for hard clusters.
        stability: mean share of samples that keep their cluster in refits of the head.
    """
    if confidence is None or confidence < _CONFIDENT or stability > confidence - _CLEARLY_LESS_STABLE:
        return None
    return (
        f"The clusters look surer than they are: the mean confidence is {confidence:.2f}, but only {stability:.2f} of "
        "the samples keep their cluster if the head is fitted again to half of the samples. The column head_stability "
        "of the file of clusters has that probability for each sample; or choose another number of clusters "
        "(--model.n_clusters)."
    )
