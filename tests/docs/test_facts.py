"""What README and docs name exists: files, configurations, options, losses, quantities."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import datamodules
import lightning_dc.losses
from lightning_dc import (
    DCN,
    DEC,
    IDEC,
    AEKMeans,
    DeepType,
    GaussianMixture,
    KMeansConfig,
    LossTerm,
    MergedKMeans,
    PhaseConfig,
    RefreshConfig,
)
from lightning_dc.configs import shipped_configs
from lightning_dc.training import TrainingStep
from tests.helpers.documents import DOCUMENTS, ROOT, blocks, commands, inline_code, split

METHODS = (AEKMeans, DCN, DEC, IDEC, DeepType, GaussianMixture, MergedKMeans)
TEXT = {document.name: document.read_text() for document in DOCUMENTS}
TEXTS = [*DOCUMENTS, ROOT / "CONTRIBUTING.md"]


def test_every_shipped_config_is_in_the_readme() -> None:
    for name in shipped_configs():
        assert f"`{name}`" in TEXT["README.md"], name
        assert f"`{name}`" in TEXT["methods.md"], name


def test_every_datamodule_is_in_the_readme() -> None:
    for name in datamodules.__all__:
        if name.endswith("DataModule") and name != "ClusteringDataModule":
            assert f"`{name}`" in TEXT["README.md"], name


def test_the_readme_is_short() -> None:
    assert len(TEXT["README.md"].splitlines()) <= 160


def test_the_picture_of_a_run_is_small() -> None:
    assert (ROOT / "docs/images/run.png").stat().st_size < 200 * 1024


@pytest.mark.parametrize("document", TEXTS, ids=lambda document: document.name)
def test_nothing_is_left_to_fill_in(document: Path) -> None:
    assert not re.search("@@|TODO|FIXME|XXX", document.read_text())


@pytest.mark.parametrize("document", TEXTS, ids=lambda document: document.name)
def test_every_file_that_a_document_links_to_exists(document: Path) -> None:
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", document.read_text()):
        path, _, anchor = target.partition("#")
        linked = document.parent / path if path else document
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


def anchors(document: Path) -> set[str]:
    """Return the anchors of the headings of a document, as the host of the repository names them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", TEXTS, ids=lambda document: document.name)
def test_every_file_of_this_project_that_a_document_names_exists(document: Path) -> None:
    for code in re.findall(r"`((?:tests|scripts|docs|lightning_dc|datamodules|\.ci)/[\w./-]*)`", document.read_text()):
        assert (ROOT / code).exists(), code


def test_every_document_is_linked_from_the_readme() -> None:
    for document in DOCUMENTS[1:]:
        assert f"](docs/{document.name})" in TEXT["README.md"]


def test_every_yaml_block_is_a_configuration() -> None:
    for document in DOCUMENTS:
        for block in blocks(document):
            if block.language == "yaml":
                assert "model" in yaml.safe_load(block.text)


def test_options_within_lines_exist() -> None:
    """Those of commands are parsed with them; here are options like `--model.refresh.tolerance` in a sentence."""
    checked = 0
    for document in DOCUMENTS:
        for code in inline_code(document):
            for section, name, setting in re.findall(r"--(model|data)\.(\w+)(?:\.(\w+))?", code):
                assert option_exists(section, name, setting), code
                checked += 1
    assert checked > 10


def option_exists(section: str, name: str, setting: str) -> bool:
    classes = METHODS if section == "model" else [getattr(datamodules, one) for one in datamodules.__all__]
    if name == "help":
        return True
    if not any(name in inspect.signature(one).parameters for one in classes):
        return False
    kinds = {"kmeans": KMeansConfig, "refresh": RefreshConfig}
    kind = kinds.get(name, PhaseConfig)
    return not setting or setting in {field.name for field in dataclasses.fields(kind)}


def rows_of_table(document: str, heading: str) -> Iterator[list[str]]:
    """Yield the cells of the first table below a heading."""
    section = TEXT[document].split(f"\n{heading}\n", 1)[1]
    table = section[section.index("\n|") :].split("\n\n")[1 if section.startswith("\n\n|") else 0]
    for line in table.strip().splitlines()[2:]:
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_the_table_of_quantities_is_complete() -> None:
    named = {row[0].strip("`") for row in rows_of_table("methods.md", "## Quantities of a step")}
    assert named == set(TrainingStep.quantities())


def test_the_table_of_losses_is_complete() -> None:
    table = {row[0].strip("`"): re.findall(r"`(\w+)`", row[2]) for row in rows_of_table("methods.md", "## Loss terms")}
    terms = {name: getattr(lightning_dc.losses, name) for name in lightning_dc.losses.__all__}
    assert table == {name: list(term.quantities) for name, term in terms.items() if term is not LossTerm}


def test_the_table_of_options_is_complete() -> None:
    named = re.findall(r"`(\w+)\.(\w+)`", TEXT["methods.md"])
    for argument, kind in (("kmeans", KMeansConfig), ("refresh", RefreshConfig)):
        assert {setting for name, setting in named if name == argument} == {
            one.name for one in dataclasses.fields(kind)
        }
    for setting in dataclasses.fields(PhaseConfig):
        assert f"`{setting.name}`" in TEXT["methods.md"], setting.name


def test_commands_are_whole_lines_of_shell() -> None:
    """Each is one program with its arguments, so that it can be split into words."""
    for document in DOCUMENTS:
        for block in blocks(document):
            for command in commands(block):
                assert not re.search(r"&&|\|\||[;<>]", command.split(" #")[0]), command
                assert split(command)
