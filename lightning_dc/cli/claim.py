"""The folder of a run: claimed by one run alone, and gone again if the run comes to nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from lightning_dc.errors import InputError

_CONFIG = "config.yaml"
_SAVE_DIR, _ROOT_DIR = "trainer.logger.init_args.save_dir", "trainer.default_root_dir"


class RunTrainer(pl.Trainer):
    """Trainer whose ``log_dir`` is the folder of the run, whatever its loggers are.

    Attributes:
        run_folder: folder of the run, which the first process has claimed; None on other processes, and where there is
            none, as in ``fast_dev_run``.
        claim: what the first process has made for the run.
    """

    run_folder: Path | None = None
    claim: Claim | None = None

    @property
    def log_dir(self) -> str | None:
        # Both are broadcasts of the first process's folder.
        return super().log_dir if self.run_folder is None else self.strategy.broadcast(str(self.run_folder))


class ConfigWriter(SaveConfigCallback):
    """Callback that writes ``config.yaml`` after the first batch: until then, a run may still come to nothing."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        pass

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        super().setup(trainer, pl_module, "fit")  # does nothing at later batches

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().setup(trainer, pl_module, "fit")  # of a run that resumes at its end, and has no batch


@contextlib.contextmanager
def claimed_folder(
    trainer: RunTrainer, root: str | None, name: str, clusters: str, ckpt_path: str | None
) -> Iterator[None]:
    """Give a run a folder of its own within a ``with`` block, on the first process.

    TensorBoard's or CSV's own folder is that of the run. With other loggers and with none it is ``name/version_N`` in
    ``root``. A folder without a number gets the next free one. After a block in which no batch was trained, all that
    was made is removed.

    Args:
        trainer: trainer of the run, whose loggers and checkpoints are directed to the folder.
        root: folder of all runs; None means the ``save_dir`` of a logger, or else ``runs``.
        name: name of the run.
        clusters: name of the file of clusters, which shows that a folder holds a run.
        ckpt_path: checkpoint from which the run goes on, which it may do in the folder that holds it; None for none.

    Raises:
        InputError: the folder cannot be written, or it holds a run.
    """
    claim = trainer.claim = Claim()
    try:
        numbered = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger | CSVLogger)]
        for logger in numbered:
            claim.number(logger)
        if numbered:
            folder = Path(numbered[0].log_dir)
        else:
            save_dirs = [logger.save_dir for logger in trainer.loggers if logger.save_dir is not None]
            runs = Path(root or next(iter(save_dirs), "runs")) / name
            folder = runs / f"version_{claim.next_number(runs, _ROOT_DIR if root or not save_dirs else _SAVE_DIR)}"
        claim.take(folder, clusters, ckpt_path)
        trainer.run_folder = folder
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
                callback.dirpath = str(folder / "checkpoints")
        yield
    finally:
        claim.clear()


class Claim:
    """Folders that a run has made, in order."""

    def __init__(self) -> None:
        self._own: list[Path] = []  # which no other run uses
        self._made: list[Path] = []  # which other runs may use, too
        self._versions: dict[Path, int | str | None] = {}
        self._config: Path | None = None

    def number(self, logger: TensorBoardLogger | CSVLogger) -> None:
        """Give a logger without a version the next free one; loggers that log to one place share it."""
        runs = Path(os.path.expanduser(os.path.expandvars(logger.root_dir)))
        if logger._version is None:
            logger._version = self._versions.get(runs)
        if logger._version is None:
            logger._version = self.next_number(runs, _SAVE_DIR)
        self._versions[runs] = logger._version

    def next_number(self, runs: Path, argument: str) -> int:
        """Make the folder ``version_N`` with the next free number N, and return N."""
        with _writing(runs, argument):
            self._make(runs)
            numbers = [path.name.removeprefix("version_") for path in runs.glob("version_*")]
            number = max((int(n) for n in numbers if n.isdigit()), default=-1) + 1
            while True:
                folder = runs / f"version_{number}"
                try:
                    folder.mkdir()
                except FileExistsError:  # another run has taken the number
                    number += 1
                except FileNotFoundError:  # another run, which came to nothing, has removed the empty folder of runs
                    self._make(runs)
                else:
                    self._own.append(folder)
                    return number

    def take(self, folder: Path, clusters: str, ckpt_path: str | None) -> None:
        """Claim a folder by an empty ``config.yaml``, which only one run can make."""
        config, is_new = folder / _CONFIG, folder in self._own or not folder.exists()
        with _writing(folder, _SAVE_DIR):
            self._make(folder)
            try:
                config.touch(exist_ok=False)
                self._config = config
            except FileExistsError:
                pass
        is_own = ckpt_path is not None and Path(ckpt_path).resolve().is_relative_to(folder.resolve())
        if not is_own and (self._config is None or (folder / clusters).exists()):
            raise InputError(
                f"the run {str(folder)!r} exists; choose another trainer.logger.init_args.version, or continue it with "
                "--ckpt_path"
            )
        if self._config is None:  # the files of an earlier run stay, whatever becomes of this one
            self._own, self._made = [], []
        elif is_new:
            self._own.append(folder)
            # Lightning's logger warns of the empty configuration.
            warnings.filterwarnings("ignore", message="Experiment logs directory .* exists and is not empty")

    def clear(self) -> None:
        """Remove what was made, unless the configuration has been written."""
        if self._config is not None and self._config.exists() and self._config.stat().st_size > 0:
            return
        if self._config is not None:
            self._config.unlink(missing_ok=True)
        for folder in self._own:
            shutil.rmtree(folder, ignore_errors=True)
        for folder in reversed(self._made):
            with contextlib.suppress(OSError):  # it is not empty, or gone
                folder.rmdir()

    def _make(self, folder: Path) -> None:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        self._made += reversed(missing)


@contextlib.contextmanager
def _writing(folder: Path, argument: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{argument}: the folder {str(folder)!r} can't be written ({error.strerror}); choose another one"
        ) from error
