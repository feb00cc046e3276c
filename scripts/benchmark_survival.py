"""Test whether clusters of held-out patients differ in survival, for DeepType, k-means and Cox's model.

    python scripts/benchmark_survival.py
    python scripts/benchmark_survival.py --seeds 0 1 2 3 4 -- --model.n_clusters=3

The data come from BreastCancerSurvivalDataModule, and half of the patients are held out. The seed of a run is also the
seed of its split, so that all methods get the same splits. Each row shows the distribution over the splits of the
log-rank p-value of the held-out patients, the share of splits in which it is below 0.05, and the median of Harrell's
concordance if the method predicts risks. All splits have the same 198 patients, so their p-values are not independent.

*deeptype_survival* is the shipped configuration, which gets the arguments after `--`. *k-means* runs on the
standardised inputs, with the clinical columns or with only the 76 genes, and does not use survival times. *Cox, ridge*
is CoxPHSurvivalAnalysis(alpha=100) of scikit-survival on all inputs; its two groups lie above and below the median risk
score of the training patients.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from common import describe_machine, new_parser, note, parse, silence
from lightning.pytorch import seed_everything
from numpy.typing import NDArray
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv
from tabulate import tabulate

from datamodules import BreastCancerSurvivalDataModule
from datamodules.loading.loader import BatchLoader
from lightning_dc.cli import main as lightning_dc
from lightning_dc.reports.outcomes import outcome_tables
from lightning_dc.reports.survival import concordance

RIDGE = 100.0
LEVEL = 0.05


class HeldOut(NamedTuple):
    """Log-rank p-value and concordance (NaN without predictions) of the held-out patients."""

    p: float
    concordance: float


def main() -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    parser = new_parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(50)), help="seeds of the splits (0 to 49)")
    args = parse(parser)
    print(describe_machine())
    kmeans = ["--config=kmeans_synthetic", "--data=BreastCancerSurvivalDataModule", "--data.val_fraction=0.5"]
    methods: dict[str, Callable[[int], HeldOut]] = {
        "deeptype_survival": lambda seed: fit(seed, ["--config=deeptype_survival", *args.overrides]),
        "k-means": lambda seed: fit(seed, [*kmeans, "--model.n_clusters=2"]),
        "k-means, genes": lambda seed: fit(seed, [*kmeans, "--model.n_clusters=2", "--data.clinical=false"]),
        "Cox, ridge": cox,
    }
    rows = []
    for name, method in methods.items():
        found = []
        for seed in args.seeds:
            found.append(method(seed))
            note(f"{name}, seed {seed}: p {found[-1].p:.3g}")
        p, index = np.array(found).T
        p = np.nan_to_num(p, nan=1.0)  # NaN if one cluster has all held-out patients: no difference is seen
        rows.append([name, *np.quantile(p, (0.25, 0.5, 0.75)), np.mean(p < LEVEL), np.median(index)])
    print(f"\n{len(args.seeds)} splits, patients held out")
    headers = ["", "p, 25 %", "median", "75 %", f"below {LEVEL}", "concordance"]
    print(tabulate(rows, headers, tablefmt="simple_outline", floatfmt=".3f"))


def fit(seed: int, arguments: list[str]) -> HeldOut:
    """Fit a model through the command line."""
    with tempfile.TemporaryDirectory() as scratch:
        with silence():
            lightning_dc(
                [
                    *("fit", *arguments, f"--seed_everything={seed}", "--trainer.accelerator=cpu"),
                    *("--trainer.enable_progress_bar=false", "--trainer.enable_checkpointing=false"),
                    *("--trainer.logger=false", f"--trainer.default_root_dir={scratch}"),
                ]
            )
        (outcomes,) = Path(scratch).rglob("outcomes.csv")
        with outcomes.open() as file:
            (row,) = [row for row in csv.DictReader(file) if row["samples"] == "val" and row["cluster"] == "all"]
    return HeldOut(float(row["p"]), float(row.get("concordance", "nan")))


def cox(seed: int) -> HeldOut:
    """Fit a Cox regression with a ridge penalty, and split the patients into two groups by its risk score."""
    with silence():
        seed_everything(seed)
    data = BreastCancerSurvivalDataModule(val_fraction=0.5)
    x, time, event = read(data.train_dataloader())
    held_out, held_out_time, held_out_event = read(data.val_dataloader())
    model = CoxPHSurvivalAnalysis(alpha=RIDGE).fit(x, Surv.from_arrays(event == 1, time))
    risk = model.predict(held_out)
    clusters = (risk > np.median(model.predict(x))).astype(int)
    targets = np.column_stack([held_out_time, held_out_event])
    (table,) = outcome_tables(clusters, targets, data.target_spec, 2)
    return HeldOut(table.tests["p"], concordance(risk, held_out_time, held_out_event))


def read(loader: object) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the standardised inputs, (N, F), times and events, (N,), of a loader."""
    assert isinstance(loader, BatchLoader)
    samples = loader.read(0, loader.n_samples)
    assert samples.targets is not None
    time, event = samples.targets.double().numpy().T
    return samples.x.double().numpy(), time, event


if __name__ == "__main__":
    main()
