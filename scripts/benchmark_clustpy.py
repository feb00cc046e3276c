"""Compare DEC of this project with DEC of ClustPy on MNIST.

    python scripts/benchmark_clustpy.py --data FOLDER
    python scripts/benchmark_clustpy.py --data FOLDER --augment --precisions 32-true bf16-mixed

Both programs get the same scaled images, the same architecture (widths of MLPAutoencoder, ReLU), batch size and number
of threads; ClustPy keeps its own optimizers and learning rates. The script needs `pip install --no-deps clustpy` and
pandas, since the torchvision that clustpy requires breaks a CPU build of torch.

*Speed*: short fits alternate, ClustPy in float32 and ours in float32 and bfloat16. Our epochs include refreshes of P,
evaluation, logging and checkpoints; ClustPy has none of these and computes P in each batch. Our first DEC epoch is left
out, because k-means runs in it. "k-means" is the additional time of that epoch; for ClustPy, it is all time outside of
the epochs.

*Accuracy*: one fit of ClustPy, from the loaded data to its labels, is compared with fits of ours through the command
line that take as many seconds, with the same time for pretraining and for clustering as ClustPy (or with --epochs).
Accuracies are those of all labels; ClustPy returns two sets of labels, of which the better one counts. Ours are known
at each refresh of P, so the accuracy "at equal seconds" is that of the last refresh before ClustPy had finished.

Our phases have no layer-wise pretraining and otherwise the defaults of DEC; the clustering phase gets --optimizer and
--lr. All options can be overridden: `-- --model.refresh.every_n_steps=70`.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import MagicMock

import torch
from common import (
    Recorder,
    accuracy,
    add_run_options,
    describe_machine,
    flags,
    mnist_folder,
    new_parser,
    note,
    parse,
    silence,
)
from tabulate import tabulate
from torch import Tensor, nn
from torch.utils.data import DataLoader

from datamodules import MNISTDataModule
from lightning_dc import MLPAutoencoder
from lightning_dc.augmentation import RandomAffine
from lightning_dc.cli import main as lightning_dc

PRECISIONS = ("32-true", "bf16-mixed")
PRETRAINING, CLUSTERING = "pretraining", "clustering"


class Peer(NamedTuple):
    """Result of a fit of ClustPy.

    Attributes:
        seconds: seconds from the loaded data to the labels.
        pretraining: seconds of each epoch of the autoencoder.
        clustering: seconds of each epoch of DEC.
        accuracies: accuracy of DEC's own labels, and of the labels of the k-means that ClustPy runs afterwards.
    """

    seconds: float
    pretraining: list[float]
    clustering: list[float]
    accuracies: tuple[float, float]


class TimedLoader(DataLoader[Any]):
    """DataLoader that records the seconds of each complete pass, including the work on the batches."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader.dataset, batch_size=loader.batch_size, shuffle=True)
        self.passes: list[float] = []

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        start = time.perf_counter()
        yield from super().__iter__()
        self.passes.append(time.perf_counter() - start)


def main() -> None:
    """Run the benchmark."""
    parser = new_parser(__doc__)
    add_run_options(parser)
    parser.add_argument("--skip", choices=["speed", "accuracy"], help="leave one part out")
    speed = parser.add_argument_group("speed")
    speed.add_argument("--rounds", type=int, default=2, help="fits of each kind")
    speed.add_argument("--speed-epochs", type=int, nargs=2, default=[1, 2], metavar=("P", "C"), help="epochs of a fit")
    accuracy_ = parser.add_argument_group("accuracy")
    accuracy_.add_argument(
        "--peer-epochs", type=int, nargs=2, default=[10, 10], metavar=("P", "C"), help="epochs of ClustPy"
    )
    accuracy_.add_argument(
        "--epochs", type=int, nargs=2, metavar=("P", "C"), help="our epochs; None fills the time of ClustPy"
    )
    accuracy_.add_argument(
        "--precisions",
        nargs="+",
        default=["bf16-mixed"],
        choices=PRECISIONS,
        help="precisions of our fits, one fit for each",
    )
    accuracy_.add_argument("--optimizer", default="torch.optim.SGD", help="optimizer of our clustering phase")
    accuracy_.add_argument("--lr", type=float, default=0.01, help="learning rate of our clustering phase")
    accuracy_.add_argument("--momentum", type=float, default=0.9, help="momentum of our clustering phase with SGD")
    accuracy_.add_argument("--augment", action="store_true", help="also fit with RandomAffine for each precision")
    accuracy_.add_argument("--trajectory", action="store_true", help="also print the seconds and ACC of each refresh")
    args = parse(parser)
    if args.skip == "speed" and args.epochs is None:
        parser.error("--epochs can only be found from the speed of an epoch; give it, or leave --skip speed out")
    if args.speed_epochs[1] < 2:
        parser.error("--speed-epochs needs two epochs of clustering: k-means runs in the first")
    import_clustpy(parser)
    print(describe_machine())
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = mnist_folder(parser, args.data, args.samples, scratch)
        data = MNISTDataModule(str(folder), download=False, batch_size=args.batch_size)
        data.setup("fit")
        loader = data.train_dataloader()
        whole = loader.read(0, loader.n_samples)
        assert whole.y is not None
        benchmark = Benchmark(args, folder, whole.x.flatten(1), whole.y, scratch)
        epochs = {} if args.skip == "speed" else benchmark.print_speed()
        if args.skip != "accuracy":
            benchmark.print_accuracy(epochs)
    print(describe_machine())


def import_clustpy(parser: argparse.ArgumentParser) -> None:
    """Import ClustPy, with a stand-in for torchvision if it is not installed.

    ClustPy imports torchvision for data sets and augmentations, which are not used here. PyPI has no torchvision that
    fits a CPU build of torch, and with one that does not fit, the import of lightning fails.
    """
    missing = importlib.util.find_spec("torchvision") is None
    # MagicMock has any attribute; submodules that ClustPy imports by name need an entry of their own.
    stand_ins = {name: MagicMock() for name in ("torchvision", "torchvision.models", "torchvision.models._api")}
    if missing:
        sys.modules.update(stand_ins)
    try:
        import clustpy.deep  # noqa: F401
    except ImportError as error:
        parser.error(f"ClustPy can't be imported ({error}); pip install --no-deps clustpy, and pandas")
    finally:
        if missing:
            for name in stand_ins:
                del sys.modules[name]


class Benchmark:
    """Measurements of both programs on the same images.

    Args:
        args: options of the script.
        folder: folder of the files of MNIST.
        x: scaled images, (N, F), float32.
        y: classes, (N,).
        scratch: folder for the files of runs.
    """

    def __init__(self, args: argparse.Namespace, folder: Path, x: Tensor, y: Tensor, scratch: Path) -> None:
        self.args = args
        self.folder = folder
        self.x = x
        self.y = y
        self.scratch = scratch
        self._n_runs = 0

    # ---- both programs ---------------------------------------------------------------------------------------------

    def run_peer(self, epochs: tuple[int, int]) -> Peer:
        """Fit ClustPy in float32."""
        from clustpy.deep import DEC, get_dataloader
        from clustpy.deep.neural_networks import FeedforwardAutoencoder

        ours = MLPAutoencoder(self.x.shape[1:])
        widths = [self.x.shape[1], *ours.hidden_dims, ours.latent_dim]
        with silence():
            train = TimedLoader(get_dataloader(self.x, self.args.batch_size, shuffle=True))
            test = get_dataloader(self.x, self.args.batch_size, shuffle=False)
            dec = DEC(
                n_clusters=self.args.clusters,
                batch_size=self.args.batch_size,
                pretrain_epochs=epochs[0],
                clustering_epochs=epochs[1],
                neural_network=(FeedforwardAutoencoder, {"layers": widths, "activation_fn": nn.ReLU}),
                embedding_size=ours.latent_dim,
                custom_dataloaders=(train, test),
                device=torch.device("cpu"),
                random_state=self.args.seed,
            )
            start = time.perf_counter()
            dec.fit(self.x.numpy())
            seconds = time.perf_counter() - start
        passes = train.passes
        assert len(passes) == sum(epochs)
        accuracies = tuple(accuracy(torch.as_tensor(labels), self.y) for labels in (dec.dec_labels_, dec.labels_))
        return Peer(seconds, passes[: epochs[0]], passes[epochs[0] :], (accuracies[0], accuracies[1]))

    def run_ours(self, epochs: tuple[int, int], precision: str, *further: str, augment: bool = False) -> Recorder:
        """Fit our DEC through the command line."""
        args = self.args
        self._n_runs += 1
        options: dict[str, object] = {
            "model": "DEC",
            "model.n_clusters": args.clusters,
            "model.layerwise.max_epochs": 0,
            "model.pretraining.max_epochs": epochs[0],
            "model.clustering.max_epochs": epochs[1],
            "model.clustering.optimizer": args.optimizer,
            "model.clustering.optimizer.lr": args.lr,
            "data": "MNISTDataModule",
            "data.folder": self.folder,
            "data.batch_size": args.batch_size,
            "trainer.accelerator": "cpu",
            "trainer.precision": precision,
            "trainer.logger.init_args.save_dir": self.scratch / f"run-{self._n_runs}",
            "trainer.callbacks+": "common.Recorder",
            "seed_everything": args.seed,
        }
        if args.optimizer.rpartition(".")[2] == "SGD":
            options["model.clustering.optimizer.momentum"] = args.momentum
        if augment:
            options["model.augmentation"] = RandomAffine.__name__
        with silence():
            lightning_dc(["fit", *flags(options), *args.overrides, *further])
        return Recorder.latest

    # ---- speed -----------------------------------------------------------------------------------------------------

    def print_speed(self) -> dict[str, dict[str, float]]:
        """Measure and print the seconds of an epoch.

        Returns:
            Seconds of an epoch of each phase, and of ``k-means``, for each program.
        """
        epochs = tuple(self.args.speed_epochs)
        samples: dict[str, dict[str, list[float]]] = {}
        for round_ in range(self.args.rounds):
            for precision in (None, *PRECISIONS):
                name = _name(precision)
                note(f"speed: round {round_ + 1} of {self.args.rounds}, {name}")
                if precision is None:
                    peer = self.run_peer(epochs)
                    rest = peer.seconds - sum(peer.pretraining) - sum(peer.clustering)
                    found = {PRETRAINING: peer.pretraining, CLUSTERING: peer.clustering, "k-means": [rest]}
                else:
                    # A tolerance of 0 prevents an early stop.
                    seconds = self.run_ours(epochs, precision, "--model.tolerance=0").epoch_seconds
                    first, *later = [length for phase, length in seconds if phase == CLUSTERING]
                    found = {
                        PRETRAINING: [length for phase, length in seconds if phase == PRETRAINING],
                        CLUSTERING: later,
                        "k-means": [first - statistics.median(later)],
                    }
                for phase, values in found.items():
                    samples.setdefault(name, {}).setdefault(phase, []).extend(values)
        medians = {
            name: {phase: statistics.median(values) for phase, values in phases.items()}
            for name, phases in samples.items()
        }
        peer_medians = medians[_name(None)]
        rows = [
            [name]
            + [
                cell
                for phase in (PRETRAINING, CLUSTERING)
                for cell in (f"{of[phase]:.2f}", f"{peer_medians[phase] / of[phase]:.2f}")
            ]
            + [f"{of['k-means']:.2f}"]
            for name, of in medians.items()
        ]
        headers = ["", "autoencoder epoch", "times as fast", "DEC epoch", "times as fast", "k-means"]
        print(
            f"\nSeconds, medians of {self.args.rounds} fits of {epochs[0]} + {epochs[1]} epochs, {len(self.x)} images"
        )
        print(tabulate(rows, headers, disable_numparse=True))
        return medians

    # ---- accuracy --------------------------------------------------------------------------------------------------

    def print_accuracy(self, speed: dict[str, dict[str, float]]) -> None:
        """Measure and print accuracies at equal seconds, and seconds at equal accuracy."""
        peer_epochs = tuple(self.args.peer_epochs)
        note(f"accuracy: {_name(None)}, {peer_epochs[0]} + {peer_epochs[1]} epochs")
        peer = self.run_peer(peer_epochs)
        best = max(peer.accuracies)
        print(
            f"\nAccuracy. ClustPy: {peer.seconds:.1f} s, ACC {peer.accuracies[0]:.4f} of its DEC labels, "
            f"{peer.accuracies[1]:.4f} of its labels after k-means"
        )
        rows = [
            [_name(None), f"{peer_epochs[0]} + {peer_epochs[1]}", f"{peer.seconds:.1f}", *[f"{best:.4f}"] * 2, "", ""]
        ]
        trajectories = []
        for augment in (False, True) if self.args.augment else (False,):
            for precision in self.args.precisions:
                epochs = self.args.epochs or _fill(peer, speed[_name(precision)])
                name = _name(precision) + (", augmented" if augment else "")
                note(f"accuracy: {name}, {epochs[0]} + {epochs[1]} epochs")
                recorder = self.run_ours((epochs[0], epochs[1]), precision, augment=augment)
                trajectory = [(seconds, accuracy(labels, self.y)) for seconds, labels in recorder.assignments]
                before = [acc for seconds, acc in trajectory if seconds <= peer.seconds]
                reached = next((seconds for seconds, acc in trajectory if acc >= best), None)
                end, last = trajectory[-1]
                rows.append(
                    [
                        name,
                        f"{epochs[0]} + {epochs[1]}",
                        f"{end:.1f}",
                        f"{last:.4f}",
                        f"{before[-1]:.4f}" if before else "none yet",
                        "never" if reached is None else f"{reached:.1f}",
                        "" if reached is None else f"{peer.seconds / reached:.2f}",
                    ]
                )
                trajectories += [[name, f"{seconds:.1f}", f"{acc:.4f}"] for seconds, acc in trajectory]
        headers = [
            "",
            "epochs",
            "seconds",
            "ACC",
            f"ACC at {peer.seconds:.0f} s",
            f"seconds to {best:.4f}",
            "times as fast",
        ]
        print(tabulate(rows, headers, disable_numparse=True))
        if self.args.trajectory:
            print("\nRefreshes")
            print(tabulate(trajectories, ["", "seconds", "ACC"], disable_numparse=True))


def _name(precision: str | None) -> str:
    return f"ClustPy, {PRECISIONS[0]}" if precision is None else f"ours, {precision}"


def _fill(peer: Peer, speed: dict[str, float]) -> tuple[int, int]:
    """Return the numbers of our epochs that take as long as the fit of the peer, for each phase separately."""
    pretraining = max(1, int(sum(peer.pretraining) / speed[PRETRAINING]))
    rest = peer.seconds - pretraining * speed[PRETRAINING] - speed["k-means"]
    return pretraining, max(1, int(rest / speed[CLUSTERING]))


if __name__ == "__main__":
    main()
