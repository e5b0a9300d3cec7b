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


def share_bar(parts: list[tuple[float, str]]) -> Html:
    """Shares of a whole, each with the kind that it is drawn as, in one bar."""
    drawn, x = [], 0.0
    for part, kind in parts:
        drawn.append(tag("rect", x=x, width=100 * part, height=HEIGHT, class_=kind))
        x += 100 * part
    return tag(
        "svg", *drawn, viewBox=f"0 0 100 {HEIGHT}", preserveAspectRatio="none",
        class_="shares", aria_hidden="true",
    )  # fmt: skip
