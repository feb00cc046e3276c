"""Blocks and command lines of the documents."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PROGRAMS = ("lightning-dc", "python", "make", "tensorboard", "pip", "torchrun", "srun", "head", "source", "export")
NOT_RUN_WHOLE = {  # beginning of the command, as a regular expression: reason
    r"make (digits|test)": "they would install the package and run these tests; their targets are looked up",
    r"source .venv/bin/activate": "no virtual environment in tests; its folder is looked up in the Makefile",
    r"export PYTHONPATH=\.": "the test does so itself",
    r"pip install": "downloads; extras are looked up in pyproject.toml",
    r"tensorboard": "runs until it is stopped; its options are parsed",
    r"python scripts/": "measurements take minutes to hours, and most need MNIST; their options are parsed",
    r"python -c": "the command line is compared with it in a measurement",
    r"torchrun": "several machines",
    r"srun": "several machines with Slurm",
    r"lightning-dc fit .*--trainer.devices 4": "four GPUs",
    r"lightning-dc fit .*--trainer.devices 2": "two processes are tested by tests/distributed",
    r"lightning-dc fit --config kmeans_mnist": "tests/cli runs each shipped configuration",
    r"lightning-dc fit --config (dcn|ae_kmeans|kmeans)_digits .*--model": "other values of options that are run",
    r"lightning-dc fit --config dec_digits --model.(refresh|kmeans)": "other values of options that are run",
    r"lightning-dc fit --config dec_digits --(trainer.enable|summary|baseline)": "other values of options that are run",
    r"lightning-dc fit --config dec_digits --calibration": "other values of options that are run",
    r"lightning-dc fit --config deeptype_synthetic --(model|data)": "other values of options that are run",
    r"lightning-dc fit --config deeptype_(breast_cancer|survival)$": "tests/cli runs each shipped configuration",
    r"lightning-dc fit --config idec_digits .*.loss_weights.kl=0.5": "another command has kl=1, and is run",
    r"lightning-dc fit --config spread.yaml --model": "the command without the flag is run",
    r"lightning-dc select --config dec_synthetic": "the command with deeptype_synthetic is run",
    r"lightning-dc fit --config text --data.path notes": "tests/cli reads folders of texts",
}
"""Commands that are parsed alone: no command is left out silently."""

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(?P<code>[^`\n]+)`")


class Block(NamedTuple):
    """A fenced block of a document, or code within a line of it.

    Attributes:
        language: language of the block; ``inline`` for code within a line.
        text: content.
        line: number of its first line in the document.
    """

    language: str
    text: str
    line: int

    @property
    def file_name(self) -> str | None:
        """Name of the file that the block is, which its first line tells as a comment."""
        found = re.match(r"# (\S+\.(?:py|yaml))\n", self.text)
        return None if found is None else found[1]


def blocks(document: Path) -> list[Block]:
    """Return the fenced blocks of a document and the commands within its lines, in their order."""
    text = document.read_text()
    found = [Block(match[1], match[2], _line(text, match.start())) for match in _FENCE.finditer(text)]
    prose = _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    found += [
        Block("inline", match["code"], _line(text, match.start()))
        for match in _INLINE.finditer(prose)
        if match["code"].startswith(tuple(f"{program} " for program in PROGRAMS))
    ]
    return sorted(found, key=lambda block: block.line)


def commands(block: Block) -> list[str]:
    """Return the commands of a block, one for each line, with continued lines joined."""
    if block.language not in ("shell", "inline"):
        return []
    return [line.strip() for line in block.text.replace("\\\n", " ").splitlines() if line.strip()]


def inline_code(document: Path) -> list[str]:
    """Return all code within the lines of a document."""
    return [match["code"] for match in _INLINE.finditer(_FENCE.sub("", document.read_text()))]


def split(command: str) -> list[str]:
    """Return the words of a command as bash sees them: without quotes and comments, and with ``$(...)`` replaced."""
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True)
    return words.stdout.split("\0")[:-1]


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def all_commands() -> list[tuple[Path, str]]:
    """Return the commands of all documents."""
    return [(document, command) for document in DOCUMENTS for block in blocks(document) for command in commands(block)]


def pattern_of(command: str) -> str | None:
    """Return the entry of ``NOT_RUN_WHOLE`` that a command belongs to; None if it is run whole."""
    return next((pattern for pattern in NOT_RUN_WHOLE if re.match(pattern, re.sub(" +", " ", command))), None)
