"""Batch endpoints: jobs that score the files of a folder."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.azure.commands import run_command
from tests.azure.machine import code_of
from tests.azure.messages import SCORING, Answer, Refusal, Request
from tests.azure.online_endpoints import DEPLOYMENT_HEADER
from tests.azure.resources import Resource, plain_id
from tests.azure.runs import Run, Runs, StepFailed
from tests.conftest import SCRATCH

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn

INPUT_TYPES = {"UriFolder": "uri_folder", "UriFile": "uri_file"}
# What Azure's batch driver does with `append_row`: it gives `run` so many files at once, in no
# order that one may rely on, and writes tables without a header, with spaces between the columns.
DRIVER = """
import importlib.util, pathlib, sys
script, folder, output, size = sys.argv[1:]
spec = importlib.util.spec_from_file_location("entry_module", script)
entry = importlib.util.module_from_spec(spec)
spec.loader.exec_module(entry)
entry.init()
files = sorted(str(path) for path in pathlib.Path(folder).rglob("*") if path.is_file())
batches = [files[start:start + int(size)] for start in range(0, len(files), int(size))]
with open(output, "w", newline="") as stream:
    for batch in reversed(batches):
        rows = entry.run(batch)
        if hasattr(rows, "to_csv"):
            rows.to_csv(stream, sep=" ", header=False, index=False)
        else:
            stream.writelines(f"{row}\\n" for row in rows)
"""


class BatchEndpoints:
    """Scores in the background."""

    def __init__(self, azure: StandIn, runs: Runs) -> None:
        self._azure, self._runs = azure, runs
        self._jobs: dict[str, list[Resource]] = {}

    def jobs(self, endpoint: str) -> list[Resource]:
        """The jobs that an endpoint was asked for."""
        return self._jobs.get(endpoint.lower(), [])

    def invoke(self, request: Request) -> Answer:
        """Start a job that scores the files of its input."""
        name = request.host.removesuffix(SCORING)
        endpoint = self._azure.resources.ending(f"/batchEndpoints/{name}")
        if endpoint is None:
            raise Refusal(404, "NotFound", f"There is no endpoint {name}.")
        defaults = endpoint["properties"].get("defaults") or {}
        chosen = str(request.headers.get(DEPLOYMENT_HEADER) or defaults.get("deploymentName"))
        deployment = self._azure.resources.find(f"{endpoint['id']}/deployments/{chosen}")
        workspace = endpoint["id"].split("/batchEndpoints/")[0]
        body = {"properties": _job(request.body["properties"], name, chosen)}
        path = f"{workspace}/jobs/batchjob-{uuid.uuid4()}"
        with self._azure.lock:
            job = self._azure.resources.write(path, body, request.identity)
            run = self._runs.add(job, workspace, "azureml.PipelineRun")
        self._jobs.setdefault(endpoint["id"].lower(), []).append(job)
        self._azure.background(lambda: self._execute(run, deployment["properties"]))
        return Answer(201, {"id": job["id"], "name": job["name"], "type": job["type"],
                            "properties": {"status": "NotStarted"}})  # fmt: skip

    def _execute(self, run: Run, deployment: dict[str, Any]) -> None:
        folder, status = Path(tempfile.mkdtemp(dir=SCRATCH)), "Completed"
        self._azure.tracking.start_run(run.workspace, run.name, run.experiment, run.name, {})
        step = self._runs.add_step(run, "batchscoring")
        try:
            self._score(run, step, deployment, folder)
        except Exception as error:
            status = "Failed"
            run.error = str(error) if isinstance(error, StepFailed) else repr(error)
        for each in (step, run):
            self._runs.end(each, status)
        shutil.rmtree(folder, ignore_errors=True)

    def _score(self, run: Run, step: Run, deployment: dict[str, Any], folder: Path) -> None:
        """Run the driver with the script and the model of a deployment."""
        storage, workspace = self._azure.storage, run.workspace
        script = deployment["codeConfiguration"]
        code = code_of(self._azure, script["codeId"], workspace, folder)
        model_id = deployment["model"].get("assetId") or deployment["model"].get("path")
        model = storage.download(plain_id(model_id), workspace, folder / "model")
        (given,) = run.properties["inputs"].values()
        pieces = storage.download(plain_id(given["uri"]), workspace, folder / "input")
        for each in (run, step):
            self._runs.set_status(each, "Running")
        output = folder / "score" / (deployment.get("outputFileName") or "predictions.csv")
        output.parent.mkdir()
        arguments = [sys.executable, "-c", DRIVER, str(code / script["scoringScript"]),
                     str(pieces), str(output), str(deployment.get("miniBatchSize") or 10)]  # fmt: skip
        variables = {
            "PYTHONPATH": str(code), "AZUREML_MODEL_DIR": str(model.parent),
            "AZUREML_BI_OUTPUT_PATH": str(output.parent),
            **(deployment.get("environmentVariables") or {}),
        }  # fmt: skip
        spec = {"command": shlex.join(arguments), "environment_variables": variables}
        run_command(self._azure, step, spec, {}, folder / "run", "0")
        uri = f"azureml://datastores/workspaceblobstore/paths/azureml/{step.name}/score"
        storage.upload(output.parent, uri, workspace)
        step.outputs["score"] = "uri_folder", uri


def _job(asked: dict[str, Any], endpoint: str, deployment: str) -> dict[str, Any]:
    """The properties of a job for what an endpoint is asked."""
    inputs = {key: {**value, "jobInputType": INPUT_TYPES.get(value["jobInputType"], value["jobInputType"])}
              for key, value in asked["inputData"].items()}  # fmt: skip
    return {"jobType": "Pipeline", "displayName": asked.get("name") or deployment,
            "experimentName": endpoint, "properties": {}, "inputs": inputs,
            "tags": {"azureml.batchrun": "true"}}  # fmt: skip
