"""Fits that are asked to stop: a checkpoint, a status that is not 0, and how to go on."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from lightning_dc import DEC
from tests.conftest import CommandLine
from tests.helpers.command_line import CHECKPOINT, QUICK
from tests.helpers.processes import started

TWO = ("--trainer.strategy=ddp", "--trainer.devices=2")
LONG = ("--model.pretraining.max_steps=1000000", "--trainer.enable_progress_bar=false")


@pytest.mark.distributed
@pytest.mark.parametrize("flags", [(), TWO])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_fit_that_is_asked_to_stop_ends_soon_with_a_checkpoint(
    tmp_path: Path, lightning_dc_cli: CommandLine, flags: tuple[str, ...], number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "lightning_dc", "fit", "--config", "dec_digits", *QUICK, *LONG, *flags]
    with (tmp_path / "printed").open("w+") as printed, started(command, tmp_path, printed) as process:
        deadline = time.monotonic() + 120
        while not (tmp_path / CHECKPOINT).exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(0.5)
        process.send_signal(number)
        start = time.monotonic()
        assert process.wait(30) == 128 + number
        assert time.monotonic() - start < 15  # 5 s on a machine that does nothing else
        printed.seek(0)
        message = next(line for line in printed.read().splitlines() if "stopped by" in line)
    assert message.startswith(f"lightning-dc: stopped by {number.name} at step ")
    assert message.endswith(f"go on with --ckpt_path {CHECKPOINT}")
    step = int(message.partition("at step ")[2].partition(";")[0])
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["global_step"] == step
    go_on = ("--ckpt_path", CHECKPOINT, f"--model.pretraining.max_steps={step + 2}")
    assert "cluster sizes" in lightning_dc_cli("fit", "--config=dec_digits", *QUICK, *go_on)
    DEC.load_from_checkpoint(tmp_path / CHECKPOINT)
