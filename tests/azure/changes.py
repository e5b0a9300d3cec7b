"""Making and changing a resource: what Azure refuses, what it adds, and what it starts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.azure.faults import Fault
from tests.azure.messages import LOCATION, SCORING, Answer, Refusal, Request
from tests.azure.operations import LONG_RUNNING, Work
from tests.azure.resources import ASSETS, Resource, kinds_of, plain_id
from tests.azure.workspaces import furnish

if TYPE_CHECKING:
    from tests.azure.stand_in import StandIn


def change(azure: StandIn, request: Request, fault: Fault | None) -> Answer:
    """Make or change a resource, by PUT or PATCH."""
    path, kinds = request.path, kinds_of(request.path)
    old = copy.deepcopy(azure.resources.get(path.lower()))
    if old and request.headers.get("If-Match", "*") not in ("*", old["etag"]):
        raise Refusal(412, "PreconditionFailed", "The condition of If-Match is not met.")
    body = request.body or {}
    if request.method == "PATCH":
        body = merged(azure.resources.find(path), body)
    _check(azure, path, kinds, body.get("properties") or {}, old)
    resource = azure.resources.write(path, body, request.identity)
    complete = ADDITIONS.get("/".join(kinds))
    work = complete(azure, resource, old, fault) if complete else None
    status, headers = 200 if old else 201, {"ETag": resource["etag"]}
    if "/".join(kinds) in LONG_RUNNING or kinds[0] == "registries":
        state = "Updating" if old else "Creating"
        resource, headers = azure.operations.start(resource, state, work, fault)
    elif kinds[-2:] == ["models", "versions"]:
        azure.model_versions.to_mlflow(resource)
    return Answer(status, resource, headers)


def merged(old: Any, new: Any) -> Any:
    """A value changed by another, as RFC 7396 has it."""
    if not isinstance(new, dict):
        return new
    both = dict(old) if isinstance(old, dict) else {}
    for key, value in new.items():
        both[key] = merged(both.get(key), value)
        if value is None:
            del both[key]
    return both


# What is refused


def _check(
    azure: StandIn, path: str, kinds: list[str], new: dict[str, Any], old: Resource | None
) -> None:
    uri = ASSETS.get(kinds[-2], "") if kinds[-1] == "versions" else ""
    if old and uri and new.get(uri) != old["properties"].get(uri):
        raise Refusal(400, "UserError", "A model or data version's path can not be changed.")
    if kinds == ["workspaces", "onlineendpoints"]:
        there = {made["name"] for made in azure.resources.below(f"{path}/deployments")}
        _check_traffic(new.get("traffic") or {}, there)
    if len(kinds) == 3 and kinds[2] == "deployments":
        azure.resources.find(path.rpartition("/deployments/")[0])
    if kinds == ["workspaces", "schedules"]:
        _check_monitor(azure, new["action"].get("monitorDefinition") or {})


def _check_monitor(azure: StandIn, monitor: dict[str, Any]) -> None:
    """That what a monitor watches and compares is there."""
    if target := (monitor.get("monitoringTarget") or {}).get("deploymentId"):
        deployment = azure.resources.find(target)["properties"]
        if not (deployment.get("dataCollector") or {}).get("collections"):
            raise Refusal(400, "UserError", "The deployment has no data collector.")
    for signal in (monitor.get("signals") or {}).values():
        production = signal.get("productionData") or []
        places = production if isinstance(production, list) else [production]
        for place in (*places, signal["referenceData"]):
            asset = azure.resources.find(plain_id(place["uri"]))["properties"]
            if asset.get("dataType") != place["jobInputType"]:
                raise Refusal(400, "UserError", f"{place['uri']} is a {asset.get('dataType')}.")


def _check_traffic(asked: dict[str, int], deployments: set[str]) -> None:
    traffic = {name: share for name, share in asked.items() if share}
    if missing := set(traffic) - deployments:
        raise Refusal(400, "UserError", f"The deployments {sorted(missing)} do not exist.")
    if traffic and sum(traffic.values()) != 100:
        raise Refusal(400, "UserError", "The sum of the traffic must be 0 or 100.")


# What is added. Each returns the work that is left for the background, if there is any.


def _workspace(azure: StandIn, resource: Resource, old: Resource | None, _: Fault | None) -> None:
    if old:
        _keep(resource, old)
    else:
        furnish(azure, resource)


def _job(azure: StandIn, resource: Resource, old: Resource | None, fault: Fault | None) -> None:
    if old:
        _keep(resource, old)
    else:
        azure.machines.jobs.submit(resource, fault.message if fault else None)


def _keep(resource: Resource, old: Resource) -> None:
    """What Azure added stays."""
    resource["properties"] = {**old["properties"], **resource["properties"]}


def _online_endpoint(_: StandIn, resource: Resource, *_more: Any) -> None:
    address = f"https://{resource['name']}{SCORING}"
    resource["properties"] |= {"scoringUri": f"{address}/score",
                               "swaggerUri": f"{address}/swagger.json"}  # fmt: skip
    resource["properties"].setdefault("traffic", {})
    resource["properties"].setdefault("mirrorTraffic", {})


def _online_deployment(azure: StandIn, resource: Resource, *_: Any) -> Work:
    resource["properties"].setdefault("environmentVariables", {})
    resource["properties"].setdefault("scaleSettings", {"scaleType": "Default"})
    collector = resource["properties"].get("dataCollector") or {}
    for collection in (collector.get("collections") or {}).values():  # as Azure writes the word
        collection["dataCollectionMode"] = str(collection["dataCollectionMode"]).capitalize()
    return lambda: azure.machines.online.deploy(resource)


def _batch_endpoint(_: StandIn, resource: Resource, *_more: Any) -> None:
    resource["properties"]["scoringUri"] = f"https://{resource['name']}{SCORING}/jobs"


def _model_version(azure: StandIn, resource: Resource, *_: Any) -> None:
    properties, owner = resource["properties"], resource["id"].partition("/models/")[0]
    properties.setdefault("flavors", {})
    properties["modelUri"] = azure.storage.resolved(properties["modelUri"], owner)


def _schedule(_: StandIn, resource: Resource, *_more: Any) -> None:
    resource["properties"].setdefault("isEnabled", True)


def _compute(_: StandIn, resource: Resource, *_more: Any) -> None:
    resource["properties"] |= {"provisioningState": "Succeeded", "computeLocation": LOCATION}


ADDITIONS: dict[str, Callable[[StandIn, Resource, Resource | None, Fault | None], Work | None]] = {
    "workspaces": _workspace,
    "workspaces/jobs": _job,
    "workspaces/onlineendpoints": _online_endpoint,
    "workspaces/onlineendpoints/deployments": _online_deployment,
    "workspaces/batchendpoints": _batch_endpoint,
    "workspaces/models/versions": _model_version,
    "registries/models/versions": _model_version,
    "workspaces/computes": _compute,
    "workspaces/schedules": _schedule,
}
