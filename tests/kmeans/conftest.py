from __future__ import annotations

from importlib import import_module

import pytest

native = import_module("lightning_dc.kmeans.native")


@pytest.fixture(params=["compiled", "torch"], autouse=True)
def inner_loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test of k-means with the compiled loops and with PyTorch, which replaces them without a compiler.

    Tests that start other processes use the parameter "as installed", since this fixture has no effect on them.
    """
    if request.param == "torch":
        monkeypatch.setattr(native, "library", None)
    elif request.param == "compiled" and native.library is None:
        pytest.skip("the compiled loops have not been built: there was no compiler")
