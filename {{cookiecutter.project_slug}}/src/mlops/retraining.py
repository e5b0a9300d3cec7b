"""Retraining: decides by the policy, trains on fresh data, and hands on what passes the gate.

It has two halves, for the one who may read production may not train, and the one who trains may not
read production: `decide` looks at the environment and makes a request of what asks for a training,
`carry_out` looks at the data and at the last retraining, and trains in the first environment.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from mlops import clock
from mlops.decisions import Check, Decision
from mlops.delivery import Delivery, deliver
from mlops.errors import MlopsError
from mlops.monitoring.act import monitor, version_in_use
from mlops.project import Project
from mlops.retraining_policy import Trigger, by_hand, decided, triggers
from mlops.retraining_request import Request, read_request
from mlops.retraining_work import Outcome, Retraining, carry_out, decision_of
from mlops.workspaces import Report, Workspace

OpenWorkspace = Callable[[str], Workspace]


def retrain(
    project: Project,
    open_workspace: OpenWorkspace,
    name: str,
    *,
    request: str | None = None,
    decide_only: bool = False,
    force: bool = False,
    at: datetime | None = None,
    report: Report,
) -> Retraining:
    """Train for an environment if its policy says so, and pass the model through the gate.

    Args:
        project: gives the policies and the pipelines.
        open_workspace: gives the workspace of an environment.
        name: the environment that a new model is for.
        request: one that was decided before: the environment itself is not read.
        decide_only: stop at the request; nothing is trained, nor kept.
        force: a person asks, whatever the policy says.
        at: the time, in UTC; default: now.
        report: takes progress.

    Raises:
        UsageError: there is no such environment, or the request is none.
        MlopsError: the environment cannot be read, or a step of the training failed.
    """
    now = at or clock.now()
    if request is not None:
        asked, environment = read_request(request, project)
        return carry_out(project, open_workspace, environment, asked, now, report=report)
    workspace = open_workspace(name)
    first_half = decide(
        project, workspace, force=force, keep=not decide_only, at=now, report=report
    )
    if first_half.request is None or decide_only:
        return first_half

    def keep(decision: Decision) -> None:
        try:
            workspace.keep(decision)
        except MlopsError as error:  # who trains need not have the right to write here
            report(f"not recorded in {name}: {error}")

    return carry_out(
        project, open_workspace, workspace.environment, first_half.request, now,
        before=first_half.decision, keep=keep, report=report,
    )  # fmt: skip


def decide(
    project: Project,
    workspace: Workspace,
    *,
    force: bool = False,
    keep: bool = True,
    at: datetime,
    report: Report,
) -> Retraining:
    """Ask all that may ask for a training, as far as the environment itself shows it.

    Without `keep`, nothing is written: the right to read is enough.
    """
    environment = workspace.environment
    found: list[Trigger]
    if force:
        version, _ = version_in_use(workspace)
        found = [by_hand(at)]
    else:
        seen = monitor(project, workspace, ask=keep, at=at, report=report)
        version = seen.version
        trained = (version.trained or version.created) if version else ""
        found = triggers(environment, seen, trained, at) if version else []
    asks = tuple(trigger.ask for trigger in found if trigger.check.passed)
    checks, facts = decided([trigger.check for trigger in found])
    if version is None and not force:
        nothing = "train and release a version first"
        checks = (Check(rule="version in use", value="none", passed=False, detail=nothing),)
    number = version.number if version else None
    decision = decision_of(environment, number, checks, at, facts)
    if not asks:
        return Retraining(environment.name, decision)
    request = Request(
        environment=environment.name,
        model=environment.settings.model,
        origin=version.origin if version else "",
        digest=version.digest if version else "",
        asks=asks,
        time=at.isoformat(timespec="seconds"),
    )
    return Retraining(environment.name, decision, request)


def release_through(
    project: Project,
    open_workspace: OpenWorkspace,
    outcome: Outcome,
    name: str,
    *,
    report: Report,
    decided: Callable[[Decision], None],
) -> list[Delivery]:
    """Take the version that came of a retraining through all environments, up to one.

    Raises:
        MlopsError: as `delivery.deliver`, which ends it there.
    """
    names = project.environments[: project.environments.index(name) + 1]
    workspaces = [open_workspace(each) for each in names]
    return [
        deliver(
            project, source, target, outcome.version, outcome.digest,
            report=report, decided=decided,
        )
        for source, target in zip([None, *workspaces], workspaces)
    ]  # fmt: skip
