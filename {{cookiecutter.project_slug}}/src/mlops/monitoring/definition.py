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

from pydantic import Field, ValidationInfo, field_validator, model_validator

from mlops.contract import Contract
from mlops.documents import (
    Document,
    Finding,
    InvalidFile,
    Settings,
    did_you_mean,
    inspect,
    read_yaml,
)
from mlops.monitor_settings import MonitoringSettings, MonitorSignal
from mlops.project import Environment, Project

SIGNAL_TYPES = get_args(MonitorSignal)

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

HELD_OUT = ("training", "test", "validation")
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
    production_data: SignalData | list[SignalData] = Field(default=[])
    reference_data: SignalData | None = None
    features: Literal["all_features"] | tuple[str, ...] | TopFeatures = "all_features"
    feature_type_override: dict[str, Literal["numerical", "categorical"]] = Field(default={})
    metric_thresholds: dict[str, Any] = Field(min_length=1)
    alert_enabled: bool = True
    properties: dict[str, Any] = Field(default={})

    @model_validator(mode="after")
    def _knows_its_metrics(self) -> Signal:
        for kind, metrics in KNOWN[self.type].items():
            unknown = self._unknown(kind, metrics)
            if unknown:
                raise ValueError("; ".join(unknown))
        return self

    def _unknown(self, kind: str, metrics: tuple[str, ...]) -> list[str]:
        if not kind:
            given = self.metric_thresholds
        else:
            kinds = KNOWN[self.type]
            if wrong := sorted(set(self.metric_thresholds) - set(kinds)):
                return [f"`metric_thresholds.{w}`{did_you_mean(w, kinds)}" for w in wrong]
            given = self.metric_thresholds.get(kind) or {}
        where = f"metric_thresholds{kind and '.'}{kind}"
        if not isinstance(given, dict):
            return [f"`{where}` must be a mapping of `metric: threshold` lines"]
        return [
            f"`{where}.{name}` is no metric of {self.type}{did_you_mean(name, metrics)}"
            if name not in metrics
            else f"`{where}.{name}` must be a number, not {value!r}"
            for name, value in given.items()
            if name not in metrics or isinstance(value, bool) or not isinstance(value, (int, float))
        ]

    @property
    def production(self) -> tuple[SignalData, ...]:
        """What it looks at; for some signals, inputs and outputs each have an entry."""
        given = self.production_data
        return (given,) if isinstance(given, SignalData) else tuple(given)

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

    def reference_window(self, signal: Signal) -> DataWindow | None:
        """The window of production data that a signal compares with; None for held-out rows.

        By default it is twice as long as the signal's window, and ends where that begins.
        """
        data = signal.reference_data
        if data is not None and data.data_context in HELD_OUT:
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
        if kind not in SIGNAL_TYPES:
            left_out[str(name)] = str(kind)
            continue
        read, wrong = inspect(document, signal, Signal, *where, name)
        findings += wrong
        if read is None:
            continue
        merged = _with_thresholds(read, settings.thresholds.get(name, {}))
        again, wrong = inspect(
            environment.document, merged, Signal, "monitoring", "thresholds", name
        )
        findings += wrong
        signals[str(name)] = again or read
    if trigger is None or findings:
        return None, findings
    return Monitor(document, trigger, signals, left_out), []


def check_monitor(
    project: Project, environments: list[Environment], contract: Contract | None
) -> list[Finding]:
    """All that is wrong in the definition, for each environment and against the contract."""
    file = monitor_file(project)
    if not file.is_file():
        return []
    try:
        document = read_yaml(file)
    except InvalidFile as error:
        return error.findings
    findings: list[Finding] = []
    for environment in environments:
        monitor, wrong = read_monitor(document, environment)
        findings += wrong
        if monitor and contract:
            findings += _unlike_the_contract(document, monitor, contract)
    return list(dict.fromkeys(findings))


def _unlike_the_contract(document: Document, monitor: Monitor, contract: Contract) -> list[Finding]:
    findings = []
    data: Any = document.data
    target = data["create_monitor"].get("monitoring_target") or {}
    task = str(target.get("ml_task", contract.problem_type)).lower()
    if task != contract.problem_type:
        problem = f"`ml_task` is {task}, and data/contract.yml says {contract.problem_type}"
        findings.append(document.finding(problem, "create_monitor", "monitoring_target", "ml_task"))
    for name, signal in monitor.signals.items():
        keys = ("create_monitor", "monitoring_signals", name)
        named = signal.features if isinstance(signal.features, tuple) else ()
        for feature in (*named, *signal.feature_type_override):
            if feature not in contract.features:
                what = f"`{feature}` is no feature{did_you_mean(feature, contract.features)}"
                findings.append(document.finding(what, *keys, "features"))
        for data in (signal.reference_data, *signal.production):
            columns = {} if data is None else data.data_column_names
            column = columns.get("target_column") or (data and data.target_column_name)
            if column and column != contract.target:
                what = f"the target is `{contract.target}` in data/contract.yml, not `{column}`"
                findings.append(document.finding(what, *keys, "reference_data"))
        if signal.type == "model_performance":
            others = sorted(set(signal.metric_thresholds) - {contract.problem_type})
            for other in others:
                what = f"`{other}`: data/contract.yml says {contract.problem_type}"
                findings.append(document.finding(what, *keys, "metric_thresholds", other))
    return findings


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


def _with_thresholds(signal: Signal, thresholds: dict[str, Any]) -> dict[str, Any]:
    """The signal as the file holds it, with the environment's thresholds in place of its own."""
    data = signal.model_dump()
    for key, value in thresholds.items():
        old = data["metric_thresholds"].get(key)
        merge = isinstance(value, dict) and isinstance(old, dict)
        data["metric_thresholds"][key] = {**old, **value} if merge else value
    return data


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
