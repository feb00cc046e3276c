"""Fits on one process with the strategies of several."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lightning_dc import InputError
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


def test_mps_is_refused() -> None:
    """A GPU of Apple has no numbers of 64 bits."""
    module = dec()
    run: Any = SimpleNamespace(world_size=1, strategy=SimpleNamespace(root_device=torch.device("mps")))
    module._trainer = run
    with pytest.raises(InputError, match=r"accelerator='mps' .* use accelerator='cpu'"):
        module.setup("fit")
