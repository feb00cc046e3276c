"""Tests of the imports of datamodules: no circles, and few modules of lightning_dc."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "datamodules").rglob("*.py"))
OF_LIGHTNING_DC = {"errors", "batch", "distributed", "randomness"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in FILES}


@cache
def imported_names(path: Path) -> frozenset[str]:
    """Return the modules, and attributes of modules, that a file imports anywhere, even for type checks alone."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def imported_modules(path: Path) -> set[str]:
    """Return the modules of datamodules that a file imports; ``from package import name`` may name either."""
    names = imported_names(path)
    return {name if name in MODULES else name.rpartition(".")[0] for name in names} & MODULES.keys()


def find_circle(imports: dict[str, set[str]]) -> list[str] | None:
    """Return a path of imports that comes back to its beginning; None if there is none."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str] | None:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return None
        circles = (visit(other, [*path, module]) for other in sorted(imports.get(module, ())))
        circle = next((circle for circle in circles if circle is not None), None)
        done.add(module)
        return circle

    circles = (visit(module, []) for module in sorted(imports))
    return next((circle for circle in circles if circle is not None), None)


def test_imports_make_no_circle() -> None:
    imports = {name: imported_modules(path) for name, path in MODULES.items()}
    assert sum(map(len, imports.values())) > len(imports)
    assert find_circle(imports) is None


@pytest.mark.parametrize(
    ("imports", "circle"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, None),
        ({"a": {"b", "c"}, "b": {"c"}, "c": set()}, None),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c", "b"]),
        ({"a": {"a"}}, ["a", "a"]),
    ],
)
def test_circles_are_found(imports: dict[str, set[str]], circle: list[str] | None) -> None:
    assert find_circle(imports) == circle


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_only_the_lowest_modules_of_lightning_dc_are_imported(path: Path) -> None:
    parts = [name.split(".") for name in imported_names(path)]
    assert {"".join(names[1:2]) for names in parts if names[0] == "lightning_dc"} <= OF_LIGHTNING_DC
