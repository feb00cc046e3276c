"""How threads wait, which is chosen before torch is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_dc import threads

VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine of four processors with no load, and a user who has set nothing."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(threads, "available_cpus", lambda: 4)
    monkeypatch.setattr(threads, "other_load", lambda: 0.1)
    monkeypatch.setattr(threads, "cpu_quota", lambda: None)
    return monkeypatch


def test_threads_of_an_idle_machine_sleep_soon() -> None:
    assert threads.choose_waiting() is None
    assert "OMP_WAIT_POLICY" not in os.environ
    assert os.environ["GOMP_SPINCOUNT"] == "30000"


@pytest.mark.parametrize(
    ("name", "value", "free"),
    [("other_load", 1.5, "2.5"), ("other_load", 9.0, "0.0"), ("cpu_quota", 1.0, "1.0"), ("cpu_quota", 0.5, "0.5")],
)
def test_threads_of_a_busy_machine_sleep_at_once(
    machine: pytest.MonkeyPatch, name: str, value: float, free: str
) -> None:
    machine.setattr(threads, name, lambda: value)
    warning = threads.choose_waiting()
    assert warning is not None
    assert f"of 4 processors, about {free} are free" in warning
    assert f"OMP_NUM_THREADS={max(1, int(float(free)))}" in warning
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.mark.parametrize("name", VARIABLES)
def test_the_user_is_obeyed(machine: pytest.MonkeyPatch, name: str) -> None:
    machine.setenv(name, "2")
    machine.setattr(threads, "other_load", lambda: 9.0)
    before = dict(os.environ)
    assert threads.choose_waiting() is None
    assert dict(os.environ) == before


@pytest.mark.parametrize(("text", "quota"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("", None)])
def test_the_limit_of_a_container_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, quota: float | None
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(threads, "_QUOTA", tmp_path / "cpu.max")
    assert threads.cpu_quota() is None
    (tmp_path / "cpu.max").write_text(text)
    assert threads.cpu_quota() == quota


def test_the_choice_comes_before_torch() -> None:
    code = "import sys, lightning_dc.__main__ as m; print('torch' in sys.modules, sys.argv)"
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ended.stdout.startswith("False")
