"""Azure Resource Manager: the resources of Azure Machine Learning, one by one and in pages."""

from __future__ import annotations

import copy
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from tests.azure.changes import change
from tests.azure.faults import Fault
from tests.azure.messages import Answer, Refusal, Request
from tests.azure.metrics import METRICS
from tests.azure.operations import LONG_RUNNING
from tests.azure.resources import ASSETS, PROVIDER, Resource, kinds_of
from tests.azure.scopes import AUTHORIZATION, GROUP

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn

PAGE = 2  # resources; few, so that clients have to ask for a second page


class ResourceManager:
    """Answers for management.azure.com, and for the same requests at the host of a region."""

    def __init__(self, azure: StandIn) -> None:
        self._azure = azure

    def answer(self, request: Request, fault: Fault | None) -> Answer:
        """Answer a request, one at a time.

        Args:
            request: what is asked.
            fault: with which an operation or a job fails that the request starts.
        """
        with self._azure.lock:
            answer = self._route(request, fault)
            answer.content = copy.deepcopy(answer.content)  # what follows may change it
            return answer

    def _route(self, request: Request, fault: Fault | None) -> Answer:
        path, scopes = request.path, self._azure.scopes
        if f"{AUTHORIZATION}/roleAssignments".lower() in path.lower():
            return scopes.answer_for_roles(request)
        if answer := self._azure.operations.answer(path):
            return answer
        if path.lower().endswith(METRICS):
            self._azure.resources.find(path[: -len(METRICS)])
            return self._azure.metrics.answer(request)
        if request.method == "PUT" and GROUP.fullmatch(path):
            scopes.add_group(path.split("/")[4])
        scopes.check(path)
        if PROVIDER.lower() not in path.lower():
            return scopes.answer(request)
        before, below = re.split(PROVIDER, path, maxsplit=1, flags=re.IGNORECASE)
        parts = below.split("/")
        if len(parts) > 2:  # what lies in a workspace or registry that is not there, is not there
            self._azure.resources.find(f"{before}{PROVIDER}{parts[0]}/{parts[1]}")
        if request.method == "POST":
            return self._act(request, path.rpartition("/")[0], parts[-1].lower(), fault)
        if len(parts) % 2:
            return self._list(request)
        if "/tempdatarefs/" in path:
            return Answer(200, self._azure.storage.pending_upload(path))
        if request.method == "GET":
            return self._read(path)
        if request.method == "DELETE":
            return self._delete(request, fault)
        return change(self._azure, request, fault)

    def _read(self, path: str) -> Answer:
        if asset := self._azure.resources.asset(path):
            return Answer(200, asset)
        found = self._azure.resources.find(path)
        return Answer(200, found, {"ETag": found["etag"]})

    def _delete(self, request: Request, fault: Fault | None) -> Answer:
        path, kinds = request.path, kinds_of(request.path)
        resources = self._azure.resources
        old = resources.get(path.lower())
        if old is None:
            return Answer(204)
        if kinds[1:] == ["onlineendpoints", "deployments"]:
            endpoint = resources.find(path.rpartition("/deployments/")[0])["properties"]
            if (endpoint.get("traffic") or {}).get(old["name"]):
                raise Refusal(
                    400, "UserError", "A deployment that gets traffic can not be deleted."
                )
        headers = self._azure.operations.start(old, "Deleting", None, fault)[1]
        if not fault:
            for key in [key for key in resources if f"{key}/".startswith(f"{path.lower()}/")]:
                self._azure.machines.online.remove(resources.pop(key))
        return Answer(202 if "/".join(kinds) in LONG_RUNNING else 200, None, headers)

    # Lists

    def _list(self, request: Request) -> Answer:
        found = _chosen(self._collection(request.path), request.query)
        start = int(request.query.get("$skip", 0))
        page: dict[str, Any] = {"value": found[start : start + PAGE]}
        if start + PAGE < len(found):
            following = urlencode({**request.query, "$skip": start + PAGE})
            page["nextLink"] = f"https://{request.host}{urlsplit(request.target).path}?{following}"
        return Answer(200, page)

    def _collection(self, path: str) -> list[Resource]:
        kinds = kinds_of(path)
        if kinds[-1] in ASSETS:
            return self._azure.resources.assets(path)
        if kinds == ["workspaces", "batchendpoints", "jobs"]:
            return self._azure.machines.batch.jobs(path.rpartition("/")[0])
        found = self._azure.resources.below(path)
        if kinds == ["workspaces", "jobs"]:  # without the steps of pipelines
            return [job for job in found
                    if "azureml.parentRunId" not in (job["properties"].get("properties") or {})]  # fmt: skip
        return found

    # Actions

    def _act(self, request: Request, path: str, action: str, fault: Fault | None) -> Answer:
        azure = self._azure
        if action == "startpendingupload":
            return Answer(200, azure.storage.pending_upload(path))
        if action == "import":
            asked = request.body["properties"]
            return azure.operations.accept(lambda: azure.registries.share(path, asked), fault)
        if "/datarefs/" in request.path:
            owner = path.split("/datarefs/")[0]
            return Answer(200, azure.storage.data_reference(request.body, owner))
        found = azure.resources.find(path)
        if action == "listsecrets":
            return Answer(200, azure.storage.secrets())
        if action == "listkeys" and found["type"].endswith("workspaces"):
            return Answer(200, {})
        if action == "listkeys":
            return Answer(200, azure.machines.online.keys(found))
        if action == "token":
            return self._scoring_token(request)
        if action == "cancel":
            azure.machines.runs.cancel(found["name"])
            return Answer(200)
        if action == "getlogs":
            return Answer(200, {"content": azure.machines.online.log(found)})
        raise Refusal(404, "NotFound", f"The stand-in knows no action {action} of {path}.")

    def _scoring_token(self, request: Request) -> Answer:
        """A token for the requests to an endpoint that takes no keys."""
        expires = int(time.time()) + 3600
        token = self._azure.identities.token(request.identity, "https://ml.azure.com", expires)
        return Answer(200, {"accessToken": token, "expiryTimeUtc": expires, "tokenType": "Bearer",
                            "refreshAfterTimeUtc": expires})  # fmt: skip


def _chosen(found: list[Resource], query: dict[str, str]) -> list[Resource]:
    """Those of a collection that a query asks for."""
    if wanted := query.get("hash"):
        found = [code for code in found
                 if wanted in (code["properties"].get("properties") or {}).values()]  # fmt: skip
    if query.get("$orderBy", "").lower().startswith("createdtime desc"):
        found = found[::-1]
    if "$top" in query:
        found = found[: int(query["$top"])]
    return found
