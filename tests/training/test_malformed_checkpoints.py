"""Checkpoints that are damaged, or of another program, are refused in one line wherever they can be given."""

from __future__ import annotations

import contextlib
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_dc import DEC, InputError
from lightning_dc.cli import main
from lightning_dc.training import ClusteringModule
from lightning_dc.training.checkpoint_format import check_format
from tests.conftest import CommandLine
from tests.helpers.command_line import DATA, fit_of, version
from tests.helpers.methods import Blobs, dec, trainer

Change = Callable[[dict[str, Any]], None]


def _zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("hello.txt", content)
    return file.getvalue()


FILES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "text": lambda content: b"no checkpoint at all\n",
    "half": lambda content: content[: len(content) // 2],
    "without its end": lambda content: content[:-100],
    "another zip": lambda content: _zip(b"hello"),
    "a pickle": lambda content: pickle.dumps({"state_dict": {}}),
}
OTHERS: dict[str, Any] = {
    "a tensor": torch.zeros(3),
    "a list": [1, 2],
    "an empty mapping": {},
    "weights alone": {"encoder.weight": torch.zeros(2, 2)},
    "another Lightning project": {
        "state_dict": {},
        "hyper_parameters": {"lr": 0.1},
        "pytorch-lightning_version": "2.6.0",
    },
}
MISSING = [
    *("state_dict", "hyper_parameters", "lightning_dc", "lightning_dc.method", "lightning_dc.input_shape"),
    *("lightning_dc.n_clusters", "lightning_dc.phases", "lightning_dc.state", "lightning_dc.state.seed"),
    *("lightning_dc.state.phase_index", "lightning_dc.state.phase_start_step", "lightning_dc.state.seconds"),
    *("lightning_dc.state.target_distribution", "lightning_dc.state.assignments"),
]
CHANGES: dict[str, Change] = {
    "an unknown part of the state": lambda c: c["lightning_dc"]["state"].update(more=1),
    "a phase that there is not": lambda c: c["lightning_dc"]["state"].update(phase_index=9),
    "assignments without labels": lambda c: c["lightning_dc"]["state"].update(assignments={"step": 1}),
    "a window of losses without a sum": lambda c: c["lightning_dc"]["state"].update(loss_window={"n_steps": 1}),
    "P as a list": lambda c: c["lightning_dc"]["state"].update(target_distribution=[1.0]),
    "shapes of text": lambda c: c["lightning_dc"].update(input_shape=["a"]),
    "another method": lambda c: c["lightning_dc"].update(method="IDEC"),
    "another precision": lambda c: c["lightning_dc"].update(precision=7),
    "weights that are numbers": lambda c: c.update(state_dict=dict.fromkeys(c["state_dict"], 1.0)),
    "weights of another shape": lambda c: c["state_dict"].update({"model.head.centroids": torch.zeros(2, 9)}),
    "weights that are integers": lambda c: c["state_dict"].update(
        {name: value.long() for name, value in c["state_dict"].items()}
    ),
    "weights that are sparse": lambda c: c["state_dict"].update(
        {name: value.to_sparse() for name, value in c["state_dict"].items()}
    ),
    "one weight more": lambda c: c["state_dict"].update({"model.network.more": torch.zeros(1)}),
    "one weight less": lambda c: c["state_dict"].pop("model.network.encoder.linear_1.weight"),
    "an unknown class": lambda c: c["hyper_parameters"].update(_class_path="lightning_dc.methods.NoSuchMethod"),
    "a class that is no method": lambda c: c["hyper_parameters"].update(_class_path="torch.nn.Linear"),
    "a class that is a number": lambda c: c["hyper_parameters"].update(_class_path=7),
    "an unknown argument": lambda c: c["hyper_parameters"].update(no_such_argument=1),
    "an argument of another type": lambda c: c["hyper_parameters"].update(n_clusters="many"),
    "an argument that is a tensor": lambda c: c["hyper_parameters"].update(nu=torch.ones(1)),
    "an argument out of range": lambda c: c["hyper_parameters"].update(n_clusters=1),
    "a network of another class": lambda c: c["hyper_parameters"].update(autoencoder={"class_path": "torch.optim.SGD"}),
    "no arguments": lambda c: c.update(hyper_parameters={}),
}
RESUMED: dict[str, Change] = {
    "optimizers that are numbers": lambda c: c.update(optimizer_states=[1]),
    "an optimizer without groups": lambda c: c.update(optimizer_states=[{"state": {}}]),
    "no loops": lambda c: c.update(loops={}),
    "loops that are a list": lambda c: c.update(loops=[]),
    "an empty loop": lambda c: c["loops"].update(fit_loop={}),
    "a loader without a position": lambda c: c["loops"]["fit_loop"]["state_dict"].update(combined_loader=[{}]),
    "a step that is a text": lambda c: c.update(global_step="three"),
    "callbacks that are a list": lambda c: c.update(callbacks=[1]),
}


def _remove(checkpoint: dict[str, Any], name: str) -> None:
    *parents, last = name.split(".")
    for parent in parents:
        checkpoint = checkpoint[parent]
    del checkpoint[last]


def _replace(checkpoint: dict[str, Any], name: str, value: Any) -> None:
    *parents, last = name.split(".")
    for parent in parents:
        checkpoint = checkpoint[parent]
    checkpoint[last] = value


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a short fit."""
    path = tmp_path_factory.mktemp("run") / "good.ckpt"
    run = trainer(path.parent, max_steps=10)
    run.fit(dec(), Blobs())
    run.save_checkpoint(path)
    return path


def _refused(path: Path) -> None:
    for cls in (DEC, ClusteringModule):
        with pytest.raises(InputError) as error:
            cls.load_from_checkpoint(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("damage", FILES)
def test_files_that_are_no_checkpoint(saved: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "bad.ckpt"
    path.write_bytes(FILES[damage](saved.read_bytes()))
    _refused(path)


@pytest.mark.parametrize("content", OTHERS)
def test_files_of_other_programs(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.ckpt"
    torch.save(OTHERS[content], path)
    _refused(path)
    with pytest.raises(InputError, match="is not a checkpoint of lightning_dc"):
        dec().init_network(path)


@pytest.mark.parametrize("name", MISSING)
def test_entries_that_are_missing_or_of_another_type(saved: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "bad.ckpt"
    checkpoint = torch.load(saved, weights_only=True)
    _remove(checkpoint, name)
    torch.save(checkpoint, path)
    _refused(path)
    for value in (7.5, [{}], {1: 2}):
        checkpoint = torch.load(saved, weights_only=True)
        _replace(checkpoint, name, value)
        with pytest.raises(InputError, match=r"the path can't be used: its entry|is not a checkpoint"):
            check_format(checkpoint, "the path")


@pytest.mark.parametrize("change", CHANGES)
def test_contents_that_do_not_fit(saved: Path, tmp_path: Path, change: str) -> None:
    path = tmp_path / "bad.ckpt"
    checkpoint = torch.load(saved, weights_only=True)
    CHANGES[change](checkpoint)
    torch.save(checkpoint, path)
    _refused(path)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoint of a short fit by the command line."""
    folder = tmp_path_factory.mktemp("fitted")
    with contextlib.chdir(folder):
        main([str(arg) for arg in fit_of("DEC")])
    return folder / version(0) / "checkpoints/last.ckpt"


APPLY = [(command, *DATA, "--ckpt_path=bad.ckpt") for command in ("predict", "validate", "test", "fit")]
INIT = fit_of("IDEC", "--init_from=bad.ckpt")


@pytest.mark.parametrize("damage", FILES)
def test_the_command_line_refuses_files_that_are_no_checkpoint(
    lightning_dc_cli: CommandLine, fitted: Path, damage: str
) -> None:
    Path("bad.ckpt").write_bytes(FILES[damage](fitted.read_bytes()))
    for command in (*APPLY, fit_of("DEC", "--ckpt_path=bad.ckpt"), INIT):
        assert "='bad.ckpt' can't be read as a checkpoint" in lightning_dc_cli.fails(*command)


@pytest.mark.parametrize("content", OTHERS)
def test_the_command_line_refuses_files_of_other_programs(lightning_dc_cli: CommandLine, content: str) -> None:
    torch.save(OTHERS[content], "bad.ckpt")
    for command in (*APPLY, fit_of("DEC", "--ckpt_path=bad.ckpt"), INIT):
        assert "='bad.ckpt' is not a checkpoint of lightning_dc, but" in lightning_dc_cli.fails(*command)


def write_changed(fitted: Path, change: Any) -> None:
    checkpoint = torch.load(fitted, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, "bad.ckpt")


@pytest.mark.parametrize("change", CHANGES)
def test_the_command_line_refuses_contents_that_do_not_fit(
    lightning_dc_cli: CommandLine, fitted: Path, change: str
) -> None:
    write_changed(fitted, CHANGES[change])
    for command in APPLY:
        lightning_dc_cli.fails(*command)


@pytest.mark.parametrize("change", RESUMED)
def test_the_command_line_refuses_what_can_not_be_resumed(
    lightning_dc_cli: CommandLine, fitted: Path, change: str
) -> None:
    write_changed(fitted, RESUMED[change])
    assert "ckpt_path" in lightning_dc_cli.fails(*APPLY[3])
