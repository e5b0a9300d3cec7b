"""Collected data on this machine: in the folders, and in the form, that Azure's data collector has.

In Azure, a process beside the scoring script takes what the script posts and writes it to Blob
storage. Here the process of the router does: `Sink` takes the posts of one deployment's server,
`RequestLog` notes the requests themselves, and `CollectedFiles` writes both.
"""

from __future__ import annotations

import datetime
import json
import os
import threading
import uuid
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from mlops import clock
from mlops.events import DATASTORE, REQUESTS, folder_of, hour_of, record

HOST = "127.0.0.1"
PATH = "/modeldata/log"  # where Azure's collector posts to
EVENT = "azureml.inference."
MOST_BYTES = 64 << 20
FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)  # Windows has it
SECONDS_BETWEEN_WRITES = 1.0
SECONDS_TO_NOTICE = 0.05  # that a server is to end


class CollectedFiles:
    """The collected data of one endpoint, below the folder of a workspace's datastores.

    Each object has files of its own, an hour in each: only it appends to them. Lines are written
    whole, so that a reader never sees a part of one; but for a machine that fails in between.
    """

    def __init__(self, datastores: Path, endpoint: str) -> None:
        self.endpoint = endpoint
        self._folder = datastores / DATASTORE
        self._name = f"{uuid.uuid4()}.jsonl"
        self._lock = threading.Lock()

    def append(self, deployment: str, collection: str, lines: str, time: datetime.datetime) -> None:
        """Add whole lines to the file of the hour. Raises OSError, such as for a full disk."""
        folder = self._folder / folder_of(self.endpoint, deployment, collection) / hour_of(time)
        text = lines.encode("utf-8")
        with self._lock:
            folder.mkdir(parents=True, exist_ok=True)
            file = os.open(folder / self._name, FLAGS, 0o666)
            try:
                before = os.fstat(file).st_size
                try:
                    if os.write(file, text) < len(text):
                        raise OSError("the disk is full")
                except OSError:
                    os.ftruncate(file, before)
                    raise
            finally:
                os.close(file)


class Sink:
    """Takes what the server of one deployment posts: a port of the loopback interface for it.

    Azure's collector does not say whose records it posts, so each deployment has its own port.
    """

    def __init__(self, files: CollectedFiles, deployment: str) -> None:
        self._http = ThreadingHTTPServer((HOST, 0), _handler(files, deployment))
        self.port = int(self._http.server_address[1])
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(SECONDS_TO_NOTICE,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening. What was posted and answered is written."""
        self._http.shutdown()
        self._http.server_close()


class RequestLog:
    """Notes each request that a deployment got: when, its status, and how long it took.

    A thread writes once in a second, so that no request waits for the disk.

    Raises:
        UsageError: MLOPS_TIME is no time; better now than with each request.
    """

    def __init__(self, files: CollectedFiles) -> None:
        clock.now()
        self._files = files
        self._lines: list[tuple[str, datetime.datetime, str]] = []
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def note(self, deployment: str, status: int, milliseconds: float) -> None:
        """Note a request that was answered now."""
        time = clock.now()
        line = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "status": status, "milliseconds": round(milliseconds, 2), "deployment": deployment,
        }  # fmt: skip
        with self._lock:
            self._lines.append((deployment, time, json.dumps(line) + "\n"))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Write what is left."""
        self._closed.set()
        if self._thread:
            self._thread.join()
        self._write()

    def _run(self) -> None:
        while not self._closed.wait(SECONDS_BETWEEN_WRITES):
            self._write()

    def _write(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, []
        together: dict[tuple[str, str], list[tuple[datetime.datetime, str]]] = {}
        for deployment, time, line in lines:
            together.setdefault((deployment, hour_of(time)), []).append((time, line))
        for (deployment, _), noted in together.items():
            text = "".join(line for _, line in noted)
            with suppress(OSError):  # A full disk ends no request.
                self._files.append(deployment, REQUESTS, text, noted[0][0])


def _time_of(said: str | None) -> datetime.datetime:
    """When a record was made.

    That is what the collector says, in whole seconds; but where MLOPS_TIME plays another day, the
    time there: the collector reads the machine's clock, which knows nothing of it.
    """
    if os.environ.get(clock.VARIABLE) or not (said or "").isdecimal():
        return clock.now()
    return datetime.datetime.fromtimestamp(int(said or 0), datetime.timezone.utc)


def _line(headers: Any, body: bytes, source: str) -> tuple[str, datetime.datetime, str]:
    """Collection, time and line of a post.

    Raises:
        ValueError: it is no record: of another type, or no array in JSON.
    """
    kind = headers.get("ce-type", "")
    collection = kind.removeprefix(EVENT)
    if collection == kind or not collection.replace("_", "").isalnum():
        raise ValueError(f"the header ce-type must be {EVENT}<collection>, not {kind!r}")
    rows = json.loads(body)
    if not isinstance(rows, list):
        raise ValueError("the body must be an array in JSON")
    time = _time_of(headers.get("ce-time"))
    line = record(
        collection, json.dumps(rows, ensure_ascii=False, separators=(",", ":")),
        time=time, source=source, correlation=headers.get("ce-x-request-id") or str(uuid.uuid4()),
        agent=headers.get("ce-agent", ""), version=headers.get("ce-model-version", "default"),
        kind=headers.get("ce-collect-data-type", ""),
    )  # fmt: skip
    return collection, time, line


def _handler(files: CollectedFiles, deployment: str) -> type[BaseHTTPRequestHandler]:
    source = f"{files.endpoint}/{deployment}"

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if self.path != PATH:
                return self._answer(404, f"post to {PATH}")
            if not length.isdecimal() or int(length) > MOST_BYTES:
                return self._answer(413, f"give a Content-Length of at most {MOST_BYTES}")
            try:
                body = self.rfile.read(int(length))
                collection, time, line = _line(self.headers, body, source)
                files.append(deployment, collection, line, time)
            except ValueError as error:
                return self._answer(400, str(error))
            except OSError as error:
                return self._answer(500, str(error))
            return self._answer(200, "")

        def _answer(self, status: int, message: str) -> None:
            text = message.encode("utf-8")
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Nothing: the terminal is the command's."""

    return Handler
