"""The resources of Azure Machine Learning and their paths."""

from __future__ import annotations

import copy
import datetime
import re
import uuid
from collections.abc import Callable
from typing import Any

from tests.azure.messages import Refusal

TYPES = "Microsoft.MachineLearningServices/"
PROVIDER = f"/providers/{TYPES}"
# The collections whose members have versions, and what says where the files of a version lie.
ASSETS = {"models": "modelUri", "codes": "codeUri", "data": "dataUri",
          "environments": "", "components": ""}  # fmt: skip

Resource = dict[str, Any]


def kinds_of(path: str, *, lower: bool = True) -> list[str]:
    """The types on the way to a resource: workspaces, models, versions."""
    below = re.split(PROVIDER, path, flags=re.IGNORECASE)
    kinds = below[-1].split("/")[::2] if len(below) > 1 else []
    return [kind.lower() for kind in kinds] if lower else kinds


def plain_id(identifier: str) -> str:
    """An ARM id without the `azureml:` before it; what else names something, as it is."""
    return (
        identifier.removeprefix("azureml:") if identifier.startswith("azureml:/s") else identifier
    )


class Resources(dict[str, Resource]):
    """The resources by their paths in small letters, in the order in which they were made."""

    def __init__(self, object_id: Callable[[str], str]) -> None:
        """`object_id` gives that of the identity with a name."""
        super().__init__()
        self._object_id = object_id

    def find(self, path: str) -> Resource:
        """A resource, or the refusal that says that there is none."""
        found = self.get(path.lower())
        if found is None:
            kind, _, name = path.rpartition("/")
            what = f"{kind.rpartition('/')[2]}/{name}"
            raise Refusal(404, "ResourceNotFound", f"The Resource '{what}' was not found.")
        return found

    def ending(self, end: str) -> Resource | None:
        """The first resource whose path ends so; None if there is none."""
        return next((found for key, found in self.items() if key.endswith(end.lower())), None)

    def below(self, collection: str) -> list[Resource]:
        """The resources directly in a collection, oldest first."""
        start = f"{collection.lower()}/"
        return [found for key, found in self.items()
                if key.startswith(start) and "/" not in key[len(start):]]  # fmt: skip

    def assets(self, collection: str) -> list[Resource]:
        """The assets of a collection, each with its versions as one."""
        start = f"{collection.lower()}/"
        names = dict.fromkeys(
            key[len(start) :].split("/")[0] for key in self if key.startswith(start)
        )
        return [self.asset(f"{collection}/{name}") or self.find(f"{collection}/{name}")
                for name in names]  # fmt: skip

    def asset(self, path: str) -> Resource | None:
        """An asset as its versions make it; None if the path is no asset's or has no versions."""
        if path.lower() in self or kinds_of(path)[-1] not in ASSETS:
            return None
        versions = self.below(f"{path}/versions")
        return _asset(path, versions) if versions else None

    def write(self, path: str, body: dict[str, Any], name: str) -> Resource:
        """Make or replace a resource, as the identity with a name does."""
        old = self.get(path.lower())
        now = datetime.datetime.now(datetime.timezone.utc).isoformat().removesuffix("+00:00")
        who = self._object_id(name)
        made = old["systemData"] if old else {"createdAt": f"{now}Z", "createdBy": who,
                                              "createdByType": "Application"}  # fmt: skip
        resource = {
            **copy.deepcopy(body), "id": old["id"] if old else _identifier(path),
            "name": path.rpartition("/")[2], "type": _type(path),
            "systemData": {**made, "lastModifiedAt": f"{now}Z", "lastModifiedBy": who},
            "etag": f'"{uuid.uuid4()}"',
        }  # fmt: skip
        resource.setdefault("properties", {})["provisioningState"] = "Succeeded"
        kept = self.setdefault(path.lower(), resource)
        kept.update(resource)  # the same object, for what goes on with it
        return kept


def _type(path: str) -> str:
    return TYPES + "/".join(kinds_of(path, lower=False))


def _identifier(path: str) -> str:
    """The id of a resource: its path, but for what is in a registry."""
    registered = re.search(r"/registries/([^/]+/.+)$", path, re.IGNORECASE)
    return f"azureml://registries/{registered[1]}" if registered else path


def _asset(path: str, versions: list[Resource]) -> Resource:
    numbers = [int(found["name"]) for found in versions if found["name"].isdigit()]
    oldest, newest = versions[0], versions[-1]
    return {
        "id": _identifier(path), "name": path.rpartition("/")[2], "type": _type(path),
        "systemData": oldest["systemData"], "etag": newest["etag"],
        "properties": {"latestVersion": newest["name"], "isArchived": False, "tags": {},
                       "nextVersion": str(max(numbers, default=0) + 1), "properties": {},
                       "dataType": newest["properties"].get("dataType")},
    }  # fmt: skip
