"""The server of one deployment on this machine: a process of Azure's inference server."""

from __future__ import annotations

import http.client
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from mlops.errors import MlopsError
from mlops.scoring.requests import TEST_HEADER
from mlops.workspaces.local.collector import HOST, CollectedFiles, Sink
from mlops.workspaces.local.endpoints import EndpointStore
from mlops.workspaces.local.processes import ask_to_end, code_environment, start, stop, tail

# Run, never imported: it needs a package that only projects with an online endpoint install.
INFERENCE_SERVER = Path(__file__).with_name("inference_server.py")
SECONDS_TO_START = 120
# A server whose script fails lists the model's files after the error, which would hide it.
LISTING = r" azmlinfsrv - (Model Directory Contents|\S+/$| {4})"
SECONDS_TO_ANSWER = 180  # Azure's limit for a request
SECONDS_TO_FLUSH = 8  # longer than the scoring script tries to


class ModelServer:
    """The inference server of one deployment, and what takes the records that it makes."""

    def __init__(
        self, store: EndpointStore, deployment: str, collected: CollectedFiles | None = None
    ) -> None:
        self.port = free_port()
        self._ready = self._recorded = False
        self._log = store.folder_of(deployment) / "server.log"
        settings = store.served(deployment)
        code = store.code_of(deployment)
        collector = store.collector_of(deployment) if collected else None
        self._sink = Sink(collected, deployment) if collected and collector else None
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
                    "AZUREML_MDC_ENABLED": "false",  # the older way, without the configuration
                    "AZUREML_MDC_CONFIG_PATH": str(collector or ""),
                    "AZUREML_MDC_HOST": HOST,
                    "AZUREML_MDC_PORT": str(self._sink.port if self._sink else 0),
                },
            )  # fmt: skip

    def wait(self) -> None:
        """Wait until it answers. Raises MlopsError with the end of its log if it ends instead."""
        deadline = time.monotonic() + SECONDS_TO_START
        while (ended := self._process.poll() is not None) or not self._ready:
            if ended or time.monotonic() > deadline:
                self.stop(flush=False)
                log = tail(self._log, without=LISTING)
                raise MlopsError(f"the model's server does not run; the end of its log:\n{log}")
            time.sleep(0.05)
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
                connection.request("GET", "/")
                self._ready = connection.getresponse().status == 200

    def post(self, body: bytes, test: bool = False) -> tuple[int, bytes]:
        """Send a scoring request; one of a test of ours is not recorded."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=SECONDS_TO_ANSWER)
        headers = {"Content-Type": "application/json", **({TEST_HEADER: "true"} if test else {})}
        try:
            connection.request("POST", "/score", body, headers)
            response = connection.getresponse()
            self._recorded |= not test
            return response.status, response.read()
        finally:
            connection.close()

    def stop(self, *, flush: bool = True) -> None:
        """End the server; with `flush`, what it has yet to record is recorded before."""
        if flush and self._sink and self._recorded:
            ask_to_end(self._process, SECONDS_TO_FLUSH)
        stop(self._process)
        if self._sink:
            self._sink.close()


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
