"""Passes over the whole training set, the same on any number of processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_dc.batch import Batch, SampleLoader
from lightning_dc.distributed import CHUNK_SIZE, owned_chunks, owned_rows, sum_, world
from lightning_dc.functional import assignment_entropy, soft_frequencies
from lightning_dc.training.loader import training_loader
from lightning_dc.training.module import ClusteringModule
from lightning_dc.training.sink import GuardedSink, Sink
from lightning_dc.training.state import FullAssignment

LARGE_TABLE = 1 << 26
"""Numbers in a table with a row for each sample from which on it is not held, unless asked for: 256 MiB in float32."""


def read_owned(module: ClusteringModule, loader: SampleLoader) -> Iterator[tuple[slice, Batch]]:
    """Yield rows and batch, on the device, of each chunk of a data set that this process owns."""
    for rows in owned_chunks(loader.n_samples):
        yield rows, _read(module, loader, rows)


def embed_owned(module: ClusteringModule, loader: SampleLoader) -> Tensor:
    """Embed this process's rows of the training set, (n, D), float32 at least.

    The rows are those of :func:`~lightning_dc.distributed.owned_rows`, in their order.
    """
    table = _table(module, len(owned_rows(loader.n_samples)), module.model.head.latent_dim)
    start = 0
    for _, batch in read_owned(module, loader):
        table[start : start + len(batch.x)] = embed_batch(module, batch)
        start += len(batch.x)
    return table


def embed_chunks(module: ClusteringModule, loader: SampleLoader, chunks: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Embed some chunks of the training set; every process gets all of them.

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
    z = _table(module, len(numbers), module.model.head.latent_dim)
    tables = torch.split(z, [part.stop - part.start for part in rows])
    for own, part in list(zip(tables, rows, strict=True))[rank::world_size]:
        own.copy_(embed_batch(module, _read(module, loader, part)))
    return numbers.to(z.device), sum_(z)


def sample_chunks(n_samples: int, latent_dim: int, n_clusters: int, generator: torch.Generator) -> list[int]:
    """Draw random chunks: at most 64, and a quarter of ``LARGE_TABLE`` in embeddings, unless K samples need more."""
    n_chunks = -(-n_samples // CHUNK_SIZE)
    affordable = max(min(LARGE_TABLE // 4 // (CHUNK_SIZE * latent_dim), 64), -(-n_clusters // CHUNK_SIZE) + 1)
    return torch.randperm(n_chunks, generator=generator)[:affordable].tolist()


def embed_batch(module: ClusteringModule, batch: Batch) -> Tensor:
    """Embed a batch that is on the device, (B, D), float32 at least, in evaluation mode and without gradients."""
    with torch.no_grad(), _evaluating(module), module.trainer.precision_plugin.forward_context():
        return module.model.embed(batch.x)


def read_targets(module: ClusteringModule, loader: SampleLoader) -> Tensor | None:
    """Return the targets of a whole data set, (N,) or (N, T), on every process; None without targets."""
    tables = _Tables(loader.n_samples)
    for rows, batch in read_owned(module, loader):
        tables.write(rows, {"targets": _wide(batch.targets)})
    if not owned_chunks(loader.n_samples):  # one sample tells types and shapes
        tables.write(slice(0, 0), {"targets": _wide(_read(module, loader, slice(0, 1)).targets)})
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

    Chunk c belongs to rank c mod W, and every row and every chunk's sum has one owner: the result is the same, to the
    last bit, for any number of processes.

    Args:
        module: the model.
        loader: the data.
        keep_q: also return the (N, K) table of soft assignments.
        keep_z: also return the (N, D) table of embeddings.
        keep_output: also return the (N, n_outputs) predictions of the task head.
        sink: gets soft assignments and embeddings of all rows on every process, in order, a chunk of each process at a
            time, so that no process need hold them all. All processes give one, or none does. If one fails on some
            process it gets no more there, and all processes raise once the pass is over: none waits for another.
    """
    kept = {name for name, is_kept in (("q", keep_q), ("z", keep_z), ("output", keep_output)) if is_kept}
    rows_of_columns, n_chunks = _Tables(loader.n_samples), -(-loader.n_samples // CHUNK_SIZE)
    sums_of_chunks = _Tables(n_chunks)
    guard = None if sink is None else GuardedSink(sink, loader.n_samples)
    # A process without any chunk, of fewer chunks than processes, takes types and shapes from one sample.
    for rows in owned_chunks(loader.n_samples) or [slice(0, 0)]:
        batch = _read(module, loader, rows if rows.stop else slice(0, 1))
        chunk = _assign(module, batch, rows.stop - rows.start, kept)
        if guard is not None:
            guard.share(chunk.q, chunk.z)
        rows_of_columns.write(rows, chunk.columns)
        sums_of_chunks.write(slice(rows.start // CHUNK_SIZE, -(-rows.stop // CHUNK_SIZE)), {"sums": chunk.sums})
    if guard is not None and guard.n_rounds < -(-n_chunks // world()[1]):  # other processes have a chunk more
        guard.share(chunk.q[:0], chunk.z[:0])
    total = sums_of_chunks.gather()["sums"].sum(0)
    columns = rows_of_columns.gather()
    if guard is not None:
        guard.end(module.device)
    return FullAssignment(
        frequencies=total[:-1],
        entropy=total[-1] / loader.n_samples,
        labels=columns["labels"],
        **{name: columns.get(name) for name in ("y", "q", "z", "targets", "output")},
    )


def final_assignment(module: ClusteringModule) -> FullAssignment:
    """Assign the training set with the final model: once, whoever asks first, and on all processes.

    Soft assignments and embeddings are kept as ``module.final`` if each has at most ``LARGE_TABLE`` numbers, or if
    ``module.keeps_final_tables`` says so. Functions in ``module.final_sinks`` get all of them piece by piece.
    """
    if module.final is None:
        loader, head, sinks = training_loader(module), module.model.head, module.final_sinks
        widest = max(head.n_clusters, head.latent_dim)
        keep = module.keeps_final_tables or loader.n_samples * widest <= LARGE_TABLE

        def hand_over(rows: slice, q: Tensor, z: Tensor) -> None:
            for sink in sinks:
                sink(rows, q, z)

        module.final = assign_all(
            module,
            loader,
            keep_q=keep,
            keep_z=keep,
            keep_output=module.model.task_head is not None,
            sink=hand_over if sinks else None,
        )
    return module.final


class _Chunk(NamedTuple):
    """A chunk of a data set: its values in the columns of the whole set, and the sums over it."""

    q: Tensor
    z: Tensor
    sums: Tensor
    columns: dict[str, Tensor | None]


def _assign(module: ClusteringModule, batch: Batch, n_rows: int, kept: set[str]) -> _Chunk:
    """Assign the first rows of a batch: all, or none of one that only tells types and shapes."""
    model = module.model
    with torch.no_grad(), _evaluating(module):
        with module.trainer.precision_plugin.forward_context():
            features, z = model.encode(batch.x)
            output = model.predict_task(features) if "output" in kept else None
        z = z.to(model.wide_dtype)
        q: Tensor = model.head(z)
    columns = {"labels": q.argmax(1).to(torch.int32), "y": batch.y, "targets": _wide(batch.targets), "output": output}
    columns |= {name: value for name, value in (("q", q), ("z", z)) if name in kept}
    sums = torch.cat([soft_frequencies(q), (assignment_entropy(q) * len(q)).reshape(1)])[None]
    own = {name: None if value is None else value[:n_rows] for name, value in columns.items()}
    return _Chunk(q[:n_rows], z[:n_rows], sums[:n_rows], own)


class _Tables:
    """Tables with a row for each sample, each row written by the one process that owns it, and zero elsewhere."""

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


def _table(module: ClusteringModule, n_rows: int, n_columns: int) -> Tensor:
    return torch.zeros(n_rows, n_columns, dtype=module.model.wide_dtype, device=module.device)


def _wide(targets: Tensor | None) -> Tensor | None:
    """Return targets in float32 at least if they are no integers."""
    if targets is None or not targets.is_floating_point():
        return targets
    return targets.to(torch.promote_types(targets.dtype, torch.float32))


def _read(module: ClusteringModule, loader: SampleLoader, rows: slice) -> Batch:
    """Read samples, on the device and in the precision of the run."""
    batch = module.trainer.strategy.batch_to_device(loader.read(rows.start, rows.stop), module.device)
    return module.trainer.precision_plugin.convert_input(batch)  # type: ignore[no-any-return]


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Set evaluation mode for a while; every submodule gets its own flag back."""
    flags = {child: child.training for child in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for child, flag in flags.items():
            child.training = flag
