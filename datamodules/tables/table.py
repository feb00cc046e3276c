"""DataModule of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from datamodules.annotation import Annotation
from datamodules.learning import LearningDataModule
from datamodules.loading.samples import Samples
from datamodules.loading.scaling import ScalingName
from datamodules.messages import as_list, quote_first, tell
from datamodules.tables.annotated import copy_endings, write_table_copy
from datamodules.tables.columns import check_columns, is_element, match_columns, require_column
from datamodules.tables.complaints import Complaints
from datamodules.tables.dialect import CsvFormat, Decimal
from datamodules.tables.encoding import Missing, TableEncoding, Unseen
from datamodules.tables.file import read_table
from datamodules.tables.roles import Roles, Target
from datamodules.tables.row_numbers import row_number_columns, warn_of_identifiers
from datamodules.tables.schema import (
    TableSchema,
    read_classes,
    read_ids,
    read_labels,
    read_row_ids,
    read_targets,
)
from lightning_dc.batch import Assigned, TargetSpec
from lightning_dc.errors import InputError


class TableDataModule(LearningDataModule[TableSchema]):
    """Rows of a CSV, TSV or Parquet file.

    The dialect of a CSV file is guessed, and what is guessed is told. Columns in which pandas has kept the index of a
    table, and those without a name, are no inputs; their values are the ids if there are no others and no two are the
    same. A column of a Parquet file with lists of numbers of one length D is D inputs, ``name[0]`` to ``name[D - 1]``.

    Numeric columns are inputs as they are, and categorical columns become one-hot inputs. The categories, the values
    that replace missing ones and the scaling are learned on the training rows and travel with the checkpoint, together
    with the roles of the columns. A file to predict on needs the same inputs, by name and in any order, and may lack
    labels, targets and ids. Messages count rows from 0, without the header, as the index of the clusters does.

    Args:
        path: the file, ``.csv``, ``.tsv`` or ``.parquet`` (``.pq``). A CSV or TSV file may be compressed: ``.gz``,
            ``.bz2``, ``.xz``, ``.zst``, or ``.zip`` with one such file.
        test_path: file of a test set; None for none.
        columns: inputs, by name or pattern (``gene_*``); None takes all columns that have no other role.
        drop: columns that are not inputs, by name or pattern.
        categorical: inputs that are categorical, by name or pattern; text is refused in all other inputs.
        label: column of classes, numbers or text, for evaluation. A missing class is unknown.
        target: kind of the target of a supervised method: one of several classes (``class``), any of several labels
            (``multilabel``, 0 or 1), numbers (``value``), or a time and whether the event has happened by then
            (``survival``).
        target_columns: columns of the target: one for ``class``, time and event for ``survival``, any number otherwise.
            Missing values are missing targets.
        id_column: column of ids, integers or text, each only once, which are written beside the clusters.
        missing: treatment of missing inputs: ``error`` refuses them, and ``mean``, ``median`` or ``most_frequent``
            replaces them by that value of the training rows, which for a categorical column is always the most frequent
            one. A treatment that was chosen in training stays; a model that was trained with ``error`` takes that of
            the DataModule of new rows.
        unseen: treatment of a category that no training row has: ``error`` refuses it, and ``zeros`` gives it zeros for
            all categories of its column.
        delimiter: character between the fields of a line; None guesses it among comma, semicolon, tab and ``|``.
        decimal: decimal sign of a CSV file, ``.`` or ``,``; None guesses it.
        header: whether the first line of a CSV file holds the names of the columns; None guesses it. Without a header
            the columns are called ``f0``, ``f1`` and so on.
        encoding: encoding of a CSV file, such as ``cp1252``; a byte order mark in the file goes before it.
        batch_size: number of rows in a training batch, over all processes.
        scaling: see :class:`~datamodules.ClusteringDataModule`; one-hot inputs are scaled like the others.
        val_fraction: share of the rows that is held out for validation.
        keep_on_device: hold the samples on the accelerator.

    Raises:
        InputError: an argument is out of range, a file cannot be read, or columns or values do not fit.
    """

    learned_name = "table"

    def __init__(
        self,
        path: str,
        test_path: str | None = None,
        columns: str | Sequence[str] | None = None,
        drop: str | Sequence[str] = (),
        categorical: str | Sequence[str] = (),
        label: str | None = None,
        target: Target = "none",
        target_columns: str | Sequence[str] = (),
        id_column: str | None = None,
        missing: Missing = "error",
        unseen: Unseen = "error",
        delimiter: str | None = None,
        decimal: Decimal | None = None,
        header: bool | None = None,
        encoding: str = "utf-8",
        batch_size: int = 256,
        scaling: ScalingName = "standard",
        val_fraction: float = 0.0,
        keep_on_device: bool = False,
    ) -> None:
        super().__init__(batch_size, scaling, val_fraction, keep_on_device)
        for name, value, choices in (
            ("target", target, get_args(Target)),
            ("missing", missing, get_args(Missing)),
            ("unseen", unseen, get_args(Unseen)),
        ):
            if value not in choices:
                raise InputError(f"{name}={value!r} is unknown; choose from {', '.join(choices)}")
        needed = {"none": 0, "class": 1, "survival": 2}.get(target)
        n_columns = len(as_list(target_columns))
        if n_columns != needed if needed is not None else n_columns == 0:
            wanted = "time and event" if target == "survival" else "at least one" if needed is None else needed
            raise InputError(f"target_columns={as_list(target_columns)} must be {wanted} with target={target!r}")
        self.path = Path(path).expanduser()
        self.test_path = None if test_path is None else Path(test_path).expanduser()
        self.roles = Roles(
            None if columns is None else as_list(columns),
            as_list(drop),
            as_list(categorical),
            label,
            target,
            as_list(target_columns),
            id_column,
        )
        self.missing = missing
        self.unseen = unseen
        self.format = CsvFormat(delimiter, decimal, header, encoding)

    @property
    def source_files(self) -> Mapping[str, Any]:
        return {"path": self.path}

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (len(self.feature_names),)

    @property
    def target_spec(self) -> TargetSpec | None:
        return self.ensure_learned().target_spec

    @property
    def feature_names(self) -> Sequence[str]:
        return self.ensure_learned().encoding.feature_names

    @property
    def feature_groups(self) -> Sequence[Sequence[int]]:
        return self.ensure_learned().encoding.feature_groups

    @property
    def classes(self) -> Sequence[str]:
        """Name of each class of the label."""
        return self.ensure_learned().classes

    def restore(self, state: dict[str, Any]) -> TableSchema:
        return TableSchema.restore(state)

    def load(self) -> Samples:
        if self.learned is None:
            table = self._read(self.path, self.roles)
            self.learned = self._learn(table)
            samples = self._samples(table, self.path, self.learned)
            self._check_training(samples, self.learned)
            return samples
        return self._load_new(self.path)

    def load_test(self) -> Samples | None:
        return None if self.test_path is None else self._load_new(self.test_path)

    def annotated_endings(self) -> Sequence[str]:
        """Return the endings of a copy of the table with the clusters."""
        return copy_endings(self.path)

    def write_annotated(self, path: Path, ending: str, final: Assigned) -> None:
        """Write a copy of the table, without that of the test set, with a cluster for each training row."""
        n_rows = len(self.training_samples().x)
        annotation = Annotation.of(final, self.training_rows(n_rows), n_rows)
        known = list(self.ensure_learned().encoding.columns)
        write_table_copy(self.path, path, ending, annotation, self.format, known)

    def _read(self, path: Path, roles: Roles) -> Any:
        known = None if self.learned is None else list(self.learned.encoding.columns)
        return read_table(path, [*roles.categorical, *roles.text_columns], self.format, known)

    def _learn(self, table: Any) -> TableSchema:
        names = table.column_names
        roles = self.roles.checked(names, self.path)
        row_numbers = row_number_columns(names, table.schema.metadata)
        inputs = roles.inputs(names, row_numbers)
        if not inputs:
            raise InputError(
                f"{self.path}: no column is left for the inputs of {quote_first(names)}; check columns and drop"
            )
        check_columns("categorical", roles.categorical, inputs, self.path)
        left_out = [name for name in roles.inputs(names, ()) if name not in inputs]
        if left_out:
            tell(
                f"{self.path}: {quote_first(left_out)} number or name the rows and are no inputs (see id_column, drop)"
            )
        rows = self.training_rows(table.num_rows)
        training_rows = None if rows is None else rows.numpy()
        categorical = match_columns(roles.categorical, inputs)
        self._check_inputs(table, inputs, categorical, training_rows)
        return TableSchema(
            roles,
            TableEncoding.learn(table, inputs, categorical, training_rows, self.missing, self.path),
            read_classes(table, roles.label, self.path) if roles.label is not None else [],
            read_classes(table, roles.target_columns[0], self.path, 2) if roles.target == "class" else [],
        )

    def _check_inputs(self, table: Any, inputs: Sequence[str], categorical: Sequence[str], rows: Any) -> None:
        """Check that the columns can be inputs; one error tells everything that is wrong with them."""
        complaints = Complaints(self.path)
        training = table if rows is None else table.take(rows)
        for name in inputs:
            complaints.look_at(
                name,
                table[name],
                training[name],
                categorical=name in categorical,
                standard=self.scaling_name == "standard",
            )
        arguments = {name: getattr(self.roles, name) for name in ("categorical", "drop", "id_column")}
        complaints.check(inputs, {**arguments, "missing": self.missing, "n_columns": table.num_columns})

    def _load_new(self, path: Path) -> Samples:
        """Return the samples of a file from which nothing is learned; it may lack columns that are not inputs."""
        schema = self.ensure_learned()
        learned, own = schema.roles, self.roles
        roles = replace(
            learned,
            drop=[*learned.drop, *own.drop],
            label=learned.label if own.label is None else own.label,
            id_column=learned.id_column if own.id_column is None else own.id_column,
        )
        table = self._read(path, roles)
        names = table.column_names
        if own.label != learned.label:
            require_column("label", own.label, names, path)
        if own.id_column != learned.id_column:
            require_column("id_column", own.id_column, names, path)
        inputs = schema.encoding.columns
        missing = [name for name in inputs if name not in names]
        if missing:
            raise InputError(f"{path}: lacks {quote_first(missing)}, which the training data had; add what is missing")
        row_numbers = row_number_columns(names, table.schema.metadata)
        extra = roles.inputs([name for name in names if name not in learned.reserved], row_numbers)
        extra = [name for name in extra if name not in inputs]
        if extra:
            raise InputError(
                f"{path}: has {quote_first(extra)}, which the training data had not; name what is new in drop"
            )
        return self._samples(table, path, replace(schema, roles=roles))

    def _samples(self, table: Any, path: Path, schema: TableSchema) -> Samples:
        roles, names = schema.roles, table.column_names
        x = schema.encoding(table, path, self.unseen, self.missing)
        has_targets = roles.target != "none" and set(roles.target_columns) <= set(names)
        return Samples(
            x,
            read_labels(table, roles.label, schema.classes, path) if roles.label in names else None,
            read_targets(table, schema, path) if has_targets else None,
            self._ids(table, path, roles),
        )

    def _ids(self, table: Any, path: Path, roles: Roles) -> Any:
        """Return the ids of the rows; None if they have none."""
        names = table.column_names
        if roles.id_column is not None:
            return read_ids(table, roles.id_column, path) if roles.id_column in names else None
        if self.test_path is not None:  # both files may count from 0
            return None
        used = {*roles.inputs(names, row_number_columns(names, table.schema.metadata)), *roles.reserved}
        candidates = row_number_columns(names, table.schema.metadata)
        return read_row_ids(table, [name for name in candidates if name not in used], path)

    def _check_training(self, samples: Samples, schema: TableSchema) -> None:
        """Check that the samples can be trained on; the base class does so, too, but it cannot name the columns."""
        if schema.roles.target != "none" and samples.targets is None:
            names = quote_first(schema.roles.target_columns)
            raise InputError(f"{self.path}: {names} hold no target in any row; mend them")
        rows, x = self.training_rows(len(samples.x)), np.asarray(samples.x)
        training = x if rows is None else x[rows.numpy()]
        constant = np.flatnonzero(training.min(axis=0) == training.max(axis=0)).tolist()
        if len(constant) == x.shape[1]:
            raise InputError(f"{self.path}: every input holds one value only in the training rows; check the file")
        if self.scaling_name == "standard" and constant:
            names = quote_first([schema.encoding.feature_names[i] for i in constant])
            raise InputError(
                f"{self.path}: {names} hold one value only in the training rows, so scaling='standard' would divide by "
                "0; name them in drop, or use scaling='rms'"
            )
        self._warn_of_identifiers(x, schema.encoding)

    def _warn_of_identifiers(self, x: Any, encoding: TableEncoding) -> None:
        numbers, categories = {}, []
        for (name, found), group in zip(encoding.columns.items(), encoding.feature_groups, strict=True):
            if found is None and not is_element(name):
                numbers[name] = x[:, group[0]]
            elif found is not None and len(found) == len(x) >= 10:
                categories.append(name)
        warn_of_identifiers(numbers, categories, self.path, "name them in drop, or ids in id_column")
