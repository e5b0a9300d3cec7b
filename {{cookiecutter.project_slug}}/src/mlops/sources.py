"""`data/sources.yml`: the data assets of the project, and where each lies in each environment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from mlops.documents import Document, Finding, Settings, did_you_mean, read_yaml, validate
from mlops.errors import UsageError
from mlops.pipeline import Pipeline
from mlops.project import Environment, Project
from mlops.workspaces import Location

TRAINING = "training"
"""The data asset that `mlops train` reads."""

GROUND_TRUTH = "ground_truth"
"""The data asset with the labels of what was predicted: tables with the id and the target."""

AssetName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$")]


class Place(Settings):
    """A datastore of the environment's workspace, and a path in its container."""

    datastore: str = Field(pattern=r"^[a-zA-Z0-9_]{1,255}$")
    path: str

    @field_validator("path")
    @classmethod
    def _lies_in_the_container(cls, path: str) -> str:
        if not all(re.match(r"[^.\s]", part) for part in path.split("/")) or re.search(
            r'[\\:*?"<>|]', path
        ):
            raise ValueError("write a path in the container, such as tables/training.parquet")
        return path


class Source(Settings):
    """One data asset. `environments` says where it lies in some of them, `default` in the rest."""

    type: Literal["uri_file", "uri_folder"]
    description: str = ""
    environments: dict[str, Place] = Field(default={})
    default: Place | None = None

    @model_validator(mode="after")
    def _lies_somewhere(self) -> Source:
        if not self.environments and self.default is None:
            raise ValueError("say under `environments` or `default` where it lies")
        return self

    def location(self, environment: str) -> Location | None:
        """Where it lies in an environment; None where the environment has none."""
        place = self.environments.get(environment, self.default)
        return Location(place.datastore, place.path, self.type) if place else None


class SourcesFile(Settings):
    """The whole file."""

    assets: dict[AssetName, Source]


@dataclass(frozen=True)
class Sources:
    """The data assets of a project, by name."""

    document: Document
    assets: dict[str, Source]

    def location(self, name: str, environment: str) -> Location:
        """Where a data asset lies in an environment.

        Raises:
            UsageError: there is no such asset, or the environment has none.
        """
        at = f"{self.document.path}:{self.document.line('assets', name)}"
        if name not in self.assets:
            raise UsageError(
                f"{at}: there is no data asset `{name}`{did_you_mean(name, self.assets)}"
            )
        location = self.assets[name].location(environment)
        if location is None:
            raise UsageError(
                f"{at}: `{name}` lies nowhere in {environment}; write its datastore and path "
                f"under `environments`, or a `default`"
            )
        return location


def load_sources(project: Project) -> Sources | None:
    """The project's data sources; None where the project has no such file.

    Raises:
        InvalidFile: with a finding for everything in it that is wrong.
    """
    if not project.sources.is_file():
        return None
    document = read_yaml(project.sources)
    return Sources(document, validate(document, SourcesFile).assets)


def check_sources(sources: Sources, environments: list[Environment]) -> Iterator[Finding]:
    """That the file names environments that exist, and the first has data of its own.

    Models are made in the first environment, where people see the data: it may not be that of
    production.
    """
    if TRAINING not in sources.assets:
        problem = f"no data asset is called `{TRAINING}`, which `mlops train` reads"
        hint = f"; rename {', '.join(f'`{name}`' for name in sources.assets) or 'one'}, or add it"
        yield sources.document.finding(problem + hint, "assets")
    known = [environment.name for environment in environments]
    for name, source in sources.assets.items():
        for environment in source.environments:
            if environment not in known:
                problem = (
                    f"there is no environment `{environment}`{did_you_mean(environment, known)}"
                )
                yield sources.document.finding(problem, "assets", name, "environments", environment)
        first = environments[0].name
        if other := same_data(source, environments):
            yield sources.document.finding(
                f"`{name}` is the same data in {first} as in {other}; {first} works with "
                "non-production data: write another place", "assets", name, "environments", first,
            )  # fmt: skip


def same_data(source: Source, environments: list[Environment]) -> str | None:
    """The first later environment that reads the very data of the first environment, if one does.

    Datastores of two workspaces may have one name, and stand for two containers.
    """
    first, *others = environments
    for other in others:
        if (
            other.settings.azure.workspace == first.settings.azure.workspace
            and source.location(other.name) == source.location(first.name) is not None
        ):
            return other.name
    return None


def check_type(sources: Sources, pipeline: Pipeline) -> Iterator[Finding]:
    """That the training pipeline's `data` is a file or a folder as the data asset is."""
    spec, source = pipeline.inputs.get("data"), sources.assets.get(TRAINING)
    wanted = spec.get("type", "uri_file") if isinstance(spec, dict) else None
    if source and wanted and wanted != source.type:
        problem = f"`data` of {pipeline.document.path.name} is a {wanted}: write the same in both"
        yield sources.document.finding(problem, "assets", TRAINING, "type")
