"""YAML files that remember their lines, so that every finding can name one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from mlops.errors import UsageError

Keys = tuple[str | int, ...]


class Settings(BaseModel):
    """What a settings file may say: nothing unknown, nothing changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong in one file, and what to write instead."""

    path: Path
    line: int
    problem: str

    def show(self, root: Path | None = None) -> str:
        """`file:line: problem`, with the file as seen from `root`."""
        path = self.path
        if root is not None and path.is_relative_to(root):
            path = path.relative_to(root)
        return f"{path}:{self.line}: {self.problem}"


class InvalidFile(UsageError):
    """A file of the project does not say what it should; carries every finding."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(finding.show(Path.cwd()) for finding in self.findings))


@dataclass(frozen=True)
class Document:
    """A YAML file: its data, and the line on which each key or item starts."""

    path: Path
    data: Any
    lines: dict[Keys, int] = field(repr=False)

    def line(self, *keys: str | int) -> int:
        """The line of the value under `keys`, or of the closest key above it."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)

    def finding(self, problem: str, *keys: str | int) -> Finding:
        """A finding at the line of `keys`."""
        return Finding(self.path, self.line(*keys), problem)


def read_yaml(path: Path) -> Document:
    """Read one YAML file.

    Raises:
        InvalidFile: the file is missing, is not UTF-8 or YAML, or says a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidFile([Finding(path, 1, "the file is missing")]) from None
    except OSError as error:
        raise InvalidFile([Finding(path, 1, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise InvalidFile([Finding(path, 1, f"the file is not UTF-8: {error.reason}")]) from None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return Document(path, None, {})
        lines: dict[Keys, int] = {}
        findings: list[Finding] = []
        _walk(path, node, (), lines, findings)
        if findings:
            raise InvalidFile(findings)
        return Document(path, loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = error.problem or "cannot be read"
        raise InvalidFile([Finding(path, line, f"this is not YAML: {problem}")]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # ValueError: what looks like a date and is none; RecursionError: an alias of itself.
        raise InvalidFile([Finding(path, 1, f"this is not YAML: {error}")]) from None


def _walk(
    path: Path, node: yaml.Node, keys: Keys, lines: dict[Keys, int], findings: list[Finding]
) -> None:
    lines.setdefault(keys, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*keys, str(key.value))
            line = key.start_mark.line + 1
            if below in lines:
                findings.append(Finding(path, line, f"`{key.value}` stands here twice"))
            lines[below] = line
            _walk(path, value, below, lines, findings)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(path, value, (*keys, index), lines, findings)


def validate(document: Document, model: type[Model]) -> Model:
    """The document as a settings model.

    Raises:
        InvalidFile: with one finding for every setting that is unknown, missing or wrong.
    """
    if not isinstance(document.data, dict):
        raise InvalidFile([document.finding("the file must be a mapping of `key: value` lines")])
    made, findings = inspect(document, document.data, model)
    if made is None:
        raise InvalidFile(findings)
    return made


def inspect(
    document: Document, data: Any, model: type[Model], *keys: str | int
) -> tuple[Model | None, list[Finding]]:
    """What stands under `keys` of the document as a settings model, or all that is wrong in it."""
    if not isinstance(data, dict):
        where = ".".join(map(str, keys))
        return None, [document.finding(f"`{where}` must be a mapping of `key: value` lines", *keys)]
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, [
            document.finding(_say(problem, model, (*keys, *place)), *keys, *place)
            for problem in error.errors()
            for place in [_place(data, problem["loc"])]
        ]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` with the closest known name, else all known names."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean `{close[0]}`?"
    return f"; write one of {', '.join(known)}" if known else ""


def _place(data: Any, keys: Keys) -> Keys:
    """Where it stands in the file: one thing may be written where a list is read."""
    found: list[str | int] = []
    for index, key in enumerate(keys):
        if isinstance(key, int) and isinstance(data, dict):
            continue
        found.append(key)
        try:
            data = data[key]
        except (LookupError, TypeError):  # it is missing, and what follows with it
            return (*found, *keys[index + 1 :])
    return tuple(found)


def _say(problem: Any, model: type[BaseModel], place: Keys) -> str:
    where = ".".join(map(str, place))
    if problem["type"] == "extra_forbidden":
        known = _fields(model, problem["loc"][:-1])
        return f"`{where}` is not a setting{did_you_mean(str(problem['loc'][-1]), known)}"
    if problem["type"] == "missing":
        return f"`{where}` is missing"
    message = problem["msg"].removeprefix("Value error, ")
    return f"`{where}`: {message}, not {problem['input']!r}" if where else message


def _fields(model: Any, keys: Keys) -> list[str]:
    """The settings that are known under `keys` of `model`."""
    for key in keys:
        if isinstance(key, str) and key in getattr(model, "model_fields", {}):
            model = model.model_fields[key].annotation
        while not hasattr(model, "model_fields"):
            inner = [
                part for part in getattr(model, "__args__", ()) if part not in (type(None), ...)
            ]
            if not inner:
                return []
            model = inner[-1]
    return list(model.model_fields)
