"""`ci_cd.federation` in `environments/<name>.yml`: written as text, so that all else stays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from mlops.cicd.plan import Edit, Item, filled, made_by, there
from mlops.documents import Document, validate
from mlops.errors import MlopsError
from mlops.project import Environment, Project
from mlops.settings import EnvironmentSettings


@dataclass(frozen=True)
class Federation:
    """Whose tokens Azure takes: both are compared letter by letter."""

    issuer: str
    subject: str

    def show(self) -> str:
        """The setting's value in YAML, in one line."""
        return f"{{issuer: {_scalar(self.issuer)}, subject: {_scalar(self.subject)}}}"


def file_item(project: Project, name: str, federation: Federation) -> Item:
    """What the environment's file says of it, from which Bicep makes the credential again."""
    environment = project.environment(name)
    edit = edit_of(project, environment, federation)
    what = f"{edit.path}: ci_cd.federation"
    return there(what) if is_written(environment, federation) else made_by(what, edit)


def is_written(environment: Environment, federation: Federation) -> bool:
    """Whether the environment's file says so already."""
    ci_cd = environment.settings.ci_cd
    said = ci_cd.federation if ci_cd else None
    return said is not None and (said.issuer, said.subject) == (
        federation.issuer,
        federation.subject,
    )


def edit_of(project: Project, environment: Environment, federation: Federation) -> Edit:
    """The edit that writes it into the environment's file."""
    path = project.environment_file(environment.name).relative_to(project.root).as_posix()

    def change(text: str, values: Mapping[str, str]) -> str:
        known = Federation(filled(federation.issuer, values), filled(federation.subject, values))
        edited = with_federation(text, environment.name, known, path)
        file = Document(project.root / path, yaml.safe_load(edited), {})
        validate(file, EnvironmentSettings)
        return edited

    return Edit(path, f"ci_cd.federation: {federation.show()}", change)


def with_federation(text: str, platform_name: str, federation: Federation, path: str = "") -> str:
    """The text of an environment's file with another `ci_cd.federation`, all else as it was.

    A file without `ci_cd` gets one at its end, with `platform_name` as `environment`.

    Raises:
        MlopsError: the text is written in a way that cannot be edited safely.
    """
    try:
        before = yaml.safe_load(text)
        edited = _edited(text, yaml.compose(text), platform_name, federation)
        after = yaml.safe_load(edited)
    except (yaml.YAMLError, AttributeError, TypeError, ValueError):
        before = after = None
    wanted = {"issuer": federation.issuer, "subject": federation.subject}
    if before is None or after != _wanted(before, platform_name, wanted):
        raise MlopsError(
            f"{path or 'the file'} is written in a way that cannot be edited safely; write under "
            f"`ci_cd` yourself: `federation: {federation.show()}`, and run this again"
        )
    return edited


def _wanted(before: Any, platform_name: str, federation: dict[str, str]) -> Any:
    ci_cd = before.get("ci_cd") or {"environment": platform_name}
    return {**before, "ci_cd": {**ci_cd, "federation": federation}}


def _edited(text: str, root: Any, platform_name: str, federation: Federation) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    value = federation.show()
    ci_cd = _value(root, "ci_cd")
    if ci_cd is None:
        gap = "" if text.endswith("\n") else newline
        lines = ("", "ci_cd:", f"  environment: {_scalar(platform_name)}")
        return text + gap + newline.join((*lines, f"  federation: {value}", ""))
    said = _value(ci_cd, "federation")
    if isinstance(said, yaml.MappingNode) and said.value:
        for name in sorted(("issuer", "subject"), key=lambda key: -_start(_value(said, key))):
            node = _value(said, name)
            rest = text[node.end_mark.index :]
            text = text[: _start(node)] + _scalar(getattr(federation, name)) + rest
        return text
    if said is not None:
        start, end = said.start_mark.index, said.end_mark.index
        return text[:start] + (" " if start == end else "") + value + text[end:]
    if ci_cd.flow_style:
        end = _end(ci_cd.value[-1][1])
        return f"{text[:end]}, federation: {value}{text[end:]}"
    indent = " " * ci_cd.start_mark.column
    line_end = text.find("\n", _end(ci_cd.value[-1][1], text))
    if line_end < 0:
        return f"{text}{newline}{indent}federation: {value}{newline}"
    return f"{text[: line_end + 1]}{indent}federation: {value}{newline}{text[line_end + 1 :]}"


def _scalar(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _value(mapping: Any, key: str) -> Any:
    return next((value for name, value in mapping.value if name.value == key), None)


def _start(node: Any) -> int:
    start: int = node.start_mark.index
    return start


def _end(node: Any, text: str = "") -> int:
    """Where a value ends; in a block, the mark of YAML stands behind what follows it."""
    while isinstance(node, (yaml.MappingNode, yaml.SequenceNode)) and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    end: int = node.end_mark.index
    while text and text[end - 1].isspace():
        end -= 1
    return end
