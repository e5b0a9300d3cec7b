"""The commands of the monitoring stage: `mlops monitor | alarms`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from mlops.console import Console, relative
from mlops.errors import Refused, UsageError
from mlops.options import Json
from mlops.session import session

if TYPE_CHECKING:
    from mlops.monitoring.act import Monitoring

Last = Annotated[Optional[str], typer.Option("--env", help="The environment; default: the last.")]


def monitor(
    env: Last = None,
    ask: Annotated[
        bool,
        typer.Option(help="Ask the endpoint, too, and keep the results, which takes more rights."),
    ] = True,
    at: Annotated[
        Optional[str],
        typer.Option(help="The end of the windows, in ISO 8601, to look back; default: now."),
    ] = None,
    page: Annotated[
        Optional[Path],
        typer.Option("--report", help="Where the page goes; default: in .mlops/monitoring."),
    ] = None,
    json: Json = False,
) -> None:
    """Compare what was collected with what the model was trained on, and say what is an alarm."""
    from mlops import clock
    from mlops.files import write_json, write_text
    from mlops.handover import publish, summarize
    from mlops.monitoring import act
    from mlops.monitoring.report.monitor_page import monitor_page

    with session(json) as s:
        name = env or s.project.environments[-1]
        time = clock.parse(at, "--at") if at is not None else None
        if time and time > clock.now():
            raise UsageError(f"--at is {at}, which is to come; write a time of the past")
        folder = s.project.state / "monitoring" / name
        page = page or folder / (f"report-{time:%Y%m%dT%H%M%S}.html" if time else "report.html")
        if page.is_dir():
            raise UsageError(f"--report {page} is a folder; name a file in it, such as report.html")
        workspace = s.workspace(name)
        found = act.monitor(
            s.project,
            workspace,
            ask=ask and time is None,  # what was then is not asked now, nor kept as if it were now
            at=time,
            report=s.console.progress,
        )
        publish(
            {
                "alarms": [alarm.model_dump() for alarm in (*found.alarms, *found.silent)],
                "report": found.result is not None,
            }
        )
        summarize(monitoring_markdown(name, found))
        s.console.result(found.record())
        say_monitoring(s.console, found)
        if found.result:
            until = found.result.made.isoformat(timespec="seconds")
            told = [decision for decision in workspace.decisions() if decision.time <= until]
            write_text(page, monitor_page(found.result, told, alarms=found.alarms))
            write_json(page.with_suffix(".json"), found.result.model_dump(mode="json"))
            s.console.say(f"report: {relative(page)}")
        if found.alarms:
            titles = ", ".join(alarm.title for alarm in found.alarms)
            if any(alarm.retrain for alarm in found.alarms):
                s.console.say(f"next: look at the report, then mlops retrain --env {name}")
            raise Refused(
                f'{len(found.alarms)} alarm(s): {titles}; docs/runbook.md, "An alarm", says what '
                "to look at"
            )
        s.console.say("no alarm")


def say_monitoring(console: Console, found: Monitoring) -> None:
    """A line per signal, and below it what is wrong, or why it says nothing."""
    from mlops.monitoring.alarm import title_of

    for result in found.results:
        console.say(f"{title_of(result)} (seen at {result.time})")
        for check in result.checks:
            console.say(f"  {check.show()}")
    if found.result:
        for signal in found.result.signals:
            if signal.state == "unknown":
                console.say(f"{signal.name} says nothing: {signal.note}")
            elif signal.note:
                console.say(f"{signal.name}: {signal.note}")
        for problem in found.result.problems:
            console.say(f"note: {problem}")
    elif not found.results:
        console.say("no monitor has a result")


def alarms(
    on: Annotated[str, typer.Option(help="Where the tickets are: github or azure-devops.")],
    input_: Annotated[
        str, typer.Option("--input", help="The list that was published; - reads it.")
    ],
    of: Annotated[str, typer.Option(help="Whose alarms they are: monitor or retrain.")] = "monitor",
    env: Last = None,
    json: Json = False,
) -> None:
    """Open, update or close one issue or work item for each alarm of an environment."""
    from mlops import alarms as followed
    from mlops.monitoring.alarm import key_prefix_of
    from mlops.tickets import board_of

    with session(json) as s:
        if on not in ("github", "azure-devops"):
            raise UsageError(f"--on {on}: write github or azure-devops")
        if of not in ("monitor", "retrain"):
            raise UsageError(f"--of {of}: write monitor or retrain")
        environment = s.project.environment(env or s.project.environments[-1])
        found = followed.read_alarms(_read(input_))
        board = board_of("github" if on == "github" else "azure-devops", s.project.root)
        done = []
        for action in followed.follow_up(
            board, found, key_prefix_of(environment), of_retraining=of == "retrain"
        ):
            done.append(action)
            number = f" #{action.number}" if action.number is not None else ""
            s.console.say(f"{action.done}{number}: {action.key}")
        s.console.result(followed.report_of(done))
        if not done:
            s.console.say("no alarm, and no open ticket")


def _read(source: str) -> str:
    try:
        return sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--input {source}: {error}") from None


def monitoring_markdown(environment: str, found: Monitoring) -> str:
    """The results for the page of a run."""
    from mlops.monitoring.alarm import title_of
    from mlops.summaries import decision_summary

    verdict = f"{len(found.alarms)} alarm(s)" if found.alarms else "no alarm"
    retrain = ", which asks for a training" if found.retrain else ""
    parts = [f"# {environment}: {verdict}{retrain}"]
    for result in found.results:
        parts.append(f"## {title_of(result)}\n{decision_summary(result).partition(chr(10))[2]}")
    return "\n\n".join(parts)
