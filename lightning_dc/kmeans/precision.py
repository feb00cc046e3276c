"""Full precision of float32 products while k-means runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Switch off gradients, autocast and faster float32 products (TF32, bfloat16) in a ``with`` block."""
    restore = _full_products()
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        restore()


def _full_products() -> Callable[[], None]:
    """Set the full precision of float32 products, and return a function that restores the previous settings.

    From torch 2.9 on, each backend has a setting of its own, and the older function that set all of them raises an
    error once a user has changed one. The settings of the backends also include, and can restore, what the older
    function has set.
    """
    backends = [torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None)]
    if not all(hasattr(backend, "fp32_precision") for backend in backends):
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        return lambda: torch.set_float32_matmul_precision(precision)
    before: list[tuple[Any, str]] = [(backend, cast(Any, backend).fp32_precision) for backend in backends]
    changed = [(backend, precision) for backend, precision in before if precision not in ("none", "ieee")]
    for backend, _ in changed:
        backend.fp32_precision = "ieee"

    def restore() -> None:
        for backend, precision in changed:
            backend.fp32_precision = "none"  # lets a setting that a more general one had determined follow it again
            if backend.fp32_precision != precision:
                backend.fp32_precision = precision

    return restore
