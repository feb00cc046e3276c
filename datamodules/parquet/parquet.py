"""DataModule of Parquet files of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datamodules.learning import LearningDataModule
from datamodules.loading.samples import Samples
from datamodules.loading.scaling import ScalingName
from datamodules.messages import as_list, quote_first, tell, unreadable_file
from datamodules.parquet.cache import ParquetCache
from datamodules.parquet.look import integer_columns_that_may_be_unique, list_widths
from datamodules.parquet.sources import ParquetSource, find_sources
from datamodules.tables.columns import check_columns, check_unique_columns, match_columns, require_column
from datamodules.tables.parquet_file import element_names
from datamodules.tables.row_numbers import row_number_columns, warn_of_identifiers
from lightning_dc.errors import InputError


class ParquetColumns:
    """Columns of numbers, in the order of the features.

    Args:
        names: names of the columns.
        widths: number of features of each column of lists; None if there are no such columns.
    """

    def __init__(self, names: Sequence[str], widths: Mapping[str, int] | None = None) -> None:
        self.names = list(names)
        self.widths = dict(widths or {})

    @property
    def feature_names(self) -> list[str]:
        """Name of each feature; those of a column of lists have its name and a number, as in ``embedding[0]``."""
        parts = (element_names(name, self.widths[name]) if name in self.widths else [name] for name in self.names)
        return [name for part in parts for name in part]

    def state_dict(self) -> dict[str, Any]:
        """Return names and widths."""
        return {"names": self.names, "widths": self.widths}


class ParquetDataModule(LearningDataModule[ParquetColumns]):
    """Numbers of a Parquet file or a folder of such files, which need not fit into memory.

    They are converted once, some rows at a time, to a file that is then read in a block shuffle. It is made again
    when a source changes; during that time the disk holds the old file, too, and a row group of many columns once more.
    A checkpoint keeps the names of the columns and finds them in new data, whatever their order; new data may lack the
    label. A column of lists of numbers of one length D is D features, ``name[0]`` to ``name[D - 1]``. Columns in which
    pandas has kept the index of a table are no features unless ``columns`` names them.
    For text, categories or missing values use a :class:`~datamodules.TableDataModule`, which holds the table in memory.

    Args:
        path: a ``.parquet`` or ``.pq`` file, or a folder of such files, also in folders in it, which are taken in the
            order of their names, ``part-9`` before ``part-10``. Names that begin with ``.`` or ``_`` are left out.
            Folders that are called ``key=value`` are values of a column (hive partitions), which may be the label, or a
            feature that ``columns`` names.
        columns: names or patterns (``gene_*``) of the features; the label is not among them.
        label: column of the class of each sample, integers or text, missing where unknown; None for no labels.
        cache: folder of the converted file; None is a folder beside the source, with ``.cache`` added to its name.
        batch_size: number of samples in a training batch, over all processes.
        scaling: see :class:`~datamodules.ClusteringDataModule`.
        val_fraction: share of the samples that is held out for validation.
        labels: give the labels, for evaluation.

    Raises:
        InputError: there are no such files or columns, or they cannot be read or do not hold numbers.
    """

    learned_name = "parquet"

    def __init__(
        self,
        path: str,
        columns: str | Sequence[str] = "*",
        label: str | None = None,
        cache: str | None = None,
        batch_size: int = 256,
        scaling: ScalingName = "rms",
        val_fraction: float = 0.0,
        labels: bool = True,
    ) -> None:
        super().__init__(batch_size, scaling, val_fraction)
        self.path = Path(path).expanduser()
        self.columns = columns
        self.label = label
        self.cache = self.path.with_name(f"{self.path.name}.cache") if cache is None else Path(cache).expanduser()
        self.labels = labels
        self._is_restored = False

    @property
    def source_files(self) -> Mapping[str, Any]:
        return {"path": self.path}

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (len(self.feature_names),)

    @property
    def feature_names(self) -> Sequence[str]:
        return self._chosen().feature_names

    def prepare_data(self) -> None:
        self._cache().update()

    def load(self) -> Samples:
        if not self._is_restored:
            self._warn_of_identifiers()
        return Samples(*self._cache().read())  # the cache is made again if a checkpoint has other columns

    def restore(self, state: dict[str, Any]) -> ParquetColumns:
        self._is_restored = True
        return ParquetColumns(**state)

    def _cache(self) -> ParquetCache:
        sources, chosen = find_sources(self.path), self._chosen()
        names = _names(sources[0])
        missing = [name for name in chosen.names if name not in names]
        if missing:
            raise InputError(f"{sources[0].path}: lacks column {missing[0]!r}, which the model was trained on; add it")
        has_label = self.labels and self.label in names  # new data need no label
        return ParquetCache(sources, chosen.names, self.label if has_label else None, self.cache, chosen.widths)

    def _chosen(self) -> ParquetColumns:
        if self.learned is None:
            first = find_sources(self.path)[0]
            names = _names(first)
            check_columns("columns", self.columns, names, first.path)
            require_column("label", self.label, names, first.path)
            matching = [name for name in match_columns(self.columns, names) if name != self.label]
            left_out = self._left_out(first, matching)
            chosen = [name for name in matching if name not in left_out]
            if not chosen:
                raise InputError(
                    f"columns={self.columns!r} leaves no column of {first.path} but the label; name others"
                )
            self.learned = ParquetColumns(chosen, list_widths(first.path, chosen))
        return self.learned

    def _left_out(self, source: ParquetSource, names: Sequence[str]) -> list[str]:
        """Return the columns that a pattern matches but that are features only if they are named, and tell the user."""
        schema = _schema(source.path)
        unsure = {*row_number_columns(names, schema.metadata), *set(source.keys).difference(schema.names)}
        left_out = [name for name in names if name in unsure.difference(as_list(self.columns))]
        if left_out:
            tell(
                f"{self.path}: {quote_first(left_out)} number the rows or name folders, and are no inputs (see columns)"
            )
        return left_out

    def _warn_of_identifiers(self) -> None:
        """Warn of columns that count up or are unique in every row."""
        paths = [source.path for source in find_sources(self.path)]
        columns = integer_columns_that_may_be_unique(paths, self._chosen().names)
        warn_of_identifiers(columns, [], self.path, "name others in columns")


def _names(source: ParquetSource) -> list[str]:
    """Return the columns of a file, followed by those that its folders stand for."""
    return list(dict.fromkeys([*_schema(source.path).names, *source.keys]))


def _schema(path: Path) -> Any:
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(path)
        names = schema.names  # fails if a name is not UTF-8
    except Exception as error:  # damaged files make the parser fail in many ways
        raise unreadable_file(path, error) from error
    check_unique_columns(names, path)
    return schema
