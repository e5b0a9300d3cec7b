"""`mlops connect`: what the project needs on its CI/CD platform, planned, shown, and made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from mlops.errors import Refused, UsageError
from mlops.options import Json
from mlops.session import Session, session

if TYPE_CHECKING:
    from mlops.cicd.plan import Item
    from mlops.project import Project

connect_commands = typer.Typer(
    no_args_is_help=True,
    help="Set up the CI/CD platform: environments, sign-in without secrets, protection of main.",
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the commands; change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before making it.")]
WithoutReviewers = Annotated[
    bool,
    typer.Option("--without-reviewers", help="Nobody has to approve of what goes to production."),
]


@connect_commands.command(epilog="Example: mlops connect github --dry-run")
def github(
    dry_run: DryRun = False,
    yes: Yes = False,
    without_reviewers: WithoutReviewers = False,
    subject: Annotated[
        Optional[list[str]],
        typer.Option(
            metavar="ENV=SUBJECT", help="Where GitHub cannot say it beforehand; may be repeated."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Connect the repository on GitHub with Azure, through `gh` and `az`."""
    from mlops.cicd import github as platform
    from mlops.cicd.azure import INFRASTRUCTURE, MONITORING, Options, environments_of, platform_name

    with session(json) as s:
        if wrong := [pair for pair in subject or [] if not pair.partition("=")[2]]:
            raise UsageError(f"--subject takes ENV=SUBJECT, not {', '.join(wrong)}")
        # An environment may be named as the platform calls it, which is how GitHub's log says it.
        of = {platform_name(one): one.name for one in environments_of(s.project)} if subject else {}
        pairs = (pair.split("=", 1) for pair in subject or [])
        subjects = {of.get(name, name): value for name, value in pairs}
        for name in subjects.keys() - {INFRASTRUCTURE, MONITORING}:
            s.project.environment(name)
        options = Options(reviewers=not without_reviewers, subjects=subjects)
        _connect(s, lambda found: platform.plan(found, options), dry_run=dry_run, yes=yes)


@connect_commands.command("azure-devops", epilog="Example: mlops connect azure-devops --dry-run")
def azure_devops(
    dry_run: DryRun = False,
    yes: Yes = False,
    without_reviewers: WithoutReviewers = False,
    organization: Annotated[
        str, typer.Option(help="Its address; default: where git pushes to, or that of az.")
    ] = "",
    project: Annotated[str, typer.Option(help="Default: where git pushes to.")] = "",
    repository: Annotated[str, typer.Option(help="Default: where git pushes to.")] = "",
    json: Json = False,
) -> None:
    """Connect the project in Azure DevOps with Azure, through `az`."""
    from mlops.cicd import azure_devops as platform
    from mlops.cicd.azure import Options

    with session(json) as s:
        options = Options(not without_reviewers, {}, organization, project, repository)
        _connect(s, lambda found: platform.plan(found, options), dry_run=dry_run, yes=yes)


def _connect(
    s: Session, plan: Callable[[Project], list[Item]], *, dry_run: bool, yes: bool
) -> None:
    from mlops.cicd.plan import make, to_make

    s.console.progress("reading what is there ...")
    items = plan(s.project)
    if dry_run:
        s.console.result([item.record() for item in items])
        _show_commands(s, items)
        return
    _show(s, items)
    number = len(to_make(items))
    if number:
        _ask(number, yes=yes)
    made = make(items, s.project.root, s.console.progress)
    s.console.result({"made": made, "plan": [item.record() for item in items]})
    s.console.say(f"{made} made" if made else "nothing to do")
    open_ = sum(item.state == "person" for item in items)
    if open_:
        s.console.say(f"{open_} left to a person: see what is marked !")
    if edited := _edited(items):
        s.console.say(f"commit and push what was written: {', '.join(edited)}")


def _show(s: Session, items: Sequence[Item]) -> None:
    signs = {"there": s.console.tick(True), "make": "+", "person": "!"}
    rows = [(signs[item.state], item.what) for item in items]
    s.console.table(("", "what"), rows)
    for item in items:
        if item.state == "person":
            s.console.say(f"! {item.what}: {item.remedy}")


def _show_commands(s: Session, items: Sequence[Item]) -> None:
    """All that would be made as a shell script; what cannot be made as comments."""
    for item in items:
        if item.state == "person":
            s.console.say(f"# ! {item.what}: {' '.join(item.remedy.split())}")
        elif item.state == "make":
            lines = [step.show() for step in item.steps]
            if not lines[0].startswith("#"):
                s.console.say(f"# {item.what}")
            for line in lines:
                s.console.say(line)
    if all(item.state != "make" for item in items):
        s.console.say("# nothing to do")


def _ask(number: int, *, yes: bool) -> None:
    if yes:
        return
    if not _somebody_is_there():
        raise Refused(
            f"nothing was made: nobody can be asked here; --yes makes the {number} things marked +"
        )
    if not typer.confirm(f"make the {number} things marked +?", err=True):
        raise Refused("nothing was made: the answer was no")


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()


def _edited(items: Sequence[Item]) -> list[str]:
    from mlops.cicd.plan import Edit, to_make

    steps = [step for item in to_make(items) for step in item.steps]
    return list(dict.fromkeys(step.path for step in steps if isinstance(step, Edit)))
