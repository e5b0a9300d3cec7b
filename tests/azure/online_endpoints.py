"""Online endpoints: a server for each deployment, and which of them answers a request."""

from __future__ import annotations

import functools
import random
import tempfile
import threading
import time
import uuid
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.scoring.requests import TEST_HEADER
from tests.azure.collector import Collector
from tests.azure.inference_server import InferenceServer
from tests.azure.machine import code_of
from tests.azure.messages import SCORING, Answer, Request
from tests.azure.resources import Resource, plain_id
from tests.conftest import SCRATCH

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn

DEPLOYMENT_HEADER = "azureml-model-deployment"


class OnlineEndpoints:
    """The servers of the deployments."""

    def __init__(self, azure: StandIn) -> None:
        self._azure = azure
        self._servers: dict[str, InferenceServer] = {}
        self._keys: dict[str, dict[str, str]] = {}
        self._turns: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._stopped = False
        self.scored: list[tuple[str, str, int]] = []
        """Endpoint, deployment and status of each answered request; `mirror:` before a mirror's."""

    # Deployments

    def deploy(self, deployment: Resource) -> None:
        """Start the server of a deployment; a deployment that was there gets a new one."""
        with self._turns[deployment["id"].lower()]:  # asked for twice at once: one after the other
            self._deploy(deployment)

    def _deploy(self, deployment: Resource) -> None:
        properties, key = deployment["properties"], deployment["id"].lower()
        workspace = deployment["id"].split("/onlineEndpoints/")[0]
        folder = Path(tempfile.mkdtemp(dir=SCRATCH))
        script = properties["codeConfiguration"]
        code = code_of(self._azure, script["codeId"], workspace, folder)
        model = self._azure.storage.download(
            plain_id(properties["model"]), workspace, folder / "model"
        )
        variables = {
            **self._azure.variables("endpoint"),
            **(properties.get("environmentVariables") or {}),
        }
        server = InferenceServer(
            code, script["scoringScript"], model.parent, variables, folder / "log.txt",
            Collector(self._azure, deployment, folder),
        )  # fmt: skip
        with self._azure.lock:
            old = self._servers.pop(key, None)
            self._servers[key] = server
        if old:
            old.stop()
        if self._stopped:  # meanwhile: whoever said so did not see it
            server.stop()
        server.wait()

    def remove(self, resource: Resource) -> None:
        """End the server of a resource that is deleted, if it has one."""
        server = self._servers.pop(resource["id"].lower(), None)
        if server:
            server.stop()

    def stop(self) -> None:
        """End all servers; none that starts stays."""
        self._stopped = True
        for server in list(self._servers.values()):
            server.stop()

    def log(self, deployment: Resource) -> str:
        server = self._servers.get(deployment["id"].lower())
        return server.log.read_text("utf-8", "replace") if server else ""

    # Requests

    def keys(self, endpoint: Resource) -> dict[str, str]:
        """The keys of an endpoint, made when they are first asked for."""
        made = {"primaryKey": uuid.uuid4().hex, "secondaryKey": uuid.uuid4().hex}
        return self._keys.setdefault(endpoint["id"].lower(), made)

    def score(self, request: Request) -> Answer | None:
        """Answer a request to an endpoint; None if the host is no online endpoint's."""
        name = request.host.removesuffix(SCORING)
        endpoint = self._azure.resources.ending(f"/onlineEndpoints/{name}")
        if endpoint is None:
            return None
        if not self._admits(endpoint, request):
            return _refused(401, "KeyAuthBadHeaderForbidden", "Invalid key.")
        wanted = request.headers.get(DEPLOYMENT_HEADER)
        chosen = wanted or _by_traffic(endpoint["properties"]["traffic"])
        if chosen is None:
            return _refused(404, "NoTraffic", "No deployment gets traffic.")
        server = self._server(endpoint, chosen)
        if server is None:
            return _refused(404, "NotFound", f"No deployment {chosen}.")
        if not wanted:
            self._mirror(endpoint, request.content)
        started = time.perf_counter()
        status, content = server.post(request.content, TEST_HEADER in request.headers)
        milliseconds = 1000 * (time.perf_counter() - started)
        self.scored.append((name, chosen, status))
        self._azure.metrics.note(endpoint["id"], chosen, status, milliseconds)
        return Answer(status, content, {DEPLOYMENT_HEADER: chosen})

    def _admits(self, endpoint: Resource, request: Request) -> bool:
        """Whether a request has one of the keys; where there are none, its token is checked."""
        if endpoint["properties"].get("authMode") == "Key":
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            return given in self.keys(endpoint).values()
        self._azure.identities.check(request)
        return True

    def _server(self, endpoint: Resource, deployment: str) -> InferenceServer | None:
        return self._servers.get(f"{endpoint['id']}/deployments/{deployment}".lower())

    def _mirror(self, endpoint: Resource, body: bytes) -> None:
        """Send a copy of a request to the deployments that get a share of copies."""
        for deployment, percent in (endpoint["properties"].get("mirrorTraffic") or {}).items():
            if random.random() * 100 < percent:
                self._azure.background(functools.partial(self._copy, endpoint, deployment, body))

    def _copy(self, endpoint: Resource, deployment: str, body: bytes) -> None:
        server = self._server(endpoint, deployment)
        if server:
            status = server.post(body)[0]
            self.scored.append((endpoint["name"], f"mirror:{deployment}", status))


def _by_traffic(traffic: dict[str, int]) -> str | None:
    """A deployment, as likely as its share; None if none gets traffic."""
    shares = {name: share for name, share in traffic.items() if share}
    return random.choices(list(shares), list(shares.values()))[0] if shares else None


def _refused(status: int, code: str, message: str) -> Answer:
    return Answer(status, {"error": {"code": code, "message": message}})
