"""Tests of the progress bar of a run."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_dc import PhaseConfig, RefreshConfig
from lightning_dc.errors import InputError
from lightning_dc.reports import ClusteringProgressBar
from lightning_dc.reports.displays import BarDisplay, LineDisplay
from tests.helpers.methods import SGD, Blobs, dcn, dec, idec, trainer
from tests.helpers.terminal import drawings, open_terminal, shown


@pytest.fixture
def _at_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BarDisplay, "interval_s", 0.0)
    monkeypatch.setattr(LineDisplay, "interval_s", 0.0)


class Stop(pl.Callback):
    """Callback that fails, or prints, at a step."""

    def __init__(self, step: int, action: Callable[[], None]) -> None:
        self.step = step
        self.action = action

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            self.action()


def fail() -> None:
    raise InputError("a slip")


def percents(lines: list[str]) -> list[int]:
    return [int(found[1]) for line in lines if (found := re.match(r" *(\d+)%", line))]


@pytest.mark.usefixtures("_at_each_step")
@pytest.mark.parametrize("method", [dec, dcn, idec])
def test_one_bar_over_all_phases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Any) -> None:
    terminal = open_terminal(monkeypatch)
    fit = trainer(tmp_path, ClusteringProgressBar(), enable_progress_bar=True)
    fit.fit(method(), Blobs())
    bars = drawings(terminal.getvalue())
    done, n_total = percents(bars), fit.global_step
    assert done == sorted(done)
    assert {round(100 * step / n_total) for step in range(n_total + 1)} <= set(done)
    assert any("pretraining, epoch 2/2" in bar for bar in bars)
    assert any("clustering begins" in bar for bar in bars)
    assert re.fullmatch(r"100%\|█{12}\| 0:\d\d<0:\d\d, .*final pass", bars[-1])
    assert all(len(bar) <= 80 for bar in bars)
    assert len([line for line in shown(terminal.getvalue()) if "%|" in line]) == 1


@pytest.mark.usefixtures("_at_each_step")
def test_figures_are_short_and_of_the_present_phase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    trainer(tmp_path, ClusteringProgressBar(), enable_progress_bar=True, log_every_n_steps=1).fit(dec(), Blobs())
    bars = drawings(terminal.getvalue())
    first = next(bar for bar in bars if "clustering begins" in bar)
    assert "loss" not in first  # that of pretraining is another one
    figures = re.search(r"loss (\S+), changed (\S+)%", bars[-1])
    assert figures is not None
    assert all(len(re.sub(r"\D", "", figure).lstrip("0")) <= 5 for figure in figures.groups())


@pytest.mark.usefixtures("_at_each_step")
def test_a_phase_that_ends_early_shortens_the_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    calm = dec(
        clustering=PhaseConfig(
            max_epochs=100, loss_weights={"kl": 1.0}, optimizer=functools.partial(torch.optim.SGD, lr=1e-9)
        ),
        refresh=RefreshConfig(every_n_steps=3, tolerance=0.5),
    )
    trainer(tmp_path, ClusteringProgressBar(), enable_progress_bar=True).fit(calm, Blobs())
    text = terminal.getvalue()
    assert percents(drawings(text))[-1] == 100
    assert max(percents(drawings(text))[:-2]) < 10
    assert len([line for line in shown(text) if "%|" in line]) == 1


@pytest.mark.usefixtures("_at_each_step")
@pytest.mark.parametrize("columns", [0, 20, 40, 60])
def test_nothing_is_wider_than_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    terminal = open_terminal(monkeypatch, columns)
    trainer(tmp_path, ClusteringProgressBar(), enable_progress_bar=True).fit(dec(), Blobs())
    bars = drawings(terminal.getvalue())
    assert max(map(len, bars)) < (columns or 80)  # 0 is a terminal that does not know its size
    assert percents(bars)[-1] == 100


@pytest.mark.usefixtures("_at_each_step")
@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_a_resumed_run_begins_at_its_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saving: dict[str, Any] = {"save_top_k": -1, "every_n_train_steps": 12}
    trainer(tmp_path, ModelCheckpoint(tmp_path, **saving), enable_checkpointing=True).fit(dec(), Blobs())
    terminal = open_terminal(monkeypatch)
    options: dict[str, Any] = {"enable_checkpointing": True, "enable_progress_bar": True}
    resumed = trainer(tmp_path, ModelCheckpoint(tmp_path, **saving), ClusteringProgressBar(), **options)
    resumed.fit(dec(), Blobs(), ckpt_path=tmp_path / "epoch=2-step=12.ckpt", weights_only=True)
    bars = drawings(terminal.getvalue())
    assert percents(bars)[0] == 50
    assert "0:00<?" in bars[0]  # of this session nothing is known yet
    assert percents(bars)[-1] == 100


def test_a_slip_leaves_the_bar_and_gives_the_streams_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with pytest.raises(InputError):
        trainer(tmp_path, Stop(9, fail), ClusteringProgressBar(), enable_progress_bar=True).fit(dec(), Blobs())
    assert sys.stdout is terminal
    print("lightning-dc: error: a slip")
    *_, bar, message, end = shown(terminal.getvalue())
    assert "%|" in bar
    assert (message, end) == ("lightning-dc: error: a slip", "")


# ---- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_at_each_step")
def test_a_file_has_a_line_at_the_end_of_each_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer(tmp_path, ClusteringProgressBar(), enable_progress_bar=True).fit(dec(), Blobs())
    text = capsys.readouterr().out
    assert "\r" not in text
    places = [re.split(", (?:loss|changed|0:)", line[5:])[0] for line in text.splitlines() if "%" in line[:4]]
    assert places == [
        "pretraining begins",
        *(f"pretraining, epoch {epoch}/2" for epoch in (1, 2)),
        "clustering begins",
        *(f"clustering, epoch {epoch}/4" for epoch in (1, 2, 3, 4)),
        "final pass",
    ]


def test_short_epochs_have_few_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clustering = PhaseConfig(max_epochs=30, loss_weights={"kl": 1.0}, optimizer=SGD)
    trainer(tmp_path, ClusteringProgressBar(), enable_progress_bar=True).fit(dec(clustering=clustering), Blobs())
    lines = [line for line in capsys.readouterr().out.splitlines() if "%" in line[:4]]
    assert len(lines) == 5
    assert "clustering, epoch 30/30" in lines[3]


# ---- validate, test, predict ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_at_each_step")
@pytest.mark.parametrize("command", ["validate", "test", "predict"])
@pytest.mark.parametrize("in_terminal", [True, False])
def test_a_pass_has_one_plain_bar_or_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, in_terminal: bool
) -> None:
    module = dec()
    trainer(tmp_path).fit(module, Blobs())
    capsys.readouterr()
    terminal = open_terminal(monkeypatch) if in_terminal else None
    run = trainer(tmp_path, ClusteringProgressBar(), enable_progress_bar=True)
    getattr(run, command)(module, Blobs(), **({} if command == "predict" else {"verbose": False}))
    if terminal is None:
        assert re.fullmatch(rf"100% {command}, 0:\d\d elapsed\n", capsys.readouterr().out)
    else:
        assert set(percents(drawings(terminal.getvalue()))) == {0, 100}  # all samples are one batch
        (bar,) = [line for line in shown(terminal.getvalue()) if line]
        assert re.fullmatch(rf"100%\|█{{12}}\| 0:\d\d<0:00, {command}", bar)


@pytest.mark.usefixtures("_at_each_step")
def test_validation_within_a_fit_has_no_bar_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    fit = trainer(tmp_path, ClusteringProgressBar(), enable_progress_bar=True, num_sanity_val_steps=1)
    fit.fit(dec(), Blobs(val_fraction=0.3))
    assert "validate" not in terminal.getvalue()
    assert len([line for line in shown(terminal.getvalue()) if "%|" in line]) == 1


# ---- options -------------------------------------------------------------------------------------------------------


def test_the_refresh_rate_is_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BarDisplay, "interval_s", 0.0)
    n_drawings = {}
    for rate in (0, 1, 4):
        terminal = open_terminal(monkeypatch)
        trainer(tmp_path, ClusteringProgressBar(rate), enable_progress_bar=True).fit(dec(), Blobs())
        n_drawings[rate] = len(set(percents(drawings(terminal.getvalue()))))
    assert n_drawings[0] == 0
    assert n_drawings[4] < n_drawings[1] / 2
    with pytest.raises(InputError, match="refresh_rate=-1"):
        ClusteringProgressBar(-1)


def test_the_bar_is_updated_a_few_times_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss waits for the device, so it must not be read at each step."""
    n_read = []
    original = ClusteringProgressBar.get_metrics
    monkeypatch.setattr(
        ClusteringProgressBar,
        "get_metrics",
        lambda *args: n_read.append(1) or original(*args),  # type: ignore[func-returns-value]
    )
    monkeypatch.setattr(BarDisplay, "interval_s", 1e9)
    open_terminal(monkeypatch)
    trainer(tmp_path, ClusteringProgressBar(), enable_progress_bar=True).fit(dec(), Blobs())
    assert len(n_read) == 6  # at the start, at both ends of two phases, before the final pass


@pytest.mark.usefixtures("_at_each_step")
def test_a_disabled_bar_shows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning disables it on all processes but the first."""
    terminal, bar = open_terminal(monkeypatch), ClusteringProgressBar()
    bar.disable()
    trainer(tmp_path, bar, enable_progress_bar=True).fit(dec(), Blobs())
    assert terminal.getvalue() == ""


class LogsInBar(pl.Callback):
    """Callback that logs a value of its own for the bar."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        pl_module.log("speed", 3.14159, prog_bar=True)


@pytest.mark.usefixtures("_at_each_step")
def test_values_that_are_logged_for_the_bar_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    trainer(tmp_path, LogsInBar(), ClusteringProgressBar(), enable_progress_bar=True).fit(dec(), Blobs())
    assert "speed 3.14, " in drawings(terminal.getvalue())[-1]
