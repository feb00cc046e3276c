"""Batches of cells, which a column of ``obs`` tells."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from datamodules.messages import quote_first, tell
from lightning_dc.batch import SourceBatches
from lightning_dc.errors import InputError

_BATCH = re.compile(
    r"(.*[_. -])?(batch|sample|donor|patient|individual|subject|plate|chip|lane|library|channel)"
    r"([_. -]?(id|key|name))?",
    re.IGNORECASE,
)


def batches_of(obs: Any, batch_key: str, source: str) -> SourceBatches:
    """Return the batch of each cell; a missing one is unknown.

    Args:
        obs: table of the cells.
        batch_key: its column of batches.
        source: name of the data in messages.

    Raises:
        InputError: there is no such column.
    """
    if batch_key not in obs:
        raise InputError(f"batch_key={batch_key!r} is no column of obs in {source}, which has {quote_first(list(obs))}")
    codes = obs[batch_key].astype("category").cat.codes.to_numpy()
    return SourceBatches(batch_key, codes.astype(np.int64))


def tell_of_batches(obs: Any, label: str | None, source: str) -> None:
    """Tell the user of columns that may hold batches: by their names, and by cells that share a value."""
    names = [name for name in obs if isinstance(name, str) and name != label and _BATCH.fullmatch(name)]
    names = [name for name in names if 1 < obs[name].astype(str).nunique() <= len(obs) // 2]
    if names:
        tell(
            f"{source}: {quote_first(names)} of obs may hold batches; batch_key={names[0]!r} tells whether the "
            "clusters follow them"
        )
