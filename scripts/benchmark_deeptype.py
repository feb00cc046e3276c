"""Measure which inputs DeepType recovers, and compare clusters finer than the classes with torch-deeptype.

    python scripts/benchmark_deeptype.py
    python scripts/benchmark_deeptype.py --parts recovery --seeds 5

All data come from SyntheticDataModule: Gaussian clusters in the informative inputs and noise in the others. Each of our
fits is `lightning-dc fit --config deeptype_synthetic` with the shape of the data and a seed, which is also the seed of
the data, and no further options. An input counts as selected if its weights are not exactly zero (features.csv).

*recovery*: the classes are the clusters. "bayes" is the ARI of the rule that knows the true centres, which is the best
possible result without labels; "nearest" is the smallest distance between two centres in standard deviations.

*penalties*: equal penalties on all inputs (`gamma=null`) at several alphas are compared with the default, on the first
two data sets of recovery and the first of subtypes. All use the ramp of the configuration, whose end is alpha.

*subtypes*: each class consists of two or three clusters, which the labels do not show; the ARI compares with the
clusters. torch-deeptype has the network and settings of its own example (20-64-64-32, alpha 0.01, beta 0.5, 10 epochs
at 1e-3 and 15 at 1e-4, 8 steps a batch, batches of 64) and the same number of clusters. Both get the same standardised
inputs. This part needs `pip install --no-deps torch-deeptype`. `--peer-batch-size` sets its batch size, for example to
ours.

Seconds are wall-clock seconds. "training" lasts from the first access to the data until the last clusters:
`Trainer.fit` of ours, `train` and `get_clusters` of torch-deeptype. "whole fit" is our command with its tables and
files in this process, without the start of Python and imports, and without TensorBoard and checkpoints, which
torch-deeptype does not write. `--threads` sets the numbers of threads of PyTorch and of the OpenMP of scikit-learn's
k-means: one, and the number of CPUs, which is the default for users. The ARI belongs to the first of these numbers.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from common import Recorder, describe_machine, flags, new_parser, note, parse, silence
from pyarrow import parquet
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics import adjusted_rand_score
from tabulate import tabulate
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from datamodules import SyntheticDataModule
from lightning_dc.cli import main as lightning_dc
from lightning_dc.cli.choice import Setting
from lightning_dc.configs import find_config


class Shape(NamedTuple):
    """Size of a synthetic data set, and the number of its seeds."""

    n_samples: int
    n_features: int
    n_informative: int
    n_clusters: int
    n_subtypes: int
    n_seeds: int

    def __str__(self) -> str:
        finer = f", {self.n_clusters // self.n_subtypes} classes" if self.n_subtypes > 1 else ""
        return (
            f"{self.n_samples} x {self.n_features}, {self.n_informative} informative, {self.n_clusters} clusters{finer}"
        )


RECOVERY = (Shape(1000, 20, 5, 4, 1, 20), Shape(1000, 1000, 10, 4, 1, 10), Shape(500, 5000, 20, 4, 1, 5))
SUBTYPES = (Shape(1000, 20, 5, 4, 2, 10), Shape(1000, 20, 5, 6, 3, 10), Shape(1000, 20, 5, 6, 2, 10))
ALPHAS = (0.5, 1.0, 2.0, 4.0, 8.0)


class Fit(NamedTuple):
    """Result of our fit: clusters, (N,), columns of the selected inputs, seconds of training and of the whole fit."""

    clusters: Any
    selected: list[int]
    training: float
    whole: float


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__)
    parts = ("recovery", "penalties", "subtypes")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts, help="parts to measure")
    parser.add_argument(
        "--seeds", type=int, help="number of data sets of each shape; None is 20, 10 and 5, and 10 for subtypes"
    )
    parser.add_argument("--no-peer", action="store_true", help="leave torch-deeptype out")
    parser.add_argument("--peer-batch-size", type=int, default=64, help="samples in a batch of torch-deeptype")
    cores = sorted({1, os.cpu_count() or 1})
    parser.add_argument("--threads", type=int, nargs="+", default=cores, help="threads in subtypes; other parts use 1")
    args = parse(parser)
    use_threads(1)
    print(describe_machine())
    if "recovery" in args.parts:
        for shape in RECOVERY:
            print_recovery(shape, args)
    if "penalties" in args.parts:
        for shape in (*RECOVERY[:2], SUBTYPES[0]):
            print_penalties(shape, args)
    if "subtypes" in args.parts:
        for shape in SUBTYPES:
            print_subtypes(shape, args)
    print(describe_machine())


def use_threads(n_threads: int) -> None:
    """Set the number of threads of PyTorch and of the OpenMP of other libraries."""
    torch.set_num_threads(n_threads)
    threadpool_limits(n_threads)


def seeds_of(shape: Shape, args: argparse.Namespace) -> range:
    """Return the seeds to run."""
    return range(shape.n_seeds if args.seeds is None else args.seeds)


def options(shape: Shape, seed: int) -> dict[str, object]:
    """Return the arguments of the SyntheticDataModule."""
    names = ("n_samples", "n_features", "n_informative", "n_clusters", "n_subtypes")
    return {name: getattr(shape, name) for name in names} | {"random_state": seed}


def fit(shape: Shape, seed: int, overrides: list[str]) -> Fit:
    """Fit our DeepType through the command line."""
    with tempfile.TemporaryDirectory() as scratch:
        data = flags({f"data.{name}": value for name, value in options(shape, seed).items()})
        start = time.perf_counter()
        with silence():
            lightning_dc(
                [
                    *("fit", "--config", "deeptype_synthetic", f"--model.n_clusters={shape.n_clusters}"),
                    *(f"--seed_everything={seed}", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"),
                    *("--trainer.logger=false", "--trainer.enable_checkpointing=false"),
                    f"--trainer.default_root_dir={scratch}",
                    "--trainer.callbacks+=common.Recorder",
                    *data,
                    *overrides,
                ]
            )
        whole = time.perf_counter() - start
        folder = Path(scratch) / "deeptype_synthetic" / "version_0"
        clusters = parquet.read_table(folder / "clusters.parquet")["cluster"].to_numpy()
        with (folder / "features.csv").open() as file:
            selected = [int(row["index"]) for row in csv.DictReader(file) if row["selected"] == "1"]
    return Fit(clusters, selected, Recorder.latest.end, whole)


def recall_precision(selected: list[int], n_informative: int) -> tuple[float, float]:
    """Return the share of informative inputs that are selected, and of selected inputs that are informative."""
    right = sum(j < n_informative for j in selected)
    return right / n_informative, right / len(selected) if selected else 0.0


def truth(shape: Shape, seed: int) -> tuple[Any, Any, Any]:
    """Return the informative inputs, the clusters of the samples, and the true centres."""
    samples = SyntheticDataModule(**options(shape, seed)).load()  # type: ignore[arg-type]
    random = np.random.default_rng(seed)  # the generator of the DataModule
    centres = random.normal(scale=5.0, size=(shape.n_clusters, shape.n_informative))
    return np.asarray(samples.x)[:, : shape.n_informative], np.asarray(samples.y), centres


def print_recovery(shape: Shape, args: argparse.Namespace) -> None:
    """Measure the recovery of inputs, and print a row for each seed, the medians and the minima."""
    rows = []
    for seed in seeds_of(shape, args):
        note(f"{shape}, seed {seed}")
        found = fit(shape, seed, args.overrides)
        x, y, centres = truth(shape, seed)
        bayes = adjusted_rand_score(y, cdist(x, centres).argmin(1))
        ari = adjusted_rand_score(y, found.clusters)
        recall, precision = recall_precision(found.selected, shape.n_informative)
        rows.append([len(found.selected), recall, precision, ari, bayes, pdist(centres).min(), found.whole])
    table = np.array(rows)
    named = [[f"seed {seed}", *row] for seed, row in zip(seeds_of(shape, args), rows, strict=True)]
    exact = int(((table[:, 1] == 1) & (table[:, 2] == 1)).sum())
    print(f"\nRecovery, {shape}: exactly the informative inputs in {exact} of {len(rows)}")
    headers = ["", "selected", "recall", "precision", "ARI", "bayes", "nearest", "seconds"]
    summary = [["median", *np.median(table, 0)], ["min", *table.min(0)]]
    print(tabulate([*named, *summary], headers, tablefmt="simple_outline", floatfmt=".3f"))


def print_penalties(shape: Shape, args: argparse.Namespace) -> None:
    """Compare adaptive penalties with equal ones, and print a table."""
    rows = []
    kinds: list[tuple[str, list[str]]] = [("by evidence (default)", [])]
    configuration = yaml.safe_load(find_config("deeptype_synthetic").read_text())
    for alpha in ALPHAS:
        overrides = Setting(None, alpha, None).flags(configuration)
        kinds.append((f"equal, alpha {alpha}", ["--model.gamma=null", *overrides]))
    for name, overrides in kinds:
        scores = []
        for seed in seeds_of(shape, args)[:10]:
            note(f"{name}, seed {seed}")
            found = fit(shape, seed, overrides)
            scores.append(recall_precision(found.selected, shape.n_informative))
        recall, precision = np.array(scores).T
        exact = int(((recall == 1) & (precision == 1)).sum())
        rows.append([name, np.median(recall), np.median(precision), f"{exact} of {len(scores)}"])
    print(f"\nPenalties, {shape}")
    print(tabulate(rows, ["", "recall", "precision", "exact"], tablefmt="simple_outline", floatfmt=".3f"))


def print_subtypes(shape: Shape, args: argparse.Namespace) -> None:
    """Compare with torch-deeptype, and print the agreement with the clusters, then the seconds."""
    scores, seconds = [], []
    for seed in seeds_of(shape, args):
        note(f"{shape}, seed {seed}")
        x, y, centres = truth(shape, seed)
        measured = []
        for n_threads in args.threads:
            use_threads(n_threads)
            found = fit(shape, seed, args.overrides)
            peer = [np.nan, np.nan] if args.no_peer else run_peer(shape, seed, args.peer_batch_size)
            measured.append([adjusted_rand_score(y, found.clusters), peer[0], found.training, peer[1], found.whole])
        use_threads(1)
        scores.append([*measured[0][:2], adjusted_rand_score(y, cdist(x, centres).argmin(1))])
        seconds.append([row[2:] for row in measured])
    table = np.array(scores)
    print(f"\nSubtypes, {shape}")
    named = [[f"seed {seed}", *row] for seed, row in zip(seeds_of(shape, args), scores, strict=True)]
    summary = [["median", *np.median(table, 0)], ["min", *table.min(0)]]
    headers = ["ARI", "ours", "torch-deeptype", "bayes"]
    print(tabulate([*named, *summary], headers, tablefmt="simple_outline", floatfmt=".3f"))
    rows = []
    for i, n_threads in enumerate(args.threads):
        training, peer_training, whole = zip(*(row[i] for row in seconds), strict=True)
        ratio = statistics.median(theirs / ours for theirs, ours in zip(peer_training, training, strict=True))
        whole_ratio = statistics.median(theirs / ours for theirs, ours in zip(peer_training, whole, strict=True))
        rows.append([n_threads, *map(statistics.median, (training, peer_training, whole)), ratio, whole_ratio])
    headers = ["threads", "training", "torch-deeptype", "whole fit", "torch-deeptype / training", "/ whole fit"]
    print("Seconds, median; ratios, median of those of each seed")
    print(tabulate(rows, headers, tablefmt="simple_outline", floatfmt=("d", ".2f", ".2f", ".2f", ".1f", ".1f")))


def run_peer(shape: Shape, seed: int, batch_size: int) -> list[float]:
    """Fit torch-deeptype, and return its ARI and seconds."""
    from torch_deeptype import DeeptypeModel, DeeptypeTrainer

    class Network(DeeptypeModel):  # type: ignore[misc]
        """Network of the README of torch-deeptype."""

        def __init__(self, n_inputs: int, n_classes: int) -> None:
            super().__init__()
            self.input_layer = nn.Linear(n_inputs, 64)
            self.h1 = nn.Linear(64, 64)
            self.cluster_layer = nn.Linear(64, 32)
            self.output_layer = nn.Linear(32, n_classes)

        def forward(self, x: Tensor) -> Tensor:
            output: Tensor = self.output_layer(self.get_hidden_representations(x))
            return output

        def get_input_layer_weights(self) -> Tensor:
            return self.input_layer.weight

        def get_hidden_representations(self, x: Tensor) -> Tensor:
            for layer in (self.input_layer, self.h1, self.cluster_layer):
                x = torch.relu(layer(x))
            return x

    data = SyntheticDataModule(target="class", scaling="standard", **options(shape, seed))  # type: ignore[arg-type]
    data.setup("fit")
    whole = data.train_dataloader().read(0, shape.n_samples)
    assert whole.targets is not None
    assert whole.y is not None
    torch.manual_seed(seed)
    dataset = TensorDataset(whole.x, whole.targets)
    start = time.perf_counter()
    trainer = DeeptypeTrainer(
        model=Network(shape.n_features, shape.n_clusters // shape.n_subtypes),
        train_loader=DataLoader(dataset, batch_size=batch_size, shuffle=True),
        primary_loss_fn=nn.CrossEntropyLoss(),
        num_clusters=shape.n_clusters,
        sparsity_weight=0.01,
        cluster_weight=0.5,
    )
    trainer.train(main_epochs=15, main_lr=1e-4, pretrain_epochs=10, pretrain_lr=1e-3, train_steps_per_batch=8)
    _, labels = trainer.get_clusters(dataset)
    seconds = time.perf_counter() - start
    return [float(adjusted_rand_score(whole.y.numpy(), labels)), seconds]


if __name__ == "__main__":
    main()
