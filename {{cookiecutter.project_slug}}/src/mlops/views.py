"""Decisions and states as a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops.console import Console, number

if TYPE_CHECKING:
    from mlops.decisions import Decision


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
    """One row for each version of each environment."""
    rows = []
    for state in found:
        live = {d["version"]: d for d in state["endpoint"]["deployments"]}
        champion = (state["champion"] or {}).get("version")
        for version in state["versions"]:
            deployed = live.get(version["version"])
            rows.append(
                (
                    state["environment"],
                    f"{version['version']}{' *' if version['version'] == champion else ''}",
                    ""
                    if version["origin"].startswith(f"{state['environment']}/")
                    else version["origin"],
                    ", ".join(
                        f"{name} {number(version['metrics'].get(name))}" for name in state["gate"]
                    ),
                    f"{deployed['name']}: {deployed['traffic']} %"
                    if deployed
                    else version["rollout"] or "-",
                    version["created"][:16].replace("T", " "),
                    _commit(version),
                )
            )
        if not state["versions"]:
            rows.append((state["environment"], "-", "", "", "-", "", ""))
    head = ("environment", "version", "from", "metrics", "traffic", "registered", "commit")
    console.table(head, rows)
    console.say("* the champion: the last version that passed all tests of the environment")
    if any("+" in row[-1] for row in rows):
        console.say("+ the files differed from the commit")


def _commit(version: dict[str, Any]) -> str:
    commit = str(version["git_commit"])
    if commit in ("", "unknown", "no commit"):
        return "no commit"
    return commit[:8] + ("+" if version["git_dirty"] == "true" else "")
