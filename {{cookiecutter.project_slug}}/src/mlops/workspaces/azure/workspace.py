"""A workspace in Azure Machine Learning, behind the same protocol as one in a folder."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.decisions import Decision, DecisionKind
from mlops.errors import MlopsError, UsageError
from mlops.git import commit_tags
from mlops.pipeline import Pipeline
from mlops.project import Environment, Project
from mlops.workspaces import (
    TRAINED,
    DataStore,
    Endpoint,
    Job,
    ModelVersion,
    Report,
    Requests,
    Requirement,
    Response,
)
from mlops.workspaces.azure.arm import Arm
from mlops.workspaces.azure.batch import BatchEndpointInAzure
from mlops.workspaces.azure.data import AzureDataStore
from mlops.workspaces.azure.endpoint import OnlineEndpointInAzure
from mlops.workspaces.azure.errors import explained
from mlops.workspaces.azure.images import register_image
from mlops.workspaces.azure.jobs import (
    digest_job,
    failure,
    find_or_submit,
    follow,
    load_pipeline_job,
    status_of,
)
from mlops.workspaces.azure.monitors import MonitorInAzure
from mlops.workspaces.azure.needs import Needs
from mlops.workspaces.azure.sign_in import open_credential
from mlops.workspaces.azure.tracking import (
    DecisionRecords,
    fetch,
    fetch_version,
    open_client,
    receive_version,
)
from mlops.workspaces.azure.traffic import requests_of
from mlops.workspaces.locks import locked
from mlops.workspaces.registry import CODE, DECISION, Registry

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from mlflow import MlflowClient

REGISTERED = "registry_model"  # the tag that says where in the shared registry a version is

# Requests are repeated on 429, 500, 502, 503, 504 and broken connections. Left to itself, the SDK
# does so ten times in some calls: minutes, in which a person sees nothing.
CLIENT: dict[str, Any] = {
    "retry_total": 5, "enable_telemetry": False, "show_progress": sys.stderr.isatty(),
}  # fmt: skip


def open_azure_workspace(project: Project, environment: Environment) -> AzureWorkspace:
    """The workspace of an environment; nothing is asked of Azure yet.

    Raises:
        UsageError: the packages for Azure are not installed.
    """
    names = ("azure", "azure.ai.ml", "azure.identity", "azureml", "azureml.mlflow")
    if not all(find_spec(name) for name in names):
        raise UsageError(
            f"`{environment.name}` lies in Azure, and the packages for it are not installed; run "
            "`make azure`, or install the project with its extra `azure`; or set MLOPS_LOCAL=1 to "
            "use a local workspace in its place"
        )
    return AzureWorkspace(project, environment)


@explained
class AzureWorkspace:
    """A workspace in Azure, seen from one environment.

    What is fetched from there is kept under `.mlops/azure`, named by what it is.
    """

    def __init__(self, project: Project, environment: Environment) -> None:
        self.project = project
        self.environment = environment
        self._azure = environment.settings.azure
        azure = self._azure
        where = f"{azure.subscription_id}/{azure.resource_group}/{azure.workspace}".lower()
        self._folder = project.state / "azure" / where

    def requirements(self) -> list[Requirement]:
        """The workspace, what lies around it, roles, images, endpoints, the monitor."""
        needs = self._needs.look()
        there = needs[0].satisfied  # the workspace, in which the rest lies
        return [*needs, *(self._monitor.requirements() if there and self._monitor else ())]

    def provide(self) -> None:
        """Make what is missing."""
        self._needs.make()
        number = self._monitor.unwatched() if self._monitor else None
        for version in self.versions() if number else ():
            if version.number == number:
                self.watch(version, lambda _: None)

    def lock(self) -> AbstractContextManager[None]:
        """Held while an act on this machine changes the workspace.

        Between machines, the concurrency groups of CI/CD let one release at a time through.
        """
        return locked(self._folder, self.environment.name)

    def data(self) -> DataStore:
        """Its datastores and data assets."""
        return AzureDataStore(self._client, self._credential, self.environment)

    # --- jobs ---------------------------------------------------------------------------------

    def submit(
        self, pipeline: Pipeline, inputs: dict[str, Any], *,
        cache: bool, report: Report, tags: dict[str, str] | None = None,
    ) -> Job:  # fmt: skip
        """Run a pipeline to its end, and fetch what its register step decided."""
        settings, distributed = self.environment.settings, self._azure.distributed
        image = register_image(self._client, self.project, "training")

        def send(name: str) -> None:
            job = load_pipeline_job(
                pipeline, name, inputs,
                compute=self._azure.compute.name, image=image, experiment=settings.model,
                tags={**commit_tags(self.project.root), **(tags or {})},
                distributed=distributed, rerun=not cache,
            )  # fmt: skip
            self._client.jobs.create_or_update(job)

        # The champion counts: against another one, the gate may decide otherwise.
        champion = self.champion()
        cluster = [self._azure.compute.model_dump(), distributed and distributed.model_dump()]
        what = digest_job(pipeline, inputs, [image, cluster, champion and champion.digest])
        name = find_or_submit(
            self._client, f"{pipeline.name}-{what}", send, again=not cache, report=report
        )
        job, steps = follow(self._client, name, report)
        if status_of(job) != "Completed":
            broken = next((step for step in steps.values() if status_of(step) == "Failed"), None)
            raise failure(job, steps, self._log(str(broken.name)) if broken else "")
        outputs = {}
        if register := steps.get("register"):
            folder = self._folder / "jobs" / name
            outputs["register.decision"] = fetch(self._mlflow, str(register.name), DECISION, folder)
        return Job(name, name, (), outputs)

    # --- models -------------------------------------------------------------------------------

    def versions(self) -> list[ModelVersion]:
        """The model versions that are in this environment, oldest first."""
        return self._registry.versions()

    def champion(self) -> ModelVersion | None:
        """The version that a challenger is compared with."""
        return self._registry.champion()

    def set_champion(self, version: ModelVersion) -> None:
        """Make a version the champion of this environment."""
        self._registry.set_champion(version)

    def set_tags(self, version: ModelVersion, tags: dict[str, str]) -> ModelVersion:
        """Add tags to a version; the version as it is then."""
        return self._registry.set_tags(version, tags)

    def files(self, version: ModelVersion) -> Path:
        """The files of a version, fetched once."""
        return fetch_version(self._mlflow, version, self._versions)

    def publish(self, version: ModelVersion) -> dict[str, str]:
        """Share a version with the registry, if there is one; it is there once, by its digest."""
        from azure.core.exceptions import ResourceNotFoundError

        if self._azure.registry is None:
            return {}
        if REGISTERED in version.tags:  # it came here through the registry
            return {REGISTERED: version.tags[REGISTERED]}
        label = f"{version.origin.rpartition('/')[2]}-{version.digest[:8]}"
        try:
            self._shared.models.get(version.name, label)
        except ResourceNotFoundError:
            self._client.models.share(
                version.name, str(version.number), share_with_name=version.name,
                share_with_version=label, registry_name=self._azure.registry,
            )  # fmt: skip
        address = f"azureml://registries/{self._azure.registry}/models/{version.name}"
        return {REGISTERED: f"{address}/versions/{label}"}

    def receive(self, version: ModelVersion, files: Path, tags: dict[str, str]) -> ModelVersion:
        """Take in a version of another environment; within one workspace only tag it."""
        if version.trained:
            tags = {**tags, TRAINED: version.trained}
        if files.is_relative_to(self._versions):
            return self._registry.set_tags(version, tags)
        if there := self._registry.find(version.digest):
            return self._registry.set_tags(there, tags)
        return receive_version(self._mlflow, self._registry, version, files, tags)

    # --- the online endpoint ------------------------------------------------------------------

    def endpoint(self) -> Endpoint:
        """The online endpoint as it is now."""
        return self._online.read()

    def create_deployment(self, name: str, version: ModelVersion) -> None:
        """Put a version behind the endpoint at 0 % of the traffic and wait until it runs."""
        self._online.deploy(
            name, version,
            model=self._model(version), code=self.files(version) / CODE,
            image=register_image(self._client, self.project, "inference"),
        )  # fmt: skip

    def tag_deployment(self, name: str, tags: dict[str, str]) -> None:
        """Add tags to a deployment."""
        self._online.tag(name, tags)

    def delete_deployment(self, name: str) -> None:
        """Remove a deployment that has no traffic."""
        self._online.delete(name)

    def set_traffic(
        self, traffic: dict[str, int], tags: dict[str, str], mirror: dict[str, int] | None = None
    ) -> None:
        """Replace the endpoint's traffic, tags and mirrored traffic in one request."""
        self._online.set_traffic(traffic, tags, mirror or {})

    def invoke(self, body: bytes, deployment: str | None = None, *, test: bool = False) -> Response:
        """Send a request over HTTPS through the endpoint's traffic, or to one deployment."""
        return self._online.invoke(body, deployment, test)

    def requests(self, start: datetime, end: datetime) -> Requests:
        """The requests that Azure Monitor counted, with those of our tests."""
        return requests_of(Arm(self._credential), self._online.resource_id, start, end)

    def watch(self, version: ModelVersion, report: Report) -> None:
        """Make the monitor's schedule for the deployment of a version, or bring it up to date."""
        if self._monitor is None:
            report(f"{self.environment.name} has no online endpoint: Azure ML watches no batches")
        else:
            self._monitor.watch(version, self.files(version), report)

    def serve(self, port: int, report: Report) -> None:
        """Say where it is served: Azure does that."""
        azure = self._azure
        report(f"{self._online.name} answers at {self._online.address()}")
        report(
            f"its key: az ml online-endpoint get-credentials --name {self._online.name} "
            f"--resource-group {azure.resource_group} --workspace-name {azure.workspace}"
        )

    # --- batches, records, the rest -----------------------------------------------------------

    def score(self, version: ModelVersion, source: Path, target: Path, report: Report) -> int:
        """Score a table in batches into a file; the number of rows."""
        files = self.files(version)
        deployment = self._batch.deploy(
            version, model=self._model(version), code=files / CODE,
            image=register_image(self._client, self.project, "batch"),
        )  # fmt: skip
        return self._batch.score(deployment, files, source, target, report)

    def keep(self, decision: Decision) -> None:
        """Keep the record of a decision."""
        self._decisions.keep(decision)

    def decisions(self, kind: DecisionKind | None = None) -> list[Decision]:
        """The kept records of this environment, all or of one kind, oldest first."""
        return self._decisions.read(self.environment.name, kind)

    def user_interface(self) -> tuple[str, list[str]]:
        """The workspace in Azure ML studio."""
        azure = self._azure
        scope = (
            f"/subscriptions/{azure.subscription_id}/resourcegroups/{azure.resource_group}"
            f"/workspaces/{azure.workspace}"
        )
        tenant = f"&tid={azure.tenant_id}" if azure.tenant_id else ""
        return f"https://ml.azure.com/?wsid={scope}{tenant}", []

    def close(self) -> None:
        """Nothing of this session runs on."""

    # --- inside -------------------------------------------------------------------------------

    @cached_property
    def _credential(self) -> Any:
        if not os.environ.get("MLOPS_DEBUG"):  # it lists each way to sign in that failed
            logging.getLogger("azure.identity").setLevel(logging.ERROR)
        return open_credential()

    @cached_property
    def _client(self) -> MLClient:
        from azure.ai.ml import MLClient

        if not os.environ.get("MLOPS_DEBUG"):  # it says of each such class that it may change
            logging.getLogger("azure.ai.ml._utils._experimental").setLevel(logging.ERROR)
        return MLClient(
            self._credential, self._azure.subscription_id, self._azure.resource_group,
            self._azure.workspace, **CLIENT,
        )  # fmt: skip

    @cached_property
    def _shared(self) -> MLClient:
        from azure.ai.ml import MLClient

        return MLClient(self._credential, registry_name=self._azure.registry, **CLIENT)

    @cached_property
    def _mlflow(self) -> MlflowClient:
        # Asked first with our credential: MLflow's plugin would open a browser to sign in.
        workspace = self._client.workspaces.get(self._azure.workspace)
        if workspace is None or not workspace.mlflow_tracking_uri:
            raise MlopsError(f"the workspace {self._azure.workspace} names no MLflow address")
        return open_client(str(workspace.mlflow_tracking_uri))

    @cached_property
    def _registry(self) -> Registry:
        return Registry(self._mlflow, self.environment)

    @cached_property
    def _decisions(self) -> DecisionRecords:
        model = self.environment.settings.model
        return DecisionRecords(self._mlflow, model, self._folder / "decisions")

    @cached_property
    def _online(self) -> OnlineEndpointInAzure:
        folder = self.project.deployment / "online"
        return OnlineEndpointInAzure(self._client, self.environment, folder)

    @cached_property
    def _batch(self) -> BatchEndpointInAzure:
        folder = self.project.deployment / "batch"
        return BatchEndpointInAzure(self._client, self.environment, folder, self._folder / "batch")

    @cached_property
    def _monitor(self) -> MonitorInAzure | None:
        if not self.environment.serves("online"):
            return None
        return MonitorInAzure(
            self._client, self.project, self.environment, self._online, self.data()
        )

    @property
    def _needs(self) -> Needs:
        serves = self.environment.serves
        online = [self._online] if serves("online") else []
        batch = [self._batch] if serves("batch") else []
        return Needs(
            self.project, self.environment, self._client, self._credential,
            open_registry=lambda: self._shared, endpoints=[*online, *batch],
            watched=self._online if online else None,
        )  # fmt: skip

    @property
    def _versions(self) -> Path:
        return self._folder / "versions"

    def _model(self, version: ModelVersion) -> str:
        """What a deployment takes its model from."""
        return version.tags.get(REGISTERED) or f"azureml:{version.name}:{version.number}"

    def _log(self, run: str) -> str:
        """The log of a step, as far as it can be read: it only explains a failure."""
        try:
            folder = self._folder / "logs" / run
            log = fetch(self._mlflow, run, "user_logs/std_log.txt", folder)
            return log.read_text("utf-8", "replace")
        except Exception as error:
            return f"its log cannot be read: {error}"
