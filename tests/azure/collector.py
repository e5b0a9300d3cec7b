"""What a deployment collects, in append blobs, as Azure's data collector writes it."""

from __future__ import annotations

import datetime
import json
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ResourceExistsError

from mlops.events import hour_of
from mlops.workspaces.local.collector import HOST, Sink
from tests.azure.resources import Resource, plain_id

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn


class Collector:
    """The process beside the machine's server that takes its records, for one deployment."""

    def __init__(self, azure: StandIn, deployment: Resource, folder: Path) -> None:
        """Nothing is listened to where the deployment has no data collector."""
        self.endpoint = deployment["id"].split("/")[-3]
        workspace = deployment["id"].split("/onlineEndpoints/")[0]
        settings = deployment["properties"].get("dataCollector") or {}
        enabled = {
            name: its for name, its in (settings.get("collections") or {}).items()
            if str(its.get("dataCollectionMode")).lower() == "enabled"
        }  # fmt: skip
        self._places = {
            name: azure.storage.locate(plain_id(its["dataId"]), workspace)
            for name, its in enabled.items()
        }
        self._azure, self._file = azure, f"{uuid.uuid4()}.jsonl"
        self._lock = threading.Lock()
        self._sink = Sink(self, deployment["name"]) if enabled else None  # type: ignore[arg-type]
        self.variables: dict[str, str] = {}
        if self._sink:
            share = {name: its.get("samplingRate", 1.0) for name, its in enabled.items()}
            self.variables = _variables(share, folder / "collector.json", self._sink.port)

    def append(self, _: str, collection: str, lines: str, time: datetime.datetime) -> None:
        """Add whole lines to the blob of the hour; what is not to be collected is not."""
        place = self._places.get(collection)
        if place is None:
            return
        container = self._azure.storage.client(place.account).get_container_client(place.container)
        blob = container.get_blob_client(f"{place.prefix}/{hour_of(time)}/{self._file}")
        with self._lock:
            if not blob.exists():
                with suppress(ResourceExistsError):
                    blob.create_append_blob()
            blob.append_block(lines.encode("utf-8"))

    def close(self) -> None:
        """Stop listening."""
        if self._sink:
            self._sink.close()


def _variables(share: dict[str, float], file: Path, port: int) -> dict[str, str]:
    """What the server is told of its collector."""
    collections: dict[str, Any] = {
        name: {"enabled": True, "sampleRatePercentage": 100 * rate} for name, rate in share.items()
    }
    file.write_text(json.dumps({"collections": collections}), "utf-8")
    return {"AZUREML_MDC_CONFIG_PATH": str(file), "AZUREML_MDC_HOST": HOST,
            "AZUREML_MDC_PORT": str(port)}  # fmt: skip
