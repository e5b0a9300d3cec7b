"""The versions of models: the same for MLflow and for Azure Resource Manager."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.azure.resources import Resource
from tests.azure.tracking import REST

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn


class ModelVersions:
    """Tells one side what changed on the other."""

    def __init__(self, azure: StandIn) -> None:
        self._azure = azure

    def from_mlflow(self, workspace: str) -> None:
        """Let Azure Resource Manager know what MLflow knows of all models."""
        resources, there = self._azure.resources, set()
        for found in self._known(workspace):
            path = f"{workspace}/models/{found['name']}/versions/{found['version']}"
            there.add(path.lower())
            tags = {tag["key"]: tag["value"] for tag in found.get("tags", [])}
            resource = resources.get(path.lower())
            if resource is None:
                source = self._azure.storage.resolved(_of_a_job(found["source"]), workspace)
                resource = resources.write(path, {"properties": {
                    "modelType": "mlflow_model", "modelUri": source, "flavors": {}, "properties": {},
                    "jobName": found.get("run_id"), "isArchived": False, "isAnonymous": False,
                }}, "owner")  # fmt: skip
            resource["properties"] |= {"tags": tags, "description": found.get("description")}
        for key in [key for key in resources
                    if key.startswith(f"{workspace.lower()}/models/") and key not in there]:  # fmt: skip
            del resources[key]

    def to_mlflow(self, resource: Resource) -> None:
        """Let MLflow know of a version that was made or changed through Azure Resource Manager."""
        workspace, _, rest = resource["id"].partition("/models/")
        name, _, version = rest.partition("/versions/")
        if not version.isdigit():
            return
        properties = resource["properties"]
        known = {
            found["version"]: found for found in self._known(workspace) if found["name"] == name
        }
        if version not in known:
            newest = max(map(int, known), default=0)
            known[version] = self._make(workspace, name, newest, int(version), properties)
        old = {tag["key"] for tag in known[version].get("tags", [])}
        new = properties.get("tags") or {}
        this = {"name": name, "version": version}
        for key, value in new.items():
            self._change(workspace, "POST", "set-tag", **this, key=key, value=value)
        for key in old - set(new):
            self._change(workspace, "DELETE", "delete-tag", **this, key=key)

    def _make(
        self, workspace: str, name: str, newest: int, version: int, properties: dict[str, Any]
    ) -> dict[str, Any]:
        """Make a version of this number: MLflow counts them itself, so those between are made and
        deleted."""
        if not newest:
            body = json.dumps({"name": name}).encode()
            self._azure.tracking.ask(workspace, "POST", f"{REST}/registered-models/create", body)
        for _ in range(newest + 1, version):
            gap = self._change(workspace, "POST", "create", name=name, source="azureml://none/none")
            number = gap["model_version"]["version"]
            self._change(workspace, "DELETE", "delete", name=name, version=number)
        made: dict[str, Any] = self._change(
            workspace, "POST", "create", name=name, source=properties["modelUri"],
            description=properties.get("description") or "",
        )["model_version"]  # fmt: skip
        return made

    def _change(self, workspace: str, method: str, action: str, **body: Any) -> dict[str, Any]:
        return self._azure.tracking.call(workspace, method, f"model-versions/{action}", **body)

    def _known(self, workspace: str) -> list[dict[str, Any]]:
        """What MLflow knows of all versions of a workspace, oldest numbers first."""
        path = "model-versions/search?max_results=10000"
        found = self._azure.tracking.call(workspace, "GET", path).get("model_versions", [])
        return sorted(found, key=lambda version: int(version["version"]))


def _of_a_job(source: str) -> str:
    """The source of a model as MLflow names it, as an output of a job."""
    return re.sub(
        r"^azureml://.*/runs/([^/]+)/artifacts",
        r"azureml://jobs/\1/outputs/artifacts/paths",
        source,
    )
