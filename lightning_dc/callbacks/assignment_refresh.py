"""Refresh of the assignments of the whole training set."""

from __future__ import annotations

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from lightning_dc.callbacks.refresh import Refresh
from lightning_dc.functional import size_statistics
from lightning_dc.heads import CentroidHead
from lightning_dc.kmeans import kmeans
from lightning_dc.randomness import mix_seed
from lightning_dc.training import (
    LARGE_TABLE,
    Assignments,
    ClusteringModule,
    FullAssignment,
    assign_all,
    embed_chunks,
    embed_owned,
    place_centroids,
    record,
    sample_chunks,
    training_loader,
)

_MOST_LOGGED_CLUSTERS = 50


class AssignmentRefresh(Refresh):
    """Callback that assigns the training set when a phase with clusters begins, and then every n steps or epochs.

    It compares the clusters with those of the previous refresh, keeps them in the state of the run, and logs the share
    of labels that changed, entropy, cluster sizes and, if there are labels, ACC, NMI and ARI.

    A cluster without a single sample gets no gradient and would stay empty. It is therefore reported, and its centroid
    moves to one of the samples that are farthest from their centroids, as in k-means.

    Args:
        every_n_steps: optimizer steps between two refreshes; with both None, there is one at the beginning of a phase.
        every_n_epochs: epochs between two refreshes, instead of ``every_n_steps``.
        repair_empty: whether the centroids of empty clusters are moved.
        restart_optimizer: whether the optimizer starts anew with each refresh.

    Raises:
        InputError: an interval is out of range.
    """

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
        repair_empty: bool = True,
        restart_optimizer: bool = False,
    ) -> None:
        super().__init__(every_n_steps, every_n_epochs)
        self.repair_empty = repair_empty
        self.restart_optimizer = restart_optimizer

    def needs_q(self, module: ClusteringModule) -> bool:
        """Return whether :meth:`on_refresh` needs the soft assignments of all samples."""
        return False

    def on_refresh(self, module: ClusteringModule, full: FullAssignment) -> None:
        """Use the assignments of a refresh; a subclass may override this method."""

    @torch.no_grad()
    def refresh(self, module: ClusteringModule, *, is_first: bool) -> None:
        loader, n_clusters = training_loader(module), module.model.head.n_clusters
        keep_q = self.needs_q(module)
        full = assign_all(module, loader, keep_q=keep_q)
        dead = (torch.bincount(full.labels, minlength=n_clusters) == 0).nonzero()[:, 0]
        if len(dead) > 0 and self.repair_empty:
            if isinstance(module.model.head, CentroidHead):
                outcome = _move_empty_centroids(module, module.model.head, dead)
                full = assign_all(module, loader, keep_q=keep_q)
            else:
                outcome = (
                    f"{type(module.model.head).__name__} has no centroid to move; a balance loss may bring it back"
                )
            clusters = ", ".join(map(str, dead.tolist()))
            rank_zero_info(f"Step {module.global_step}: no sample is left in cluster {clusters}; {outcome}")
        self.on_refresh(module, full)
        if self.restart_optimizer and not is_first:  # a phase begins with a new optimizer anyway
            module.trainer.strategy.setup_optimizers(module.trainer)
        before = module.state.assignments
        changed = None
        if before is not None and not is_first:
            differ = before.labels.to(full.labels.device) != full.labels
            changed = float(differ.sum()) / len(full.labels)
        module.state.assignments = Assignments(module.global_step, full.labels, changed)
        record(module, _scalars(full, changed, n_clusters) | {"clusters/died": float(len(dead))})


def _move_empty_centroids(module: ClusteringModule, head: CentroidHead, dead: Tensor) -> str:
    """Move the centroids of dead clusters to the samples that are farthest from their centroids; return the outcome."""
    loader = training_loader(module)
    n_total: int | None = loader.n_samples
    if loader.n_samples * head.latent_dim > LARGE_TABLE:  # look only at a part of the samples
        generator = torch.Generator().manual_seed(mix_seed(module.state.seed, module.global_step))
        chunks = sample_chunks(loader.n_samples, head.latent_dim, head.n_clusters, generator)
        z, n_total = embed_chunks(module, loader, chunks)[1], None
    else:
        z = embed_owned(module, loader)
    centroids = head.centroids.to(z.dtype)
    # One iteration of k-means moves the centroids of empty clusters; the others stay where training has moved them.
    repaired = kmeans(z, head.n_clusters, init=centroids, max_iter=1, n_total=n_total).centroids
    moved = (repaired[dead] != centroids[dead]).any(1)
    if bool(moved.any()):
        place_centroids(module, repaired[dead[moved]], dead[moved])
    if bool(moved.all()):
        return "moved to the samples that are farthest from their centroids"
    return "there are not enough samples off their centroids to move it to; the embedding may have collapsed"


def _scalars(full: FullAssignment, changed: float | None, n_clusters: int) -> dict[str, float]:
    """Return the scalars to log after a refresh, by name."""
    sizes = torch.bincount(full.labels, minlength=n_clusters)
    scalars = {"train/entropy": float(full.entropy)}
    if changed is not None:
        scalars["train/labels_changed"] = changed
    scalars |= {f"train/{name}": score for name, score in full.scores().items()}
    scalars |= {f"clusters/{name}": value for name, value in size_statistics(sizes).items()}
    if n_clusters <= _MOST_LOGGED_CLUSTERS:
        scalars |= {f"clusters/size_{k:02d}": float(size) for k, size in enumerate(sizes.tolist())}
    return scalars
