"""Workspaces: where jobs run, models are registered and endpoints answer.

`Workspace` is the protocol; `open_workspace` is the only place that chooses what stands behind
it. The acts above receive a workspace and never ask which kind it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

from mlops.decisions import Decision, DecisionKind
from mlops.pipeline import Pipeline
from mlops.project import Environment, Project

Report = Callable[[str], None]
"""Takes one line about what is going on, for a person who waits."""

RETRAINED = "retraining"  # the tag of a version that a retraining made: the request for it
TRAINED = "trained"  # the tag of a version that was promoted: when it was trained


@dataclass(frozen=True)
class ModelVersion:
    """A registered model version with its lineage."""

    name: str
    number: int
    environment: str
    run_id: str
    created: str
    tags: dict[str, str]

    @property
    def metrics(self) -> dict[str, float]:
        """Its metrics on the held-out rows, from when it was trained."""
        return json.loads(self.tags.get("metrics", "{}"))  # type: ignore[no-any-return]

    @property
    def digest(self) -> str:
        """SHA-256 over the files of the model."""
        return self.tags.get("model_digest", "")

    @property
    def origin(self) -> str:
        """Where it was trained and its number there, such as `dev/7`."""
        return self.tags.get("origin") or f"{self.environment}/{self.number}"

    @property
    def trained(self) -> str:
        """When it was trained: ISO 8601 in UTC, to the second.

        Empty for a version that was promoted before 0.4.0.
        """
        at_home = self.origin == f"{self.environment}/{self.number}"
        return self.tags.get(TRAINED) or (self.created if at_home else "")

    def passed(self, test: str, environment: str | None = None) -> bool:
        """Whether it passed a test (`gate`, `rollout`) in an environment (default: its own)."""
        return self.tags.get(f"{test}.{environment or self.environment}") == "passed"

    def __str__(self) -> str:
        return f"{self.name} version {self.number}"


@dataclass(frozen=True)
class Deployment:
    """A model version behind an online endpoint."""

    name: str
    version: int
    created: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Endpoint:
    """An online endpoint: its deployments and the percentage of traffic that each one gets.

    `mirror` is the percentage of the traffic that is also copied to a deployment, whose answers
    no client sees.
    """

    name: str
    deployments: dict[str, Deployment] = field(default_factory=dict)
    traffic: dict[str, int] = field(default_factory=dict)
    mirror: dict[str, int] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def in_use(self) -> Deployment | None:
        """The deployment with most of the traffic; None where none has any."""
        shares = {name: share for name, share in self.traffic.items() if share}
        return self.deployments[max(shares, key=shares.__getitem__)] if shares else None


@dataclass(frozen=True)
class Response:
    """What an endpoint answered. `milliseconds` is the time that the client waited."""

    status: int
    body: str
    milliseconds: float
    deployment: str


@dataclass(frozen=True)
class Requests:
    """The requests that an endpoint got in some time; latencies in milliseconds, None without one.

    A client's mistake (status 4xx) is counted in `refused`, one of ours (5xx) in `errors`.
    """

    count: int = 0
    refused: int = 0
    errors: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True)
class StepResult:
    """How one step of a job went. `seconds` is 0 for a step that was reused."""

    name: str
    seconds: float
    reused: bool
    log: Path


@dataclass(frozen=True)
class Job:
    """A finished pipeline job."""

    name: str
    run_id: str
    steps: tuple[StepResult, ...]
    outputs: dict[str, Path]
    """The folder or file of each output, as `step.output`."""


@dataclass(frozen=True)
class Requirement:
    """Something that an environment needs in its workspace, and whether it is there.

    `remedy` is what to do where it is not there. What is `makeable` is made by
    `mlops workspaces apply`; the rest needs a person.
    """

    name: str
    satisfied: bool
    remedy: str
    makeable: bool = True


@dataclass(frozen=True)
class Location:
    """A path in a datastore of a workspace: that of a file, or of a folder of files."""

    datastore: str
    path: str
    type: Literal["uri_file", "uri_folder"]

    @property
    def is_folder(self) -> bool:
        """Whether files lie below the path."""
        return self.type == "uri_folder"

    def file(self, name: str) -> Location:
        """The file `name` in a folder; a file itself, whatever the name."""
        if not self.is_folder:
            return self
        return Location(self.datastore, f"{self.path}/{name}", "uri_file")

    def __str__(self) -> str:
        return f"azureml://datastores/{self.datastore}/paths/{self.path}"


@dataclass(frozen=True)
class StoredFile:
    """A file in a datastore: its name as seen from its location, its bytes, and their digest.

    The digest is the MD5 that the store keeps, or its ETag where it keeps none.
    """

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class DataVersion:
    """A registered version of a data asset: a name for what lies in a location."""

    name: str
    version: str
    location: Location
    created: str
    tags: dict[str, str]

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


class DataStore(Protocol):
    """The datastores of a workspace, and the data assets that are registered in it."""

    def files(self, location: Location) -> list[StoredFile]:
        """What lies there, in order of name; nothing where nothing does."""

    def names(self, location: Location) -> list[str]:
        """The names of the files below a folder, in order; `files` says more, and takes longer."""

    def upload(self, source: Path, location: Location, progress: Callable[[int], None]) -> None:
        """Replace the file of a location in one step; `progress` takes the bytes done so far.

        A broken upload leaves what was there.
        """

    def open(self, location: Location) -> BinaryIO:
        """The file of a location, to be read piece by piece, from any place."""

    def register(self, version: DataVersion) -> DataVersion:
        """Register a version; the same version again is not registered twice."""

    def versions(self, name: str) -> list[DataVersion]:
        """The versions of a data asset, oldest first; none where there is no such asset."""

    def reference(self, version: DataVersion) -> Path | str:
        """What a pipeline's input takes to read a version: a path, or the name of the asset."""


class Workspace(Protocol):
    """An Azure ML workspace, seen from one environment."""

    environment: Environment

    def requirements(self) -> list[Requirement]:
        """What the environment needs here; looks, and changes nothing."""

    def provide(self) -> None:
        """Make what is missing; what is there stays as it is."""

    def lock(self) -> AbstractContextManager[Any]:
        """Held while an act changes the workspace; a second act waits."""

    def data(self) -> DataStore:
        """Its datastores and data assets."""

    def submit(
        self, pipeline: Pipeline, inputs: dict[str, Any], *,
        cache: bool, report: Report, tags: dict[str, str] | None = None,
    ) -> Job:  # fmt: skip
        """Run a pipeline to its end. Raises `MlopsError` with the end of the failing step's log.

        `tags` are kept in the job's record.
        """

    def versions(self) -> list[ModelVersion]:
        """The model versions that are in this environment, oldest first."""

    def champion(self) -> ModelVersion | None:
        """The version that a challenger is compared with."""

    def set_champion(self, version: ModelVersion) -> None:
        """Make a version the champion of this environment."""

    def set_tags(self, version: ModelVersion, tags: dict[str, str]) -> ModelVersion:
        """Add tags to a version; the version as it is then."""

    def files(self, version: ModelVersion) -> Path:
        """A folder with the version's `model`, `evaluation`, `held_out` and `decision`."""

    def publish(self, version: ModelVersion) -> dict[str, str]:
        """Offer a version to the workspaces of other environments; tags that say where it is.

        Nothing where they share no registry: then the version is copied.
        """

    def receive(self, version: ModelVersion, files: Path, tags: dict[str, str]) -> ModelVersion:
        """Take in a version of another environment; the same version again is not taken twice.

        Its time of training comes with it, as the tag `trained`.
        """

    def endpoint(self) -> Endpoint:
        """The online endpoint as it is now; without deployments where none was made yet.

        Raises `UsageError` in an environment that has no online endpoint, as all acts on it do.
        """

    def create_deployment(self, name: str, version: ModelVersion) -> None:
        """Put a version behind the endpoint at 0 % of the traffic and start it."""

    def tag_deployment(self, name: str, tags: dict[str, str]) -> None:
        """Add tags to a deployment."""

    def delete_deployment(self, name: str) -> None:
        """Remove a deployment that has no traffic."""

    def set_traffic(
        self, traffic: dict[str, int], tags: dict[str, str], mirror: dict[str, int] | None = None
    ) -> None:
        """Replace the endpoint's traffic, tags and mirrored traffic in one step.

        Only deployments that exist; at most 50 % are mirrored, to one that gets no traffic.
        """

    def invoke(self, body: bytes, deployment: str | None = None, *, test: bool = False) -> Response:
        """Send a request through the endpoint's traffic, or to one deployment.

        One of a `test` of ours is not recorded: monitoring would take it for a client's.
        """

    def requests(self, start: datetime, end: datetime) -> Requests:
        """The requests that the online endpoint got from `start` to before `end`, both in UTC."""

    def watch(self, version: ModelVersion, report: Report) -> None:
        """Have the workspace's own monitor watch the deployment of a version, if it has one.

        That is the schedule of `monitoring/monitor.yml`. Again, it is brought up to date.
        """

    def serve(self, port: int, report: Report) -> None:
        """Serve the endpoint until interrupted."""

    def score(self, version: ModelVersion, source: Path, target: Path, report: Report) -> int:
        """Score a table in batches into a file; the number of rows."""

    def keep(self, decision: Decision) -> None:
        """Keep the record of a decision."""

    def decisions(self, kind: DecisionKind | None = None) -> list[Decision]:
        """The kept records, all or of one kind, oldest first."""

    def user_interface(self) -> tuple[str, list[str]]:
        """The address of the workspace's web page, and the command that serves it, if one must."""

    def close(self) -> None:
        """Stop what was started for this session."""


def open_workspace(project: Project, name: str) -> Workspace:
    """The workspace of an environment.

    Raises:
        UsageError: there is no such environment, or what opens its workspace is not installed.
    """
    environment = project.environment(name)
    if environment.is_local:
        from mlops.workspaces.local.workspace import LocalWorkspace

        return LocalWorkspace(project, environment)
    from mlops.workspaces.azure.workspace import open_azure_workspace

    return open_azure_workspace(project, environment)
