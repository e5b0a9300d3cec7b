"""What a monitor found: a result per signal, feature and metric, as the report and JSON show it."""

from __future__ import annotations

import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mlops.decisions import Check
from mlops.monitor_settings import MonitorSignal

State = Literal["fine", "breached", "unknown"]
"""`unknown`: the data say nothing, and the note says why."""


def state_of(*, breached: bool, known: bool) -> State:
    """The state of what was looked at."""
    if breached:
        return "breached"
    return "fine" if known else "unknown"


FeatureKind = Literal["numerical", "categorical", ""]


class Result(BaseModel):
    """A part of a result: nothing is changed after it was found."""

    model_config = ConfigDict(frozen=True)


class MetricResult(Result):
    """One metric of a feature, or of the model.

    `value` is in the metric's unit, None where it is not defined; `reference` is the metric's value on
    the reference data alone (a null rate, an accuracy), where it has one. `p_value` is the chance of a value
    as bad without any change, corrected for the number of features. `breached`: beyond the
    threshold, and not by chance.
    """

    name: str
    value: float | None = None
    threshold: float | None = None
    reference: float | None = None
    comparison: Literal["at most", "at least"] = "at most"
    p_value: float | None = None
    breached: bool = False


class Distribution(Result):
    """How the values of a column are distributed, for a chart.

    `shares` are those of the bins between `edges` (one more than shares), or of the `labels`; they
    are shares of the values that are not null.
    """

    rows: int
    nulls: int = 0
    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    mean: float | None = None
    minimum: float | None = None
    maximum: float | None = None


class Point(Result):
    """The metrics of a feature, or of the model, in one window of the past."""

    start: datetime.datetime
    end: datetime.datetime
    rows: int
    values: dict[str, float | None] = {}


class FeatureResult(Result):
    """A column under one signal; the name is empty where a signal is about the whole model.

    `history` begins with the oldest window and ends with the present one. `unit` is that of the
    contract. `unseen` are the most frequent categories that the reference does not have: values of
    production, for the page alone. `importance` is the model's attribution to the feature in the window, and
    `reference_importance` that on the reference data, both as shares of the sum over all features.
    """

    name: str
    kind: FeatureKind = ""
    unit: str = ""
    state: State
    note: str = ""
    metrics: tuple[MetricResult, ...] = ()
    reference: Distribution | None = None
    production: Distribution | None = None
    importance: float | None = None
    reference_importance: float | None = None
    unseen: tuple[str, ...] = ()
    history: tuple[Point, ...] = ()


class SignalResult(Result):
    """What a signal of `monitoring/monitor.yml` found in its window, in UTC."""

    name: str
    type: MonitorSignal
    state: State
    note: str = ""
    alert: bool = True
    start: datetime.datetime
    end: datetime.datetime
    reference: str = ""
    reference_rows: int = 0
    production_rows: int = 0
    features: tuple[FeatureResult, ...] = ()

    @property
    def breached(self) -> list[FeatureResult]:
        """The features that are beyond a threshold."""
        return [feature for feature in self.features if feature.state == "breached"]


class HealthPoint(Result):
    """The requests of one interval. Latencies in milliseconds."""

    start: datetime.datetime
    end: datetime.datetime
    requests: int
    errors: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class HealthResult(Result):
    """How the endpoint did in the window; latencies in milliseconds, `error_rate` between 0 and 1.

    `error_rate_limit` and `p95_limit` are what the environment allows, for the charts. A client's mistake (status 4xx) is counted in `refused`, not in `errors`.
    """

    state: State
    note: str = ""
    requests: int = 0
    refused: int = 0
    errors: int = 0
    error_rate: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    error_rate_limit: float | None = None
    p95_limit: float | None = None
    checks: tuple[Check, ...] = ()
    history: tuple[HealthPoint, ...] = ()


class MonitorResult(Result):
    """All that was found about the version in use.

    `problems` are about the collected data itself: lines that cannot be read, rows twice.
    `minimum_rows` and `significance` are the environment's settings with which it was computed.
    """

    environment: str
    model: str
    version: int
    origin: str
    endpoint: str
    deployment: str
    made: datetime.datetime
    minimum_rows: int | None = None
    significance: float | None = None
    signals: tuple[SignalResult, ...] = ()
    health: HealthResult | None = None
    problems: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        """The worst of its signals and of the endpoint's health."""
        states = [signal.state for signal in self.signals]
        states += [self.health.state] if self.health else []
        if "breached" in states:
            return "breached"
        return "fine" if "fine" in states else "unknown"
