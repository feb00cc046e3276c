"""DataModule of Parquet files of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datamodules.learning import LearningDataModule
from datamodules.loading.samples import Samples
from datamodules.loading.scaling import ScalingName
from datamodules.messages import unreadable_file
from datamodules.parquet.cache import ParquetCache
from datamodules.tables.columns import check_columns, match_columns, require_column
from lightning_dc.errors import InputError


class ParquetColumns:
    """Columns of numbers, in the order of the features.

    Args:
        names: names of the columns.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)

    def state_dict(self) -> dict[str, Any]:
        """Return the names."""
        return {"names": self.names}


class ParquetDataModule(LearningDataModule[ParquetColumns]):
    """Numbers of a Parquet file or a folder of such files, which need not fit into memory.

    They are converted once, some rows at a time, to a file that is then read in a block shuffle. It is made again
    when a source changes; during that time the disk holds the old file, too, and a row group of many columns once more.
    A checkpoint keeps the names of the columns and finds them in new data, whatever their order; new data may lack the
    label.
    For text, categories or missing values use a :class:`~datamodules.TableDataModule`, which holds the table in memory.

    Args:
        path: a ``.parquet`` file, or a folder of such files, which are taken in the order of their names.
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

    @property
    def source_files(self) -> Mapping[str, Any]:
        return {"path": self.path}

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (len(self.feature_names),)

    @property
    def feature_names(self) -> Sequence[str]:
        return self._chosen().names

    def prepare_data(self) -> None:
        self._cache().update()

    def load(self) -> Samples:
        return Samples(*self._cache().read())  # the cache is made again if a checkpoint has other columns

    def restore(self, state: dict[str, Any]) -> ParquetColumns:
        return ParquetColumns(**state)

    def _cache(self) -> ParquetCache:
        sources, chosen = self._sources(), self._chosen()
        names = self._names(sources[0])
        missing = [name for name in chosen.names if name not in names]
        if missing:
            raise InputError(f"{sources[0]}: lacks column {missing[0]!r}, which the model was trained on; add it")
        has_label = self.labels and self.label in names  # new data need no label
        return ParquetCache(sources, chosen.names, self.label if has_label else None, self.cache)

    def _chosen(self) -> ParquetColumns:
        if self.learned is None:
            source = self._sources()[0]
            names = self._names(source)
            check_columns("columns", self.columns, names, source)
            require_column("label", self.label, names, source)
            chosen = [name for name in match_columns(self.columns, names) if name != self.label]
            if not chosen:
                raise InputError(f"columns={self.columns!r} leaves no column of {source} but the label; name others")
            self.learned = ParquetColumns(chosen)
        return self.learned

    def _sources(self) -> list[Path]:
        sources = sorted(self.path.glob("*.parquet")) if self.path.is_dir() else [self.path]
        if not sources or not sources[0].is_file() or sources[0].suffix != ".parquet":
            raise InputError(f"path={str(self.path)!r} is neither a .parquet file nor a folder of them; give one")
        return sources

    @staticmethod
    def _names(path: Path) -> list[str]:
        from pyarrow import parquet

        try:
            return parquet.read_schema(path).names  # type: ignore[no-any-return]
        except Exception as error:  # damaged files make the parser fail in many ways
            raise unreadable_file(path, error) from error
