"""The method SCAN: clusters, new samples, several views in one pass, and slips."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from datamodules import ArrayDataModule
from lightning_dc import DEC, SCAN, InputError, MLPEncoder, NeighbourConfig, PhaseConfig, SoftmaxHead, StudentTHead
from lightning_dc.augmentation import RandomAffine
from tests.conftest import CommandLine
from tests.helpers.methods import Blobs, trainer

WEIGHTS = {"consistency": 1.0, "balance": 2.0}
SMALL = functools.partial(MLPEncoder, hidden_dims=[32])
ADAM = functools.partial(torch.optim.Adam, lr=1e-2)


SIZES: list[int] = []


class Counting(MLPEncoder):
    """Encoder that keeps the sizes of the batches that it is trained on."""

    def encode(self, x: torch.Tensor, corrupt: Any = None) -> torch.Tensor:
        if self.training:
            SIZES.append(len(x))
        return super().encode(x, corrupt)


def moons() -> tuple[np.ndarray, np.ndarray]:
    """Two half circles that k-means cuts, in six dimensions."""
    from sklearn.datasets import make_moons

    x, y = make_moons(400, noise=0.05, random_state=0)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    return (np.pad(x, ((0, 0), (0, 4))) @ turn).astype(np.float32), y


def test_separate_groups_become_clusters(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SCAN(
        (6,),
        3,
        encoder=SMALL,
        neighbours=NeighbourConfig(k=5),
        consistency=PhaseConfig(max_steps=200, loss_weights=WEIGHTS, optimizer=ADAM),
    )
    data = Blobs(batch_size=150)
    trainer(tmp_path).fit(model, data)
    assert model.final is not None
    assert adjusted_rand_score(model.final.y, model.final.labels) > 0.95


def test_self_labelling_sharpens_the_clusters(tmp_path: Path) -> None:
    x, _ = moons()
    entropies = []
    for n_steps in (0, 60):
        torch.manual_seed(0)
        model = SCAN(
            (6,),
            3,
            encoder=SMALL,
            consistency=PhaseConfig(max_steps=40, loss_weights=WEIGHTS),
            self_labelling=PhaseConfig(max_steps=n_steps, loss_weights={"kl": 1.0}),
        )
        trainer(tmp_path).fit(model, ArrayDataModule(x, batch_size=200))
        assert model.final is not None
        entropies.append(float(model.final.entropy))
    assert entropies[1] < 0.7 * entropies[0]


def test_all_views_are_encoded_in_one_pass(tmp_path: Path) -> None:
    x, _ = moons()
    weights = {"consistency": 1.0, "views": 1.0, "balance": 2.0}
    phase = PhaseConfig(max_steps=3, loss_weights=weights, dropout=0.1, input_dropout=0.1)
    model = SCAN((6,), 2, encoder=Counting, consistency=phase)
    SIZES.clear()
    trainer(tmp_path).fit(model, ArrayDataModule(x, batch_size=100))
    assert SIZES == [300, 300, 300]


def test_views_are_augmented_independently_of_each_other() -> None:
    from lightning_dc import Batch, ClusteringModel, ConvEncoder, Phase
    from lightning_dc.randomness import StepRandom
    from lightning_dc.training import Neighbours, RunState, TrainingStep

    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    numbers = torch.tensor([[1, 2], [0, 2], [0, 1], [4, 1], [3, 2]], dtype=torch.int32)
    state = RunState(0, neighbours=Neighbours(numbers, torch.rand(5, 2), None))
    model = ClusteringModel(ConvEncoder((1, 8, 8), channels=(4,), latent_dim=6), SoftmaxHead(3, 6)).eval()
    random = StepRandom(0, 0, 5, images.device)
    taken: list[torch.Tensor] = []

    def take(rows: torch.Tensor) -> torch.Tensor:
        taken.append(rows)
        return images[rows]

    batch, phase = Batch(images, None, torch.arange(5)), Phase("a phase", PhaseConfig(), ("encoder", "head"))
    wanted = {"z_view", "z_neighbour", "similarity"}
    step = TrainingStep(model, batch, phase, state, random, RandomAffine(), take, wanted)
    found = step.read(["z", *sorted(wanted)])
    augment = RandomAffine()
    (rows,) = taken
    assert all(int(row) in numbers[i] for i, row in enumerate(rows))
    for name, x, scope in (
        ("z", images, "view"),
        ("z_view", images, "view view"),
        ("z_neighbour", images[rows], "neighbour view"),
    ):
        torch.testing.assert_close(found[name], model.embed(augment(x, random.scope(scope))))
    chosen = [numbers[i].tolist().index(int(row)) for i, row in enumerate(rows)]
    assert state.neighbours is not None
    assert torch.equal(found["similarity"], state.neighbours.similarity[torch.arange(5), chosen])


def test_neighbours_in_another_method_need_their_refresh(tmp_path: Path) -> None:
    from lightning_dc.losses import NeighbourConsistency

    model = DEC(
        (6,),
        2,
        extra_losses={"consistency": NeighbourConsistency()},
        clustering=PhaseConfig(max_epochs=1, loss_weights={"kl": 1.0, "consistency": 1.0}),
    )
    message = "loss 'consistency' of phase 'clustering' reads log_q_neighbour, which no callback of DEC computes"
    with pytest.raises(InputError, match=message):
        trainer(tmp_path).fit(model, ArrayDataModule(moons()[0]))


def test_the_command_line_fits_resumes_and_predicts(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    flags = ("--config=scan_digits", "--trainer.accelerator=cpu", "--model.head=lightning_dc.heads.SoftmaxHead")
    encoder = ("--model.encoder=ConvEncoder", "--model.encoder.channels=[4]", "--model.encoder.latent_dim=16")
    lightning_dc_cli("fit", *flags, *encoder, "--model.consistency.max_epochs=2")
    folder = tmp_path / "runs/scan_digits/version_0"
    lightning_dc_cli("predict", "--data=DigitsDataModule", f"--ckpt_path={folder}", "--output.path=p.npz")
    with np.load("p.npz") as predictions:
        assert predictions["cluster"].shape == (1797,)


def test_a_head_with_centroids_is_refused() -> None:
    with pytest.raises(InputError, match="head=StudentTHead of SCAN has centroids, which nothing would set"):
        SCAN((6,), 2, encoder=SMALL, head=StudentTHead)


def test_neighbours_belong_to_their_samples(tmp_path: Path) -> None:
    x, _ = moons()
    model, run = SCAN((6,), 2, SMALL, consistency=PhaseConfig(max_epochs=2, loss_weights=WEIGHTS)), trainer(tmp_path)
    run.fit(model, ArrayDataModule(x, batch_size=100))
    run.save_checkpoint(tmp_path / "m.ckpt")
    again = SCAN((6,), 2, encoder=SMALL, consistency=PhaseConfig(max_epochs=3, loss_weights=WEIGHTS))
    with pytest.raises(InputError, match="names a run on 400 samples, but the training set has 300"):
        trainer(tmp_path).fit(again, ArrayDataModule(x[:300], batch_size=100), ckpt_path=tmp_path / "m.ckpt")
