"""Checkpoints that would execute code are refused, and nothing of them is run or imported."""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_dc import DEC, InputError, MLPAutoencoder, PhaseConfig
from lightning_dc.schedules import OneCycle
from lightning_dc.training.trust import CheckpointGuard
from tests.conftest import CommandLine
from tests.extending.softmax_head import SoftmaxHead
from tests.extending.unit_norm import UnitNorm
from tests.helpers.methods import Blobs, trainer

Change = Callable[[dict[str, Any]], None]
RAN = "raise SystemExit('a module of the checkpoint was imported')"


def method() -> DEC:
    return DEC(
        (6,),
        3,
        functools.partial(MLPAutoencoder, hidden_dims=[4], latent_dim=2),
        pretraining=PhaseConfig(max_steps=1, loss_weights={"reconstruction": 1.0}, lr_schedule=OneCycle()),
        clustering=PhaseConfig(max_steps=1, loss_weights={"kl": 1.0}, optimizer=torch.optim.SGD),
    )


def command(path: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": path, "init_args": arguments}


SYSTEM = command("os.system", command="touch RAN")
HOSTILE: dict[str, Change] = {
    "a function as optimizer": lambda h: h["pretraining"].update(optimizer=SYSTEM),
    "a function as autoencoder": lambda h: h.update(autoencoder=SYSTEM),
    "a function as head": lambda h: h.update(head=SYSTEM),
    "a function as loss": lambda h: h.update(extra_losses={"a": SYSTEM}),
    "a function as schedule": lambda h: h["clustering"].update(lr_schedule=SYSTEM),
    "a function as weight": lambda h: h["clustering"].update(loss_weights={"kl": SYSTEM}),
    "a function as augmentation": lambda h: h.update(augmentation=SYSTEM),
    "a function by its name": lambda h: h.update(autoencoder="os.system"),
    "a function by its name in a phase": lambda h: h["pretraining"].update(optimizer="os.system"),
    "a function of torch": lambda h: h.update(autoencoder=command("torch.optim.swa_utils.update_bn")),
    "a class that is no part": lambda h: h.update(autoencoder=command("lightning_dc.kmeans.KMeans", n_clusters=2)),
    "a class of another package": lambda h: h.update(autoencoder=command("pathlib.Path", x="RAN")),
    "a module beside": lambda h: h.update(autoencoder=command("lying_beside.Model")),
    "a method beside": lambda h: h.update(_class_path="lying_beside.Model"),
    "a method that is none": lambda h: h.update(_class_path="torch.nn.Linear"),
    "a module within torch": lambda h: h.update(autoencoder=command("torch.nn.modules.module.os.system")),
    "more than arguments": lambda h: h["autoencoder"].update(dict_kwargs={"command": "touch RAN"}),
    "a description as text": lambda h: h["pretraining"].update(optimizer="{class_path: os.system}"),
    "a phase as text": lambda h: h.update(pretraining="{optimizer: {class_path: os.system}}"),
    "a weight as text": lambda h: h["clustering"].update(loss_weights={"kl": "{class_path: os.system}"}),
    "a list as text": lambda h: h.update(representation="[os.system]"),
    "another instantiator": lambda h: h.update(_instantiator="os.system"),
    "nested arguments": lambda h: h["pretraining"]["lr_schedule"]["init_args"].update(start=SYSTEM),
}


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], Path]:
    """Writes a checkpoint of a fit whose hyperparameters were changed; a module lies beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lying_beside.py").write_text(RAN)
    run = trainer(tmp_path)
    run.fit(method(), Blobs())
    run.save_checkpoint(tmp_path / "good.ckpt")
    saved = torch.load(tmp_path / "good.ckpt", weights_only=True)

    def write(change: Change) -> Path:
        changed = copy.deepcopy(saved)
        change(changed["hyper_parameters"])
        torch.save(changed, tmp_path / "hostile.ckpt")
        return tmp_path / "hostile.ckpt"

    return write


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_checkpoints_are_refused(checkpoint: Callable[[Change], Path], tmp_path: Path, kind: str) -> None:
    path = checkpoint(HOSTILE[kind])
    with pytest.raises(InputError, match="checkpoint_path names a checkpoint whose"):
        DEC.load_from_checkpoint(path)
    assert not (tmp_path / "RAN").exists()
    assert "lying_beside" not in sys.modules


@pytest.mark.parametrize("subcommand", ["predict", "validate", "test", "fit"])
@pytest.mark.parametrize("kind", ["a function as optimizer", "a method beside", "a phase as text"])
def test_the_command_line_refuses_them_in_one_line(
    lightning_dc_cli: CommandLine, checkpoint: Callable[[Change], Path], tmp_path: Path, subcommand: str, kind: str
) -> None:
    path = checkpoint(HOSTILE[kind])
    message = lightning_dc_cli.fails(subcommand, "--data=tests.helpers.methods.Blobs", "--ckpt_path", path)
    assert "ckpt_path names a checkpoint whose" in message
    assert not (tmp_path / "RAN").exists()
    assert "lying_beside" not in sys.modules


def test_an_untouched_checkpoint_is_rebuilt(checkpoint: Callable[[Change], Path]) -> None:
    loaded = DEC.load_from_checkpoint(checkpoint(lambda h: None))
    assert loaded.phases[0].config.lr_schedule is not None


def test_weights_only_can_not_be_given_up(checkpoint: Callable[[Change], Path]) -> None:
    with pytest.raises(InputError, match="weights_only=False would execute code"):
        DEC.load_from_checkpoint(checkpoint(lambda h: None), weights_only=False)


def test_what_a_user_trusts_is_built(tmp_path: Path, lightning_dc_cli: CommandLine) -> None:
    model = DEC(
        (6,),
        3,
        functools.partial(MLPAutoencoder, hidden_dims=[4], latent_dim=2),
        head=SoftmaxHead,
        extra_losses={"unit_norm": UnitNorm()},
        pretraining=PhaseConfig(max_steps=1, loss_weights={"reconstruction": 1.0}),
        clustering=PhaseConfig(max_steps=1, loss_weights={"kl": 1.0, "unit_norm": 1.0}),
    )
    run = trainer(tmp_path)
    run.fit(model, Blobs())
    run.save_checkpoint(tmp_path / "own.ckpt")
    with pytest.raises(
        InputError, match=r"is 'tests.extending.softmax_head.SoftmaxHead', .* --trust tests \(in Python"
    ):
        DEC.load_from_checkpoint(tmp_path / "own.ckpt")
    assert isinstance(DEC.load_from_checkpoint(tmp_path / "own.ckpt", trust=["tests"]).model.head, SoftmaxHead)
    predict = (
        "predict",
        "--data=SyntheticDataModule",
        "--data.n_features=6",
        "--data.n_informative=3",
        "--ckpt_path=own.ckpt",
    )
    assert "--trust tests" in lightning_dc_cli.fails(*predict)
    assert "predictions written" in lightning_dc_cli(*predict, "--trust=tests")
    assert "predictions written" in lightning_dc_cli(*predict, "--trust=[tests, other]", "--output.path=b.parquet")
    assert "150 predictions" in lightning_dc_cli(
        *("predict", "--data=tests.helpers.methods.Blobs", "--ckpt_path=own.ckpt", "--output.path=c.parquet")
    )  # a package that is named is trusted


@pytest.mark.parametrize("described", [["a", "list"], "text", None, {1: 2}, {"n_clusters": {1, 2}}])
def test_hyperparameters_of_another_form_are_refused(described: Any) -> None:
    with pytest.raises(InputError, match="names a checkpoint whose"):
        CheckpointGuard(DEC, (), "ckpt_path").check(described)
