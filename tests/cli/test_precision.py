"""The precision of a fit is that of all that is done with its checkpoint, unless the user says otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyarrow import parquet

from tests.conftest import CommandLine
from tests.helpers.command_line import CHECKPOINT, RUN

FIT = (
    *("fit", "--config", "dec_digits", "--model.autoencoder.hidden_dims=[32]", "--model.autoencoder.latent_dim=5"),
    *("--model.pretraining.max_epochs=2", "--model.clustering.max_epochs=1", "--model.kmeans.n_init=2"),
    *("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"),
)


def clusters(path: Path) -> dict[str, Any]:
    table = parquet.read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true", "bf16-true", "32-true"])
def test_predictions_are_made_in_the_precision_of_the_fit(lightning_dc_cli: CommandLine, precision: str) -> None:
    lightning_dc_cli(*FIT, f"--trainer.precision={precision}")
    assert torch.load(CHECKPOINT, weights_only=True)["lightning_dc"]["precision"] == precision
    lightning_dc_cli("predict", "--config", "dec_digits", "--trainer.accelerator=cpu", "--ckpt_path", CHECKPOINT)
    fitted, predicted = clusters(RUN / "clusters.parquet"), clusters(Path("predictions.parquet"))
    np.testing.assert_array_equal(predicted["cluster"], fitted["cluster"])
    np.testing.assert_allclose(predicted["z_0"], fitted["z_0"], rtol=1e-5, atol=1e-6)


def test_a_flag_beats_the_precision_of_the_checkpoint(lightning_dc_cli: CommandLine) -> None:
    lightning_dc_cli(*FIT, "--trainer.precision=bf16-mixed")
    predict = ("predict", "--config", "dec_digits", "--trainer.accelerator=cpu", "--ckpt_path", CHECKPOINT)
    lightning_dc_cli(*predict, "--trainer.precision=32", "--output.path=32.parquet")
    lightning_dc_cli(*predict, "--output.path=bf16.parquet")
    wide, narrow = clusters(Path("32.parquet")), clusters(Path("bf16.parquet"))
    assert np.abs(wide["z_0"] - narrow["z_0"]).max() > 1e-4


def test_a_run_goes_on_in_its_precision(lightning_dc_cli: CommandLine) -> None:
    lightning_dc_cli(*FIT, "--trainer.precision=64-true", "--trainer.max_epochs=1")
    lightning_dc_cli(*FIT, "--ckpt_path", CHECKPOINT)
    resumed = torch.load("runs/dec_digits/version_1/checkpoints/last.ckpt", weights_only=True)
    assert resumed["lightning_dc"]["precision"] == "64-true"
    assert all(value.dtype == torch.float64 for value in resumed["state_dict"].values() if value.is_floating_point())
