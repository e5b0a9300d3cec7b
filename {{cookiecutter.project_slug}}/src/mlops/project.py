"""What the project's files say: its name, its package, its environments and their settings."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mlops.documents import Document, InvalidFile, Settings, read_yaml, validate
from mlops.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class AzureSettings(Settings):
    """Where the environment lies in Azure. An empty subscription means a local workspace."""

    subscription_id: str = ""
    location: str = ""
    resource_group: str
    workspace: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}$")


EndpointName = Annotated[
    str, Field(min_length=3, max_length=32, pattern=r"^[a-zA-Z](-?[a-zA-Z0-9])*$")
]


class EndpointNames(Settings):
    """The names of the environment's endpoints."""

    online: EndpointName
    batch: EndpointName


class ChampionRule(Settings):
    """How far a challenger may fall behind the champion, and how sure we must be that it doesn't.

    `margin` is in the metric's unit; `confidence` is that of the one-sided bound. `incomparable`
    says what becomes of a challenger whose data, target or split the champion does not share.
    """

    metric: str
    margin: float = Field(ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    incomparable: Literal["refuse", "accept"] = "refuse"


class SliceRule(Settings):
    """Floors that hold in every slice of at least `minimum_rows` rows."""

    floors: dict[str, float] = Field(default={})
    minimum_rows: int = Field(default=30, ge=1)


class GateSettings(Settings):
    """What a model version must reach. A floor of an error metric is the greatest error."""

    floors: dict[str, float] = Field(min_length=1)
    champion: ChampionRule
    slices: SliceRule = SliceRule()


class RolloutSettings(Settings):
    """The share of traffic, in percent, that a new deployment gets in each stage, and its test."""

    stages: tuple[int, ...] = Field(min_length=1)
    requests_per_stage: int = Field(default=20, ge=1, le=10_000)
    p95_ms: float = Field(gt=0)

    @field_validator("stages")
    @classmethod
    def _ascend_to_100(cls, stages: tuple[int, ...]) -> tuple[int, ...]:
        if list(stages) != sorted(set(stages)) or stages[0] < 1 or stages[-1] != 100:
            raise ValueError("write ascending percentages that end with 100, such as [10, 50, 100]")
        return stages


class EnvironmentSettings(Settings):
    """`environments/<name>.yml`."""

    name: str
    description: str = ""
    model: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$")
    azure: AzureSettings
    endpoints: EndpointNames
    tests: tuple[Literal["gate", "rollout"], ...] = ("gate", "rollout")
    gate: GateSettings
    rollout: RolloutSettings

    @model_validator(mode="after")
    def _gate_is_tested(self) -> EnvironmentSettings:
        if "gate" not in self.tests:
            raise ValueError("`tests` must name `gate`: no version comes in without it")
        return self


@dataclass(frozen=True)
class Environment:
    """A DevOps environment of the project: its name and its settings."""

    name: str
    settings: EnvironmentSettings
    document: Document

    @property
    def is_local(self) -> bool:
        """Whether its workspace is a folder on this machine."""
        return not self.settings.azure.subscription_id or bool(os.environ.get("MLOPS_LOCAL"))


class ProjectSettings(Settings):
    """`[tool.mlops]` in `pyproject.toml`."""

    package: str
    environments: tuple[str, ...] = Field(min_length=1)


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
    def training_pipeline(self) -> Path:
        """The pipeline that `mlops train` submits."""
        return self.root / "pipelines" / "training.yml"

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
