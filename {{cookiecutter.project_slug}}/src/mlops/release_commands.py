"""The commands that take a model version into an environment and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from mlops import handover
from mlops.errors import UsageError
from mlops.options import Env, Json, Version
from mlops.session import Session, session
from mlops.views import say_decision, show_decision

if TYPE_CHECKING:
    from mlops.decisions import Decision


def promote(
    from_: Annotated[str, typer.Option("--from", help="Where the version is.")],
    to: Annotated[
        Optional[str], typer.Option("--to", help="Default: the next environment.")
    ] = None,
    env: Annotated[Optional[str], typer.Option("--env", help="Another name of --to.")] = None,
    version: Annotated[
        Optional[int], typer.Option("--version", help="Default: the champion of --from.")
    ] = None,
    json: Json = False,
) -> None:
    """Take a tested model version into the next environment, through its gate."""
    from mlops import promotion

    with session(json) as s:
        if to and env and to != env:
            raise UsageError(f"--to {to} and --env {env} say two things; write one of them")
        source = s.workspace(from_)
        name = to or env or s.project.next_environment(from_)
        if name is None:
            raise UsageError(f"{from_} is the last environment; there is none to promote to")
        target = s.workspace(name)
        received, decision = promotion.promote(
            s.project, source, target, version, report=s.console.progress
        )
        s.console.result({"version": received.number, "decision": decision.record()})
        say_decision(s.console, decision)
        s.console.say(f"{received.origin} is now {received} of {name}")
        following = promotion.next_command(s.project, target.environment)
        if following.startswith("mlops test "):  # else it would test the champion
            following += f" --version {received.number}"
        s.console.say(f"next: {following}")


def release(
    env: Env = None,
    version: Annotated[
        Optional[str],
        typer.Option(
            "--version",
            help="Where it was trained and its number there: dev/7. "
            "Default: the champion of the environment before.",
        ),
    ] = None,
    digest: Annotated[
        str, typer.Option(help="What its files must be, as `train` said; else it is refused.")
    ] = "",
    json: Json = False,
) -> None:
    """Take a model version through an environment: promote, test, release. Goes on where it was."""
    from mlops.delivery import deliver, environments_after
    from mlops.summaries import decision_summary

    with session(json) as s:
        target = s.workspace(env)
        name = target.environment.name
        before = s.project.previous_environment(name)
        source = s.workspace(before) if before else None

        def decided(decision: Decision) -> None:
            say_decision(s.console, decision)
            handover.summarize(decision_summary(decision))

        done = deliver(
            s.project, source, target, version, digest or None,
            report=s.console.progress, decided=decided,
        )  # fmt: skip
        later, origin = environments_after(s.project, name), done.version.origin
        s.console.result(
            {
                "version": origin,
                "number": done.version.number,
                "digest": done.version.digest,
                "environments": later,
                "decisions": [decision.record() for decision in done.decisions],
            }
        )
        state = f"{origin} is released in {name}, as {done.version}"
        if not done.decisions:
            state = f"nothing to do in {name}: {origin}, its {done.version}, passed all tests there"
            handover.summarize(f"## {name}\n\n{state}")
        s.console.say(state)
        if later:
            s.console.say(f"next: mlops release --env {later[0]['name']} --version {origin}")
        elif not target.environment.serves("online"):
            s.console.say(f"next: mlops score --env {name} --input TABLE --output SCORES")
        handover.publish({"version": origin, "digest": done.version.digest, "environments": later})


def deploy(env: Env = None, version: Version = None, json: Json = False) -> None:
    """Put a model version behind the endpoint at 0 % of the traffic and test it."""
    from mlops import release as releasing

    with session(json) as s:
        workspace = s.workspace(env)
        _show(s, releasing.deploy(workspace, version, report=s.console.progress))
        s.console.say(f"next: mlops rollout --env {workspace.environment.name}")


def test(
    env: Env = None,
    version: Annotated[
        Optional[int],
        typer.Option(
            "--version",
            help="For a test in batches. Default: the champion, or the newest where there is none.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Test what serves in an environment: the live deployment, or the champion's batch scoring."""
    from mlops import release as releasing
    from mlops.batch_acceptance import accept_in_batches
    from mlops.summaries import decision_summary

    with session(json) as s:
        workspace = s.workspace(env)
        environment = workspace.environment
        in_batches = not environment.serves("online") or "batch" in environment.settings.tests
        if version is not None and not in_batches:
            raise UsageError(
                f"the live deployment of {environment.name} is tested, whatever its version; "
                "leave out --version"
            )
        decisions: tuple[Decision, ...] = ()
        if in_batches:
            decisions = (accept_in_batches(workspace, version, report=s.console.progress),)
        if environment.serves("online") and (not in_batches or workspace.endpoint().traffic):
            decisions += releasing.retest(workspace, report=s.console.progress)
        _show(s, decisions)
        for decision in decisions:
            handover.summarize(decision_summary(decision))


def rollout(env: Env = None, version: Version = None, json: Json = False) -> None:
    """Give the deployed version the traffic, stage by stage; a failed test puts it back."""
    from mlops import release as releasing

    with session(json) as s:
        workspace = s.workspace(env)
        decision = releasing.rollout(workspace, version, report=s.console.progress)
        show_decision(s.console, decision)
        s.console.say(f"to go back: mlops rollback --env {workspace.environment.name}")


def rollback(env: Env = None, json: Json = False) -> None:
    """Give all the traffic back to the previous deployment."""
    from mlops import release as releasing
    from mlops.summaries import decision_summary

    with session(json) as s:
        decision = releasing.rollback(s.workspace(env), report=s.console.progress)
        show_decision(s.console, decision)
        handover.summarize(decision_summary(decision))


def _show(s: Session, decisions: tuple[Decision, ...]) -> None:
    s.console.result(
        {
            "version": decisions[0].version,
            "accepted": True,
            "decisions": [each.record() for each in decisions],
        }
    )
    for decision in decisions:
        say_decision(s.console, decision)
