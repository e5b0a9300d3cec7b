"""A breached column in words: what happened to it, and the metrics that say so."""

from __future__ import annotations

from mlops.monitoring.report.columns import severity, since
from mlops.monitoring.report.markup import Content, Html, html, tag
from mlops.monitoring.report.words import limit_text, metric_of, note_of, sentence
from mlops.monitoring.results import FeatureResult, MetricResult, SignalResult


def breached_metrics(feature: FeatureResult) -> list[MetricResult]:
    """Its breached metrics, the worst first."""
    found = [metric for metric in feature.metrics if metric.breached]
    return sorted(found, key=lambda metric: -severity(metric))


def what_happened(signal: SignalResult, feature: FeatureResult) -> str:
    """What the breached metrics mean, each thing said once."""
    said = [sentence(signal, feature, metric) for metric in breached_metrics(feature)]
    return " ".join(dict.fromkeys(said)) or note_of(feature)


def measures(feature: FeatureResult) -> Html:
    """The breached metrics with their thresholds, and for how long."""
    said: list[Content] = []
    for metric in breached_metrics(feature):
        known = metric_of(metric.name)
        limit, lasting = limit_text(metric), since(feature, metric)
        said.append(
            tag(
                "span",
                f"{known.name} ", tag("b", known.show(metric.value)),
                f", {limit}" if limit else None, f", {lasting}" if lasting else None, ". ",
            )
        )  # fmt: skip
    return html(said)
