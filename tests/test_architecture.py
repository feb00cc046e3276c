"""Tests that imports run in one direction."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Each layer imports only layers above it in this list; packages of one layer do not import one another.
LAYERS = [
    {"errors", "version", "threads"},
    {"batch", "schedules", "distributed", "files"},
    {"functional"},
    {"randomness", "kmeans"},
    {"encoders", "heads", "losses", "metrics", "augmentation", "mixture"},
    {"model"},
    {"training"},
    {"callbacks", "reports"},
    {"methods"},
    {"configs"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FILES = sorted((ROOT / "lightning_dc").rglob("*.py"))
DATA_FILES = sorted((ROOT / "datamodules").rglob("*.py"))


def imported_modules(path: Path) -> set[str]:
    """Return the modules that a file imports, at any depth of the code."""
    tree = ast.parse(path.read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return names


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in [*FILES, *DATA_FILES]}


def imported_files(path: Path) -> set[str]:
    """Return the modules of this project that a file imports; names of a package count as their files."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("lightning_dc", "datamodules"):
            found |= {origin(node.module or "", alias.name) for alias in node.names}
    return found - {module_of(path)}


def origin(module: str, name: str) -> str:
    """Return the module that defines a name which may be imported from a package."""
    if f"{module}.{name}" in MODULES:
        return f"{module}.{name}"
    package = MODULES.get(module)
    if package is not None and package.name == "__init__.py":
        for node in ast.parse(package.read_text()).body:
            if isinstance(node, ast.ImportFrom) and name in {alias.asname or alias.name for alias in node.names}:
                return origin(node.module or "", name)
    return module


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


def test_contributing_tells_the_order() -> None:
    told = re.search(r"```text\n(errors.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.DOTALL)
    assert told is not None
    assert [set(re.findall(r"\w+", layer)) for layer in told[1].split("<")] == LAYERS[:-1]


def test_every_package_has_a_layer() -> None:
    assert {layer_of(path) for path in FILES} - {"__init__"} == set(LEVEL)


@pytest.mark.parametrize("path", [*FILES, *DATA_FILES], ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    """``lightning-dc --help`` must not import them."""
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_model_and_all_below_it_do_not_know_lightning(path: Path) -> None:
    if LEVEL.get(layer_of(path), LEVEL["model"]) <= LEVEL["model"]:
        assert not {name for name in imported_modules(path) if name.split(".")[0] == "lightning"}


def test_no_modules_import_one_another_in_a_circle() -> None:
    """Imports for types and within functions count, too; a name from a package counts as the file that defines it."""
    graph = {module_of(path): imported_files(path) for path in [*FILES, *DATA_FILES]}
    while True:
        leaves = {module for module, imports in graph.items() if not imports & graph.keys()}
        if not leaves:
            break
        graph = {module: imports for module, imports in graph.items() if module not in leaves}
    assert not graph, f"in circles, or above them: {sorted(graph)}"


@pytest.mark.parametrize("path", [*FILES, *DATA_FILES], ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
