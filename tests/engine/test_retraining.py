"""The act `retrain`: when a training starts, what is kept about it, and what is handed on.

The trainings are doubles here; the data, the records and the policy are real.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlops import retraining, retraining_work
from mlops.decisions import Check, Decision, DecisionKind
from mlops.errors import MlopsError, Refused
from mlops.monitoring.act import Monitoring
from mlops.monitoring.alarm import alarm_of
from mlops.project import Environment, Project, find_project
from mlops.retraining_work import Retraining
from mlops.training import Training
from mlops.workspaces import Job, ModelVersion
from mlops.workspaces.local.data import LocalDataStore

from .builders import edit

START = datetime(2026, 3, 31, 6, 0, tzinfo=timezone.utc)
IN_USE = {"origin": "dev/1", "model_digest": "1" * 64, "trained": "2026-03-01T06:00:00+00:00"}


class Place:
    """As much of a workspace as retraining asks: versions and decisions."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.kept: list[Decision] = []
        self.found = [ModelVersion("churn-model", 1, environment.name, "r", "2026-03-01", IN_USE)]
        self.full = False

    def versions(self) -> list[ModelVersion]:
        return self.found

    def champion(self) -> ModelVersion | None:
        return self.found[0] if self.found else None

    def data(self) -> LocalDataStore:
        return LocalDataStore(self.environment.document.path.parent / "no-data")

    def keep(self, decision: Decision) -> None:
        if self.full:
            raise MlopsError("no permission")
        self.kept.append(decision)

    def decisions(self, kind: DecisionKind | None = None) -> list[Decision]:
        return [decision for decision in self.kept if kind in (None, decision.kind)]


class World:
    """Two environments, a monitor, and trainings that end as they are told to."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project: Project = find_project(root)
        names = ("dev", "prod")
        self.places = {name: Place(self.project.environment(name)) for name in names}
        self.opened: list[str] = []
        self.breached = ["data_drift"]
        self.trainings: list[dict[str, Any]] = []
        self.ends: Callable[[int], Training] = self.accepted
        self.lines: list[str] = []
        self.asked: list[bool] = []
        self.now = START
        self.identity = "lives"
        monkeypatch.setattr(retraining, "monitor", self.monitor)
        monkeypatch.setattr(retraining, "version_in_use", lambda w: (w.champion(), True))
        monkeypatch.setattr(retraining_work, "train", self.train)
        monkeypatch.setattr(
            retraining_work, "fresh_data",
            lambda project, workspace: SimpleNamespace(name=self.identity, version=None),
        )  # fmt: skip

    def policy(self, **settings: Any) -> None:
        prod = self.places["prod"]
        changed = prod.environment.settings.retraining.model_copy(update=settings)
        given = prod.environment.settings.model_copy(update={"retraining": changed})
        prod.environment = replace(prod.environment, settings=given)

    def monitor(self, project: Any, place: Place, *, ask: bool, **_: Any) -> Monitoring:
        self.asked.append(ask)
        version = place.champion()
        if version is None:
            return Monitoring(None, None, (), ())
        results = tuple(
            Decision(
                kind="monitor", environment="prod", model="churn-model", version=1, time="now",
                checks=(Check(rule="x", value=1.0, passed=False),), facts={"signal": name},
            )
            for name in self.breached
        )  # fmt: skip
        alarms = tuple(alarm_of(place.environment, version, each) for each in results)
        return Monitoring(version, None, results, alarms)

    def train(self, project: Any, place: Place, **given: Any) -> Training:
        self.trainings.append(given)
        return self.ends(len(self.trainings))

    def training(self, version: ModelVersion | None, job: str, passed: bool = True) -> Training:
        check = Check(rule="roc_auc", value=0.7, limit=0.9, comparison="at least", passed=passed)
        decision = Decision(
            kind="gate", environment="dev", model="churn-model", checks=(check,), time="now"
        )
        card = self.project.root / "card.md"
        card.write_text("# the card\n\n## Plots\n\n![x](plots/x.png)\n\n## Lineage\n\nof it\n")
        return Training(Job(job, job, (), {}), decision, card, version)

    def accepted(self, number: int, *, job: str = "") -> Training:
        tags = {"job": job or f"job-{number}", "model_digest": f"{number + 1}" * 64}
        version = ModelVersion("churn-model", number + 1, "dev", "r", "now", tags)
        return self.training(version, f"job-{number}")

    def refused(self, number: int) -> Training:
        return self.training(None, f"job-{number}", passed=False)

    def open(self, name: str) -> Any:
        self.opened.append(name)
        return self.places[name]

    def retrain(self, days: float = 0, **options: Any) -> Retraining:
        """Retrain for prod, so many days later."""
        self.now += timedelta(days=days)
        self.opened, self.lines = [], []
        return retraining.retrain(
            self.project, self.open, "prod", at=self.now, report=self.lines.append, **options
        )

    def request(self) -> str:
        """The request that the first half makes."""
        made = self.retrain(decide_only=True).request
        assert made
        return made.model_dump_json()

    def kept(self, name: str) -> list[Decision]:
        return self.places[name].decisions("retraining")


@pytest.fixture
def world(project: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(project, monkeypatch)


def test_an_alarm_of_the_policy_starts_a_training_and_why_is_kept_in_both_places(
    world: World,
) -> None:
    done = world.retrain()
    assert done.outcome
    assert (done.outcome.result, done.outcome.version) == ("registered", "dev/2")
    assert (done.hand_over, done.again, done.alarms) == (True, False, ())
    assert done.request
    assert world.trainings[0]["tags"] == {"retraining": done.request.id}
    assert world.trainings[0]["data"] is None
    (here,), (there,) = world.kept("prod"), world.kept("dev")
    assert (here.version, here.accepted, here.environment) == (1, True, "prod")
    assert (there.version, there.accepted, there.environment) == (2, True, "dev")
    assert [check.rule for check in here.checks] == ["data_drift", "days since the last retraining"]
    assert here.facts["request"] == there.facts["request"] == done.request.id
    assert there.facts["outcome"]["version"] == "dev/2"
    assert here.facts["did not ask"].startswith("prediction_drift: no result")
    json.dumps(done.record())


def test_where_nothing_asks_nothing_is_kept_and_dev_is_not_opened(world: World) -> None:
    world.breached = ["data_quality"]
    done = world.retrain()
    assert (done.request, done.outcome, world.trainings) == (None, None, [])
    assert not done.decision.accepted
    assert world.kept("prod") == world.kept("dev") == []
    assert world.opened == ["prod"]


def test_where_nothing_is_in_use_there_is_nothing_to_retrain_but_by_force(world: World) -> None:
    world.places["prod"].found = []
    done = world.retrain()
    assert [check.rule for check in done.decision.checks] == ["version in use"]
    assert world.trainings == []
    forced = world.retrain(force=True)
    assert forced.outcome
    assert forced.outcome.result == "registered"


def test_the_first_half_writes_nothing_and_the_second_does_not_read_production(
    world: World,
) -> None:
    request = world.request()
    assert (world.opened, world.asked, world.kept("prod")) == (["prod"], [False], [])
    done = world.retrain(request=request)
    assert world.opened == ["dev"]
    assert done.hand_over
    (kept,) = world.kept("dev")
    assert (kept.facts["for"], kept.facts["in use"]) == ("prod", "dev/1")


def test_the_same_alarm_delivered_twice_starts_one_training(world: World) -> None:
    first, second = world.request(), world.request()
    done = world.retrain(request=first)
    later = world.retrain(2, request=world.request())
    for again in (world.retrain(request=second), later):
        assert again.again
        assert again.outcome == done.outcome
    assert len(world.trainings) == len(world.kept("dev")) == 1


def test_what_is_delivered_again_is_not_handed_over_again_but_what_is_run_again_is(
    world: World,
) -> None:
    request = world.request()
    assert world.retrain(request=request).hand_over
    assert world.retrain(request=request).hand_over, "the job was run again"
    world.now += timedelta(hours=1)
    assert not world.retrain(request=world.request()).hand_over


def test_new_data_and_another_alarm_are_something_new(world: World) -> None:
    world.retrain()
    world.identity = "newer"
    assert not world.retrain(1).again
    world.breached = ["prediction_drift"]
    assert not world.retrain(1).again
    assert len(world.trainings) == 3


def test_not_within_the_days_of_the_last_one_and_the_refusal_is_kept(world: World) -> None:
    world.retrain()
    world.identity = "newer"
    done = world.retrain(0.5)
    assert (done.outcome, done.decision.accepted, len(world.trainings)) == (None, False, 1)
    assert [each.accepted for each in world.kept("prod")] == [True, False]
    assert [each.accepted for each in world.kept("dev")] == [True, False]
    assert "days since the last retraining: 0.5, at least 1" in done.decision.refusals[0]
    # What was refused by the policy was no training: it does not put the next one off.
    assert world.retrain(0.5).outcome
    assert world.retrain(force=True).outcome
    assert len(world.trainings) == 3


def test_a_refused_challenger_is_an_alarm_with_its_card_until_one_passes(world: World) -> None:
    world.ends = world.refused
    done = world.retrain()
    (alarm,) = done.alarms
    assert alarm.key == "churn-model/prod/retraining"
    for part in (
        "dev/1 is in use",
        "    FAILED roc_auc: 0.7, at least 0.9",
        "# the card",
        "of it",
    ):
        assert part in alarm.body
    assert "plots/" not in alarm.body
    assert done.outcome
    assert (done.outcome.result, done.hand_over) == ("refused", False)
    # The alarm lasts while the same is asked, and while the policy does not let another try.
    assert world.retrain(0.1).alarms == (alarm,)
    world.identity = "newer"
    assert world.retrain(0.1).alarms == (alarm,)
    world.ends = world.accepted
    assert world.retrain(1).alarms == ()


def test_an_alarm_of_a_version_that_is_no_longer_in_use_is_over(world: World) -> None:
    world.ends = world.refused
    world.retrain()
    world.places["prod"].found = [
        ModelVersion("churn-model", 2, "prod", "r", "now", {**IN_USE, "origin": "dev/9"})
    ]
    done = world.retrain(0.5)
    assert (done.outcome, done.alarms) == (None, ())


@pytest.mark.parametrize("error", [Refused("the data breaks its contract:\n  x"), "fresh"])
def test_data_that_is_refused_before_the_gate_is_the_same_alarm(
    world: World, error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(*_: Any) -> Any:
        raise error if error != "fresh" else Refused("what lies there is no registered version")

    if error == "fresh":
        monkeypatch.setattr(retraining_work, "fresh_data", raises)
    world.ends = raises
    done = world.retrain()
    (alarm,) = done.alarms
    assert str(error).splitlines()[0] in alarm.body or "no registered version" in alarm.body
    assert (done.training, world.kept("dev")[0].facts["outcome"]["result"]) == (None, "refused")


def test_a_step_that_failed_is_no_answer_and_the_next_run_trains_again(world: World) -> None:
    def fails(_: int) -> Training:
        raise MlopsError("step `train` ended with exit status 1")

    world.ends = fails
    with pytest.raises(MlopsError, match="step `train`"):
        world.retrain()
    assert world.kept("dev") == []
    world.ends = world.accepted
    assert world.retrain().hand_over
    assert len(world.trainings) == 2


def test_what_a_killed_run_has_registered_for_the_request_is_handed_over(world: World) -> None:
    def registered_before(number: int) -> Training:
        training = world.accepted(number, job="job-of-the-killed-run")
        assert training.version
        mark = {"retraining": world.trainings[-1]["tags"]["retraining"]}
        tags = {**training.version.tags, **mark}
        return replace(training, version=replace(training.version, tags=tags))

    world.ends = registered_before
    assert world.retrain().hand_over


def test_the_model_in_use_again_is_nothing_new(world: World) -> None:
    world.ends = lambda number: world.accepted(number, job="an-older-one")
    done = world.retrain()
    assert done.outcome
    assert (done.outcome.result, done.hand_over) == ("nothing new", False)


def test_who_may_not_write_in_production_trains_all_the_same(world: World) -> None:
    world.places["prod"].full = True
    assert world.retrain().hand_over
    assert "not recorded in prod: no permission" in world.lines
    assert len(world.kept("dev")) == 1


def test_other_environments_have_their_own_patience(world: World) -> None:
    world.retrain()
    (kept,) = world.kept("dev")
    other = kept.model_copy(update={"facts": {**kept.facts, "for": "staging"}})
    world.places["dev"].kept = [other]
    assert not world.retrain().again
    assert len(world.trainings) == 2


# --- the data, for which the real functions stand


@pytest.fixture
def real(project: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The same with the real table, whose contract has a time for each row."""
    import pandas as pd

    from mlops.retraining_data import fresh_data

    file = project / "data" / "sample.parquet"
    table = pd.read_parquet(file)
    table["day"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(range(len(table)), "h")
    table.to_parquet(file, index=False)
    edit(project / "data" / "contract.yml", "id: sample_id\n", "id: sample_id\ntimestamp: day\n")
    edit(project / "data" / "contract.yml", "columns:\n", "columns:\n  day: {type: timestamp}\n")
    made = World(project, monkeypatch)
    monkeypatch.setattr(retraining_work, "fresh_data", fresh_data)
    return made


def test_a_window_is_trained_on_and_stands_in_the_lineage(real: World) -> None:
    import pandas as pd

    real.policy(window_days=2)
    done = real.retrain()
    assert done.outcome
    given = real.trainings[0]
    assert pd.read_parquet(given["data"])["day"].min() == pd.Timestamp("2026-01-22T16:00")
    assert given["data"].is_relative_to(real.project.root / ".mlops" / "retraining")
    assert given["tags"]["data_window"] == (
        "49 rows from 2026-01-22T16:00:00+00:00 to 2026-01-24T16:00:00+00:00"
    )
    assert "the last 2 days" in real.kept("dev")[0].facts["data"]


def test_too_few_new_rows_are_a_refusal_with_their_number(real: World) -> None:
    seen = {**IN_USE, "data_until": "2026-01-24T06:00:00+00:00"}
    real.places["dev"].found = [ModelVersion("churn-model", 1, "dev", "r", "", seen)]
    real.policy(minimum_new_rows=11)
    done = real.retrain()
    assert "new labelled rows to train on: 10, at least 11" in done.decision.refusals[0]
    assert (real.trainings, real.kept("dev")[0].facts["rows"]) == ([], 569)
    real.policy(minimum_new_rows=10)
    assert real.retrain().outcome


def test_new_rows_alone_ask_once_until_there_are_as_many_again(real: World) -> None:
    import pandas as pd

    seen = {**IN_USE, "data_until": "2026-01-24T06:00:00+00:00"}
    real.places["dev"].found = [ModelVersion("churn-model", 1, "dev", "r", "", seen)]
    real.breached = []
    real.policy(new_rows=11)
    assert real.request(), "who reads production cannot count them"
    done = real.retrain()
    assert (done.outcome, real.kept("dev"), real.kept("prod")) == (None, [], [])
    real.policy(new_rows=10)
    real.ends = real.refused
    assert real.retrain().alarms
    # Other data, but no more rows than the refused challenger has seen.
    file = real.project.root / "data" / "sample.parquet"
    pd.read_parquet(file).iloc[::-1].to_parquet(file, index=False)
    later = real.retrain(9)
    assert not later.again
    assert "since the last training: 0, at least 10" in later.decision.refusals[0]
    assert len(real.trainings) == 1
