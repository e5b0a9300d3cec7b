"""A value beside its threshold as a short bar, next to the number that it repeats."""

from __future__ import annotations

from mlops.monitoring.report.markup import Html, tag
from mlops.monitoring.results import MetricResult

WIDTH, HEIGHT = 64, 10


def meter(metric: MetricResult) -> Html | None:
    """The bar; the notch is the threshold, which stands at the same place in every row.

    None for a metric whose values near the threshold are not comparable: a p-value.
    """
    if metric.value is None or not metric.threshold or metric.comparison == "at least":
        return None
    notch = WIDTH / 2
    wide = min(max(metric.value / metric.threshold, 0.02) * notch, WIDTH)
    kind = "bad" if metric.breached else "now"
    return tag(
        "svg",
        tag("rect", y=2, width=WIDTH, height=6, class_="track"),
        tag("rect", y=2, width=wide, height=6, class_=kind),
        tag("path", d=f"M{notch:g} 0v{HEIGHT}", class_="notch"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}", class_="meter", aria_hidden="true",
    )  # fmt: skip


def share_meter(share: float) -> Html:
    """A share of 1 as a bar of the same length."""
    return tag(
        "svg",
        tag("rect", y=2, width=WIDTH, height=6, class_="track"),
        tag("rect", y=2, width=WIDTH * share, height=6, class_="now"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}", class_="meter", aria_hidden="true",
    )  # fmt: skip
