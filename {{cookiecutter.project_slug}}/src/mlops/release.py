"""Releasing: promotion through the environments, deployment, rollout and rollback."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mlops.contract import Contract, load_contract
from mlops.decisions import Check, Decision, DecisionKind, now
from mlops.errors import MlopsError, Refused, UsageError
from mlops.files import read_json
from mlops.probes import smoke_test, traffic_test
from mlops.project import Environment, Project
from mlops.registration import gate_checks
from mlops.workspaces import Endpoint, ModelVersion, Report, Workspace
from mlops.workspaces.registry import digest_version

# Tags of an endpoint: the deployment to go back to; and, while a rollout goes on, the one to go
# back to if it fails.
PREVIOUS = "previous_deployment"
BEFORE_THAT = "deployment_before_that"
SMOKE_TEST = "smoke_test"
Outcome = Literal["passed", "failed", "rolled back"]


def deployment_name(version: ModelVersion) -> str:
    """The name of a version's deployment; the same version always has the same."""
    return f"version-{version.number}"


def next_command(project: Project, environment: Environment) -> str:
    """What follows a promotion into an environment: to release the version, to go on, or to use it."""
    name = environment.name
    if environment.serves("online"):
        return f"mlops deploy --env {name}"
    if project.next_environment(name):
        return f"mlops promote --from {name}"
    return f"mlops score --env {name} --input TABLE --output SCORES"


def contract_of(workspace: Workspace, version: ModelVersion) -> Contract:
    """The contract that a version was trained with and is served with."""
    return load_contract(workspace.files(version) / "model" / "contract.yml")


def find_version(workspace: Workspace, number: int | None) -> ModelVersion:
    """A version of an environment: the one with this number, or the newest.

    Raises:
        UsageError: it is not there.
    """
    versions = workspace.versions()
    name = workspace.environment.name
    if not versions:
        raise Refused(
            f"{name} has no model version yet; `mlops train` makes one in the first environment, "
            "`mlops promote` brings one here"
        )
    if number is None:
        return versions[-1]
    for version in versions:
        if version.number == number:
            return version
    known = ", ".join(str(version.number) for version in versions)
    raise UsageError(f"{name} has no model version {number}; it has: {known}")


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


def _promote(
    source: Workspace, target: Workspace, number: int | None, report: Report
) -> tuple[ModelVersion, Decision]:
    here, there = source.environment.name, target.environment.name
    version = _to_promote(source, number)
    files = source.files(version)
    report(f"checking {version} of {here} against the gate of {there} ...")
    checks = [
        *_test_checks(version, source.environment.settings.tests),
        _digest_check(version, files),
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
    decision = _decide(
        target, "promotion", version, checks, origin=version.origin, promoted_from=here
    )
    if not decision.accepted:
        target.keep(decision)
        raise Refused(_refusal(f"{version} of {here} may not enter {there}", decision))
    received = target.receive(
        version,
        files,
        {
            f"gate.{there}": "passed",
            "origin": version.origin,
            "promoted_from": f"{here}/{version.number}",
        },
    )
    arrived = _digest_check(version, target.files(received))
    if not arrived.passed:
        raise MlopsError(f"{version} arrived damaged in {there}: {arrived.show()}")
    if target.environment.settings.tests == ("gate",):
        target.set_champion(received)
    decision = decision.model_copy(update={"version": received.number})
    target.keep(decision)
    return received, decision


def deploy(workspace: Workspace, number: int | None = None, *, report: Report) -> Decision:
    """Put a version behind the endpoint at 0 % of the traffic and test it there.

    Raises:
        MlopsError: a test failed; the deployment is taken away again.
        UsageError: there is no such version, or no online endpoint.
    """
    with workspace.lock():
        endpoint = workspace.endpoint()
        version = _to_release(workspace, number)
        name = deployment_name(version)
        if endpoint.traffic.get(name):
            raise Refused(
                f"{name} already gets {endpoint.traffic[name]} % of the traffic of {endpoint.name}"
            )
        if endpoint.tags.get(PREVIOUS) == name:
            raise Refused(
                f"{name} is deployed already: {endpoint.name} keeps it to go back to; "
                f"`mlops rollback --env {workspace.environment.name}` gives it the traffic"
            )
        intact = _digest_check(version, workspace.files(version))
        if not intact.passed:
            raise Refused(f"{version} is not what was registered: {intact.show()}")
        report(f"starting {name} at 0 % of the traffic ...")
        try:
            workspace.create_deployment(name, version)
        except MlopsError as error:
            workspace.delete_deployment(name)
            raise MlopsError(f"{name} did not start and was removed: {error}") from None
        report(f"testing {name} ...")
        checks = smoke_test(workspace, name, contract_of(workspace, version))
        decision = _decide(workspace, "smoke-test", version, checks, deployment=name)
        workspace.keep(decision)
        if not decision.accepted:
            workspace.delete_deployment(name)
            raise MlopsError(_refusal(f"{name} failed its smoke test and was removed", decision))
        workspace.tag_deployment(name, {SMOKE_TEST: "passed"})
    return decision


def rollout(workspace: Workspace, number: int | None = None, *, report: Report) -> Decision:
    """Give a tested deployment the traffic, stage by stage, and make its version the champion.

    Each stage is tested. When a test fails, the traffic is as before and the version is marked
    as failed. A rollout that was interrupted goes on from the stage that it had reached.

    Raises:
        MlopsError: a stage failed its test.
        Refused: the version is not deployed and tested, or has all the traffic.
        UsageError: there is no such version, or no online endpoint.
    """
    with workspace.lock():
        endpoint = workspace.endpoint()
        version = _to_release(workspace, number)
        name = deployment_name(version)
        if endpoint.deployments.get(name) is None or not endpoint.deployments[name].tags.get(
            SMOKE_TEST
        ):
            raise Refused(
                f"{version} is not deployed and tested in {workspace.environment.name}; "
                f"run `mlops deploy --env {workspace.environment.name} --version {version.number}`"
            )
        reached = endpoint.traffic.get(name, 0)
        if reached == 100 and version.passed("rollout"):
            raise Refused(f"{name} has all the traffic of {endpoint.name} already")
        old = _deployment_before(endpoint, name)
        stages = [100] if old is None else workspace.environment.rollout.stages
        checks: list[Check] = []
        try:
            for share in stages:
                if share < reached:
                    continue
                _set_share(workspace, name, share, old)
                report(f"{name} gets {share} % of the traffic; testing ...")
                checks += traffic_test(workspace, name, contract_of(workspace, version))
                if not all(check.passed for check in checks):
                    break
        except BaseException:
            _put_back(workspace, old)
            raise
        decision = _decide(workspace, "rollout", version, checks, deployment=name, before=old or "")
        if not decision.accepted:
            _put_back(workspace, old)
            _mark(workspace, version, "failed")
        workspace.keep(decision)
        if not decision.accepted:
            back = f"{old} has all the traffic again" if old else "the endpoint has no traffic"
            raise MlopsError(_refusal(f"the rollout of {name} failed, {back}", decision))
        workspace.set_champion(version)
        workspace.set_traffic({name: 100}, {PREVIOUS: old} if old else {})
        for other in workspace.endpoint().deployments:
            if other not in (name, old):
                workspace.delete_deployment(other)
        # Last: a rollout that is marked as passed has nothing left to do.
        _mark(workspace, version, "passed")
    return decision


def _set_share(workspace: Workspace, name: str, share: int, old: str | None) -> None:
    """Give a deployment its share. The endpoint's tags remember the way back, also after a crash."""
    tags = workspace.endpoint().tags
    if old is None:
        workspace.set_traffic({name: share}, {})
        return
    if tags.get(PREVIOUS) != old:  # the rollout begins
        tags = {PREVIOUS: old, **({BEFORE_THAT: tags[PREVIOUS]} if PREVIOUS in tags else {})}
    workspace.set_traffic({name: share} | ({old: 100 - share} if share < 100 else {}), tags)


def _put_back(workspace: Workspace, old: str | None) -> None:
    """The traffic and the way back as they were before a rollout."""
    before_that = workspace.endpoint().tags.get(BEFORE_THAT)
    workspace.set_traffic({old: 100} if old else {}, {PREVIOUS: before_that} if before_that else {})


def rollback(workspace: Workspace, *, report: Report) -> Decision:
    """Give all the traffic back to the deployment that had it before.

    Raises:
        Refused: there is nothing to go back to.
        UsageError: there is no online endpoint.
    """
    with workspace.lock():
        endpoint = workspace.endpoint()
        previous = endpoint.tags.get(PREVIOUS)
        if previous is None or previous not in endpoint.deployments:
            raise Refused(f"{endpoint.name} has no previous deployment to go back to")
        versions = {version.number: version for version in workspace.versions()}
        back_to = versions[endpoint.deployments[previous].version]
        failed = [name for name, share in endpoint.traffic.items() if share and name != previous]
        for name in failed:
            _mark(workspace, versions[endpoint.deployments[name].version], "rolled back")
        workspace.set_champion(back_to)
        # Last, because it also forgets what there is to go back to: until here, a command that
        # was killed can be run again.
        report(f"{previous} gets all the traffic ...")
        before_that = endpoint.tags.get(BEFORE_THAT)
        workspace.set_traffic({previous: 100}, {PREVIOUS: before_that} if before_that else {})
        checks = traffic_test(workspace, previous, contract_of(workspace, back_to))
        decision = _decide(
            workspace, "rollback", back_to, checks,
            deployment=previous, before=", ".join(failed),
        )  # fmt: skip
        workspace.keep(decision)
    if not decision.accepted:
        raise MlopsError(
            _refusal(f"{previous} has the traffic again but failed its test", decision)
        )
    return decision


def _to_release(workspace: Workspace, number: int | None) -> ModelVersion:
    version = find_version(workspace, number)
    outcome = version.tags.get(f"rollout.{workspace.environment.name}", "passed")
    if number is None and outcome != "passed":
        raise Refused(
            f"the rollout of {version} in {workspace.environment.name} was: {outcome}; "
            f"to try it again, name it: --version {version.number}"
        )
    return version


def _to_promote(source: Workspace, number: int | None) -> ModelVersion:
    if number is not None:
        return find_version(source, number)
    return source.champion() or find_version(source, None)


def _deployment_before(endpoint: Endpoint, name: str) -> str | None:
    """Which deployment gets the traffic that `name` does not get.

    Where an interrupted rollout left two, that is the one that it started from.
    """
    previous = endpoint.tags.get(PREVIOUS)
    others = [other for other, share in endpoint.traffic.items() if share and other != name]
    if others and previous not in others:
        return others[0]
    return previous if previous in endpoint.deployments else None


def _test_checks(version: ModelVersion, tests: tuple[str, ...]) -> list[Check]:
    """That a version passed the tests where it is, and that no rollout of it ended badly."""
    here = version.environment
    states = {test: version.tags.get(f"{test}.{here}") for test in ("gate", "rollout")}
    return [
        Check(
            rule=f"{test} in {here}", value=state or "not done", limit="passed",
            comparison="expected", passed=state == "passed",
        )
        for test, state in states.items()
        if test in tests or state is not None
    ]  # fmt: skip


def _digest_check(version: ModelVersion, files: Path) -> Check:
    digest = digest_version(files)
    return Check(
        rule="digest of model, contract and code", value=digest[:16], limit=version.digest[:16],
        comparison="expected", passed=digest == version.digest,
    )  # fmt: skip


def _decide(
    workspace: Workspace, kind: DecisionKind, version: ModelVersion,
    checks: tuple[Check, ...] | list[Check], **facts: str,
) -> Decision:  # fmt: skip
    return Decision(
        kind=kind, environment=workspace.environment.name, model=version.name,
        version=version.number, checks=tuple(checks), facts=facts, time=now(),
    )  # fmt: skip


def _mark(workspace: Workspace, version: ModelVersion, outcome: Outcome) -> None:
    workspace.set_tags(version, {f"rollout.{workspace.environment.name}": outcome})


def _refusal(what: str, decision: Decision) -> str:
    return what + ":\n" + "\n".join(f"  {line}" for line in decision.refusals)
