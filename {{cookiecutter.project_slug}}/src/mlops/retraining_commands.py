"""The command of the retraining stage: `mlops retrain`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from mlops import handover
from mlops.errors import Refused, UsageError
from mlops.options import Json
from mlops.session import Session, session
from mlops.views import say_decision

if TYPE_CHECKING:
    from mlops.decisions import Decision
    from mlops.retraining_work import Retraining


def retrain(
    env: Annotated[
        Optional[str],
        typer.Option("--env", help="The environment that needs a new model; default: the last."),
    ] = None,
    request: Annotated[
        Optional[str],
        typer.Option(
            help="What `--decide-only` published; - reads it. The environment is not read."
        ),
    ] = None,
    decide_only: Annotated[
        bool, typer.Option("--decide-only", help="Say whether something asks for a training.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Train, whatever the policy says.")
    ] = False,
    release: Annotated[
        bool,
        typer.Option("--release", help="Release what passes, in all environments up to --env."),
    ] = False,
    json: Json = False,
) -> None:
    """Train on fresh data if the policy of an environment says so, and pass the gate."""
    from mlops import retraining
    from mlops.retraining_request import read_request
    from mlops.summaries import decision_summary

    with session(json) as s:
        if sum((request is not None, decide_only, force)) > 1:
            raise UsageError("--request, --decide-only and --force say three things; write one")
        if decide_only and release:
            raise UsageError("--decide-only trains nothing that --release could release")
        name = env or s.project.environments[-1]
        given = sys.stdin.read() if request == "-" else request
        if given is not None:
            name = read_request(given, s.project)[0].environment
            if env not in (None, name):
                raise UsageError(f"--request is for {name}, not for {env}")
        s.project.environment(name)
        done = retraining.retrain(
            s.project, s.workspace, name,
            request=given, decide_only=decide_only, force=force, report=s.console.progress,
        )  # fmt: skip
        if decide_only:
            text = done.request.model_dump_json() if done.request else ""
            handover.publish({"retrain": done.request is not None, "request": text})
        else:
            _publish(done)
        handover.summarize(retraining_markdown(done, decide_only=decide_only))
        _say(s, done, decide_only=decide_only)
        outcome = done.outcome
        if outcome and outcome.alarm:
            s.console.result(done.record())
            raise Refused(
                f"the model for {done.environment} was refused; docs/runbook.md says what that means"
            )
        released: list[dict[str, Any]] = []
        if outcome and release:

            def decided(decision: Decision) -> None:
                say_decision(s.console, decision)
                handover.summarize(decision_summary(decision))

            for delivery in retraining.release_through(
                s.project, s.workspace, outcome, done.environment,
                report=s.console.progress, decided=decided,
            ):  # fmt: skip
                version = delivery.version
                released.append({"environment": version.environment, "version": version.number})
                s.console.say(f"{version.origin} is {version} of {version.environment}")
        elif outcome:
            _say_next(s, done)
        s.console.result({**done.record(), "released": released})


def _publish(done: Retraining) -> None:
    outcome = done.outcome
    handover.publish(
        {
            "version": outcome.version if outcome else "",
            "digest": outcome.digest if outcome else "",
            "registered": done.hand_over,
            "alarms": [alarm.model_dump() for alarm in done.alarms],
        }
    )


def verdict_of(done: Retraining, *, decide_only: bool = False) -> str:
    """Whether a training starts, and what came of it, in a line."""
    outcome, name = done.outcome, done.environment
    if done.request is None or not (done.outcome or done.decision.accepted):
        asks = done.request is not None and any(c.passed for c in done.decision.checks)
        return f"{name}: no training, {'not now' if asks else 'nothing asks for one'}"
    if decide_only or outcome is None:
        return f"{name}: a training is asked for"
    before = "done before: " if done.again else ""
    if outcome.result == "refused":
        return f"{name}: {before}trained, and refused"
    if outcome.result == "registered":
        return f"{name}: {before}trained and registered, {outcome.version}"
    used = ", which is in use" if outcome.digest == done.request.digest else ""
    return f"{name}: {before}trained, and nothing new: {outcome.version}{used}"


def retraining_markdown(done: Retraining, *, decide_only: bool = False) -> str:
    """Why a training starts or does not, and what came of it, for the page of a run."""
    from mlops.summaries import card_summary, decision_summary

    lines = [f"    {_mark(check.passed)} {check.text}" for check in done.decision.checks]
    parts = [f"## {verdict_of(done, decide_only=decide_only)}", "\n".join(lines)]
    if done.training:
        parts.append(decision_summary(done.training.decision))
        parts.append(card_summary(done.training.card.read_text(encoding="utf-8")))
    elif done.outcome and done.outcome.alarm:
        parts.append(done.outcome.alarm.body)
    return "\n\n".join(parts)


def _say(s: Session, done: Retraining, *, decide_only: bool) -> None:
    from mlops.console import relative

    s.console.say(verdict_of(done, decide_only=decide_only))
    for check in done.decision.checks:
        s.console.say(f"  {_mark(check.passed)} {check.text}")
    if done.training:
        say_decision(s.console, done.training.decision)
        s.console.say(f"model card: {relative(done.training.card)}")
    elif done.outcome and done.outcome.alarm:
        s.console.say(done.outcome.alarm.body)
    if decide_only and done.request:
        s.console.say(f"request: {done.request.model_dump_json()}")


def _say_next(s: Session, done: Retraining) -> None:
    """The command that takes the version on: from where its training does not release it."""
    outcome, names = done.outcome, s.project.environments
    if outcome is None or (done.request and outcome.digest == done.request.digest):
        return
    gate = s.project.environment(names[0]).settings.champion_test == "gate"
    following = names[1] if gate and len(names) > 1 else names[0]
    s.console.say(f"next: mlops release --env {following} --version {outcome.version}")


def _mark(passed: bool) -> str:
    return "yes" if passed else "no "
