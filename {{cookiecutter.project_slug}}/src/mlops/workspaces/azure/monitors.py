"""The monitor in Azure: the schedule of `monitoring/monitor.yml`, for the deployment that serves.

Azure ML runs it on serverless Spark: it compares what the deployment collects with the held-out rows
of the version behind it, which are a data asset. Source: azure-ai-ml, and what its service runs, the
components under assets/model_monitoring of github.com/Azure/azureml-assets.
"""

from __future__ import annotations

import copy
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mlops.contract import Contract, load_contract
from mlops.digests import digest_of
from mlops.monitoring.checks import SET_BY_ROLLOUT, SET_FROM_CONTRACT
from mlops.monitoring.columns import kind_of
from mlops.monitoring.definition import Monitor, load_monitor
from mlops.project import Environment, Project
from mlops.sources import GROUND_TRUTH
from mlops.workspaces import DataStore, Deployment, ModelVersion, Report, Requirement
from mlops.workspaces.azure.endpoint import OnlineEndpointInAzure
from mlops.workspaces.azure.references import References

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import MonitorSchedule, OnlineDeployment

SET_FROM_ENVIRONMENT = "set-from-environment"
COLLECTIONS = ("model_inputs", "model_outputs")
LONGEST_NAME = 255


class MonitorInAzure:
    """The monitor of one environment's online endpoint."""

    def __init__(
        self, client: MLClient, project: Project, environment: Environment,
        online: OnlineEndpointInAzure, store: DataStore,
    ) -> None:  # fmt: skip
        self._client, self._project, self._environment = client, project, environment
        self._online = online
        self._references = References(client, project, environment, store)
        self.name = schedule_name(environment)

    def requirements(self) -> list[Requirement]:
        """The schedule, where a deployment serves that it could watch."""
        if self._serving is None:
            return []
        remedy = f"mlops workspaces apply --env {self._environment.name}"
        return [Requirement(f"monitor {self.name}", self.unwatched() is None, remedy)]

    def unwatched(self) -> int | None:
        """The number of the version that serves, where the schedule does not watch it but could."""
        serving = self._serving
        if serving is None:
            return None
        found = self._find()
        tags = {} if found is None else found.tags or {}
        wanted = self._tags(serving.name, serving.version)
        return None if wanted.items() <= tags.items() else serving.version

    def watch(self, version: ModelVersion, files: Path, report: Report) -> None:
        """Make the schedule for a version's deployment, or bring it up to date.

        Raises:
            InvalidFile: the file, or the environment's thresholds, say something wrong.
            MlopsError: the version has no held-out rows.
        """
        monitor = load_monitor(self._project, self._environment)
        if monitor is None:
            report("there is no monitoring/monitor.yml: Azure ML watches nothing")
            return
        deployments = self._online.read().deployments.values()
        deployment = next((d.name for d in deployments if d.version == version.number), None)
        if deployment is None:
            report(f"{version} is not deployed: there is nothing to watch")
            return
        collected = self._collected(deployment)
        if not collected:
            report(
                f"{deployment} collects nothing, so there is nothing to watch: switch the "
                "`data_collector` on in deployment/online/deployment.yml, and deploy a version"
            )
            return
        contract = load_contract(files / "model" / "contract.yml")
        references = self._references
        data, left_out = schedule_data(
            monitor, self._environment, contract,
            assets={**collected, "reference": references.held_out(version, contract, files)},
            ground_truth=references.ground_truth() if contract.id else None,
        )  # fmt: skip
        data["create_monitor"]["monitoring_target"]["endpoint_deployment_id"] = (
            f"azureml:{self._online.name}:{deployment}"
        )
        data["tags"] = {**(data.get("tags") or {}), **self._tags(deployment, version.number)}
        for line in left_out:
            report(line)
        schedule = load_schedule(data, self._project.root / "monitoring")
        before = self._find()
        if before is not None and before.is_enabled is False:
            schedule._is_enabled = False  # somebody switched it off: it stays off
            report(f"{self.name} is switched off, and stays so; `az ml schedule enable` starts it")
        self._client.schedules.begin_create_or_update(schedule).result()
        report(f"{self.name} watches {deployment}: {', '.join(_names(data))}")

    def _tags(self, deployment: str, number: int) -> dict[str, str]:
        """What the schedule watches, and what it was made from."""
        monitor, owner = load_monitor(self._project, self._environment), self._environment.settings
        made_from = [
            monitor and monitor.document.data,
            monitor and {n: signal.metric_thresholds for n, signal in monitor.signals.items()},
            owner.owner and owner.owner.contact,
            str(self._references.labels()),
        ]
        return {
            "environment": self._environment.name, "deployment": deployment,
            "version": str(number), "definition": digest_of(made_from)[:16],
        }  # fmt: skip

    @property
    def _serving(self) -> Deployment | None:
        """The deployment with the most traffic, if it collects and the project has a monitor."""
        endpoint = self._online.read()
        shares = {name: share for name, share in endpoint.traffic.items() if share}
        if not shares or load_monitor(self._project, self._environment) is None:
            return None
        name = max(shares, key=shares.__getitem__)
        return endpoint.deployments[name] if self._collected(name) else None

    def _collected(self, deployment: str) -> dict[str, str]:
        """The data assets of what a deployment collects; nothing if it does not collect both."""
        found: Any = self._client.online_deployments.get(deployment, self._online.name)
        return collected_assets(found)

    def _find(self) -> MonitorSchedule | None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            found: Any = self._client.schedules.get(self.name)
        except ResourceNotFoundError:
            return None
        return found  # type: ignore[no-any-return]


def schedule_name(environment: Environment) -> str:
    """The name of an environment's schedule: letters, digits, dashes and underscores."""
    end = f"-{environment.name}-monitor"
    model = re.sub(r"[^a-zA-Z0-9_-]", "-", environment.settings.model)
    return model[: LONGEST_NAME - len(end)] + end


def schedule_data(
    monitor: Monitor, environment: Environment, contract: Contract,
    *, assets: dict[str, str], ground_truth: str | None,
) -> tuple[dict[str, Any], list[str]]:  # fmt: skip
    """The file with what is known now in place of what stands for it.

    Args:
        monitor: the file, with the environment's thresholds.
        environment: whose owner is told of a breach.
        contract: that of the version which is watched.
        assets: the data assets of `model_inputs` and `model_outputs`, and the `reference`.
        ground_truth: the data asset of the labels, if there is one.

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
        if signal.type == "model_performance" and ground_truth is None:
            left_out.append(_without_truth(name, contract, environment))
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


def load_schedule(data: dict[str, Any], folder: Path) -> MonitorSchedule:
    """The schedule as azure-ai-ml loads it.

    azure-ai-ml 1.35 has two names for the thresholds of a regression's performance, one in its
    schema and one in its class, and fails to load them: they are put in afterwards.
    """
    from azure.ai.ml.entities import ModelPerformanceMetricThreshold
    from azure.ai.ml.entities._load_functions import load_schedule as load
    from azure.ai.ml.entities._monitoring.thresholds import ModelPerformanceRegressionThresholds

    data, regressions = copy.deepcopy(data), {}
    definition = data.get("create_monitor") or {}
    signals = definition.get("monitoring_signals")
    for name, signal in (signals if isinstance(signals, dict) else {}).items():
        thresholds = signal.get("metric_thresholds") if isinstance(signal, dict) else None
        if not isinstance(thresholds, dict) or signal.get("type") != "model_performance":
            continue
        if given := thresholds.pop("regression", None):
            regressions[name] = given
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


class _WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, _: Any) -> bool:
        return True


def collected_assets(deployment: OnlineDeployment) -> dict[str, str]:
    """The data assets of inputs and outputs, as `azureml:<name>:<version>`."""
    collections = deployment.data_collector.collections if deployment.data_collector else {}
    found = {}
    for name in COLLECTIONS:
        collection = collections.get(name)
        if collection is None or str(collection.enabled).lower() != "true":
            return {}
        asset = re.search(r"/data/([^/]+)/versions/([^/]+)$", str(collection.data or ""))
        default = f"{deployment.endpoint_name}-{deployment.name}-{name}:1"
        found[name] = f"azureml:{f'{asset[1]}:{asset[2]}' if asset else default}"
    return found


def _set_data(place: dict[str, Any], assets: dict[str, str]) -> None:
    given, context = place.get("input_data") or {}, place.get("data_context")
    if context == GROUND_TRUTH and str(given.get("path", "")).startswith(f"azureml:{GROUND_TRUTH}"):
        given["path"] = assets[GROUND_TRUTH]
    elif SET_BY_ROLLOUT in str(given.get("path")):
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


def _without_truth(name: str, contract: Contract, environment: Environment) -> str:
    if contract.id is None:
        return f"{name} is left out: data/contract.yml names no `id` to join the labels by"
    return (
        f"{name} is left out: no labels are registered yet, which `mlops data register --env "
        f"{environment.name} --name {GROUND_TRUTH}` does, and `mlops workspaces apply` after it"
    )


def _names(data: dict[str, Any]) -> list[str]:
    return list(data["create_monitor"]["monitoring_signals"])
