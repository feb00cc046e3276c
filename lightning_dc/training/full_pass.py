"""Passes over a whole data set, whose results do not depend on the number of processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_dc.batch import Batch, SampleLoader
from lightning_dc.distributed import CHUNK_SIZE, broadcast_, owned_chunks, owned_rows, sum_, world
from lightning_dc.functional import assignment_entropy, soft_frequencies
from lightning_dc.training.finite import check_finite_embeddings
from lightning_dc.training.loader import on_device
from lightning_dc.training.module import ClusteringModule
from lightning_dc.training.sink import GuardedSink, Sink
from lightning_dc.training.state import FullAssignment

LARGE_TABLE = 1 << 26
"""Most numbers in a table with a row for each sample that is kept without being asked for: 256 MiB in float32."""


def read_owned(module: ClusteringModule, loader: SampleLoader) -> Iterator[tuple[slice, Batch]]:
    """Yield each chunk of a data set that this process owns: its range of rows, and its batch on the device."""
    for rows in owned_chunks(loader.n_samples):
        yield rows, read_rows(module, loader, rows)


def embed_owned(module: ClusteringModule, loader: SampleLoader) -> Tensor:
    """Embed the rows of the training set that this process owns, (n, D), in float32 at least.

    These are the rows of :func:`~lightning_dc.distributed.owned_rows`, in their order.
    """
    share_buffers(module)
    table = _zero_table(module, len(owned_rows(loader.n_samples)), module.model.head.latent_dim)
    start = 0
    for _, batch in read_owned(module, loader):
        table[start : start + len(batch.x)] = embed_batch(module, batch.x)
        start += len(batch.x)
    return table


def embed_chunks(module: ClusteringModule, loader: SampleLoader, chunks: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Embed some chunks of the training set, and return all of them on every process.

    Args:
        module: the model.
        loader: its training data.
        chunks: numbers of chunks of ``CHUNK_SIZE`` rows, in any order; the processes share them.

    Returns:
        Row numbers of their samples, (n,), and embeddings, (n, D).
    """
    share_buffers(module)
    rank, world_size = world()
    rows = [slice(c * CHUNK_SIZE, min((c + 1) * CHUNK_SIZE, loader.n_samples)) for c in chunks]
    numbers = torch.cat([torch.arange(part.start, part.stop) for part in rows])
    z = _zero_table(module, len(numbers), module.model.head.latent_dim)
    tables = torch.split(z, [part.stop - part.start for part in rows])
    for own, part in list(zip(tables, rows, strict=True))[rank::world_size]:
        own.copy_(embed_batch(module, read_rows(module, loader, part).x))
    return numbers.to(z.device), sum_(z)


def sample_chunks(n_samples: int, latent_dim: int, n_clusters: int, generator: torch.Generator) -> list[int]:
    """Draw different chunks at random, and return their numbers.

    There are at most 64, and their embeddings have at most a quarter of ``LARGE_TABLE`` numbers, unless K samples need
    more chunks.
    """
    n_chunks = -(-n_samples // CHUNK_SIZE)
    affordable = max(min(LARGE_TABLE // 4 // (CHUNK_SIZE * latent_dim), 64), -(-n_clusters // CHUNK_SIZE) + 1)
    return torch.randperm(n_chunks, generator=generator)[:affordable].tolist()


def embed_rows(module: ClusteringModule, loader: SampleLoader, rows: Tensor) -> Tensor:
    """Embed some rows of the training set on this process alone, (n, D), on the device, a chunk of inputs at a time."""
    parts = torch.split(rows, CHUNK_SIZE)
    return torch.cat([embed_batch(module, on_device(module, loader.take(part)).x) for part in parts])


def embed_batch(module: ClusteringModule, x: Tensor) -> Tensor:
    """Embed samples that are on the device, in evaluation mode and without gradients: (B, D), float32 at least."""
    with torch.no_grad(), _evaluation_mode(module), module.trainer.precision_plugin.forward_context():
        return module.model.embed(x)


def read_targets(module: ClusteringModule, loader: SampleLoader) -> Tensor | None:
    """Return the targets of a whole data set, (N,) or (N, T), on every process; None without targets."""
    tables = _Tables(loader.n_samples)
    for rows, batch in read_owned(module, loader):
        tables.write(rows, {"targets": _widened(batch.targets)})
    if not owned_chunks(loader.n_samples):  # this process learns types and shapes from one sample
        tables.write(slice(0, 0), {"targets": _widened(read_rows(module, loader, slice(0, 1)).targets)})
    return tables.gather().get("targets")


def assign_all(
    module: ClusteringModule,
    loader: SampleLoader,
    *,
    keep_q: bool = False,
    keep_z: bool = False,
    keep_output: bool = False,
    sink: Sink | None = None,
) -> FullAssignment:
    """Assign a whole data set: the training set, or the one that is held out.

    Chunk c belongs to rank c mod W, so every row and the sums of every chunk have one owner. The result is therefore
    the same, to the last bit, for any number of processes.

    Args:
        module: the model.
        loader: the data.
        keep_q: also return the (N, K) table of soft assignments.
        keep_z: also return the (N, D) table of embeddings.
        keep_output: also return the (N, n_outputs) predictions of the task head.
        sink: function that receives the soft assignments and embeddings of all rows, in order, on every process. One
            call has one chunk of each process, so that no process needs to hold all rows. Either all processes give a
            sink, or none does. A sink that fails on some process is not called there again, and all processes raise
            once the pass is over, so that none waits for another.
    """
    share_buffers(module)
    kept = {name for name, is_kept in (("q", keep_q), ("z", keep_z), ("output", keep_output)) if is_kept}
    rows_of_columns, n_chunks = _Tables(loader.n_samples), -(-loader.n_samples // CHUNK_SIZE)
    sums_of_chunks = _Tables(n_chunks)
    guard = None if sink is None else GuardedSink(sink, loader.n_samples)
    # With fewer chunks than processes, a process without a chunk learns types and shapes from one sample.
    for rows in owned_chunks(loader.n_samples) or [slice(0, 0)]:
        batch = read_rows(module, loader, rows if rows.stop else slice(0, 1))
        chunk = _assign_chunk(module, batch, rows.stop - rows.start, kept)
        if guard is not None:
            guard.share(chunk.q, chunk.z)
        rows_of_columns.write(rows, chunk.columns)
        sums_of_chunks.write(slice(rows.start // CHUNK_SIZE, -(-rows.stop // CHUNK_SIZE)), {"sums": chunk.sums})
    if guard is not None and guard.n_rounds < -(-n_chunks // world()[1]):  # others have one more chunk
        guard.share(chunk.q[:0], chunk.z[:0])
    total = sums_of_chunks.gather()["sums"].sum(0)
    columns = rows_of_columns.gather()
    if guard is not None:
        guard.end()
    check_finite_embeddings(module.trainer, int(total[-1]), loader.n_samples)
    return FullAssignment(
        frequencies=total[:-2],
        entropy=total[-2] / loader.n_samples,
        labels=columns["labels"],
        **{name: columns.get(name) for name in ("y", "q", "z", "targets", "output")},
        is_soft=module.model.head.is_soft,
    )


class _Chunk(NamedTuple):
    """Assignment of a chunk of a data set: sums over the chunk, and its rows in the columns of the whole set."""

    q: Tensor
    z: Tensor
    sums: Tensor
    columns: dict[str, Tensor | None]


def _assign_chunk(module: ClusteringModule, batch: Batch, n_rows: int, kept: set[str]) -> _Chunk:
    """Assign the first ``n_rows`` rows of a batch: all of them, or none if it only tells types and shapes."""
    model = module.model
    with torch.no_grad(), _evaluation_mode(module):
        with module.trainer.precision_plugin.forward_context():
            features, z = model.encode(batch.x)
            output = model.predict_task(features) if "output" in kept else None
        z = z.to(model.wide_dtype)
        q: Tensor = model.head(z)
    targets = _widened(batch.targets)
    columns = {"labels": q.argmax(1).to(torch.int32), "y": batch.y, "targets": targets, "output": output}
    columns |= {name: value for name, value in (("q", q), ("z", z)) if name in kept}
    n_lost = (~z.isfinite().all(1)).sum().double()
    sums = torch.cat([soft_frequencies(q), torch.stack([assignment_entropy(q).double() * len(q), n_lost])])[None]
    own = {name: None if value is None else value[:n_rows] for name, value in columns.items()}
    return _Chunk(q[:n_rows], z[:n_rows], sums[:n_rows], own)


class _Tables:
    """Tables with a row for each sample, which is written by the process that owns it and is zero on the others."""

    def __init__(self, n_rows: int) -> None:
        self._n_rows = n_rows
        self._tables: dict[str, Tensor] = {}

    def write(self, rows: slice, values: Mapping[str, Tensor | None]) -> None:
        """Write some rows; a value of None leaves its table out."""
        for name, value in values.items():
            if value is None:
                continue
            if name not in self._tables:
                self._tables[name] = value.new_zeros(self._n_rows, *value.shape[1:])
            self._tables[name][rows] = value

    def gather(self) -> dict[str, Tensor]:
        """Return the whole tables on every process."""
        return {name: sum_(table) for name, table in self._tables.items()}


def _zero_table(module: ClusteringModule, n_rows: int, n_columns: int) -> Tensor:
    return torch.zeros(n_rows, n_columns, dtype=module.model.wide_dtype, device=module.device)


def _widened(targets: Tensor | None) -> Tensor | None:
    """Return targets in float32 at least, except for integers, which keep their type."""
    if targets is None or not targets.is_floating_point():
        return targets
    return targets.to(torch.promote_types(targets.dtype, torch.float32))


def read_rows(module: ClusteringModule, loader: SampleLoader, rows: slice) -> Batch:
    """Read a range of samples to the device, in the precision of the run."""
    return on_device(module, loader.read(rows.start, rows.stop))


def share_buffers(module: ClusteringModule) -> None:
    """Give all processes the buffers of the first one, which a checkpoint keeps: statistics of batch norm differ.

    A pass over a whole data set must begin with it.
    """
    for buffer in module.model.buffers():
        broadcast_(buffer)


@contextmanager
def _evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Set evaluation mode within the context, and give every submodule its own flag back at the end."""
    flags = {child: child.training for child in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for child, flag in flags.items():
            child.training = flag
