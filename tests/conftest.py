from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
import torch

from lightning_dc.cli import main
from tests.helpers.server import Server

pytest.register_assert_rewrite("datamodules.testing")  # so that asserts of the contract show their values


@pytest.fixture(autouse=True)
def _one_thread_and_no_leaks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small tensors are faster on one thread; no test leaves random state or filters behind."""
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    # A strategy of several processes leaves variables that processes of later tests would inherit.
    with warnings.catch_warnings(), mock.patch.dict(os.environ):
        yield
    torch.set_num_threads(threads)
    torch.set_rng_state(state)


@pytest.fixture
def data_folder() -> Path:
    """Return the folder of real data, or skip the test."""
    folder = os.environ.get("LIGHTNING_DC_DATA")
    if not folder:
        pytest.skip("LIGHTNING_DC_DATA does not name a folder of real data (mnist/, reuters21578/)")
    return Path(folder)


class CommandLine:
    """Caller of ``lightning-dc`` in this process and in a folder of its own."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *args: object) -> str:
        """Run the command, and return its output."""
        main([str(arg) for arg in args])
        captured = self._capsys.readouterr()
        return captured.out + captured.err

    def fails(self, *args: object) -> str:
        """Run a command that must fail with an error of the user, and return its one line."""
        with pytest.raises(SystemExit) as error:
            main([str(arg) for arg in args])
        assert error.value.code == 2
        message = self._capsys.readouterr().err
        assert "Traceback" not in message
        lines = [line for line in message.splitlines() if line.startswith("lightning-dc: error: ")]
        assert len(lines) == 1, message
        return lines[0]


@pytest.fixture
def lightning_dc_cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    return CommandLine(capsys)


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Server]]:
    """Return a function that starts a server of a folder's files."""
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setattr("time.sleep", lambda _: None)  # between two attempts
    servers: list[Server] = []

    def start(files: Path) -> Server:
        servers.append(Server(files))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
