"""Tests of the folder of a run: one for each run, the same for all its files, and none after a start that failed."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from lightning_dc.cli.claim import RunTrainer, claimed_folder
from lightning_dc.errors import InputError
from tests.conftest import CommandLine
from tests.helpers.command_line import DIGITS, RUN, fit_of
from tests.helpers.processes import run_command

OWN = """
from pathlib import Path

from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from datamodules import SyntheticDataModule

class Online(Logger):  # like that of W&B
    name, version = "project", "8f3a"

    def __init__(self, save_dir: str = ".", name: str | None = None):
        super().__init__()
        self._folder = save_dir

    @property
    @rank_zero_experiment
    def experiment(self):
        return object()

    @property
    def save_dir(self):
        return self._folder

    @rank_zero_only
    def log_metrics(self, metrics, step=None):
        pass

    @rank_zero_only
    def log_hyperparams(self, params, *args):
        pass

class OnlineOnly(Online):
    save_dir = None

class Unlucky(Callback):
    def __init__(self, hook: str):
        setattr(self, hook, self.fail)

    def fail(self, *args, **kwargs):
        raise RuntimeError("bad luck")

class Unnamed(SyntheticDataModule):
    feature_names = ["a"]
"""
SEVERAL = """
trainer:
  logger:
    - class_path: own.Online
    - class_path: lightning.pytorch.loggers.CSVLogger
      init_args: {save_dir: runs, name: several}
    - class_path: lightning.pytorch.loggers.TensorBoardLogger
      init_args: {save_dir: runs, name: several}
"""
LOGGERS = {
    "tensorboard": (),
    "csv": ("--trainer.logger=CSVLogger",),
    "none": ("--trainer.logger=false",),
    "online": ("--trainer.logger=own.Online",),
    "online with a folder": ("--trainer.logger=own.Online", "--trainer.logger.save_dir=mine"),
    "online only": ("--trainer.logger=own.OnlineOnly",),
    "several": ("--config=several.yaml",),
}
FIT = fit_of("DEC", "--trainer.enable_progress_bar=false")
FILES = {"config.yaml", "clusters.parquet", "features.csv", "checkpoints/last.ckpt"}
FIGURES = {"inputs_clusters.png", "clusters_representation.png", "clusters_reliability.png"}
LOGS = {"hparams.yaml", "metrics.csv"}


@pytest.fixture
def command(lightning_dc_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "several.yaml").write_text(SEVERAL)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    return lightning_dc_cli


def written() -> set[str]:
    """Return the files and folders below the working directory that the tests themselves have not made."""
    ours = {"own.py", "several.yaml"}
    return {str(path) for path in Path().rglob("*") if path.name not in ours and "__pycache__" not in path.parts}


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("logger", LOGGERS)
def test_all_files_of_a_run_are_in_its_own_folder(command: CommandLine, logger: str) -> None:
    runs = Path("mine" if "folder" in logger else "runs") / ("several" if logger == "several" else "run")
    for number in range(2):
        with warnings.catch_warnings(record=True) as caught:
            printed = command(*FIT, *LOGGERS[logger])
        assert not [str(warning.message) for warning in caught if "not empty" in str(warning.message)]
        has_events = logger in ("tensorboard", "several")
        events = {path.name for path in (runs / f"version_{number}").glob("events.*")}
        assert bool(events) == has_events == ("TensorBoard" in printed)
        assert FILES | (set() if has_events else FIGURES) == files_of(runs / f"version_{number}") - events - LOGS
        assert f"{runs}/version_{number}/checkpoints/last.ckpt" in printed
    everything = {Path(path) for path in written() if Path(path).is_file()}
    assert {path.parts[:3] for path in everything} == {(*runs.parts, f"version_{number}") for number in range(2)}


@pytest.mark.parametrize(
    ("flags", "folder"),
    [
        (("--trainer.logger.save_dir=mine",), "mine/run/version_0"),
        (("--trainer.logger.name=mine",), "runs/mine/version_0"),
        (("--trainer.logger.version=mine",), "runs/run/mine"),
        (("--trainer.logger.version=7",), "runs/run/version_7"),
        (("--trainer.logger.sub_dir=mine",), "runs/run/version_0/mine"),
        (("--trainer.default_root_dir=mine",), "mine/run/version_0"),
        (("--trainer.default_root_dir=mine", "--trainer.logger=false"), "mine/run/version_0"),
        (("--trainer.default_root_dir=mine", "--trainer.logger=CSVLogger"), "mine/run/version_0"),
        (("--trainer.default_root_dir=mine", "--trainer.logger=own.Online"), "mine/run/version_0"),
        (("--trainer.default_root_dir=mine", "--trainer.logger=own.OnlineOnly"), "mine/run/version_0"),
        (("--trainer.default_root_dir=mine", "--trainer.logger.save_dir=his"), "his/run/version_0"),
    ],
)
def test_the_user_chooses_the_folder(command: CommandLine, flags: tuple[str, ...], folder: str) -> None:
    command(*FIT, *flags)
    assert {str(path.parent) for path in Path().rglob("clusters.parquet")} == {folder}
    assert files_of(Path(folder)) >= FILES
    assert Path(folder).parts[0] in {path.parts[0] for path in Path().rglob("*.ckpt")}
    assert not Path("lightning_logs").exists()


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")
def test_an_existing_run_is_refused_and_a_resumed_one_is_not(command: CommandLine) -> None:
    flags = ("--trainer.logger.version=mine",)
    run = Path("runs/run/mine")
    run.mkdir(parents=True)
    (run / "notes.txt").write_text("precious")
    command(*FIT, *flags)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert "exists; choose another" in command.fails(*FIT, *flags)
    (run / "config.yaml").rename("config.yaml")
    assert "exists; choose another" in command.fails(*FIT, *flags)
    Path("config.yaml").rename(run / "config.yaml")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    resumed = (*FIT, "--ckpt_path", run / "checkpoints/last.ckpt")
    command(*resumed)
    assert files_of(Path("runs/run/version_0")) >= {"config.yaml", "clusters.parquet"}
    assert "n_clusters=7" in command.fails(*resumed, *flags, "--model.n_clusters=7")
    assert before.keys() <= {path for path in run.rglob("*") if path.is_file()}
    command(*resumed, *flags)
    assert (run / "notes.txt").read_text() == "precious"


SLIPS = {
    "argument": ("--model.clustering.dropout=1.5",),
    "optimizer": ("--model.clustering.optimizer.lr=-1",),
    "data": ("--data.scaling=unknown",),
    "clusters": ("--model.n_clusters=2000",),
    "checkpoint": ("--ckpt_path=nowhere.ckpt",),
    "init_from": ("--init_from=nowhere.ckpt",),
    "names of features": ("--data=own.Unnamed",),
    "folder": ("--trainer.logger.save_dir=own.py/runs",),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_leaves_nothing(command: CommandLine, slip: str) -> None:
    command.fails(*FIT, *SLIPS[slip])
    assert written() == set()


@pytest.mark.parametrize(
    ("hook", "logger"),
    [
        *((hook, "tensorboard") for hook in ("setup", "on_fit_start", "on_train_batch_start")),
        *(("on_train_start", logger) for logger in ("csv", "none", "online with a folder", "several")),
    ],
)
def test_any_failure_before_a_batch_is_trained_leaves_nothing(command: CommandLine, hook: str, logger: str) -> None:
    with pytest.raises(RuntimeError, match="bad luck"):
        command(*FIT, *LOGGERS[logger], "--trainer.callbacks=own.Unlucky", f"--trainer.callbacks.hook={hook}")
    assert written() == set()


def test_what_was_there_before_a_failed_start_stays(command: CommandLine) -> None:
    Path("runs/run/mine").mkdir(parents=True)
    Path("runs/run/mine/notes.txt").write_text("precious")
    unlucky = ("--trainer.callbacks=own.Unlucky", "--trainer.callbacks.hook=setup")
    for flags in ((), ("--trainer.logger.version=mine",)):
        with pytest.raises(RuntimeError, match="bad luck"):
            command(*FIT, *unlucky, *flags)
        left = {path for path in written() if "events" not in path}
        assert left == {"runs", "runs/run", "runs/run/mine", "runs/run/mine/notes.txt"}


def test_a_failure_in_training_leaves_the_run(command: CommandLine) -> None:
    with pytest.raises(RuntimeError, match="bad luck"):
        command(*FIT, "--trainer.callbacks=own.Unlucky", "--trainer.callbacks.hook=on_train_epoch_end")
    assert "config.yaml" in files_of(Path("runs/run/version_0"))


@pytest.mark.parametrize("logger", ["tensorboard", "none", "online with a folder", "several"])
def test_a_fast_dev_run_writes_nothing(command: CommandLine, logger: str) -> None:
    command(*FIT, *LOGGERS[logger], "--trainer.fast_dev_run=1")
    assert written() == set()


LOGGERS_OF_RUNS = {
    "tensorboard": lambda version: TensorBoardLogger("runs", "run", version),
    "csv": lambda version: CSVLogger("runs", "run", version),
    "none": lambda version: False,
}


def claim_together(logger: str, version: str | None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Claim folders in eight threads, all of which look before any of them makes a folder; return their folders."""
    together = threading.Barrier(8)
    look = {"glob": Path.glob, "touch": Path.touch}

    def look_together(name: str):  # type: ignore[no-untyped-def]
        def patched(path: Path, *args: object, **kwargs: object) -> object:
            together.wait(60.0)
            return look[name](path, *args, **kwargs)

        return patched

    monkeypatch.setattr(
        Path, "glob" if version is None else "touch", look_together("glob" if version is None else "touch")
    )

    def claim(_: int) -> str:
        trainer = RunTrainer(logger=LOGGERS_OF_RUNS[logger](version), accelerator="cpu")
        try:
            with claimed_folder(trainer, None, "run", "clusters.parquet", ckpt_path=None):
                assert trainer.run_folder is not None
                together.wait(60.0)
                (trainer.run_folder / "config.yaml").write_text("a run")
                return str(trainer.log_dir)
        except InputError as error:
            together.wait(60.0)
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(claim, range(8)))


@pytest.mark.parametrize("logger", LOGGERS_OF_RUNS)
def test_runs_that_start_together_have_a_folder_each(
    logger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = claim_together(logger, None, monkeypatch)
    assert sorted(folders) == [f"runs/run/version_{number}" for number in range(8)]


@pytest.mark.parametrize("logger", ["tensorboard", "csv"])
def test_only_one_of_the_runs_that_start_together_has_the_version_of_all(
    logger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcomes = claim_together(logger, "mine", monkeypatch)
    assert sum(outcome == "runs/run/mine" for outcome in outcomes) == 1
    assert sum("exists; choose another" in outcome for outcome in outcomes) == 7
    assert written() == {"runs", "runs/run", "runs/run/mine", "runs/run/mine/config.yaml"}


@pytest.mark.distributed
@pytest.mark.parametrize("logger", ["csv", "none"])
def test_two_processes_have_one_folder(command: CommandLine, tmp_path: Path, logger: str) -> None:
    ddp = ("--trainer.strategy=ddp", "--trainer.devices=2", *LOGGERS[logger])
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    start = [sys.executable, "-m", "lightning_dc", *map(str, FIT), *ddp]
    run_command(start, tmp_path, environment)
    assert {path.parts[:3] for path in map(Path, written()) if path.is_file()} == {("runs", "run", "version_0")}
    assert files_of(Path("runs/run/version_0")) - LOGS == FILES | FIGURES
    run_command([*start, "--data=own.Unnamed"], tmp_path, environment, succeeds=False)
    assert [path.name for path in Path("runs/run").iterdir()] == ["version_0"]


def test_a_resumed_run_leaves_the_folder_of_another_run_alone(lightning_dc_cli: CommandLine) -> None:
    """``--ckpt_path`` allows to go on in the folder that holds the checkpoint, and in no other."""
    for _ in range(2):
        lightning_dc_cli(*DIGITS)
    other = RUN.with_name("version_1")
    before = {path: path.read_bytes() for path in other.rglob("*") if path.is_file()}
    version = "--trainer.logger.init_args.version={}"
    said = lightning_dc_cli.fails(*DIGITS, f"--ckpt_path={RUN}", version.format(1))
    assert "version_1' exists" in said
    assert {path: path.read_bytes() for path in other.rglob("*") if path.is_file()} == before
    with pytest.warns(UserWarning, match="exists and is not empty"):
        lightning_dc_cli(*DIGITS, f"--ckpt_path={RUN}", version.format(0))
