"""The code and the commands of README and docs run as they are written, but for their length.

Phases have at most four steps here, and autoencoders are narrow. Commands that are not run are parsed in
``test_parsing``.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lightning_dc.configs import find_config
from lightning_dc.training import Phase
from tests.conftest import CommandLine
from tests.helpers.documents import DOCUMENTS, Block, blocks, commands, pattern_of, split
from tests.helpers.fake_world import write_world

N_STEPS = 4
NARROW = "--model.autoencoder.hidden_dims=[16]"
NEEDED = {"data.md": ["anndata"], "supervised.md": ["sksurv", "lifelines"]}  # packages of the extras
RUNNING = [document for document in DOCUMENTS if document.name != "benchmarks.md"]


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Phase.n_steps
    monkeypatch.setattr(Phase, "n_steps", lambda phase, per_epoch: min(whole(phase, per_epoch), N_STEPS))


@pytest.fixture
def import_from_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").parent == tmp_path:
            del sys.modules[name]


@pytest.mark.slow
@pytest.mark.usefixtures("few_steps", "import_from_here")
@pytest.mark.filterwarnings("ignore")  # of libraries that write the fake files, and of runs that are so short
@pytest.mark.parametrize("document", RUNNING, ids=lambda document: document.name)
def test_code_and_commands_of_a_document_run(document: Path, lightning_dc_cli: CommandLine, tmp_path: Path) -> None:
    for package in NEEDED.get(document.name, ()):
        pytest.importorskip(package)
    write_world(tmp_path, document.name)
    namespace: dict[str, Any] = {}
    for block in blocks(document):
        where = f"{document.name}:{block.line}"
        if block.language == "python":
            run_python(block, namespace, where)
        if block.language == "yaml":
            assert block.file_name is not None, f"{where}: name the file in a first line, # name.yaml"
            Path(block.file_name).write_text(block.text)
        for command in commands(block):
            if pattern_of(command) is None:
                run(command, lightning_dc_cli, where)
    CHECKS[document.name](namespace)


def run_python(block: Block, namespace: dict[str, Any], where: str) -> None:
    """Import a block that is a file; execute another one in the namespace of its document."""
    if block.file_name is None:
        exec(compile(block.text, where, "exec"), namespace)
        return
    Path(block.file_name).write_text(block.text)
    importlib.invalidate_caches()
    importlib.import_module(Path(block.file_name).stem)


def run(command: str, cli: CommandLine, where: str) -> None:
    program, *words = split(re.sub(r"^([A-Z_]+=\S+ )+", "", command))  # variables of OpenMP come too late here
    if program == "lightning-dc":
        run_lightning_dc(words, cli, f"{where}: {command}")
    elif command.startswith("python -m lightning_dc"):
        run_lightning_dc(words[2:], cli, f"{where}: {command}")
    elif command.startswith("python -m pytest"):
        run_tests(Path(words[-1]).stem)
    else:
        assert program == "head", f"{where}: {command}: neither run here nor in NOT_RUN_WHOLE"
        assert Path(words[-1]).is_file(), f"{where}: {command}"


def run_lightning_dc(words: list[str], cli: CommandLine, where: str) -> None:
    if any(word in ("--help", "--print_config") or word.endswith(".help") for word in words):
        with pytest.raises(SystemExit) as end:
            cli(*words)
        assert not end.value.code, where
    else:
        printed = cli(*quick(words))
        assert words[0] != "fit" or "cluster sizes" in printed, where


def run_tests(module: str) -> None:
    """Run the test methods of a module's contract, each with a folder of its own."""
    contract = next(one for name, one in vars(importlib.import_module(module)).items() if name.startswith("Test"))
    names = [name for name in dir(contract) if name.startswith("test_")]
    assert names
    for name in names:
        Path(name).mkdir()
        with pytest.MonkeyPatch.context() as monkeypatch:
            fixtures = {"tmp_path": Path(name), "monkeypatch": monkeypatch}
            test = getattr(contract(), name)
            test(**{argument: fixtures[argument] for argument in inspect.signature(test).parameters})


def quick(words: list[str]) -> list[str]:
    """Add the settings of a short run to a command."""
    if words[0] == "select":
        split_at = words.index("--") if "--" in words else len(words)
        return [*words[:split_at], "--k", "4", "--resamples", "2", *words[split_at:]]
    if words[0] != "fit":
        return words
    flags = ["--trainer.accelerator=cpu"]
    if "rcv1" in words:
        flags.append("--data.n_documents=100")
    return [*words, *flags, NARROW] if has_widths(words) else [*words, *flags]


def has_widths(words: list[str]) -> bool:
    """Return whether a fit has the network MLPAutoencoder, in its usual widths."""
    if any(word.startswith("--model.autoencoder") for word in words):
        return False
    if "--model" in words:
        return words[words.index("--model") + 1] in ("DEC", "IDEC", "DCN", "AEKMeans")
    model = yaml.safe_load(find_config(words[words.index("--config") + 1]).read_text())["model"]
    if model["class_path"] in ("DeepType", "DeepClustering", "SCAN"):
        return False
    return not re.search("Identity|PrincipalComponents", str(model))


def check_readme(names: dict[str, Any]) -> None:
    assert names["model"].final.labels.shape == (1797,)
    assert set(names["model"].final.scores()) == {"acc", "nmi", "ari"}
    assert Path("runs/table/version_0/clusters.parquet").is_file()
    assert Path("predictions.parquet").is_file()


def check_cli(names: dict[str, Any]) -> None:
    assert Path("runs/mine/version_0/clusters.parquet").is_file()  # the name is that of the last configuration
    assert Path("digits.parquet").is_file()
    assert list(Path("runs/monitored").glob("*/checkpoints/*.ckpt"))
    assert not list(Path("runs/kmeans_synthetic").glob("*/features.csv"))


def check_data(names: dict[str, Any]) -> None:
    assert Path("runs/table/version_0/clusters.parquet").is_file()
    assert Path("new_patients.parquet").is_file()
    assert names["table"].input_shape == (len(names["table"].feature_names),)
    assert names["clusters"].shape == (5,)
    assert list(names["adata"].obs) == ["cluster", "cluster_confidence"]
    assert names["adata"].obsm["X_lightning_dc"].shape[0] == 90
    assert {path.name for path in Path("runs").glob("*/*/*")} >= {"cells.h5ad", "patients.csv", "documents.csv"}


def check_extending(names: dict[str, Any]) -> None:
    assert Path("runs/run/version_0/clusters.parquet").is_file()  # of the user's own DataModule
    assert Path("new_cells.parquet").is_file()
    assert list(Path("runs/dec_digits").glob("*/my_sizes.png"))


def check_methods(names: dict[str, Any]) -> None:
    assert isinstance(names["kmeans"].labels_, np.ndarray)
    assert names["kmeans"].cluster_centers_.shape == (5, 8)
    assert set(names["directions"]) == set(range(5))
    assert names["stream"].n_steps_ == 10


def check_scaling(names: dict[str, Any]) -> None:
    assert Path("measurements.cache").is_dir()


def check_supervised(names: dict[str, Any]) -> None:
    assert names["model"].importance.shape == (20,)
    assert names["model"].final.output.shape == (1000, 4)
    assert Path("runs/select/scores.csv").is_file()
    assert list(Path("runs/kmeans_synthetic").glob("*/outcomes.csv"))


CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "README.md": check_readme,
    "cli.md": check_cli,
    "data.md": check_data,
    "extending.md": check_extending,
    "methods.md": check_methods,
    "scaling.md": check_scaling,
    "supervised.md": check_supervised,
}
