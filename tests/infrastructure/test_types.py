"""The infrastructure parses and fits together, and Azure's published types know all that it says."""

from __future__ import annotations

import re

import pytest

from ..conftest import TEMPLATE
from ..matrix import CHOICES
from .bicep import deployment
from .projects import (
    Change,
    Files,
    Settings,
    as_in_0_2_0,
    check,
    everything_on,
    infrastructure,
    parameters,
)

FOLDER = TEMPLATE / "{{cookiecutter.project_slug}}" / "infrastructure"


@pytest.mark.parametrize("prefix", ["ab", "a" * 11])
@pytest.mark.parametrize("environments", CHOICES["environments"])
@pytest.mark.parametrize("workspaces", CHOICES["workspaces"])
def test_azure_knows_all_that_is_said(prefix: str, environments: str, workspaces: str) -> None:
    answers = {"name_prefix": prefix, "environments": environments, "workspaces": workspaces}
    for change in (None, everything_on, as_in_0_2_0):
        files = infrastructure(change, **answers)
        assert {path: check(files, path) for path in parameters(files)} == {
            path: [] for path in parameters(files)
        }


def test_each_environment_has_a_deployment_and_a_shared_workspace_has_one() -> None:
    answers = {"environments": "dev-test-staging-prod"}
    for workspaces, expected in {
        "one-per-environment": {name: [name] for name in ("dev", "prod", "staging", "test")},
        "one-shared": {"shared": ["dev", "test", "staging", "prod"]},
    }.items():
        files = infrastructure(workspaces=workspaces, **answers)
        found = {
            path.split("/")[1].removesuffix(".bicepparam"): deployment(files, path)
            for path in parameters(files)
        }
        served = {
            name: [each["name"] for each in made.value("environments")]
            for name, made in found.items()
        }
        assert served == expected
        assert all(made.value("settings")["name"] in (name, "prod") for name, made in found.items())


def test_every_module_is_used_and_the_files_are_short() -> None:
    used = set()
    for workspaces in CHOICES["workspaces"]:
        files = infrastructure(everything_on, workspaces=workspaces)
        for path in parameters(files):
            used |= {each.path for each in deployment(files, path).deployments()}
    modules = {f"infrastructure/modules/{path.name}" for path in FOLDER.glob("modules/*.bicep")}
    assert used == {*modules, "infrastructure/main.bicep"}
    loaded = {f"{path}.json" for module in modules
              for path in re.findall(r"load\w+\('(\w+)\.json'\)", files[module])}  # fmt: skip
    assert loaded == {path.name for path in FOLDER.glob("modules/*.json")}
    lengths = {path.name: len(path.read_text().splitlines()) for path in FOLDER.rglob("*.bicep")}
    assert {name: length for name, length in lengths.items() if length > 300} == {}


def made(kind: str, change: Change = None, name: str = "prod") -> list[dict]:
    """The properties of the resources of a kind, in an environment with a workspace of its own."""
    files = infrastructure(change)
    every = deployment(files, f"infrastructure/{name}.bicepparam").everything()
    return [each.body.get("properties", {}) for each in every if each.kind == kind]


def test_the_decisions_that_no_type_demands_hold() -> None:
    own, data = made("Microsoft.Storage/storageAccounts")
    assert (own["allowSharedKeyAccess"], own.get("isHnsEnabled")) == (True, None)
    assert (data["allowSharedKeyAccess"], data["isHnsEnabled"]) == (False, True)
    for account in (own, data):
        assert account["allowBlobPublicAccess"] is False
        assert account["minimumTlsVersion"] == "TLS1_2"
    vault = made("Microsoft.KeyVault/vaults")[0]
    assert vault["enablePurgeProtection"] and vault["enableRbacAuthorization"]
    assert made("Microsoft.ContainerRegistry/registries")[0]["adminUserEnabled"] is False
    scaled = made("Microsoft.MachineLearningServices/workspaces/computes")[0]["properties"]
    assert scaled["scaleSettings"]["minNodeCount"] == 0
    stores = made("Microsoft.MachineLearningServices/workspaces/datastores")
    assert [store["containerName"] for store in stores] == ["raw", "training", "production"]
    assert {store["credentials"]["credentialsType"] for store in stores} == {"None"}
    budget = made("Microsoft.Consumption/budgets")[0]
    assert budget["amount"] == 500
    assert sorted(
        (each["thresholdType"], each["threshold"], *each["contactEmails"])
        for each in budget["notifications"].values()
    ) == [
        ("Actual", 80, "data-science@example.com"),
        ("Actual", 100, "data-science@example.com"),
        ("Forecasted", 100, "data-science@example.com"),
    ]  # fmt: skip


def test_each_setting_reaches_what_it_is_about() -> None:
    def on(settings: Settings) -> None:
        everything_on(settings)
        settings["azure"]["compute"] |= {"min_instances": 1, "max_instances": 7, "idle_seconds": 90}
        settings["azure"]["registry_resource_group"] = "rg-models"
        settings["owner"] = {"team": "Pricing", "contact": "pricing@example.com"}

    cluster = made("Microsoft.MachineLearningServices/workspaces/computes", on)[0]["properties"]
    assert cluster["vmPriority"] == "LowPriority"
    assert cluster["scaleSettings"] == {
        "maxNodeCount": 7, "minNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "PT90S",
    }  # fmt: skip
    budget = made("Microsoft.Consumption/budgets", on)[0]
    assert budget["amount"] == 99.5
    assert budget["notifications"]["forecast100"]["contactEmails"] == ["pricing@example.com"]
    files = infrastructure(on)
    every = deployment(files, "infrastructure/prod.bicepparam").everything()
    groups = {
        each.name: each.body["tags"] for each in every if each.kind.endswith("/resourceGroups")
    }
    owner = {"model": "churn-model", "team": "Pricing", "contact": "pricing@example.com"}
    assert groups == {"rg-churnmodel-prod": owner | {"environment": "prod"}, "rg-models": owner}


def test_where_models_are_developed_there_is_no_container_for_production_data() -> None:
    stores = made("Microsoft.MachineLearningServices/workspaces/datastores", name="dev")
    assert [store["containerName"] for store in stores] == ["raw", "training"]


def test_each_resource_that_logs_sends_its_logs() -> None:
    files = infrastructure()
    every = deployment(files, "infrastructure/prod.bicepparam").everything()
    logging = [each.scope for each in every if each.kind == "Microsoft.Insights/diagnosticSettings"]
    assert sorted(each.symbol for each in logging if each) == [
        "blobs", "blobs", "keyVault", "registry", "workspace",
    ]  # fmt: skip


def test_the_identities_have_names_that_can_be_told_beforehand() -> None:
    kind = "Microsoft.ManagedIdentity/userAssignedIdentities"
    for answers, expected in (
        (
            {"environments": "dev-prod"},
            ["prod-ci-cd", "prod-compute", "prod-endpoint", "prod-monitoring"],
        ),
        (
            {"environments": "dev-prod", "workspaces": "one-shared"},
            [
                "dev-ci-cd",
                "dev-endpoint",
                "prod-ci-cd",
                "prod-endpoint",
                "prod-monitoring",
                "shared-compute",
            ],
        ),
        ({"environments": "dev-prod", "ci_cd": "none"}, ["prod-compute", "prod-endpoint"]),
    ):
        files = infrastructure(**answers)
        every = deployment(files, parameters(files)[-1]).everything()
        assert sorted(each.name for each in every if each.kind == kind) == [
            f"id-churnmodel-{name}" for name in expected
        ]


def test_the_ci_cd_of_each_environment_signs_in_as_its_own_identity() -> None:
    kind = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"
    files = infrastructure(everything_on, workspaces="one-shared")
    every = deployment(files, "infrastructure/shared.bicepparam").everything()
    found = {
        each.parent.name: each.body["properties"]["subject"].rpartition(":")[2]
        for each in every
        if each.kind == kind and each.parent
    }
    assert found == {
        f"id-churnmodel-{name}-ci-cd": name for name in ("dev", "staging", "prod")
    }  # fmt: skip
    assert made(kind) == []  # nothing is federated before the settings say with whom


def test_a_managed_network_closes_what_only_its_machines_need() -> None:
    workspace = made("Microsoft.MachineLearningServices/workspaces", everything_on)[0]
    assert workspace["managedNetwork"] == {"isolationMode": "AllowOnlyApprovedOutbound"}
    assert made("Microsoft.KeyVault/vaults", everything_on)[0]["publicNetworkAccess"] == "Disabled"
    assert (
        made("Microsoft.ContainerRegistry/registries", everything_on)[0]["publicNetworkAccess"]
        == "Disabled"
    )
    for account in made("Microsoft.Storage/storageAccounts", everything_on):
        rules = account["networkAcls"]
        assert (rules["defaultAction"], rules["ipRules"]) == ("Deny", [{"value": "198.51.100.7"}])
    rules = made("Microsoft.MachineLearningServices/workspaces/outboundRules", everything_on)
    assert {rule["type"] for rule in rules} == {"PrivateEndpoint", "FQDN"}
    assert made("Microsoft.MachineLearningServices/workspaces/outboundRules") == []


def test_what_environments_share_is_left_as_it_is_once_it_is_there() -> None:
    files = infrastructure()
    every = deployment(files, "infrastructure/prod.bicepparam").everything()
    once = {each.symbol for each in every if "onlyIfNotExists" in each.decorators}
    assert once == {"registryGroup", "registry", "monthly"}


def mutated(files: Files, path: str, old: str, new: str) -> Files:
    path = f"infrastructure/{path}"
    assert old in files[path], f"{path} has no {old}"
    return {**files, path: files[path].replace(old, new, 1)}


@pytest.mark.parametrize(
    ("path", "old", "new", "finding"),
    [
        ("modules/storage.bicep", "kind: 'StorageV2'\n", "kind: 'StorageV2'\n}\n", "syntax"),
        ("modules/storage.bicep", "  kind: 'StorageV2'\n", "", "storage.kind: missing"),
        ("modules/storage.bicep", "allowBlobPublicAccess", "allowBlobAccess", "allowBlobAccess: unknown"),
        ("modules/storage.bicep", "allowBlobPublicAccess: false", "provisioningState: 'Succeeded'",
         "provisioningState: read-only"),
        ("modules/storage.bicep", "'TLS1_2'", "'TLS1_9'", "minimumTlsVersion: 'TLS1_9' is"),
        ("modules/storage.bicep", "Accounts@2026-04-01", "Accounts@2026-04-02", "is not published"),
        ("modules/storage.bicep", "storageAccounts@2026-04-01' = ",
         "storageAccounts@2025-08-01' = ", "not the newest"),
        ("modules/storage.bicep", "parent: storage", "parent: logs", "is not above"),
        ("modules/storage.bicep", "name: names.storage", "name: 'st${names.storage}'",
         "storage.name: 'staaaaaaaaaaa"),
        ("modules/storage.bicep", "managed ?", "managd ?", "managd: not declared"),
        ("modules/compute.bicep", "        maxNodeCount: maxInstances\n", "",
         "maxNodeCount: missing"),
        ("modules/compute.bicep", "minNodeCount: minInstances", "minNodeCount: '0'",
         "minNodeCount: '0' is"),
        ("modules/compute.bicep", "'AmlCompute'", "'AmlCluster'", "computeType: 'AmlCluster' is"),
        ("modules/compute.bicep", "param size string\n", "param size string\nparam zone string\n",
         "zone: not given"),
        ("modules/compute.bicep", "'low_priority'])", "'spot'])",
         "tier: 'low_priority' is none of dedicated, spot"),
        ("modules/container_registry.bicep", "adminUserEnabled: false",
         "adminUserEnabled: 'false'", "adminUserEnabled: 'false' is"),
        ("modules/workspace.bicep", "storageAccount: storage.id", "storageAccount: account.id",
         "account: not declared"),
        ("modules/workspace.bicep", "keyVault: keyVault.id", "keyVault: keyVault.ident",
         "keyVault.ident: not there"),
        ("modules/workspace.bicep", "containerRegistry: registry.id\n", "",
         "registry: never used"),
        ("modules/workspace.bicep", "datastoreType: 'AzureBlob'\n", "", "datastoreType: missing"),
        ("modules/workspace.bicep", "replace(each, '.', '-')", "each", "does not match"),
        ("modules/budget.bicep", "replace(string(budget.monthly), '.', '-')",
         "string(budget.monthly)", "monthly.name: monthly-99.5 is not allowed"),
        ("modules/access.bicep", "guid(workspace.id, each.principal,", "guid(workspace.id,",
         "made twice"),
        ("modules/access.bicep", "principalType: each.type", "principalType: 'Robot'",
         "principalType: 'Robot' is"),
        ("modules/identities.bicep", "output identities array", "output all array",
         "identity.outputs.identities: not there"),
        ("modules/identities.bicep", "output identities array", "output identities string",
         "is no string"),
        ("modules/registry_access.bicep", "identity.name", "identity.nam", "nam: not there"),
        ("roles.yml", "  - scope: workspace\n", "  - scop: workspace\n",
         "role.scope: not there"),
        ("main.bicep", "uniqueString(", "uniqueText(", "uniqueText: not a known function"),
        ("main.bicep", "settings.?owner.?team", "settings.owner.group",
         "settings.owner.group: not there"),
        ("main.bicep", "union([], flatten(", "concat([], flatten(", "made twice"),
        ("main.bicep", "size: azure.compute.size\n", "", "compute.bicep: size: not given"),
        ("main.bicep", "size: azure.compute.size", "sizes: azure.compute.size",
         "sizes: no such parameter"),
        ("main.bicep", "size: azure.compute.size", "size: azure.compute.max_instances",
         "size: 2 is no string"),
        ("modules/watch.bicep", "'budget.bicep'", "'budgets.bicep'", "is not there"),
        ("main.bicep", "scope: registryGroup", "scope: prefix", "registry.scope: not the resource"),
        ("main.bicep", "dependsOn: [identity, workspace]", "dependsOn: [workspace]",
         "compute: uses identity of identity, and does not wait for it"),
        ("modules/access.bicep", "name: names.storage", "id: names.storage", "tells which one"),
        ("modules/access.bicep", "parent: data", "parent: storage", "container: nobody makes"),
        ("modules/access.bicep", "  parent: data\n", "", "blobs.parent: nothing is not above"),
        ("modules/watch.bicep", "  name: 'budget'\n", "", "budget: name: missing"),
        ("main.bicep", "name: 'key-vault'", "name: 'storage'", "two modules have this name"),
        ("modules/watch.bicep", "name: 'alerts'", "name: 'storage'", "two modules have this name"),
        ("modules/watch.bicep", "  dependsOn: [events]\n", "",
         "dispatch: uses topic of events, and does not wait for it"),
        ("main.bicep", "  dependsOn: [workspace]\n", "",
         "watch: uses workspace of workspace, and does not wait for it"),
        ("main.bicep", "output registryName string", "output registryName int", "is no int"),
        ("dev.bicepparam", "param settings", "param setting", "settings: not given"),
        ("dev.bicepparam", "loadYamlContent", "loadYamlText", "loadYamlText: not a known"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_bicep_is_found(path: str, old: str, new: str, finding: str) -> None:
    def on(settings: Settings) -> None:
        everything_on(settings)
        # One group that is two things is given a role that both have once.
        settings["access"]["data_scientists"] = settings["access"]["ml_engineers"]

    files = infrastructure(on, name_prefix="a" * 11)
    found = check(mutated(files, path, old, new), "infrastructure/dev.bicepparam")
    assert any(finding in each for each in found), found[:5]


@pytest.mark.parametrize(
    ("path", "old", "new", "finding"),
    [
        ("main.bicep", "workspaceName: source.workspace", "workspaceName: names.workspace",
         "workspace: nobody makes"),
        ("main.bicep", "source.resource_group)", "azure.resource_group)", "workspace: nobody makes"),
        ("main.bicep", "resourceGroup(source.", "resourceGroups(source.", "not a known function"),
    ],
)  # fmt: skip
def test_a_mistake_about_the_environment_before_is_found(
    path: str, old: str, new: str, finding: str
) -> None:
    files = mutated(infrastructure(everything_on), path, old, new)
    found = check(files, "infrastructure/prod.bicepparam")
    assert any(finding in each for each in found), found[:5]
