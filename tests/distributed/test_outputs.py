"""Tests of texts and copies of the data on two processes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.helpers.fake_files import texts
from tests.helpers.processes import run_command

N_SAMPLES = 5000  # two chunks
MODEL = (
    *(sys.executable, "-m", "lightning_dc", "fit", "--model=AEKMeans", "--model.n_clusters=3"),
    *("--model.autoencoder=Identity", "--model.pretraining.max_epochs=0", "--trainer.accelerator=cpu"),
)
ARRAY = ("--data=ArrayDataModule", "--data.x=x.npy", "--data.texts=texts.csv", "--data.val_fraction=0.1")
TABLE = ("--data=TextDataModule", "--data.path=texts.csv", "--data.n_words=40", "--annotated.file_name=out.csv")


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "files"),
    [(ARRAY, ("terms.csv", "documents.csv")), (TABLE, ("terms.csv", "documents.csv", "out.csv"))],
)
def test_files_of_two_processes_are_those_of_one(tmp_path: Path, data: tuple[str, ...], files: tuple[str, ...]) -> None:
    group = np.arange(N_SAMPLES)[:, None] % 3
    np.save(tmp_path / "x.npy", (np.random.default_rng(0).normal(size=(N_SAMPLES, 4)) + 8 * group).astype("f4"))
    pd.DataFrame({"text": texts(N_SAMPLES)}).to_csv(tmp_path / "texts.csv", index=False)
    for name, flags in (("one", ()), ("two", ("--trainer.strategy=ddp", "--trainer.devices=2"))):
        run_command([*MODEL, *data, *flags, f"--trainer.logger.name={name}"], tmp_path)
    for file in files:
        alone, shared = ((tmp_path / "runs" / name / "version_0" / file).read_text() for name in ("one", "two"))
        assert alone == shared
        assert alone.count("\n") > 3
