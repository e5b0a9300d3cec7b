"""The file `monitoring/monitor.yml` as azure-ai-ml takes it, with what is known when it is sent."""

from __future__ import annotations

import copy
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mlops.contract import Contract
from mlops.monitoring.checks import SET_BY_RELEASE, SET_FROM_CONTRACT
from mlops.monitoring.columns import kind_of
from mlops.monitoring.definition import Monitor
from mlops.project import Environment
from mlops.sources import GROUND_TRUTH

if TYPE_CHECKING:
    from azure.ai.ml.entities import MonitorSchedule

SET_FROM_ENVIRONMENT = "set-from-environment"
COLLECTIONS = ("model_inputs", "model_outputs")
LONGEST_NAME = 255


def schedule_name(environment: Environment) -> str:
    """The name of an environment's schedule: letters, digits, dashes and underscores."""
    end = f"-{environment.name}-monitor"
    model = re.sub(r"[^a-zA-Z0-9_-]", "-", environment.settings.model)
    return model[: LONGEST_NAME - len(end)] + end


def schedule_data(
    monitor: Monitor, environment: Environment, contract: Contract,
    *, assets: dict[str, str], ground_truth: str | None, without: str = "",
) -> tuple[dict[str, Any], list[str]]:  # fmt: skip
    """The file with what is known now in place of what stands for it.

    Args:
        monitor: the file, with the environment's thresholds.
        environment: whose owner is told of a breach.
        contract: that of the version which is watched.
        assets: the data assets of `model_inputs` and `model_outputs`, and the `reference`.
        ground_truth: the data asset of the labels, if there is one.
        without: why there is none.

    Returns:
        The file's data, and a line for each signal that is left out.
    """
    document: Any = monitor.document.data
    # What several signals share stands there once: each gets its own.
    data = yaml.safe_load(
        yaml.dump(copy.deepcopy(document), Dumper=_WithoutAliases, sort_keys=False)
    )
    data["name"] = schedule_name(environment)
    definition = data["create_monitor"]
    target = definition.setdefault("monitoring_target", {})
    target["ml_task"] = contract.problem_type
    _set_recipients(definition, environment)
    kinds = {n: kind for n, c in contract.features.items() if (kind := kind_of(c))}
    names = {"target_column": contract.target, "join_column": contract.id or ""}
    left_out, signals = [], definition["monitoring_signals"]
    for name, signal in monitor.signals.items():
        if signal.type == "model_performance" and (ground_truth is None or contract.id is None):
            why = without if contract.id else "data/contract.yml names no `id` to join labels by"
            left_out.append(f"{name} is left out: {why}")
            del signals[name]
            continue
        its = signals[name]
        its["metric_thresholds"] = signal.metric_thresholds
        if signal.type in ("data_drift", "data_quality"):
            its["feature_type_override"] = {**kinds, **signal.feature_type_override}
        production = its.get("production_data") or []
        for place in (
            *(production if isinstance(production, list) else [production]),
            *([its["reference_data"]] if its.get("reference_data") else []),
        ):
            _set_data(place, {**assets, GROUND_TRUTH: ground_truth or ""})
            columns = place.get("data_column_names") or {}
            for key, column in columns.items():
                if column == SET_FROM_CONTRACT:
                    columns[key] = names[key]
    return data, left_out


def schema_messages(data: Any, folder: Path) -> Any:
    """What azure-ai-ml's schema says against the file; nothing if it says nothing."""
    from azure.ai.ml._schema.monitoring.schedule import MonitorScheduleSchema
    from azure.ai.ml.constants._common import BASE_PATH_CONTEXT_KEY, PARAMS_OVERRIDE_KEY
    from marshmallow import ValidationError

    context = {BASE_PATH_CONTEXT_KEY: folder, PARAMS_OVERRIDE_KEY: []}
    try:
        schema: Any = MonitorScheduleSchema
        schema(context=context).load(_without_regressions(data)[0])
    except ValidationError as error:
        return error.messages
    except TypeError:  # what lacks something that its class needs is loaded again, and named
        return {}
    return {}


def load_schedule(data: dict[str, Any], folder: Path) -> MonitorSchedule:
    """The schedule as azure-ai-ml loads it.

    azure-ai-ml 1.35 has two names for the thresholds of a regression's performance, one in its
    schema and one in its class, and fails to load them: they are put in afterwards.
    """
    from azure.ai.ml.entities import ModelPerformanceMetricThreshold
    from azure.ai.ml.entities._load_functions import load_schedule as load
    from azure.ai.ml.entities._monitoring.thresholds import ModelPerformanceRegressionThresholds

    data, regressions = _without_regressions(data)
    stream = io.StringIO(yaml.safe_dump(data, sort_keys=False))
    schedule: Any = load(stream, relative_origin=str(folder / "monitor.yml"))
    for name, given in regressions.items():
        signal = schedule.create_monitor.monitoring_signals[name]
        signal.metric_thresholds = ModelPerformanceMetricThreshold(
            regression=ModelPerformanceRegressionThresholds(
                mean_absolute_error=given.get("mae"), mean_squared_error=given.get("mse"),
                root_mean_squared_error=given.get("rmse"),
            )
        )  # fmt: skip
    return schedule  # type: ignore[no-any-return]


def _without_regressions(given: Any) -> tuple[Any, dict[str, dict[str, float]]]:
    """The data without the thresholds of regressions, and those, by signal."""
    data, regressions = copy.deepcopy(given), {}
    definition = data.get("create_monitor") if isinstance(data, dict) else None
    signals = definition.get("monitoring_signals") if isinstance(definition, dict) else None
    for name, signal in (signals if isinstance(signals, dict) else {}).items():
        thresholds = signal.get("metric_thresholds") if isinstance(signal, dict) else None
        if isinstance(thresholds, dict) and signal.get("type") == "model_performance":
            regression = thresholds.pop("regression", None)
            if isinstance(regression, dict):
                regressions[name] = regression
    return data, regressions


class _WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, _: Any) -> bool:
        return True


def _set_data(place: dict[str, Any], assets: dict[str, str]) -> None:
    given, context = place.get("input_data") or {}, place.get("data_context")
    if context == GROUND_TRUTH and str(given.get("path", "")).startswith(f"azureml:{GROUND_TRUTH}"):
        given["path"] = assets[GROUND_TRUTH]
    elif SET_BY_RELEASE in str(given.get("path")):
        given["path"] = assets[context if context in COLLECTIONS else "reference"]


def _set_recipients(definition: dict[str, Any], environment: Environment) -> None:
    """Whom Azure ML mails: where the file says no one, the owner; nobody where there is none."""
    told = definition.get("alert_notification")
    emails = told.get("emails") if isinstance(told, dict) else None
    if not emails:
        return
    owner = environment.settings.owner
    known = {SET_FROM_ENVIRONMENT: owner.contact if owner else ""}
    emails = [known.get(str(email), str(email)) for email in emails]
    definition["alert_notification"] = {"emails": [email for email in emails if email]}
    if not definition["alert_notification"]["emails"]:
        del definition["alert_notification"]
