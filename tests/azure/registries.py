"""Registries: where they are, and how a model of a workspace gets into one."""

from __future__ import annotations

import re
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.azure.messages import API, BLOBS, LOCATION, Refusal

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn

SHARED = re.compile(
    r"azureml://locations/[^/]+/workspaces/(?P<workspace>[^/]+)"
    r"/models/(?P<model>.+)/versions/(?P<version>.+)"
)


class Registries:
    """The registries of a subscription."""

    def __init__(self, azure: StandIn) -> None:
        self._azure = azure

    def discover(self, name: str) -> dict[str, Any]:
        """Where a registry is, for those who only know its name."""
        registry = self._azure.storage.registry(name)
        if registry is None:
            raise Refusal(404, "RegistryNotFound", f"Registry {name} was not found.")
        parts = self._azure.resources.find(registry)["id"].split("/")
        return {"registryName": name, "subscriptionId": parts[2], "resourceGroup": parts[4],
                "primaryRegion": LOCATION, "regions": [LOCATION],
                "primaryRegionResourceProviderUri": f"https://{API}/"}  # fmt: skip

    def share(self, registry: str, asked: dict[str, str]) -> None:
        """Copy a model of a workspace into a registry."""
        resources, storage = self._azure.resources, self._azure.storage
        found = SHARED.fullmatch(asked["sourceAssetId"])
        workspace = self._workspace(found["workspace"]) if found else None
        if not (found and workspace):
            raise Refusal(400, "UserError", f"There is no {asked['sourceAssetId']}.")
        model = resources.find(f"{workspace}/models/{found['model']}/versions/{found['version']}")
        name, version = asked["destinationName"], asked["destinationVersion"]
        path = f"{registry}/models/{name}/versions/{version}"
        if path.lower() in resources:
            raise Refusal(409, "UserError", "The model version is in the registry already.")
        container = storage.containers(registry)["workspaceblobstore"]
        uri = f"https://{storage.account(registry)}{BLOBS}/{container}/{uuid.uuid4().hex}/model"
        with tempfile.TemporaryDirectory() as folder:
            files = storage.download(model["properties"]["modelUri"], workspace, Path(folder))
            storage.upload(files, uri, registry)
        resources.write(path, {"properties": {**model["properties"], "modelUri": uri}}, "owner")

    def _workspace(self, number: str) -> str | None:
        """The ARM id of a workspace, by the id that Azure gave it."""
        resources = self._azure.resources.values()
        ids = (made["id"] for made in resources if made["properties"].get("workspaceId") == number)
        return next(ids, None)
