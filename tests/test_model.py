"""The model by itself: without Lightning, with a representation of any layers, and exported."""

from __future__ import annotations

import copy
import functools
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import lightning_dc
from lightning_dc import (
    DCN,
    DEC,
    IDEC,
    AEKMeans,
    Autoencoder,
    ClusteringModel,
    InputError,
    LayerFeatures,
    MLPAutoencoder,
    PhaseConfig,
    StudentTHead,
)
from lightning_dc.encoders import Representation
from lightning_dc.heads import TaskHead
from tests.helpers.methods import Blobs, dec, trainer
from tests.helpers.processes import run_command

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))


class Convolutional(Autoencoder):
    """A convolution of images of 1 x 6 x 6, then a linear layer."""

    def __init__(self, input_shape: object = (1, 6, 6)) -> None:
        super().__init__((1, 6, 6), 3)
        self.encoder = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
        self.decoder = nn.Sequential(nn.Linear(3, 36), nn.Unflatten(1, (1, 6, 6)))

    def encode(self, x: Tensor, corrupt: object = None) -> Tensor:
        z: Tensor = self.encoder(x)
        return z

    def decode(self, z: Tensor, corrupt: object = None) -> Tensor:
        x_hat: Tensor = self.decoder(z)
        return x_hat


def test_embedding_and_assignments_are_those_of_the_parts() -> None:
    network, head = MLPAutoencoder((6,), [8], 2), StudentTHead(3, 2)
    torch.nn.init.normal_(head.centroids)
    model = ClusteringModel(network, head)
    assert torch.equal(model.embed(X), network.encode(X))
    assert torch.equal(model(X), head(network.encode(X)))
    assert model.parts().keys() == {"encoder", "decoder", "head"}


def test_a_model_is_copied_whole() -> None:
    network = MLPAutoencoder((6,), [8], 2)
    representation = Representation(network, ["activation_1"])
    model = ClusteringModel(network, StudentTHead(3, 8), representation)
    other = copy.deepcopy(model)
    expected = model.embed(X)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(other.embed(X), expected)


def test_a_head_of_another_width_is_refused() -> None:
    with pytest.raises(InputError, match="latent_dim=4 of StudentTHead differs from the 2 numbers"):
        ClusteringModel(MLPAutoencoder((6,), [8], 2), StudentTHead(3, 4))


def test_a_task_needs_a_head() -> None:
    network = MLPAutoencoder((6,), [8], 2)
    assert ClusteringModel(network, StudentTHead(3, 2), task_head=TaskHead(2, 4)).predict_task(X[:, :2]).shape == (5, 4)
    with pytest.raises(InputError, match="no task head"):
        ClusteringModel(network, StudentTHead(3, 2)).predict_task(X[:, :2])


@pytest.mark.parametrize("pool", ["average", "max"])
def test_layers_are_pooled_and_concatenated(pool: str) -> None:
    network = Convolutional()
    x = torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    layers = [LayerFeatures("1", pool), "3"]  # type: ignore[arg-type]
    encoded = Representation(network, layers)(x)
    maps = torch.relu(network.encoder[0](x)).flatten(2)
    pooled = maps.mean(2) if pool == "average" else maps.max(2).values
    torch.testing.assert_close(encoded.z, torch.cat([pooled, network.encode(x)], 1))
    assert torch.equal(encoded.features, network.encode(x))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (("3", "average"), r"of layer '3' needs an output with positions, \(B, C, ...\), but it has shape \(B, 3"),
        (("1", "sum"), "pool='sum' of layer '1' is unknown; choose from average, max"),
    ],
)
def test_pooling_that_makes_no_sense_is_refused(layer: tuple[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Representation(Convolutional(), [LayerFeatures(*layer)])  # type: ignore[arg-type]


@pytest.mark.parametrize("method", [AEKMeans, DEC, IDEC, DCN])
def test_every_method_clusters_the_layers_that_are_named(tmp_path: Path, method: type) -> None:
    short = {"pretraining": PhaseConfig(max_steps=3, loss_weights={"reconstruction": 1.0})}
    autoencoder = functools.partial(MLPAutoencoder, hidden_dims=[8, 4], latent_dim=2)
    if method is not AEKMeans:
        weights = {DCN: {"reconstruction": 1.0, "kmeans": 1.0}}.get(method, {"reconstruction": 1.0, "kl": 1.0})
        short["clustering"] = PhaseConfig(max_steps=3, loss_weights=weights)
    layers = ["activation_1", LayerFeatures("linear_3")]
    model = method((6,), 3, autoencoder, representation=layers, **short)
    run = trainer(tmp_path)
    run.fit(model, Blobs())
    encoder = model.model.network.encoder
    x = Blobs().train_dataloader().read(0, 150).x
    first = torch.relu(encoder.linear_1(x))
    expected = torch.cat([first, encoder.linear_3(torch.relu(encoder.linear_2(first)))], 1)
    torch.testing.assert_close(model.embed(x), expected)
    assert model.model.head.centroids.shape == (3, 10)
    run.save_checkpoint(tmp_path / "model.ckpt")
    loaded = method.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert torch.equal(loaded.embed(x), model.embed(x))


@pytest.mark.parametrize("layers", [None, ["activation_1"]])
def test_the_model_can_be_exported(layers: list[str] | None) -> None:
    model = dec(representation=layers).model.eval()
    torch.nn.init.normal_(model.head.centroids)
    batch = torch.export.Dim("batch", min=2, max=1000)
    program = torch.export.export(model, (X,), dynamic_shapes=({0: batch},))
    again = torch.randn(11, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(program.module()(again), model(again))


def test_a_representation_of_another_network_is_refused() -> None:
    network, other = (MLPAutoencoder((6,), [8], 2) for _ in range(2))
    with pytest.raises(InputError, match="reads from another network"):
        ClusteringModel(network, StudentTHead(3, 2), Representation(other, None))


def test_looking_for_the_width_leaves_a_network_as_it_is() -> None:
    network = Convolutional()
    network.encoder = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    before, state = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    assert Representation(network, ["2"]).width == 8
    assert network.encoder[2].training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_layers_that_are_replaced_are_read_where_they_are() -> None:
    network = MLPAutoencoder((6,), [8], 2)
    model = ClusteringModel(network, StudentTHead(3, 8), Representation(network, ["linear_1"]))
    network.encoder.linear_1 = nn.Linear(6, 8)
    torch.testing.assert_close(model.embed(X), network.encoder.linear_1(X))


def test_the_model_comes_without_lightning() -> None:
    code = "import sys, lightning_dc.model; from lightning_dc import StudentTHead; print(sorted(sys.modules))"
    printed = run_command([sys.executable, "-c", code])
    assert "lightning_dc.model" in printed
    assert "'lightning'" not in printed


def test_all_public_names_are_there() -> None:
    names = {name: getattr(lightning_dc, name) for name in lightning_dc.__all__}
    assert names["DEC"] is DEC
    with pytest.raises(AttributeError, match="no attribute 'DEX'"):
        lightning_dc.DEX  # noqa: B018
