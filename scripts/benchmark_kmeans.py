"""Compare k-means with scikit-learn, faiss-cpu, fastkmeans and the bare matrix products that it needs.

    pip install faiss-cpu fastkmeans
    python scripts/benchmark_kmeans.py --threads 2

Every contender gets the same float32 data (seeded mixtures of overlapping Gaussians), the same initial centroids (rows
of the data), 25 iterations of exact Lloyd and no tolerance. It runs in a process of its own after one short run. A
contender that is not installed is left out with a note. The source code of the contenders shows the following:

- scikit-learn 1.9: ``KMeans(algorithm="lloyd", tol=0)`` with all restarts in one fit. Like ours, it stops early if no
  label changes, and labels the data once more after the last update.
- faiss-cpu 1.15: ``Kmeans.train(x, init_centroids=...)`` without its subsampling (``max_points_per_centroid``). Initial
  centroids can only be given for the first of its ``nredo`` restarts, so each restart is one call. It never stops early
  and returns no labels. "faiss super" additionally has ``use_super_kmeans``, which prunes by dimension.
- fastkmeans 0.5: ``FastKMeans.train`` in float32. It draws its initial rows by ``torch.randperm`` with its seed; the
  other contenders get these rows. Each restart is one call. It stops when the centroids no longer move and returns no
  final labels.
- seeding: greedy k-means++ for all restarts. Ours computes them together, scikit-learn has a function that is called
  once for each restart, and the others draw random rows.
- matmul: samples times centroids of all restarts, 25 times, into one buffer, with the fastest chunk size.

Inertia is computed in float64 from the centroids that a contender returns, and the best restart counts.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from common import describe_machine, new_parser, note
from tabulate import tabulate
from torch import Tensor

ITERATIONS = 25
_LONG = 20.0  # seconds after which a seeding is not repeated


class Cell(NamedTuple):
    """Problem of N samples with D features, K clusters and R restarts, and the number and spread of its Gaussians."""

    n_samples: int
    n_features: int
    n_clusters: int
    n_restarts: int
    n_components: int
    spread: float


CELLS = {
    "embedding": Cell(70_000, 10, 10, 20, 40, 1.0),
    "pixels": Cell(70_000, 784, 10, 1, 30, 0.0),
    "wide": Cell(500_000, 64, 100, 1, 200, 0.5),
    "many": Cell(1_000_000, 10, 1000, 1, 2000, 2.0),
}


class Outcome(NamedTuple):
    """Seconds of each run, the centroids of all restarts (R, K, D), and the number of iterations where it is known."""

    seconds: list[float]
    centroids: list[Tensor]
    iterations: str


Run = Callable[[], tuple[list[Tensor], str]]
Contender = Callable[[Cell, Tensor, Tensor, int], Run]


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__)
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS), help="problems to solve")
    parser.add_argument(
        "--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="contenders to run"
    )
    parser.add_argument(
        "--repeats", type=int, default=3, help="runs of each contender; the table has fastest and median"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of each contender")
    parser.add_argument("--worker", nargs=2, metavar=("CELL", "CONTENDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        torch.set_num_threads(args.threads)
        work(CELLS[args.worker[0]], args.worker[1], args.repeats, args.threads)
        return
    torch.set_num_threads(args.threads)
    print(describe_machine())
    for name in args.cells:
        print_cell(name, args)


def print_cell(name: str, args: argparse.Namespace) -> None:
    """Run all contenders on one problem and print a table."""
    cell, results = CELLS[name], {}
    for contender in args.contenders:
        module = MODULES.get(contender)
        if module is not None and importlib.util.find_spec(module) is None:
            note(f"{contender} is not installed; left out (pip install faiss-cpu fastkmeans)")
            continue
        note(f"{name}: {contender}")
        command = [sys.executable, __file__, "--worker", name, contender]
        command += ["--repeats", str(args.repeats), "--threads", str(args.threads)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        results[contender] = json.loads(output.splitlines()[-1])
    best = {contender: min(result["seconds"]) for contender, result in results.items()}
    peers = [seconds for contender, seconds in best.items() if contender not in ("lightning_dc", "matmul")]
    inertias = [result["inertia"] for result in results.values() if result["inertia"] is not None]
    rows = []
    for contender, result in results.items():
        inertia = result["inertia"]
        rows.append(
            [
                contender,
                f"{best[contender]:.3f}",
                f"{statistics.median(result['seconds']):.3f}",
                f"{best[contender] / min(peers):.2f}" if peers else "",
                f"{best[contender] / best['matmul']:.2f}" if "matmul" in best else "",
                result["iterations"],
                f"{min(result['seeding']):.3f}" if result["seeding"] else "",
                "" if inertia is None else f"{inertia:.8g}",
                "" if inertia is None else f"{inertia / min(inertias) - 1:.1e}",
            ]
        )
    headers = ["", "s", "median s", "x fastest peer", "x matmul", "iterations", "seeding s", "inertia", "above best"]
    print(
        f"\n{name}: N={cell.n_samples} D={cell.n_features} K={cell.n_clusters} restarts={cell.n_restarts}, "
        f"fastest of {args.repeats}"
    )
    print(tabulate(rows, headers, disable_numparse=True), flush=True)


def work(cell: Cell, contender: str, repeats: int, threads: int) -> None:
    """Time one contender on one problem, and print the result as JSON."""
    x = samples(cell)
    starts = torch.stack([start_rows(cell, restart) for restart in range(cell.n_restarts)])
    few = Cell(4096, *cell[1:3], 1, *cell[4:])  # a short run first, since first calls are slow
    CONTENDERS[contender](few, x[:4096].clone(), torch.arange(cell.n_clusters)[None], threads)()
    run = CONTENDERS[contender](cell, x, starts, threads)
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        centroids, iterations = run()
        seconds.append(time.perf_counter() - begin)
    score = min((inertia(x, c) for c in centroids), default=None)
    seeding = []
    for _ in range(repeats if contender in SEEDINGS else 0):
        begin = time.perf_counter()
        SEEDINGS[contender](cell, x, threads)
        seeding.append(time.perf_counter() - begin)
        if seeding[-1] > _LONG:
            break
    print(json.dumps({"seconds": seconds, "inertia": score, "iterations": iterations, "seeding": seeding}))


def samples(cell: Cell) -> Tensor:
    """Draw a mixture of overlapping Gaussians, (N, D); if the spread is 0, smooth images with pixels from 0 to 1."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    weights = torch.rand(cell.n_components, generator=generator) + 0.5
    component = torch.multinomial(weights, cell.n_samples, replacement=True, generator=generator)
    if cell.spread > 0:
        centers = normal(cell.n_components, cell.n_features) * cell.spread
        return centers[component] + normal(cell.n_samples, cell.n_features)
    side = round(cell.n_features**0.5)
    grid = torch.linspace(-1, 1, side)
    kernel = torch.exp(-(((grid[:, None] - grid) / 0.2) ** 2))
    smooth = torch.kron(kernel, kernel) / kernel.sum(0).mean() ** 2  # images without sharp edges
    basis = normal(60, cell.n_features) @ smooth * 2
    codes = normal(cell.n_components, 60)[component] * 0.7 + normal(cell.n_samples, 60)
    return (codes @ basis - 0.3 + 0.05 * normal(cell.n_samples, cell.n_features)).clamp_(0, 1)


def start_rows(cell: Cell, restart: int) -> Tensor:
    """Return the initial rows of a restart, (K,), which are those that fastkmeans draws with this seed."""
    return torch.randperm(cell.n_samples, generator=torch.Generator().manual_seed(restart))[: cell.n_clusters]


def inertia(x: Tensor, centroids: Tensor) -> float:
    """Return the sum of squared distances to the nearest centroid, in float64."""
    wide = centroids.double()
    parts = [torch.cdist(chunk.double(), wide).amin(1).square().sum() for chunk in torch.split(x, 8192)]
    return float(torch.stack(parts).sum())


# ---- contenders ----------------------------------------------------------------------------------------------------


def ours(cell: Cell, x: Tensor, starts: Tensor, threads: int) -> Run:
    """Prepare runs of this package."""
    from lightning_dc.kmeans import kmeans

    def run() -> tuple[list[Tensor], str]:
        result = kmeans(x, cell.n_clusters, init=x[starts], max_iter=ITERATIONS, tol=0.0)
        return [result.centroids], str(result.n_iter)

    return run


def scikit_learn(cell: Cell, x: Tensor, starts: Tensor, threads: int) -> Run:
    """Prepare runs of scikit-learn's Lloyd iterations."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    data = x.numpy()

    def run() -> tuple[list[Tensor], str]:
        remaining = iter(starts.numpy())
        model = KMeans(
            cell.n_clusters,
            init=lambda centred, *_, **__: centred[next(remaining)],
            n_init=cell.n_restarts,
            max_iter=ITERATIONS,
            tol=0.0,
        )
        with threadpool_limits(threads):
            model.fit(data)
        return [torch.from_numpy(model.cluster_centers_)], str(model.n_iter_)

    return run


def faiss_cpu(cell: Cell, x: Tensor, starts: Tensor, threads: int, use_super_kmeans: bool = False) -> Run:
    """Prepare runs of the Kmeans class of faiss."""
    import faiss

    faiss.omp_set_num_threads(threads)
    data = x.numpy()

    def run() -> tuple[list[Tensor], str]:
        found = []
        for rows in starts.numpy():
            model = faiss.Kmeans(
                cell.n_features,
                cell.n_clusters,
                niter=ITERATIONS,
                max_points_per_centroid=cell.n_samples,
                use_super_kmeans=use_super_kmeans,
            )
            model.train(data, init_centroids=data[rows])
            found.append(torch.from_numpy(model.centroids.copy()))
        return found, str(ITERATIONS)

    return run


def faiss_super(cell: Cell, x: Tensor, starts: Tensor, threads: int) -> Run:
    """Prepare runs of the Kmeans class of faiss with pruning."""
    return faiss_cpu(cell, x, starts, threads, use_super_kmeans=True)


def fastkmeans(cell: Cell, x: Tensor, starts: Tensor, threads: int) -> Run:
    """Prepare runs of the FastKMeans class in float32 on the CPU."""
    fit = fits_of_fastkmeans(cell, x, device="cpu")
    return lambda: (fit(), str(ITERATIONS))


def fits_of_fastkmeans(cell: Cell, x: Tensor, **options: Any) -> Callable[[], list[Tensor]]:
    """Prepare fits of the FastKMeans class in float32, with further options of it, one for each restart."""
    from fastkmeans import FastKMeans

    data = x.cpu().numpy()

    def fit() -> list[Tensor]:
        found = []
        for restart in range(cell.n_restarts):
            model = FastKMeans(
                cell.n_features,
                cell.n_clusters,
                niter=ITERATIONS,
                tol=0.0,
                seed=restart,
                dtype=torch.float32,
                **options,
            )
            model.train(data)
            found.append(torch.from_numpy(model.centroids))
        return found

    return fit


def seed_by_ours(cell: Cell, x: Tensor, threads: int) -> None:
    """Choose seeds by greedy k-means++ of this package."""
    from lightning_dc.kmeans import kmeans_plusplus

    kmeans_plusplus(x, cell.n_clusters, n_init=cell.n_restarts)


def seed_by_scikit_learn(cell: Cell, x: Tensor, threads: int) -> None:
    """Choose seeds by greedy k-means++ of scikit-learn."""
    from sklearn.cluster import kmeans_plusplus
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        for restart in range(cell.n_restarts):
            kmeans_plusplus(x.numpy(), cell.n_clusters, random_state=restart)


def matmul(cell: Cell, x: Tensor, starts: Tensor, threads: int) -> Run:
    """Prepare runs of the products of samples and centroids alone."""
    transposed = x[starts.flatten()].T.contiguous()

    def multiply(n_rows: int, n_iterations: int) -> None:
        buffer = torch.empty(n_rows, transposed.shape[1])
        for _ in range(n_iterations):
            for chunk in torch.split(x, n_rows):
                torch.mm(chunk, transposed, out=buffer[: len(chunk)])

    def seconds(n_rows: int) -> float:
        begin = time.perf_counter()
        multiply(n_rows, 1)
        return time.perf_counter() - begin

    sizes = [2**power for power in range(8, 18) if 2**power <= len(x)]
    best = min(sizes, key=lambda n_rows: min(seconds(n_rows) for _ in range(3)))

    def run() -> tuple[list[Tensor], str]:
        multiply(best, ITERATIONS)
        return [], f"{ITERATIONS}, {best} rows"

    return run


CONTENDERS: dict[str, Contender] = {
    "lightning_dc": ours,
    "scikit-learn": scikit_learn,
    "faiss": faiss_cpu,
    "faiss super": faiss_super,
    "fastkmeans": fastkmeans,
    "matmul": matmul,
}
SEEDINGS = {"lightning_dc": seed_by_ours, "scikit-learn": seed_by_scikit_learn}
MODULES = {"faiss": "faiss", "faiss super": "faiss", "fastkmeans": "fastkmeans"}


if __name__ == "__main__":
    main()
