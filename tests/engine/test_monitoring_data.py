"""Whatever is collected, each signal says something defined of it, and stops no other."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops import events
from mlops.errors import MlopsError
from mlops.monitoring import act, definition
from mlops.monitoring.report.monitor_page import monitor_page
from mlops.monitoring.results import MonitorResult
from mlops.workspaces import Requests

from .monitored import (
    AT,
    CONTRACT,
    HOUR,
    Production,
    feature_of,
    rows,
    signal_of,
    values_of,
)

FEATURES = ["size", "count", "colour", "member", "income", "seen"]
SIGNALS = [
    "data_drift", "prediction_drift", "data_quality", "feature_attribution_drift",
    "model_performance",
]  # fmt: skip


@pytest.fixture
def production(tmp_path: Path) -> Production:
    return Production(tmp_path)


def states(result: MonitorResult) -> dict[str, str]:
    """The state of each signal; and a page can be made of them."""
    assert "<html" in monitor_page(result, [])
    return {signal.name: signal.state for signal in result.signals}


def test_rows_as_in_training_are_fine_in_every_signal(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = rows(300, seed=2)
    production.serve(table)
    production.label(table[["row_id", "label"]])
    result = production.monitor(monkeypatch)
    assert states(result) == dict.fromkeys(SIGNALS, "fine")
    assert [f.name for f in signal_of(result, "data_drift").features] == FEATURES
    assert signal_of(result, "data_drift").production_rows == 300
    assert signal_of(result, "data_drift").reference_rows == 400
    assert {s.reference for s in result.signals} == {"the rows held out when dev/7 was trained"}
    assert result.problems == ()


def test_a_feature_that_moved_is_named_and_no_other(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    production.serve(rows(300, seed=2).eval("size = size + 3"))
    result = production.monitor(monkeypatch)
    assert [f.name for f in signal_of(result, "data_drift").breached] == ["size"]
    size = feature_of(result, "data_drift", "size")
    assert size.unit == "cm"
    assert values_of(size)["normalized_wasserstein_distance"] == pytest.approx(1.5, abs=0.2)
    assert all(m.p_value is not None and m.p_value < 0.001 for m in size.metrics)
    assert signal_of(result, "prediction_drift").state == "breached"


def test_an_empty_window_says_so(production: Production, monkeypatch: pytest.MonkeyPatch) -> None:
    result = production.monitor(monkeypatch)
    assert states(result) == dict.fromkeys(SIGNALS, "unknown")
    for name in ("data_drift", "prediction_drift", "data_quality", "model_performance"):
        assert signal_of(result, name).note.startswith("nothing was collected"), name
    assert "50 are needed" in signal_of(result, "feature_attribution_drift").note
    assert result.state == "unknown"


def test_what_lies_outside_the_window_does_not_count(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    production.serve(rows(300, seed=2).eval("size = size + 3"), ago=8 * 24 * HOUR)
    production.serve(rows(300, seed=3))
    result = production.monitor(monkeypatch)
    size = feature_of(result, "data_drift", "size")
    assert size.state == "fine"
    assert signal_of(result, "data_drift").production_rows == 300
    before, now = size.history[-2:]
    assert (before.rows, now.rows) == (300, 300)
    metric = "jensen_shannon_distance"
    assert (before.values[metric] or 0) > 0.3 > (now.values[metric] or 1)


def test_few_rows_say_nothing_however_far_they_are(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    production.serve(rows(49, seed=2).eval("size = size + 9"))
    result = production.monitor(monkeypatch)
    assert set(states(result).values()) == {"unknown"}
    assert "49 values in this window, 50 are needed" in signal_of(result, "data_drift").note
    assert "49 rows in this window, 50 are needed" in signal_of(result, "data_quality").note


def test_a_constant_feature_has_a_distance(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    production.refer_to(rows(400, seed=1, count=4))
    production.serve(rows(300, seed=2, count=4, size=10.0))
    result = production.monitor(monkeypatch)
    same, stuck = (feature_of(result, "data_drift", name) for name in ("count", "size"))
    assert (same.state, same.note) == ("fine", "every value is 4, as in the reference")
    assert values_of(same)["jensen_shannon_distance"] == 0
    assert (stuck.state, stuck.note) == ("breached", "every value is 10")


@pytest.mark.parametrize("gone", ["all null", "missing"])
def test_a_feature_without_values_is_a_matter_of_quality_not_of_drift(
    production: Production, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    table = rows(300, seed=2, income=np.nan)
    production.serve(table if gone == "all null" else table.drop(columns=["income"]))
    result = production.monitor(monkeypatch)
    drift, quality = (feature_of(result, s, "income") for s in ("data_drift", "data_quality"))
    assert (drift.state, drift.note) == ("unknown", "no row has a value; see data_quality")
    assert quality.state == "breached"
    assert values_of(quality)["null_value_rate"] == 1
    assert "missing, or always null" in quality.note
    assert signal_of(result, "data_drift").state == "fine"


def test_nulls_are_normal_where_the_contract_allows_them(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = rows(300, seed=2)
    production.serve(table)
    income = feature_of(production.monitor(monkeypatch), "data_quality", "income")
    assert income.state == "fine"
    assert values_of(income)["null_value_rate"] == pytest.approx(table["income"].isna().mean())


def test_a_new_category_is_named(production: Production, monkeypatch: pytest.MonkeyPatch) -> None:
    table = rows(300, seed=2)
    table.loc[:39, "colour"] = 'mauve "<script>'
    production.serve(table)
    result = production.monitor(monkeypatch)
    colour = feature_of(result, "data_quality", "colour")
    assert (colour.state, colour.note) == ("breached", "a category is new")
    assert colour.unseen == ('mauve "<script>',)
    page = monitor_page(result, [])
    assert 'mauve "<script>' not in page
    assert "&lt;script&gt;" in page
    (check,) = [c for c in act.checks_of(signal_of(result, "data_quality")) if not c.passed]
    assert "mauve" not in check.show(), "a ticket may be public"
    assert values_of(colour)["out_of_bounds_rate"] == pytest.approx(40 / 300)


def test_a_changed_type_is_counted_and_the_other_values_are_compared(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = rows(300, seed=2).astype({"size": object, "member": object})
    table.loc[:59, "size"] = "tall"
    table["member"] = "perhaps"
    production.serve(table.assign(size=table["size"].where(table.index >= 60, None)))
    text = production.file(events.INPUTS, AT - HOUR).read_text()
    event = json.loads(text)
    for row in event["data"][:60]:
        row["size"] = "tall"
    production.file(events.INPUTS, AT - HOUR).write_text(json.dumps(event) + "\n")
    result = production.monitor(monkeypatch)
    size, member = (feature_of(result, "data_quality", n) for n in ("size", "member"))
    assert values_of(size)["data_type_error_rate"] == pytest.approx(0.2)
    assert values_of(member)["data_type_error_rate"] == 1
    assert (size.state, member.state) == ("breached", "breached")
    assert feature_of(result, "data_drift", "size").state == "fine"
    drift = feature_of(result, "data_drift", "member")
    assert (drift.state, drift.note) == (
        "unknown",
        "its values have another type; see data_quality",
    )


def test_clocks_in_different_zones_tell_one_time(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = ["2026-03-31T05:10:00Z", "2026-03-31T07:10:00+02:00", "2026-03-31T05:10:00.123456",
             "2026-03-30T23:40:00-05:30"]  # fmt: skip
    for seed, time in enumerate(times, 2):
        production.serve(rows(100, seed=seed), time=time)
    late = "2026-03-31T07:10:00-02:00"  # 09:10 UTC: after the window's end
    production.serve(rows(100, seed=9), time=late)
    result = production.monitor(monkeypatch)
    assert signal_of(result, "data_drift").production_rows == 400


def test_an_event_that_came_twice_counts_once(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = rows(200, seed=2)
    production.serve(table, id="one")
    production.serve(table, id="one")
    result = production.monitor(monkeypatch)
    assert signal_of(result, "data_drift").production_rows == 200
    assert "model_inputs: 1 events were delivered twice and count once" in result.problems


def test_a_half_written_file_loses_its_last_line_only(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (2, 3):
        production.serve(rows(200, seed=seed))
    file = production.file(events.INPUTS, AT - HOUR)
    file.write_bytes(file.read_bytes()[:-500])
    result = production.monitor(monkeypatch)
    assert signal_of(result, "data_drift").production_rows == 200
    assert "model_inputs: 1 lines cannot be read and were left out" in result.problems
    assert signal_of(result, "prediction_drift").production_rows == 400


@pytest.mark.parametrize(
    "line",
    ["", "{}", "null", "[1]", '{"time": 3, "data": []}', '{"time": "2026-03-31T05:00:00Z"}', "\x00",
     '{"time": "soon", "data": [{}]}', '{"time": "0001-01-01T00:00:00+14:00", "data": [{}]}',
     "[" * 100_000, '{"time": "2026-03-31T05:00:00Z", "data": [7]}'],
)  # fmt: skip
def test_a_line_that_is_no_event_is_left_out(
    production: Production, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    production.serve(rows(100, seed=2))
    file = production.file(events.INPUTS, AT - HOUR)
    file.write_text(f"{line}\n{file.read_text()}")
    result = production.monitor(monkeypatch)
    assert signal_of(result, "data_drift").production_rows == 100
    assert len(result.problems) == (1 if line else 0)


def test_labels_that_never_arrive_leave_the_other_signals_alone(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    production.serve(rows(300, seed=2))
    result = production.monitor(monkeypatch)
    assert states(result) == dict.fromkeys(SIGNALS, "fine") | {"model_performance": "unknown"}
    note = signal_of(result, "model_performance").note
    assert note == ("0 of 300 answers have a label so far, 50 are needed; no label has come yet")


def test_labels_that_come_late_are_joined_by_the_id(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = rows(300, seed=2)
    production.serve(table)
    wrong = table[["row_id"]].assign(label="no")
    production.label(wrong[:120], "a.parquet")
    production.label(table[["row_id", "label"]][:120].astype({"row_id": str}), "b.csv")
    result = production.monitor(monkeypatch)
    signal = signal_of(result, "model_performance")
    assert signal.state == "fine"
    assert signal.note.startswith("120 of 300 answers have a label; 120 labels came again")
    truth, said = table["label"][:120], np.where(table["size"][:120] > 10, "yes", "no")
    assert values_of(signal.features[0])["accuracy"] == pytest.approx((truth == said).mean())


def test_wrong_answers_breach_the_performance(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = rows(300, seed=2)
    production.serve(table)
    production.label(table[["row_id"]].assign(label=np.where(table["label"] == "yes", "no", "yes")))
    result = production.monitor(monkeypatch)
    breached = {
        m.name for m in signal_of(result, "model_performance").features[0].metrics if m.breached
    }
    assert breached == {"accuracy", "precision", "recall"}


def test_an_id_that_is_asked_twice_is_answered_twice(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = rows(100, seed=2)
    production.serve(table)
    production.serve(table)
    production.label(table[["row_id", "label"]])
    signal = signal_of(production.monitor(monkeypatch), "model_performance")
    assert signal.note.startswith("200 of 200 answers have a label")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (pd.DataFrame({"other": [1]}), "have no column `row_id`"),
        (pd.DataFrame({"row_id": [1]}), "have no column `label`"),
    ],
)
def test_labels_that_cannot_be_read_say_why(
    production: Production, monkeypatch: pytest.MonkeyPatch, labels: pd.DataFrame, said: str
) -> None:
    production.serve(rows(100, seed=2))
    production.label(labels)
    result = production.monitor(monkeypatch)
    assert said in signal_of(result, "model_performance").note
    assert signal_of(result, "data_drift").state == "fine"


def test_requests_without_an_id_cannot_be_joined(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = rows(100, seed=2)
    production.serve(table.drop(columns=["row_id"]))
    production.label(table[["row_id", "label"]])
    note = signal_of(production.monitor(monkeypatch), "model_performance").note
    assert "requests must carry the id `row_id`" in note


def test_a_column_that_is_not_collected_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns: Any = CONTRACT["columns"]
    hidden = CONTRACT | {"columns": columns | {"income": {**columns["income"], "collect": False}}}
    production = Production(tmp_path, contract=hidden)
    production.serve(rows(100, seed=2).drop(columns=["income"]))
    result = production.monitor(monkeypatch)
    assert "not collected" in feature_of(result, "data_drift", "income").note
    assert feature_of(result, "data_quality", "income").state == "unknown"
    assert "income, which is not collected" in signal_of(result, "feature_attribution_drift").note


def test_a_signal_that_fails_stops_no_other(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    production.serve(rows(100, seed=2))
    (production.folder / "files" / "evaluation" / "predictions.parquet").write_bytes(b"PAR1 no")
    result = production.monitor(monkeypatch)
    assert states(result)["prediction_drift"] == "unknown"
    assert signal_of(result, "prediction_drift").note.startswith("ArrowInvalid: ")
    assert states(result)["data_drift"] == "fine"


def test_ids_beyond_what_a_float_holds_are_told_apart(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = rows(100, seed=2)
    table["row_id"] = np.arange(100, dtype="int64") + 2**60
    production.serve(table)
    production.label(table[["row_id", "label"]][:60])
    signal = signal_of(production.monitor(monkeypatch), "model_performance")
    assert signal.note.startswith("60 of 100 answers have a label")


def test_an_unhealthy_endpoint_breaches_and_one_error_of_ten_does_not(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    production.settings(windows=1)
    for log, state in (
        (Requests(1000, 5, 100, 4.0, 9.0, 20.0), "breached"),
        (Requests(1000, 900, 0, 4.0, 900.0, 2000.0), "breached"),
        (Requests(1000, 900, 11, 4.0, 9.0, 20.0), "fine"),
        (Requests(10, 0, 1, 4.0, 9.0, 20.0), "unknown"),
        (Requests(), "unknown"),
    ):
        production.log = [log]
        health = production.monitor(monkeypatch).health
        assert health and health.state == state, log


def test_recent_production_data_can_be_the_reference(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = definition.load_monitor(production.project, production.environment)
    assert read
    drift = read.signals["data_drift"].model_copy(update={"reference_data": None})
    changed = type(read)(read.document, read.trigger, {"data_drift": drift}, {})
    monkeypatch.setattr("tests.engine.monitored.load_monitor", lambda *_: changed)
    production.serve(rows(300, seed=2).eval("size = size + 3"), ago=10 * 24 * HOUR)
    production.serve(rows(300, seed=3).eval("size = size + 3"))
    result = production.monitor(monkeypatch)
    assert signal_of(result, "data_drift").reference.startswith("production from 2026-03-10 06:00")
    assert feature_of(result, "data_drift", "size").state == "fine"
    assert act.checks_of(signal_of(result, "data_drift"))[0].passed


def test_the_version_before_is_in_the_past_and_not_in_the_verdict(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    production.deployment = "version-2"
    moved = rows(300, seed=2).eval("size = size + 3")
    production.serve(moved, ago=8 * 24 * HOUR)
    production.serve(moved, ago=2 * 24 * HOUR)
    production.deployment = "version-3"
    production.serve(rows(300, seed=3))
    result = production.monitor(monkeypatch)
    drift = signal_of(result, "data_drift")
    assert (drift.state, drift.production_rows) == ("fine", 300)
    assert [point.rows for point in drift.features[0].history[-2:]] == [300, 300]


def test_an_odd_id_of_an_event_stops_nothing(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    production.serve(rows(100, seed=2), id=[1])
    result = production.monitor(monkeypatch)
    assert signal_of(result, "data_drift").production_rows == 100


def test_an_id_that_is_not_collected_joins_no_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns: Any = CONTRACT["columns"]
    hidden = CONTRACT | {"columns": columns | {"row_id": {"type": "integer", "collect": False}}}
    production = Production(tmp_path, contract=hidden)
    production.serve(rows(100, seed=2).drop(columns=["row_id"]))
    note = signal_of(production.monitor(monkeypatch), "model_performance").note
    assert note == "`row_id` is not collected (data/contract.yml: `collect: false`)"


def test_health_that_cannot_be_read_stops_no_signal(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(start: datetime.datetime, end: datetime.datetime) -> Requests:
        raise MlopsError("the role Monitoring Reader is missing")

    production.serve(rows(100, seed=2))
    production.requests = refused  # type: ignore[method-assign]
    result = production.monitor(monkeypatch)
    assert result.health and result.health.note == "the role Monitoring Reader is missing"
    assert signal_of(result, "data_drift").state == "fine"


def test_requests_of_which_nothing_was_collected_are_noticed(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    production.settings(windows=1)
    production.log = [Requests(90, 10, 0, 4.0, 9.0, 20.0)]
    (problem,) = production.monitor(monkeypatch).problems
    assert problem.startswith("80 requests were answered, and nothing was collected")


def test_a_feature_can_be_watched_as_another_kind(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = definition.load_monitor(production.project, production.environment)
    assert read
    override = {"feature_type_override": {"count": "categorical"}}
    drift = read.signals["data_drift"].model_copy(update=override)
    changed = type(read)(read.document, read.trigger, {"data_drift": drift}, {})
    monkeypatch.setattr("tests.engine.monitored.load_monitor", lambda *_: changed)
    production.serve(rows(300, seed=2))
    count = feature_of(production.monitor(monkeypatch), "data_drift", "count")
    assert (count.kind, list(values_of(count))) == ("categorical", ["jensen_shannon_distance"])


def test_a_category_with_as_many_values_as_an_id_is_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns: Any = CONTRACT["columns"]
    free = CONTRACT | {"columns": columns | {"colour": {"type": "category"}}}
    production = Production(tmp_path, contract=free)
    table = rows(25_000, seed=1)
    production.refer_to(table.assign(colour=[f"c{n}" for n in range(len(table))]))
    production.serve(rows(300, seed=2))
    result = production.monitor(monkeypatch)
    colour = feature_of(result, "data_drift", "colour")
    assert colour.state == "unknown"
    assert "more than 10000 different values" in colour.note
    assert signal_of(result, "data_drift").state == "fine"
