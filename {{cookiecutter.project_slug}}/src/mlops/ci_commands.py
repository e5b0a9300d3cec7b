"""What a pull request runs: `mlops compare`. A person can run it, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mlops.console import Console, number
from mlops.errors import Refused
from mlops.options import Json
from mlops.session import session

if TYPE_CHECKING:
    from mlops.comparison import Comparison


def compare(
    base: Annotated[str, typer.Option(help="The commit to compare with: a hash, a branch, HEAD.")],
    json: Json = False,
) -> None:
    """Train this checkout and another commit, on this machine, and compare the models."""
    from mlops import comparison
    from mlops.handover import summarize

    with session(json) as s:
        done = comparison.compare(s.project, base, report=s.console.progress)
        summarize(comparison_markdown(done))
        s.console.result(done.record())
        _say_comparison(s.console, done)
        if not done.decision.accepted:
            failed = len(done.decision.refusals)
            raise Refused(
                f"the gate refuses the model of this checkout ({failed} of "
                f"{len(done.decision.checks)} checks failed); docs/runbook.md says what that means"
            )


def comparison_markdown(done: Comparison) -> str:
    """The comparison for the page of a pull request."""
    from mlops.markdown import table

    parts = [
        f"# {done.decision.model}: this change against {done.commit[:8] or 'nothing'}",
        *(f"Note: {note}" for note in done.notes),
        table(_head(done), _rows(done)),
        done.card.replace("\n## ", "\n### ").replace("# ", "## ", 1),
    ]
    return "\n\n".join(parts)


def _say_comparison(console: Console, done: Comparison) -> None:
    console.table(_head(done), _rows(done))
    for note in done.notes:
        console.say(f"note: {note}")
    verdict = "accepted" if done.decision.accepted else "refused"
    console.say(f"gate: {verdict}")
    for line in done.decision.refusals:
        console.say(f"  {line}")
    console.say("")
    console.say(done.card)


def _head(done: Comparison) -> tuple[str, ...]:
    return ("metric", "here", done.commit[:8] or "base", "difference", "")


def _rows(done: Comparison) -> list[tuple[str, ...]]:
    return [
        (
            m.name, number(m.here), number(m.base),
            "-" if m.difference is None else f"{m.difference:+.4g}", m.verdict,
        )
        for m in done.metrics
    ]  # fmt: skip
