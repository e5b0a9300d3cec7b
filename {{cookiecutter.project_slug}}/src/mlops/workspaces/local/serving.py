"""The online endpoint on this machine: a server per deployment, and the traffic between them.

A deployment is served by azureml-inference-server-http, as in Azure; in front of it stands a
small router with what Azure's front end does: key authentication, the split of the traffic, copies
of it for a mirrored deployment, and the header `azureml-model-deployment`, which chooses a
deployment and names the one that answered. The requests that a deployment gets are noted, as Azure
Monitor counts them.
"""

from __future__ import annotations

import http.client
import json
import random
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mlops.errors import MlopsError
from mlops.scoring.requests import MAXIMUM_BYTES, TEST_HEADER, TOO_LARGE
from mlops.workspaces import Endpoint, Response
from mlops.workspaces.local.collector import (
    HOST,
    SECONDS_TO_NOTICE,
    CollectedFiles,
    RequestLog,
)
from mlops.workspaces.local.endpoints import EndpointStore
from mlops.workspaces.local.model_server import SECONDS_TO_ANSWER, SECONDS_TO_START, ModelServer

DEPLOYMENT_HEADER = "azureml-model-deployment"
COPIES_AT_ONCE = 8  # a mirrored deployment that is further behind misses some
FAILURES = (OSError, http.client.HTTPException, MlopsError)


class Router:
    """Answers for an endpoint. Follows its state: a changed traffic counts from the next request.

    Without `collected`, nothing is recorded.
    """

    def __init__(
        self, store: EndpointStore, port: int = 0, collected: CollectedFiles | None = None
    ) -> None:
        self._store, self._collected = store, collected
        self._log = RequestLog(collected) if collected else None
        self._servers: dict[tuple[str, str], ModelServer] = {}
        self._lock = threading.Lock()
        self._copies = threading.BoundedSemaphore(COPIES_AT_ONCE)
        self._closed = False
        self._http = _listen(port, self)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(SECONDS_TO_NOTICE,), daemon=True
        )
        self._thread.start()

    def start_servers(self) -> None:
        """Start the servers of all deployments that get traffic, and wait until they answer.

        That of a mirrored deployment is started, too, but nobody waits for it.
        """
        endpoint = self._store.read()
        for name in endpoint.mirror:
            with suppress(*FAILURES):
                self._server(name)
        for name, share in endpoint.traffic.items():
            if share:
                self._running(name)

    def start_server(self, name: str) -> None:
        """Start the server of a deployment, and wait until it answers."""
        self._running(name)

    def answer(
        self, key: str | None, deployment: str | None, body: bytes, test: bool = False
    ) -> tuple[int, bytes, str]:
        """Status, body and the deployment that answered; a test of ours is not recorded."""
        if key is None or not secrets.compare_digest(key.encode(), self._store.key().encode()):
            return 401, _error("give the endpoint's key as `Authorization: Bearer KEY`"), ""
        endpoint = self._store.read()
        name = deployment or _choose(endpoint)
        if name is None:
            return 404, _error("the endpoint has no deployment that gets traffic"), ""
        if name not in endpoint.deployments:
            known = ", ".join(endpoint.deployments) or "none"
            return 404, _error(f"there is no deployment `{name}`, only: {known}"), ""
        started = time.perf_counter()
        try:
            status, answer = self._ask(name, body, test)
        except FAILURES as error:
            status = 502
            answer = _error(f"the deployment `{name}` does not answer: {error}")
        if self._log and not test:
            self._log.note(name, status, 1000 * (time.perf_counter() - started))
        if not deployment:
            self._mirror(endpoint, body, test)
        return status, answer, name

    def close(self) -> None:
        """Stop listening and end the servers; what is to be recorded is recorded first."""
        self._http.shutdown()
        self._http.server_close()
        with self._lock:
            self._closed = True
            servers = list(self._servers.values())
            self._servers.clear()
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda server: server.stop(), servers))
        if self._log:
            self._log.close()

    def _mirror(self, endpoint: Endpoint, body: bytes, test: bool) -> None:
        """Copy the mirrored share of the requests, in the background and only so many at once."""
        for name, share in endpoint.mirror.items():
            if 100 * random.random() < share and self._copies.acquire(blocking=False):
                threading.Thread(target=self._copy, args=(name, body, test), daemon=True).start()

    def _copy(self, name: str, body: bytes, test: bool) -> None:
        """Send a copy; a failure is nobody's business, and a server that hangs may recover."""
        try:
            with suppress(*FAILURES):
                self._running(name).post(body, test)
        finally:
            self._copies.release()

    def _ask(self, name: str, body: bytes, test: bool) -> tuple[int, bytes]:
        server = self._running(name)
        try:
            return server.post(body, test)
        except FAILURES:
            self._forget(server)
            raise

    def _running(self, name: str) -> ModelServer:
        """The server of a deployment, once it answers; the others answer meanwhile."""
        server = self._server(name)
        try:
            server.wait()
        except MlopsError:
            self._forget(server)
            raise
        return server

    def _server(self, name: str) -> ModelServer:
        """The server of a deployment as it is now: one made anew gets a new server."""
        with self._lock:
            existing = self._store.read().deployments
            if self._closed or name not in existing:
                raise MlopsError(f"there is no deployment `{name}` any more")
            current = {(d.name, d.created) for d in existing.values()}
            outdated = [self._servers.pop(key) for key in self._servers.keys() - current]
            key = (name, existing[name].created)
            if key not in self._servers:
                self._servers[key] = ModelServer(self._store, name, self._collected)
            server = self._servers[key]
        for other in outdated:
            other.stop()
        return server

    def _forget(self, server: ModelServer) -> None:
        with self._lock:
            self._servers = {key: one for key, one in self._servers.items() if one is not server}
        server.stop(flush=False)  # It may hang, and someone waits.


def post(port: int, key: str, body: bytes, deployment: str | None, test: bool = False) -> Response:
    """Send a request to a router, as any client of the endpoint would, or as a test of ours."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    if deployment:
        headers[DEPLOYMENT_HEADER] = deployment
    if test:
        headers[TEST_HEADER] = "true"
    started = time.perf_counter()
    connection = http.client.HTTPConnection(
        HOST, port, timeout=SECONDS_TO_ANSWER + SECONDS_TO_START
    )
    try:
        connection.request("POST", "/score", body, headers)
        response = connection.getresponse()
        text = response.read().decode("utf-8", errors="replace")
    finally:
        connection.close()
    milliseconds = 1000 * (time.perf_counter() - started)
    return Response(
        response.status, text, milliseconds, response.getheader(DEPLOYMENT_HEADER) or ""
    )


def _choose(endpoint: Endpoint) -> str | None:
    shares = {name: share for name, share in endpoint.traffic.items() if share}
    return random.choices(list(shares), list(shares.values()))[0] if shares else None


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message}}).encode("utf-8")


def _listen(port: int, router: Router) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200, b"Healthy", "")

        def do_POST(self) -> None:
            kind, _, key = (self.headers.get("Authorization") or "").partition(" ")
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal():
                self._send(411, _error("give the body's length as `Content-Length`"), "")
                return
            if int(length) > MAXIMUM_BYTES:
                self._send(413, _error(TOO_LARGE), "")
                self._drain(int(length))
                return
            body = self.rfile.read(int(length))
            if self.path.partition("?")[0] != "/score":
                self._send(404, _error("post to /score"), "")
            else:
                wanted, test = self.headers.get(DEPLOYMENT_HEADER), TEST_HEADER in self.headers
                self._send(*router.answer(key if kind == "Bearer" else None, wanted, body, test))

        def _drain(self, left: int) -> None:
            # A client that is cut off while it sends would not read the answer.
            while left > 0 and (piece := self.rfile.read1(min(left, 1 << 16))):
                left -= len(piece)

        def _send(self, status: int, body: bytes, deployment: str) -> None:
            self.send_response(status)
            self.send_header(
                "Content-Type", "application/json" if body[:1] in b"{[" else "text/plain"
            )
            self.send_header("Content-Length", str(len(body)))
            if deployment:
                self.send_header(DEPLOYMENT_HEADER, deployment)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Azure's front end logs nothing to the terminal either."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError:
        if port == 0:
            raise
        return ThreadingHTTPServer((HOST, 0), Handler)
