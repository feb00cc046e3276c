"""Commands of README and docs that are not run have options that exist."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lightning_dc.cli import select
from tests.conftest import CommandLine
from tests.helpers.documents import DOCUMENTS, NOT_RUN_WHOLE, ROOT, all_commands, blocks, pattern_of, split

NOT_RUN = list(dict.fromkeys(command for _, command in all_commands() if pattern_of(command) is not None))


class ParsedError(Exception):
    """The arguments of a script are accepted."""


def of(program: str) -> list[str]:
    return [command for command in NOT_RUN if command.startswith(program)]


def assert_parsed(words: list[str], cli: CommandLine) -> None:
    """Parse arguments of ``lightning-dc fit``."""
    with pytest.raises(SystemExit) as end:
        cli(*words, "--print_config")
    assert not end.value.code, words


def write_files_of_documents(folder: Path) -> None:
    for document in DOCUMENTS:
        for block in blocks(document):
            if block.file_name is not None:
                (folder / block.file_name).write_text(block.text)


@pytest.mark.parametrize("command", of("lightning-dc fit"))
def test_fit(command: str, lightning_dc_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write_files_of_documents(tmp_path)
    assert_parsed(split(command)[1:], lightning_dc_cli)


@pytest.mark.parametrize("command", of("lightning-dc select"))
def test_select(command: str, lightning_dc_cli: CommandLine) -> None:
    words = split(command)[2:]
    split_at = words.index("--") if "--" in words else len(words)
    options = select._parser().parse_args(words[:split_at])
    select._check(options)
    assert_parsed(["fit", "--config", options.config, *words[split_at + 1 :]], lightning_dc_cli)


@pytest.mark.parametrize("command", of("torchrun"))
def test_torchrun(command: str, lightning_dc_cli: CommandLine) -> None:
    from torch.distributed.run import get_args_parser

    options = get_args_parser().parse_args(split(command)[1:])
    assert (options.module, options.training_script) == (True, "lightning_dc")
    assert_parsed(options.training_script_args, lightning_dc_cli)


@pytest.mark.parametrize("command", of("srun"))
def test_srun(command: str, lightning_dc_cli: CommandLine) -> None:
    words = split(command)
    assert_parsed(words[words.index("lightning-dc") + 1 :], lightning_dc_cli)


@pytest.mark.parametrize("command", of("python scripts/"))
def test_script(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "survival" in command:
        pytest.importorskip("sksurv", reason="needs the extra survival")
    parse = argparse.ArgumentParser.parse_args

    def stop(parser: argparse.ArgumentParser, *args: Any) -> None:
        parse(parser, *args)
        raise ParsedError

    words = split(command)[1:]
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.syspath_prepend(ROOT / "scripts")
    with pytest.raises(ParsedError):
        load(ROOT / words[0]).main()


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("command", of("python -c"))
def test_python(command: str) -> None:
    ast.parse(split(command)[2])


@pytest.mark.parametrize("command", of("make"))
def test_make(command: str) -> None:
    target = split(command)[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("command", of("pip install"))
def test_pip(command: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    *options, package = split(command)[2:]
    assert options in ([], ["--no-deps"])
    for extra in re.findall(r"lightning-dc\[(\w+)\]", package):
        assert extra in project["optional-dependencies"]


@pytest.mark.parametrize("command", of("tensorboard"))
def test_tensorboard(command: str) -> None:
    from tensorboard import program

    program.TensorBoard().configure(argv=split(command))


@pytest.mark.parametrize("command", [*of("source"), *of("export")])
def test_shell(command: str) -> None:
    if command.startswith("source"):
        assert "VENV ?= .venv\n" in (ROOT / "Makefile").read_text()
    else:
        assert split(command) == ["export", "PYTHONPATH=."]


def test_every_command_that_is_not_run_is_parsed() -> None:
    programs = ("lightning-dc fit", "lightning-dc select", "torchrun", "srun", "python scripts/", "python -c", "make")
    parsed = (*programs, "pip install", "tensorboard", "source", "export")
    assert not [command for command in NOT_RUN if not command.startswith(parsed)]


def test_every_reason_has_a_command() -> None:
    assert {pattern_of(command) for command in NOT_RUN} == set(NOT_RUN_WHOLE)
