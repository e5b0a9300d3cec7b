"""The online endpoint on this machine: a server per deployment, and the traffic between them.

A deployment is served by azureml-inference-server-http, as in Azure; in front of it stands a
small router with what Azure's front end does: key authentication, the split of the traffic, copies
of it for a mirrored deployment, and the header `azureml-model-deployment`, which chooses a
deployment and names the one that answered.
"""

from __future__ import annotations

import http.client
import json
import random
import secrets
import socket
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from mlops.errors import MlopsError
from mlops.scoring.requests import MAXIMUM_BYTES, TOO_LARGE
from mlops.workspaces import Endpoint, Response
from mlops.workspaces.local.endpoints import EndpointStore
from mlops.workspaces.local.processes import code_environment, start, stop, tail

HOST = "127.0.0.1"
# Run, never imported: it needs a package that only projects with an online endpoint install.
INFERENCE_SERVER = Path(__file__).with_name("inference_server.py")
DEPLOYMENT_HEADER = "azureml-model-deployment"
SECONDS_TO_START = 120
# A server whose script fails lists the model's files after the error, which would hide it.
LISTING = r" azmlinfsrv - (Model Directory Contents|\S+/$| {4})"
SECONDS_TO_ANSWER = 180  # Azure's limit for a request
COPIES_AT_ONCE = 8  # a mirrored deployment that is further behind misses some
FAILURES = (OSError, http.client.HTTPException, MlopsError)


class ModelServer:
    """The inference server of one deployment."""

    def __init__(self, store: EndpointStore, deployment: str) -> None:
        self.port = free_port()
        self._ready = False
        self._log = store.folder_of(deployment) / "server.log"
        settings = store.served(deployment)
        code = store.code_of(deployment)
        with self._log.open("wb") as stream:
            self._process = start(
                [sys.executable, str(INFERENCE_SERVER), "--entry_script",
                 str(code / settings["scoring_script"]), "--port", str(self.port)],
                folder=code, log=stream,
                environment={
                    **code_environment(code),
                    **settings["environment_variables"],
                    # Last: a deployment's own variables do not change how it is served.
                    "AML_APP_ROOT": str(code),
                    "AZUREML_MODEL_DIR": settings["model_folder"],
                    # One for all servers, in the user's home: of no use here.
                    "GUNICORN_CMD_ARGS": "--no-control-socket",
                },
            )  # fmt: skip

    def wait(self) -> None:
        """Wait until it answers. Raises MlopsError with the end of its log if it ends instead."""
        deadline = time.monotonic() + SECONDS_TO_START
        while (ended := self._process.poll() is not None) or not self._ready:
            if ended or time.monotonic() > deadline:
                self.stop()
                log = tail(self._log, without=LISTING)
                raise MlopsError(f"the model's server does not run; the end of its log:\n{log}")
            time.sleep(0.05)
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
                connection.request("GET", "/")
                self._ready = connection.getresponse().status == 200

    def post(self, body: bytes) -> tuple[int, bytes]:
        """Send a scoring request."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=SECONDS_TO_ANSWER)
        try:
            connection.request("POST", "/score", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def stop(self) -> None:
        """End the server."""
        stop(self._process)


class Router:
    """Answers for an endpoint. Follows its state: a changed traffic counts from the next request."""

    def __init__(self, store: EndpointStore, port: int = 0) -> None:
        self._store = store
        self._servers: dict[tuple[str, str], ModelServer] = {}
        self._lock = threading.Lock()
        self._copies = threading.BoundedSemaphore(COPIES_AT_ONCE)
        self._closed = False
        self._http = _listen(port, self)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
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
        self, key: str | None, deployment: str | None, body: bytes
    ) -> tuple[int, bytes, str]:
        """Status, body and the deployment that answered."""
        if key is None or not secrets.compare_digest(key.encode(), self._store.key().encode()):
            return 401, _error("give the endpoint's key as `Authorization: Bearer KEY`"), ""
        endpoint = self._store.read()
        name = deployment or _choose(endpoint)
        if name is None:
            return 404, _error("the endpoint has no deployment that gets traffic"), ""
        if name not in endpoint.deployments:
            known = ", ".join(endpoint.deployments) or "none"
            return 404, _error(f"there is no deployment `{name}`, only: {known}"), ""
        try:
            status, answer = self._ask(name, body)
        except FAILURES as error:
            status = 502
            answer = _error(f"the deployment `{name}` does not answer: {error}")
        if not deployment:
            self._mirror(endpoint, body)
        return status, answer, name

    def close(self) -> None:
        """Stop listening and end the servers."""
        self._http.shutdown()
        self._http.server_close()
        with self._lock:
            self._closed = True
            for server in self._servers.values():
                server.stop()
            self._servers.clear()

    def _mirror(self, endpoint: Endpoint, body: bytes) -> None:
        """Copy the mirrored share of the requests, in the background and only so many at once."""
        for name, share in endpoint.mirror.items():
            if 100 * random.random() < share and self._copies.acquire(blocking=False):
                threading.Thread(target=self._copy, args=(name, body), daemon=True).start()

    def _copy(self, name: str, body: bytes) -> None:
        """Send a copy; a failure is nobody's business, and a server that hangs may recover."""
        try:
            with suppress(*FAILURES):
                self._running(name).post(body)
        finally:
            self._copies.release()

    def _ask(self, name: str, body: bytes) -> tuple[int, bytes]:
        server = self._running(name)
        try:
            return server.post(body)
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
            for other in self._servers.keys() - current:
                self._servers.pop(other).stop()
            key = (name, existing[name].created)
            if key not in self._servers:
                self._servers[key] = ModelServer(self._store, name)
            return self._servers[key]

    def _forget(self, server: ModelServer) -> None:
        with self._lock:
            self._servers = {key: one for key, one in self._servers.items() if one is not server}
        server.stop()


def post(port: int, key: str, body: bytes, deployment: str | None) -> Response:
    """Send a request to a router, as any client of the endpoint would."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    if deployment:
        headers[DEPLOYMENT_HEADER] = deployment
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


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


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
                wanted = self.headers.get(DEPLOYMENT_HEADER)
                self._send(*router.answer(key if kind == "Bearer" else None, wanted, body))

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
