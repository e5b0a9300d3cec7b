"""What asks for a training, and what stands against one; and a request on its way between stages."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops.checks import check_project
from mlops.decisions import Check, Decision
from mlops.errors import UsageError
from mlops.monitor_settings import RetrainingSettings
from mlops.monitoring.act import Monitoring
from mlops.monitoring.alarm import alarm_of
from mlops.monitoring.results import FeatureResult, MetricResult, MonitorResult, SignalResult
from mlops.project import Environment, Project, find_project
from mlops.retraining_policy import NewRows, by_hand, decided, judge, triggers
from mlops.retraining_request import MOST_CHARACTERS, Ask, Request, read_request
from mlops.workspaces import ModelVersion

from ..conftest import generated
from .builders import edit

NOW = datetime(2026, 3, 31, 6, 0, tzinfo=timezone.utc)
NONE_COUNTED = NewRows(None, "not counted")
VERSION = ModelVersion("churn-model", 1, "prod", "run", "", {"origin": "dev/1"})


def policy(**settings: Any) -> RetrainingSettings:
    return RetrainingSettings.model_validate(settings)


def environment(**settings: Any) -> Environment:
    made = find_project(generated()).environment("prod")
    changed = made.settings.model_copy(update={"retraining": policy(**settings)})
    return replace(made, settings=changed)


def performance(values: dict[str, float], state: Any = "fine") -> SignalResult:
    """The result of the signal of the live answers."""
    metrics = tuple(MetricResult(name=name, value=value) for name, value in values.items())
    feature = FeatureResult(name="", state=state, metrics=metrics)
    return SignalResult(
        name="performance", type="model_performance", state=state, start=NOW, end=NOW,
        features=(feature,),
    )  # fmt: skip


def found(where: Environment, *breached: str, signals: tuple[SignalResult, ...] = ()) -> Monitoring:
    """What a monitor found: some signals breached, all others of the policy fine."""
    results = [
        Decision(
            kind="monitor", environment="prod", model="churn-model", version=1, time="now",
            checks=(Check(rule="x", value=1.0, passed=name not in breached),),
            facts={"signal": name},
        )
        for name in dict.fromkeys([*where.settings.retraining.signals, *breached])
    ]  # fmt: skip
    result = MonitorResult(
        environment="prod", model="churn-model", version=1, origin="dev/1", endpoint="e",
        deployment="d", made=NOW, signals=signals,
    )  # fmt: skip
    alarms = tuple(alarm_of(where, VERSION, each) for each in results if not each.accepted)
    return Monitoring(VERSION, result, tuple(results), alarms)


def texts(
    where: Environment, seen: Monitoring, trained: str = "2026-03-01T06:00:00+00:00"
) -> list[tuple[bool, str]]:
    """Each trigger: whether it asks, and its line."""
    return [(t.check.passed, t.check.text) for t in triggers(where, seen, trained, NOW)]


# --- what asks


def test_a_breached_signal_of_the_policy_asks_and_the_others_say_how_they_are() -> None:
    where = environment(signals=["data_drift", "model_performance"])
    assert texts(where, found(where, "data_drift", "data_quality")) == [
        (True, "data_drift: breached"),
        (False, "model_performance: fine, expected breached"),
    ]


def test_a_signal_without_a_result_does_not_ask() -> None:
    where = environment(signals=["data_drift"])
    seen = Monitoring(VERSION, None, (), ())
    assert texts(where, seen) == [(False, "data_drift: no result, expected breached")]


@pytest.mark.parametrize(
    ("floors", "values", "state", "asks", "said"),
    [
        ({"mae": 55}, {"mae": 55.0}, "fine", False, "live mae: 55, beyond 55"),
        ({"mae": 55}, {"mae": 55.1}, "fine", True, "live mae: 55.1, beyond 55"),
        ({"accuracy": 0.9}, {"accuracy": 0.9}, "fine", False, "live accuracy: 0.9, beyond 0.9"),
        ({"accuracy": 0.9}, {"accuracy": 0.8}, "breached", True, "live accuracy: 0.8, beyond 0.9"),
        ({"f1": 0.9}, {"f1_score": 0.8}, "fine", True, "live f1: 0.8, beyond 0.9"),
        ({"mae": 55}, {"mae": 99.0}, "unknown", False, "live mae: unknown, beyond 55"),
        ({"mae": 55}, {"rmse": 99.0}, "fine", False, "live mae: unknown, beyond 55"),
    ],
)
def test_a_live_metric_beyond_its_floor_asks(
    floors: dict[str, float], values: dict[str, float], state: str, asks: bool, said: str
) -> None:
    where = environment(signals=[], performance=floors)
    assert texts(where, found(where, signals=(performance(values, state),))) == [(asks, said)]


@pytest.mark.parametrize(
    ("trained", "asks", "said"),
    [
        ("2026-03-01T06:00:00+00:00", True, "30, at least 30"),
        ("2026-03-01T06:00:01Z", False, "30, at least 30"),
        ("2026-03-30T06:00:00", False, "1, at least 30"),
        ("2026-04-30T06:00:00+00:00", False, "0, at least 30"),
        ("", False, "unknown, at least 30"),
    ],
)
def test_a_model_that_is_old_enough_asks(trained: str, asks: bool, said: str) -> None:
    where = environment(signals=[], every_days=30)
    rule = "days since the model in use was trained: "
    assert texts(where, found(where), trained) == [(asks, rule + said)]


def test_new_rows_ask_wherever_they_are_counted() -> None:
    where = environment(signals=[], new_rows=100)
    assert texts(where, found(where)) == [
        (True, "new labelled rows since the last training: not counted yet, at least 100")
    ]


def test_a_policy_that_names_nothing_never_asks() -> None:
    where = environment(signals=[])
    assert texts(where, found(where, "data_drift")) == []


# --- what stands against it

SIGNAL = Ask(trigger="signal", name="data_drift", state="1")
AGE = Ask(trigger="age", value=40.0, limit=30.0)
ROWS = Ask(trigger="rows", limit=100.0)


@pytest.mark.parametrize(
    ("settings", "asks", "days", "rows", "accepted", "last"),
    [
        ({}, [SIGNAL], None, NONE_COUNTED, True, "days since the last retraining: none yet"),
        ({}, [SIGNAL], 0.5, NONE_COUNTED, False, "days since the last retraining: 0.5, at least 1"),
        ({}, [SIGNAL], 1.0, NONE_COUNTED, True, "days since the last retraining: 1, at least 1"),
        ({"at_most_every_days": 0}, [SIGNAL], 0.0, NONE_COUNTED, True, "0, at least 0"),
        # A challenger was refused, and the model is as old as before.
        ({"every_days": 30}, [AGE], 20.0, NONE_COUNTED, False, "20, at least 30 (its age alone asks)"),
        ({"every_days": 30}, [AGE, SIGNAL], 20.0, NONE_COUNTED, True, "20, at least 1"),
        ({"minimum_new_rows": 50}, [SIGNAL], None, NewRows(49, "how"), False, "49, at least 50 (how)"),
        ({"minimum_new_rows": 50}, [SIGNAL], None, NewRows(50), True, "50, at least 50"),
        ({"minimum_new_rows": 50}, [SIGNAL], None, NewRows(None, "why"), True, "unknown, at least 50 (why)"),
        ({"new_rows": 100}, [ROWS], None, NewRows(100), True, "none yet, at least 1"),
        ({"new_rows": 100}, [ROWS], None, NewRows(99), False, "99, at least 100"),
        ({"new_rows": 100}, [ROWS], None, NewRows(None, "why"), False, "unknown, at least 100 (why)"),
        # Rows that a refused challenger has seen do not ask again.
        ({"new_rows": 100}, [ROWS], 9.0, NewRows(150, since_last=10), False, "10, at least 100"),
        ({"new_rows": 100}, [ROWS], 9.0, NewRows(150, since_last=120), True, "9, at least 1"),
        ({"new_rows": 100}, [ROWS, SIGNAL], None, NewRows(3), True, "none yet, at least 1"),
    ],
)  # fmt: skip
def test_a_training_starts_if_something_asks_and_no_limit_fails(
    settings: dict[str, Any], asks: list[Ask], days: float | None, rows: NewRows, accepted: bool,
    last: str,
) -> None:  # fmt: skip
    before = None if days is None else NOW - timedelta(days=days)
    checks, _ = decided(*judge(policy(**settings), asks, before, rows, NOW))
    assert all(check.passed for check in checks) is accepted
    assert checks[-1].text.endswith(last) or last in checks[-1].text


def test_what_does_not_ask_is_told_beside_what_does() -> None:
    rows = NewRows(3, "by count")
    checks, facts = decided(*judge(policy(new_rows=100), [ROWS, SIGNAL], None, rows, NOW))
    assert [check.rule for check in checks] == ["data_drift", "days since the last retraining"]
    assert facts == {
        "did not ask": "new labelled rows since the last training: 3, at least 100 (by count)"
    }


def test_a_person_is_not_asked_for_rows_or_patience() -> None:
    ask = by_hand(NOW).ask
    limits = policy(minimum_new_rows=50)
    checks, _ = decided(*judge(limits, [ask], NOW, NewRows(0), NOW))
    assert all(check.passed for check in checks)
    assert "does not count: asked for by hand" in checks[-1].text
    assert [check.rule for check in checks] == [
        "asked for by hand", "days since the last retraining", "new labelled rows to train on",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"every_days": 0.5}, "it would be in vain"),
        ({"new_rows": 10, "minimum_new_rows": 20}, "it would ask in vain"),
        ({"signals": ["drift"]}, "data_drift"),
        ({"at_most_every_days": -1}, "greater than or equal to 0"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        policy(**settings)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("performance: {mae: 55}", "`mae` is no metric of the live answers of a classification"),
        ("performance: {acuracy: 0.9}", "did you mean `accuracy`?"),
        ("window_days: 90", "`window_days` goes by the time of each row"),
        ("every_days: 0.5", "`every_days` is less than `at_most_every_days`"),
    ],
)
def test_mlops_check_names_the_line_of_a_policy_that_cannot_be(
    line: str, said: str, project: Any
) -> None:
    file = project / "environments" / "prod.yml"
    if line.startswith("window"):
        edit(file, "  window_days: null", f"  {line}")
        at = "  window_days"
    else:
        edit(file, "retraining:\n", f"retraining:\n  {line}\n")
        at = f"  {line}" if line.startswith("performance") else "retraining:"
    (finding,) = check_project(find_project(project), with_azure=False)
    assert said in finding.problem
    assert file.read_text("utf-8").splitlines()[finding.line - 1].startswith(at)


# --- the request


def request(**changes: Any) -> Request:
    given: dict[str, Any] = {
        "environment": "prod", "model": "churn-model", "origin": "dev/7", "digest": "a" * 64,
        "asks": (SIGNAL,), "time": "2026-03-31T06:00:00+00:00",
    }  # fmt: skip
    return Request(**{**given, **changes})


@pytest.fixture(scope="module")
def plain() -> Project:
    return find_project(generated())


def test_a_request_goes_through_one_line_of_json(plain: Project) -> None:
    text = request().model_dump_json()
    assert len(text.splitlines()) == 1
    read, where = read_request(text, plain)
    assert (read, where.name) == (request(), "prod")
    assert read.id == request().id


def test_its_id_is_the_same_as_long_as_the_same_is_asked_for_of_the_same_version() -> None:
    other = Ask(trigger="signal", name="prediction_drift", state="2")
    same = request(asks=(SIGNAL, other)).id
    assert request(asks=(other, SIGNAL)).id == same
    assert request(asks=(other, SIGNAL), time="2027-01-01T00:00:00+00:00").id == same
    older = AGE.model_copy(update={"value": 99.0})
    assert request(asks=(AGE,)).id == request(asks=(older,)).id
    ids = {
        request().id,
        request(digest="b" * 64).id,
        request(environment="staging").id,
        request(asks=(other,)).id,
        request(asks=(SIGNAL.model_copy(update={"state": "9"}),)).id,
        request(asks=(by_hand(NOW).ask,)).id,
        request(asks=(by_hand(NOW + timedelta(seconds=1)).ask,)).id,
    }
    assert len(ids) == 7


@pytest.mark.parametrize(
    "broken",
    [
        "", "{", "null", "[]", "{}", "true", "NaN",
        {"environment": "nowhere"}, {"environment": "../prod"}, {"environment": "prod\n"},
        {"model": "another-model"}, {"origin": "dev/7; rm -rf /"}, {"origin": "dev/\u0667"},
        {"digest": "A" * 64}, {"digest": "../../etc/passwd"}, {"asks": []}, {"asks": {}},
        {"asks": [{"trigger": "signal", "name": "$(touch x)"}]}, {"asks": [{"trigger": "whim"}]},
        {"asks": [{"trigger": "signal", "value": "1"}]}, {"asks": [{"trigger": "age", "more": 1}]},
        {"asks": [{"trigger": "age"}] * 51}, {"time": "yesterday"}, {"time": 1},
        {"data": "/etc/passwd"}, {"id": "1" * 16}, {"origin": None},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_request_is_refused_and_not_repeated(broken: Any, plain: Project) -> None:
    text = broken
    if isinstance(broken, dict):
        text = json.dumps({**request().model_dump(mode="json"), **broken})
    with pytest.raises(UsageError) as error:
        read_request(text, plain)
    for stranger in ("rm -rf", "touch", "passwd"):
        assert stranger not in str(error.value)


def test_a_request_has_a_length() -> None:
    with pytest.raises(UsageError, match=str(MOST_CHARACTERS)):
        read_request(" " * (MOST_CHARACTERS + 1), find_project(generated()))


@given(st.text() | st.dictionaries(st.text(), st.text()).map(json.dumps))
def test_no_text_does_more_than_to_be_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_request(text, find_project(generated()))


@given(st.text(max_size=200))
def test_whatever_a_signal_is_called_its_request_can_be_read(name: str) -> None:
    where = environment()
    failed = Decision(
        kind="monitor", environment="prod", model="churn-model", version=1, time="now",
        checks=(Check(rule="x", value=1.0, passed=False),),
        facts={"signal": name, "type": "data_drift"},
    )  # fmt: skip
    seen = Monitoring(VERSION, None, (failed,), (alarm_of(where, VERSION, failed),))
    asks = tuple(t.ask for t in triggers(where, seen, "", NOW) if t.check.passed)
    made = request(asks=asks)
    assert Request.model_validate_json(made.model_dump_json()) == made
