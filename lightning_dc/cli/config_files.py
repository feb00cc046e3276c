"""Reading of configuration files, with errors that name the file and the line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lightning_dc.errors import InputError


def read_config(path: str | Path) -> Mapping[str, Any]:
    """Read a configuration file.

    Raises:
        InputError: the file is not text in UTF-8, not YAML, or has no sections.
    """
    try:
        described = yaml.safe_load(_read_text(Path(path)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
        raise InputError(
            f"the configuration {str(path)!r}{place}: {error.problem or error.context}; check the indentation (spaces, "
            "no tabs), colons and brackets there and in the line before"
        ) from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"the configuration {str(path)!r} is not YAML ({reason}); give a text file") from error
    if not isinstance(described, Mapping):
        content = "is empty" if described is None else f"holds a {type(described).__name__}"
        raise InputError(
            f"the configuration {str(path)!r} {content}; write sections such as 'model:' and 'data:' with arguments "
            "below them"
        )
    empty = [name for name in ("model", "data", "trainer") if name in described and described[name] is None]
    if empty:
        raise InputError(
            f"the configuration {str(path)!r} has nothing below {empty[0]!r}; write its arguments there, indented, or "
            "leave it out"
        )
    return described


def _read_text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = "UTF-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "another encoding, such as Latin-1"
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"the configuration {str(path)!r} is not in UTF-8 but in {kind} (line {line}); save it as UTF-8"
        ) from error
