"""The numbers behind the charts, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.monitoring.report.bars import shares_of
from mlops.monitoring.report.columns import Column
from mlops.monitoring.report.icons import badge
from mlops.monitoring.report.markup import Content, Html, tag
from mlops.monitoring.report.numbers import NOTHING, chance, count, dated, number, share, short
from mlops.monitoring.report.parts import table
from mlops.monitoring.report.words import beyond, limit_text, metric_of, signal_title
from mlops.monitoring.results import Distribution, FeatureResult, MetricResult, SignalResult

LABELS_SHOWN = 40
METRICS = ("Metric", "State", "Now", "Threshold", "Reference", "By chance")


def metrics_table(
    caption: str, metrics: Sequence[tuple[SignalResult, FeatureResult, MetricResult]]
) -> Html | None:
    """A row for each metric."""
    rows = [_metric(metric) for _, _, metric in metrics]
    if not rows:
        return None
    return table(caption, METRICS, rows, numbers=(2, 3, 4, 5), wide=True, quiet=True)


def column_numbers(column: Column) -> Html:
    """The distribution of a column and its history, as the charts show them."""
    before, now = column.reference, column.production
    tables: list[Content] = []
    if before or now:
        tables += [_summary(before, now), _shares(before, now)]
    for signal, feature in column.findings:
        if feature.history and feature.metrics:
            tables.append(history_table(signal_title(signal), feature))
    return tag("div", tables, class_="tables")


def history_table(title: str, feature: FeatureResult) -> Html:
    """The metrics of each window."""
    names = [metric.name for metric in feature.metrics]
    written = dated([point.end for point in feature.history])
    rows = [
        (
            written(point.end),
            count(point.rows),
            *(metric_of(name).show(point.values.get(name)) for name in names),
        )
        for point in feature.history
    ]
    head = ("Window until", "Rows", *(metric_of(name).name for name in names))
    return table(f"{title}, window by window", head, rows, numbers=range(1, len(head)), wide=True)


def _metric(metric: MetricResult) -> tuple[Content, ...]:
    known = metric_of(metric.name)
    if metric.breached:
        state = badge("breached")
    elif metric.value is None:
        state = badge("unknown")
    else:
        by_chance = beyond(metric.value, metric)
        state = badge("fine", "Fine: can be chance" if by_chance else "Fine")
    return (
        known.name,
        state,
        known.show(metric.value),
        limit_text(metric) or NOTHING,
        NOTHING if metric.reference is None else known.show(metric.reference),
        NOTHING if metric.p_value is None else chance(metric.p_value),
    )


def _summary(before: Distribution | None, now: Distribution | None) -> Html:
    both = (before, now)
    rows: list[tuple[str, ...]] = [
        ("Rows", *(count(d.rows) if d else NOTHING for d in both)),
        ("Missing", *(count(d.nulls) if d else NOTHING for d in both)),
    ]
    if any(d and d.edges for d in both):
        rows += [
            (name.capitalize(), *(number(getattr(d, name)) if d else NOTHING for d in both))
            for name in ("mean", "minimum", "maximum")
        ]
    return table("In all", ("What", "Reference", "Now"), rows, numbers=(1, 2))


def _shares(before: Distribution | None, now: Distribution | None) -> Html | None:
    """The shares of the labels, or of the intervals."""
    if any(d and d.labels for d in (before, now)):
        rows = [(short(name, 60), share(a), share(b)) for name, a, b in shares_of(before, now)]
        more = len(rows) - LABELS_SHOWN
        caption = "Share of each label" + (
            f"; {count(more)} more are not shown" if more > 0 else ""
        )
        return table(caption, ("Label", "Reference", "Now"), rows[:LABELS_SHOWN], numbers=(1, 2))
    edges = next((d.edges for d in (before, now) if d and d.shares), ())
    same = [d if d and d.shares and d.edges == edges else None for d in (before, now)]
    intervals: list[tuple[str, ...]] = [
        (
            f"{number(edges[n])} to {number(edges[n + 1])}",
            *(share(d.shares[n]) if d else NOTHING for d in same),
        )
        for n in range(len(edges) - 1)
    ]
    if not intervals:
        return None
    return table(
        "Share of each interval", ("Interval", "Reference", "Now"), intervals, numbers=(1, 2)
    )
