"""The columns of a result, with what every signal found about each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mlops.monitoring.report.lines import Point
from mlops.monitoring.report.numbers import NOTHING, dated, number, plural, share, short
from mlops.monitoring.report.words import beyond
from mlops.monitoring.results import (
    Distribution,
    FeatureResult,
    MetricResult,
    MonitorResult,
    SignalResult,
    State,
)

ABOUT_FEATURES = ("data_drift", "feature_attribution_drift", "data_quality")
DRIFT = ("data_drift", "prediction_drift")

Finding = tuple[SignalResult, FeatureResult]


@dataclass
class Column:
    """A column, and what the signals found about it; `place` is its number on the page."""

    name: str
    place: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Numerical, categorical, or not known."""
        return next((f.kind for _, f in self.findings if f.kind), "")

    @property
    def unit(self) -> str:
        """The unit of its values."""
        return next((f.unit for _, f in self.findings if f.unit), "")

    @property
    def state(self) -> State:
        """The worst that a signal found."""
        states = {feature.state for _, feature in self.findings}
        return worst(states)

    @property
    def reference(self) -> Distribution | None:
        """Its distribution in the reference."""
        return next((f.reference for _, f in self.findings if f.reference), None)

    @property
    def production(self) -> Distribution | None:
        """Its distribution now."""
        return next((f.production for _, f in self.findings if f.production), None)

    @property
    def importance(self) -> float | None:
        """How much the answers rest on it: now, or else in the reference."""
        for _, feature in self.findings:
            for value in (feature.importance, feature.reference_importance):
                if value is not None:
                    return value
        return None

    def metrics(self, *types: str) -> list[tuple[SignalResult, FeatureResult, MetricResult]]:
        """Its metrics, of signals of some types or of all, the breached ones first."""
        found = [
            (signal, feature, metric)
            for signal, feature in self.findings
            if not types or signal.type in types
            for metric in feature.metrics
        ]
        return sorted(found, key=lambda item: not item[2].breached)

    @property
    def severity(self) -> float:
        """How far its worst metric is beyond its threshold, or how near to it."""
        return max((severity(metric) for _, _, metric in self.metrics()), default=0.0)


def columns_of(result: MonitorResult) -> list[Column]:
    """The features: what is breached first, then what the answers rest on most."""
    found: dict[str, Column] = {}
    for signal in result.signals:
        if signal.type in ABOUT_FEATURES:
            for feature in signal.features:
                if feature.name:
                    column = found.setdefault(feature.name, Column(feature.name))
                    column.findings.append((signal, feature))
    columns = sorted(found.values(), key=_rank)
    for place, column in enumerate(columns, start=1):
        column.place = place
    return columns


def _rank(column: Column) -> tuple[bool, float, float]:
    breached = column.state == "breached"
    importance = 0.0 if breached else -(column.importance or 0.0)
    return (not breached, importance, -column.severity)


def signals_of(result: MonitorResult, kind: str) -> list[SignalResult]:
    """The signals of a type."""
    return [signal for signal in result.signals if signal.type == kind]


def worst(states: set[State]) -> State:
    """What a whole is whose parts are so."""
    if "breached" in states:
        return "breached"
    return "fine" if "fine" in states else "unknown"


def severity(metric: MetricResult) -> float:
    """1 at the threshold, more beyond it."""
    if metric.value is None or metric.threshold is None:
        return 0.0
    value, limit = metric.value, metric.threshold
    if metric.comparison == "at least":
        value, limit = limit, value
    if limit > 0:
        return min(max(value, 0.0) / limit, 1e9)
    return 1e9 if value > limit else 0.0


def points_of(feature: FeatureResult, metric: MetricResult) -> list[Point]:
    """A metric in each window, by the end of the window."""
    return [(point.end, point.values.get(metric.name)) for point in feature.history]


def since(feature: FeatureResult, metric: MetricResult) -> str:
    """For how long a breached metric has been beyond its threshold: `since 4 Nov (3 windows)`."""
    run: list[Point] = []
    for time, value in reversed(points_of(feature, metric)):
        if not beyond(value, metric):
            break
        run.append((time, value))
    if not run or not metric.breached:
        return ""
    if len(run) == 1:
        return "new in this window"
    whole = " or longer" if len(run) == len(feature.history) else ""
    written = dated([point.end for point in feature.history])
    return f"since {written(run[-1][0])} ({plural(len(run), 'window')}{whole})"


def means(column: Column) -> Sequence[str]:
    """What is typical in the reference and now: the mean, or the most frequent category."""
    said = []
    for distribution in (column.reference, column.production):
        if distribution is None:
            said.append(NOTHING)
        elif distribution.labels and distribution.shares:
            label, part = max(zip(distribution.labels, distribution.shares), key=lambda p: p[1])
            said.append(f"{short(label, 24)}: {share(part)}")
        else:
            said.append(number(distribution.mean))
    return said
