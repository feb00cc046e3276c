"""Passes over the whole training set, the same on any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_dc.batch import Batch, SampleLoader, as_batch
from lightning_dc.distributed import CHUNK_SIZE, owned_chunks, owned_rows, sum_, world
from lightning_dc.errors import InputError
from lightning_dc.functional import agreement_scores, assignment_entropy, contingency_table, soft_frequencies
from lightning_dc.training.module import ClusteringModule


class FullAssignment(NamedTuple):
    """Assignments of the whole training set.

    Attributes:
        frequencies: soft cluster frequencies, (K,), float64.
        entropy: mean entropy of the soft assignments, nats, scalar.
        labels: most likely cluster of each sample, (N,), int32.
        y: class of each sample, (N,), int64; None without labels.
        q: soft assignments, (N, K); None unless asked for.
        z: embeddings, (N, D); None unless asked for.
        targets: as in :class:`~lightning_dc.batch.Batch`, (N,) or (N, T); None without.
    """

    frequencies: Tensor
    entropy: Tensor
    labels: Tensor
    y: Tensor | None
    q: Tensor | None
    z: Tensor | None
    targets: Tensor | None

    def scores(self, labels: Tensor | None = None) -> dict[str, float]:
        """ACC, NMI and ARI; empty without a single known class.

        Args:
            labels: other clusters to score than ``labels``, (N,); those of -1, noise, count as one more cluster.
        """
        if self.y is None or bool((self.y < 0).all()):
            return {}
        clusters = self.labels if labels is None else labels.to(self.y.device)
        n_clusters = max(len(self.frequencies), int(clusters.max()) + 1)
        clusters = torch.where(clusters < 0, n_clusters, clusters)
        table = contingency_table(clusters, self.y, n_clusters + 1, int(self.y.max()) + 1)
        return agreement_scores(table.cpu().numpy())


def read_owned(module: ClusteringModule, loader: SampleLoader) -> Iterator[tuple[slice, Batch]]:
    """Rows and batch, on the device, of each chunk of the training set that this process owns."""
    for rows in owned_chunks(loader.n_samples):
        batch = module.trainer.strategy.batch_to_device(loader.read(rows.start, rows.stop), module.device)
        yield rows, module.trainer.precision_plugin.convert_input(batch)


def embed_owned(module: ClusteringModule, loader: SampleLoader) -> Tensor:
    """Embeddings of this process's rows of the training set, (n, D), float32 at least.

    The rows are those of :func:`~lightning_dc.distributed.owned_rows`, in their order.
    """
    table = _table(module, len(owned_rows(loader.n_samples)), module.head.latent_dim)
    start = 0
    for _, _, z in _chunks(module, loader):
        table[start : start + len(z)] = z
        start += len(z)
    return table


def embed_batch(module: ClusteringModule, batch: Batch) -> Tensor:
    """Embeddings of a batch that is on the device, (B, D), float32 at least: in evaluation mode, without gradients."""
    with torch.no_grad(), _evaluating(module), module.trainer.precision_plugin.forward_context():
        return module.embed(batch.x)


def assign_all(
    module: ClusteringModule, loader: SampleLoader, *, keep_q: bool = False, keep_z: bool = False
) -> FullAssignment:
    """Assign a whole data set: the training set, or the one that is held out.

    Chunk c belongs to rank c mod W, and every row and every chunk's sum has one owner: the result is the same, to the
    last bit, for any number of processes.

    Args:
        module: the model.
        loader: the data.
        keep_q: also return the (N, K) table of soft assignments.
        keep_z: also return the (N, D) table of embeddings.
    """
    n_samples, n_clusters, device = loader.n_samples, module.head.n_clusters, module.device
    sums = torch.zeros(-(-n_samples // CHUNK_SIZE), n_clusters + 1, dtype=torch.float64, device=device)
    labels = torch.zeros(n_samples, dtype=torch.int32, device=device)
    classes = torch.zeros(n_samples, dtype=torch.int64, device=device)
    labelled = torch.zeros(1, dtype=torch.int64, device=device)
    q_table = _table(module, n_samples, n_clusters) if keep_q else None
    z_table = _table(module, n_samples, module.head.latent_dim) if keep_z else None
    first = loader.read(0, 1).targets  # their shape, on a process that owns no chunk, too
    targets = None if first is None else first.new_zeros(n_samples, *first.shape[1:], device=device)
    for rows, batch, z in _chunks(module, loader):
        with torch.no_grad():
            q = module.head(z)
        chunk = rows.start // CHUNK_SIZE
        sums[chunk, :-1] = soft_frequencies(q)
        sums[chunk, -1] = assignment_entropy(q) * len(q)
        labels[rows] = q.argmax(1).to(torch.int32)
        if batch.y is not None:
            classes[rows] = batch.y
            labelled.fill_(1)
        if q_table is not None:
            q_table[rows] = q
        if z_table is not None:
            z_table[rows] = z
        if targets is not None and batch.targets is not None:
            targets[rows] = batch.targets
    for tensor in (sums, labels, classes, labelled, q_table, z_table, targets):
        if tensor is not None:
            sum_(tensor)
    total = sums.sum(0)
    return FullAssignment(
        frequencies=total[:-1],
        entropy=total[-1] / n_samples,
        labels=labels,
        y=classes if labelled.item() else None,
        q=q_table,
        z=z_table,
        targets=targets,
    )


def predict_all(module: ClusteringModule, predict: Callable[[Tensor], Tensor], loader: SampleLoader) -> Tensor:
    """What a function of the model says of a whole data set, (N, ...), in evaluation mode and without gradients.

    Args:
        module: the model.
        predict: from samples, (B, *input_shape), to what it says of them, (B, ...).
        loader: the data.
    """
    table: Tensor | None = None
    with torch.no_grad(), _evaluating(module), module.trainer.precision_plugin.forward_context():
        for rows, batch in read_owned(module, loader):
            said = predict(batch.x)
            if table is None:
                table = said.new_zeros(loader.n_samples, *said.shape[1:])
            table[rows] = said
        if table is None:  # fewer chunks than processes
            batch = module.trainer.strategy.batch_to_device(loader.read(0, 1), module.device)
            said = predict(module.trainer.precision_plugin.convert_input(batch).x)
            table = said.new_zeros(loader.n_samples, *said.shape[1:])
    return sum_(table)


def training_loader(module: ClusteringModule) -> SampleLoader:
    """The loader of the run's training data, as one that can be read in index order.

    Raises:
        InputError: it cannot be, or it can't be shared between processes.
    """
    loader = module.trainer.train_dataloader
    if isinstance(loader, SampleLoader):
        return loader
    if not isinstance(loader, DataLoader) or not hasattr(loader.dataset, "__len__"):
        raise InputError(
            f"the training loader is a {type(loader).__name__}; give a ClusteringDataModule or a DataLoader over a "
            "data set with a length"
        )
    if world()[1] > 1:
        raise InputError(
            "a DataLoader can't be shared exactly between processes; use a ClusteringDataModule with strategy "
            f"'{type(module.trainer.strategy).__name__}', or one process"
        )
    return _DataLoaderReader(loader)


class _DataLoaderReader:
    """Reads the data set of a user's DataLoader in index order."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._loader = loader
        self.n_samples = len(cast(Any, loader.dataset))
        self.sample_ids = torch.arange(self.n_samples)

    def read(self, start: int, stop: int) -> Batch:
        samples = [self._loader.dataset[i] for i in range(start, min(stop, self.n_samples))]
        batch = as_batch(self._loader.collate_fn(samples))
        if not torch.equal(batch.index.cpu(), self.sample_ids[start:stop]):
            raise InputError("index of a sample must be its place in the data set, 0 to N - 1; return it as given")
        return batch

    def __iter__(self) -> Iterator[Batch]:
        return map(as_batch, self._loader)

    def __len__(self) -> int:
        return len(self._loader)


def _table(module: ClusteringModule, n_rows: int, n_columns: int) -> Tensor:
    return torch.zeros(n_rows, n_columns, dtype=module.wide_dtype, device=module.device)


def _chunks(module: ClusteringModule, loader: SampleLoader) -> Iterator[tuple[slice, Batch, Tensor]]:
    """Rows, batch and embedding of each chunk that this process owns."""
    for rows, batch in read_owned(module, loader):
        yield rows, batch, embed_batch(module, batch)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; every submodule gets its own flag back."""
    flags = {child: child.training for child in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for child, flag in flags.items():
            child.training = flag
