"""Tests that the Python blocks of the README run, and that its commands exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightning_dc.configs import shipped_configs
from tests.conftest import CommandLine
from tests.helpers.command_line import QUICK

README = (Path(__file__).parents[1] / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_a_users_own_datamodule(lightning_dc_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = next(block for block in PYTHON if "ClusteringDataModule" in block)
    (tmp_path / "my_data.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    random = np.random.default_rng(0)
    np.save(tmp_path / "cells.npy", random.normal(size=(60, 7)) + 5 * (np.arange(60)[:, None] % 3))
    printed = lightning_dc_cli(
        *("fit", "--model=DEC", "--model.n_clusters=3", "--data=my_data.CellData", "--data.path=cells.npy", *QUICK)
    )
    assert "cluster sizes" in printed


def test_the_example_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = next(block for block in PYTHON if "trainer.fit" in block)
    namespace: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), namespace)
    clusters = namespace["clusters"]
    assert getattr(clusters, "shape", None) == (1797,)


def test_the_example_of_kmeans() -> None:
    code = next(block for block in PYTHON if "MiniBatchKMeans" in block)
    namespace: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), namespace)
    assert isinstance(namespace["kmeans"].labels_, np.ndarray)
    assert namespace["kmeans"].cluster_centers_.shape == (5, 8)
    assert set(namespace["directions"]) == set(range(5))
    assert namespace["stream"].n_steps_ == 10


def test_every_shipped_config_is_in_the_readme() -> None:
    for name in shipped_configs():
        assert f"`{name}`" in README, name


def test_nothing_is_left_to_fill_in() -> None:
    assert "@@" not in README


def test_every_file_that_the_readme_names_exists() -> None:
    for path in re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (Path(__file__).parents[1] / path).exists(), path
