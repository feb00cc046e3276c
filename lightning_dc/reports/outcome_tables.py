"""Comparison of the clusters with the targets of the data at the end of a fit."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from lightning_dc.batch import DataDescription, SampleLoader, TargetSpec
from lightning_dc.files import check_ending, whole_csv
from lightning_dc.reports.outcomes import OutcomeTable, outcome_tables
from lightning_dc.reports.report import Report
from lightning_dc.reports.survival import check_lifelines, concordance, kaplan_meier_figure
from lightning_dc.training import ClusteringModule, FullAssignment, assign_all, record, record_figure


class OutcomeTables(Report):
    """Report that compares the final clusters of any method with the targets of the DataModule, if it has any.

    Classes and labels get contingency tables with a chi-square test; values get an analysis of variance and the
    Kruskal-Wallis test; survival gets a log-rank test and Kaplan-Meier curves, and Harrell's concordance index if the
    method predicts survival. There are tables of the training set (``train``) and of the samples that validate a fit
    (``val``), which no method trains on. The file has one row for each cluster, and one for all samples with the tests.

    The tests assume that the clusters do not depend on the targets. If targets have influenced the clusters, as in
    DeepType, only the p-values of ``val`` are meaningful.

    Args:
        file_name: file of the tables in the run's folder, ``.csv``; None leaves tables and figures out.

    Raises:
        InputError: ``file_name`` has another ending.
    """

    def __init__(self, file_name: str | None = "outcomes.csv") -> None:
        if file_name is not None:
            check_ending(file_name, "outcomes.file_name", [".csv"])
        self.file_name = file_name

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        spec = self._target_spec(trainer)
        if stage == "fit" and spec is not None and spec.kind == "survival":
            check_lifelines()

    def applies(self, module: ClusteringModule) -> bool:
        return self._target_spec(module.trainer) is not None

    def collect(self, module: ClusteringModule, final: FullAssignment) -> dict[str, FullAssignment]:
        """Return assignments of the training samples and of those that are held out, by name."""
        held_out = module.trainer.val_dataloaders
        if not isinstance(held_out, SampleLoader):
            return {"train": final}
        return {"train": final, "val": assign_all(module, held_out, keep_output=module.model.task_head is not None)}

    def write(
        self,
        module: ClusteringModule,
        final: FullAssignment,
        collected: dict[str, FullAssignment],
        folder: Path | None,
    ) -> None:
        spec = self._target_spec(module.trainer)
        assert spec is not None
        rows: list[dict[str, Any]] = []
        for samples, full in collected.items():
            for table in _tables(module, full, spec, samples):
                _print(samples, table)
                prefix = f"final/{samples}_{table.target}"
                record(module, {f"{prefix}_{name}": value for name, value in table.tests.items()})
                rows += _rows(samples, table)
        if rows and folder is not None and self.file_name is not None:
            _write(folder / self.file_name, rows)

    def _target_spec(self, trainer: pl.Trainer) -> TargetSpec | None:
        """Return the description of the targets; None without targets, or if the tables are left out."""
        return None if self.file_name is None else DataDescription.of(trainer.datamodule).target_spec  # type: ignore[attr-defined]


def _tables(module: ClusteringModule, full: FullAssignment, spec: TargetSpec, samples: str) -> list[OutcomeTable]:
    """Return the tables of a set of samples, ``train`` or ``val``, and record its survival curves."""
    if full.targets is None:
        return []
    clusters, targets = full.labels.cpu().numpy(), full.targets.cpu().numpy()
    tables = outcome_tables(clusters, targets, spec, module.model.head.n_clusters)
    if spec.kind != "survival":
        return tables
    time, event = targets.T
    title = f"Clusters and survival, {samples}"
    record_figure(module, f"survival/{samples}", kaplan_meier_figure(clusters, time, event, title))
    if full.output is None:
        return tables
    index = concordance(full.output[:, 0].double().cpu().numpy(), time, event)
    return [table._replace(tests={**table.tests, "concordance": index}) for table in tables]


def _rows(samples: str, table: OutcomeTable) -> Iterator[dict[str, Any]]:
    place = {"samples": samples, "target": table.target}
    for k, statistics in enumerate(table.clusters):
        yield place | {"cluster": k} | dict(statistics)
    yield place | {"cluster": "all"} | dict(table.total) | dict(table.tests)


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    columns = dict.fromkeys(name for row in rows for name in row)
    with whole_csv(path) as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(rows)


def _print(samples: str, table: OutcomeTable) -> None:
    from tabulate import tabulate

    rows = [[name, *map(_number, row.values())] for name, row in [*enumerate(table.clusters), ("all", table.total)]]
    tests = ", ".join(f"{name} {_number(value)}" for name, value in table.tests.items())
    print(f"\nClusters and {table.target}, {samples}: {tests}")
    print(tabulate(rows, ["cluster", *table.total], tablefmt="simple_outline", disable_numparse=True))


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"
