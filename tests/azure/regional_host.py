"""The host of a region, eastus.api.azureml.ms: which part of a workspace answers a request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.azure.messages import Answer, Refusal, Request
from tests.azure.storage import Place

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn

DISCOVERY = re.compile(r"/registrymanagement/v1.0/registries/([^/]+)/discovery")
OWNED = re.compile(
    r"/(?P<service>[a-z]+)/v[\d.]+(?P<owner>/subscriptions/.+?/(?:workspaces|registries)/[^/]+)"
    r"(?P<rest>/.*)"
)
ARTIFACTS = re.compile(r"/experiments/[^/]+/runs/(?P<run>[^/]+)/artifacts(?P<rest>/.*)?")


class RegionalHost:
    """Answers for MLflow, the artifacts and the history of runs, and the addresses of registries."""

    def __init__(self, azure: StandIn) -> None:
        self._azure = azure

    def answer(self, request: Request) -> Answer:
        if found := DISCOVERY.fullmatch(request.path):
            return Answer(200, self._azure.registries.discover(found[1]))
        found = OWNED.fullmatch(request.path)
        if not found:
            raise Refusal(404, "NotFound", f"The stand-in does not know {request.path}.")
        self._azure.scopes.check(found["owner"])
        workspace, rest = self._azure.resources.find(found["owner"])["id"], found["rest"]
        if found["service"] == "mlflow":
            return self._azure.tracking.answer(request, workspace, rest)
        if artifacts := ARTIFACTS.fullmatch(rest):
            prefix = f"ExperimentRun/dcid.{artifacts['run']}"
            return self._artifacts(request, workspace, prefix, artifacts["rest"])
        if found["service"] == "artifact":
            _, _, origin, container, *below = rest.split("/")
            prefix = f"{origin}/{container}"
            return self._artifacts(request, workspace, prefix, "/" + "/".join(below))
        return self._azure.machines.history.answer(request, rest)

    def _artifacts(self, request: Request, workspace: str, prefix: str, rest: str | None) -> Answer:
        """List the artifacts below a prefix, say where some may be written, or where one is."""
        storage = self._azure.storage
        account = storage.account(workspace)
        store = storage.containers(workspace)["workspaceartifactstore"]
        client = storage.client(account).get_container_client(store)
        origin, container = prefix.split("/")

        def information(path: str) -> dict[str, Any]:
            address = storage.address(Place(account, store, f"{prefix}/{path}"))
            return {"contentUri": address, "path": path, "origin": origin, "container": container}

        if rest in (None, "", "/"):
            names = [blob.name for blob in client.list_blobs(name_starts_with=f"{prefix}/")]
            return Answer(200, {"value": [information(name[len(prefix) + 1 :]) for name in names]})
        if rest == "/batch/metadata":
            made = {path["path"]: information(path["path"]) for path in request.body["paths"]}
            return Answer(
                200, {"artifactContentInformation": made, "artifacts": made, "errors": {}}
            )
        path = request.query.get("path", "")
        if rest == "/contentinfo" and client.get_blob_client(f"{prefix}/{path}").exists():
            return Answer(200, information(path))
        raise Refusal(404, "UserError", f"There is no artifact {path} ({rest}).")
