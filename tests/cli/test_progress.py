"""Tests of the progress bar in a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
import textwrap
import threading
from pathlib import Path

import pytest

from tests.conftest import CommandLine
from tests.helpers.command_line import CHECKPOINT, DIGITS
from tests.helpers.processes import started
from tests.helpers.terminal import drawings, shown

TALK = """
    import sys

    import lightning.pytorch as pl
    from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn


    class Talk(pl.Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == 3:
                print("a", "print")
                rank_zero_info("an info")
                rank_zero_warn("a warning")
                sys.stderr.write("an error\\n")
"""


def run_in_terminal(args: list[str], folder: Path, columns: int) -> tuple[int, str]:
    """Return the status of ``lightning-dc`` and what it has written to a terminal."""
    own, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    received: list[bytes] = []

    def receive() -> None:
        try:
            while data := os.read(own, 1 << 16):
                received.append(data)
        except OSError:  # the last process has closed the terminal
            pass

    reader = threading.Thread(target=receive)
    reader.start()
    with os.fdopen(its, "w") as output, started([sys.executable, "-m", "lightning_dc", *args], folder, output) as run:
        status = run.wait(240)
    reader.join()
    os.close(own)
    return status, b"".join(received).decode()


def test_a_fit_in_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "talking.py").write_text(textwrap.dedent(TALK))
    status, text = run_in_terminal([*DIGITS, "--trainer.callbacks=talking.Talk"], tmp_path, columns=64)
    assert status == 0, text[-3000:]
    lines = shown(text)
    assert {"a print", "an info", "an error"} <= set(lines)
    assert any(line.endswith("UserWarning: a warning") for line in lines)
    (place,) = [place for place, line in enumerate(lines) if "%|" in line]
    assert lines[place].startswith("100%|████████████| 0:")
    assert lines[place + 2].startswith("┌──")  # the table follows
    assert max(map(len, drawings(text.replace("\r\n", "\n")))) < 64


@pytest.mark.parametrize(
    ("action", "status", "message"),
    [
        ('from lightning_dc import InputError; raise InputError("a slip")', 2, "lightning-dc: error: a slip"),
        (
            "import os; os.kill(os.getpid(), 2)",
            130,
            "lightning-dc: stopped by SIGINT at step 3; go on with --ckpt_path",
        ),
    ],
)
def test_an_end_before_the_last_step(tmp_path: Path, action: str, status: int, message: str) -> None:
    (tmp_path / "talking.py").write_text(textwrap.dedent(TALK.replace('print("a", "print")', action)))
    code, text = run_in_terminal([*DIGITS, "--trainer.callbacks=talking.Talk"], tmp_path, columns=0)
    assert code == status
    *before, last, end = shown(text)
    assert any("%|" in line for line in before)
    assert last.startswith(message)
    assert end == ""  # the prompt of the shell follows on a line of its own
    assert "Traceback" not in text


def test_a_file_gets_lines(lightning_dc_cli: CommandLine) -> None:
    printed = lightning_dc_cli(*DIGITS)
    assert "\r" not in printed
    lines = [line for line in printed.splitlines() if line[3:4] == "%"]
    assert len(lines) == 2 * 4 + 1  # two layers, pretraining, clustering, and the final pass
    printed = lightning_dc_cli("predict", "--config", "dec_digits", "--ckpt_path", CHECKPOINT)
    assert [line[:12] for line in printed.splitlines() if line[3:4] == "%"] == ["100% predict"]
