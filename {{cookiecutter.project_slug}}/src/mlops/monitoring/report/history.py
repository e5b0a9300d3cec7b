"""What was done about it: the decisions about the model, the newest first."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from mlops.clock import parse
from mlops.decisions import Check, Decision
from mlops.errors import UsageError
from mlops.monitoring.report.icons import passed
from mlops.monitoring.report.lines import Event
from mlops.monitoring.report.markup import Content, Html, html, tag
from mlops.monitoring.report.numbers import NOTHING, count, plural, short
from mlops.monitoring.report.parts import Section, details, table, time_tag
from mlops.monitoring.report.words import decision_title, rule_text, verdict_text
from mlops.monitoring.report.wrong import check_text, value_of
from mlops.monitoring.results import MonitorResult
from mlops.status import is_refusal, outcome_of

SHOWN = 25
CHECKS_SHOWN = 60
FACTS = ("in use", "data", "deployment", "before")
LETTERS = 400


def events_of(decisions: Sequence[Decision], result: MonitorResult) -> list[Event]:
    """When which version took over in the environment, for the charts."""
    found = []
    for decision in decisions:
        moved = decision.kind in ("rollout", "rollback") and decision.accepted
        time = time_of(decision)
        if moved and time and decision.environment == result.environment:
            version = f"version {decision.version}" if decision.version else decision.kind
            found.append(Event(time, version))
    return found


def done_section(decisions: Sequence[Decision]) -> Section:
    """Trainings, gates, promotions, rollouts and rollbacks, each with its reasons."""
    told = [decision for decision in decisions if decision.kind != "monitor"]
    # Of one second, the one that was kept last comes first, too.
    told = sorted(told, key=lambda decision: decision.time)[::-1]
    if not told:
        nothing = tag("p", "No training, promotion, rollout or rollback has been recorded.")
        return Section("done", "What was done about it", nothing)
    items = [tag("li", decision_item(decision)) for decision in told[:SHOWN]]
    older = len(told) - len(items)
    more = tag("p", f"{plural(older, 'older decision')} not shown.") if older > 0 else None
    return Section("done", "What was done about it", html(tag("ol", items, class_="time"), more))


def decision_item(decision: Decision) -> Html:
    """A decision: what, about which version, how it went and why; its checks to be opened."""
    time = time_of(decision)
    subject = f"version {decision.version}" if decision.version else "no version"
    verdict = passed(decision.accepted and not is_refusal(decision), verdict_text(decision))
    failed = [check for check in decision.checks if not check.passed]
    reasons = [tag("li", *check_text(check)) for check in failed[:5]]
    if len(failed) > 5:
        reasons.append(tag("li", f"and {count(len(failed) - 5)} more"))
    return html(
        tag(
            "p",
            time_tag(time) if time else decision.time,
            tag("b", decision_title(decision.kind)),
            f" in {decision.environment}: ", verdict, f" {subject}",
        ),
        tag("ul", reasons, class_="reasons") if reasons else _in_short(decision),
        _facts(decision),
        details(
            f"{plural(len(decision.checks), 'check')}",
            checks_table(f"Checks of the {decision_title(decision.kind).lower()}", decision.checks),
            kind="quiet",
        )
        if decision.checks
        else None,
    )  # fmt: skip


def checks_table(caption: str, checks: Sequence[Check]) -> Html:
    """The checks of a decision: the failed ones first."""
    ordered = sorted(checks, key=lambda check: check.passed)
    rows: list[tuple[Content, ...]] = [
        (
            short(rule_text(check.rule), LETTERS),
            passed(check.passed),
            value_of(check.value),
            NOTHING if check.limit is None else f"{check.comparison} {value_of(check.limit)}",
            short(check.detail, LETTERS) if check.detail else NOTHING,
        )
        for check in ordered[:CHECKS_SHOWN]
    ]
    more = len(checks) - len(rows)
    caption += f"; {count(more)} more are not shown" if more > 0 else ""
    return table(caption, ("Check", "Result", "Value", "Limit", "Detail"), rows, wide=True)


def time_of(decision: Decision) -> datetime.datetime | None:
    """When it was decided; None for a record whose time cannot be read."""
    try:
        return parse(decision.time, "time")
    except UsageError:
        return None


def _in_short(decision: Decision) -> Html | None:
    """Why it was accepted: the check that it is about, of a rollout the last stage."""
    if not decision.checks:
        return None
    about = decision.checks[-1 if decision.kind == "rollout" else 0]
    return tag("p", *check_text(about), class_="measure")


def _facts(decision: Decision) -> Html | None:
    said = [(name, decision.facts.get(name)) for name in FACTS]
    outcome = outcome_of(decision)
    said.append(("outcome", f"{outcome.get('result', '')} {outcome.get('version', '')}".strip()))
    shown = [
        f"{name.replace('_', ' ')}: {short(str(value), LETTERS)}" for name, value in said if value
    ]
    return tag("p", "; ".join(shown), class_="measure") if shown else None
