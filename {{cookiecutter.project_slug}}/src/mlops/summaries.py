"""Markdown for the page that a CI/CD platform shows for a run: what was decided, or why it ended."""

from __future__ import annotations

from mlops.decisions import Check, Decision
from mlops.markdown import show_number, table


def decision_summary(decision: Decision) -> str:
    """A decision: a title, its checks, and what it was made of."""
    verdict = "accepted" if decision.accepted else "refused"
    subject = f"version {decision.version}" if decision.version else "the model"
    checks = table(("", "check", "value", "limit", "detail"), [_row(c) for c in decision.checks])
    facts = [(k, str(v)) for k, v in decision.facts.items() if k != "metrics" and v != ""]
    parts = [f"## {decision.kind} in {decision.environment}: {verdict} {subject}", checks]
    if facts:
        parts.append(table(("fact", ""), facts))
    return "\n\n".join(parts)


def card_summary(card: str) -> str:
    """A model card without its plots: they lie beside it, where the page cannot show them."""
    before, _, after = card.partition("## Plots\n")
    return before + after[after.find("\n## ") + 1 :] if after else card


def failure_summary(command: str, message: str, refused: bool) -> str:
    """Why a command ended without its result. Indented, so that nothing in it is read as markup."""
    lines = "\n".join(f"    {line}" for line in (f"$ {command}", *message.splitlines()))
    return f"## {'Refused' if refused else 'Failed'}\n\n{lines}"


def _row(check: Check) -> tuple[str, ...]:
    limit = "-" if check.limit is None else f"{check.comparison} {show_number(check.limit)}"
    return (
        "passed" if check.passed else "FAILED",
        check.rule,
        show_number(check.value),
        limit.strip(),
        check.detail,
    )
