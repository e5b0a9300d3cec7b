"""What a person sees on the terminal: progress, tables, errors; and JSON where a script reads."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlops.files import to_json


class Console:
    """Where a command writes. With `as_json`, standard output holds one JSON value, no more."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._output = sys.stdout  # also where a library's own prints are led elsewhere
        self._answered = False

    def progress(self, line: str) -> None:
        """A line about what is going on, on standard error: it is not the result."""
        print(line, file=sys.stderr, flush=True)

    def say(self, text: str = "") -> None:
        """A line of the result; nothing where the result is JSON."""
        if not self.as_json:
            print(text, file=self._output, flush=True)

    def result(self, value: Any) -> None:
        """The result for a script; nothing where a person reads."""
        if self.as_json:
            self._output.write(to_json(value))
            self._answered = True

    def failure(self, message: str, status: int) -> None:
        """Why there is no result, for a script; nothing where the result was printed already."""
        if not self._answered:
            self.result({"error": message, "exit_status": status})

    def tick(self, done: bool) -> str:
        """A tick or a cross; a word where the output's encoding has no such sign."""
        sign, word = ("\N{CHECK MARK}", "ok") if done else ("\N{BALLOT X}", "missing")
        try:
            sign.encode(sys.stdout.encoding or "ascii")
        except UnicodeEncodeError:
            return word
        return sign

    def table(
        self, head: tuple[str, ...], rows: Sequence[tuple[str, ...]], title: str = ""
    ) -> None:
        """A table; plain text in a pipe, too."""
        if self.as_json:
            return
        from rich.console import Console as Terminal
        from rich.table import Table

        table = Table(*head, title=title, title_justify="left", box=None, pad_edge=False)
        for row in rows:
            table.add_row(*row)
        width = None if sys.stdout.isatty() else 200
        Terminal(width=width, highlight=False, markup=False).print(table)


def relative(path: Path) -> Path:
    """A path as seen from the working directory, if it lies there."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def number(value: Any) -> str:
    """A metric in four significant digits; a dash where it is not defined."""
    return "-" if value is None else f"{value:.4g}"
