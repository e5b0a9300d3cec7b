"""Small contracts, tables and files that the tests of the engine share."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from mlops.contract import Contract

BATCH_TESTS = {"dev": "[gate]"}
TARGET = {"type": "category", "values": ["no", "yes"]}


def contract(columns: dict[str, Any] | None = None, **settings: Any) -> Contract:
    """A contract of these features and, unless the settings say otherwise, a two-class target."""
    columns = {"x": {"type": "number"}} if columns is None else columns
    if "target" not in settings:
        columns = {**columns, "label": TARGET}
    base = {"title": "Test", "problem_type": "classification", "target": "label"}
    return Contract.model_validate({**base, "columns": columns, **settings})


def regression(columns: dict[str, Any] | None = None, **settings: Any) -> Contract:
    """A contract whose target is a number."""
    columns = {"x": {"type": "number"}} if columns is None else columns
    columns = {**columns, "amount": {"type": "number"}}
    return contract(columns, problem_type="regression", target="amount", **settings)


def body(*rows: dict[str, Any]) -> bytes:
    """A scoring request."""
    return json.dumps({"input_data": list(rows)}).encode()


def frame(**columns: Any) -> pd.DataFrame:
    """A table."""
    return pd.DataFrame(columns)


def write(path: Path, text: str) -> Path:
    """A text file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def edit(path: Path, old: str, new: str) -> int:
    """Replace one text in a file that holds it once; the line of the new text."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def serve_only(project: Path, kind: str) -> Path:
    """Leave a project with online or batch endpoints only: in its settings and in `deployment/`."""
    other = {"online": "batch", "batch": "online"}[kind]
    shutil.rmtree(project / "deployment" / other)
    for file in (project / "environments").glob("*.yml"):
        text = file.read_text(encoding="utf-8")
        text = cut(rf"(?m)(?<=^endpoints:\n)((?:  .*\n)*?)  {other}: .*\n", r"\1", text)
        if kind == "batch":
            text = cut(
                r"(?m)^tests: .*$", f"tests: {BATCH_TESTS.get(file.stem, '[gate, batch]')}", text
            )
            text = cut(r"(?m)^rollout:\n(?:  .*\n)+", "", text)
            text = cut(r"(?m)\n(?:# .*\n)+acceptance: .*\n", "", text)
        file.write_text(text, encoding="utf-8")
    return project


def cut(pattern: str, new: str, text: str) -> str:
    """Replace what a pattern finds; it must be found once."""
    text, found = re.subn(pattern, new, text)
    assert found == 1, f"{pattern} is found {found} times"
    return text
