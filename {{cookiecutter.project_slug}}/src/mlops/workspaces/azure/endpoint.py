"""The online endpoint in Azure: a managed online endpoint and its deployments.

Tags of the engine stand on the endpoint under `mlops.`; those of a deployment as well, as
`mlops.<deployment>.<tag>`: a deployment's own tags can only be changed by updating its machines.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.decisions import now
from mlops.errors import MlopsError
from mlops.project import Environment
from mlops.scoring.requests import TEST_HEADER
from mlops.workspaces import Deployment, Endpoint, ModelVersion, Response

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import OnlineDeployment, OnlineEndpoint

PREFIX = "mlops."
VERSION, CREATED, DIGEST = "version", "created", "model_digest"  # a deployment's own tags
DEPLOYMENT_HEADER = "azureml-model-deployment"
IN_MOTION = ("Creating", "Updating", "Deleting", "Scaling")
SECONDS_TO_SETTLE = 3600  # as long as a deployment may take
SECONDS_TO_ANSWER = 180  # Azure's limit for a request
BROKEN_CONNECTIONS = 3  # as often a request is sent that got no answer at all


class OnlineEndpointInAzure:
    """The endpoint of one environment, as the protocol of workspaces sees it."""

    def __init__(self, client: MLClient, environment: Environment, folder: Path) -> None:
        self._client = client
        self._settings = environment.settings
        self.name = environment.endpoint("online")
        self._folder = folder
        self._address: tuple[str, str] | None = None

    @property
    def resource_id(self) -> str:
        """Its name in Azure Resource Manager."""
        azure = self._settings.azure
        return (
            f"/subscriptions/{azure.subscription_id}/resourceGroups/{azure.resource_group}/providers"
            f"/Microsoft.MachineLearningServices/workspaces/{azure.workspace}"
            f"/onlineEndpoints/{self.name}"
        )

    def read(self) -> Endpoint:
        """The endpoint as it is now; without deployments where there is none yet."""
        found = self._find()
        if found is None:
            return Endpoint(self.name)
        tags = {
            key.removeprefix(PREFIX): value
            for key, value in (found.tags or {}).items()
            if key.startswith(PREFIX)
        }
        deployments = {}
        for deployment in self._client.online_deployments.list(self.name):
            mark = f"{deployment.name}."
            own = {key.removeprefix(mark): v for key, v in tags.items() if key.startswith(mark)}
            said = deployment.tags or {}
            if VERSION in said:
                deployments[deployment.name] = Deployment(
                    deployment.name, int(said[VERSION]), said.get(CREATED, ""), own
                )
        traffic, mirror = (
            {name: share for name, share in (shares or {}).items() if share and name in deployments}
            for shares in (found.traffic, found.mirror_traffic)
        )
        own = {key: value for key, value in tags.items() if "." not in key}
        return Endpoint(self.name, deployments, traffic, mirror, own)

    def exists(self) -> bool:
        """Whether the endpoint is there, and was made to the end."""
        found = self._find()
        return found is not None and found.provisioning_state != "Failed"

    def make(self) -> None:
        """Make the endpoint where it is not there, or was not made to the end."""
        from azure.ai.ml import load_online_endpoint

        _settle(self._find)
        if self.exists():
            return
        azure = self._settings.azure
        changes: dict[str, Any] = {"name": self.name}
        if azure.endpoint_identity:
            changes["identity"] = {
                "type": "user_assigned",
                "user_assigned_identities": [{"resource_id": identity_id(self._settings)}],
            }
        file = self._folder / "endpoint.yml"
        endpoint = load_online_endpoint(file, params_override=[{k: v} for k, v in changes.items()])
        self._client.online_endpoints.begin_create_or_update(endpoint).result()

    def deploy(
        self, name: str, version: ModelVersion, *, model: str, code: Path, image: str
    ) -> None:
        """Make a deployment at 0 % of the traffic, and wait until it runs.

        Raises:
            MlopsError: it did not come up.
        """
        from azure.ai.ml import load_online_deployment

        self.make()
        _settle(lambda: self._deployment(name))
        changes: dict[str, Any] = {
            "name": name, "endpoint_name": self.name, "model": model, "environment": image,
            "code_configuration.code": str(code),
            "tags": {VERSION: str(version.number), DIGEST: version.digest, CREATED: now()},
        }  # fmt: skip
        if online := self._settings.azure.online:
            changes |= {
                "instance_type": online.instance_type, "instance_count": online.instance_count,
            }  # fmt: skip
        self._forget(name)
        deployment = load_online_deployment(
            self._folder / "deployment.yml",
            params_override=[{key: value} for key, value in changes.items()],
        )
        self._client.online_deployments.begin_create_or_update(deployment).result()
        made = self._deployment(name)
        if made is None or made.provisioning_state != "Succeeded":
            state = made.provisioning_state if made else "missing"
            raise MlopsError(f"its provisioning ended as {state}:\n{self._log(name)}")

    def tag(self, name: str, tags: dict[str, str]) -> None:
        """Add tags to a deployment."""
        endpoint = self._there()
        endpoint.tags = {
            **(endpoint.tags or {}),
            **{f"{PREFIX}{name}.{key}": value for key, value in tags.items()},
        }
        self._update(endpoint)

    def delete(self, name: str) -> None:
        """Remove a deployment; one that is not there is removed already.

        Raises:
            MlopsError: it gets traffic.
        """
        endpoint = self._find()
        if endpoint is None:
            return
        if (endpoint.traffic or {}).get(name):
            raise MlopsError(f"the deployment `{name}` gets traffic and cannot be deleted")
        self._forget(name)
        if self._deployment(name) is not None:
            _settle(lambda: self._deployment(name))
            self._client.online_deployments.begin_delete(name, self.name).result()

    def set_traffic(
        self, traffic: dict[str, int], tags: dict[str, str], mirror: dict[str, int]
    ) -> None:
        """Replace traffic, mirrored traffic and the endpoint's tags, in one request."""
        endpoint = self._there()
        kept = {
            key: value
            for key, value in (endpoint.tags or {}).items()
            if not key.startswith(PREFIX) or "." in key.removeprefix(PREFIX)
        }
        endpoint.traffic, endpoint.mirror_traffic = dict(traffic), dict(mirror)
        endpoint.tags = {**kept, **{f"{PREFIX}{key}": value for key, value in tags.items()}}
        self._update(endpoint)

    def invoke(self, body: bytes, deployment: str | None, test: bool = False) -> Response:
        """Send a request. What the endpoint answers counts, also an error: nothing is asked again."""
        import requests

        uri, key = self._scoring()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        if deployment:
            headers[DEPLOYMENT_HEADER] = deployment
        if test:
            headers[TEST_HEADER] = "true"
        for left in reversed(range(BROKEN_CONNECTIONS)):
            started = time.perf_counter()
            try:
                answer = requests.post(uri, body, headers=headers, timeout=SECONDS_TO_ANSWER)
                break
            except requests.Timeout:
                return Response(
                    504, "no answer in time", 1000.0 * SECONDS_TO_ANSWER, deployment or ""
                )
            except requests.ConnectionError as error:
                if not left:
                    raise MlopsError(f"{self.name} cannot be reached at {uri}: {error}") from None
                time.sleep(1)
        milliseconds = 1000 * (time.perf_counter() - started)
        name = answer.headers.get(DEPLOYMENT_HEADER, deployment or "")
        return Response(answer.status_code, answer.text, milliseconds, name)

    def address(self) -> str:
        """Where requests are posted to."""
        return self._scoring()[0]

    # --- inside -------------------------------------------------------------------------------

    def _find(self) -> OnlineEndpoint | None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            found: OnlineEndpoint = self._client.online_endpoints.get(self.name)
        except ResourceNotFoundError:
            return None
        return found

    def _there(self) -> OnlineEndpoint:
        endpoint = self._find()
        if endpoint is None:
            raise MlopsError(f"the endpoint {self.name} is not there; run `mlops deploy` first")
        return endpoint

    def _update(self, endpoint: OnlineEndpoint) -> None:
        _settle(self._find)
        self._client.online_endpoints.begin_create_or_update(endpoint).result()

    def _deployment(self, name: str) -> OnlineDeployment | None:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            found: OnlineDeployment = self._client.online_deployments.get(name, self.name)
        except ResourceNotFoundError:
            return None
        return found

    def _forget(self, name: str) -> None:
        """Take a deployment's name and tags from its endpoint."""
        endpoint = self._find()
        if endpoint is None:
            return
        tags = {
            key: value
            for key, value in (endpoint.tags or {}).items()
            if not key.startswith(f"{PREFIX}{name}.")
            and not (key.startswith(PREFIX) and value == name)
        }
        traffic = _without(name, endpoint.traffic)
        mirror = _without(name, endpoint.mirror_traffic)
        kept = (endpoint.tags or {}, endpoint.traffic or {}, endpoint.mirror_traffic or {})
        if (tags, traffic, mirror) != kept:
            endpoint.tags, endpoint.traffic, endpoint.mirror_traffic = tags, traffic, mirror
            self._update(endpoint)

    def _log(self, name: str) -> str:
        from azure.core.exceptions import AzureError

        try:
            text = self._client.online_deployments.get_logs(name, self.name, lines=20)
        except AzureError as error:
            text = f"its log cannot be read: {error}"
        return "\n".join(f"    {line}" for line in str(text).splitlines()[-20:])

    def _scoring(self) -> tuple[str, str]:
        if self._address is None:
            endpoint = self._there()
            keys = self._client.online_endpoints.get_keys(self.name)
            key = getattr(keys, "primary_key", None) or getattr(keys, "access_token", "")
            self._address = (str(endpoint.scoring_uri), str(key))
        return self._address


def identity_id(settings: Any) -> str:
    """The resource id of the identity that the endpoint's machines sign in with."""
    azure = settings.azure
    return (
        f"/subscriptions/{azure.subscription_id}/resourceGroups/{azure.resource_group}"
        f"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{azure.endpoint_identity}"
    )


def _without(name: str, shares: dict[str, int] | None) -> dict[str, int]:
    return {other: share for other, share in (shares or {}).items() if other != name}


def _settle(find: Callable[[], Any]) -> None:
    """Wait for what an interrupted command began: Azure refuses to change what is in motion."""
    deadline = time.monotonic() + SECONDS_TO_SETTLE
    while (found := find()) and found.provisioning_state in IN_MOTION:
        if time.monotonic() > deadline:
            raise MlopsError(f"{found.name} is {found.provisioning_state} for an hour; see its log")
        time.sleep(5)
