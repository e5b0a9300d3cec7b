"""The processes behind the stand-in: Azurite for the blobs, and an MLflow server."""

from __future__ import annotations

import base64
import itertools
import json
import os
import socket
import sys
import threading
import time
import urllib.request
from pathlib import Path

from mlops.workspaces.local.processes import start, stop
from tests.npm import modules_of

HOST = "127.0.0.1"
SECONDS_TO_START = 120
AZURITE = "3.35.0"  # the last one for Node 18 and 20
# Storage accounts have to be known when Azurite starts: a workspace takes one of these.
ACCOUNTS = [f"ststandin{number:02}" for number in range(99)]
ACCOUNT_KEY = base64.b64encode(b"the key of all storage accounts!").decode()
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Service:
    """A process that serves HTTP on a port of its own; it ends when this process does."""

    path = "/"

    def __init__(self, command: list[str], log: Path, **variables: str) -> None:
        self._port, self._ready, self._lock = free_port(), False, threading.Lock()
        self.log = log
        command = [part.format(port=self._port) for part in command]
        with log.open("wb") as stream:
            self._process = start(
                command, folder=log.parent, log=stream, environment={**os.environ, **variables}
            )

    @property
    def port(self) -> int:
        """The port, as soon as something answers there."""
        with self._lock:
            deadline = time.monotonic() + SECONDS_TO_START
            while not self._ready:
                assert self._process.poll() is None, self.log.read_text("utf-8")
                assert time.monotonic() < deadline, self.log.read_text("utf-8")
                try:
                    DIRECT.open(f"http://{HOST}:{self._port}{self.path}", timeout=10).close()
                    self._ready = True
                except urllib.error.HTTPError:
                    self._ready = True
                except OSError:
                    time.sleep(0.1)
        return self._port

    def stop(self) -> None:
        """End the process and those that it started."""
        stop(self._process)


class Azurite(Service):
    """Microsoft's emulator of blob storage, which keeps all in memory."""

    def __init__(self, folder: Path) -> None:
        self._accounts = itertools.cycle(ACCOUNTS)
        program = modules_of("azurite", AZURITE) / ".bin" / "azurite-blob"
        super().__init__(
            [str(program), "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck",
             "--silent", "--blobHost", HOST, "--blobPort", "{port}"],
            folder / "azurite.log",
            AZURITE_ACCOUNTS=";".join(f"{name}:{ACCOUNT_KEY}" for name in ACCOUNTS),
        )  # fmt: skip

    def next_account(self) -> str:
        """The account that was taken longest ago."""
        return next(self._accounts)


class Mlflow(Service):
    """An MLflow server; each Azure ML workspace is a workspace of its own there."""

    path = "/health"

    def __init__(self, folder: Path) -> None:
        super().__init__(
            [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", "{port}",
             "--workers", "1", "--enable-workspaces", "--backend-store-uri",
             f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder / "mlflow")],
            folder / "mlflow.log",
            MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", MLFLOW_DISABLE_TELEMETRY="true",
            DO_NOT_TRACK="true",
        )  # fmt: skip

    def call(self, workspace: str, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Send a request to the REST interface, for one of its workspaces."""
        headers = {"Content-Type": "application/json", "X-MLFLOW-WORKSPACE": workspace}
        request = urllib.request.Request(
            f"http://{HOST}:{self.port}{path}", body, headers, method=method
        )
        try:
            with DIRECT.open(request, timeout=60) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def make_workspace(self, workspace: str) -> None:
        """Make a workspace that no other test has."""
        body = json.dumps({"name": workspace}).encode()
        status, answer = self.call("default", "POST", "/api/3.0/mlflow/workspaces", body)
        assert status in (200, 201), answer
