"""Decisions and states as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.console import Console, number

if TYPE_CHECKING:
    from mlops.decisions import Decision
    from mlops.status import Overview


def show_decision(console: Console, decision: Decision) -> None:
    """A decision as the whole result of a command."""
    console.result(decision.record())
    say_decision(console, decision)


def say_decision(console: Console, decision: Decision) -> None:
    """A decision and its checks, a line each."""
    verdict = "accepted" if decision.accepted else "refused"
    subject = f"version {decision.version}" if decision.version else "the model"
    console.say(f"{decision.kind} in {decision.environment}: {verdict} {subject}")
    for line in decision.checks:
        console.say(f"  {line.show()}")


def say_status(console: Console, found: list[dict[str, Any]]) -> None:
    """One row for each version of each environment; no traffic where nothing is served online."""
    rows = [row for state in found for row in _rows(state)]
    head = ["environment", "version", "from", "metrics", "batch", "traffic", "registered", "commit"]
    if not any(row.get("batch") for row in rows):
        head.remove("batch")
    if not any(state["endpoint"] for state in found):
        head.remove("traffic")
    console.table(tuple(head), [tuple(row.get(name, "") for name in head) for row in rows])
    console.say("* the champion: the last version that passed all tests of the environment")
    if any("+" in row.get("commit", "") for row in rows):
        console.say("+ the files differed from the commit")


def write_status_page(file: Path, found: Sequence[Overview], model: str) -> None:
    """The state of the environments as a page, written in one step.

    Raises:
        UsageError: it is a folder.
    """
    from mlops import clock
    from mlops.errors import UsageError
    from mlops.files import write_text
    from mlops.monitoring.report import status_page

    if file.is_dir():
        raise UsageError(f"--html {file} is a folder; name a file in it, such as status.html")
    write_text(file, status_page(found, made=clock.now(), title=model))


def _rows(state: dict[str, Any]) -> list[dict[str, str]]:
    """The rows of an environment; one with dashes where it has no version."""
    name, gate = state["environment"], state["gate"]
    if not state["versions"]:
        return [{"environment": name, "version": "-", "traffic": "-"}]
    deployments = state["endpoint"]["deployments"] if state["endpoint"] else []
    traffic = {d["version"]: _traffic(d) for d in deployments}
    champion = (state["champion"] or {}).get("version")
    return [
        {
            "environment": name,
            "version": f"{version['version']}{' *' if version['version'] == champion else ''}",
            "from": "" if version["origin"].startswith(f"{name}/") else version["origin"],
            "metrics": ", ".join(f"{m} {number(version['metrics'].get(m))}" for m in gate),
            "batch": version["batch"],
            "traffic": traffic.get(version["version"]) or version["rollout"] or "-",
            "registered": version["created"][:16].replace("T", " "),
            "commit": _commit(version),
        }
        for version in state["versions"]
    ]


def _traffic(deployment: dict[str, Any]) -> str:
    mirrored = f", {deployment['mirror']} % mirrored" if deployment["mirror"] else ""
    return f"{deployment['name']}: {deployment['traffic']} %{mirrored}"


def _commit(version: dict[str, Any]) -> str:
    commit = str(version["git_commit"])
    if commit in ("", "unknown", "no commit"):
        return "no commit"
    return commit[:8] + ("+" if version["git_dirty"] == "true" else "")
