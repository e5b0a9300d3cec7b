"""What a local workspace knows about its online endpoint, on disk."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mlops.decisions import now
from mlops.documents import read_yaml
from mlops.errors import MlopsError
from mlops.files import read_json, write_json, write_text
from mlops.workspaces import Deployment, Endpoint, ModelVersion
from mlops.workspaces.registry import CODE

STATE = "endpoint.json"
COLLECTOR = "data_collector.json"
MOST_MIRRORED = 50  # percent: Azure's limit


class EndpointStore:
    """The state, key and deployed code of one endpoint.

    The state is one file that is replaced in one step, so it is never half-written. A
    deployment's code is a copy, as in Azure.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / name
        self.name = name

    def read(self) -> Endpoint:
        """The endpoint as it is now."""
        file = self.folder / STATE
        if not file.is_file():
            return Endpoint(self.name)
        state = read_json(file)
        deployments = {n: Deployment(**d) for n, d in state.pop("deployments").items()}
        return Endpoint(**state, deployments=deployments)

    def has_key(self) -> bool:
        """Whether the key was made already."""
        return self._key_file.is_file()

    def key(self) -> str:
        """The key that a client must give; made at first use, readable by this user only."""
        if not self.has_key():
            write_text(self._key_file, secrets.token_urlsafe(32))  # mkstemp made it 0600
        return self._key_file.read_text(encoding="utf-8")

    def create(self, name: str, version: ModelVersion, deployment_file: Path, files: Path) -> None:
        """Add a deployment of a version at 0 % of the traffic; again, it is made anew.

        Its code is the version's own, with which it was trained and tested.
        """
        settings = read_yaml(deployment_file).data
        partial = self.folder / f".{name}"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(files / CODE, partial / "code")
        write_json(
            partial / "served.json",
            {
                "scoring_script": settings["code_configuration"]["scoring_script"],
                "environment_variables": {
                    key: str(value)
                    for key, value in (settings.get("environment_variables") or {}).items()
                },
                "model_folder": os.path.relpath(files, self.folder),
            },
        )
        if collector := _collector(settings.get("data_collector") or {}):
            write_json(partial / COLLECTOR, collector)
        endpoint = self.read()
        if name in endpoint.deployments:
            self.delete(name)
        shutil.rmtree(self.folder_of(name), ignore_errors=True)
        partial.rename(self.folder_of(name))
        endpoint = self.read()
        deployments = {**endpoint.deployments, name: Deployment(name, version.number, now())}
        self._write(replace(endpoint, deployments=deployments))

    def tag(self, name: str, tags: dict[str, str]) -> None:
        """Add tags to a deployment."""
        endpoint = self.read()
        old = endpoint.deployments[name]
        new = replace(old, tags={**old.tags, **tags})
        self._write(replace(endpoint, deployments={**endpoint.deployments, name: new}))

    def delete(self, name: str) -> None:
        """Remove a deployment.

        Raises:
            MlopsError: it gets traffic.
        """
        endpoint = self.read()
        if endpoint.traffic.get(name):
            raise MlopsError(f"the deployment `{name}` gets traffic and cannot be deleted")
        deployments = {n: d for n, d in endpoint.deployments.items() if n != name}
        traffic = {n: share for n, share in endpoint.traffic.items() if n != name}
        mirror = {n: share for n, share in endpoint.mirror.items() if n != name}
        tags = {tag: value for tag, value in endpoint.tags.items() if value != name}
        self._write(Endpoint(self.name, deployments, traffic, mirror, tags))
        shutil.rmtree(self.folder_of(name), ignore_errors=True)

    def set_traffic(
        self, traffic: dict[str, int], tags: dict[str, str], mirror: dict[str, int] | None = None
    ) -> None:
        """Replace traffic, tags and mirrored traffic.

        Raises:
            MlopsError: there is no such deployment, or Azure would not mirror like this.
        """
        mirror = mirror or {}
        unknown = sorted({*traffic, *mirror} - set(self.read().deployments))
        if unknown:
            raise MlopsError(f"{self.name} has no deployment {', '.join(unknown)}")
        if len(mirror) > 1 or any(s > MOST_MIRRORED or traffic.get(n) for n, s in mirror.items()):
            raise MlopsError(
                f"at most {MOST_MIRRORED} % of the traffic can be mirrored, "
                f"to one deployment that gets none itself; not {mirror} beside {traffic}"
            )
        self._write(replace(self.read(), traffic=traffic, mirror=mirror, tags=tags))

    def folder_of(self, deployment: str) -> Path:
        """Where a deployment lies."""
        return self.folder / deployment

    def code_of(self, deployment: str) -> Path:
        """The deployed copy of the code."""
        return self.folder_of(deployment) / "code"

    def collector_of(self, deployment: str) -> Path | None:
        """The configuration of its data collector; none where nothing is collected."""
        file = self.folder_of(deployment) / COLLECTOR
        return file if file.is_file() else None

    def served(self, deployment: str) -> dict[str, Any]:
        """What the server of a deployment needs; the model's folder is absolute."""
        served: dict[str, Any] = read_json(self.folder_of(deployment) / "served.json")
        served["model_folder"] = str((self.folder / served["model_folder"]).resolve())
        return served

    @property
    def _key_file(self) -> Path:
        return self.folder / "key"

    def _write(self, endpoint: Endpoint) -> None:
        write_json(self.folder / STATE, asdict(endpoint))


def _collector(settings: dict[str, Any]) -> dict[str, Any]:
    """`data_collector` of a deployment in the form in which Azure's collector reads it."""
    percent = 100 * float(settings.get("sampling_rate", 1.0))
    enabled = {
        name.lower(): {"enabled": True, "sampleRatePercentage": percent}
        for name, collection in (settings.get("collections") or {}).items()
        if str(collection.get("enabled")).lower() == "true"
    }
    return {"collections": enabled} if enabled else {}
