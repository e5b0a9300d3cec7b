"""Delivery: takes a version through one environment, to its end, however often that is begun."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mlops import batch_acceptance, promotion, release
from mlops.decisions import Decision
from mlops.errors import Refused, UsageError
from mlops.project import Environment, Project
from mlops.versions import deployment_name, find_version
from mlops.workspaces import ModelVersion, Report, Workspace

ORIGIN = re.compile(r"[^/\s]+/\d+")


@dataclass(frozen=True)
class Delivery:
    """What became of a version in an environment.

    `decisions` are those of this run, in their order: none where all was done before.
    """

    version: ModelVersion
    decisions: tuple[Decision, ...]


def deliver(
    project: Project,
    source: Workspace | None,
    target: Workspace,
    origin: str | None = None,
    digest: str | None = None,
    *,
    report: Report,
    decided: Callable[[Decision], None] = lambda _: None,
) -> Delivery:
    """Promote a version into an environment, and release it there.

    What was done before is not done again, so a delivery that was killed goes on where it was.

    Args:
        project: gives the order of the environments.
        source: the environment before; None for the first, in which versions are trained.
        target: the environment.
        origin: where the version was trained and its number there, such as `dev/7`. Default: the
            champion of the environment before; in the first environment, the newest version.
        digest: what the version's files must be, as `mlops train` said. It also tells versions
            apart that have the same origin: a workspace that was made anew counts from 1 again.
        report: takes progress.
        decided: takes each decision as it is made, so that they are told of a delivery that fails.

    Raises:
        Refused: a rule said no: the order of environments or of versions, the digest, the gate, or
            a test that it failed before.
        MlopsError: a test failed.
        UsageError: there is no such version.
    """
    environment = target.environment
    version = _find(source, target, origin, digest)
    if digest and version.digest != digest:
        raise Refused(
            f"{version.origin} is not what was to be released: its digest is {version.digest}, "
            f"not {digest}"
        )
    if source is None and environment.settings.champion_test == "gate":
        return Delivery(version, ())
    here = _received(target, version)
    if here and _is_released(target, here):
        return Delivery(here, ())
    _require_newer(project, target, version)
    if here:
        _require_not_failed(environment, here)
    decisions: list[Decision] = []

    def keep(decision: Decision) -> None:
        decisions.append(decision)
        decided(decision)

    if here is None or (source and not _was_promoted(target, here)):
        here, decision = _promote(project, source, target, version, report)
        keep(decision)
    elif source:
        _require_tests(source, version)
        report(f"{here.origin} is {here} of {environment.name} already")
    for decision in _release(target, here, report):
        keep(decision)
    return Delivery(here, tuple(decisions))


def environments_after(project: Project, name: str) -> list[dict[str, str]]:
    """The environments after one, each with the name that the CI/CD platform knows it by."""
    later = project.environments[project.environments.index(name) + 1 :]
    found = []
    for each in later:
        ci_cd = project.environment(each).settings.ci_cd
        found.append({"name": each, "environment": ci_cd.environment if ci_cd else each})
    return found


def _find(
    source: Workspace | None, target: Workspace, origin: str | None, digest: str | None
) -> ModelVersion:
    before = source or target
    name = before.environment.name
    if origin is None:
        if source is None:
            return find_version(target, None)
        champion = source.champion()
        if champion is None:
            raise Refused(
                f"{name} has no champion yet to take on; run `mlops release --env {name}` first"
            )
        return champion
    if not ORIGIN.fullmatch(origin):
        raise UsageError(
            f"--version is {origin!r}; write where it was trained and its number there, as dev/7"
        )
    versions = before.versions()
    both = [*target.versions(), *versions] if source else versions
    found = [version for version in both if version.origin == origin] or both
    intact = [version for version in found if version.digest == digest]
    if intact:
        return intact[-1]
    if found is not both:
        return found[-1]
    known = ", ".join(version.origin for version in versions) or "no version yet"
    if source is None:
        raise UsageError(f"{name} has no {origin}; it has: {known}")
    raise Refused(
        f"{name} has no {origin}, it has: {known}; it goes through there first: "
        f"mlops release --env {name} --version {origin}"
    )


def _received(target: Workspace, version: ModelVersion) -> ModelVersion | None:
    """The version as the target has it, if it has: a registry takes the same files once."""
    return next((v for v in target.versions() if v.digest == version.digest), None)


def _is_released(target: Workspace, version: ModelVersion) -> bool:
    """Whether there is nothing left to do. What the acts write last is what counts."""
    settings = target.environment.settings
    if not all(version.passed(test) for test in settings.tests):
        return False
    if target.environment.serves("online"):
        share = target.endpoint().traffic.get(deployment_name(version))
        return share == 100 and version.passed("rollout")
    champion = target.champion()
    return champion is not None and champion.number == version.number


def _was_promoted(target: Workspace, version: ModelVersion) -> bool:
    """Whether its promotion came to its end: the record of it is what it writes last."""
    if target.environment.settings.champion_test == "gate":
        champion = target.champion()
        if champion is None or champion.number != version.number:
            return False
    return any(
        decision.accepted and decision.version == version.number
        for decision in target.decisions("promotion")
    )


def _require_newer(project: Project, target: Workspace, version: ModelVersion) -> None:
    champion = target.champion()
    if champion is None or not _trained_after(champion, version):
        return
    name = target.environment.name
    back = f"mlops rollback --env {name}"
    if not target.environment.serves("online"):
        before = project.previous_environment(name)
        back = f"mlops promote --from {before} --to {name} --version N"
    raise Refused(
        f"{name} serves {champion.origin} already, which was trained after {version.origin}; "
        f"to go back: {back}"
    )


def _trained_after(one: ModelVersion, other: ModelVersion) -> bool:
    """By the time of training; where it is not known or the same, by the numbers of one origin."""
    if one.trained and other.trained and one.trained != other.trained:
        return one.trained > other.trained
    where, number = _parts(one)
    elsewhere, earlier = _parts(other)
    return where == elsewhere and number > earlier


def _parts(version: ModelVersion) -> tuple[str, int]:
    where, _, number = version.origin.rpartition("/")
    return where, int(number)


def _require_not_failed(environment: Environment, version: ModelVersion) -> None:
    name = environment.name
    by_hand = {
        "batch": f"`mlops test --env {name} --version {version.number}`",
        "rollout": f"`mlops deploy --env {name} --version {version.number}`, then "
        f"`mlops rollout --env {name} --version {version.number}`",
    }
    for test, commands in by_hand.items():
        outcome = version.tags.get(f"{test}.{name}", "passed")
        if outcome != "passed":
            raise Refused(
                f"the {test} of {version.origin} in {name} was: {outcome}; release another "
                f"version, or try this one again by hand: {commands}"
            )


def _require_tests(source: Workspace, version: ModelVersion) -> None:
    if version.environment != source.environment.name:
        return
    tests = promotion.test_checks(version, source.environment.settings.tests)
    if failed := [check.show() for check in tests if not check.passed]:
        raise Refused(f"{version.origin} may not go on:\n" + "\n".join(f"  {f}" for f in failed))


def _promote(
    project: Project,
    source: Workspace | None,
    target: Workspace,
    version: ModelVersion,
    report: Report,
) -> tuple[ModelVersion, Decision]:
    if source is None or version.environment != source.environment.name:
        raise Refused(f"{version.origin} is not there any more to be promoted; train it again")
    return promotion.promote(project, source, target, version.number, report=report)


def _release(target: Workspace, version: ModelVersion, report: Report) -> Iterator[Decision]:
    settings = target.environment.settings
    if settings.champion_test == "batch" or (
        "batch" in settings.tests and not version.passed("batch")
    ):
        yield batch_acceptance.accept_in_batches(target, version.number, report=report)
    if target.environment.serves("online"):
        name = deployment_name(version)
        deployed = target.endpoint().deployments.get(name)
        if deployed is None or release.SMOKE_TEST not in deployed.tags:
            yield from release.deploy(target, version.number, report=report)
        yield release.rollout(target, version.number, report=report)
