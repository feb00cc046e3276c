"""Imports run in one direction."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Each layer imports only layers above it in this list; packages of one layer do not import one another.
LAYERS = [
    {"errors", "version"},
    {"batch", "schedules"},
    {"functional"},
    {"distributed"},
    {"randomness", "kmeans"},
    {"encoders", "heads", "losses", "metrics", "augmentation", "outcomes", "predictions", "reclustering"},
    {"training"},
    {"callbacks"},
    {"methods"},
    {"shipped", "selection"},
    {"flags"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FILES = sorted((ROOT / "lightning_dc").rglob("*.py"))
DATA_FILES = sorted((ROOT / "datamodules").rglob("*.py"))


def imported_modules(path: Path) -> set[str]:
    """Modules that a file imports, at any depth of the code."""
    tree = ast.parse(path.read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return names


def layer_of(path: Path) -> str:
    return path.relative_to(ROOT / "lightning_dc").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_in_one_direction(path: Path) -> None:
    own = layer_of(path)
    if own == "__init__":  # the public names
        return
    for module in imported_modules(path):
        if module.split(".")[0] == "datamodules":
            assert own == "cli", f"{path} imports {module}"
        if not module.startswith("lightning_dc."):
            continue
        other = module.split(".")[1]
        assert other == own or LEVEL[other] < LEVEL[own], f"{path} imports {module}"


@pytest.mark.parametrize("path", DATA_FILES, ids=lambda path: path.name)
def test_datamodules_know_only_the_lowest_layers(path: Path) -> None:
    allowed = {"errors", "batch", "distributed", "randomness"}
    others = {module.split(".")[1] for module in imported_modules(path) if module.startswith("lightning_dc.")}
    assert others <= allowed


def test_every_package_has_a_layer() -> None:
    assert {layer_of(path) for path in FILES} - {"__init__"} == set(LEVEL)


@pytest.mark.parametrize("path", [*FILES, *DATA_FILES], ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    """``lightning-dc --help`` must not pay for them."""
    top_level = {
        alias.name.split(".")[0]
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        (node.module or "").split(".")[0]
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ImportFrom)
    }
    heavy = {"sklearn", "scipy", "pyarrow", "pooch", "tabulate", "tensorboard", "matplotlib", "pandas", "lifelines"}
    assert not top_level & heavy
