"""Tables in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table; what stands in a cell is read as text, whatever it holds."""
    lines = [head, tuple("---" for _ in head), *[tuple(map(_cell, row)) for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def show_number(value: Any) -> str:
    """A number in four significant digits, a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cell(text: str) -> str:
    return re.sub(r"([\\`*\[\]|])", r"\\\1", text).replace("<", "&lt;").replace("\n", " ")
