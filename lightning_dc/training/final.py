"""The final assignment of a fit, which is made once for all that read it."""

from __future__ import annotations

from lightning.pytorch.callbacks import Callback
from torch import Tensor

from lightning_dc.training.full_pass import LARGE_TABLE, assign_all
from lightning_dc.training.loader import training_loader
from lightning_dc.training.module import ClusteringModule
from lightning_dc.training.sink import Sink
from lightning_dc.training.state import FullAssignment


class FinalReader(Callback):
    """Base class of callbacks that read the final assignment.

    Attributes:
        needs_tables: True if soft assignments and embeddings must be kept even if they are large.
    """

    needs_tables = False

    def sink(self, module: ClusteringModule) -> Sink | None:
        """Return a function that receives all rows piece by piece; on all processes, or on none.

        Args:
            module: the trained method.
        """
        return None


def final_assignment(module: ClusteringModule) -> FullAssignment | None:
    """Assign the training set with the final model, or return the assignment that an earlier call has made.

    All processes must call this function, since they share the work. Soft assignments and embeddings are kept if each
    has at most ``LARGE_TABLE`` numbers, or if a reader needs them; readers can take all rows piece by piece. Callbacks
    that change weights when training ends must come before the reports.

    Returns:
        The assignment, in main memory, which ``module.final`` keeps; None if training has ended before there were
        clusters, or in a ``fast_dev_run``.
    """
    trainer = module.trainer
    if module.state.assignments is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
        return None
    if module.final is None:
        readers = [callback for callback in trainer.callbacks if isinstance(callback, FinalReader)]  # type: ignore[attr-defined]
        sinks = [sink for reader in readers if (sink := reader.sink(module)) is not None]
        loader, head = training_loader(module), module.model.head
        is_small = loader.n_samples * max(head.n_clusters, head.latent_dim) <= LARGE_TABLE
        keep = is_small or any(reader.needs_tables for reader in readers)

        def hand_over(rows: slice, q: Tensor, z: Tensor) -> None:
            for sink in sinks:
                sink(rows, q, z)

        full = assign_all(
            module,
            loader,
            keep_q=keep,
            keep_z=keep,
            keep_output=module.model.task_head is not None,
            sink=hand_over if sinks else None,
        )
        module.final = full.cpu()
    return module.final
