"""A stand-in for Azure that the real SDKs talk to.

It is a proxy: clients find it through HTTPS_PROXY, and each host that they ask for, such as
management.azure.com, is this one. It shows the order and the shape of the requests and how errors
come back; it does not show that Azure would accept the requests.

    http_proxy, certificates    requests come in, for any host
    messages, faults            what passes, and what fails because a test asked for it
    identities, scopes          who may do what; the subscription, its groups and roles
    resource_manager            management.azure.com: changes, operations, resources, workspaces
    metrics                     Azure Monitor, what endpoints were asked
    storage                     the accounts of blobs, in front of Azurite
    regional_host               MLflow (tracking, model_versions), registries, artifacts of runs
    machines                    jobs (commands, sweeps, runs), online and batch endpoints, collectors
    checks                      what the published specifications say against a request
    services                    the processes of Azurite and MLflow
"""

from __future__ import annotations

import re
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from typing import Any

from tests.azure.certificates import Certificates
from tests.azure.checks import findings_of
from tests.azure.faults import Fault, Faults
from tests.azure.http_proxy import HttpProxy
from tests.azure.identities import Identities, Identity
from tests.azure.machines import Machines
from tests.azure.messages import API, ARM, BLOBS, LOCATION, SCORING, Answer, Refusal, Request
from tests.azure.metrics import Metrics
from tests.azure.model_versions import ModelVersions
from tests.azure.operations import Operations
from tests.azure.regional_host import RegionalHost
from tests.azure.registries import Registries
from tests.azure.resource_manager import ResourceManager
from tests.azure.resources import PROVIDER, Resources
from tests.azure.scopes import Scopes
from tests.azure.services import HOST, Azurite, Mlflow
from tests.azure.storage import Storage
from tests.azure.tracking import Tracking
from tests.azure.workspaces import furnish

# Where azure-ai-ml asks the host of a region what it asks Azure Resource Manager elsewhere.
SCHEMAS = "azuremlschemas.azureedge.net"  # where it looks for that of an MLTable
FRONT_END = "/mferp/managementfrontend"


class StandIn:
    """Azure, as far as the tests go. Its parts find each other through it."""

    def __init__(self, azurite: Azurite, mlflow: Mlflow, certificates: Certificates) -> None:
        self.azurite, self.mlflow, self._certificates = azurite, mlflow, certificates
        self.subscription, self.tenant = str(uuid.uuid4()), str(uuid.uuid4())
        self.lock = threading.RLock()
        self._threads: list[threading.Thread] = []
        self._begin()
        self._proxy = HttpProxy(self.answer, certificates)

    def reset(self) -> None:
        """Forget all: as in a new subscription."""
        self.machines.stop()
        self.settle()
        self._begin()

    def _begin(self) -> None:
        self.credentials = "AccountKey"
        """Of the datastores of new workspaces; `None`: the client's own identity."""
        self.requests: list[Request] = []
        self.findings: list[str] = []
        """What was asked that Azure would not take, and mistakes of the stand-in's own."""
        self.faults = Faults()
        self.identities = Identities(self.tenant)
        self.resources = Resources(lambda name: self.identity(name).object_id)
        self.scopes = Scopes(self.subscription, self.tenant)
        self.role_assignments = self.scopes.role_assignments
        self.operations = Operations(self)
        self.metrics = Metrics()
        self.storage = self.data_plane = Storage(self)
        self.tracking, self.model_versions = Tracking(self), ModelVersions(self)
        self.registries, self.machines = Registries(self), Machines(self)
        self._resource_manager, self._regional_host = ResourceManager(self), RegionalHost(self)

    def close(self) -> None:
        """End the server, and what runs on machines."""
        self.machines.stop()
        self._proxy.close()

    # What tests say and ask

    def fail(
        self, match: str, *, times: int = 1, status: int | str, code: str = "ServiceError",
        message: str = "Something went wrong on purpose.", **headers: str,
    ) -> None:  # fmt: skip
        """Let requests fail: `match` is a pattern of "METHOD path".

        Args:
            match: a regular expression that must match the whole "METHOD path" (no query).
            times: how many requests fail.
            status: an HTTP status; "drop": the work is done and the connection ends after half the
                answer's body; "drop after": it ends before the answer; "drop before": nothing is
                done either; "async": the request is accepted and its operation or job fails.
            code: of the error that Azure names.
            message: what it says.
            headers: of the answer, `retry_after="0"`.
        """
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.append(Fault(match, times, status, code, message, named))

    def identity(self, name: str) -> Identity:
        """The identity that signs in with this name; made when it is first asked for."""
        return self.identities[name]

    def sent(self, match: str) -> list[Request]:
        """The requests so far that a pattern of "METHOD path" matches."""
        pattern = re.compile(match, re.IGNORECASE)
        return [request for request in self.requests if pattern.fullmatch(request.line)]

    def workspace_id(self, group: str, name: str) -> str:
        return self._id(group, f"workspaces/{name}")

    def add_workspace(self, group: str, name: str) -> str:
        """A workspace as Azure makes one, with its storage; its ARM id."""
        identifier = self.workspace_id(group, name)
        self.scopes.add_group(group)
        body = {"location": LOCATION, "identity": {"type": "SystemAssigned"}, "properties": {}}
        furnish(self, self.resources.write(identifier, body, "owner"))
        return identifier

    def add_registry(self, group: str, name: str) -> str:
        """A registry for models; its ARM id."""
        identifier = self._id(group, f"registries/{name}")
        self.scopes.add_group(group)
        self.resources.write(identifier, {"location": LOCATION, "properties": {}}, "owner")
        self.storage.add(identifier)
        return identifier

    def _id(self, group: str, path: str) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{group}{PROVIDER}{path}"

    def variables(self, identity: str) -> dict[str, str]:
        """What a process needs to find the stand-in and to be this identity there."""
        proxy, bundle = self._proxy.url, str(self._certificates.bundle)
        return {
            "HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": f"{HOST},localhost",
            "no_proxy": f"{HOST},localhost", "REQUESTS_CA_BUNDLE": bundle, "SSL_CERT_FILE": bundle,
            "CURL_CA_BUNDLE": bundle, "IDENTITY_ENDPOINT": f"{proxy}/msi/token",
            "IDENTITY_HEADER": identity,
        }  # fmt: skip

    # What goes on in the background

    def background(self, work: Callable[[], None]) -> None:
        """Do something while requests go on."""
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def settle(self, seconds: float = 60) -> None:
        """Wait for what goes on in the background."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._threads = [thread for thread in self._threads if thread.is_alive()]

    # A request's way

    def answer(self, request: Request) -> Answer:
        """Answer a request, or fail as a test asked for."""
        request.identity = (request.claims or {}).get("name", "")
        self.requests.append(request)
        try:
            answer = self._failing(request, self.faults.take(request))
        except Refusal as refusal:
            answer = refusal.answer
        except Exception:  # a mistake of the stand-in's own: the test must not take it for Azure's
            self.findings.append(f"{request.line}: {traceback.format_exc()}")
            answer = Answer(500, {"error": {"code": "StandIn", "message": traceback.format_exc()}})
        request.status = 0 if answer.cut == "drop after" else answer.status
        return answer

    def _failing(self, request: Request, fault: Fault | None) -> Answer:
        if fault is None or fault.status == "async":
            return self._route(request, fault)
        if isinstance(fault.status, int):
            raise fault.refusal(fault.status)
        if fault.status == "drop before":
            return Answer(0, cut="drop after")
        answer = self._route(request, None)
        answer.cut = fault.status
        return answer

    def _route(self, request: Request, fault: Fault | None) -> Answer:
        """Let the host answer that was asked; with a fault, what it starts fails."""
        host, path = request.host, request.path
        if host == "":
            return self.identities.sign_in(request)
        if path.startswith("/metadata/endpoints"):
            return Answer(200, [_metadata()])
        if path.startswith("/discovery"):
            return Answer(200, {"api": f"https://{API}", "history": f"https://{API}"})
        if host.endswith(BLOBS):
            return self.storage.answer(request)
        if host.endswith(SCORING) and (scored := self.machines.online.score(request)):
            return scored
        self.identities.check(request)
        if host.endswith(SCORING):
            return self.machines.batch.invoke(request)
        if host == ARM or path.startswith(f"{FRONT_END}/"):
            self.findings += findings_of(request)
            request.path = path.removeprefix(FRONT_END).rstrip("/")
            return self._resource_manager.answer(request, fault)
        if host == API:
            return self._regional_host.answer(request)
        if host == SCHEMAS:
            raise Refusal(404, "NotFound", "The SDK goes on without this schema.")
        self.findings.append(f"{request.method} {request.url}: nobody is expected to ask this host")
        raise Refusal(404, "UnknownHost", f"The stand-in knows nothing of {host}.")


def _metadata() -> dict[str, Any]:
    """The addresses of Azure's public cloud."""
    return {
        "name": "AzureCloud", "portal": "https://portal.azure.com",
        "resourceManager": f"https://{ARM}/",
        "authentication": {"loginEndpoint": "https://login.microsoftonline.com", "audiences":
                           ["https://management.core.windows.net/", f"https://{ARM}/"]},
        "suffixes": {"storage": BLOBS.removeprefix(".blob.")},
    }  # fmt: skip
