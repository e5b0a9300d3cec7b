"""What `mlops connect` would make, in order: shown as a table or as commands, and then made."""

from __future__ import annotations

import json
import re
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlops.cicd.refusals import explain
from mlops.errors import MlopsError
from mlops.tools import ToolRefused, run

if TYPE_CHECKING:
    from mlops.workspaces import Report

FILE = "/dev/stdin"
"""Stands in a command's arguments for the file that holds its body: az reads no standard input."""

PLACEHOLDER = re.compile(r"\$([A-Z][A-Z0-9_]*)")
"""What is known only after an earlier command, as a shell writes it: $CLIENT_ID_DEV."""

NUMBER = re.compile(r'"(\$PIPELINE_[A-Z0-9_]+)"')
"""A placeholder for a number, which JSON writes without quotes."""


class Step(Protocol):
    """A change: one command, or one edit of a file."""

    def show(self) -> str:
        """The change as a person would make it in a shell."""

    def do(self, root: Path, values: dict[str, str]) -> None:
        """Make it; `values` holds what earlier commands answered, by placeholder."""


@dataclass(frozen=True)
class Command:
    """A call of `gh` or `az`. `body` is JSON; what it answers is kept under the name `keeps`."""

    program: str
    arguments: tuple[str, ...]
    body: Any = None
    keeps: str = ""

    def show(self) -> str:
        """The command line; the body as a here-document, the answer as a variable."""
        line = " ".join(_quoted(word) for word in (self.program, *self.arguments))
        if self.body is not None:
            text = self._json(indent=2)
            later = PLACEHOLDER.search(text) is not None
            text = _escaped(text) if later else text
            mark = "END" if later else "'END'"
            line += f" <<{mark}\n{text}\nEND"
            line += "\n" if self.keeps else ""
        return f"{self.keeps}=$({line})" if self.keeps else line

    def _json(self, indent: int | None = None) -> str:
        return NUMBER.sub(r"\1", json.dumps(self.body, indent=indent, ensure_ascii=False))

    def do(self, root: Path, values: dict[str, str]) -> None:
        """Run it.

        Raises:
            UsageError: the program is not installed.
            ToolRefused: it ended with an error.
        """
        arguments = [filled(word, values) for word in self.arguments]
        body = None
        if self.body is not None:
            body = filled(self._json(), values)
        if body is None or FILE not in arguments:
            answer = run(self.program, arguments, stdin=body, root=root)
        else:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "body.json"
                file.write_text(body, encoding="utf-8")
                there = [str(file) if word == FILE else word for word in arguments]
                answer = run(self.program, there, root=root)
        if self.keeps:
            values[self.keeps] = answer.strip()
            if not values[self.keeps]:
                raise ToolRefused(self.show(), 0, "it answered nothing")


@dataclass(frozen=True)
class Edit:
    """A change of a file of the project: `change` takes its text, and the values by placeholder."""

    path: str
    what: str
    change: Callable[[str, Mapping[str, str]], str]

    def show(self) -> str:
        """A comment: an edit is no command."""
        return f"# {self.path}: {self.what}"

    def do(self, root: Path, values: dict[str, str]) -> None:
        """Replace the file in one step; all bytes that are not changed stay."""
        from mlops.files import replacing

        file = root / self.path
        text = file.read_bytes().decode("utf-8")
        with replacing(file) as partial:
            partial.write_bytes(self.change(text, values).encode("utf-8"))
            partial.chmod(file.stat().st_mode)


@dataclass(frozen=True)
class Item:
    """Something that the platform needs.

    It is there, or `steps` make it, or a person must: `remedy` says who and how. `needed` says
    that no job may reach Azure before.
    """

    what: str
    there: bool = False
    steps: tuple[Step, ...] = ()
    remedy: str = ""
    needed: bool = False

    @property
    def state(self) -> str:
        """`there`, `make` or `person`."""
        return "there" if self.there else "make" if self.steps else "person"

    def record(self) -> dict[str, Any]:
        """The item as JSON holds it."""
        return {
            "what": self.what,
            "state": self.state,
            "commands": [] if self.there else [step.show() for step in self.steps],
            "remedy": "" if self.there else self.remedy,
        }


def there(what: str) -> Item:
    """An item that needs nothing."""
    return Item(what, there=True)


def made_by(what: str, *steps: Step) -> Item:
    """An item that steps make."""
    return Item(what, steps=steps)


def left(what: str, remedy: str, *, needed: bool = False) -> Item:
    """An item that a person must make."""
    return Item(what, remedy=remedy, needed=needed)


def to_make(items: Sequence[Item]) -> list[Item]:
    """The items that commands make."""
    return [item for item in items if item.state == "make"]


def complete(items: Sequence[Item]) -> bool:
    """Whether jobs may reach Azure once all that commands make is made."""
    return not any(item.needed and item.state == "person" for item in items)


def make(items: Sequence[Item], root: Path, report: Report) -> int:
    """Make what can be made, in order; how many items that were.

    Raises:
        MlopsError: a tool refused; it says what was made until then.
    """
    values: dict[str, str] = {}
    made: list[str] = []
    for item in to_make(items):
        report(f"making {item.what} ...")
        try:
            for step in item.steps:
                step.do(root, values)
        except MlopsError as error:
            told = explain(error) if isinstance(error, ToolRefused) else error
            until = f"made until then: {'; '.join(made)}" if made else "nothing was made"
            raise type(told)(
                f"{item.what}: {told}\n{until}. What is made stays, and the command can be run again."
            ) from None
        made.append(item.what)
    return len(made)


def variable(name: str) -> str:
    """A name as a shell variable writes it: A-Z, 0-9 and underscores."""
    return re.sub(r"\W", "_", name, flags=re.ASCII).upper()


def number(id_: str) -> int | str:
    """An id as JSON holds it: a number, or its placeholder."""
    return int(id_) if id_.isdigit() else id_


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with what is known for its placeholders."""
    return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def _quoted(word: str) -> str:
    return f'"{_escaped(word, also=chr(34))}"' if PLACEHOLDER.search(word) else shlex.quote(word)


def _escaped(text: str, also: str = "") -> str:
    """A text in which a shell replaces placeholders and nothing else."""
    return re.sub(rf"[\\`{also}]|\$(?![A-Z])", r"\\\g<0>", text)
