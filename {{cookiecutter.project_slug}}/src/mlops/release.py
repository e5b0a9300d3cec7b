"""Releasing behind the online endpoint: deployment, rollout and rollback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from mlops.acceptance import acceptance_test
from mlops.decisions import Check, Decision, refusal
from mlops.errors import MlopsError, Refused
from mlops.probes import smoke_test, traffic_test
from mlops.versions import contract_of, decide, deployment_name, digest_check, find_version
from mlops.workspaces import Endpoint, ModelVersion, Report, Workspace

# Tags of an endpoint: the deployment to go back to; and, while a rollout goes on, the one to go
# back to if it fails.
PREVIOUS = "previous_deployment"
BEFORE_THAT = "deployment_before_that"
SMOKE_TEST = "smoke_test"
Outcome = Literal["passed", "failed", "rolled back"]


def deploy(
    workspace: Workspace, number: int | None = None, *, report: Report
) -> tuple[Decision, Decision]:
    """Put a version behind the endpoint at 0 % of the traffic and test it there.

    Returns:
        The decisions of its smoke test and of its acceptance test.

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
        intact = digest_check(version, workspace.files(version))
        if not intact.passed:
            raise Refused(f"{version} is not what was registered: {intact.show()}")
        report(f"starting {name} at 0 % of the traffic ...")
        try:
            workspace.create_deployment(name, version)
        except MlopsError as error:
            raise MlopsError(
                f"{name} did not start and {_removed(workspace, name)}: {error}"
            ) from None
        report(f"testing {name} ...")
        decisions = []
        for decision in _tests(workspace, name, version, _with_most_traffic(endpoint)):
            workspace.keep(decision)
            if not decision.accepted:
                workspace.delete_deployment(name)
                test = decision.kind.replace("-", " ")
                raise MlopsError(refusal(f"{name} failed its {test} and was removed", decision))
            decisions.append(decision)
        workspace.tag_deployment(name, {SMOKE_TEST: "passed"})
    smoke, accepted = decisions
    return smoke, accepted


def retest(workspace: Workspace, *, report: Report) -> tuple[Decision, ...]:
    """Test the deployment with the most traffic again; only the records of it are kept.

    Its answers are compared with those of the deployment that is kept to go back to.

    Raises:
        MlopsError: a test failed.
        Refused: no deployment gets traffic.
        UsageError: there is no online endpoint.
    """
    with workspace.lock():
        endpoint = workspace.endpoint()
        name = _with_most_traffic(endpoint)
        if name is None:
            raise Refused(
                f"{endpoint.name} has no deployment that gets traffic; run "
                f"`mlops deploy --env {workspace.environment.name}` and then `mlops rollout`"
            )
        version = find_version(workspace, endpoint.deployments[name].version)
        previous = endpoint.tags.get(PREVIOUS)
        report(f"testing {name} ...")
        kept = previous if previous in endpoint.deployments else None
        decisions = tuple(_tests(workspace, name, version, kept))
        for decision in decisions:
            workspace.keep(decision)
    for decision in decisions:
        if not decision.accepted:
            raise MlopsError(
                refusal(f"{name} failed its {decision.kind.replace('-', ' ')}", decision)
            )
    return decisions


def _tests(
    workspace: Workspace, name: str, version: ModelVersion, other: str | None
) -> Iterator[Decision]:
    """The tests of a deployment in turn, the second beside another deployment if there is one."""
    checks = smoke_test(workspace, name, contract_of(workspace, version))
    yield decide(workspace, "smoke-test", version, checks, deployment=name)
    checks = acceptance_test(workspace, name, version, other)
    yield decide(
        workspace, "acceptance-test", version, checks, deployment=name, compared_with=other or ""
    )


def _with_most_traffic(endpoint: Endpoint) -> str | None:
    shares = {name: share for name, share in endpoint.traffic.items() if share}
    return max(shares, key=shares.__getitem__, default=None)


def _removed(workspace: Workspace, name: str) -> str:
    """Remove a deployment that did not start, and say whether that worked."""
    try:
        workspace.delete_deployment(name)
    except MlopsError as error:
        return f"could not be removed ({error})"
    return "was removed"


def rollout(workspace: Workspace, number: int | None = None, *, report: Report) -> Decision:
    """Give a tested deployment the traffic, stage by stage, and make its version the champion.

    Each stage is tested. When a test fails, the traffic is as before and the version is marked
    as failed. A rollout that was interrupted goes on from the stage that it had reached.
    Where the environment says so, the traffic is mirrored to the deployment first.

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
        tests = workspace.environment.settings.tests
        if "batch" in tests and not version.passed("batch"):
            raise Refused(
                f"{version} has not passed its test in batches; run "
                f"`mlops test --env {workspace.environment.name} --version {version.number}`"
            )
        reached = endpoint.traffic.get(name, 0)
        if reached == 100 and version.passed("rollout"):
            raise Refused(f"{name} has all the traffic of {endpoint.name} already")
        old = _deployment_before(endpoint, name)
        checks: list[Check] = []
        try:
            for share in _stages(workspace, old):
                if share < reached:
                    continue
                _begin_stage(workspace, name, share, old, report=report)
                checks += traffic_test(workspace, name, contract_of(workspace, version))
                if not all(check.passed for check in checks):
                    break
        except BaseException:
            _put_back(workspace, old)
            raise
        decision = decide(workspace, "rollout", version, checks, deployment=name, before=old or "")
        if not decision.accepted:
            _put_back(workspace, old)
            _mark(workspace, version, "failed")
        workspace.keep(decision)
        if not decision.accepted:
            back = f"{old} has all the traffic again" if old else "the endpoint has no traffic"
            raise MlopsError(refusal(f"the rollout of {name} failed, {back}", decision))
        workspace.set_champion(version)
        workspace.set_traffic({name: 100}, {PREVIOUS: old} if old else {})
        for other in workspace.endpoint().deployments:
            if other not in (name, old):
                workspace.delete_deployment(other)
        # Last: a rollout that is marked as passed has nothing left to do.
        _mark(workspace, version, "passed")
        _watch(workspace, version, report)
    return decision


def _stages(workspace: Workspace, old: str | None) -> tuple[int, ...]:
    """The shares of the traffic in turn. At 0 % of it, the deployment gets mirrored traffic."""
    rollout = workspace.environment.rollout
    if old is None:
        return (100,)
    return (0, *rollout.stages) if rollout.mirror else rollout.stages


def _begin_stage(
    workspace: Workspace, name: str, share: int, old: str | None, *, report: Report
) -> None:
    """Give a deployment its share. The endpoint's tags remember the way back, also after a crash."""
    tags = workspace.endpoint().tags if old else {}
    if old and tags.get(PREVIOUS) != old:  # the rollout begins
        tags = {PREVIOUS: old, **({BEFORE_THAT: tags[PREVIOUS]} if PREVIOUS in tags else {})}
    shares = {name: share, **({old: 100 - share} if old else {})}
    traffic = {deployment: percent for deployment, percent in shares.items() if percent}
    if share:
        workspace.set_traffic(traffic, tags)
        report(f"{name} gets {share} % of the traffic; testing ...")
    else:
        mirror = workspace.environment.rollout.mirror
        workspace.set_traffic(traffic, tags, {name: mirror})
        report(f"{mirror} % of the traffic is mirrored to {name}; testing ...")


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
        shares = {**endpoint.traffic, **endpoint.mirror}
        failed = [name for name, share in shares.items() if share and name != previous]
        for name in failed:
            _mark(workspace, versions[endpoint.deployments[name].version], "rolled back")
        workspace.set_champion(back_to)
        # Last, because it also forgets what there is to go back to: until here, a command that
        # was killed can be run again.
        report(f"{previous} gets all the traffic ...")
        before_that = endpoint.tags.get(BEFORE_THAT)
        workspace.set_traffic({previous: 100}, {PREVIOUS: before_that} if before_that else {})
        checks = traffic_test(workspace, previous, contract_of(workspace, back_to))
        decision = decide(
            workspace, "rollback", back_to, checks,
            deployment=previous, before=", ".join(failed),
        )  # fmt: skip
        workspace.keep(decision)
        _watch(workspace, back_to, report)
    if not decision.accepted:
        raise MlopsError(refusal(f"{previous} has the traffic again but failed its test", decision))
    return decision


def _watch(workspace: Workspace, version: ModelVersion, report: Report) -> None:
    """Let the workspace's own monitor follow the traffic, which stays where it is in any case."""
    try:
        workspace.watch(version, report)
    except (MlopsError, OSError) as error:
        report(
            f"the workspace's monitor does not watch {version} yet: {error}; run "
            f"`mlops workspaces apply --env {workspace.environment.name}`"
        )


def _to_release(workspace: Workspace, number: int | None) -> ModelVersion:
    version = find_version(workspace, number)
    outcome = version.tags.get(f"rollout.{workspace.environment.name}", "passed")
    if number is None and outcome != "passed":
        raise Refused(
            f"the rollout of {version} in {workspace.environment.name} was: {outcome}; "
            f"to try it again, name it: --version {version.number}"
        )
    return version


def _deployment_before(endpoint: Endpoint, name: str) -> str | None:
    """Which deployment gets the traffic that `name` does not get.

    Where an interrupted rollout left two, that is the one that it started from.
    """
    previous = endpoint.tags.get(PREVIOUS)
    others = [other for other, share in endpoint.traffic.items() if share and other != name]
    if others and previous not in others:
        return others[0]
    return previous if previous in endpoint.deployments else None


def _mark(workspace: Workspace, version: ModelVersion, outcome: Outcome) -> None:
    workspace.set_tags(version, {f"rollout.{workspace.environment.name}": outcome})
