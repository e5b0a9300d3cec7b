"""Promotion: a tested version goes into the next environment, through its gate, by digest."""

from __future__ import annotations

from mlops.contract import load_contract
from mlops.decisions import Check, Decision, refusal
from mlops.errors import MlopsError, Refused
from mlops.files import read_json
from mlops.project import Environment, Project
from mlops.registration import gate_checks
from mlops.settings import TESTS
from mlops.versions import decide, digest_check, find_version
from mlops.workspaces import ModelVersion, Report, Workspace


def promote(
    project: Project,
    source: Workspace,
    target: Workspace,
    number: int | None = None,
    *,
    report: Report,
) -> tuple[ModelVersion, Decision]:
    """Take a version from one environment into the next.

    It must have passed the tests where it comes from, be the very files that were tested, and
    pass the gate of the target, on its own held-out rows against the target's champion.

    Returns:
        The version in the target, and the decision.

    Raises:
        Refused: a rule said no; the decision is kept in the target.
        UsageError: there is no such version.
    """
    here, there = source.environment.name, target.environment.name
    if project.next_environment(here) != there:
        way = " -> ".join(project.environments)
        raise Refused(f"a version goes {way}; from {here} it cannot go to {there}")
    with target.lock():
        return _promote(source, target, number, report)


def next_command(project: Project, environment: Environment) -> str:
    """What follows a promotion into an environment: to release the version, to go on, or to use it."""
    name = environment.name
    if "batch" in environment.settings.tests:
        return f"mlops test --env {name}"
    if environment.serves("online"):
        return f"mlops deploy --env {name}"
    if project.next_environment(name):
        return f"mlops promote --from {name}"
    return f"mlops score --env {name} --input TABLE --output SCORES"


def _promote(
    source: Workspace, target: Workspace, number: int | None, report: Report
) -> tuple[ModelVersion, Decision]:
    here, there = source.environment.name, target.environment.name
    version = _to_promote(source, number)
    files = source.files(version)
    report(f"checking {version} of {here} against the gate of {there} ...")
    checks = [
        *test_checks(version, source.environment.settings.tests),
        digest_check(version, files),
    ]
    if all(check.passed for check in checks):
        champion = target.champion()
        checks += gate_checks(
            target.environment.settings,
            load_contract(files / "model" / "contract.yml"),
            read_json(files / "evaluation" / "evaluation.json"),
            files / "evaluation" / "predictions.parquet",
            files / "held_out" / "held_out.parquet",
            version.tags,
            champion,
            target.files(champion) / "model" if champion else None,
        )
    decision = decide(
        target, "promotion", version, checks, origin=version.origin, promoted_from=here
    )
    if not decision.accepted:
        target.keep(decision)
        raise Refused(refusal(f"{version} of {here} may not enter {there}", decision))
    received = target.receive(
        version,
        files,
        {
            **source.publish(version),
            f"gate.{there}": "passed",
            "origin": version.origin,
            "promoted_from": f"{here}/{version.number}",
        },
    )
    arrived = digest_check(version, target.files(received))
    if not arrived.passed:
        raise MlopsError(f"{version} arrived damaged in {there}: {arrived.show()}")
    if target.environment.settings.champion_test == "gate":
        target.set_champion(received)
    decision = decision.model_copy(update={"version": received.number})
    target.keep(decision)
    return received, decision


def _to_promote(source: Workspace, number: int | None) -> ModelVersion:
    if number is not None:
        return find_version(source, number)
    return source.champion() or find_version(source, None)


def test_checks(version: ModelVersion, tests: tuple[str, ...]) -> list[Check]:
    """That a version passed the tests where it is, and that none of the others ended badly."""
    here = version.environment
    states = {test: version.tags.get(f"{test}.{here}") for test in TESTS}
    return [
        Check(
            rule=f"{test} in {here}", value=state or "not done", limit="passed",
            comparison="expected", passed=state == "passed",
        )
        for test, state in states.items()
        if test in tests or state is not None
    ]  # fmt: skip
