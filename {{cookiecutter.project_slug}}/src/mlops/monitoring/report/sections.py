"""The parts of a monitor's page about one signal each, and about the endpoint."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.monitoring.report.bars import paired_bars
from mlops.monitoring.report.columns import severity, signals_of, worst
from mlops.monitoring.report.features import column_details, history_figure
from mlops.monitoring.report.history import checks_table
from mlops.monitoring.report.icons import badge, sign
from mlops.monitoring.report.lines import Event, latency_chart, metric_chart, requests_chart
from mlops.monitoring.report.markup import Content, Html, html, tag
from mlops.monitoring.report.numbers import (
    NOTHING,
    count,
    milliseconds,
    moment,
    number,
    plural,
    share,
    short,
    span,
)
from mlops.monitoring.report.parts import Section, details, facts, figure, legend, name_of, table
from mlops.monitoring.report.tables import history_table, metrics_table
from mlops.monitoring.report.words import (
    SIGNALS,
    limit_text,
    metric_of,
    note_of,
    signal_title,
)
from mlops.monitoring.results import (
    HealthPoint,
    HealthResult,
    MetricResult,
    MonitorResult,
    SignalResult,
)

QUALITY = ("null_value_rate", "data_type_error_rate", "out_of_bounds_rate")
COLUMNS_SHOWN = 40
IMPORTANCES_SHOWN = 12


def predictions(result: MonitorResult, events: Sequence[Event]) -> Section | None:
    """The answers: their distribution in the reference and now."""
    blocks = []
    for number_, signal in enumerate(signals_of(result, "prediction_drift")):
        blocks.append(signal_head(signal))
        blocks += [
            column_details(
                feature.name or "prediction", [(signal, feature)], events, is_open=place < 2,
                anchor=f"prediction-{number_}-{place}", kind=feature.kind, unit=feature.unit,
            )
            for place, feature in enumerate(signal.features[:COLUMNS_SHOWN])
        ]  # fmt: skip
    return _section(result, "predictions", "Predictions", "prediction_drift", blocks)


def performance(result: MonitorResult, events: Sequence[Event]) -> Section | None:
    """How good the answers were."""
    blocks: list[Content] = []
    for signal in signals_of(result, "model_performance"):
        blocks.append(signal_head(signal))
        for feature in signal.features:
            metrics = [(signal, feature, metric) for metric in feature.metrics]
            charts = [history_figure(feature, metric, events) for metric in feature.metrics]
            blocks.append(metrics_table("Metrics of the model", metrics))
            blocks.append(tag("div", charts, class_="charts"))
            if feature.history:
                numbers = history_table(signal_title(signal), feature)
                blocks.append(details("Numbers behind the charts", numbers, kind="quiet"))
    return _section(result, "performance", "Performance", "model_performance", blocks)


def quality(result: MonitorResult) -> Section | None:
    """What is missing, of the wrong type or out of bounds, in the columns where anything is."""
    blocks: list[Content] = []
    for signal in signals_of(result, "data_quality"):
        blocks.append(signal_head(signal))
        found = [
            feature
            for feature in signal.features
            if feature.state != "fine" or feature.note or any(m.value for m in feature.metrics)
        ]
        found.sort(key=lambda feature: (feature.state != "breached",
                                        -max(map(severity, feature.metrics), default=0)))  # fmt: skip
        names = [n for n in QUALITY if any(m.name == n for f in found for m in f.metrics)]
        rows = []
        for feature in found[:COLUMNS_SHOWN]:
            by_name = {metric.name: metric for metric in feature.metrics}
            cells: list[Content] = []
            for name in names:
                metric = by_name.get(name)
                limit = f" {limit_text(metric)}" if metric and metric.threshold is not None else ""
                value = metric_of(name).show(metric.value if metric else None)
                strong = tag("b", value) if metric and metric.breached else value
                cells.append(html(strong, tag("small", limit)))
            name = name_of(short(feature.name, 80))
            rows.append((name, badge(feature.state), *cells, note_of(feature) or NOTHING))
        if rows:
            head = ("Column", "State", *(metric_of(name).name for name in names), "Note")
            caption = "Columns in which something was found"
            numbers = range(2, 2 + len(names))
            blocks.append(table(caption, head, rows, numbers=numbers, wide=True))
        rest = len(signal.features) - len(rows)
        if rest and signal.state != "unknown":
            more = " more" if len(found) > len(rows) else ""
            what = "in which less was found" if more else "in which nothing was found"
            blocks.append(tag("p", f"{plural(rest, 'column')}{more} {what}.", class_="rest"))
    return _section(result, "quality", "Data quality", "data_quality", blocks)


def attribution(result: MonitorResult, events: Sequence[Event]) -> Section | None:
    """What the answers rest on."""
    blocks: list[Content] = []
    for signal in signals_of(result, "feature_attribution_drift"):
        blocks.append(signal_head(signal))
        shares = [f for f in signal.features if f.name and
                  (f.importance is not None or f.reference_importance is not None)]  # fmt: skip
        shares.sort(key=lambda f: -max(f.importance or 0, f.reference_importance or 0))
        rows = [(f.name, f.reference_importance, f.importance) for f in shares[:IMPORTANCES_SHOWN]]
        whole = [feature for feature in signal.features if not feature.name]
        metrics = [(signal, feature, metric) for feature in whole for metric in feature.metrics]
        blocks.append(metrics_table("Metrics of the attribution", metrics))
        charts: list[Content] = []
        if rows:
            chart = paired_bars(
                "Importance of the features, in the reference and now",
                f"The {len(rows)} greatest; the table below says the same.", rows,
            )  # fmt: skip
            charts.append(figure("Share of the importance", chart, None, legend()))
        charts += [history_figure(f, metric, events) for f in whole for metric in f.metrics]
        blocks.append(tag("div", charts, class_="charts"))
        if rows:
            numbers = table(
                "Share of the importance", ("Feature", "Reference", "Now"),
                [(name_of(short(name, 80)), share(a), share(b)) for name, a, b in rows],
                numbers=(1, 2),
            )  # fmt: skip
            blocks.append(details("Numbers behind the charts", numbers, kind="quiet"))
    return _section(
        result, "attribution", "Feature attribution", "feature_attribution_drift", blocks
    )


def endpoint(health: HealthResult | None) -> Section | None:
    """Requests, errors and latency."""
    if health is None:
        return None
    blocks: list[Content] = []
    blocks.append(tag("p", badge(health.state), tag("span", health.note), class_="state"))
    if health.requests:
        blocks.append(_health_facts(health))
    if health.checks:
        blocks.append(checks_table("Checks of the endpoint", health.checks))
    if health.history:
        blocks.append(tag("div", _health_charts(health), class_="charts"))
        numbers = _health_table(health.history)
        blocks.append(details("Numbers behind the charts", numbers, kind="quiet"))
    return Section("endpoint", "Endpoint health", html(blocks), sign(health.state))


def _section(
    result: MonitorResult, id_: str, title: str, kind: str, blocks: Sequence[Content]
) -> Section | None:
    if not blocks:
        return None
    mark = sign(worst({signal.state for signal in signals_of(result, kind)}))
    return Section(id_, title, html(blocks), mark, SIGNALS[kind][1])


def signal_head(signal: SignalResult) -> Html:
    """The state of a signal, what it looked at and what with."""
    rows = plural(signal.production_rows, "row")
    window = f"{span(signal.start, signal.end)}, {rows}"
    if signal.reference:
        window += f"; reference: {signal.reference}, {plural(signal.reference_rows, 'row')}"
    name = None if signal.name == signal.type else tag("b", signal.name, " ")
    return tag(
        "p", name, badge(signal.state), tag("span", signal.note) if signal.note else None,
        tag("span", window, class_="window"), class_="state",
    )  # fmt: skip


def _health_facts(health: HealthResult) -> Html:
    refused = f"{count(health.refused)} ({share(health.refused / health.requests)})"
    return facts(
        [
            ("Requests", count(health.requests)),
            ("Failed (5xx)", f"{count(health.errors)} ({share(health.error_rate)})"),
            ("Refused (4xx)", refused),
            ("Latency p50", milliseconds(health.p50)),
            ("p95", milliseconds(health.p95)),
            ("p99", milliseconds(health.p99)),
        ]
    )


def _health_charts(health: HealthResult) -> Html:
    points = health.history
    rates = [(p.end, p.errors / p.requests if p.requests else None) for p in points]
    errors = MetricResult(
        name="error_rate", value=health.error_rate, threshold=health.error_rate_limit
    )
    charts = [figure("Requests", requests_chart(points))]
    if any(rate is not None for _, rate in rates):
        charts.append(figure("Error rate", metric_chart("Error rate over time", errors, rates)))
    if any(point.p50 is not None for point in points):
        limit = health.p95_limit
        note = None if limit is None else f"p95 at most {number(limit)}"
        charts.append(figure("Latency in ms", latency_chart(points, limit), note))
    return html(charts)


def _health_table(points: Sequence[HealthPoint]) -> Html:
    rows = [
        (
            moment(point.end),
            count(point.requests),
            count(point.errors),
            share(point.errors / point.requests if point.requests else None),
            *(milliseconds(value) for value in (point.p50, point.p95, point.p99)),
        )
        for point in points
    ]
    head = ("Until", "Requests", "Failed", "Error rate", "p50", "p95", "p99")
    return table("The endpoint over time", head, rows, numbers=range(1, 7), wide=True)
