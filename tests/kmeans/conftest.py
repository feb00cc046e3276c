from __future__ import annotations

from importlib import import_module

import pytest

native = import_module("lightning_dc.kmeans.native")


@pytest.fixture(params=["compiled", "torch"], autouse=True)
def inner_loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test of k-means runs with the compiled loops and with those of PyTorch, which it has without a compiler.

    A test that starts processes of its own asks for "as installed": what is set here does not reach them.
    """
    if request.param == "torch":
        monkeypatch.setattr(native, "library", None)
    elif request.param == "compiled" and native.library is None:
        pytest.skip("the compiled loops have not been built: there was no compiler")
