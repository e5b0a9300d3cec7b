"""What the online deployment records, and that no request waits for it or fails by it."""

from __future__ import annotations

import importlib.util
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlops.contract import Contract
from mlops.events import VALUES_IN_A_RECORD, rows_in_a_record
from mlops.scoring import collection
from mlops.scoring.collection import Collection, open_collection, table_of
from mlops.scoring.requests import RequestReader
from mlops.workspaces.local.collector import CollectedFiles, Sink

from .builders import body, contract, write

RULES: dict[str, Any] = {
    "key": {"type": "integer"},
    "at": {"type": "timestamp"},
    "n": {"type": "number", "nullable": True},
    "city": {"type": "category"},
    "zip": {"type": "category", "values": [1, 2]},
    "member": {"type": "boolean"},
    "since": {"type": "timestamp"},
    "count": {"type": "integer", "nullable": True},
}
ROW: dict[str, Any] = {
    "n": 0.5, "city": "Ulm", "zip": 1, "member": True, "since": "2020-01-01", "count": 3,
}  # fmt: skip
SECONDS_AT_MOST = 30


def rules(**left_out: bool) -> Contract:
    columns = {name: {**rule, "collect": name not in left_out} for name, rule in RULES.items()}
    return contract(columns, id="key", timestamp="at")


class Collector:
    """Stands in for Azure's collector: what it got, and how it behaves."""

    def __init__(self) -> None:
        self.share = 1.0
        self.got: list[tuple[pd.DataFrame, pd.DataFrame, int]] = []
        self.behind = 0
        self.flushed = False
        self.take: Callable[[], object] = lambda: None

    def send(self, inputs: pd.DataFrame, outputs: pd.DataFrame, seconds: int) -> None:
        self.take()
        self.got.append((inputs, outputs, seconds))

    def waiting(self) -> int:
        return self.behind

    def flush(self) -> None:
        self.flushed = True

    def rows(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Each row with its answer, as JSON holds them."""
        return [
            pair
            for inputs, outputs, _ in self.got
            for pair in zip(
                json.loads(inputs.to_json(orient="records")),
                json.loads(outputs.to_json(orient="records")),
                strict=True,
            )
        ]


def ask(opened: Collection, *rows: dict[str, Any], number: int = 0) -> None:
    opened.add(list(rows), [{"prediction": "yes", "probability_yes": number} for _ in rows])


def recorded(*requests: tuple[dict[str, Any], ...], known: Contract | None = None) -> Collector:
    """What is recorded of requests that come one right after the other."""
    collector = Collector()
    opened = Collection(known or rules(), collector, pause=60)
    for number, rows in enumerate(requests):
        ask(opened, *rows, number=number)
    opened.close()
    assert collector.flushed
    return collector


def eventually(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + SECONDS_AT_MOST
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def test_rows_are_recorded_as_they_were_given_with_their_answers() -> None:
    given = {**ROW, "key": 7, "at": "2026-01-01T00:00:00+02:00"}
    ((asked, answered),) = recorded((given,)).rows()
    assert asked == {**given, "zip": "1"}, "a category is text, as the model sees it"
    assert answered == {"key": 7, "prediction": "yes", "probability_yes": 0}


def test_the_id_and_the_timestamp_that_nobody_gave_are_not_recorded() -> None:
    ((asked, answered),) = recorded((ROW,)).rows()
    assert (set(asked), set(answered)) == (set(ROW), {"prediction", "probability_yes"})


def test_requests_that_come_together_are_one_record_in_their_order() -> None:
    big = 2**62 + 1
    first, second = {**ROW, "key": big, "n": None}, {**ROW, "count": None}
    collector = recorded((first, ROW), (second,))
    ((_, _, seconds),) = collector.got
    assert abs(seconds - time.time()) < SECONDS_AT_MOST
    rows = collector.rows()
    assert [asked["n"] for asked, _ in rows] == [None, 0.5, 0.5]
    assert [asked["count"] for asked, _ in rows] == [3, 3, None]
    assert [asked["key"] for asked, _ in rows] == [big, None, None], "no digit is lost"
    assert [answered["key"] for _, answered in rows] == [big, None, None]
    assert [answered["probability_yes"] for _, answered in rows] == [0, 0, 1]


def test_a_large_request_is_cut_and_its_rows_keep_their_answers() -> None:
    one = contract({"x": {"type": "number"}})
    collector, rows = Collector(), VALUES_IN_A_RECORD * 2 + 5
    opened = Collection(one, collector, pause=0)
    opened.add([{"x": n} for n in range(rows)], [{"prediction": n} for n in range(rows)])
    ask(opened, {"x": -1.0})
    opened.close()
    assert [len(inputs) for inputs, _, _ in collector.got] == [VALUES_IN_A_RECORD] * 2 + [6]
    pairs = collector.rows()
    assert [asked["x"] for asked, _ in pairs] == [*range(rows), -1]
    assert all(asked["x"] == answered["prediction"] for asked, answered in pairs[:rows])
    assert rows_in_a_record(30) * 30 <= VALUES_IN_A_RECORD < (rows_in_a_record(30) + 1) * 30


@pytest.mark.parametrize("left_out", [["city"], ["n", "key"], list(RULES)[1:]])
def test_what_a_column_holds_that_is_not_collected_is_handed_to_nobody(
    left_out: list[str],
) -> None:
    given = {**ROW, "key": 7, "at": "2026-01-01"}
    known = rules(**dict.fromkeys(left_out, True))
    ((asked, answered),) = recorded((given,), known=known).rows()
    assert list(asked) == [name for name in RULES if name not in left_out]
    assert ("key" in answered) == ("key" not in left_out)
    assert answered["prediction"] == "yes"


def test_a_share_of_the_requests_is_recorded_each_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = iter([0.2, 0.3, 0.29])
    monkeypatch.setattr(collection.random, "random", lambda: next(drawn))
    collector = Collector()
    collector.share = 0.3
    opened = Collection(rules(), collector, pause=60)
    for number in range(3):
        ask(opened, ROW, ROW, number=number)
    opened.close()
    assert [answered["probability_yes"] for _, answered in collector.rows()] == [0, 0, 2, 2]


def test_the_answer_goes_before_the_record_is_made() -> None:
    collector = Collector()
    opened = Collection(rules(), collector, pause=0.3)
    started = time.monotonic()
    ask(opened, ROW)
    assert not collector.got
    eventually(lambda: collector.got)
    assert time.monotonic() - started > 0.25
    opened.close()


def test_a_collector_that_fails_is_reported_once_and_the_next_record_is_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    collector, tried = Collector(), []

    def fail() -> None:
        tried.append(threading.get_ident())
        if len(tried) < 3:
            raise ConnectionResetError("gone")

    collector.take = fail
    with caplog.at_level(logging.ERROR):
        opened = Collection(rules(), collector, pause=0)
        for number in range(3):
            ask(opened, ROW, number=number)
            eventually(lambda: len(tried) > number)  # noqa: B023
        opened.close()
    assert [answered["probability_yes"] for _, answered in collector.rows()] == [2]
    assert threading.get_ident() not in tried, "no request did this itself"
    assert caplog.messages == ["collecting failed: ConnectionResetError: gone"]


def test_a_collector_that_hangs_holds_up_no_request_and_not_the_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "SECONDS_TO_FLUSH", 0.2)
    monkeypatch.setattr(collection, "MOST_RECORDS_HERE", 2)
    monkeypatch.setattr("mlops.events.VALUES_IN_A_RECORD", 10)
    released, collector = threading.Event(), Collector()
    collector.take = lambda: bool(released.wait(SECONDS_AT_MOST))
    opened = Collection(contract({"x": {"type": "number"}}), collector, pause=0)
    with caplog.at_level(logging.ERROR):
        slowest = 0.0
        for number in range(500):
            started = time.perf_counter()
            ask(opened, {"x": float(number)})
            slowest = max(slowest, time.perf_counter() - started)
        started = time.monotonic()
        opened.close()
    assert (slowest < 1, time.monotonic() - started < 5) == (True, True)
    assert caplog.messages == ["more is asked than can be recorded; some requests are left out"]
    released.set()
    eventually(lambda: collector.flushed)
    assert 20 <= len(collector.rows()) <= 30, "ten being sent, and two records of ten that waited"


def test_while_the_collector_is_behind_it_is_given_nothing() -> None:
    collector = Collector()
    collector.behind = collection.MOST_RECORDS_THERE + 1
    opened = Collection(rules(), collector, pause=0.01)
    ask(opened, ROW)
    time.sleep(0.1)
    assert not collector.got
    collector.behind = 0
    eventually(lambda: collector.got)
    opened.close()


def test_answers_that_are_not_one_for_each_row_are_not_recorded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    collector = Collector()
    opened = Collection(rules(), collector, pause=0)
    with caplog.at_level(logging.ERROR):
        opened.add([ROW, ROW], [{"prediction": "yes"}])
    opened.close()
    assert not collector.got
    assert caplog.messages == ["collecting failed: ValueError: 1 answers to 2 rows"]


def test_a_table_keeps_the_order_of_the_contract() -> None:
    columns = rules().collected
    table = table_of([dict(reversed({**ROW, "key": 1}.items()))], columns)
    assert list(table.columns) == [name for name in RULES if name != "at"]
    assert str(table["n"].dtype) == "float64"


def test_reading_a_request_hands_its_id_and_timestamp_on() -> None:
    reader = RequestReader(rules())
    given = {**ROW, "key": 7, "at": "2026-01-01"}
    rows = reader.rows(body(given))
    assert rows == [given]
    pd.testing.assert_frame_equal(reader.table(rows), reader.read(body(given)))


# --- through Azure's own collector --------------------------------------------------------------


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    sink = Sink(CollectedFiles(tmp_path / "data", "churn-prod"), "version-3")
    yield sink
    sink.close()


@pytest.fixture(autouse=True)
def no_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZUREML_MDC_ENABLED", "AZUREML_MDC_CONFIG_PATH", "MLOPS_TIME"):
        monkeypatch.delenv(name, raising=False)


def configured(
    monkeypatch: pytest.MonkeyPatch, folder: Path, port: int, **percent: float
) -> Contract:
    """The variables that Azure sets for a deployment that has these collections."""
    collections = {
        name: {"enabled": True, "sampleRatePercentage": value} for name, value in percent.items()
    }
    file = write(folder / "mdc.json", json.dumps({"collections": collections}))
    monkeypatch.setenv("AZUREML_MDC_CONFIG_PATH", str(file))
    monkeypatch.setenv("AZUREML_MDC_HOST", "127.0.0.1")
    monkeypatch.setenv("AZUREML_MDC_PORT", str(port))
    monkeypatch.setattr(collection.atexit, "register", lambda _: None)
    return rules(city=True)


def records(folder: Path, name: str) -> list[dict[str, Any]]:
    files = sorted(folder.glob(f"data/**/version-3/{name}/**/*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]


def test_inputs_and_outputs_of_a_request_join_and_left_out_columns_are_in_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sink: Sink
) -> None:
    known = configured(monkeypatch, tmp_path, sink.port, model_inputs=100, model_outputs=100)
    opened = open_collection(known)
    assert opened
    ask(opened, {**ROW, "key": 7, "city": "Hidden"}, {**ROW, "key": 8, "city": "Hidden"})
    opened.close()
    (asked,), (answered,) = records(tmp_path, "model_inputs"), records(tmp_path, "model_outputs")
    assert [row["key"] for row in asked["data"]] == [row["key"] for row in answered["data"]]
    assert [row["key"] for row in asked["data"]] == [7, 8]
    assert asked["correlationid"] == answered["correlationid"] == asked["xrequestid"]
    assert asked["agent"].startswith("azureml-ai-monitoring/")
    assert asked["collectdatatype"] == "pandas.core.frame.DataFrame"
    written = [file.read_text("utf-8") for file in (tmp_path / "data").rglob("*.jsonl")]
    assert len(written) == 2
    assert not any("Hidden" in text or "city" in text for text in written)


def test_a_sampling_rate_keeps_both_records_or_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sink: Sink
) -> None:
    known = configured(monkeypatch, tmp_path, sink.port, model_inputs=40, model_outputs=60)
    monkeypatch.setattr(collection, "SECONDS_BETWEEN_RECORDS", 0)
    opened = open_collection(known)
    assert opened
    for number in range(300):
        ask(opened, {**ROW, "key": number})
        if number % 10 == 0:
            time.sleep(0.005)  # so that there are several records
    opened.close()
    joined = {
        name: {record["correlationid"]: [row["key"] for row in record["data"]] for record in found}
        for name in ("model_inputs", "model_outputs")
        if (found := records(tmp_path, name))
    }
    assert joined["model_inputs"] == joined["model_outputs"]
    rows = sum(len(keys) for keys in joined["model_inputs"].values())
    # 300 requests at 40 %: 120 and five standard deviations of 8.5.
    assert 77 <= rows <= 163


def test_only_the_collections_of_the_deployment_are_recorded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sink: Sink
) -> None:
    opened = open_collection(configured(monkeypatch, tmp_path, sink.port, model_outputs=100))
    assert opened
    ask(opened, ROW)
    opened.close()
    assert [len(records(tmp_path, f"model_{name}")) for name in ("inputs", "outputs")] == [0, 1]


def test_answers_are_recorded_where_no_column_of_the_request_may_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sink: Sink
) -> None:
    configured(monkeypatch, tmp_path, sink.port, model_inputs=100, model_outputs=100)
    opened = open_collection(rules(**dict.fromkeys(RULES, True)))
    assert opened
    ask(opened, ROW, number=5)
    opened.close()
    assert not records(tmp_path, "model_inputs")
    (answered,) = records(tmp_path, "model_outputs")
    assert answered["data"] == [{"prediction": "yes", "probability_yes": 5}]


def test_the_collector_and_mlflow_s_plugin_share_a_name_and_both_are_found() -> None:
    for name in ("azureml.mlflow", "azureml.ai.monitoring"):
        assert importlib.util.find_spec(name), f"{name} hides the other"


@pytest.mark.parametrize("said", [{}, {"AZUREML_MDC_ENABLED": "false"}])
def test_without_a_data_collector_nothing_is_started(
    said: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    threads = threading.active_count()
    assert open_collection(rules()) is None
    assert threading.active_count() == threads


def test_a_deployment_serves_without_a_collector_that_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AZUREML_MDC_CONFIG_PATH", str(tmp_path / "missing.json"))
    with caplog.at_level(logging.ERROR):
        assert open_collection(rules()) is None
    (line,) = caplog.messages
    assert line.startswith("nothing is collected: FileNotFoundError: ")


def test_a_deployment_that_records_no_share_of_its_requests_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sink: Sink
) -> None:
    known = configured(monkeypatch, tmp_path, sink.port, model_inputs=0, model_outputs=0)
    assert open_collection(known) is None
