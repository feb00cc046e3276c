"""Tests of commands that only print."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from lightning_dc.cli import main
from lightning_dc.cli.help import COMMANDS
from lightning_dc.configs import shipped_configs
from tests.conftest import CommandLine


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"lightning-dc {version('lightning_dc')}\n"


def test_every_shipped_configuration_is_listed_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    main(["configs"])
    listed = capsys.readouterr().out
    for name in shipped_configs():
        assert f"\n{name} " in listed
    assert "\ndec_digits              DEC on the 1,797 digits that scikit-learn ships" in listed
    assert "Q from augmented ones.\n" in listed, "a sentence over two lines is whole"


def test_no_argument_is_a_question_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    printed = capsys.readouterr().out
    main(["--help"])
    assert capsys.readouterr().out == printed
    listed = [line.split()[0] for line in printed.partition("commands:\n")[2].splitlines()[: len(COMMANDS)]]
    assert listed == list(COMMANDS)


def help_of(capsys: pytest.CaptureFixture[str], command: str) -> str:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert not end.value.code
    return capsys.readouterr().out


def test_the_help_of_fit_begins_with_what_is_used_most(capsys: pytest.CaptureFixture[str]) -> None:
    printed = help_of(capsys, "fit")
    first = printed.splitlines()[:22]
    for option in (
        "--config",
        "--model METHOD",
        "--data DATAMODULE",
        "--ckpt_path",
        "--model.n_clusters",
        "optimizer.lr",
    ):
        assert any(option in line for line in first), option
    places = [printed.index(f"\n{title}:\n") for title in ("model", "data", "checkpoint", "trainer of Lightning")]
    assert places == sorted(places)


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_the_help_has_no_internals(capsys: pytest.CaptureFixture[str], command: str) -> None:
    printed = help_of(capsys, command)
    assert f"usage: lightning-dc {command} " in printed
    for internal in ("--optimizer", "--lr_scheduler", "weights_only", "Linked arguments", "<bound method", "Registry"):
        assert internal not in printed
    for option in ("barebones", "use_distributed_sampler", "return_predictions", "--trainer CONFIG", "verbose"):
        assert option not in printed


def test_options_that_the_help_mentions_first_exist(
    lightning_dc_cli: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    model = (
        "--model=DEC",
        "--model.n_clusters=3",
        "--model.pretraining.max_epochs=2",
        "--model.clustering.max_epochs=3",
    )
    data = ("--data=TableDataModule", "--data.path=x.csv", "--data.batch_size=8", "--data.val_fraction=0.1")
    others = ("--model.pretraining.optimizer.lr=1", "--trainer.accelerator=cpu", "--trainer.precision=bf16-mixed")
    with pytest.raises(SystemExit) as end:
        lightning_dc_cli("fit", *model, *data, *others, "--seed_everything=3", "--print_config")
    assert not end.value.code


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_script_of_completion_is_printed(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    pytest.importorskip("shtab", reason="needs the package shtab")
    with pytest.raises(SystemExit) as end:
        main(["completion", shell])
    assert not end.value.code
    script = capsys.readouterr().out
    assert all(name in script for name in (*COMMANDS, "--model.n_clusters", "--data.batch_size", "lightning_dc.IDEC"))


def test_completion_completes_in_bash(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("shtab", reason="needs the package shtab")
    bash = shutil.which("bash") or pytest.skip("needs bash")
    with pytest.raises(SystemExit):
        main(["completion", "bash"])
    (tmp_path / "script").write_text(capsys.readouterr().out)
    words = ("lightning-dc", "fit", "--model.n_cl")
    line = f"COMP_WORDS=({' '.join(words)}) COMP_CWORD=2; _shtab_lightning_dc {words[0]} {words[2]} {words[1]}"
    done = subprocess.run(
        [bash, "-c", f'source {tmp_path}/script; {line}; echo "${{COMPREPLY[@]}}"'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "--model.n_clusters"


@pytest.mark.parametrize("shell", [(), ("fish",), ("bash", "zsh")])
def test_completion_needs_the_name_of_one_shell(lightning_dc_cli: CommandLine, shell: tuple[str, ...]) -> None:
    assert "lightning-dc completion bash|zsh|tcsh" in lightning_dc_cli.fails("completion", *shell)


def test_completion_says_which_package_it_needs(lightning_dc_cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_dc.cli.completion.find_spec", lambda name: None)
    assert "pip install shtab" in lightning_dc_cli.fails("completion", "bash")
