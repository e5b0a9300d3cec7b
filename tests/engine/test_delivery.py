"""What `mlops release` does in one environment, with acts that only write down that they were done."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from mlops import batch_acceptance, delivery, promotion, release
from mlops.decisions import Check, Decision, DecisionKind
from mlops.errors import MlopsError, Refused, UsageError
from mlops.project import Environment, Project, find_project
from mlops.workspaces import Deployment, Endpoint, ModelVersion

from ..conftest import generated

DIGESTS = {number: f"digest-{number}" for number in range(1, 20)}


def version(environment: str, number: int, trained: int, **tags: str) -> ModelVersion:
    lineage = {
        "model_digest": DIGESTS[trained],
        f"gate.{environment}": "passed",
        "origin": f"dev/{trained}",
    }
    return ModelVersion("m", number, environment, "run", "now", {**lineage, **tags})


@dataclass
class Place:
    """What a delivery needs of a workspace."""

    environment: Environment
    found: list[ModelVersion] = field(default_factory=list)
    best: int | None = None
    online: Endpoint = field(default_factory=lambda: Endpoint("e"))
    records: list[Decision] = field(default_factory=list)

    def versions(self) -> list[ModelVersion]:
        return self.found

    def champion(self) -> ModelVersion | None:
        return next((v for v in self.found if v.number == self.best), None)

    def endpoint(self) -> Endpoint:
        return self.online

    def decisions(self, kind: DecisionKind | None = None) -> list[Decision]:
        return [record for record in self.records if kind in (None, record.kind)]

    def decide(self, kind: Any, number: int) -> Decision:
        check = Check(rule=kind, value="fine", passed=True)
        name = self.environment.name
        made = Decision(
            kind=kind, environment=name, model="m", version=number, checks=(check,), time="now"
        )
        self.records.append(made)
        return made

    def tag(self, number: int, test: str, outcome: str = "passed") -> None:
        tag = {f"{test}.{self.environment.name}": outcome}
        self.found = [
            replace(v, tags={**v.tags, **tag}) if v.number == number else v for v in self.found
        ]

    def put(self, number: int, share: int = 0, tested: bool = True) -> None:
        name = f"version-{number}"
        tags = {release.SMOKE_TEST: "passed"} if tested else {}
        traffic = {name: share} if share else self.online.traffic
        there = {**self.online.deployments, name: Deployment(name, number, "now", tags)}
        self.online = replace(self.online, deployments=there, traffic=traffic)


class Killed(BaseException):
    """What a `kill -9` is to the one that waits for it."""


class Acts:
    """The acts as they change a workspace; they can be killed before or after any of them."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.killed_at = ""

    def _do(self, name: str, place: Place, number: int) -> Decision:
        if self.killed_at == f"before {name}":
            raise Killed
        self.done.append(f"{name} {place.environment.name}/{number}")
        kind = {"promote": "promotion", "deploy": "smoke-test", "test": "batch-test"}.get(
            name, name
        )
        return place.decide(kind, number)

    def promote(
        self, project: Project, source: Place, target: Place, number: int, *, report: Any
    ) -> Any:
        asked = next(v for v in source.found if v.number == number)
        there = [v for v in target.found if v.digest == asked.digest]
        if not there:
            made = version(target.environment.name, len(target.found) + 1, int(asked.origin[4:]))
            lineage = {"model_digest": asked.digest, "trained": asked.trained}
            there = [replace(made, tags={**made.tags, **lineage})]
            target.found += there
        if self.killed_at == "within promote":
            raise Killed
        if target.environment.settings.champion_test == "gate":
            target.best = there[0].number
        return there[0], self._do("promote", target, there[0].number)

    def deploy(self, place: Place, number: int, *, report: Any) -> Any:
        place.put(number, tested=False)
        made = self._do("deploy", place, number)
        place.put(number)
        return made, made

    def rollout(self, place: Place, number: int, *, report: Any) -> Decision:
        place.put(number, 50)
        made = self._do("rollout", place, number)
        place.best = number
        place.put(number, 100)
        if self.killed_at == "within rollout":
            raise Killed
        place.tag(number, "rollout")
        return made

    def test(self, place: Place, number: int, *, report: Any) -> Decision:
        made = self._do("test", place, number)
        if place.environment.settings.champion_test == "batch":
            place.best = number
        place.tag(number, "batch")
        return made


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch) -> Acts:
    made = Acts()
    monkeypatch.setattr(promotion, "promote", made.promote)
    monkeypatch.setattr(release, "deploy", made.deploy)
    monkeypatch.setattr(release, "rollout", made.rollout)
    monkeypatch.setattr(batch_acceptance, "accept_in_batches", made.test)
    return made


class World:
    """The environments of a project, of which dev has versions 5, 7 and 9, the last the champion."""

    def __init__(self, **answers: str) -> None:
        self.project = find_project(generated(**answers))
        self.places = {n: Place(self.project.environment(n)) for n in self.project.environments}
        self.dev = self.places["dev"]
        self.dev.found = [version("dev", number, number) for number in (5, 7, 9)]
        self.dev.best = 9

    def deliver(self, name: str, origin: str | None = "dev/7", digest: str | None = None) -> Any:
        before = self.project.previous_environment(name)
        source: Any = self.places[before] if before else None
        target: Any = self.places[name]
        return delivery.deliver(self.project, source, target, origin, digest, report=lambda _: None)

    def refused(self, name: str, *arguments: Any) -> str:
        with pytest.raises(Refused) as caught:
            self.deliver(name, *arguments)
        return str(caught.value)


ALL = ["promote staging/1", "deploy staging/1", "rollout staging/1"]


def test_a_version_goes_through_every_environment_once(acts: Acts) -> None:
    world = World()
    assert world.deliver("dev").decisions == (), "its tests are those of the gate"
    done = world.deliver("staging", "dev/7", DIGESTS[7])
    assert (done.version.origin, done.version.number) == ("dev/7", 1)
    assert [d.kind for d in done.decisions] == ["promotion", "smoke-test", "smoke-test", "rollout"]
    assert world.deliver("staging").decisions == ()
    assert world.deliver("prod").version.environment == "prod"
    assert world.deliver("prod").decisions == ()
    assert acts.done == [*ALL, *(act.replace("staging", "prod") for act in ALL)]


@pytest.mark.parametrize(
    ("killed", "left"),
    [
        ("before promote", ALL),
        ("within promote", ALL),
        ("before deploy", ALL[1:]),
        ("before rollout", ALL[2:]),
        ("within rollout", ["rollout staging/1"]),
    ],
)
def test_one_that_was_killed_goes_on_where_it_was(acts: Acts, killed: str, left: list[str]) -> None:
    world = World()
    acts.killed_at = killed
    with pytest.raises(Killed):
        world.deliver("staging")
    acts.killed_at, acts.done = "", []
    world.deliver("staging")
    assert acts.done == left
    assert world.deliver("staging").decisions == ()


def test_without_a_version_the_champion_of_the_environment_before_goes_on(acts: Acts) -> None:
    world = World()
    assert world.deliver("dev", None).version.origin == "dev/9"
    assert "staging has no champion yet to take on" in world.refused("prod", None)
    assert world.deliver("staging", None).version.origin == "dev/9"
    assert world.deliver("prod", None).version.origin == "dev/9"


def test_another_digest_is_refused_in_every_environment(acts: Acts) -> None:
    world = World()
    for name in ("dev", "staging"):
        said = world.refused(name, "dev/7", DIGESTS[5])
        assert (
            said
            == f"dev/7 is not what was to be released: its digest is {DIGESTS[7]}, not {DIGESTS[5]}"
        )
    assert acts.done == []


def test_a_version_that_was_trained_before_the_champion_is_refused(acts: Acts) -> None:
    world = World()
    world.deliver("staging", "dev/9")
    said = world.refused("staging", "dev/7")
    assert said == (
        "staging serves dev/9 already, which was trained after dev/7; "
        "to go back: mlops rollback --env staging"
    )
    assert world.deliver("staging", "dev/9").decisions == ()
    assert world.deliver("dev", "dev/7").decisions == (), "dev serves nobody"


EARLIER, LATER = "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"


def made_anew(world: World) -> None:
    """dev is torn down and made again: its registry numbers from 1 once more."""
    world.dev.found = [replace(version("dev", 5, 5, model_digest="anew"), created=LATER)]
    world.dev.best = 5


def test_after_the_first_environment_was_made_anew_the_newer_version_goes_on(acts: Acts) -> None:
    world = World()
    world.dev.found = [replace(each, created=EARLIER) for each in world.dev.found]
    for origin in ("dev/5", "dev/9"):
        world.deliver("staging", origin)
        world.deliver("prod", origin)
    made_anew(world)
    for name in ("staging", "prod"):
        done = world.deliver(name, "dev/5", "anew")
        assert (done.version.number, done.version.digest, done.version.trained) == (
            3, "anew", LATER,
        )  # fmt: skip
        assert world.deliver(name, "dev/5").version.digest == "anew", "the newest of that origin"
        assert world.deliver(name, "dev/5", "anew").decisions == ()
        assert "serves dev/5 already, which was trained after dev/9" in world.refused(name, "dev/9")
        assert "trained after dev/5" in world.refused(name, "dev/5", DIGESTS[5])


def test_the_same_files_trained_again_under_another_number_are_released_once(acts: Acts) -> None:
    world = World()
    world.deliver("staging", "dev/9")
    world.dev.found = [version("dev", 1, 1, model_digest=DIGESTS[9])]
    acts.done = []
    assert world.deliver("staging", "dev/1", DIGESTS[9]).version.number == 1
    assert acts.done == []
    assert world.deliver("prod", "dev/1", DIGESTS[9]).version.origin == "dev/9"


@pytest.mark.parametrize(
    ("champion", "other", "after"),
    [
        (("dev/1", LATER), ("dev/2", EARLIER), True),
        (("dev/2", EARLIER), ("dev/1", LATER), False),
        (("dev/2", ""), ("dev/1", LATER), True),
        (("dev/2", EARLIER), ("dev/1", ""), True),
        (("dev/2", LATER), ("dev/1", LATER), True),
        (("old/2", ""), ("dev/1", LATER), False),
        (("old/1", LATER), ("dev/2", EARLIER), True),
    ],
)
def test_what_was_trained_later_is_told_by_its_time_or_else_by_its_number(
    champion: tuple[str, str], other: tuple[str, str], after: bool
) -> None:
    one, two = (
        ModelVersion("m", 1, "prod", "run", "now", {"origin": origin, "trained": trained})
        for origin, trained in (champion, other)
    )
    assert delivery._trained_after(one, two) is after


def test_the_time_of_training_is_known_at_home_and_where_its_tag_came_with_it() -> None:
    tags = {"origin": "dev/7"}
    assert ModelVersion("m", 7, "dev", "run", EARLIER, {}).trained == EARLIER
    assert ModelVersion("m", 7, "dev", "run", EARLIER, tags).trained == EARLIER
    assert ModelVersion("m", 7, "prod", "run", LATER, tags).trained == ""
    copied = ModelVersion("m", 7, "prod", "run", LATER, {**tags, "trained": EARLIER})
    assert copied.trained == EARLIER


def test_a_version_comes_through_the_environment_before(acts: Acts) -> None:
    world = World()
    said = world.refused("prod", "dev/7")
    assert said.startswith("staging has no dev/7, it has: no version yet; ")
    assert said.endswith("mlops release --env staging --version dev/7")
    with pytest.raises(UsageError, match="dev has no dev/8; it has: dev/5, dev/7, dev/9"):
        world.deliver("dev", "dev/8")
    for wrong in ("7", "dev/", "", "dev/7;x"):
        with pytest.raises(UsageError, match="write where it was trained and its number there"):
            world.deliver("staging", wrong)


@pytest.mark.parametrize("outcome", ["failed", "rolled back"])
def test_a_version_that_did_not_do_well_is_left_to_a_person(acts: Acts, outcome: str) -> None:
    world = World()
    world.deliver("staging")
    world.deliver("prod")
    world.places["prod"].tag(1, "rollout", outcome)
    said = world.refused("prod", "dev/7")
    assert said.startswith(f"the rollout of dev/7 in prod was: {outcome}; release another version")
    assert (
        "`mlops deploy --env prod --version 1`, then `mlops rollout --env prod --version 1`" in said
    )
    # And what was promoted before it was rolled back in the environment before.
    world.places["prod"].tag(1, "rollout", "passed")
    world.places["prod"].online = Endpoint("e")
    world.places["staging"].tag(1, "rollout", outcome)
    assert f"FAILED  rollout in staging: {outcome}" in world.refused("prod", "dev/7")


def test_a_failed_test_ends_it(acts: Acts, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(place: Place, number: int, *, report: Any) -> Any:
        raise MlopsError("version-1 failed its acceptance test and was removed")

    monkeypatch.setattr(release, "deploy", fails)
    world = World()
    with pytest.raises(MlopsError, match="acceptance test"):
        world.deliver("staging")
    assert acts.done == ["promote staging/1"]
    assert "rollout in staging" not in world.places["staging"].found[0].tags


def test_the_first_environment_is_released_where_it_is_rolled_out(acts: Acts) -> None:
    world = World(environments="dev-prod")
    world.dev.best = None
    world.deliver("dev")
    assert acts.done == ["deploy dev/7", "rollout dev/7"]
    assert world.deliver("dev").decisions == ()
    world.deliver("prod", None)
    assert acts.done[2:] == ["promote prod/1", "deploy prod/1", "rollout prod/1"]
    world.deliver("dev", "dev/9")
    assert "dev serves dev/9 already" in world.refused("dev", "dev/7")


def test_with_batch_endpoints_the_test_in_batches_makes_the_champion(acts: Acts) -> None:
    world = World(serving="batch")
    world.deliver("staging")
    assert acts.done == ["promote staging/1", "test staging/1"]
    assert world.deliver("staging").decisions == ()
    world.deliver("prod")
    assert world.places["prod"].best == 1
    world.deliver("staging", "dev/9")
    said = world.refused("staging", "dev/7")
    assert said.endswith("to go back: mlops promote --from dev --to staging --version N")
    world.places["staging"].tag(2, "batch", "failed")
    assert "the batch of dev/9 in staging was: failed" in world.refused("staging", "dev/9")


def test_a_test_in_batches_that_was_killed_is_made_again(acts: Acts) -> None:
    world = World(serving="batch")
    acts.killed_at = "before test"
    with pytest.raises(Killed):
        world.deliver("staging")
    acts.killed_at, acts.done = "", []
    world.deliver("staging")
    assert acts.done == ["test staging/1"]


def test_with_both_tests_the_rollout_comes_last(acts: Acts) -> None:
    world = World()
    staging = world.places["staging"]
    settings = staging.environment.settings.model_copy(
        update={"tests": ("rollout", "batch", "gate")}
    )
    staging.environment = replace(staging.environment, settings=settings)
    assert settings.champion_test == "rollout"
    world.deliver("staging")
    assert acts.done == [
        "promote staging/1",
        "test staging/1",
        "deploy staging/1",
        "rollout staging/1",
    ]
    assert world.deliver("staging").decisions == ()


def test_the_later_environments_have_the_names_that_the_platform_knows() -> None:
    project = find_project(generated(ci_cd="azure-devops"))
    slug = project.root.name
    assert delivery.environments_after(project, "dev") == [
        {"name": "staging", "environment": f"{slug}-staging"},
        {"name": "prod", "environment": f"{slug}-prod"},
    ]
    assert delivery.environments_after(project, "prod") == []
    alone = find_project(generated(ci_cd="none"))
    assert delivery.environments_after(alone, "staging") == [
        {"name": "prod", "environment": "prod"}
    ]
