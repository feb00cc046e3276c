"""Strategies that split a model over devices are refused, since no process then has all centroids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch.distributed
from lightning.pytorch.strategies import (
    DDPStrategy,
    DeepSpeedStrategy,
    FSDPStrategy,
    ModelParallelStrategy,
    SingleDeviceStrategy,
)

from lightning_dc import InputError
from lightning_dc.training.trainer_checks import check_strategy
from tests.helpers.methods import Blobs, dec, trainer


@pytest.fixture
def process_group(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave neither the process group nor the variables of a strategy of several processes behind."""
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("kind", [DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy])
def test_strategies_that_split_the_model(kind: type) -> None:
    with pytest.raises(InputError, match=f"{kind.__name__} splits a model over devices.*--trainer.strategy=ddp"):
        check_strategy(kind.__new__(kind))  # some can only be made with a GPU or a package


@pytest.mark.parametrize("kind", [DDPStrategy, SingleDeviceStrategy])
def test_strategies_that_do_not(kind: type) -> None:
    check_strategy(kind.__new__(kind))


def test_a_fit_from_python_refuses_them(tmp_path: Path, process_group: None) -> None:
    with pytest.raises(InputError, match="ModelParallelStrategy splits a model over devices"):
        trainer(tmp_path, strategy=ModelParallelStrategy(), devices=1).fit(dec(), Blobs())
