"""Tests of the command line as users call it."""

from __future__ import annotations

import functools
import sys
import textwrap
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
import yaml
from pyarrow import parquet

from lightning_dc import DEC, KMeansConfig, MLPAutoencoder, PhaseConfig
from lightning_dc.configs import find_config, shipped_configs
from tests.conftest import CommandLine
from tests.helpers.command_line import CHECKPOINT, DIGITS, QUICK, RUN, scalars
from tests.helpers.fake_files import write_fake_cells, write_fake_images, write_fake_table, write_fake_texts
from tests.helpers.fake_mnist import write_fake_mnist
from tests.helpers.fake_reuters import write_fake_reuters
from tests.helpers.processes import run_command


def weights_of_run(version: int) -> dict[str, torch.Tensor]:
    path = f"runs/dec_digits/version_{version}/checkpoints/last.ckpt"
    return torch.load(path, weights_only=True)["state_dict"]


_COMMON = ("--model.pretraining", "--model.kmeans", "--trainer")


def quick_flags(name: str) -> list[str]:
    """Return the arguments of QUICK that the method of a shipped configuration has."""
    model = yaml.safe_load(find_config(name).read_text())["model"]
    init_args = model["init_args"]
    if model["class_path"] == "DeepType":
        own = ("--model.encoder.hidden_dims=[8,4]", "--model.joint.max_steps=6", "--model.refresh.every_n_epochs=1")
        return [*own, *(flag for flag in QUICK if flag.startswith(_COMMON))]
    if model["class_path"] == "SCAN":
        own = ("--model.encoder=ConvEncoder", "--model.encoder.channels=[4]", "--model.consistency.max_steps=6")
        own += ("--model.self_labelling.max_steps=2", "--model.neighbours.k=3")
        return [*own, *(flag for flag in QUICK if flag.startswith("--trainer"))]
    absent = {key for key in ("clustering", "refresh") if key not in init_args}
    if model["class_path"] in ("GaussianMixture", "MergedKMeans"):
        absent |= {"autoencoder", "layerwise", "pretraining", "kmeans"}
    if "Identity" in init_args.get("autoencoder", {}).get("class_path", ""):
        absent |= {"autoencoder", "layerwise", "pretraining"}
    if "every_n_epochs" in init_args.get("refresh", {}):  # an interval in steps beside it is refused
        absent.add("refresh")
    return [flag for flag in QUICK if not flag.startswith(tuple(f"--model.{key}" for key in absent))]


def write_fake_embeddings(folder: Path) -> Path:
    folder.mkdir()
    x = np.random.default_rng(0).normal(size=(60, 8)) + 9 * np.eye(8)[np.arange(60) % 3]
    np.savez(folder / "embeddings.npz", x=x, y=np.arange(60) % 3)
    return folder / "embeddings.npz"


@pytest.mark.parametrize("name", shipped_configs())
def test_every_shipped_config_runs_on_tiny_data(lightning_dc_cli: CommandLine, tmp_path: Path, name: str) -> None:
    if name == "deeptype_survival":
        pytest.importorskip("sksurv", reason="needs the extra survival")
        pytest.importorskip("lifelines", reason="needs the extra survival")
    if name == "cells":
        pytest.importorskip("anndata", reason="needs the extra anndata")
    fakes: dict[str, tuple[str, Any, list[str]]] = {
        "mnist": ("folder", write_fake_mnist, []),
        "reuters": ("folder", write_fake_reuters, []),
        "table": ("path", write_fake_table, ["--data.columns=gene_*", "--data.label=species"]),
        "text": ("path", write_fake_texts, []),
        "images": ("path", write_fake_images, []),
        "cells": ("path", lambda folder: write_fake_cells(folder / "cells.h5ad"), ["--data.label=kind"]),
        "embeddings": ("x", write_fake_embeddings, []),
    }
    data = []
    for source, (argument, write, flags) in fakes.items():
        if name.endswith(source) or f"_{source}_" in name:
            data = [f"--data.{argument}={write(tmp_path / source)}", *flags]
    printed = lightning_dc_cli("fit", "--config", name, *quick_flags(name), *data)
    folder = tmp_path / "runs" / name / "version_0"
    assert ("ACC" if "survival" not in name else "Clusters and survival, val") in printed
    assert str(folder.relative_to(tmp_path)) in printed
    assert {path.name for path in folder.iterdir()} >= {"config.yaml", "clusters.parquet", "checkpoints"}


@pytest.mark.slow
def test_the_main_job_of_the_readme(lightning_dc_cli: CommandLine) -> None:
    """Run DEC on all digits; k-means on the pixels has ACC 0.79 (scikit-learn, n_init=20)."""
    printed = lightning_dc_cli("fit", "--config", "dec_digits")
    assert "labels changed" in printed
    logged = scalars(RUN)
    assert logged["final/acc"][-1].value > 0.80
    assert logged["final/acc"][-1].value > logged["train/acc"][0].value  # better than k-means on the embedding


def test_fit_writes_clusters_scalars_config_and_table(lightning_dc_cli: CommandLine) -> None:
    printed = lightning_dc_cli(*DIGITS)
    for row in ("ACC", "NMI", "ARI", "cluster sizes", "seconds pretraining", "seconds clustering", "TensorBoard"):
        assert row in printed
    clusters = parquet.read_table(RUN / "clusters.parquet")
    assert clusters.column_names[:3] == ["index", "cluster", "confidence"]
    assert clusters["index"].to_pylist() == list(range(1797))
    logged = scalars(RUN)
    assert logged.keys() >= {
        "train/loss",
        "train/reconstruction",
        "train/kl",
        "weight/reconstruction",
        "weight/kl",
        "train/lr",
        "train/acc",
        "train/nmi",
        "train/ari",
        "train/entropy",
        "train/labels_changed",
        "clusters/size_00",
        "clusters/smallest",
        "phase",
        "final/acc",
    }
    sizes = [logged[f"clusters/size_{k:02d}"][-1].value for k in range(10)]
    assert sum(sizes) == 1797
    saved = yaml.safe_load((RUN / "config.yaml").read_text())
    assert saved["seed_everything"] == 0
    assert saved["model"]["init_args"]["refresh"]["every_n_steps"] == 2
    assert saved["model"]["init_args"]["clustering"]["optimizer"]["init_args"]["momentum"] == 0.9


def test_the_saved_config_reproduces_the_run(lightning_dc_cli: CommandLine) -> None:
    lightning_dc_cli(*DIGITS)
    lightning_dc_cli("fit", "--config", RUN / "config.yaml")
    first, second = weights_of_run(0), weights_of_run(1)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_another_seed_gives_another_run(lightning_dc_cli: CommandLine) -> None:
    lightning_dc_cli(*DIGITS)
    lightning_dc_cli(*DIGITS, "--seed_everything", 1)
    first, second = weights_of_run(0), weights_of_run(1)
    assert not torch.equal(first["model.head.centroids"], second["model.head.centroids"])


def test_validate_test_and_predict_apply_a_checkpoint(lightning_dc_cli: CommandLine) -> None:
    fitted = lightning_dc_cli(*DIGITS)
    acc = next(line.split("│")[2].strip() for line in fitted.splitlines() if "ACC" in line)
    for command, prefix in (("validate", "val"), ("test", "test")):
        printed = lightning_dc_cli(command, "--config", "dec_digits", "--ckpt_path", CHECKPOINT)
        value = next(line.split()[-1] for line in printed.splitlines() if f"{prefix}/acc" in line)
        assert float(value) == pytest.approx(float(acc), abs=1e-4)
    common = ("predict", "--config", "dec_digits", "--ckpt_path", CHECKPOINT, "--output.path")
    lightning_dc_cli(*common, "new.npz")
    lightning_dc_cli(*common, "new.parquet")
    arrays = np.load("new.npz")
    table = parquet.read_table("new.parquet")
    clusters = parquet.read_table(RUN / "clusters.parquet")
    assert arrays["q"].shape == (1797, 10)
    assert arrays["z"].shape == (1797, 4)
    np.testing.assert_array_equal(arrays["index"], np.arange(1797))
    np.testing.assert_array_equal(arrays["cluster"], arrays["q"].argmax(1))
    np.testing.assert_allclose(arrays["q"].sum(1), 1.0, rtol=1e-5)
    assert table["cluster"].to_pylist() == arrays["cluster"].tolist() == clusters["cluster"].to_pylist()
    np.testing.assert_allclose(table["z_3"].to_numpy(), arrays["z"][:, 3])


def test_the_checkpoint_alone_rebuilds_the_model(lightning_dc_cli: CommandLine) -> None:
    lightning_dc_cli(*DIGITS)
    torch.load(CHECKPOINT, weights_only=True)
    model = DEC.load_from_checkpoint(CHECKPOINT, weights_only=True)
    assert model.model.network.latent_dim == 4
    arrays = parquet.read_table(RUN / "clusters.parquet")
    from datamodules import DigitsDataModule

    data = DigitsDataModule()
    data.setup("predict")
    x = data.predict_dataloader().read(0, 1797).x
    model.eval()
    assert model(x).argmax(1).tolist() == arrays["cluster"].to_pylist()


def test_a_checkpoint_made_in_python_says_what_the_model_is(lightning_dc_cli: CommandLine) -> None:
    from datamodules import DigitsDataModule

    phase = PhaseConfig(max_steps=2, loss_weights={"reconstruction": 1.0})
    clustering = PhaseConfig(max_steps=2, loss_weights={"kl": 1.0})
    autoencoder = functools.partial(MLPAutoencoder, hidden_dims=[6], latent_dim=3)
    model = DEC(
        (1, 8, 8), 10, autoencoder, nu=2.5, pretraining=phase, clustering=clustering, kmeans=KMeansConfig(n_init=1)
    )
    trainer = pl.Trainer(max_epochs=-1, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.fit(model, DigitsDataModule())
    trainer.save_checkpoint("python.ckpt")
    for config in ((), ("--config", "dec_digits")):
        data = () if config else ("--data=DigitsDataModule",)
        lightning_dc_cli("predict", *config, *data, "--ckpt_path=python.ckpt", "--output.path=python.npz")
        x = DigitsDataModule().train_dataloader().read(0, 1797).x
        np.testing.assert_allclose(np.load("python.npz")["q"], model.eval()(x).detach().numpy(), rtol=1e-4, atol=1e-6)
        Path("python.npz").unlink()


def test_flags_beat_the_checkpoint_and_the_checkpoint_beats_config_files(lightning_dc_cli: CommandLine) -> None:
    lightning_dc_cli(*DIGITS)
    printed = lightning_dc_cli(
        *("fit", "--config", "dec_digits", "--trainer.accelerator=cpu"),
        *("--ckpt_path", CHECKPOINT, "--model.clustering.max_steps=8", "--model.refresh.tolerance=0.5"),
    )
    assert "seconds clustering" in printed
    saved = yaml.safe_load(Path("runs/dec_digits/version_1/config.yaml").read_text())["model"]["init_args"]
    assert saved["autoencoder"]["init_args"]["latent_dim"] == 4  # from the checkpoint
    assert saved["clustering"]["max_steps"] == 8  # from a flag
    assert saved["refresh"]["tolerance"] == 0.5


def test_configs_and_flags_are_composed(
    lightning_dc_cli: CommandLine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "more.yaml").write_text("model: {init_args: {nu: 3.0, clustering: {max_epochs: 7}}}\n")
    arguments = ("--config", "dec_digits", "--config=more.yaml", "--model.refresh.every_n_steps=9", "--print_config")
    with pytest.raises(SystemExit) as error:
        lightning_dc_cli("fit", *arguments)
    assert error.value.code in (0, None)
    config = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]
    assert config["nu"] == 3.0
    assert config["clustering"]["max_epochs"] == 7
    assert config["clustering"]["optimizer"]["init_args"]["momentum"] == 0.9  # from the first file
    assert config["refresh"]["every_n_steps"] == 9


USERS_OWN = textwrap.dedent(
    """
    import torch
    from datamodules import ClusteringDataModule, Samples
    from lightning_dc import DEC

    class Blobs(ClusteringDataModule):
        def __init__(self, n_samples: int = 90, batch_size: int = 32):
            super().__init__(batch_size=batch_size)
            self.n_samples = n_samples

        def load(self) -> Samples:
            generator = torch.Generator().manual_seed(0)
            centres = 4 * torch.arange(3)[:, None].expand(3, 6)
            return Samples(centres.repeat(self.n_samples // 3, 1) + torch.randn(self.n_samples, 6, generator=generator))

    class MyDEC(DEC):
        pass
    """
)


def test_a_users_own_method_and_data_without_labels(
    lightning_dc_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_clustering.py").write_text(USERS_OWN)
    monkeypatch.syspath_prepend(tmp_path)
    data = ("--model=my_clustering.MyDEC", "--model.n_clusters=3", "--data=my_clustering.Blobs", "--data.n_samples=93")
    printed = lightning_dc_cli("fit", *data, *QUICK)
    assert "entropy" in printed
    assert "ACC" not in printed
    run = Path("runs/run/version_0")
    assert not [tag for tag in scalars(run) if tag.endswith(("acc", "nmi", "ari"))]
    assert parquet.read_table(run / "clusters.parquet").num_rows == 93
    lightning_dc_cli("predict", *data, "--ckpt_path", run / "checkpoints/last.ckpt", "--output.path=p.parquet")
    assert parquet.read_table("p.parquet").num_rows == 93


NEW_SAMPLES = textwrap.dedent(
    """
    from datamodules import ClusteringDataModule, DigitsDataModule, Samples

    class Scanned(ClusteringDataModule):
        def load(self) -> Samples:
            return Samples(DigitsDataModule().load().x[:50] * 3 + 5)
    """
)


def test_new_samples_of_another_datamodule_are_scaled_as_the_training_data(
    lightning_dc_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datamodules import DigitsDataModule

    (tmp_path / "new_samples.py").write_text(NEW_SAMPLES)
    monkeypatch.syspath_prepend(tmp_path)
    lightning_dc_cli(*DIGITS)
    lightning_dc_cli(
        *("predict", "--data=new_samples.Scanned", "--ckpt_path", CHECKPOINT, "--output.path=new.npz"),
    )
    model = DEC.load_from_checkpoint(CHECKPOINT, weights_only=True).eval()
    x = torch.as_tensor(DigitsDataModule().load().x)
    expected = model.embed((x[:50] * 3 + 5) / x.double().square().mean().sqrt().float())
    np.testing.assert_allclose(np.load("new.npz")["z"], expected.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.distributed
@pytest.mark.slow
def test_two_processes_from_the_command_line(tmp_path: Path) -> None:
    ddp = ("--trainer.strategy", "ddp", "--trainer.devices", "2")
    command = [sys.executable, "-m", "lightning_dc"]
    for extra, name in (((), "one"), (ddp, "two")):
        logger = f"--trainer.logger.name={name}"
        printed = run_command([*command, *DIGITS, *extra, logger], tmp_path)
        assert [printed.count(f"│ {row} ") for row in ("ACC", "baseline", "silhouette")] == [1, 1, 1]
    one, two = (parquet.read_table(tmp_path / "runs" / name / "version_0/clusters.parquet") for name in ("one", "two"))
    assert two["index"].to_pylist() == list(range(1797))
    np.testing.assert_allclose(two["q_0"].to_numpy(), one["q_0"].to_numpy(), atol=1e-4)
    checkpoint = tmp_path / "runs/two/version_0/checkpoints/last.ckpt"
    predict = ("predict", "--config", "dec_digits", "--trainer.accelerator=cpu", "--output.path=two.npz")
    run_command([*command, *predict, *ddp, "--ckpt_path", str(checkpoint)], tmp_path)
    arrays = np.load(tmp_path / "two.npz")
    np.testing.assert_array_equal(arrays["index"], np.arange(1797))
    np.testing.assert_array_equal(arrays["cluster"], two["cluster"].to_numpy())
