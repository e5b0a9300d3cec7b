from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.decisions import Check, Decision, DecisionKind, now
from mlops.errors import MlopsError, UsageError
from mlops.monitor_settings import RetrainingSettings
from mlops.monitoring import act, alarm
from mlops.monitoring.act import Monitoring, monitor
from mlops.monitoring.alarm import Alarm
from mlops.project import find_project
from mlops.settings import EnvironmentSettings
from mlops.workspaces import Deployment, Endpoint, ModelVersion
from tests.conftest import generated


def version(number: int) -> ModelVersion:
    return ModelVersion("churn-model", number, "prod", "run", now(), {"origin": f"dev/{number}"})


class FakeWorkspace:
    """As much of a workspace as monitoring asks: decisions, versions, traffic."""

    def __init__(self, traffic: dict[str, int] | None = None, champion: int | None = 1) -> None:
        self.environment = find_project(generated()).environment("prod")
        self.kept: list[Decision] = []
        self._traffic = traffic
        self._champion = champion
        if traffic is None:  # an environment without an online endpoint
            endpoints = self.environment.settings.endpoints.model_copy(update={"online": None})
            settings = self.environment.settings.model_copy(update={"endpoints": endpoints})
            self.environment = type(self.environment)("prod", settings, self.environment.document)

    def versions(self) -> list[ModelVersion]:
        return [version(1), version(2)]

    def champion(self) -> ModelVersion | None:
        return version(self._champion) if self._champion else None

    def endpoint(self) -> Endpoint:
        deployments = {f"version-{n}": Deployment(f"version-{n}", n, now()) for n in (1, 2)}
        return Endpoint("churn", deployments, self._traffic or {})

    def keep(self, decision: Decision) -> None:
        self.kept.append(decision)

    def decisions(self, kind: DecisionKind | None = None) -> list[Decision]:
        return [decision for decision in self.kept if kind in (None, decision.kind)]


def result(
    signal: str, passed: bool, number: int | None = 1, rules: Sequence[str] = ("drift of x",)
) -> Decision:
    checks = tuple(Check(rule=rule, value=0.3, limit=0.1, passed=passed) for rule in rules)
    return Decision(
        kind="monitor", environment="prod", model="churn-model", version=number, checks=checks,
        facts={"signal": signal}, time=now(),
    )  # fmt: skip


def run(workspace: FakeWorkspace, *, ask: bool = True) -> Monitoring:
    project: Any = find_project(generated())
    return monitor(project, workspace, ask=ask, report=lambda line: None)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _nothing_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a project without monitoring/monitor.yml: what is kept and asked is left."""
    monkeypatch.setattr(act, "load_monitor", lambda project, environment: None)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the endpoint answers: the checks, or an error to raise."""
    said = SimpleNamespace(checks=(Check(rule="answers", value="200", passed=True),), error=None)

    def live_test(workspace: Any, contract: Any) -> Any:
        if said.error:
            raise said.error
        return said.checks

    monkeypatch.setattr(act, "live_test", live_test)
    monkeypatch.setattr(act, "contract_of", lambda workspace, version: None)
    return said


def test_the_newest_result_of_each_signal_counts() -> None:
    workspace = FakeWorkspace()
    workspace.kept = [
        result("data_drift", False), result("data_quality", True),
        result("data_drift", True), result("data_quality", False),
    ]  # fmt: skip
    found = run(workspace)
    assert [r.facts["signal"] for r in found.results] == ["data_drift", "data_quality"]
    assert [alarm.key for alarm in found.alarms] == ["churn-model/prod/data_quality"]


def test_other_decisions_are_no_results() -> None:
    workspace = FakeWorkspace()
    gate = result("data_drift", False).model_copy(update={"kind": "gate"})
    nameless = result("data_drift", False).model_copy(update={"facts": {}})
    workspace.kept = [gate, nameless]
    assert run(workspace).alarms == ()


def test_an_alarm_ends_with_the_version_that_it_was_about(answers: SimpleNamespace) -> None:
    workspace = FakeWorkspace(traffic={"version-2": 100}, champion=2)
    workspace.kept = [result("data_drift", False, number=1)]
    assert run(workspace).alarms == ()


@pytest.mark.parametrize(
    ("traffic", "number"),
    [
        ({"version-1": 90, "version-2": 10}, 1), ({"version-1": 0, "version-2": 100}, 2),
        ({}, 1), (None, 1),
    ],
)  # fmt: skip
def test_the_version_in_use_has_most_of_the_traffic_or_is_the_champion(
    answers: SimpleNamespace, traffic: dict[str, int] | None, number: int
) -> None:
    found = run(FakeWorkspace(traffic))
    assert found.version
    assert found.version.number == number


def test_where_nothing_is_in_use_there_is_nothing_to_monitor() -> None:
    workspace = FakeWorkspace(champion=None)
    workspace.kept = [result("data_drift", False)]
    assert run(workspace) == Monitoring(None, None, (), ())


def test_the_endpoint_is_asked_where_it_has_traffic(answers: SimpleNamespace) -> None:
    workspace = FakeWorkspace({"version-1": 100})
    assert run(workspace).alarms == ()
    assert [(d.kind, d.version, d.facts) for d in workspace.kept] == [
        ("monitor", 1, {"signal": "endpoint"})
    ]
    answers.checks = (Check(rule="answers", value="500", passed=False),)
    (alarm,) = run(workspace).alarms
    assert (alarm.key, alarm.retrain) == ("churn-model/prod/endpoint", False)


@pytest.mark.parametrize("traffic", [{}, None])
def test_without_traffic_it_is_not_asked_and_an_old_answer_does_not_count(
    answers: SimpleNamespace, traffic: dict[str, int] | None
) -> None:
    workspace = FakeWorkspace(traffic)
    workspace.kept = [result("endpoint", False)]
    assert run(workspace).alarms == ()
    assert len(workspace.kept) == 1


def test_who_does_not_ask_sees_no_answer_of_another_time(answers: SimpleNamespace) -> None:
    workspace = FakeWorkspace({"version-1": 100})
    workspace.kept = [result("endpoint", False), result("data_drift", False)]
    found = run(workspace, ask=False)
    assert [alarm.key for alarm in found.alarms] == ["churn-model/prod/data_drift"]
    assert len(workspace.kept) == 2


@pytest.mark.parametrize("error", [MlopsError("cannot be reached"), ConnectionResetError("reset")])
def test_an_endpoint_that_cannot_be_reached_is_an_alarm(
    answers: SimpleNamespace, error: Exception
) -> None:
    answers.error = error
    (alarm,) = run(FakeWorkspace({"version-1": 100})).alarms
    assert str(error) in alarm.body


def test_a_wrong_usage_is_no_alarm(answers: SimpleNamespace) -> None:
    answers.error = UsageError("azure-ai-ml is not installed")
    with pytest.raises(UsageError):
        run(FakeWorkspace({"version-1": 100}))


def test_the_policy_says_which_alarm_retrains() -> None:
    workspace = FakeWorkspace()
    workspace.kept = [result("data_drift", False), result("data_quality", False)]
    found = run(workspace)
    assert {alarm.title: alarm.retrain for alarm in found.alarms} == {
        "prod: data_drift": True, "prod: data_quality": False,
    }  # fmt: skip
    assert found.retrain


def test_an_older_environments_file_has_the_default_policy() -> None:
    settings = find_project(generated()).environment("prod").settings
    assert settings.retraining.signals == ("data_drift", "prediction_drift", "model_performance")


def test_an_unknown_signal_in_the_policy_is_named() -> None:
    settings = find_project(generated()).environment("prod").settings.model_dump(mode="json")
    settings["retraining"] = {"signals": ["drift"]}
    with pytest.raises(ValueError, match="data_drift"):
        EnvironmentSettings.model_validate(settings)
    assert RetrainingSettings.model_validate({"signals": []}).signals == ()


def test_the_body_says_what_failed_of_which_version_and_what_to_do() -> None:
    workspace = FakeWorkspace()
    workspace.kept = [result("data_drift", False, rules=("drift of x", "drift of y"))]
    (alarm,) = run(workspace).alarms
    for part in (
        "version 1",
        "dev/1",
        "2 of 2 checks",
        "drift of y",
        "docs/runbook.md",
        "training",
    ):
        assert part in alarm.body


def test_the_state_changes_with_the_failed_rules_and_the_version_only() -> None:
    def state(**settings: Any) -> str:
        workspace = FakeWorkspace(champion=settings.get("number", 1))
        workspace.kept = [result("data_drift", False, **settings)]
        return run(workspace).alarms[0].state

    assert state() == state()
    assert state(rules=("drift of x", "drift of y")) == state(rules=("drift of y", "drift of x"))
    assert len({state(), state(number=2), state(rules=("drift of y",))}) == 3


@given(st.lists(st.text(min_size=1), min_size=1, max_size=40))
def test_a_body_is_short_and_what_the_data_is_called_is_no_markup(rules: list[str]) -> None:
    failed = [Check(rule=rule * 50, value=1.0, limit=0.1, passed=False) for rule in rules]
    found = result("data_drift", False)
    body = alarm._body(version(1), found, failed, True)
    assert len(body) < 10_000
    shown = [line for line in body.splitlines() if "FAILED" in line]
    assert len(shown) == min(len(rules), alarm.CHECKS_SHOWN)
    assert all(line.startswith("    ") for line in shown)


def test_alarms_go_through_json(tmp_path: Path) -> None:
    alarm = Alarm(key="m/prod/data_drift", title="prod: ü", body="a\nb", retrain=True, state="1")
    assert Alarm.model_validate_json(alarm.model_dump_json()) == alarm
