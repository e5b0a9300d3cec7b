"""Azure's inference server, with the code and the model of one deployment."""

from __future__ import annotations

import http.client
import sys
import time
from contextlib import suppress
from pathlib import Path

from mlops.scoring.requests import TEST_HEADER
from mlops.workspaces.local.processes import start, stop
from tests.azure.collector import Collector
from tests.azure.machine import surroundings
from tests.azure.messages import Refusal
from tests.azure.services import HOST, SECONDS_TO_START, free_port
from tests.conftest import generated

# Starts the server so that it listens on this machine only.
STARTER = generated() / "src/mlops/workspaces/local/inference_server.py"


class InferenceServer:
    """A process that answers at /score; it ends when this process does."""

    def __init__(
        self, code: Path, script: str, model: Path, variables: dict[str, str], log: Path,
        collector: Collector,
    ) -> None:  # fmt: skip
        self._port, self.log, self._collector = free_port(), log, collector
        with log.open("wb") as stream:
            self._process = start(
                [sys.executable, str(STARTER), "--entry_script", str(code / script),
                 "--port", str(self._port)], folder=code, log=stream,
                environment={**surroundings(), **variables, **collector.variables, "PYTHONPATH": str(code),
                             "AML_APP_ROOT": str(code), "AZUREML_MODEL_DIR": str(model),
                             "GUNICORN_CMD_ARGS": "--no-control-socket"},
            )  # fmt: skip

    def wait(self) -> None:
        """Wait until it answers; refuse a deployment that never does."""
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError, http.client.HTTPException):
                if self._ask("GET", "/")[0] == 200:
                    return
            time.sleep(0.05)
        self.stop()
        raise Refusal(
            400, "ResourceNotReady", "User container has crashed or terminated. Please see "
            "troubleshooting guide, available here: https://aka.ms/oe-tsg#error-resourcenotready",
        )  # fmt: skip

    def post(self, body: bytes, test: bool = False) -> tuple[int, bytes]:
        """Score a request, or one of a test of ours; the status and the body of the answer."""
        return self._ask("POST", "/score", body, {TEST_HEADER: "true"} if test else {})

    def _ask(
        self, method: str, path: str, body: bytes | None = None, more: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=60)
        try:
            headers = {"Content-Type": "application/json", **(more or {})}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def stop(self) -> None:
        """End it and its workers."""
        stop(self._process)
        self._collector.close()
