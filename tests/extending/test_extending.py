"""A loss, a head, an encoder, a DataModule and a picture of a user's own: one file each, used from YAML alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from pyarrow import parquet
from sklearn.datasets import load_iris
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_dc import DEC
from tests.conftest import CommandLine
from tests.helpers.command_line import scalars

RUN = Path("runs/own/version_0")
CHECKPOINT = RUN / "checkpoints/last.ckpt"

BASE = """
model:
  class_path: DEC
  init_args:
    n_clusters: 3
    autoencoder: {class_path: MLPAutoencoder, init_args: {hidden_dims: [8], latent_dim: 2}}
    pretraining: {max_steps: 4}
    clustering: {max_steps: 6}
    refresh: {every_n_steps: 3}
data: {class_path: SyntheticDataModule, init_args: {n_samples: 200}}
trainer: {accelerator: cpu, log_every_n_steps: 1, enable_progress_bar: false}
"""


def fit(cli: CommandLine, own: str) -> str:
    """Fit a small DEC with a user's own part, from two files of YAML."""
    Path("base.yaml").write_text(BASE)
    Path("own.yaml").write_text(own)
    return cli("fit", "--config", "base.yaml", "--config", "own.yaml")


@pytest.mark.parametrize("method", ["AEKMeans", "DEC", "IDEC", "DCN"])
def test_a_loss(lightning_dc_cli: CommandLine, method: str) -> None:
    """A weight, or a schedule of it, in any phase of any method; nothing moves, so that its value is known."""
    still = "optimizer: {class_path: torch.optim.SGD, init_args: {lr: 0.0}}"
    ramp = "{class_path: lightning_dc.schedules.Linear, init_args: {start: 0.0, end: 0.5}}"
    own = f"""
model:
  class_path: {method}
  init_args:
    extra_losses:
      unit_norm: {{class_path: tests.extending.unit_norm.UnitNorm, init_args: {{length: 0.5}}}}
    pretraining: {{max_steps: 4, {still}, loss_weights: {{reconstruction: 1.0, unit_norm: {ramp}}}}}
"""
    Path("base.yaml").write_text(BASE)
    Path("own.yaml").write_text(own)
    base = yaml.safe_load(BASE)
    if method == "AEKMeans":
        del base["model"]["init_args"]["clustering"], base["model"]["init_args"]["refresh"]
    base["model"]["class_path"] = method
    base["data"]["init_args"]["batch_size"] = 200
    Path("base.yaml").write_text(yaml.safe_dump(base))
    lightning_dc_cli("fit", "--config", "base.yaml", "--config", "own.yaml")
    logged = scalars(RUN)
    weights = [event.value for event in logged["weight/unit_norm"][:4]]
    np.testing.assert_allclose(weights, [0.125, 0.25, 0.375, 0.5], atol=1e-6)
    values = [event.value for event in logged["train/unit_norm"][:4]]
    assert values == pytest.approx([values[0]] * 4, rel=1e-5)
    total, error = (logged[f"train/{name}"][2].value for name in ("loss", "reconstruction"))
    assert total == pytest.approx(error + 0.25 * values[0], rel=1e-5)


def test_the_value_of_a_loss(lightning_dc_cli: CommandLine) -> None:
    own = """
model:
  init_args:
    extra_losses: {unit_norm: {class_path: tests.extending.unit_norm.UnitNorm, init_args: {length: 0.5}}}
    clustering:
      max_steps: 1
      optimizer: {class_path: torch.optim.SGD, init_args: {lr: 0.0}}
      loss_weights: {kl: 1.0, unit_norm: 2.0}
data: {init_args: {batch_size: 200}}
"""
    fit(lightning_dc_cli, own)
    table = parquet.read_table(RUN / "clusters.parquet")
    z = np.stack([table["z_0"].to_numpy(), table["z_1"].to_numpy()], 1)
    expected = ((np.linalg.norm(z, axis=1) - 0.5) ** 2).mean()
    assert scalars(RUN)["train/unit_norm"][-1].value == pytest.approx(expected, rel=1e-5)
    loaded = DEC.load_from_checkpoint(CHECKPOINT, trust=["tests"])
    assert loaded.losses["unit_norm"].length == 0.5


def test_a_head_without_centroids(lightning_dc_cli: CommandLine) -> None:
    own = """
model:
  init_args:
    head: {class_path: tests.extending.softmax_head.SoftmaxHead, init_args: {temperature: 2.0}}
"""
    printed = fit(lightning_dc_cli, own)
    assert "cluster sizes" in printed
    loaded = DEC.load_from_checkpoint(CHECKPOINT, trust=["tests"])
    assert loaded.model.head.temperature == 2.0
    table = parquet.read_table(RUN / "clusters.parquet")
    z = torch.tensor(np.stack([table["z_0"].to_numpy(), table["z_1"].to_numpy()], 1))
    q = np.stack([table[f"q_{k}"].to_numpy() for k in range(3)], 1)
    linear = loaded.model.head.linear
    scores = (z @ linear.weight.T + linear.bias).detach().numpy() / 2.0
    np.testing.assert_allclose(q, np.exp(scores) / np.exp(scores).sum(1, keepdims=True), atol=1e-5)
    assert {"train/labels_changed", "clusters/size_00"} <= scalars(RUN).keys()


def test_an_encoder(lightning_dc_cli: CommandLine) -> None:
    own = """
model:
  init_args:
    autoencoder: {class_path: tests.extending.linear_autoencoder.LinearAutoencoder, init_args: {latent_dim: 4}}
"""
    fit(lightning_dc_cli, own)
    assert "z_3" in parquet.read_table(RUN / "clusters.parquet").column_names
    assert "tests.extending" in str(torch.load(CHECKPOINT, weights_only=True)["hyper_parameters"]["autoencoder"])


def test_a_datamodule(lightning_dc_cli: CommandLine) -> None:
    own = "data: {class_path: tests.extending.iris_data.IrisData, init_args: {batch_size: 50}}"
    printed = fit(lightning_dc_cli, own)
    assert "ARI" in printed
    assert len(parquet.read_table(RUN / "clusters.parquet")) == 150
    features = (RUN / "features.csv").read_text()
    assert all(name in features for name in load_iris().feature_names)


def test_a_picture(lightning_dc_cli: CommandLine) -> None:
    own = "trainer: {callbacks: [{class_path: tests.extending.size_picture.SizePicture}]}"
    fit(lightning_dc_cli, own)
    with Image.open(RUN / "sizes.png") as image:
        assert len(set(image.convert("L").getdata())) > 1
    events = EventAccumulator(str(RUN))
    events.Reload()
    assert "clusters/sizes" in events.Tags()["images"]


@pytest.mark.parametrize(
    ("losses", "weights", "message"),
    [
        (
            "{a: {class_path: tests.extending.bad_losses.ReadsNothingThereIs}}",
            "{kl: 1.0, a: 1.0}",
            "reads 'neighbours'",
        ),
        (
            "{a: {class_path: tests.extending.bad_losses.ReadsTheTask}}",
            "{kl: 1.0, a: 1.0}",
            "reads 'output', which this D",
        ),
        (
            "{kl: {class_path: tests.extending.unit_norm.UnitNorm}}",
            "{kl: 1.0}",
            "extra_losses names ['kl'], which the me",
        ),
        ("{a: {class_path: tests.extending.unit_norm.UnitNorm}}", "{kl: 1.0}", "no phase gives it a weight"),
        (
            "{loss: {class_path: tests.extending.unit_norm.UnitNorm}}",
            "{loss: 1.0}",
            "'loss', which means something else",
        ),
        ("{keys: {class_path: tests.extending.unit_norm.UnitNorm}}", "{keys: 1.0}", "'keys', which means something"),
        ("{a-b: {class_path: tests.extending.unit_norm.UnitNorm}}", "{a-b: 1.0}", "'a-b', which means something"),
        ("{a: {class_path: tests.extending.bad_losses.HasNoForward}}", "{kl: 1.0, a: 1.0}", "has no forward"),
        ("{a: {class_path: tests.extending.bad_losses.HasADefault}}", "{kl: 1.0, a: 1.0}", "has a default for 'q'"),
        ("{a: {class_path: tests.extending.unit_norm.UnitNorm}}", "{kl: 1.0, b: 1.0}", "name ['b']; choose from"),
    ],
)
def test_losses_that_can_not_be_computed_are_refused_before_training(
    lightning_dc_cli: CommandLine, tmp_path: Path, losses: str, weights: str, message: str
) -> None:
    Path("base.yaml").write_text(BASE)
    clustering = f"clustering: {{max_steps: 2, loss_weights: {weights}}}"
    Path("own.yaml").write_text(f"model: {{init_args: {{extra_losses: {losses}, {clustering}}}}}")
    assert message in lightning_dc_cli.fails("fit", "--config=base.yaml", "--config=own.yaml")
    assert not list(tmp_path.rglob("*.ckpt"))


def test_p_needs_a_method_that_computes_it(lightning_dc_cli: CommandLine) -> None:
    Path("base.yaml").write_text(BASE)
    Path("own.yaml").write_text(
        """
model:
  class_path: DCN
  init_args:
    extra_losses: {kl: {class_path: tests.extending.bad_losses.ReadsTargetsAlone}}
    clustering: {max_steps: 2, loss_weights: {kmeans: 1.0, kl: 1.0}}
"""
    )
    message = lightning_dc_cli.fails("fit", "--config=base.yaml", "--config=own.yaml")
    assert "loss 'kl' of phase 'clustering' reads p, which no callback of DCN computes" in message


def test_soft_assignments_need_a_soft_head(lightning_dc_cli: CommandLine) -> None:
    Path("base.yaml").write_text(BASE)
    Path("own.yaml").write_text(
        """
model:
  class_path: DCN
  init_args:
    extra_losses: {kl: {class_path: lightning_dc.losses.KLTarget}}
    clustering: {max_steps: 2, loss_weights: {kmeans: 1.0, kl: 1.0}}
"""
    )
    message = lightning_dc_cli.fails("fit", "--config=base.yaml", "--config=own.yaml")
    assert "assignments of NearestCentroidHead are 0 or 1 and have no gradient; use a soft head" in message


def test_p_is_not_read_before_there_are_clusters(lightning_dc_cli: CommandLine) -> None:
    Path("base.yaml").write_text(BASE)
    Path("own.yaml").write_text("model: {init_args: {pretraining: {loss_weights: {reconstruction: 1.0, kl: 0.1}}}}")
    message = lightning_dc_cli.fails("fit", "--config=base.yaml", "--config=own.yaml")
    assert "loss 'kl' reads p, which phase 'pretraining' does not have" in message


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed", "64-true"])
def test_a_head_with_weights_in_any_precision(lightning_dc_cli: CommandLine, precision: str) -> None:
    own = f"""
model: {{init_args: {{head: {{class_path: tests.extending.softmax_head.SoftmaxHead}}}}}}
trainer: {{precision: {precision}}}
"""
    assert "cluster sizes" in fit(lightning_dc_cli, own)


def test_nu_is_not_given_beside_a_head(lightning_dc_cli: CommandLine) -> None:
    Path("base.yaml").write_text(BASE)
    own = "model: {init_args: {nu: 2.0, head: {class_path: tests.extending.softmax_head.SoftmaxHead}}}"
    Path("own.yaml").write_text(own)
    assert "nu=2.0 is that of StudentTHead" in lightning_dc_cli.fails("fit", "--config=base.yaml", "--config=own.yaml")
