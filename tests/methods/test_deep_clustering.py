"""DeepClustering: known methods made of parts give the numbers of their classes; other parts; slips."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from lightning_dc import (
    DCN,
    DEC,
    IDEC,
    SCAN,
    AEKMeans,
    ClusteringModule,
    DeepClustering,
    InputError,
    KMeansConfig,
    MLPAutoencoder,
    MLPEncoder,
    NearestCentroidHead,
    NeighbourConfig,
    PhaseConfig,
    RefreshConfig,
    SoftmaxHead,
)
from lightning_dc.losses import (
    Balance,
    ConditionalEntropy,
    ConfidentLabels,
    GroupSparsity,
    KLTarget,
    KMeansLoss,
    Locality,
    NeighbourConsistency,
    Reconstruction,
    SinkhornLabels,
    ViewConsistency,
)
from tests.conftest import CommandLine
from tests.helpers.methods import RECONSTRUCTION, Blobs, trainer

NETWORK = functools.partial(MLPAutoencoder, hidden_dims=[8], latent_dim=2)
PRETRAINING = PhaseConfig(max_epochs=3, loss_weights=RECONSTRUCTION)
KL = PhaseConfig(max_epochs=4, loss_weights={"kl": 1.0})
BOTH = PhaseConfig(max_epochs=4, loss_weights={"reconstruction": 1.0, "kl": 0.1})
DCN_PHASE = PhaseConfig(max_epochs=4, loss_weights={"reconstruction": 1.0, "kmeans": 1.0})
CONSISTENT = PhaseConfig(max_epochs=4, loss_weights={"consistency": 1.0, "balance": 2.0})
NEVER = RefreshConfig(every_n_steps=3, tolerance=0.0)
LOSSES = {"reconstruction": Reconstruction(), "kl": KLTarget()}
SETTINGS: dict[str, Any] = {"kmeans": KMeansConfig(n_init=3), "refresh": NEVER}


def dec() -> tuple[ClusteringModule, ...]:
    phases = {"pretraining": PRETRAINING, "clustering": KL}
    return (
        DEC((6,), 3, NETWORK, pretraining=PRETRAINING, clustering=KL, **SETTINGS),
        DeepClustering((6,), 3, LOSSES, phases, NETWORK, **SETTINGS),
    )


def idec() -> tuple[ClusteringModule, ...]:
    phases = {"pretraining": PRETRAINING, "clustering": BOTH}
    return (
        IDEC((6,), 3, NETWORK, pretraining=PRETRAINING, clustering=BOTH, **SETTINGS),
        DeepClustering((6,), 3, LOSSES, phases, NETWORK, **SETTINGS),
    )


def dcn() -> tuple[ClusteringModule, ...]:
    losses = {"reconstruction": Reconstruction("sum"), "kmeans": KMeansLoss()}
    phases = {"pretraining": PRETRAINING, "clustering": DCN_PHASE}
    settings = SETTINGS | {"kmeans": KMeansConfig(n_init=3, every_n_steps=3)}
    return (
        DCN((6,), 3, NETWORK, pretraining=PRETRAINING, clustering=DCN_PHASE, initial_count=10, **settings),
        DeepClustering((6,), 3, losses, phases, NETWORK, head=NearestCentroidHead, counted_updates=10, **settings),
    )


def ae_kmeans() -> tuple[ClusteringModule, ...]:
    phases = {"pretraining": PRETRAINING, "k-means": PhaseConfig(max_steps=1)}
    losses = {"reconstruction": Reconstruction()}
    return (
        AEKMeans((6,), 3, NETWORK, pretraining=PRETRAINING, kmeans=KMeansConfig(n_init=3)),
        DeepClustering((6,), 3, losses, phases, NETWORK, head=NearestCentroidHead, **SETTINGS),
    )


def scan() -> tuple[ClusteringModule, ...]:
    encoder, head = functools.partial(MLPEncoder, hidden_dims=[8]), functools.partial(SoftmaxHead, n_heads=3)
    losses = {"consistency": NeighbourConsistency(), "balance": Balance()}
    near = NeighbourConfig(k=4)
    return (
        SCAN((6,), 3, encoder, head=head, neighbours=near, consistency=CONSISTENT, refresh=NEVER),
        DeepClustering(
            (6,), 3, losses, {"consistency": CONSISTENT}, encoder, head=head, neighbours=near, refresh=NEVER
        ),
    )


@pytest.mark.parametrize("pair", [dec, idec, dcn, ae_kmeans, scan])
def test_a_known_method_made_of_parts_gives_the_numbers_of_its_class(pair: Any, tmp_path: Path) -> None:
    weights, labels = [], []
    for number in range(2):
        pl.seed_everything(0, verbose=False)
        model = pair()[number]
        pl.seed_everything(0, verbose=False)
        model.load_state_dict(pair()[0].state_dict())
        trainer(tmp_path / str(number)).fit(model, Blobs())
        weights.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
        assert model.final is not None
        labels.append(model.final.labels)
    assert torch.equal(*weights)
    assert torch.equal(*labels)


@pytest.mark.parametrize(
    ("term", "beside"),
    [
        (NeighbourConsistency(), {"balance": 2.0}),
        (ViewConsistency(), {"balance": 2.0}),
        (ConditionalEntropy(), {"balance": 4.0}),
        (ConfidentLabels(0.3), {"balance": 2.0}),
        (SinkhornLabels(), {}),
        (Locality(), {"reconstruction": 1.0}),
        (GroupSparsity(), {"reconstruction": 1.0}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_loss_trains_within_a_method_of_parts(term: Any, beside: dict[str, float], tmp_path: Path) -> None:
    head = NearestCentroidHead if "reconstruction" in beside else SoftmaxHead
    losses = {"term": term} | {name: {"balance": Balance, "reconstruction": Reconstruction}[name]() for name in beside}
    phases = {
        "training": PhaseConfig(max_epochs=6, loss_weights={"term": 1.0, **beside}, input_dropout=0.1),
        "last": PhaseConfig(max_steps=1),
    }
    pl.seed_everything(0, verbose=False)
    model = DeepClustering((6,), 3, losses, phases, NETWORK, head=head, neighbours=NeighbourConfig(k=4), refresh=NEVER)
    before = model.model.network.encoder.linear_1.weight.detach().clone()
    trainer(tmp_path).fit(model, Blobs())
    assert model.final is not None
    after = model.model.network.encoder.linear_1.weight.detach()
    assert bool(after.isfinite().all())
    assert not torch.equal(before, after)


def test_what_a_phase_trains_follows_from_its_losses() -> None:
    losses = {"reconstruction": Reconstruction(), "kl": KLTarget(), "locality": Locality()}
    weights = [{"reconstruction": 1.0}, {"locality": 1.0}, {"kl": 1.0}, {"kl": 1.0, "reconstruction": 1.0}, {}]
    phases = {f"phase {i}": PhaseConfig(max_steps=1, loss_weights=one) for i, one in enumerate(weights)}
    model = DeepClustering((6,), 3, losses, phases, NETWORK)
    assert [phase.trainable for phase in model.phases] == [
        ("encoder", "decoder"),
        ("encoder",),
        ("encoder", "head"),
        ("encoder", "decoder", "head"),
        (),
    ]
    assert [phase.has_clusters for phase in model.phases] == [False, False, True, True, True]
    assert [phase.initializes_centroids for phase in model.phases] == [False, False, True, False, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"losses": {"kl": torch.nn.ReLU()}}, "losses.kl is a ReLU; give a class that derives from"),
        ({"losses": {"acc": KLTarget()}}, "losses names 'acc', which means something else"),
        ({"losses": {**LOSSES, "locality": Locality()}}, "losses names 'locality', but no phase gives it a weight"),
        (
            {"losses": {"reconstruction": Reconstruction()}, "phases": {"one": PRETRAINING}},
            "no phase of one has clusters",
        ),
        ({"head": NearestCentroidHead, "losses": {"kl": KLTarget()}}, "assignments of NearestCentroidHead are 0 or 1"),
        (
            {"losses": {"views": ViewConsistency()}, "phases": {"one": PhaseConfig(1, loss_weights={"views": 1.0})}},
            "reads a second view of each sample, which would be equal to the first; give an augmentation",
        ),
        ({"phases": {}}, "phases of DeepClustering are empty"),
        (
            {"losses": {}, "phases": {"one": PhaseConfig(max_steps=1, loss_weights={"k": 1.0})}},
            r"loss_weights of phase 'one' name \['k'\]",
        ),
        ({"head": SoftmaxHead, "counted_updates": 5}, "counted_updates=5 moves centroids, but SoftmaxHead has none"),
        (
            {
                "network": MLPEncoder,
                "losses": {"reconstruction": Reconstruction()},
                "phases": {"one": PRETRAINING, "two": PhaseConfig(max_steps=1)},
            },
            "loss 'reconstruction' .* reads 'x_hat', which this DeepClustering does not have: MLPEncoder has no",
        ),
    ],
)
def test_parts_that_do_not_fit(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DeepClustering(
            **{"input_shape": (6,), "n_clusters": 3, "losses": {"kl": KLTarget()}, "phases": {"one": KL}, **arguments}
        )


def test_a_file_describes_the_method(lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "parts.yaml").write_text(
        """
model:
  class_path: DeepClustering
  init_args:
    n_clusters: 3
    network: {class_path: MLPAutoencoder, init_args: {hidden_dims: [8], latent_dim: 2}}
    losses:
      reconstruction: {class_path: lightning_dc.losses.Reconstruction}
      kl: {class_path: lightning_dc.losses.KLTarget}
    phases:
      pretraining: {max_epochs: 2, loss_weights: {reconstruction: 1.0}}
      clustering: {max_epochs: 2, loss_weights: {kl: 1.0}}
data: {class_path: ArrayDataModule, init_args: {x: x.npy}}
"""
    )
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(60, 6)))
    lightning_dc_cli(
        "fit", "--config=parts.yaml", "--trainer.accelerator=cpu", "--model.phases.clustering.max_epochs=3"
    )
    folder = tmp_path / "runs/parts/version_0"
    lightning_dc_cli("predict", "--data=ArrayDataModule", "--data.x=x.npy", f"--ckpt_path={folder}")
    loaded = DeepClustering.load_from_checkpoint(folder / "checkpoints/last.ckpt")
    assert [phase.name for phase in loaded.phases] == ["pretraining", "clustering"]
    assert loaded.phases[1].config.max_epochs == 3
