"""The features: all of them in a table, and those that matter with their charts."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.monitoring.report.bars import distribution_chart
from mlops.monitoring.report.breaches import measures, what_happened
from mlops.monitoring.report.columns import Column, Finding, means, points_of
from mlops.monitoring.report.icons import badge, sign
from mlops.monitoring.report.lines import Event, metric_chart, spark
from mlops.monitoring.report.markup import Content, Html, html, tag
from mlops.monitoring.report.meter import meter
from mlops.monitoring.report.numbers import NOTHING, count, plural, share, short
from mlops.monitoring.report.parts import details, figure, legend, name_of, table
from mlops.monitoring.report.tables import column_numbers, metrics_table
from mlops.monitoring.report.words import (
    metric_of,
    note_of,
    says_nothing,
    signal_title,
)
from mlops.monitoring.results import FeatureResult, MetricResult, SignalResult

OPEN_AT_MOST = 4
CHARTS = 3  # in a row, where there is room; more if more metrics are breached
ROWS_AT_MOST = 300
LETTERS_OF_A_NAME = 80
CHARTED = ("data_drift", "prediction_drift")


def overview(columns: Sequence[Column], detailed: int) -> Html:
    """A row for each feature; the first `detailed` are linked to their charts."""
    names = {metric.name for column in columns for _, _, metric in column.metrics("data_drift")[:1]}
    drift = metric_of(names.pop()).name if len(names) == 1 else "Drift"
    has_importance = any(column.importance is not None for column in columns)
    head = ["Feature", "State", drift, "Over time", "Reference", "Now", "Missing now"]
    head += ["Importance"] if has_importance else []
    rows = []
    for column in columns[:ROWS_AT_MOST]:
        before, now = means(column)
        row: list[Content] = [
            _link(column) if column.place <= detailed else name_of(short(column.name, 80)),
            badge(column.state),
            *_drift(column),
            before,
            now,
            _missing(column),
        ]
        row += [share(column.importance)] if has_importance else []
        rows.append(row)
    caption = "Mean, or most frequent category, in the reference and now"
    if more := len(columns) - len(rows):
        fine = sum(column.state == "fine" for column in columns[ROWS_AT_MOST:])
        caption += f"; {plural(more, 'more feature')} not shown, {count(fine)} of them fine"
    return table(caption, head, rows, numbers=(2, 4, 5, 6, 7), wide=True)


def feature_details(column: Column, events: Sequence[Event], is_open: bool) -> Html:
    """A feature with all that is known of it, to be opened."""
    return column_details(
        column.name, column.findings, events, is_open=is_open, anchor=f"feature-{column.place}",
        kind=column.kind, unit=column.unit,
    )  # fmt: skip


def column_details(
    name: str, findings: Sequence[Finding], events: Sequence[Event], *, is_open: bool,
    anchor: str, kind: str = "", unit: str = "",
) -> Html:  # fmt: skip
    """A column with its charts, its numbers, and what each signal says of it."""
    column = Column(name, findings=list(findings))
    first = _foremost(column)
    measure = trend = None
    if first:
        _, feature, metric = first
        measure = html(metric_of(metric.name).name, " ", tag("b", value_text(metric)))
        trend = spark(metric, points_of(feature, metric))
    summary = html(
        sign(column.state),
        tag("span", name_of(short(name, LETTERS_OF_A_NAME)), class_="title"),
        tag("span", column.state if column.state != "unknown" else "says nothing", class_="unseen"),
        tag("span", ", ".join(filter(None, (kind, unit))), class_="kind"),
        tag("span", measure, class_="measure") if measure else None,
        trend,
    )
    return details(
        summary,
        _sentences(column.findings),
        tag("div", _charts(column, events), class_="charts"),
        metrics_table(f"Metrics of {short(column.name, 60)}", column.metrics()),
        details("Numbers behind the charts", column_numbers(column), kind="quiet"),
        is_open=is_open,
        kind=f"column {column.state}",
        anchor=anchor,
    )


def value_text(metric: MetricResult) -> str:
    """A value as its metric is written."""
    return metric_of(metric.name).show(metric.value)


def _link(column: Column) -> Html:
    return tag("a", name_of(short(column.name, 80)), href=f"#feature-{column.place}")


def _foremost(column: Column) -> tuple[SignalResult, FeatureResult, MetricResult] | None:
    """The metric that stands for a column: one that is breached, or else one of drift."""
    ordered = [*column.metrics(*CHARTED), *column.metrics()]
    breached = (item for item in ordered if item[2].breached)
    return next(breached, ordered[0] if ordered else None)


def _drift(column: Column) -> list[Content]:
    """The value of the first metric of drift, as a bar, too; and over time."""
    for _, feature, metric in column.metrics("data_drift"):
        return [
            html(value_text(metric), meter(metric)),
            spark(metric, points_of(feature, metric)) or NOTHING,
        ]
    return [NOTHING, NOTHING]


def _missing(column: Column) -> str:
    for _, _, metric in column.metrics("data_quality"):
        if metric.name == "null_value_rate":
            return share(metric.value)
    now = column.production
    if now is None or not now.rows:
        return NOTHING
    return share(now.nulls / now.rows)


def _sentences(findings: Sequence[Finding]) -> Html | None:
    """What is wrong with it, what is unknown, and every note."""
    lines: list[Html] = []
    for signal, feature in findings:
        title = tag("b", signal_title(signal))
        if feature.state == "breached":
            said = what_happened(signal, feature)
            lines.append(html(sign("breached"), title, f": {said} ", measures(feature)))
        elif feature.state == "unknown":
            lines.append(html(sign("unknown"), title, f" {says_nothing(feature.note)}."))
        elif said := note_of(feature):
            lines.append(html(sign("fine"), title, f": {said}."))
    return tag("ul", (tag("li", line) for line in lines), class_="says") if lines else None


def _charts(column: Column, events: Sequence[Event]) -> Html:
    before, now = column.reference, column.production
    chart = distribution_chart(column.name, before, now)
    drawn: list[Content] = []
    if chart:
        has_mean = any(d and d.edges and d.mean is not None for d in (before, now))
        drawn.append(figure("Distribution", chart, None, legend(mean=has_mean)))
    of_drift = [item for item in column.metrics(*CHARTED) if not item[2].breached]
    breached = [item for item in column.metrics() if item[2].breached]
    for _, feature, metric in [*breached, *of_drift[: max(0, CHARTS - 1 - len(breached))]]:
        drawn.append(history_figure(feature, metric, events, column.name))
    return html(drawn)


def history_figure(
    feature: FeatureResult, metric: MetricResult, events: Sequence[Event], name: str = ""
) -> Html | None:
    """A metric over time, with its present value above; None where there is no history."""
    points = points_of(feature, metric)
    if not any(value is not None for _, value in points):
        return None
    known = metric_of(metric.name).name
    title = f"{known} of {short(name, 60)} over time" if name else f"{known} over time"
    note = badge("breached", "breached") if metric.breached else None
    return figure(known, metric_chart(title, metric, points, events), note)
