"""Collected data on this machine: the folders and the form of Azure's, and the log of requests."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from mlops.errors import MlopsError, UsageError
from mlops.workspaces import ModelVersion
from mlops.workspaces.local import collector, serving
from mlops.workspaces.local.collector import CollectedFiles, RequestLog, Sink
from mlops.workspaces.local.endpoints import EndpointStore

from .builders import write

AT = datetime(2026, 11, 25, 22, 59, 59, tzinfo=timezone.utc)
PLAYED = "2025-03-01T06:30:00+01:00"


@pytest.fixture(autouse=True)
def real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLOPS_TIME", raising=False)


@pytest.fixture
def files(tmp_path: Path) -> CollectedFiles:
    return CollectedFiles(tmp_path, "churn-prod")


@pytest.fixture
def sink(files: CollectedFiles) -> Iterator[Sink]:
    sink = Sink(files, "version-3")
    yield sink
    sink.close()


def post(
    sink: Sink, body: bytes, path: str = "/modeldata/log", **attributes: str
) -> tuple[int, str]:
    """A post as Azure's collector makes it, with these attributes of the event."""
    usual = {
        "time": str(int(AT.timestamp())), "type": "azureml.inference.model_inputs",
        "collect-data-type": "pandas.core.frame.DataFrame", "agent": "azureml-ai-monitoring/1.0.0",
        "x-request-id": "abc", "model-version": "default",
    }  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=30)
    given = {**usual, **{name.replace("_", "-"): value for name, value in attributes.items()}}
    connection.request("POST", path, body, {f"ce-{name}": v for name, v in given.items() if v})
    response = connection.getresponse()
    answer = response.status, response.read().decode()
    connection.close()
    return answer


def below(folder: Path) -> dict[str, list[Any]]:
    """The lines of all files, by their folders."""
    found: dict[str, list[Any]] = {}
    for file in sorted(folder.rglob("*.jsonl")):
        lines = file.read_bytes().splitlines(keepends=True)
        assert all(line.endswith(b"\n") for line in lines)
        where = file.parent.relative_to(folder).as_posix()
        found.setdefault(where, []).extend(json.loads(line) for line in lines)
    return found


def test_a_record_lies_where_azure_would_put_it_and_looks_the_same(
    sink: Sink, tmp_path: Path
) -> None:
    rows = [{"city": "Zürich\n", "n": 1.5}, {"city": None, "n": 2.0}]
    assert post(sink, json.dumps(rows, indent=1).encode())[0] == 200
    ((folder, (line,)),) = below(tmp_path).items()
    assert folder == (
        "workspaceblobstore/modelDataCollector/churn-prod/version-3/model_inputs/2026/11/25/22"
    )
    assert str(uuid.UUID(line.pop("id")))
    size = len('[{"city":"Zürich\\n","n":1.5},{"city":null,"n":2.0}]'.encode())
    assert line == {
        "specversion": "1.0", "source": "churn-prod/version-3",
        "type": "azureml.inference.model_inputs", "datacontenttype": "application/json",
        "time": "2026-11-25T22:59:59Z", "data": rows,
        "correlationid": "abc", "xrequestid": "abc", "modelversion": "default",
        "collectdatatype": "pandas.core.frame.DataFrame", "agent": "azureml-ai-monitoring/1.0.0",
        "contentrange": f"bytes 0-{size - 1}/{size}",
    }  # fmt: skip


def test_a_day_that_is_played_again_is_the_one_that_counts(
    sink: Sink, files: CollectedFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_TIME", PLAYED)
    post(sink, b"[{}]")
    log = RequestLog(files)
    log.note("version-3", 200, 1.0)
    log.close()
    inputs, requests = below(tmp_path).items()
    assert {Path(inputs[0]).parts[-4:], Path(requests[0]).parts[-4:]} == {
        ("2025", "03", "01", "05")
    }
    assert inputs[1][0]["time"] == "2025-03-01T05:30:00Z"
    assert requests[1][0]["time"] == "2025-03-01T05:30:00.000Z"


def test_a_record_that_does_not_say_when_was_made_now(sink: Sink, tmp_path: Path) -> None:
    for said in ("", "soon", "-5"):
        assert post(sink, b"[{}]", time=said)[0] == 200
    times = [datetime.fromisoformat(line["time"].replace("Z", "+00:00"))
             for lines in below(tmp_path).values() for line in lines]  # fmt: skip
    assert len(times) == 3
    assert all(abs((datetime.now(timezone.utc) - one).total_seconds()) < 60 for one in times)


@pytest.mark.parametrize(
    ("body", "attributes", "status"),
    [
        (b"", {}, 400),
        (b"[{", {}, 400),
        (b'[{"x": "\xff"}]', {}, 400),
        (b'{"x": 1}', {}, 400),
        (b"[{}]", {"type": ""}, 400),
        (b"[{}]", {"type": "model_inputs"}, 400),
        (b"[{}]", {"type": "azureml.inference."}, 400),
        (b"[{}]", {"type": "azureml.inference.../../../secret"}, 400),
        (b"[{}]", {"path": "/score"}, 404),
    ],
)
def test_what_is_no_record_is_refused_and_written_nowhere(
    sink: Sink, tmp_path: Path, body: bytes, attributes: dict[str, str], status: int,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    answer = post(sink, body, **attributes)
    assert answer[0] == status, answer
    assert answer[1], "it says why"
    assert not list(tmp_path.rglob("*"))
    assert post(sink, b"[{}]")[0] == 200, "and the next is taken"
    assert capfd.readouterr().err == ""


def test_records_that_come_at_once_are_whole_lines(sink: Sink, tmp_path: Path) -> None:
    text = "x" * 50_000

    def send(number: int) -> int:
        row = [{"number": number, "text": text}]
        kind = "model_inputs" if number % 2 else "model_outputs"
        return post(sink, json.dumps(row).encode(), type=f"azureml.inference.{kind}")[0]

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(60))) == {200}
    lines = [line for lines in below(tmp_path).values() for line in lines]
    assert sorted(line["data"][0]["number"] for line in lines) == list(range(60))


def test_two_commands_at_once_write_files_of_their_own(tmp_path: Path) -> None:
    for _ in range(2):
        CollectedFiles(tmp_path, "churn-prod").append("version-3", "requests", "{}\n", AT)
    assert len(list(tmp_path.rglob("*.jsonl"))) == 2


def test_a_full_disk_leaves_no_half_line(
    sink: Sink, files: CollectedFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert post(sink, b"[{}]")[0] == 200
    before = below(tmp_path)
    write_ = os.write

    def half(file: int, text: bytes) -> int:
        return write_(file, text[: len(text) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(collector.os, "write", half)
        assert post(sink, b"[{}]") == (500, "the disk is full")
        log = RequestLog(files)
        log.note("version-3", 200, 1.0)
        log.close()
    requests = [file for file in tmp_path.rglob("*.jsonl") if "requests" in file.parts]
    assert [file.read_bytes() for file in requests] == [b""]
    assert post(sink, b"[{}]")[0] == 200
    after = {where: lines for where, lines in below(tmp_path).items() if lines}
    assert {where: len(lines) for where, lines in after.items()} == dict.fromkeys(before, 2)


def test_requests_are_noted_by_deployment_and_written_at_the_end(
    files: CollectedFiles, tmp_path: Path
) -> None:
    log = RequestLog(files)
    log.note("version-3", 200, 5.1234)
    log.note("version-2", 502, 0.5)
    log.note("version-3", 400, 1.0)
    log.close()
    found = {Path(where).parts[-6]: lines for where, lines in below(tmp_path).items()}
    assert {name: [line["status"] for line in lines] for name, lines in found.items()} == {
        "version-2": [502], "version-3": [200, 400],
    }  # fmt: skip
    first = found["version-3"][0]
    assert set(first) == {"time", "status", "milliseconds", "deployment"}
    assert (first["milliseconds"], first["deployment"]) == (5.12, "version-3")
    said = datetime.fromisoformat(first["time"].replace("Z", "+00:00"))
    assert abs((datetime.now(timezone.utc) - said).total_seconds()) < 60


def test_requests_are_written_while_it_runs(files: CollectedFiles, tmp_path: Path) -> None:
    log = RequestLog(files)
    log.note("version-3", 200, 1.0)
    deadline = time.monotonic() + 30
    while not below(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    log.close()


def test_a_time_that_is_none_is_said_before_anything_is_served(
    files: CollectedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_TIME", "tomorrow")
    with pytest.raises(UsageError, match="MLOPS_TIME is 'tomorrow'; write a time in ISO 8601"):
        RequestLog(files)


# --- the router ---------------------------------------------------------------------------------


class Server:
    """Stands in for the server of a deployment."""

    answers: dict[str, int] = {}  # noqa: RUF012
    tests: list[bool] = []  # noqa: RUF012
    stopped: list[tuple[str, bool]] = []  # noqa: RUF012

    def __init__(self, _: EndpointStore, name: str, collected: CollectedFiles | None) -> None:
        self.name = name
        assert collected

    def wait(self) -> None:
        """It answers at once."""

    def post(self, body: bytes, test: bool = False) -> tuple[int, bytes]:
        self.tests.append(test)
        if self.answers[self.name] == 502:
            raise MlopsError("it crashed")
        return self.answers[self.name], b"{}"

    def stop(self, *, flush: bool = True) -> None:
        self.stopped.append((self.name, flush))


@pytest.fixture
def store(tmp_path: Path) -> EndpointStore:
    write(tmp_path / "code" / "score.py", "")
    file = write(tmp_path / "deployment.yml", "code_configuration: {scoring_script: score.py}\n")
    store = EndpointStore(tmp_path / "state", "churn-prod")
    for name in ("good", "bad", "copy"):
        store.create(name, ModelVersion("churn", 1, "prod", "run", "now", {}), file, tmp_path)
    store.set_traffic({"good": 100}, {}, {"copy": 50})
    return store


def test_the_router_notes_what_a_deployment_was_asked_by_clients(
    store: EndpointStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "ModelServer", Server)
    monkeypatch.setattr(Server, "answers", {"good": 200, "bad": 502, "copy": 200})
    monkeypatch.setattr(Server, "tests", [])
    monkeypatch.setattr(Server, "stopped", [])
    router = serving.Router(store, collected=CollectedFiles(tmp_path / "data", "churn-prod"))
    key = store.key()
    for _ in range(20):
        assert serving.post(router.port, key, b"{}", None).status == 200
    assert serving.post(router.port, key, b"{}", "bad").status == 502
    Server.answers["good"] = 400
    assert serving.post(router.port, key, b"{}", "good").status == 400
    # Of no deployment, or of ours:
    assert serving.post(router.port, "wrong", b"{}", None).status == 401
    assert serving.post(router.port, key, b"{}", "missing").status == 404
    Server.tests.clear()
    assert serving.post(router.port, key, b"{}", "good", test=True).status == 400
    assert serving.post(router.port, key, b"{}", "bad", test=True).status == 502
    assert Server.tests == [True, True], "the deployment knows that it is a test"
    router.close()
    found = {Path(where).parts[-6]: lines for where, lines in below(tmp_path / "data").items()}
    assert {name: [line["status"] for line in lines] for name, lines in found.items()} == {
        "good": [200] * 20 + [400], "bad": [502],
    }, "nothing of the copies"  # fmt: skip
    assert ("good", True) in Server.stopped, "at the end it may send what it has"
    assert ("bad", False) in Server.stopped, "one that fails is not waited for"


def test_a_router_ends_its_servers_at_once_and_not_one_after_the_other(
    store: EndpointStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(2)
    monkeypatch.setattr(serving, "ModelServer", Server)
    monkeypatch.setattr(Server, "answers", {"good": 200, "bad": 200, "copy": 200})
    monkeypatch.setattr(Server, "stop", lambda _, **__: together.wait(30))
    router = serving.Router(store, collected=CollectedFiles(tmp_path / "data", "churn-prod"))
    for name in ("good", "bad"):
        assert serving.post(router.port, store.key(), b"{}", name).status == 200
    router.close()
    assert not together.broken
