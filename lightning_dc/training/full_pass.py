"""Passes over the whole training set, the same on any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_dc.batch import Batch, SampleLoader
from lightning_dc.distributed import CHUNK_SIZE, failing_together, owned_chunks, owned_rows, sum_, world
from lightning_dc.functional import agreement_scores, assignment_entropy, contingency_table, soft_frequencies
from lightning_dc.training.module import ClusteringModule

LARGE_TABLE = 1 << 26
"""Numbers in a table with a row for each sample from which on it is not held, unless asked for: 256 MiB in float32."""

Sink = Callable[[slice, Tensor, Tensor], None]
"""Takes rows of the training set, their soft assignments and their embeddings."""


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
        yield rows, _read(module, loader, rows)


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


def embed_chunks(module: ClusteringModule, loader: SampleLoader, chunks: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Embeddings of some chunks of the training set, the same on every process.

    Args:
        module: the model.
        loader: its training data.
        chunks: numbers of chunks of ``CHUNK_SIZE`` rows, in any order; the processes share them.

    Returns:
        Numbers of their rows, (n,), and embeddings, (n, D).
    """
    rank, world_size = world()
    rows = [slice(c * CHUNK_SIZE, min((c + 1) * CHUNK_SIZE, loader.n_samples)) for c in chunks]
    numbers = torch.cat([torch.arange(part.start, part.stop) for part in rows])
    z = _table(module, len(numbers), module.head.latent_dim)
    tables = torch.split(z, [part.stop - part.start for part in rows])
    for own, part in list(zip(tables, rows, strict=True))[rank::world_size]:
        own.copy_(embed_batch(module, _read(module, loader, part)))
    return numbers.to(z.device), sum_(z)


def sample_chunks(n_samples: int, latent_dim: int, n_clusters: int, generator: torch.Generator) -> list[int]:
    """Random chunks: at most 64, and a quarter of ``LARGE_TABLE`` in embeddings, unless K samples need more."""
    n_chunks = -(-n_samples // CHUNK_SIZE)
    affordable = max(min(LARGE_TABLE // 4 // (CHUNK_SIZE * latent_dim), 64), -(-n_clusters // CHUNK_SIZE) + 1)
    return torch.randperm(n_chunks, generator=generator)[:affordable].tolist()


def embed_batch(module: ClusteringModule, batch: Batch) -> Tensor:
    """Embeddings of a batch that is on the device, (B, D), float32 at least: in evaluation mode, without gradients."""
    with torch.no_grad(), _evaluating(module), module.trainer.precision_plugin.forward_context():
        return module.embed(batch.x)


def assign_all(
    module: ClusteringModule,
    loader: SampleLoader,
    *,
    keep_q: bool = False,
    keep_z: bool = False,
    sink: Sink | None = None,
) -> FullAssignment:
    """Assign a whole data set: the training set, or the one that is held out.

    Chunk c belongs to rank c mod W, and every row and every chunk's sum has one owner: the result is the same, to the
    last bit, for any number of processes.

    Args:
        module: the model.
        loader: the data.
        keep_q: also return the (N, K) table of soft assignments.
        keep_z: also return the (N, D) table of embeddings.
        sink: gets soft assignments and embeddings of all rows on every process, in order, a chunk of each process at a
            time, so that no process need hold them all. All processes give one, or none does. If one fails on some
            process it gets no more there, and all processes raise once the pass is over: none waits for another.
    """
    n_samples, n_clusters, device = loader.n_samples, module.head.n_clusters, module.device
    sums = torch.zeros(-(-n_samples // CHUNK_SIZE), n_clusters + 1, dtype=torch.float64, device=device)
    labels = torch.zeros(n_samples, dtype=torch.int32, device=device)
    classes = torch.zeros(n_samples, dtype=torch.int64, device=device)
    labelled = torch.zeros(1, dtype=torch.int64, device=device)
    q_table = _table(module, n_samples, n_clusters) if keep_q else None
    z_table = _table(module, n_samples, module.head.latent_dim) if keep_z else None
    targets: Tensor | None = None
    guard = None if sink is None else _Guard(sink)
    n_rounds = 0
    for rows, batch, z in _chunks(module, loader):
        with torch.no_grad():
            q = module.head(z)
        if guard is not None:
            _share(guard, n_rounds, n_samples, q, z)
        n_rounds += 1
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
        if batch.targets is not None:
            targets = _targets_table(batch.targets, n_samples) if targets is None else targets
            targets[rows] = batch.targets
    if n_rounds == 0:  # fewer chunks than processes: one sample tells the shape
        first = _read(module, loader, slice(0, 1)).targets
        targets = None if first is None else _targets_table(first, n_samples)
    if guard is not None and n_rounds < -(-len(sums) // world()[1]):  # others have a chunk more
        _share(guard, n_rounds, n_samples, _table(module, 0, n_clusters), _table(module, 0, module.head.latent_dim))
    for tensor in (sums, labels, classes, labelled, q_table, z_table, targets):
        if tensor is not None:
            sum_(tensor)
    if guard is not None:
        guard.end(device)
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


def _table(module: ClusteringModule, n_rows: int, n_columns: int) -> Tensor:
    return torch.zeros(n_rows, n_columns, dtype=module.wide_dtype, device=module.device)


class _Guard:
    """Keeps the error of a sink until the pass is over, as other processes would wait for this one for ever."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._error: Exception | None = None

    def __call__(self, rows: slice, q: Tensor, z: Tensor) -> None:
        if self._error is not None:
            return
        try:
            self._sink(rows, q, z)
        except Exception as error:
            self._error = error
            if world()[1] == 1:
                raise

    def end(self, device: torch.device) -> None:
        """Raise if any process has failed."""
        with failing_together(device):
            if self._error is not None:
                raise self._error


def _targets_table(targets: Tensor, n_samples: int) -> Tensor:
    """Zeros for the targets of all samples, float32 at least if they are no integers."""
    dtype = torch.promote_types(targets.dtype, torch.float32) if targets.is_floating_point() else targets.dtype
    return targets.new_zeros(n_samples, *targets.shape[1:], dtype=dtype)


def _share(sink: Sink, n_rounds: int, n_samples: int, q: Tensor, z: Tensor) -> None:
    """Give the sink what all processes have of a round: a chunk each, the last ones none perhaps."""
    rank, world_size = world()
    start = n_rounds * world_size * CHUNK_SIZE
    stop = min(start + world_size * CHUNK_SIZE, n_samples)
    if world_size > 1:
        own = slice(rank * CHUNK_SIZE, rank * CHUNK_SIZE + len(q))
        whole = z.new_zeros(stop - start, q.shape[1] + z.shape[1])
        whole[own] = torch.cat([q.to(z.dtype), z], 1)
        q, z = torch.split(sum_(whole), [q.shape[1], z.shape[1]], 1)
    sink(slice(start, stop), q, z)


def _read(module: ClusteringModule, loader: SampleLoader, rows: slice) -> Batch:
    """Samples on the device, in the precision of the run."""
    batch = module.trainer.strategy.batch_to_device(loader.read(rows.start, rows.stop), module.device)
    return module.trainer.precision_plugin.convert_input(batch)  # type: ignore[no-any-return]


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
