"""The monitor in Azure: the schedule of `monitoring/monitor.yml`, for the deployment that serves.

Azure ML runs it on serverless Spark: it compares what the deployment collects with the held-out rows
of the version behind it, which are a data asset. Source: azure-ai-ml, and what its service runs, the
components under assets/model_monitoring of github.com/Azure/azureml-assets.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.contract import load_contract
from mlops.digests import digest_of
from mlops.errors import MlopsError
from mlops.monitoring.definition import load_monitor
from mlops.project import Environment, Project
from mlops.workspaces import DataStore, Deployment, ModelVersion, Report, Requirement
from mlops.workspaces.azure.endpoint import OnlineEndpointInAzure
from mlops.workspaces.azure.references import References
from mlops.workspaces.azure.schedules import (
    COLLECTIONS,
    load_schedule,
    schedule_data,
    schedule_name,
)

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import MonitorSchedule, OnlineDeployment


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
        if not self._environment.settings.alerts:
            report(f"Azure ML does not watch {self._environment.name}: `monitoring.alerts` is off")
            return
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
        references, labels = self._references, self._references.labels()
        truth = references.ground_truth(labels.location) if labels.location else None
        data, left_out = schedule_data(
            monitor, self._environment, contract,
            assets={**collected, "reference": references.held_out(version, contract, files)},
            ground_truth=truth, without=labels.problem,
        )  # fmt: skip
        data["create_monitor"]["monitoring_target"]["endpoint_deployment_id"] = (
            f"azureml:{self._online.name}:{deployment}"
        )
        data["tags"] = {**(data.get("tags") or {}), **self._tags(deployment, version.number)}
        for line in left_out:
            report(line)
        try:
            schedule = load_schedule(data, self._project.root / "monitoring")
        except Exception as error:  # azure-ai-ml raises many kinds for a file that is wrong
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise MlopsError(
                f"azure-ai-ml cannot load monitoring/monitor.yml ({said}): `mlops check` says why"
            ) from None
        before = self._find()
        if before is not None and before.is_enabled is False:
            schedule._is_enabled = False  # somebody switched it off: it stays off
            report(
                f"{self.name} is switched off, and stays so; `az ml schedule enable --name "
                f"{self.name}` starts it"
            )
        self._client.schedules.begin_create_or_update(schedule).result()
        names = ", ".join(data["create_monitor"]["monitoring_signals"])
        report(f"{self.name} watches {deployment}: {names}")

    def _tags(self, deployment: str, number: int) -> dict[str, str]:
        """What the schedule watches, and what it was made from."""
        monitor, owner = load_monitor(self._project, self._environment), self._environment.settings
        made_from = [
            monitor and monitor.document.data,
            monitor and {n: signal.metric_thresholds for n, signal in monitor.signals.items()},
            owner.owner and owner.owner.contact,
            str(self._references.labels().location),
        ]
        return {
            "environment": self._environment.name, "deployment": deployment,
            "version": str(number), "definition": digest_of(made_from)[:16],
        }  # fmt: skip

    @property
    def _serving(self) -> Deployment | None:
        """The deployment with the most traffic, if it collects and the project has a monitor."""
        if not self._environment.settings.alerts:
            return None
        serving = self._online.read().in_use
        if serving is None or load_monitor(self._project, self._environment) is None:
            return None
        return serving if self._collected(serving.name) else None

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
