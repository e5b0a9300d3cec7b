"""What is wrong, in sentences: it stands before everything else."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.decisions import Check
from mlops.monitoring.alarm import Alarm
from mlops.monitoring.report.breaches import breached_metrics, measures, what_happened
from mlops.monitoring.report.columns import Column, points_of, severity
from mlops.monitoring.report.icons import sign
from mlops.monitoring.report.lines import spark
from mlops.monitoring.report.markup import Content, Html, html, tag
from mlops.monitoring.report.numbers import count, listed, number, plural, share, short, span
from mlops.monitoring.report.parts import Section, card, details, joined, name_of
from mlops.monitoring.report.words import (
    found_by,
    rule_text,
    says_nothing,
    signal_title,
)
from mlops.monitoring.results import (
    FeatureResult,
    HealthResult,
    MonitorResult,
    SignalResult,
    State,
)

SHOWN = 8
NAMED = 60
PROBLEMS_SHOWN = 20
LETTERS = 300
WHERE = {
    "data_drift": "features", "data_quality": "quality", "prediction_drift": "predictions",
    "model_performance": "performance", "feature_attribution_drift": "attribution",
}  # fmt: skip


def verdict(result: MonitorResult, alarms: Sequence[Alarm] = ()) -> tuple[State, str]:
    """The state of the whole, and the sentence that says it.

    An alarm may be open that this result does not show: it was found earlier, or elsewhere.
    """
    parts = [(signal.state, signal_title(signal)) for signal in result.signals]
    parts += [(result.health.state, "Endpoint health")] if result.health else []
    bad = [title for state, title in parts if state == "breached"]
    silent = [title for state, title in parts if state == "unknown"]
    if alarms and not bad:
        return "breached", f"Still open: {listed([alarm.title for alarm in alarms])}"
    if bad:
        return "breached", f"Breached: {listed([_lower(title) for title in bad])}"
    if not parts or len(silent) == len(parts):
        return "unknown", "Nothing can be said yet"
    if silent:
        unknown = listed([_lower(title) for title in silent])
        return "fine", f"Nothing is wrong, but nothing can be said of {unknown}"
    return "fine", "Nothing is wrong"


def cards(result: MonitorResult) -> Html:
    """Each signal at a glance, and the endpoint."""
    made = [
        card(
            signal.state, signal_title(signal), WHERE[signal.type], found_by(signal),
            f"{span(signal.start, signal.end)}, {plural(signal.production_rows, 'row')}",
        )
        for signal in result.signals
    ]  # fmt: skip
    health = result.health
    if health:
        failed = [check.rule for check in health.checks if not check.passed]
        found = {
            "unknown": health.note or "no reason is known",
            "fine": "within its limits",
            "breached": f"{', '.join(failed)}: beyond the limit" if failed else health.note,
        }[health.state]
        requests = plural(health.requests, "request")
        if health.error_rate is not None:
            requests += f", {share(health.error_rate)} failed"
        made.append(card(health.state, "Endpoint health", "endpoint", found, requests))
    return tag("ul", made, class_="cards")


def wrong_section(
    result: MonitorResult, columns: Sequence[Column], alarms: Sequence[Alarm], detailed: int
) -> Section:
    """Breached signals, alarms, problems of the data, and what says nothing."""
    linked = {column.name: column.place for column in columns if column.place <= detailed}
    breached = [signal for signal in result.signals if signal.state == "breached"]
    blocks: list[Content] = [_signal(signal, linked) for signal in breached]
    health = result.health
    if health and health.state == "breached":
        blocks.append(_endpoint(health))
    if alarms:
        blocks.append(_block("Alarms", None, [_alarm(alarm) for alarm in alarms]))
    if result.problems:
        blocks.append(_block("Problems in the collected data", None, _problems(result.problems)))
    silent = _silent(result)
    if not blocks and result.state == "fine":
        blocks.append(tag("p", "All that can be computed is within its limits."))
    if silent:
        blocks.append(_block("What says nothing", None, silent))
    bad = len(breached) + bool(health and health.state == "breached")
    if not blocks:
        blocks = [tag("p", "The monitor has no signal, and the endpoint no log.")]
    title = "What is wrong" if bad or alarms or result.problems else "What was found"
    mark = tag("span", count(bad), class_="count") if bad else None
    return Section("wrong", title, html(blocks), mark)


def _lower(title: str) -> str:
    return title[:1].lower() + title[1:]


def _block(title: str, note: Content, items: Sequence[Content], more: Content = None) -> Html:
    heading = tag("h3", title, html(" ", tag("small", note)) if note else None)
    return tag("div", heading, tag("ul", items, class_="wrongs"), more, class_="block")


def _signal(signal: SignalResult, linked: dict[str, int]) -> Html:
    found = sorted(signal.breached, key=lambda feature: -_worst(feature))
    items = [_breach(signal, feature, linked) for feature in found[:SHOWN]]
    rest = found[SHOWN:]
    more = None
    if rest:
        names: list[Content] = [_name(feature, linked) for feature in rest[:NAMED]]
        if len(rest) > NAMED:
            names.append(f"{count(len(rest) - NAMED)} more")
        more = details(f"and {count(len(rest))} more", tag("p", joined(names)), kind="quiet")
    note = found_by(signal) + ("" if signal.alert else "; monitor.yml sends no alert for it")
    if not items:
        items = [tag("li", signal.note or "The signal is breached as a whole.")]
    return _block(signal_title(signal), note, items, more)


def _worst(feature: FeatureResult) -> float:
    return max((severity(metric) for metric in feature.metrics if metric.breached), default=0.0)


def _breach(signal: SignalResult, feature: FeatureResult, linked: dict[str, int]) -> Html:
    """A breached column: its name, what happened, the numbers, and the worst of them over time."""
    metrics = breached_metrics(feature)
    name = [_name(feature, linked), " "] if feature.name else None
    return tag(
        "li",
        sign("breached"),
        tag(
            "div",
            tag("p", name, what_happened(signal, feature)),
            tag("p", measures(feature), class_="measure"),
        ),
        spark(metrics[0], points_of(feature, metrics[0])) if metrics else None,
    )


def _name(feature: FeatureResult, linked: dict[str, int]) -> Html:
    name = name_of(short(feature.name, 80))
    if feature.name in linked:
        return tag("a", name, href=f"#feature-{linked[feature.name]}")
    return tag("b", name)


def _endpoint(health: HealthResult) -> Html:
    failed = [check for check in health.checks if not check.passed]
    items = [tag("li", sign("breached"), tag("div", tag("p", *check_text(c)))) for c in failed]
    return _block("Endpoint health", health.note, items or [tag("li", health.note)])


def check_text(check: Check) -> list[Content]:
    """A check as a person reads it: rule, value, limit, detail."""
    said: list[Content] = [
        short(rule_text(check.rule), LETTERS),
        ": ",
        tag("b", value_of(check.value)),
    ]
    if check.limit is not None and check.comparison:
        said.append(f", {check.comparison} {value_of(check.limit)}")
    if check.detail:
        said.append(f" ({short(check.detail, LETTERS)})")
    return said


def value_of(value: float | str | None) -> str:
    """A value of a check."""
    return short(value, LETTERS) if isinstance(value, str) else number(value, 4)


def _problems(problems: Sequence[str]) -> list[Html]:
    shown = [tag("li", short(problem, LETTERS)) for problem in problems[:PROBLEMS_SHOWN]]
    more = len(problems) - len(shown)
    return [*shown, tag("li", f"and {count(more)} more")] if more > 0 else shown


def _alarm(alarm: Alarm) -> Html:
    follows = "it asks for a training" if alarm.retrain else "it asks for no training"
    return tag("li", sign("breached"), tag("div", tag("p", tag("b", alarm.title), f": {follows}.")))


def _silent(result: MonitorResult) -> list[Html]:
    """What is unknown: whole signals, and columns of the others by what their notes say."""
    said: list[tuple[str, str, list[str]]] = []
    for signal in result.signals:
        title = signal_title(signal)
        if signal.state == "unknown":
            said.append((title, signal.note, []))
            continue
        notes: dict[str, list[str]] = {}
        for feature in signal.features:
            if feature.state == "unknown":
                notes.setdefault(feature.note, []).append(feature.name)
        said += [(title, note, names) for note, names in notes.items()]
    health = result.health
    if health and health.state == "unknown":
        said.append(("Endpoint health", health.note, []))
    return [
        tag("li", sign("unknown"), tag("div", tag("p", *_silence(title, note, names))))
        for title, note, names in said
    ]


def _silence(title: str, note: str, names: list[str]) -> list[Content]:
    shown: list[Content] = [name_of(short(name, 60)) for name in names[:SHOWN] if name]
    if len(names) > SHOWN:
        shown.append(f"{count(len(names) - SHOWN)} more")
    of_these = [" of ", joined(shown)] if shown else []
    return [tag("b", title), *of_these, f" {says_nothing(note)}."]
