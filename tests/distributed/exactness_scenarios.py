"""Scenarios of fits that are killed, resumed and spread over processes, each in forked processes of its own.

Usage: python exactness_scenarios.py FOLDER: writes the result of each scenario, NAME.pt, into FOLDER.
"""

from __future__ import annotations

import functools
import os
import socket
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.strategies import DDPStrategy
from torch import distributed as dist

from datamodules import ClusteringDataModule, Samples
from lightning_dc import (
    DCN,
    DEC,
    IDEC,
    SCAN,
    AEKMeans,
    ClusteringModule,
    DeepType,
    GaussianMixture,
    KMeansConfig,
    LayerFeatures,
    MergedKMeans,
    MLPAutoencoder,
    MLPEncoder,
    NeighbourConfig,
    PhaseConfig,
    Plateau,
    RefreshConfig,
    TargetSpec,
    distributed,
    heads,
)
from lightning_dc.augmentation import RandomAffine, RandomElastic
from lightning_dc.callbacks import centroid_refresh
from lightning_dc.encoders import PrincipalComponents
from lightning_dc.schedules import Exponential, OneCycle
from lightning_dc.training import assign_all, full_pass, training_loader
from lightning_dc.training import sink as sinks
from tests.extending.softmax_head import SoftmaxHead
from tests.extending.unit_norm import UnitNorm

STEPS_PER_EPOCH = 16  # 1003 samples in batches of 64: the last batch is smaller, and odd
KILLS = {
    "mid_epoch": ("step", 59),
    "at_a_refresh": ("step", 55),  # 7 steps into clustering: killed before the refresh that is due
    "last_batch": ("step", 64),
    "epoch_end": ("epoch", 64),
    "last_batch_at_a_phase_boundary": ("step", 48),
    "epoch_end_at_a_phase_boundary": ("epoch", 48),
    "mid_epoch_layerwise": ("step", 9),
    "after_a_refresh": ("checkpoint", 55),  # like ModelCheckpoint, which saves after all other callbacks of the step
    "after_a_phase_switch": ("checkpoint", 48),
}


class RandomImages(ClusteringDataModule):
    """DataModule of 1003 images of 4 x 5 pixels around five centres."""

    def load(self) -> Samples:
        generator = torch.Generator().manual_seed(0)
        centres = torch.randn(5, 1, 4, 5, generator=generator, dtype=torch.float64) * 2
        y = torch.randint(5, (1003,), generator=generator)
        return Samples(centres[y] + torch.randn(1003, 1, 4, 5, generator=generator, dtype=torch.float64), y)


class Kill(pl.Callback):
    """Callback that saves a checkpoint and ends the process as a kill would."""

    def __init__(self, when: str, step: int, path: Path) -> None:
        self.when, self.step, self.path = when, step, path

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        self._kill(trainer, "step")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._kill(trainer, "epoch")

    def _kill(self, trainer: pl.Trainer, when: str) -> None:
        if when == self.when and trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            trainer.strategy.barrier()
            os._exit(0)


class KillLast(Kill, Checkpoint):
    """Callback that Lightning calls after all others, as it calls ModelCheckpoint."""

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        self._kill(trainer, "checkpoint")


class Sink(pl.Callback):
    """Callback that keeps assignments and embeddings of the trained model, as a table and piece by piece."""

    def __init__(self) -> None:
        self.is_whole = False

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, ClusteringModule)
        pieces: list[tuple[slice, torch.Tensor, torch.Tensor]] = []
        loader = training_loader(pl_module)
        full = assign_all(pl_module, loader, keep_q=True, keep_z=True, sink=lambda *piece: pieces.append(piece))
        rows = [row for piece in pieces for row in range(piece[0].start, piece[0].stop)]
        assert full.q is not None
        assert full.z is not None
        self.is_whole = (
            rows == list(range(1003))
            and torch.equal(torch.cat([q for _, q, _ in pieces]), full.q)
            and torch.equal(torch.cat([z for _, _, z in pieces]), full.z)
        )


def model(tolerance: float = 0.0, kmeans: Any = "auto") -> DEC:
    adam = functools.partial(torch.optim.Adam, lr=1e-2)
    sgd = functools.partial(torch.optim.SGD, lr=0.05, momentum=0.9)
    reconstruction = {"reconstruction": 1.0}
    return DEC(
        input_shape=(1, 4, 5),
        n_clusters=5,
        autoencoder=functools.partial(MLPAutoencoder, hidden_dims=[16], latent_dim=4),
        augmentation=RandomAffine(),
        layerwise=PhaseConfig(max_epochs=1, loss_weights=reconstruction, dropout=0.2, optimizer=sgd),
        pretraining=PhaseConfig(
            max_epochs=1, loss_weights=reconstruction, dropout=0.1, optimizer=adam, lr_schedule=OneCycle()
        ),
        clustering=PhaseConfig(max_epochs=3, loss_weights={"kl": 1.0}, optimizer=sgd),
        kmeans=KMeansConfig(3, kmeans, every_n_steps=16 if tolerance == 0 else None),
        refresh=RefreshConfig(every_n_steps=7, tolerance=tolerance),
    )


def dcn() -> DCN:
    reconstruction = {"reconstruction": 1.0}
    return DCN(
        input_shape=(1, 4, 5),
        n_clusters=5,
        autoencoder=functools.partial(MLPAutoencoder, hidden_dims=[16], latent_dim=4),
        augmentation=RandomAffine(),
        pretraining=PhaseConfig(max_epochs=1, loss_weights=reconstruction, dropout=0.1),
        clustering=PhaseConfig(
            max_epochs=4,
            loss_weights={"reconstruction": 1.0, "kmeans": 1.0},
            optimizer=functools.partial(torch.optim.Adam, lr=1e-2),
        ),
        kmeans=KMeansConfig(n_init=3),
        refresh=RefreshConfig(every_n_steps=5, tolerance=0.0),
        initial_count=10,
    )


class Survivors(RandomImages):
    """Images whose risk depends on the centre, which half of the pixels do not show; some times are missing."""

    @property
    def target_spec(self) -> TargetSpec:
        return TargetSpec("survival", ("time", "event"))

    def load(self) -> Samples:
        samples = super().load()
        generator = torch.Generator().manual_seed(1)
        x = torch.as_tensor(samples.x).clone()
        x[:, :, 2:] = torch.randn(1003, 1, 2, 5, generator=generator, dtype=torch.float64)
        uniform = torch.rand(1003, 2, generator=generator, dtype=torch.float64)
        times = (-5 * uniform[:, 0].log() * (1 + torch.as_tensor(samples.y))).ceil()
        targets = torch.stack([times, (uniform[:, 1] < 0.7).double()], 1)
        targets[::10] = float("nan")
        return samples._replace(x=x, targets=targets)


def deeptype() -> DeepType:
    adam = functools.partial(torch.optim.Adam, lr=1e-2)
    weights = {"task": 1.0, "sparsity": Exponential(0.0, 3.0, time_constant=3)}
    return DeepType(
        input_shape=(1, 4, 5),
        target_spec=TargetSpec("survival", ("time", "event")),
        n_clusters=5,
        encoder=functools.partial(MLPEncoder, hidden_dims=[16, 8]),
        representation=["activation_1"],
        pretraining=PhaseConfig(max_epochs=1, loss_weights=weights, optimizer=adam, dropout=0.1),
        joint=PhaseConfig(max_epochs=2, loss_weights=weights | {"distance": 0.2}, optimizer=adam),
        kmeans=KMeansConfig(n_init=3),
        refresh=RefreshConfig(every_n_steps=5, tolerance=0.0),
    )


def idec() -> IDEC:
    adam = functools.partial(torch.optim.Adam, lr=1e-2)
    return IDEC(
        input_shape=(1, 4, 5),
        n_clusters=5,
        autoencoder=functools.partial(MLPAutoencoder, hidden_dims=[16], latent_dim=4),
        augmentation=RandomAffine(),
        pretraining=PhaseConfig(max_epochs=1, loss_weights={"reconstruction": 1.0}, dropout=0.1),
        clustering=PhaseConfig(max_epochs=3, loss_weights={"reconstruction": 1.0, "kl": 0.1}, optimizer=adam),
        kmeans=KMeansConfig(n_init=3),
        refresh=RefreshConfig(every_n_steps=5, tolerance=0.0),
    )


def ae_kmeans() -> AEKMeans:
    return AEKMeans(
        input_shape=(1, 4, 5),
        n_clusters=5,
        autoencoder=functools.partial(MLPAutoencoder, hidden_dims=[16], latent_dim=4),
        augmentation=RandomAffine(),
        pretraining=PhaseConfig(max_epochs=2, loss_weights={"reconstruction": 1.0}, dropout=0.1),
        kmeans=KMeansConfig(n_init=3),
    )


def plateau() -> AEKMeans:
    """Pretraining that ends when its loss has settled, within an epoch."""
    rule = Plateau(window=4, tolerance=0.05, patience=1)
    return AEKMeans(
        input_shape=(1, 4, 5),
        n_clusters=5,
        autoencoder=functools.partial(MLPAutoencoder, hidden_dims=[16], latent_dim=4),
        pretraining=PhaseConfig(
            max_steps=500,
            plateau=rule,
            loss_weights={"reconstruction": 1.0},
            optimizer=functools.partial(torch.optim.Adam, lr=3e-2),
        ),
        kmeans=KMeansConfig(n_init=3),
    )


def gaussian_mixture() -> GaussianMixture:
    return GaussianMixture((1, 4, 5), 5, autoencoder=functools.partial(PrincipalComponents, latent_dim=4))


def merged_k_means() -> MergedKMeans:
    return MergedKMeans((1, 4, 5), 5, autoencoder=functools.partial(PrincipalComponents, latent_dim=4), n_prototypes=20)


def scan() -> SCAN:
    """Neighbours of inputs and of the embedding, a second view, several heads, then training towards P."""
    adam = functools.partial(torch.optim.Adam, lr=1e-2)
    weights = {"consistency": 1.0, "views": 0.5, "balance": 2.0, "entropy": 0.1}
    return SCAN(
        input_shape=(1, 4, 5),
        n_clusters=5,
        encoder=functools.partial(MLPEncoder, hidden_dims=[16, 8]),
        head=functools.partial(heads.SoftmaxHead, n_heads=3, over_clustering=[2]),
        augmentation=RandomElastic(),
        neighbours=NeighbourConfig(k=6, every_n_steps=8),
        consistency=PhaseConfig(max_epochs=2, loss_weights=weights, optimizer=adam, dropout=0.1, input_dropout=0.1),
        self_labelling=PhaseConfig(max_epochs=2, loss_weights={"kl": 1.0, "balance": 1.0}, optimizer=adam),
        refresh=RefreshConfig(every_n_steps=5),
    )


def own_parts() -> DEC:
    """A user's own head without centroids, and loss; two layers are clustered."""
    adam = functools.partial(torch.optim.Adam, lr=1e-2)
    return DEC(
        input_shape=(1, 4, 5),
        n_clusters=5,
        autoencoder=functools.partial(MLPAutoencoder, hidden_dims=[16], latent_dim=4),
        representation=["activation_1", LayerFeatures("linear_2")],
        head=SoftmaxHead,
        augmentation=RandomAffine(),
        pretraining=PhaseConfig(max_epochs=1, loss_weights={"reconstruction": 1.0}, dropout=0.1),
        clustering=PhaseConfig(max_epochs=3, loss_weights={"kl": 1.0, "unit_norm": 0.1}, optimizer=adam, dropout=0.1),
        refresh=RefreshConfig(every_n_steps=5, tolerance=0.0),
        extra_losses={"unit_norm": UnitNorm(2.0)},
    )


class Method(NamedTuple):
    """Scenario of a method other than DEC: model, data, step of the kill, and steps of the whole run.

    An epoch has seven batches, the last of one sample: none for the second process.
    """

    build: Callable[[], ClusteringModule]
    data: type[ClusteringDataModule]
    kills: dict[str, tuple[str, int]]
    n_steps: int


METHODS = {
    "dcn": Method(  # killed when ModelCheckpoint saves, since the update of the centroids is part of the step
        dcn,
        RandomImages,
        {
            "mid_epoch": ("checkpoint", 15),
            "at_a_refresh": ("checkpoint", 17),  # 10 steps into clustering
            "last_batch": ("checkpoint", 21),
            "epoch_end": ("epoch", 28),
            "at_a_phase_boundary": ("checkpoint", 7),
        },
        35,
    ),
    "deeptype": Method(
        deeptype,
        Survivors,
        {
            "before_the_proximal_step": ("step", 5),  # a user's callback comes first
            "mid_epoch": ("checkpoint", 10),
            "at_a_refresh": ("step", 12),  # 5 steps into joint training
            "epoch_end": ("epoch", 14),
            "at_a_phase_boundary": ("checkpoint", 7),
            "before_the_last_k_means": ("checkpoint", 21),
        },
        22,
    ),
    "idec": Method(
        idec,
        RandomImages,
        {"mid_epoch": ("step", 10), "at_a_refresh": ("step", 12), "at_a_phase_boundary": ("checkpoint", 7)},
        28,
    ),
    "own_parts": Method(
        own_parts,
        RandomImages,
        {"mid_epoch": ("step", 10), "at_a_refresh": ("checkpoint", 12), "at_a_phase_boundary": ("step", 7)},
        28,
    ),
    "scan": Method(
        scan,
        RandomImages,
        {
            "mid_epoch": ("step", 10),
            "at_a_refresh": ("step", 8),
            "after_a_refresh": ("checkpoint", 10),
            "at_a_phase_boundary": ("checkpoint", 12),
            "in_self_labelling": ("step", 19),
        },
        24,  # six batches in an epoch, since they are even
    ),
    "merged_k_means": Method(merged_k_means, RandomImages, {}, 1),
    "gaussian_mixture": Method(gaussian_mixture, RandomImages, {}, 1),
    "plateau": Method(
        plateau,
        RandomImages,
        {
            "in_a_window": ("step", 10),
            "at_the_end_of_a_window": ("step", 12),
            "after_the_end_of_a_window": ("checkpoint", 12),
            "when_it_has_settled": ("step", 32),
        },
        33,
    ),
    "ae_kmeans": Method(ae_kmeans, RandomImages, {"mid_epoch": ("step", 10), "before_k_means": ("checkpoint", 14)}, 15),
}


def fit(
    path: Path,
    world_size: int,
    precision: str,
    kill: Kill | None,
    ckpt_path: Path | None,
    tolerance: float,
    name: str,
    max_steps: int,
) -> None:
    pl.seed_everything(3, verbose=False)
    if name == "mini_batch":  # ten chunks
        for module in (distributed, full_pass, sinks, centroid_refresh):
            module.CHUNK_SIZE = 101  # type: ignore[attr-defined]
    table = "mini_batch" if name == "mini_batch" else "auto"
    own = METHODS.get(name)
    method: ClusteringModule = model(tolerance, table) if own is None else own.build()
    data, batch_size = (RandomImages, 64) if own is None else (own.data, 167)
    sink = Sink()
    trainer = pl.Trainer(
        max_epochs=-1,
        max_steps=max_steps,
        accelerator="cpu",
        devices=world_size,
        strategy=DDPStrategy(process_group_backend="gloo") if world_size > 1 else "auto",
        precision=precision,  # type: ignore[arg-type]
        logger=False,
        default_root_dir=path.parent,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=isinstance(kill, Checkpoint),
        callbacks=[sink] if kill is None else [sink, kill],
    )
    trainer.fit(method, data(batch_size=batch_size), ckpt_path=ckpt_path)
    if max_steps > 0:  # saved as ModelCheckpoint does at the end of a fit
        trainer.save_checkpoint(path.with_suffix(".ckpt"))
        return
    weights = torch.cat([parameter.detach().flatten() for parameter in method.parameters()])
    weights_of_all = [weights.clone() for _ in range(world_size)]
    if world_size > 1:
        dist.all_gather(weights_of_all, weights)
    if trainer.is_global_zero:
        assert method.state.assignments is not None
        result = {
            "weights": weights,
            "ranks_agree": all(torch.equal(weights, other) for other in weights_of_all),
            "labels": method.state.assignments.labels,
            "frequencies": None if (p := method.state.target_distribution) is None else p.frequencies,
            "final": None if method.final is None else method.final.z,
            "steps": trainer.global_step,
            "pieces_are_whole": sink.is_whole,
        }
        torch.save(result, path)


def run(
    folder: Path,
    name: str,
    world_size: int,
    precision: str = "32-true",
    kill: tuple[str, int] | None = None,
    resume: str | None = None,
    tolerance: float = 0.0,
    method: str = "dec",
    max_steps: int = -1,
) -> None:
    """Run a scenario in ``world_size`` forked processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = []
    for rank in range(world_size):
        child = os.fork()
        if child == 0:
            try:
                if world_size > 1:
                    os.environ |= {
                        "MASTER_ADDR": "127.0.0.1",
                        "MASTER_PORT": str(port),
                        "RANK": str(rank),
                        "LOCAL_RANK": str(rank),
                        "WORLD_SIZE": str(world_size),
                        "LOCAL_WORLD_SIZE": str(world_size),
                        "GROUP_RANK": "0",
                        "TORCHELASTIC_RUN_ID": "test",
                    }
                kind = KillLast if kill is not None and kill[0] == "checkpoint" else Kill
                killer = None if kill is None else kind(*kill, folder / f"{name}.ckpt")
                ckpt_path = None if resume is None else folder / f"{resume}.ckpt"
                fit(folder / f"{name}.pt", world_size, precision, killer, ckpt_path, tolerance, method, max_steps)
                os._exit(0)
            except BaseException as error:
                sys.stderr.write(f"{name}, rank {rank}: {error!r}\n")
                os._exit(1)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if any(codes):
        raise SystemExit(f"{name} failed with exit codes {codes}")


def main(folder: Path) -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    for world_size in (1, 2):
        run(folder, f"whole_{world_size}", world_size)
        for name, kill in KILLS.items():
            run(folder, f"{name}_{world_size}_killed", world_size, kill=kill)
            run(folder, f"{name}_{world_size}", world_size, resume=f"{name}_{world_size}_killed")
        run(folder, f"float64_{world_size}", world_size, precision="64-true")
        run(folder, f"tolerance_{world_size}", world_size, tolerance=0.02)
        for method, (_, _, kills, _) in METHODS.items():
            run(folder, f"{method}_whole_{world_size}", world_size, method=method)
            for name, kill in kills.items():
                resumed = f"{method}_{name}_{world_size}"
                run(folder, f"{resumed}_killed", world_size, kill=kill, method=method)
                run(folder, resumed, world_size, resume=f"{resumed}_killed", method=method)
            run(folder, f"{method}_float64_{world_size}", world_size, precision="64-true", method=method)
        run(folder, f"mini_batch_{world_size}", world_size, precision="64-true", method="mini_batch")
    run(folder, "tolerance_killed", 1, tolerance=0.02, kill=("step", 55))
    run(folder, "tolerance_resumed", 1, tolerance=0.02, resume="tolerance_killed")
    run(folder, "from_2_to_1", 1, resume="mid_epoch_2_killed")
    for world_size in (1, 2):
        twice = f"twice_{world_size}"  # at the last batch of an epoch, and then within the next one
        resumed = f"last_batch_{world_size}_killed"
        run(folder, f"{twice}_killed", world_size, kill=("step", 69), resume=resumed)
        run(folder, twice, world_size, resume=f"{twice}_killed")
        run(folder, f"max_steps_{world_size}_killed", world_size, max_steps=55)
        run(folder, f"max_steps_{world_size}", world_size, resume=f"max_steps_{world_size}_killed")
    for method in ("dec", "dcn"):
        name, step = f"{method}_resumed_float64", 59 if method == "dec" else 17
        run(folder, f"{name}_killed", 1, precision="64-true", kill=("step", step), method=method)
        run(folder, name, 1, precision="64-true", resume=f"{name}_killed", method=method)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
