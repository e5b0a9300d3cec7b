"""What `environments/<name>.yml` says of monitoring and retraining."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mlops.documents import Settings

MonitorSignal = Literal[
    "data_drift",
    "prediction_drift",
    "data_quality",
    "feature_attribution_drift",
    "model_performance",
]


class MonitoringSettings(Settings):
    """What counts as a breach here; the signals themselves stand in `monitoring/monitor.yml`.

    `thresholds` replace single ones of that file: by the name of a signal, with what stands there
    under `metric_thresholds`. A window of fewer than `minimum_rows` rows says nothing.
    `endpoint` is the one whose requests are watched: `online`, where there is one, or `batch`.
    `significance` is the chance that a signal calls a window breached in which nothing has changed.
    `windows` is how far the report looks back. `error_rate` is the greatest share of requests, and
    `rollout.p95_ms` the latency, that the endpoint may have. With `collect_batches`, tables that are
    scored are collected as requests are.

    With `alerts`, Azure watches as well and mails the owner of what goes wrong here; where nothing is
    said, it does in prod. `events` is how the monitoring stage hears of a breach that Azure's own monitor
    found: it looks by itself (`poll`), or a Logic App starts it through `dispatch_url`, an address of
    the CI/CD's REST API.
    """

    thresholds: dict[str, dict[str, float | dict[str, float]]] = Field(default={})
    endpoint: Literal["online", "batch"] | None = None
    minimum_rows: int = Field(default=50, ge=2)
    significance: float = Field(default=0.01, ge=0.001, le=0.2)
    windows: int = Field(default=8, ge=1, le=60)
    error_rate: float = Field(default=0.01, ge=0, le=1)
    collect_batches: bool = True
    alerts: bool | None = None
    events: Literal["poll", "logic_app"] = "poll"
    # The endings say which API it is; none of the letters means anything to a Logic App.
    dispatch_url: str = Field(
        default="", pattern=r"^(https://[\w.-]+(/[\w.~%-]+)+/(dispatches|runs))?$"
    )

    @model_validator(mode="after")
    def _a_logic_app_has_an_address(self) -> MonitoringSettings:
        if self.events == "logic_app" and not self.dispatch_url:
            raise ValueError(
                "`dispatch_url` is missing: say what the Logic App calls, "
                "`https://.../dispatches` of a workflow or `https://.../runs` of a pipeline"
            )
        return self


class RetrainingSettings(Settings):
    """What starts a training, what it takes, and how often it may.

    Each of these starts one: an alarm of one of the `signals`, as Azure ML's monitors name them; a
    metric of the live answers beyond its floor in `performance`; `new_rows` labelled rows more than
    the model in use was trained on; a model that is older than `every_days`. But not within
    `at_most_every_days` of the last one, and not with fewer than `minimum_new_rows` new labelled
    rows. It trains on the rows of the last `window_days`, by the contract's timestamp, or on all.
    """

    signals: tuple[MonitorSignal, ...] = ("data_drift", "prediction_drift", "model_performance")
    performance: dict[str, float] = Field(default={})
    new_rows: int | None = Field(default=None, ge=1)
    every_days: float | None = Field(default=None, gt=0)
    at_most_every_days: float = Field(default=1, ge=0)
    minimum_new_rows: int = Field(default=0, ge=0)
    window_days: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _says_one_thing(self) -> RetrainingSettings:
        if self.every_days is not None and self.every_days < self.at_most_every_days:
            raise ValueError("`every_days` is less than `at_most_every_days`: it would be in vain")
        if self.new_rows is not None and self.new_rows < self.minimum_new_rows:
            raise ValueError("`new_rows` is less than `minimum_new_rows`: it would ask in vain")
        return self
