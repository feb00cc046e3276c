"""Fits on one process with the strategies of several."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.helpers.methods import Blobs, dcn, dec, trainer, weights


@pytest.mark.distributed
@pytest.mark.parametrize("method", [dec, dcn])
def test_ddp_of_one_process_equals_no_strategy(method, tmp_path: Path) -> None:
    """DDP looks for parameters without a gradient on one process, too."""
    fitted = []
    for strategy in ("auto", "ddp"):
        model = method()
        trainer(tmp_path / strategy, strategy=strategy).fit(model, Blobs())
        fitted.append(weights(model))
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    assert torch.equal(*fitted)
