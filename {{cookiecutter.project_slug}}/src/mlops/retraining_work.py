"""Carrying a request for a training out: once, on fresh data, and with a record of what came of it.

The first environment keeps a decision of kind `retraining` about each request. There the next one
looks: whether it was carried out already, and how long ago the last training was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from mlops import clock
from mlops.contract import load_contract
from mlops.decisions import Check, Decision
from mlops.digests import digest_of
from mlops.errors import MlopsError, Refused, redact
from mlops.monitoring.alarm import RETRAINING, Alarm, key_prefix_of
from mlops.project import Environment, Project
from mlops.retraining_data import WINDOW, Fresh, count_new, fresh_data, write_window
from mlops.retraining_policy import DID_NOT_ASK, NewRows, decided, judge
from mlops.retraining_request import Request
from mlops.summaries import card_summary
from mlops.training import Training, train
from mlops.workspaces import ModelVersion, Report, Workspace
from mlops.workspaces.locks import locked

REQUEST = "retraining"
"""The tag of a version that a request asked for: its id."""

# The body of a ticket may be longer, but it travels through an environment variable of 128 kB.
CARD = 20_000


class Outcome(BaseModel):
    """What came of a request: a new version, none that is new, or a challenger that was refused.

    `version` is where it was trained and its number there, such as `dev/8`; empty for a refusal,
    which has an alarm.
    """

    model_config = ConfigDict(frozen=True)

    result: Literal["registered", "nothing new", "refused"]
    version: str = ""
    digest: str = ""
    alarm: Alarm | None = None


@dataclass(frozen=True)
class Retraining:
    """Why a training starts or does not, and what came of it.

    `request` is None where nothing asks for a training. `outcome` is None where none has started.
    With `again`, the request was carried out before, and `outcome` is what came of it then;
    `hand_over` says whether the version is to be handed to the release stage now. `alarms` are those
    of the environment's retraining: a challenger that was refused, and no later one accepted.
    """

    environment: str
    decision: Decision
    request: Request | None = None
    outcome: Outcome | None = None
    training: Training | None = None
    again: bool = False
    hand_over: bool = False
    alarms: tuple[Alarm, ...] = ()

    def record(self) -> dict[str, Any]:
        """The result as JSON holds it."""
        return {
            "environment": self.environment,
            "decision": self.decision.record(),
            "request": self.request.model_dump(mode="json") if self.request else None,
            "id": self.request.id if self.request else None,
            "outcome": self.outcome.model_dump(mode="json") if self.outcome else None,
            "again": self.again,
            "gate": self.training.decision.record() if self.training else None,
            "card": str(self.training.card) if self.training else None,
        }


def carry_out(
    project: Project,
    open_workspace: Callable[[str], Workspace],
    environment: Environment,
    request: Request,
    now: datetime,
    *,
    before: Decision | None = None,
    keep: Callable[[Decision], None] = lambda _: None,
    report: Report,
) -> Retraining:
    """Train as a request asks, unless the policy says no, or it was done before.

    Args:
        project: gives the pipelines.
        open_workspace: gives the first environment's workspace.
        environment: the one that the model is for, with the policy.
        request: what is asked for.
        now: the time, in UTC.
        before: the decision that made the request, if it was made here.
        keep: takes the decision about the environment before a training starts, and where none does.
        report: takes progress.
    """
    first = project.environments[0]
    workspace = open_workspace(first)
    # Two that are asked for the same wait for each other: the second finds what the first has done.
    with locked(project.state / "retraining", first):
        work = _Work(project, workspace, environment, request, now, report)
        return work.answered() or work.run(before, keep)


class _Work:
    """One request, carried out under the lock."""

    def __init__(
        self, project: Project, workspace: Workspace, environment: Environment, request: Request,
        now: datetime, report: Report,
    ) -> None:  # fmt: skip
        self.project, self.workspace, self.environment = project, workspace, environment
        self.request, self.now, self.report = request, now, report
        self.policy = environment.settings.retraining
        kept = workspace.decisions("retraining")
        self.done = [
            d for d in kept if d.facts.get("for") == environment.name and "outcome" in d.facts
        ]
        self.fresh, self.problem = self._look()
        window = f", the last {self.policy.window_days:g} days" if self.policy.window_days else ""
        self.facts: dict[str, Any] = {
            "for": environment.name,
            "request": request.id,
            "asked": request.time,
            "in use": request.origin,
            "data": f"{self.fresh.name if self.fresh else 'none'}{window}",
        }

    def _look(self) -> tuple[Fresh | None, MlopsError | None]:
        """The fresh data; or why there is none that may be trained on."""
        try:
            return fresh_data(self.project, self.workspace), None
        except Refused as refused:
            return None, refused

    def answered(self) -> Retraining | None:
        """What came of the same request before, on the same data; None where it is new."""
        same = ("request", "data")
        for decision in reversed(self.done):
            if all(decision.facts.get(name) == self.facts[name] for name in same):
                outcome = Outcome.model_validate(decision.facts["outcome"])
                # Delivered again, it is in the hands of the release already; run again, it may not be.
                again = decision.facts.get("asked") == self.request.time
                self.report(f"this was asked for before, and done at {decision.time}")
                return self._answer(decision, outcome, again=True, hand_over=again)
        return None

    def run(self, before: Decision | None, keep: Callable[[Decision], None]) -> Retraining:
        """Decide, train if nothing stands against it, and keep what came of it."""
        triggers, limits = judge(
            self.policy, self.request.asks, self._last_time(), self._count(), self.now
        )
        checks, silent = decided(triggers, limits)
        said = [before.facts.get(DID_NOT_ASK, "")] if before else []
        told = "; ".join(filter(None, [*said, silent.get(DID_NOT_ASK, "")]))
        facts = {**self.facts, **({DID_NOT_ASK: told} if told else {})}
        number = before.version if before else None
        decision = decision_of(self.environment, number, checks, self.now, facts)
        if not any(check.passed for check in triggers):
            return self._answer(decision)
        keep(decision)
        if not decision.accepted:
            self._record(None, checks, facts)
            return self._answer(decision)
        training = None
        try:
            training = self._train()
            outcome = self._outcome(training)
        except MlopsError as error:
            if error.exit_status != Refused.exit_status:
                raise
            outcome = self._refused(str(error).splitlines(), "", [str(error).partition("\n")[0]])
        self._record(
            training.version if training else None, checks,
            {**facts, "outcome": outcome.model_dump(mode="json")},
        )  # fmt: skip
        new = outcome.result == "registered"
        return self._answer(decision, outcome, training=training, hand_over=new)

    def _count(self) -> NewRows:
        if self.fresh is None or not (self.policy.minimum_new_rows or self.policy.new_rows):
            return NewRows(None)
        self.report("counting the new labelled rows ...")
        contract = load_contract(self.project.contract)
        at_last = self.done[-1].facts.get("rows") if self.done else None
        rows, measured = count_new(self.fresh, contract, self._in_use(), at_last)
        self.facts["rows"] = measured.rows
        return rows

    def _in_use(self) -> ModelVersion | None:
        """The version in use, where it was trained: by its files, as a number may be given twice."""
        versions = self.workspace.versions()
        same = [v for v in versions if v.digest and v.digest == self.request.digest]
        found = same or [v for v in versions if v.origin == self.request.origin]
        return found[-1] if found else None

    def _last_time(self) -> datetime | None:
        """When the last one trained; one that came to nothing new leaves the next one free."""
        times = [d.time for d in self.done if d.facts["outcome"]["result"] != "nothing new"]
        return clock.parse(times[-1], "the time of a decision") if times else None

    def _train(self) -> Training:
        """Train in the first environment, on the rows of the window if there is one."""
        if self.fresh is None:
            raise self.problem or Refused("there is no data to train on")
        tags, data = {REQUEST: self.request.id}, None
        if self.policy.window_days:
            days, contract = self.policy.window_days, load_contract(self.project.contract)
            folder = self.project.state / "retraining" / "window"
            window = write_window(self.fresh, contract, days, folder)
            self.report(f"data: {window}")
            tags[WINDOW], data = str(window), window.path
            if self.fresh.version:
                tags["data_version"] = str(self.fresh.version)
        return train(self.project, self.workspace, data=data, tags=tags, report=self.report)

    def _outcome(self, training: Training) -> Outcome:
        version, job = training.version, training.job.name
        if version is None:
            rules = [check.rule for check in training.decision.checks if not check.passed]
            card = card_summary(training.card.read_text(encoding="utf-8"))
            return self._refused(training.decision.refusals, card, rules)
        # A run that was killed may have registered it for this very request.
        ours = job == version.tags.get("job") or version.tags.get(REQUEST) == self.request.id
        return Outcome(
            result="registered" if ours else "nothing new",
            version=version.origin,
            digest=version.digest,
        )

    def _refused(self, lines: Sequence[str], card: str, rules: Sequence[str]) -> Outcome:
        """A challenger that was refused, as an alarm."""
        name, origin = self.environment.name, self.request.origin or "no version"
        parts = [
            f"The model that was trained in {self.workspace.environment.name} for {name}, where "
            f"{origin} is in use, was refused at {self.now.isoformat(timespec='seconds')}:",
            "\n".join(f"    {' '.join(line.split())}" for line in lines)[:CARD],
            'What that means: docs/runbook.md, "A model was refused". This is closed when a later '
            "retraining is accepted.",
            card[:CARD],
        ]
        alarm = Alarm(
            key=key_prefix_of(self.environment) + RETRAINING,
            title=f"{name}: the retraining was refused",
            body=redact("\n\n".join(part for part in parts if part)),
            state=digest_of([self.request.digest or origin, sorted(rules)])[:12],
        )
        return Outcome(result="refused", alarm=alarm)

    def _record(
        self, version: ModelVersion | None, checks: tuple[Check, ...], facts: dict[str, Any]
    ) -> None:
        """Keep it where models are trained: there the next request looks."""
        number = version.number if version else None
        self.workspace.keep(
            decision_of(self.workspace.environment, number, checks, self.now, facts)
        )

    def _answer(
        self, decision: Decision, outcome: Outcome | None = None, *, again: bool = False,
        hand_over: bool = False, training: Training | None = None,
    ) -> Retraining:  # fmt: skip
        """The answer; its alarm is that of the newest challenger for the version in use."""
        newest = outcome
        if outcome is None and self.done and self.done[-1].facts["in use"] == self.request.origin:
            newest = Outcome.model_validate(self.done[-1].facts["outcome"])
        return Retraining(
            self.environment.name, decision, self.request, outcome, training, again,
            hand_over and bool(outcome and outcome.version),
            (newest.alarm,) if newest and newest.alarm else (),
        )  # fmt: skip


def decision_of(
    environment: Environment, version: int | None, checks: tuple[Check, ...], at: datetime,
    facts: dict[str, Any],
) -> Decision:  # fmt: skip
    """A decision about a retraining, made at a time in UTC."""
    return Decision(
        kind="retraining", environment=environment.name, model=environment.settings.model,
        version=version, checks=checks, facts=facts, time=at.isoformat(timespec="seconds"),
    )  # fmt: skip
