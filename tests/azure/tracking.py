"""MLflow behind the workspaces: runs whose ids are the names of jobs.

MLflow chooses the ids of its runs, where Azure takes the names of jobs: so the ids in what passes
are translated.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from tests.azure.messages import API, Answer, Request

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn

REST = "/api/2.0/mlflow"


class Tracking:
    """A workspace of the MLflow server for each workspace of Azure."""

    def __init__(self, azure: StandIn) -> None:
        self._azure = azure
        self._workspaces: dict[str, str] = {}
        self._runs: dict[str, str] = {}
        """MLflow's id of a run, by the name of its job."""

    def answer(self, request: Request, workspace: str, rest: str) -> Answer:
        """Pass a request of a client to MLflow."""
        if not rest.startswith("/api/2.0/"):
            return Answer(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": "No such endpoint."})
        query = urlsplit(request.target).query
        path = rest + (f"?{self._to_mlflow(query)}" if query else "")
        content = self._to_mlflow(request.content.decode()).encode() if request.content else None
        status, text = self.ask(workspace, request.method, path, content)
        answer = json.loads(text) if text else {}
        if status == 200 and request.method != "GET" and "model" in rest:
            self._azure.model_versions.from_mlflow(workspace)
        return Answer(status, json.dumps(_with_artifact_uris(answer, workspace)).encode())

    def ask(
        self, workspace: str, method: str, path: str, content: bytes | None = None
    ) -> tuple[int, str]:
        """Ask MLflow, with its own ids; the status and the answer, with those of Azure."""
        key = workspace.lower()
        with self._azure.lock:
            if key not in self._workspaces:
                self._workspaces[key] = f"w{uuid.uuid4().hex[:16]}"
                self._azure.mlflow.make_workspace(self._workspaces[key])
        status, answer = self._azure.mlflow.call(self._workspaces[key], method, path, content)
        return status, self._to_azure(answer.decode())

    def call(self, workspace: str, method: str, path: str, **body: Any) -> dict[str, Any]:
        """Ask MLflow, as Azure itself does, for what must not fail; `path` follows `REST`."""
        content = self._to_mlflow(json.dumps(body)).encode() if method != "GET" else None
        status, text = self.ask(workspace, method, f"{REST}/{self._to_mlflow(path)}", content)
        assert status == 200, f"{path}: {text}"
        answer: dict[str, Any] = json.loads(text)
        return answer

    def start_run(
        self, workspace: str, name: str, experiment: str, shown: str, tags: dict[str, str]
    ) -> str:
        """Start a run whose id is the name of a job; the id of its experiment."""
        number = self._experiment(workspace, experiment)
        run = self.call(
            workspace, "POST", "runs/create", experiment_id=number, run_name=shown,
            start_time=int(time.time() * 1000),
            tags=[{"key": key, "value": str(value)} for key, value in tags.items()],
        )["run"]  # fmt: skip
        self._runs[name] = run["info"]["run_id"]
        return number

    def _experiment(self, workspace: str, name: str) -> str:
        """The id of an experiment, made when it is first asked for."""
        path = f"{REST}/experiments/get-by-name?{urlencode({'experiment_name': name})}"
        status, text = self.ask(workspace, "GET", path)
        if status == 200:
            return str(json.loads(text)["experiment"]["experiment_id"])
        return str(self.call(workspace, "POST", "experiments/create", name=name)["experiment_id"])

    def end_run(self, workspace: str, name: str, status: str) -> None:
        """Set the status of a run: FINISHED, FAILED or KILLED."""
        now = int(time.time() * 1000)
        self.call(workspace, "POST", "runs/update", run_id=name, status=status, end_time=now)

    def metrics(self, workspace: str, name: str) -> dict[str, float]:
        """The metrics of a run."""
        run = self.call(workspace, "GET", f"runs/get?run_id={name}")["run"]
        return {metric["key"]: metric["value"] for metric in run["data"].get("metrics", [])}

    def _to_mlflow(self, text: str) -> str:
        return re.sub(r"[\w.-]+", lambda word: self._runs.get(word[0], word[0]), text)

    def _to_azure(self, text: str) -> str:
        names = {mlflow: azure for azure, mlflow in self._runs.items()}
        return re.sub(r"[0-9a-f]{32}", lambda word: names.get(word[0], word[0]), text)


def _with_artifact_uris(value: Any, workspace: str) -> Any:
    """Runs as Azure gives them: their artifacts are to be had from the workspace."""
    if isinstance(value, list):
        return [_with_artifact_uris(part, workspace) for part in value]
    if not isinstance(value, dict):
        return value
    value = {key: _with_artifact_uris(part, workspace) for key, part in value.items()}
    if "artifact_uri" in value and "run_id" in value:
        value["artifact_uri"] = (f"azureml://{API}/mlflow/v2.0{workspace}/experiments/"
                                 f"{value['experiment_id']}/runs/{value['run_id']}/artifacts")  # fmt: skip
    return value
