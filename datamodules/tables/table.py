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
from datamodules.tables.guesses import Guesses
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
from datamodules.tables.source import TableSource
from lightning_dc.batch import Assigned, TargetSpec
from lightning_dc.errors import InputError


class TableDataModule(LearningDataModule[TableSchema]):
    """Rows of a CSV, TSV or Parquet file, or of a data frame.

    The dialect of a CSV file is guessed, and what is guessed is told. Columns in which pandas has kept the index of a
    table, and those without a name, are no inputs; their values are the ids if there are no others and no two are the
    same. A column of a Parquet file with lists of numbers of one length D is D inputs, ``name[0]`` to ``name[D - 1]``.

    Numeric columns are inputs as they are, and categorical columns become one-hot inputs. The categories, the values
    that replace missing ones and the scaling are learned on the training rows and travel with the checkpoint, together
    with the roles of the columns. A file to predict on needs the same inputs, by name and in any order, and may lack
    labels, targets and ids. Messages count rows from 0, without the header, as the index of the clusters does.

    With ``guess_roles``, each column that is given no role is taken for what it looks like, and a table that is printed
    once says for what. Ids, constants, empty columns, free text, codes such as postal codes, and columns named like a
    label are no inputs, and the first column of ids is ``id_column``. Numbers may be written with separators of
    thousands, a decimal comma, currency or percent signs; where they are not negative and have a heavy tail, ln(1 + x)
    is the input. A date becomes its age in days before the newest date of the training rows, also on such a scale if it
    is skewed; month and weekday are no inputs, since they describe an event rather than a row, and would make four
    inputs of one. Flags and columns of few distinct words are categorical. Missing and infinite values are replaced by
    the median, or by the most frequent category, and categories that no training row has become zeros.

    Args:
        path: the file, ``.csv``, ``.tsv`` or ``.parquet`` (``.pq``). A CSV or TSV file may be compressed: ``.gz``,
            ``.bz2``, ``.xz``, ``.zst``, or ``.zip`` with one such file. From Python also a pandas or polars
            ``DataFrame`` or a ``pyarrow.Table``.
        test_path: file or data frame of a test set; None for none.
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
            one. ``regression`` replaces them by what the other inputs of the row let expect, under a normal
            distribution of the training rows (the median if there are more than 100 inputs). A treatment that was
            chosen in training stays; a model that was trained with ``error`` takes that of the DataModule of new rows,
            but for ``regression``. With ``guess_roles``, ``error`` means ``regression``.
        unseen: treatment of a category that no training row has: ``error`` refuses it, and ``zeros`` gives it zeros for
            all categories of its column, as is always done with ``guess_roles``.
        delimiter: character between the fields of a line; None guesses it among comma, semicolon, tab and ``|``.
        decimal: decimal sign of a CSV file, ``.`` or ``,``; None guesses it.
        header: whether the first line of a CSV file holds the names of the columns; None guesses it. Without a header
            the columns are called ``f0``, ``f1`` and so on.
        encoding: encoding of a CSV file, such as ``cp1252``; a byte order mark in the file goes before it.
        batch_size: number of rows in a training batch, over all processes.
        scaling: see :class:`~datamodules.ClusteringDataModule`; one-hot inputs are scaled like the others, but for
            ``columns``, with which those of a column share one factor.
        val_fraction: share of the rows that is held out for validation.
        keep_on_device: hold the samples on the accelerator.
        guess_roles: guess what each column is that has no role yet. What is named in ``columns`` by its whole name is
            never taken for ids, codes or labels.

    Raises:
        InputError: an argument is out of range, a file cannot be read, or columns or values do not fit.
    """

    learned_name = "table"

    def __init__(
        self,
        path: str | Any,
        test_path: str | Any | None = None,
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
        guess_roles: bool = False,
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
        self.source = TableSource.of(path, "path")
        self.test_source = None if test_path is None else TableSource.of(test_path, "test_path")
        self.path = self.source.path
        self.test_path = None if self.test_source is None else self.test_source.path
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
        self.guess_roles = guess_roles
        self.format = CsvFormat(delimiter, decimal, header, encoding)

    @property
    def source_files(self) -> Mapping[str, Any]:
        return {"path": self.path} if self.source.frame is None else {}

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
            table = self._read(self.source, self.roles)
            self.learned = self._learn(table)
            samples = self._samples(table, self.path, self.learned)
            self._check_training(samples, self.learned)
            return samples
        return self._load_new(self.source)

    def load_test(self) -> Samples | None:
        return None if self.test_source is None else self._load_new(self.test_source)

    def annotated_endings(self) -> Sequence[str]:
        """Return the endings of a copy of the table with the clusters."""
        return copy_endings(self.path)

    def write_annotated(self, path: Path, ending: str, final: Assigned) -> None:
        """Write a copy of the table, without that of the test set, with a cluster for each training row."""
        n_rows = len(self.training_samples().x)
        annotation = Annotation.of(final, self.training_rows(n_rows), n_rows)
        known = list(self.ensure_learned().encoding.columns)
        write_table_copy(self.path, path, ending, annotation, self.format, known)

    def _read(self, source: TableSource, roles: Roles) -> Any:
        encoding = None if self.learned is None else self.learned.encoding
        known = None if encoding is None else list(encoding.columns)
        is_guessed = self.guess_roles if encoding is None else bool(encoding.readings)
        inferred = [*roles.target_columns, *roles.text_columns] if is_guessed else None
        return source.read([*roles.categorical, *roles.text_columns], self.format, known, inferred)

    def _learn(self, table: Any) -> TableSchema:
        roles = self.roles.checked(table.column_names, self.path)
        rows = self.training_rows(table.num_rows)
        training_rows = None if rows is None else rows.numpy()
        row_numbers = row_number_columns(table.column_names, table.schema.metadata)
        inputs = roles.inputs(table.column_names, row_numbers)
        if not inputs:
            raise InputError(
                f"{self.path}: no column is left for the inputs of {quote_first(table.column_names)}; check columns "
                "and drop"
            )
        check_columns("categorical", roles.categorical, inputs, self.path)
        left_out: list[str] = []
        if self.guess_roles:
            guesses = Guesses.of(table, roles, row_numbers, training_rows, self.format.decimal, self.path)
            roles, left_out = replace(roles, id_column=guesses.id_column), guesses.left_out
            encoding = self._encoding_of_guesses(table, guesses, training_rows)
        else:
            encoding = self._encoding(table, roles, inputs, training_rows)
        return TableSchema(
            roles,
            encoding,
            read_classes(table, roles.label, self.path) if roles.label is not None else [],
            read_classes(table, roles.target_columns[0], self.path, 2) if roles.target == "class" else [],
            left_out,
            self.roles.id_column is None and roles.id_column is not None,
        )

    def _encoding_of_guesses(self, table: Any, guesses: Guesses, rows: Any) -> TableEncoding:
        missing: Missing = "regression" if self.missing == "error" else self.missing
        readings = guesses.readings
        encoding = TableEncoding.learn(table, list(readings), [], rows, missing, self.path, readings)
        tell(guesses.summary(encoding, "median" if missing == "regression" else missing))
        return encoding

    def _encoding(self, table: Any, roles: Roles, inputs: Sequence[str], rows: Any) -> TableEncoding:
        left_out = [name for name in roles.inputs(table.column_names, ()) if name not in inputs]
        if left_out:
            tell(
                f"{self.path}: {quote_first(left_out)} number or name the rows and are no inputs (see id_column, drop)"
            )
        categorical = match_columns(roles.categorical, inputs)
        self._check_inputs(table, inputs, categorical, rows)
        return TableEncoding.learn(table, inputs, categorical, rows, self.missing, self.path)

    def _check_inputs(self, table: Any, inputs: Sequence[str], categorical: Sequence[str], rows: Any) -> None:
        """Check that the columns can be inputs; one error tells everything that is wrong with them."""
        complaints = Complaints(self.path, self.scaling_name)
        training = table if rows is None else table.take(rows)
        for name in inputs:
            complaints.look_at(
                name,
                table[name],
                training[name],
                categorical=name in categorical,
                standard=self._is_scaled_by_column,
            )
        arguments = {name: getattr(self.roles, name) for name in ("categorical", "drop", "id_column")}
        complaints.check(inputs, {**arguments, "missing": self.missing, "n_columns": table.num_columns})

    @property
    def _is_scaled_by_column(self) -> bool:
        """True if the scaling divides by the spread of each column, which must not be 0."""
        return self.scaling_name in ("standard", "columns")

    def _load_new(self, source: TableSource) -> Samples:
        """Return the samples of a source from which nothing is learned; it may lack columns that are not inputs."""
        schema, path = self.ensure_learned(), source.path
        learned, own = schema.roles, self.roles
        roles = replace(
            learned,
            drop=[*learned.drop, *own.drop],
            label=learned.label if own.label is None else own.label,
            id_column=learned.id_column if own.id_column is None else own.id_column,
        )
        table = self._read(source, roles)
        names = table.column_names
        if own.label != learned.label:
            require_column("label", own.label, names, path)
        if own.id_column != learned.id_column:
            require_column("id_column", own.id_column, names, path)
        inputs = schema.encoding.columns
        there = set(names)
        missing = [name for name in inputs if name not in there]
        if missing:
            raise InputError(f"{path}: lacks {quote_first(missing)}, which the training data had; add what is missing")
        row_numbers = row_number_columns(names, table.schema.metadata)
        others = {*learned.reserved, *schema.left_out, *inputs}
        extra = roles.inputs([name for name in names if name not in others], row_numbers)
        if extra:
            raise InputError(
                f"{path}: has {quote_first(extra)}, which the training data had not; name what is new in drop"
            )
        id_is_guessed = schema.id_is_guessed and own.id_column is None
        return self._samples(table, path, replace(schema, roles=roles, id_is_guessed=id_is_guessed))

    def _samples(self, table: Any, path: Path, schema: TableSchema) -> Samples:
        roles, names = schema.roles, table.column_names
        x = schema.encoding(table, path, self.unseen, self.missing)
        has_targets = roles.target != "none" and set(roles.target_columns) <= set(names)
        return Samples(
            x,
            read_labels(table, roles.label, schema.classes, path) if roles.label in names else None,
            read_targets(table, schema, path) if has_targets else None,
            self._ids(table, path, schema),
        )

    def _ids(self, table: Any, path: Path, schema: TableSchema) -> Any:
        """Return the ids of the rows; None if they have none."""
        names, roles = table.column_names, schema.roles
        if roles.id_column is not None:
            if roles.id_column not in names:
                return None
            try:
                return read_ids(table, roles.id_column, path)
            except InputError:
                if not schema.id_is_guessed:
                    raise
                tell(
                    f"{path}: column {roles.id_column!r}, which was taken for ids in training, has not another value in"
                    " each row, so the rows have no ids; name a column of ids in id_column if there is one"
                )
                return None
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
        if self._is_scaled_by_column and constant:
            columns = zip(schema.encoding.columns, schema.encoding.feature_groups, strict=True)
            names = quote_first([name for name, group in columns if set(group) & set(constant)])
            raise InputError(
                f"{self.path}: {names} hold one value only in the training rows, so scaling={self.scaling_name!r} "
                "would divide by 0; name them in drop, or use scaling='rms'"
            )
        self._warn_of_identifiers(x, schema.encoding)

    def _warn_of_identifiers(self, x: Any, encoding: TableEncoding) -> None:
        numbers, categories = {}, []
        for (name, found), group in zip(encoding.columns.items(), encoding.feature_groups, strict=True):
            if name in encoding.readings:  # it was no id by its values, or the user has said so
                continue
            if found is None and not is_element(name):
                numbers[name] = x[:, group[0]]
            elif found is not None and len(found) == len(x) >= 10:
                categories.append(name)
        warn_of_identifiers(numbers, categories, self.path, "name them in drop, or ids in id_column")
