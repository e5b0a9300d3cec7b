"""What Azure makes along with a workspace: its addresses, its storage and its datastores."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from tests.azure.messages import API, BLOBS
from tests.azure.resources import PROVIDER, Resource

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn


def furnish(azure: StandIn, workspace: Resource) -> None:
    """Give a new workspace what belongs to it."""
    identifier = workspace["id"]
    account = azure.storage.add(identifier)
    group = identifier.partition(PROVIDER)[0]
    workspace["properties"] |= {
        "workspaceId": str(uuid.uuid4()), "discoveryUrl": f"https://{API}/discovery",
        "mlFlowTrackingUri": f"azureml://{API}/mlflow/v1.0{identifier}",
        "storageAccount": f"{group}/providers/Microsoft.Storage/storageAccounts/{account}",
        "publicNetworkAccess": "Enabled", "friendlyName": workspace["name"],
    }  # fmt: skip
    for store, container in azure.storage.containers(identifier).items():
        properties = {
            "datastoreType": "AzureBlob", "accountName": account, "containerName": container,
            "endpoint": BLOBS.removeprefix(".blob."), "protocol": "https",
            "isDefault": store == "workspaceblobstore",
            "credentials": {"credentialsType": azure.credentials},
            "serviceDataAccessAuthIdentity": "None",
        }  # fmt: skip
        azure.resources.write(
            f"{identifier}/datastores/{store}", {"properties": properties}, "owner"
        )
