"""A workspace in a folder, behind the same protocol as one in Azure."""

from __future__ import annotations

import datetime
import sys
import time
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.decisions import Decision, DecisionKind, read_decision
from mlops.errors import MlopsError, Refused
from mlops.files import write_json
from mlops.git import commit_tags
from mlops.pipeline import Pipeline
from mlops.project import Environment, Project
from mlops.workspaces import (
    TRAINED,
    Endpoint,
    Job,
    ModelVersion,
    Report,
    Requests,
    Requirement,
    Response,
)
from mlops.workspaces.local.batch import score_in_batches
from mlops.workspaces.local.collector import HOST, CollectedFiles
from mlops.workspaces.local.data import LocalDataStore
from mlops.workspaces.local.endpoints import EndpointStore
from mlops.workspaces.local.jobs import JobRunner
from mlops.workspaces.local.model_server import free_port
from mlops.workspaces.local.request_log import count_requests
from mlops.workspaces.local.serving import Router, post
from mlops.workspaces.local.tracking import TrialRuns, create_store
from mlops.workspaces.locks import locked
from mlops.workspaces.registry import MODEL, Registry, quiet_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient


class LocalWorkspace:
    """A workspace in `.mlops/<workspace>`; environments that name the same workspace share it."""

    def __init__(self, project: Project, environment: Environment) -> None:
        self.project = project
        self.environment = environment
        self.folder = project.state / environment.settings.azure.workspace
        self._router: Router | None = None

    def lock(self) -> AbstractContextManager[None]:
        """Held while an act changes the workspace."""
        return locked(self.folder, self.environment.name)

    # --- what it needs ------------------------------------------------------------------------

    def requirements(self) -> list[Requirement]:
        """The store, the model's experiment in it, and the key of the online endpoint."""
        folder, model = self.folder.relative_to(self.project.root), self.environment.settings.model
        apply = f"mlops workspaces apply --env {self.environment.name}"
        found = [Requirement(f"workspace {folder.as_posix()}", self._store_file.is_file(), apply)]
        try:
            there = found[0].satisfied and self._find_experiment() is not None
            found.append(Requirement(f"experiment {model}", there, apply))
        except MlopsError as moved:
            found.append(Requirement(f"experiment {model}", False, str(moved), makeable=False))
        if self.environment.serves("online"):
            name = self.environment.endpoint("online")
            found.append(Requirement(f"online endpoint {name}", self._store.has_key(), apply))
        return found

    def provide(self) -> None:
        """Make the store, the experiment and the key."""
        _ = self._experiment
        if self.environment.serves("online"):
            self._store.key()

    # --- data ---------------------------------------------------------------------------------

    def data(self) -> LocalDataStore:
        """Its datastores and data assets, in folders."""
        return LocalDataStore(self._datastores)

    # --- jobs ---------------------------------------------------------------------------------

    def submit(
        self, pipeline: Pipeline, inputs: dict[str, Any], *,
        cache: bool, report: Report, tags: dict[str, str] | None = None,
    ) -> Job:  # fmt: skip
        """Run a pipeline to its end, as one MLflow run that all its steps log into."""
        experiment, client = self._experiment, self._client
        self._end_killed_runs(experiment)
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        run = client.create_run(
            experiment, run_name=f"{pipeline.name}-{stamp}",
            tags={**commit_tags(self.project.root), **(tags or {})},
        )  # fmt: skip
        run_id = run.info.run_id
        for name, value in inputs.items():
            client.log_param(run_id, name, self._shorten(value))
        runner = JobRunner(
            self.folder, pipeline, inputs, cache=cache, report=report,
            packages=self.project.root / "constraints.txt",
            variables={
                "MLFLOW_TRACKING_URI": self._tracking_uri,
                "MLFLOW_EXPERIMENT_ID": experiment,
                "MLFLOW_RUN_ID": run_id,
            },
            trials=TrialRuns(client, experiment, run_id),
            distributed=self.environment.settings.azure.distributed,
        )  # fmt: skip
        status = "FAILED"
        try:
            steps = runner.run()
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            for step, log in runner.logs.items():
                client.log_text(
                    run_id, log.read_text("utf-8", errors="replace"), f"logs/{step}.txt"
                )
            client.set_terminated(run_id, status)
        return Job(run.info.run_name or run_id, run_id, tuple(steps), runner.outputs)

    # --- models -------------------------------------------------------------------------------

    def versions(self) -> list[ModelVersion]:
        """The model versions that are in this environment, oldest first."""
        return self._registry.versions()

    def champion(self) -> ModelVersion | None:
        """The version that a challenger is compared with."""
        return self._registry.champion()

    def set_champion(self, version: ModelVersion) -> None:
        """Make a version the champion of this environment."""
        self._registry.set_champion(version)

    def set_tags(self, version: ModelVersion, tags: dict[str, str]) -> ModelVersion:
        """Add tags to a version; the version as it is then."""
        return self._registry.set_tags(version, tags)

    def files(self, version: ModelVersion) -> Path:
        """The artifacts of the run that the version was registered from."""
        folder = self._artifacts / version.run_id / "artifacts"
        if not (folder / MODEL).is_dir():
            raise MlopsError(f"the files of {version} are gone from {folder}; train it again")
        return folder

    def publish(self, version: ModelVersion) -> dict[str, str]:
        """Nothing: local workspaces share no registry, and a version is copied."""
        return {}

    def receive(self, version: ModelVersion, files: Path, tags: dict[str, str]) -> ModelVersion:
        """Copy a version into this workspace's registry; within one workspace only tag it."""
        if version.trained:
            tags = {**tags, TRAINED: version.trained}
        if files.is_relative_to(self._artifacts):
            return self._registry.set_tags(version, tags)
        experiment = self._experiment
        self._end_killed_runs(experiment)
        run = self._client.create_run(
            experiment, run_name=f"promotion-of-{version.origin.replace('/', '-')}"
        )
        self._client.log_artifacts(run.info.run_id, str(files))
        for name, value in version.metrics.items():
            if value is not None:
                self._client.log_metric(run.info.run_id, name, value)
        received = self._registry.register(run.info.run_id, {**version.tags, **tags})
        if received.run_id != run.info.run_id:  # It was there already, from before a crash.
            self._client.delete_run(run.info.run_id)
            return self._registry.set_tags(received, tags)
        self._client.set_terminated(run.info.run_id)
        return received

    # --- the online endpoint ------------------------------------------------------------------

    def endpoint(self) -> Endpoint:
        """The online endpoint as it is now."""
        return self._store.read()

    def create_deployment(self, name: str, version: ModelVersion) -> None:
        """Put a version behind the endpoint at 0 % of the traffic and start it."""
        file = self.project.root / "deployment" / "online" / "deployment.yml"
        self._store.create(name, version, file, self.files(version))
        self._routes.start_server(name)

    def tag_deployment(self, name: str, tags: dict[str, str]) -> None:
        """Add tags to a deployment."""
        self._store.tag(name, tags)

    def delete_deployment(self, name: str) -> None:
        """Remove a deployment that has no traffic."""
        self._store.delete(name)

    def set_traffic(
        self, traffic: dict[str, int], tags: dict[str, str], mirror: dict[str, int] | None = None
    ) -> None:
        """Replace the endpoint's traffic, tags and mirrored traffic in one step."""
        self._store.set_traffic(traffic, tags, mirror)

    def invoke(self, body: bytes, deployment: str | None = None, *, test: bool = False) -> Response:
        """Send a request over HTTP through the endpoint's traffic, or to one deployment."""
        self._routes.start_servers()  # so that no request waits for a server to start
        return post(self._routes.port, self._store.key(), body, deployment, test)

    def requests(self, start: datetime.datetime, end: datetime.datetime) -> Requests:
        """The requests that the online endpoint got, from the router's log."""
        return count_requests(self.data(), self.environment.endpoint("online"), start, end)

    def watch(self, version: ModelVersion, report: Report) -> None:
        """Nothing: here `mlops monitor` watches."""

    def serve(self, port: int, report: Report) -> None:
        """Serve the endpoint until interrupted."""
        endpoint = self._store.read()
        if not any(endpoint.traffic.values()):
            raise Refused(
                f"the endpoint {endpoint.name} has no deployment that gets traffic; run "
                f"`mlops deploy --env {self.environment.name}` and "
                f"`mlops rollout --env {self.environment.name}` first"
            )
        router = self._router = Router(self._store, port, self._collected)
        router.start_servers()
        if port not in (0, router.port):
            report(f"port {port} is in use; taking {router.port}")
        report(f"{endpoint.name} answers at http://{HOST}:{router.port}/score")
        report(f"its key is in {self._store.folder / 'key'}")
        report("Ctrl-C ends it")
        while True:  # in short waits, which Ctrl-C interrupts on every system
            time.sleep(1)

    # --- batches, records, the rest -----------------------------------------------------------

    def score(self, version: ModelVersion, source: Path, target: Path, report: Report) -> int:
        """Score a table in batches into a file; the number of rows."""
        file = self.project.root / "deployment" / "batch" / "deployment.yml"
        return score_in_batches(file, self.folder, self.files(version), source, target, report)

    def keep(self, decision: Decision) -> None:
        """Keep the record of a decision, in a file of its own."""
        stamp = f"{time.time_ns():020d}-{decision.environment}-{decision.kind}"
        write_json(self.folder / "decisions" / f"{stamp}.json", decision.record())

    def decisions(self, kind: DecisionKind | None = None) -> list[Decision]:
        """The kept records of this environment, all or of one kind, oldest first."""
        names = f"*-{self.environment.name}-{kind or '*'}.json"
        return [read_decision(file) for file in sorted((self.folder / "decisions").glob(names))]

    def user_interface(self) -> tuple[str, list[str]]:
        """MLflow's own page, on a free port."""
        create_store(self._store_file, self._artifacts)
        port = free_port()
        return f"http://{HOST}:{port}", [
            sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", self._tracking_uri,
            "--host", HOST, "--port", str(port),
        ]  # fmt: skip

    def close(self) -> None:
        """Stop the servers of this session."""
        if self._router:
            self._router.close()
            self._router = None

    # --- inside -------------------------------------------------------------------------------

    @property
    def _store_file(self) -> Path:
        return self.folder / "mlflow.db"

    @property
    def _tracking_uri(self) -> str:
        return f"sqlite:///{self._store_file.as_posix()}"

    @property
    def _artifacts(self) -> Path:
        return self.folder / "artifacts"

    @property
    def _datastores(self) -> Path:
        return self.folder / "data"

    @property
    def _collected(self) -> CollectedFiles:
        return CollectedFiles(self._datastores, self.environment.endpoint("online"))

    @cached_property
    def _store(self) -> EndpointStore:
        return EndpointStore(self.folder / "endpoints", self.environment.endpoint("online"))

    @property
    def _routes(self) -> Router:
        if self._router is None:
            self._router = Router(self._store, collected=self._collected)
        return self._router

    @cached_property
    def _client(self) -> MlflowClient:
        quiet_mlflow()
        from mlflow import MlflowClient

        create_store(self._store_file, self._artifacts)
        return MlflowClient(self._tracking_uri)

    @cached_property
    def _registry(self) -> Registry:
        return Registry(self._client, self.environment)

    @cached_property
    def _experiment(self) -> str:
        name = self.environment.settings.model
        return self._find_experiment() or str(
            self._client.create_experiment(name, self._artifacts.as_uri())
        )

    def _find_experiment(self) -> str | None:
        found = self._client.get_experiment_by_name(self.environment.settings.model)
        if found and found.artifact_location != self._artifacts.as_uri():
            raise MlopsError(
                f"this project was moved: its local workspace {self.folder} still names "
                f"{found.artifact_location}; move the project back, or run `make clean` and train again"
            )
        return str(found.experiment_id) if found else None

    def _end_killed_runs(self, experiment: str) -> None:
        """Runs that were going on when their command was killed; we hold the lock, so none is."""
        for run in self._client.search_runs([experiment], "attributes.status = 'RUNNING'"):
            self._client.set_terminated(run.info.run_id, "KILLED")

    def _shorten(self, value: Any) -> Any:
        if isinstance(value, Path) and value.is_relative_to(self.project.root):
            return value.relative_to(self.project.root).as_posix()
        return value
