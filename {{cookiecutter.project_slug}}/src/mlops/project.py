"""The project: where its files are, its package, its environments and what they have."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mlops.documents import Document, InvalidFile, read_yaml, validate
from mlops.errors import UsageError
from mlops.settings import EndpointKind, EnvironmentSettings, ProjectSettings, RolloutSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

YES, NO = ("1", "true", "yes"), ("", "0", "false", "no")


@dataclass(frozen=True)
class Environment:
    """A DevOps environment of the project: its name and its settings."""

    name: str
    settings: EnvironmentSettings
    document: Document

    @property
    def is_local(self) -> bool:
        """Whether its workspace is a folder on this machine.

        Raises:
            UsageError: MLOPS_LOCAL says neither yes nor no.
        """
        said = os.environ.get("MLOPS_LOCAL", "").strip().lower()
        if said not in (*YES, *NO):
            raise UsageError(f"MLOPS_LOCAL is {said!r}; write 1, or leave it out")
        return said in YES or not self.settings.azure.subscription_id

    def serves(self, kind: EndpointKind) -> bool:
        """Whether it has an online endpoint, or a batch endpoint."""
        return getattr(self.settings.endpoints, kind) is not None

    def endpoint(self, kind: EndpointKind) -> str:
        """The name of its online or its batch endpoint: whoever needs one asks here.

        Raises:
            UsageError: it has none.
        """
        name: str | None = getattr(self.settings.endpoints, kind)
        if name is None:
            raise self._has_no(kind)
        return name

    @property
    def watched_endpoint(self) -> EndpointKind:
        """The endpoint whose requests are monitored: that of the settings, or else the online one."""
        online: EndpointKind = "online" if self.serves("online") else "batch"
        return self.settings.monitoring.endpoint or online

    @property
    def rollout(self) -> RolloutSettings:
        """How the traffic of its online endpoint moves.

        Raises:
            UsageError: it has no online endpoint.
        """
        if self.settings.rollout is None:
            raise self._has_no("online")
        return self.settings.rollout

    def _has_no(self, kind: EndpointKind) -> UsageError:
        instead = {
            "online": f"`mlops score --env {self.name}` scores tables with its batch endpoint",
            "batch": f"`mlops invoke --env {self.name}` sends rows to its online endpoint",
        }[kind]
        return UsageError(
            f"{self.document.path}:{self.document.line('endpoints')}: `{self.name}` has no "
            f"{kind} endpoint, `endpoints.{kind}` is missing; {instead}"
        )


@dataclass(frozen=True)
class Project:
    """The repository of one model."""

    root: Path
    settings: ProjectSettings

    @property
    def source(self) -> Path:
        """The code that travels with jobs and deployments."""
        return self.root / "src"

    @property
    def package(self) -> Path:
        """The model's own code."""
        return self.source / self.settings.package

    @property
    def contract(self) -> Path:
        """The data contract."""
        return self.root / "data" / "contract.yml"

    @property
    def sources(self) -> Path:
        """Where the data lies in Blob storage; a project of an older release has no such file."""
        return self.root / "data" / "sources.yml"

    @property
    def training_pipeline(self) -> Path:
        """The pipeline that `mlops train` submits."""
        return self.root / "pipelines" / "training.yml"

    def pipeline(self, name: str) -> Path:
        """The file of a pipeline that `mlops train --pipeline` can submit.

        Raises:
            UsageError: there is no such pipeline.
        """
        found = {path.stem: path for path in sorted(self.root.glob("pipelines/*.yml"))}
        if name not in found:
            known = ", ".join(found)
            raise UsageError(f"there is no pipeline `{name}` in pipelines/; write one of: {known}")
        return found[name]

    @property
    def deployment(self) -> Path:
        """The endpoints and deployments, in a folder per kind."""
        return self.root / "deployment"

    @property
    def state(self) -> Path:
        """The git-ignored folder that holds the local workspaces."""
        return self.root / ".mlops"

    @cached_property
    def environments(self) -> list[str]:
        """The environments' names in the order in which a model passes through them."""
        return list(self.settings.environments)

    def environment_file(self, name: str) -> Path:
        """Where the settings of an environment stand."""
        return self.root / "environments" / f"{name}.yml"

    def environment(self, name: str) -> Environment:
        """Read an environment.

        Raises:
            UsageError: there is no such environment.
            InvalidFile: its file says something wrong.
        """
        if name not in self.environments:
            known = ", ".join(self.environments)
            raise UsageError(f"there is no environment `{name}`; write one of: {known}")
        file = self.environment_file(name)
        if not file.is_file():
            raise UsageError(
                f"{self.root / 'pyproject.toml'}: `environments` names `{name}`, but {file} is missing"
            )
        document = read_yaml(file)
        settings = validate(document, EnvironmentSettings)
        if settings.name != name:
            problem = f"`name` is {settings.name!r}; write {name!r}, as the file is called"
            raise InvalidFile([document.finding(problem, "name")])
        return Environment(name, settings, document)

    def previous_environment(self, name: str) -> str | None:
        """Where a version must come from before it may enter `name`; None for the first."""
        index = self.environments.index(name)
        return self.environments[index - 1] if index else None

    def next_environment(self, name: str) -> str | None:
        """Where a version goes from `name`; None from the last."""
        index = self.environments.index(name) + 1
        return self.environments[index] if index < len(self.environments) else None


def find_project(start: Path | None = None) -> Project:
    """The project that `start` (default: the working directory) lies in.

    Raises:
        UsageError: no folder above holds a `pyproject.toml` with `[tool.mlops]`.
        InvalidFile: the table says something wrong.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file() and (table := _tool_mlops(file)) is not None:
            return Project(folder, _project_settings(file, table))
    raise UsageError(
        f"{start} is not in a project: no folder above has a pyproject.toml with [tool.mlops]; "
        "change into the project's folder"
    )


def _tool_mlops(file: Path) -> dict[str, Any] | None:
    try:
        table: dict[str, Any] | None = (
            tomllib.loads(file.read_text("utf-8")).get("tool", {}).get("mlops")
        )
    except tomllib.TOMLDecodeError as error:
        raise InvalidFile([Document(file, {}, {}).finding(f"this is not TOML: {error}")]) from None
    return table


def _project_settings(file: Path, table: dict[str, Any]) -> ProjectSettings:
    document = Document(file, table, {(): _line_of(file, "[tool.mlops]")})
    settings = validate(document, ProjectSettings)
    if len(set(settings.environments)) < len(settings.environments):
        raise InvalidFile([document.finding("`environments` names one twice")])
    return settings


def _line_of(file: Path, text: str) -> int:
    lines = file.read_text("utf-8").splitlines()
    return next((number for number, line in enumerate(lines, 1) if line.strip() == text), 1)
