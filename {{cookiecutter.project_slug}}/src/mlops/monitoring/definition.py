"""`monitoring/monitor.yml`: an Azure ML monitor schedule, read by the workspaces' own monitor.

Azure ML runs it as a schedule on serverless Spark; `mlops monitor` computes the same signals from
the same file, anywhere. Source: Azure ML, "CLI (v2) schedule YAML schema for model monitoring".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

from mlops.documents import (
    Document,
    Finding,
    InvalidFile,
    Keys,
    Settings,
    did_you_mean,
    inspect,
    read_yaml,
)
from mlops.monitor_settings import MonitoringSettings, MonitorSignal
from mlops.project import Environment, Project

SIGNAL_TYPES = get_args(MonitorSignal)
ONLY_IN_AZURE = ("custom", "generation_safety_quality", "generation_token_statistics")

NUMERICAL = (
    "jensen_shannon_distance",
    "normalized_wasserstein_distance",
    "population_stability_index",
    "two_sample_kolmogorov_smirnov_test",
)
CATEGORICAL = (
    "jensen_shannon_distance",
    "population_stability_index",
    "pearsons_chi_squared_test",
)
QUALITY = ("null_value_rate", "data_type_error_rate", "out_of_bounds_rate")
ATTRIBUTION = ("normalized_discounted_cumulative_gain",)
PERFORMANCE: dict[str, tuple[str, ...]] = {
    "classification": ("accuracy", "precision", "recall"),
    "regression": ("mae", "mse", "rmse"),
}
KNOWN: dict[str, dict[str, tuple[str, ...]]] = {
    "data_drift": {"numerical": NUMERICAL, "categorical": CATEGORICAL},
    "prediction_drift": {"numerical": NUMERICAL, "categorical": CATEGORICAL},
    "data_quality": {"numerical": QUALITY, "categorical": QUALITY},
    "feature_attribution_drift": {"": ATTRIBUTION},
    "model_performance": dict(PERFORMANCE),
}
"""The metrics of each signal, by the kind of column or of problem, as Azure ML writes them."""

AT_LEAST = {
    "two_sample_kolmogorov_smirnov_test", "pearsons_chi_squared_test",
    "normalized_discounted_cumulative_gain", "accuracy", "precision", "recall", "f1_score",
}  # fmt: skip
"""Metrics that are breached below their threshold: scores, and tests, whose value is a p-value."""


def is_beyond(metric: str, value: float, threshold: float) -> bool:
    """Whether a value is on the wrong side of a threshold."""
    return value < threshold if metric in AT_LEAST else value > threshold


COLLECTED = ("model_inputs", "model_outputs")  # what a reference of recent production data is
DURATION = re.compile(
    r"P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?)?"
)
INTERVALS = {
    "minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1),
    "week": timedelta(weeks=1), "month": timedelta(days=30),
}  # fmt: skip


class Trigger(Settings):
    """How often the monitor runs."""

    type: Literal["recurrence", "cron"]
    frequency: Literal["minute", "hour", "day", "week", "month"] = "day"
    interval: int = Field(default=1, ge=1)
    schedule: dict[str, Any] = Field(default={})
    expression: str = ""
    start_time: Any = None
    end_time: Any = None
    time_zone: str = "UTC"

    @property
    def period(self) -> timedelta:
        """From run to run; a week for a cron expression, as in azure-ai-ml."""
        return (
            timedelta(days=7) if self.type == "cron" else INTERVALS[self.frequency] * self.interval
        )


class DataWindow(Settings):
    """A window of production data: how long, and how long before the run it ends."""

    lookback_window_size: str
    lookback_window_offset: str = "P0D"

    @field_validator("*")
    @classmethod
    def _is_a_duration(cls, text: str, field: ValidationInfo) -> str:
        size = _duration(text)
        if size is None or (not size and field.field_name == "lookback_window_size"):
            raise ValueError("write a duration in ISO 8601, such as P7D or PT6H")
        return text

    @property
    def size(self) -> timedelta:
        """How long it is."""
        return _duration(self.lookback_window_size) or timedelta()

    @property
    def offset(self) -> timedelta:
        """How long before the run it ends."""
        return _duration(self.lookback_window_offset) or timedelta()


class SignalData(Settings):
    """What a signal looks at, or compares with."""

    input_data: dict[str, Any] = Field(default={})
    data_context: str = ""
    data_window: DataWindow | None = None
    data_column_names: dict[str, str] = Field(default={})
    pre_processing_component: str = ""
    target_column_name: str = ""


class TopFeatures(Settings):
    """The features that the model leans on most."""

    top_n_feature_importance: int = Field(ge=1)


class Signal(Settings):
    """One of the monitoring signals."""

    type: MonitorSignal
    production_data: list[SignalData] = Field(default=[])
    reference_data: SignalData | None = None
    features: Literal["all_features"] | tuple[str, ...] | TopFeatures = "all_features"
    feature_type_override: dict[str, Literal["numerical", "categorical"]] = Field(default={})
    metric_thresholds: dict[str, Any] = Field(min_length=1)
    alert_enabled: bool = True
    properties: dict[str, Any] = Field(default={})

    @field_validator("production_data", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        return [given] if isinstance(given, dict) else given

    def problems(self) -> list[tuple[Keys, str]]:
        """What is wrong with the thresholds: where, below `metric_thresholds`, and what."""
        kinds = KNOWN[self.type]
        found: list[tuple[Keys, str]] = []
        if "" in kinds:
            groups: dict[Keys, Any] = {(): self.metric_thresholds}
        else:
            groups = {(kind,): given for kind, given in self.metric_thresholds.items()}
        for keys, given in groups.items():
            where = ".".join(("metric_thresholds", *map(str, keys)))
            metrics = kinds.get(str(keys[0]) if keys else "")
            if metrics is None:
                of = "kind of column" if "numerical" in kinds else "kind of model"
                found.append((keys, f"`{where}` is no {of}{did_you_mean(str(keys[0]), kinds)}"))
            elif not isinstance(given, dict):
                found.append((keys, f"`{where}` must be a mapping of `metric: threshold` lines"))
            else:
                found += [
                    ((*keys, name), f"`{where}.{name}` {problem}")
                    for name, value in given.items()
                    if (problem := self._problem(name, value, metrics))
                ]
        return found

    def _problem(self, name: str, value: Any, metrics: tuple[str, ...]) -> str:
        if name not in metrics:
            return f"is no metric of {self.type}{did_you_mean(name, metrics)}"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"must be a number, not {value!r}"
        if value < 0:
            return f"must not be negative, as {value} is"
        if value == 0 and self.type != "data_quality":
            return "must be above 0, which azure-ai-ml takes for no threshold"
        return ""

    @property
    def production(self) -> tuple[SignalData, ...]:
        """What it looks at; for some signals, inputs and outputs each have an entry."""
        return tuple(self.production_data)

    def thresholds(self, kind: str) -> dict[str, float]:
        """Metric and threshold for a kind of column (`numerical`, `categorical`), or of problem."""
        given = self.metric_thresholds
        found = given if "" in KNOWN[self.type] else given.get(kind) or {}
        return {name: float(value) for name, value in found.items()}


@dataclass(frozen=True)
class Monitor:
    """The monitor of an environment: the file, with the environment's thresholds."""

    document: Document
    trigger: Trigger
    signals: dict[str, Signal]
    left_out: dict[str, str]
    """Signals that only Azure ML computes, and their type."""

    def window(self, signal: Signal) -> DataWindow:
        """The window of production data of a signal; by default, the time from run to run."""
        given = next((data.data_window for data in signal.production if data.data_window), None)
        return given or DataWindow(lookback_window_size=_written(self.trigger.period))

    @property
    def shortest_window(self) -> DataWindow:
        """The shortest of the signals' windows; without a signal, the time from run to run."""
        windows = [self.window(signal) for signal in self.signals.values()]
        default = DataWindow(lookback_window_size=_written(self.trigger.period))
        return min(windows, key=lambda window: window.size, default=default)

    def reference_window(self, signal: Signal) -> DataWindow | None:
        """The window of production data that a signal compares with; None for held-out rows.

        By default it is twice as long as the signal's window, and ends where that begins.
        """
        data = signal.reference_data
        if data is not None and data.data_context not in COLLECTED:
            return None
        if data is not None and data.data_window is not None:
            return data.data_window
        window = self.window(signal)
        return DataWindow(
            lookback_window_size=_written(2 * window.size),
            lookback_window_offset=_written(window.offset + window.size),
        )


def monitor_file(project: Project) -> Path:
    """Where the monitor's definition lies."""
    return project.root / "monitoring" / "monitor.yml"


def load_monitor(project: Project, environment: Environment) -> Monitor | None:
    """The monitor of an environment; None in a project of an older release, which has none.

    Raises:
        InvalidFile: with a finding for everything that is wrong in it, or in the thresholds of the
            environment.
    """
    file = monitor_file(project)
    if not file.is_file():
        return None
    monitor, findings = read_monitor(read_yaml(file), environment)
    if monitor is None or findings:
        raise InvalidFile(findings)
    return monitor


def read_monitor(
    document: Document, environment: Environment
) -> tuple[Monitor | None, list[Finding]]:
    """The monitor that a file defines for an environment, or all that is wrong."""
    data = document.data if isinstance(document.data, dict) else {}
    findings: list[Finding] = []
    definition = data.get("create_monitor")
    given = definition.get("monitoring_signals") if isinstance(definition, dict) else None
    where = ("create_monitor", "monitoring_signals")
    if not isinstance(given, dict) or not given:
        problem = "`create_monitor.monitoring_signals` must name at least one signal"
        return None, [document.finding(problem, *where)]
    trigger, wrong = inspect(document, data.get("trigger"), Trigger, "trigger")
    findings += wrong
    settings = environment.settings.monitoring
    findings += _unknown_signals(environment, settings, given)
    signals, left_out = {}, {}
    for name, signal in given.items():
        kind = signal.get("type") if isinstance(signal, dict) else None
        if kind in ONLY_IN_AZURE:
            left_out[str(name)] = str(kind)
            continue
        if kind not in SIGNAL_TYPES:
            known = (*SIGNAL_TYPES, *ONLY_IN_AZURE)
            problem = f"{kind!r} is no type of a signal{did_you_mean(str(kind), known)}"
            findings.append(document.finding(problem, *where, name, "type"))
            continue
        read, wrong = inspect(document, signal, Signal, *where, name)
        findings += wrong
        if read is None:
            continue
        if problems := read.problems():
            at: Keys = (*where, name, "metric_thresholds")
            findings += [document.finding(what, *at, *keys) for keys, what in problems]
            continue
        merged = _with_thresholds(read, settings.thresholds.get(name, {}))
        signals[str(name)] = merged
        at = ("monitoring", "thresholds", name)
        findings += [
            environment.document.finding(what, *at, *keys) for keys, what in merged.problems()
        ]
    if trigger is None or findings:
        return None, findings
    return Monitor(document, trigger, signals, left_out), []


def _unknown_signals(
    environment: Environment, settings: MonitoringSettings, given: dict[str, Any]
) -> list[Finding]:
    return [
        environment.document.finding(
            f"`{name}` is no signal of monitoring/monitor.yml{did_you_mean(name, given)}",
            "monitoring", "thresholds", name,
        )
        for name in settings.thresholds
        if name not in given
    ]  # fmt: skip


def _with_thresholds(signal: Signal, thresholds: dict[str, Any]) -> Signal:
    """The signal, with an environment's thresholds in place of its own."""
    merged = dict(signal.metric_thresholds)
    for key, value in thresholds.items():
        old = merged.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            merged[key] = {**old, **value}
        else:
            merged[key] = value
    return signal.model_copy(update={"metric_thresholds": merged})


def _duration(text: str) -> timedelta | None:
    """A duration in ISO 8601, of weeks, days, hours and minutes; None for any other text."""
    found = DURATION.fullmatch(text)
    parts = (
        {name: int(value) for name, value in found.groupdict().items() if value} if found else {}
    )
    return timedelta(**parts) if parts else None


def _written(length: timedelta) -> str:
    minutes = int(length.total_seconds()) // 60
    return f"P{minutes // 1440}D" if minutes % 1440 == 0 else f"PT{minutes}M"
