"""The history of runs, as jobs.stream, jobs.list(parent_job_name=...) and jobs.download read it."""

from __future__ import annotations

import re
from typing import Any

from tests.azure.messages import Answer, Refusal, Request
from tests.azure.resources import PROVIDER
from tests.azure.runs import Run, Runs

TYPES = {"uri_file": "UriFile", "uri_folder": "UriFolder", "mlflow_model": "MLFlowModel"}


class RunHistory:
    """Tells what is known of runs."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def answer(self, request: Request, rest: str) -> Answer:
        """Answer a request for what follows a workspace's path."""
        if rest == "/rundata":
            return Answer(200, {"runMetadata": _metadata(self._runs[request.body["runId"]])})
        if rest.endswith("/batchGetResolvedUris"):
            wanted = next(value for value in request.body.values() if isinstance(value, list))
            return Answer(200, {"values": {asset: self._output(asset) for asset in wanted}})
        found = re.search(r"/runs/(?P<name>[^/]+)(?P<what>/\w+)?$", rest)
        if not found:
            raise Refusal(404, "NotFound", f"The stand-in does not know {request.path}.")
        run = self._runs[found["name"]]
        if found["what"] == "/children":
            return Answer(200, {"value": [_metadata(child) for child in run.children]})
        return Answer(200, _metadata(run))

    def _output(self, asset: str) -> dict[str, str]:
        """Where an output lies, by the id that `_metadata` gives it."""
        name, _, output = asset.rpartition("/")
        run = self._runs[name]
        kind, short = run.outputs[output]
        group, name = run.workspace.partition(PROVIDER)[0], run.workspace.rpartition("/")[2]
        uri = short.replace("azureml:/", f"azureml:/{group}/workspaces/{name}", 1)
        return {"uri": uri, "path": uri, "type": kind}


def _metadata(run: Run) -> dict[str, Any]:
    properties = run.properties
    return {
        "runId": run.name, "runUuid": run.name, "displayName": properties.get("displayName"),
        "status": properties["status"], "runType": run.kind, "logFiles": dict(run.logs),
        "parentRunId": run.parent and run.parent.name, "rootRunId": (run.parent or run).name,
        "tags": properties.get("tags") or {}, "properties": properties.get("properties") or {},
        "createdUtc": run.resource["systemData"]["createdAt"], "experimentId": "0", "target": "",
        "outputs": {name: {"assetId": f"{run.name}/{name}", "type": TYPES.get(kind, "CustomModel")}
                    for name, (kind, _) in run.outputs.items()},
        "error": {"error": {"code": "UserError", "message": run.error}} if run.error else None,
    }  # fmt: skip
