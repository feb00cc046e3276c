"""What is named in place of something else has its own defaults."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import optim

from lightning_dc import DEC, PhaseConfig
from tests.cli.own_parts import Own
from tests.conftest import CommandLine
from tests.helpers.methods import Blobs, trainer

DEC_DIGITS = ("--config", "dec_digits")
NEW = ("--model=DEC", "--model.n_clusters=3", "--data=DigitsDataModule")
OWN = "tests.cli.own_parts.Own"


@pytest.fixture
def printed(lightning_dc_cli: CommandLine, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that returns the configuration that would be run, and the warnings of it."""

    def parse(*flags: str) -> tuple[dict[str, Any], str]:
        with pytest.raises(SystemExit) as end:
            lightning_dc_cli("fit", *flags, "--print_config")
        assert not end.value.code
        captured = capsys.readouterr()
        said = [line for line in captured.err.splitlines() if line.startswith("lightning-dc: warning: ")]
        return yaml.safe_load(captured.out), "\n".join(said)

    return parse


@pytest.mark.parametrize("flags", [NEW, DEC_DIGITS])
@pytest.mark.parametrize("form", ["--model.autoencoder={}", "--model.autoencoder={{class_path: {}}}"])
def test_an_autoencoder_of_ones_own_keeps_its_defaults(printed: Any, flags: tuple[str, ...], form: str) -> None:
    config, _ = printed(*flags, form.format(OWN))
    assert config["model"]["init_args"]["autoencoder"]["init_args"] == {"latent_dim": 3}
    config, _ = printed(*flags, form.format(OWN), "--model.autoencoder.latent_dim=7")
    assert config["model"]["init_args"]["autoencoder"]["init_args"] == {"latent_dim": 7}


@pytest.mark.parametrize("flags", [NEW, DEC_DIGITS])
@pytest.mark.parametrize("name", ["AdamW", "RMSprop", "SGD", "NAdam", "Adagrad"])
def test_an_optimizer_has_its_own_defaults(printed: Any, flags: tuple[str, ...], name: str) -> None:
    """As torch has them, whatever the optimizer before was."""
    config, _ = printed(*flags, f"--model.pretraining.optimizer=torch.optim.{name}")
    arguments = config["model"]["init_args"]["pretraining"]["optimizer"]["init_args"]
    parameters = inspect.signature(getattr(optim, name)).parameters
    for argument, value in arguments.items():
        expected = parameters[argument].default
        assert value == (list(expected) if isinstance(expected, tuple) else expected), argument


def test_classes_that_a_file_names_have_their_own_defaults(printed: Any, tmp_path: Path) -> None:
    phase = {"max_epochs": 2, "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.1}}}
    init_args = {"autoencoder": {"class_path": OWN}, "clustering": phase}
    Path("mine.yaml").write_text(yaml.safe_dump({"model": {"class_path": "DEC", "init_args": init_args}}))
    for flags in (("--config", "mine.yaml", *NEW), (*DEC_DIGITS, "--config", "mine.yaml")):
        model = printed(*flags)[0]["model"]["init_args"]
        assert model["autoencoder"]["init_args"] == {"latent_dim": 3}
        assert model["clustering"]["optimizer"]["init_args"]["weight_decay"] == 0.01
        assert model["clustering"]["optimizer"]["init_args"]["lr"] == 0.1


def test_the_same_class_named_again_keeps_what_a_file_sets(printed: Any) -> None:
    flags = ("--config", "dec_table", "--data.path=x.csv")
    assert printed(*flags, "--model.autoencoder=MLPAutoencoder", "--model=DEC") == printed(*flags)


@pytest.mark.parametrize(
    ("flags", "weights"),
    [
        (("--config", "dec_table", "--model=IDEC"), {"reconstruction": 1.0, "kl": 0.1}),
        (("--config", "idec_digits", "--model=DEC"), {"kl": 1.0}),
        (("--config", "dec_digits", "--model=DCN"), {"reconstruction": 1.0, "kmeans": 1.0}),
        (
            ("--config", "dec_digits", "--model=IDEC", "--model.clustering.loss_weights.kl=0.5"),
            {"reconstruction": 1.0, "kl": 0.5},
        ),
    ],
)
def test_a_method_has_its_own_loss_and_the_settings_that_mean_the_same(
    printed: Any, flags: tuple[str, ...], weights: dict[str, float]
) -> None:
    config, said = printed(*flags, "--data.batch_size=32")
    model, before = config["model"]["init_args"], printed(*flags[:2], "--data.batch_size=32")[0]["model"]["init_args"]
    assert model["clustering"]["loss_weights"] == weights
    assert "clustering.optimizer, clustering.loss_weights were given" in said  # DEC has SGD, the others Adam
    for name in ("n_clusters", "autoencoder", "refresh", "kmeans", "pretraining"):
        assert model[name] == before[name], name
    own = {"DEC": "lightning_dc.methods.momentum_sgd.MomentumSGD"}.get(flags[2].removeprefix("--model="))
    assert model["clustering"]["optimizer"]["class_path"] == (own or "torch.optim.Adam")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (
            (*DEC_DIGITS, "--model=AEKMeans"),
            "AEKMeans takes the place of DEC, for which clustering, refresh were given",
        ),
        ((*DEC_DIGITS, f"--model.autoencoder={OWN}"), ""),
        (("--config=dec_table", "--data.path=x", f"--model.autoencoder={OWN}"), "hidden_dims, latent_dim were given"),
        ((*DEC_DIGITS, "--model.clustering.optimizer=AdamW"), "place of SGD, for which lr, momentum were given"),
        (
            ("--config=dec_table", "--data.path=x.csv", "--data=DigitsDataModule"),
            "TableDataModule, for which guess_roles, scaling, path were",
        ),
        (DEC_DIGITS, ""),
        ((*DEC_DIGITS, "--model.clustering.loss_weights.kl=0.5"), ""),
    ],
)
def test_what_no_longer_counts_is_named_in_one_line(printed: Any, flags: tuple[str, ...], expected: str) -> None:
    _, said = printed(*flags)
    assert expected in said
    assert len(said.splitlines()) == (1 if expected else 0)


def test_parts_of_the_trainer_keep_what_they_share(printed: Any) -> None:
    config, said = printed(*DEC_DIGITS, "--trainer.logger=CSVLogger")
    assert config["trainer"]["logger"]["init_args"]["save_dir"] == "runs"
    assert said == ""


def test_a_checkpoint_from_python_is_rebuilt_with_the_defaults_of_its_classes(tmp_path: Path) -> None:
    phase = PhaseConfig(max_steps=1, loss_weights={"kl": 1.0}, optimizer=functools.partial(torch.optim.AdamW, lr=0.1))
    short = PhaseConfig(max_steps=1, loss_weights={"reconstruction": 1.0})
    model, run = DEC((6,), 3, Own, pretraining=short, clustering=phase), trainer(tmp_path)
    run.fit(model, Blobs())
    run.save_checkpoint(tmp_path / "own.ckpt")
    again = DEC.load_from_checkpoint(tmp_path / "own.ckpt", trust=["tests"])
    optimizer = again.phases[-1].config.optimizer([torch.zeros(1, requires_grad=True)])
    assert optimizer.param_groups[0]["weight_decay"] == 0.01
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert isinstance(again.model.network, Own)


def test_an_optimizer_without_types_is_taken(printed: Any) -> None:
    """Many packages have such classes; their defaults are kept, too."""
    config, _ = printed(*DEC_DIGITS, "--model.clustering.optimizer=tests.cli.own_parts.Untyped")
    arguments = config["model"]["init_args"]["clustering"]["optimizer"]["init_args"]
    assert arguments["lr"] == 0.004
