"""Generated infrastructure to test with, and what is wrong with it."""

from __future__ import annotations

import functools
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Optional

import yaml

from ..conftest import generated
from ..specs import body_findings, versions_of
from .bicep import SUBSCRIPTION, Deployment, Resource, deployment
from .metrics import ALERT, alert_findings
from .syntax import Expression

Files = dict[str, str]
Settings = dict[str, Any]
Change = Optional[Callable[[Settings], None]]
# Azure's rules for names, where the published types have none.
NAMES = {
    "Microsoft.Authorization/roleAssignments": r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    "Microsoft.Consumption/budgets": r"^[a-zA-Z0-9_-]{1,63}$",
    "Microsoft.KeyVault/vaults": r"^(?!.*--)[a-z][a-z0-9-]{1,22}[a-z0-9]$",
    "Microsoft.ManagedIdentity/userAssignedIdentities": r"^[a-zA-Z0-9][a-zA-Z0-9_-]{2,127}$",
    "Microsoft.Resources/resourceGroups": r"[^.]$",
    "Microsoft.Storage/storageAccounts/blobServices/containers": r"^(?!.*--)[a-z0-9][a-z0-9-]+$",
}
# Generally available was its version of 2016 alone, which knows no groups of categories.
PREVIEWS = {"Microsoft.Insights/diagnosticSettings"}


@functools.cache
def _generated(**answers: str) -> Files:
    project = generated(**answers)
    return {
        path.relative_to(project).as_posix(): path.read_text(encoding="utf-8")
        for folder in ("infrastructure", "environments")
        for path in (project / folder).rglob("*")
        if path.is_file()
    }


def infrastructure(change: Change = None, /, **answers: str) -> Files:
    """The files of a project's infrastructure and environments, with its settings changed."""
    files = dict(_generated(**answers))
    for path in files:
        if change and path.startswith("environments/"):
            settings = yaml.safe_load(files[path])
            change(settings)
            files[path] = yaml.safe_dump(settings)
    return files


def parameters(files: Files) -> list[str]:
    """The parameters files: one for each deployment."""
    return sorted(path for path in files if path.endswith(".bicepparam"))


def everything_on(settings: Settings) -> None:
    """Settings under which each resource that Bicep knows is made, and each role given."""
    settings["azure"]["subscription_id"] = SUBSCRIPTION.rpartition("/")[2]
    settings["azure"]["network"] = "managed"
    settings["azure"]["allowed_addresses"] = ["198.51.100.7"]
    settings["azure"]["allowed_hosts"] = ["packages.example.com"]
    settings["azure"]["compute"]["tier"] = "low_priority"
    settings["azure"]["budget"] = {"monthly": 99.5}
    # The engine refuses a Logic App in a managed network. Here each of the two is there to be looked at.
    settings["monitoring"] = {
        "alerts": True, "events": "logic_app",
        "dispatch_url": "https://api.example.com/repos/example/churn-model/dispatches",
    }  # fmt: skip
    settings["ci_cd"]["federation"] = {
        "issuer": "https://token.actions.githubusercontent.com",
        "subject": f"repo:example/churn-model:environment:{settings['name']}",
    }
    settings["access"] = {
        persona: group(persona, settings["name"])
        for persona in ("data_scientists", "ml_engineers", "data_engineers", "infrastructure_team")
    }


def as_in_0_2_0(settings: Settings) -> None:
    """Settings as the release before had them."""
    for key in ("budget", "network", "online", "batch"):
        settings["azure"].pop(key, None)
    for key in ("idle_seconds", "min_instances", "tier"):
        settings["azure"]["compute"].pop(key)
    for key in ("access", "monitoring", "retraining"):
        settings.pop(key, None)


def group(persona: str, environment: str) -> str:
    """The id of a group: a persona's in an environment."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{persona} {environment}"))


def endpoint_alerts(files: Files, environment: str, served: str) -> tuple[Deployment, list[str]]:
    """The alert rules about an environment's endpoint, and what is wrong with them.

    They are deployed with what the engine gives them, where the infrastructure is deployed already
    and the engine has made the endpoint. `served` is the deployment in use, or empty.
    """
    main = deployment(files, f"infrastructure/{environment}.bicepparam")
    settings = main.value("settings")
    group = next(each for each in main.everything() if each.symbol == "workspace").base
    given = {
        "workspaceName": settings["azure"]["workspace"],
        "endpointName": settings["endpoints"]["online"],
        "deploymentName": served,
        "actionGroupName": f"ag-{settings['azure']['name_prefix']}-{environment}",
        "p95Milliseconds": settings["rollout"]["p95_ms"],
    }
    found = Deployment(files, "infrastructure/endpoint_alerts.bicep", given, group)
    made, there = found.everything(), found.existing()
    by_infrastructure = {each.id for each in main.everything()}
    by_engine = ("endpoint", "inUse")
    return found, [
        *found.all_findings(),
        *(finding for each in made for finding in _resource_findings(each)),
        *(finding for each in there for finding in _kind_findings(each)),
        *_alert_findings(made, there),
        *_double_findings(made),
        *(f"{each.symbol}: nobody makes {each.id}" for each in there
          if each.id not in by_infrastructure and each.symbol not in by_engine),
    ]  # fmt: skip


def check(files: Files, path: str) -> list[str]:
    """All that is wrong with a deployment."""
    found = deployment(files, path)
    if found.findings and not found.modules:
        return found.all_findings()
    made = found.everything()
    ids = [resource.id for resource in made if isinstance(resource.id, str)]
    missing = [each for each in found.existing() if each.id not in ids]
    others = [deployment(files, other) for other in parameters(files) if missing and other != path]
    elsewhere = {resource.id for other in others for resource in other.everything()}
    return [
        *found.all_findings(),
        *(finding for resource in made for finding in _resource_findings(resource)),
        *(finding for resource in found.existing() for finding in _kind_findings(resource)),
        *(f"{each.symbol}: nobody makes {each.id}" for each in missing if each.id not in elsewhere),
        *_alert_findings(made),
        *_double_findings(made),
        *(finding for each in found.deployments() for finding in _order_findings(each)),
        *_name_findings(found),
    ]


def _alert_findings(made: list[Resource], there: Iterable[Resource] = ()) -> Iterator[str]:
    kinds = {each.id: each.kind for each in [*made, *there]}
    for each in made:
        if each.kind == ALERT:
            yield from alert_findings(each, kinds)


def _double_findings(made: list[Resource]) -> Iterator[str]:
    ids = [each.id for each in made if isinstance(each.id, str)]
    yield from (f"{each}: made twice" for each in sorted(set(ids)) if ids.count(each) > 1)


def _kind_findings(resource: Resource) -> Iterator[str]:
    kind, version = resource.kind, resource.version
    known = {v for v in versions_of(kind) if kind in PREVIEWS or "preview" not in v}
    newest = max(known, default="none")
    if version != newest:
        yield f"{resource.symbol}: {kind}@{version} is not published, or not the newest ({newest})"
    above = resource.parent.kind if resource.parent else ""
    if above != (kind.rpartition("/")[0] if kind.count("/") > 1 else ""):
        yield f"{resource.symbol}.parent: {above or 'nothing'} is not above {kind}"


def _resource_findings(resource: Resource) -> Iterator[str]:
    yield from _kind_findings(resource)
    for finding in body_findings(resource.kind, resource.version, resource.body):
        yield f"{resource.symbol}.{finding}"
    name = resource.name
    if isinstance(name, str) and not re.search(NAMES.get(resource.kind, ""), name):
        yield f"{resource.symbol}.name: {name} is not allowed"


def _order_findings(found: Deployment) -> Iterator[str]:
    """Modules that use what another makes, and do not wait for it."""
    makers = {
        resource.id: name
        for name, module in found.modules.items()
        for resource in module.everything()
    }
    for name, module in found.modules.items():
        awaited = _awaited(found, name)
        for resource in module.existing():
            maker = makers.get(resource.id, name)
            if maker not in (name, *awaited):
                yield f"{name}: uses {resource.symbol} of {maker}, and does not wait for it"


def _name_findings(found: Deployment) -> Iterator[str]:
    """Names of modules that are given twice in a group: the second would take the first's place."""
    names = [
        (module.base, each.module_names[name])
        for each in found.deployments()
        for name, module in each.modules.items()
    ]
    for _, twice in {name for name in names if names.count(name) > 1}:
        yield f"{twice}: two modules have this name"


def _awaited(found: Deployment, name: str) -> set[str]:
    """The modules that come before a module."""
    value = found.file.modules[name].value
    body = value.parts[-1] if value and value.kind == "if_statement" else value
    direct: set[str] = set()
    for key, part in body.pairs().items() if body else ():
        if key in ("params", "dependsOn"):
            direct |= {each for each in _values(part) if each in found.modules}
    return direct.union(*(_awaited(found, each) for each in direct))


def _values(node: Expression) -> set[str]:
    """The symbols that an expression reads; keys of objects are none."""
    parts = node.parts[1:] if node.kind == "object_property" else node.parts
    own = {node.text} if node.kind == "identifier" else set()
    return own.union(*(_values(part) for part in parts))
