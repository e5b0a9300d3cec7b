"""Jobs and their steps, and what becomes of them."""

from __future__ import annotations

import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mlops.workspaces.local.processes import start, stop
from tests.azure.messages import API, Refusal
from tests.azure.resources import Resource

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn

MLFLOW_STATUS = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}


class StepFailed(Exception):
    """A step ended with an exit status other than 0."""


@dataclass
class Run:
    """A job, or a step of one, and what became of it."""

    resource: Resource
    workspace: str
    kind: str
    parent: Run | None = None
    children: list[Run] = field(default_factory=list)
    outputs: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The type and the URI of each."""
    logs: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    error: str = ""

    @property
    def name(self) -> str:
        return str(self.resource["name"])

    @property
    def properties(self) -> dict[str, Any]:
        found: dict[str, Any] = self.resource["properties"]
        return found

    @property
    def experiment(self) -> str:
        return str(self.properties["experimentName"])

    @property
    def canceled(self) -> bool:
        return bool(self.properties["status"] == "Canceled")

    def stop(self) -> None:
        """End its process, if it runs one."""
        if self.process:
            stop(self.process)


class Runs:
    """The runs of all workspaces, by their names."""

    def __init__(self, azure: StandIn) -> None:
        self._azure = azure
        self._known: dict[str, Run] = {}
        self._stopped = False

    def __getitem__(self, name: str) -> Run:
        """A run, or the refusal that says that there is none."""
        if name not in self._known:
            raise Refusal(404, "UserError", f"Run {name} was not found.")
        return self._known[name]

    def add(self, resource: Resource, workspace: str, kind: str, parent: Run | None = None) -> Run:
        """A run of a job that was made."""
        run = Run(resource, workspace, kind, parent)
        self._known[run.name] = run
        studio = f"https://ml.azure.com/runs/{run.name}?wsid={workspace}"
        run.properties.setdefault("experimentName", "Default")
        services = {"Studio": {"jobServiceType": "Studio", "endpoint": studio},
                    "Tracking": {"jobServiceType": "Tracking", "endpoint": f"azureml://{API}"}}  # fmt: skip
        run.properties.update(status="NotStarted", services=services)
        if parent:
            parent.children.append(run)
            run.properties.setdefault("properties", {})["azureml.parentRunId"] = parent.name
        return run

    def add_step(self, parent: Run, name: str) -> Run:
        """A run for a step of a job, which MLflow knows, too."""
        body = {"properties": {"jobType": "Command", "displayName": name, "tags": {}, "properties": {},
                               "experimentName": parent.experiment}}  # fmt: skip
        path = f"{parent.workspace}/jobs/{uuid.uuid4()}"
        with self._azure.lock:
            resource = self._azure.resources.write(path, body, "compute")
            step = self.add(resource, parent.workspace, "azureml.StepRun", parent)
        tags = {"mlflow.parentRunId": parent.name, "mlflow.rootRunId": parent.name}
        self._azure.tracking.start_run(parent.workspace, step.name, parent.experiment, name, tags)
        return step

    # Processes

    def wait_for(
        self, run: Run, command: list[str], folder: Path, log: IO[bytes], environment: dict[str, str]
    ) -> int:  # fmt: skip
        """Run a command to its end, or to that of the run; its exit status."""
        if self._stopped:
            raise StepFailed("the machines were stopped")
        run.process = start(command, folder=folder, log=log, environment=environment)
        if self._stopped or run.canceled:  # meanwhile: whoever said so saw no process
            run.stop()
        return run.process.wait()

    def cancel(self, name: str) -> None:
        """End a job at once."""
        run = self[name]
        for each in [*run.children, run]:
            self.set_status(each, "Canceled")
            each.stop()

    def stop(self) -> None:
        """End all that runs; nothing more is started."""
        self._stopped = True
        for run in list(self._known.values()):
            run.stop()

    # What is known of a run

    def set_status(self, run: Run, status: str) -> None:
        """Change the status of a run that has not ended."""
        with self._azure.lock:
            if run.properties["status"] not in MLFLOW_STATUS:
                run.properties["status"] = status

    def end(self, run: Run, status: str) -> None:
        """End a run that MLflow knows: with this status, if it has not ended before."""
        self.set_status(run, status)
        final = MLFLOW_STATUS[run.properties["status"]]
        self._azure.tracking.end_run(run.workspace, run.name, final)

    def keep_log(self, run: Run, path: str, log: Path) -> None:
        """Put a log where the workspace keeps those of a run."""
        storage = self._azure.storage
        store = "azureml://datastores/workspaceartifactstore/paths"
        where = f"{store}/ExperimentRun/dcid.{run.name}/{path}"
        storage.upload(log, where, run.workspace)
        run.logs[path] = storage.address(storage.locate(where, run.workspace))

    def note(self, run: Run, folder: Path, text: str) -> None:
        """Add a line to the log of a pipeline job, which says nothing of what its steps print."""
        log = folder / "executionlogs.txt"
        with log.open("a") as stream:
            stream.write(f"[{time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime())}] {text}\n")
        self.keep_log(run, "logs/azureml/executionlogs.txt", log)
