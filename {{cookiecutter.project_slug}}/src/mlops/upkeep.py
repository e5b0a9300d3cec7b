"""The commands that keep a project in order: its workspaces, and its template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from mlops.errors import MlopsError, Refused, UsageError
from mlops.options import Every, Json
from mlops.session import Session, session

if TYPE_CHECKING:
    from mlops.wiring import State

workspaces = typer.Typer(
    no_args_is_help=True,
    help="Compare the workspaces with what the project needs, and make what is missing.",
)


@workspaces.command("list", epilog="Example: mlops workspaces list")
def list_(json: Json = False) -> None:
    """Show the environments in their order, and where each one lies."""
    from mlops import wiring
    from mlops.handover import publish

    with session(json) as s:
        environments = [s.project.environment(name) for name in s.project.environments]
        places = {each.name: wiring.location(s.project, each) for each in environments}
        deployments = wiring.deployments_of(s.project)
        s.console.result(
            {
                "environments": [{"name": name, "where": place} for name, place in places.items()],
                "deployments": deployments,
            }
        )
        s.console.table(("environment", "where"), list(places.items()))
        publish({"deployments": deployments})


@workspaces.command(epilog="Example: mlops workspaces plan --env dev")
def plan(env: Every = None, json: Json = False) -> None:
    """Show what `apply` would make; nothing is changed."""
    from mlops import wiring
    from mlops.handover import summarize

    with session(json) as s:
        missing = [state for state in _states(s, env) if not state.requirement.satisfied]
        s.console.result([state.record() for state in missing])
        to_make = sum(state.requirement.makeable for state in missing)
        lines = [state.show() for state in missing]
        lines.append(f"{to_make} to make" if missing else "nothing to do")
        s.console.say("\n".join(lines))
        summarize(wiring.plan_summary("What is missing", "\n".join(lines)))
        for name, changes in wiring.infrastructure_changes(
            s.project, _names(s, env), report=s.console.progress
        ):
            s.console.say(f"{name}, the infrastructure, as Azure sees it:\n{changes}")
            title = f"The infrastructure of {name}, as Azure sees it"
            summarize(wiring.plan_summary(title, changes))


@workspaces.command(epilog="Example: mlops workspaces apply --env dev")
def apply(
    env: Every = None,
    infrastructure_only: Annotated[
        bool,
        typer.Option("--infrastructure-only", help="Only the deployment of the Azure resources."),
    ] = False,
    json: Json = False,
) -> None:
    """Make what is missing; what is there stays as it is."""
    from mlops import wiring

    with session(json) as s:
        if infrastructure_only:
            names, report = _names(s, env), s.console.progress
            deployed = wiring.deploy_infrastructure(s.project, names, report=report)
            s.console.result({"deployed": deployed})
            s.console.say(f"deployed: {', '.join(deployed)}")
            return
        made = wiring.apply(s.project, _names(s, env), s.workspace, report=s.console.progress)
        _show(s, wiring.inspect(s.project, _names(s, env), s.workspace))
        s.console.progress(f"{made} made" if made else "nothing was missing")


@workspaces.command(epilog="Example: mlops workspaces check")
def check(env: Every = None, json: Json = False) -> None:
    """Show what is there and what is not, and who or what mends it; status 1 if something is not."""
    with session(json) as s:
        _show(s, _states(s, env))


@workspaces.command(epilog="Example: mlops workspaces delete --env dev")
def delete(
    env: Annotated[str, typer.Option(help="The environment.")],
    confirm: Annotated[
        Optional[str], typer.Option(help="Its name once more; asked for if it is left out.")
    ] = None,
    not_production: Annotated[
        bool,
        typer.Option("--not-production", help="Refuse the last environment and what it shares."),
    ] = False,
    json: Json = False,
) -> None:
    """Delete an environment's resource group in Azure, with models, endpoints and data."""
    from mlops import wiring

    with session(json) as s:
        lost = wiring.environments_in_group_of(s.project, env)
        if not_production:
            wiring.require_not_production(s.project, lost)
        named = wiring.name_to_confirm(s.project, lost)
        s.console.progress(
            f"this deletes {s.project.environment(env).settings.azure.resource_group} with all "
            f"models, endpoints and data of: {', '.join(lost)}"
        )
        try:
            typed = (
                typer.prompt(f"type `{named}` to go on", err=True) if confirm is None else confirm
            )
        except typer.Abort:
            raise Refused(f"nothing is deleted: nobody typed `{named}`; or use --confirm") from None
        wiring.delete(s.project, env, typed, report=s.console.progress)
        s.console.result({"deleted": lost})
        s.console.say(f"deleted: {', '.join(lost)}")


def update(
    set_: Annotated[
        Optional[list[str]],
        typer.Option("--set", help="NAME=VALUE: another answer, on the same release."),
    ] = None,
    branch: Annotated[
        bool, typer.Option("--branch", help="Commit to a branch named after the release.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring the newest release of the template, or change an answer; your edits are merged."""
    from mlops import template
    from mlops.handover import publish

    with session(json) as s:
        answers = settings_of(set_ or [])
        done = template.update(s.project.root, answers, on_branch=branch, report=s.console.progress)
        s.console.result(done.record())
        s.console.say(done.show())
        publish({"branch": done.branch})
        if done.unmerged:
            files = ", ".join(done.unmerged)
            raise MlopsError(f"{len(done.unmerged)} file(s) could not be merged: {files}")


def settings_of(pairs: list[str]) -> dict[str, str]:
    """NAME=VALUE pairs as a dictionary.

    Raises:
        UsageError: one has no `=`.
    """
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise UsageError(f"--set takes NAME=VALUE, not {', '.join(wrong)}")
    return dict(pair.split("=", 1) for pair in pairs)


def _names(s: Session, env: str | None) -> list[str]:
    return [env] if env else s.project.environments


def _states(s: Session, env: str | None) -> list[State]:
    from mlops import wiring

    return wiring.inspect(s.project, _names(s, env), s.workspace)


def _show(s: Session, states: list[State]) -> None:
    s.console.result([state.record() for state in states])
    rows = [
        (
            state.environment,
            s.console.tick(state.requirement.satisfied),
            state.requirement.name,
            "" if state.requirement.satisfied else state.requirement.remedy,
        )
        for state in states
    ]
    s.console.table(("environment", "", "what", "how to mend it"), rows)
    missing = sum(not state.requirement.satisfied for state in states)
    if missing:
        raise MlopsError(f"{missing} of {len(states)} are missing")
