"""How a result was computed: windows, rows, thresholds, definitions and corrections."""

from __future__ import annotations

from mlops.monitoring.report.markup import Content, html, tag
from mlops.monitoring.report.numbers import NOTHING, count, number, plural, share, span
from mlops.monitoring.report.parts import Section, table
from mlops.monitoring.report.words import limit_text, metric_of, signal_title
from mlops.monitoring.results import MonitorResult, SignalResult

EXPLAINED = (
    ("Reference", "What the window is compared with: rows that the model was not trained on."),
    ("Window", "The time whose requests are looked at. Times are in UTC."),
)
THRESHOLDS_SHOWN = 12
LATENCY = ("p50, p95, p99", "The latency that 50, 95 and 99 % of the requests did not exceed.")


def method_section(result: MonitorResult) -> Section:
    """Windows, rows and thresholds in a table, the words in a list."""
    rows: list[tuple[Content, ...]] = [
        (
            signal_title(signal),
            span(signal.start, signal.end),
            count(signal.production_rows),
            signal.reference or NOTHING,
            count(signal.reference_rows),
            _thresholds(signal),
        )
        for signal in result.signals
    ]
    head = ("Signal", "Window", "Rows", "Reference", "Rows there", "Thresholds")
    windows = table("What was compared with what", head, rows, numbers=(2, 4), wide=True)
    names = {m.name for s in result.signals for f in s.features for m in f.metrics}
    known = [(metric_of(name).name, metric_of(name).definition) for name in names]
    words = [*EXPLAINED, *sorted(pair for pair in known if pair[1])]
    words += [LATENCY] if result.health else []
    definitions = tag(
        "dl", (tag("div", tag("dt", term), tag("dd", said)) for term, said in words), class_="terms"
    )
    content = html(
        tag("ul", (tag("li", rule) for rule in _rules(result)), class_="rules"),
        windows if rows else None,
        tag("h3", "What the words mean"),
        definitions,
    )
    return Section("method", "How it was computed", content)


def _rules(result: MonitorResult) -> list[str]:
    """When a signal is breached, and when it says nothing."""
    rules = []
    if result.significance is not None:
        rules.append(
            "A metric is breached where it is beyond its threshold and chance alone would hardly "
            "bring it there: its p-value, corrected for the number of features (Holm), is below "
            f"{number(result.significance)}. So in {share(result.significance)} of the windows in "
            "which nothing has changed, at most, a signal is breached all the same."
        )
    else:
        rules.append("A metric is breached where it is beyond its threshold.")
    if result.minimum_rows:
        rules.append(f"A window of fewer than {plural(result.minimum_rows, 'row')} says nothing.")
    rules.append("The definitions of the metrics are those of Azure Machine Learning's monitors.")
    return rules


def _thresholds(signal: SignalResult) -> Content:
    """The thresholds of a signal's metrics, each once."""
    said = {
        f"{metric_of(metric.name).name} {limit_text(metric)}": None
        for feature in signal.features
        for metric in feature.metrics
        if metric.threshold is not None
    }
    return [tag("div", each) for each in list(said)[:THRESHOLDS_SHOWN]] or NOTHING
