"""Who may do what: every role assignment of every topology, against a table written by hand.

A line of the table is a principal, a scope and a role. The tables know nothing of roles.yml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml

from ..conftest import TEMPLATE
from ..matrix import CHOICES
from .bicep import SUBSCRIPTION, Deployment, Resource, deployment
from .projects import everything_on, group, infrastructure

FOLDER = TEMPLATE / "{{cookiecutter.project_slug}}" / "infrastructure"
PERSONAS = ("data_scientists", "ml_engineers", "data_engineers", "infrastructure_team")
Right = tuple[str, str, str]

# The built-in roles, from Azure's own list.
BUILT_IN = {
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
    "b556d68e-0be0-4f35-a333-ad7ee1ce17ea": "Azure AI Enterprise Network Connection Approver",
    "f6c7c914-8db3-469d-8ca1-694a8f32e121": "AzureML Data Scientist",
    "1823dd4f-9b8c-4ab6-ab4e-7397a3684615": "AzureML Registry User",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "f1a07417-d97a-45cb-824c-7a7467783830": "Managed Identity Operator",
    "43d0d8ad-25c7-4714-9337-8ba259a9fe05": "Monitoring Reader",
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a": "Storage Queue Data Message Sender",
}
WRITING = {"Storage Blob Data Contributor", "Storage Blob Data Owner"}

# In an environment with a workspace of its own. {e} is the environment.
DATA_SCIENTISTS = """
    data_scientists     workspace           AzureML Data Scientist
    data_scientists     raw                 Storage Blob Data Reader
    data_scientists     training            Storage Blob Data Contributor
    data_scientists     identity {e}        Managed Identity Operator
"""
EVERYWHERE = """
    ml_engineers        workspace           AzureML Data Scientist
    ml_engineers        data                Storage Blob Data Reader
    ml_engineers        identity {e}        Managed Identity Operator
    ml_engineers        group               Monitoring Reader
    ml_engineers        registry            AzureML Registry User
    data_engineers      data                Storage Blob Data Owner
    data_engineers      data                Reader
    data_engineers      workspace           Reader
    infrastructure_team  group              Contributor
    infrastructure_team  registry           Contributor
    {e}-ci-cd           workspace           AzureML Data Scientist
    {e}-ci-cd           identity {e}        Managed Identity Operator
    {e}-ci-cd           registry            AzureML Registry User
    {e}-ci-cd           training            Storage Blob Data Reader
    {e}-compute         storage             Storage Blob Data Contributor
    {e}-compute         group               AcrPull
    {e}-compute         raw                 Storage Blob Data Reader
    {e}-compute         training            Storage Blob Data Contributor
    {e}-compute         registry            Reader
    {e}-endpoint        container registry  AcrPull
    {e}-endpoint        storage             Storage Blob Data Contributor
    {e}-endpoint        registry            Reader
    events              queue               Storage Queue Data Message Sender
    logic app           secret              Key Vault Secrets User
    workspace           group               Azure AI Enterprise Network Connection Approver
"""
AFTER_DEV = """
    {e}-compute         production          Storage Blob Data Reader
"""

IN_PRODUCTION = """
    prod-monitoring     workspace           Reader
    prod-monitoring     group               Monitoring Reader
    prod-monitoring     storage             Storage Blob Data Reader
    prod-monitoring     production          Storage Blob Data Reader
"""

# {b} is the environment before.
AFTER_ANOTHER = """
    {e}-ci-cd           workspace of {b}    Reader
"""

# Where environments share a workspace. {e} is each environment; {o} is each for each.
SHARED = """
    data_scientists     workspace           Data Scientist without Endpoints
    data_scientists     raw                 Storage Blob Data Reader
    data_scientists     training            Storage Blob Data Contributor
    ml_engineers {e}    workspace           AzureML Data Scientist
    ml_engineers {e}    data                Storage Blob Data Reader
    ml_engineers {e}    identity {o}        Managed Identity Operator
    ml_engineers {e}    group               Monitoring Reader
    data_engineers {e}  data                Storage Blob Data Owner
    data_engineers {e}  data                Reader
    data_engineers {e}  workspace           Reader
    infrastructure_team {e}  group          Contributor
    {e}-ci-cd           workspace           AzureML Data Scientist
    {e}-ci-cd           identity {o}        Managed Identity Operator
    {e}-ci-cd           training            Storage Blob Data Reader
    prod-monitoring     workspace           Reader
    prod-monitoring     group               Monitoring Reader
    prod-monitoring     storage             Storage Blob Data Reader
    prod-monitoring     production          Storage Blob Data Reader
    shared-compute      storage             Storage Blob Data Contributor
    shared-compute      group               AcrPull
    shared-compute      raw                 Storage Blob Data Reader
    shared-compute      training            Storage Blob Data Contributor
    {e}-endpoint        container registry  AcrPull
    {e}-endpoint        storage             Storage Blob Data Contributor
    events              queue               Storage Queue Data Message Sender
    logic app           secret              Key Vault Secrets User
    workspace           group               Azure AI Enterprise Network Connection Approver
"""


def table(
    text: str, environment: str, environments: list[str], before: str | None = None
) -> set[Right]:
    """The lines of a table: a person's group is that of the environment, unless one is written."""
    rights = set()
    for line in text.strip().splitlines():
        for e in environments:
            for o in environments:
                who, scope, role = re.split(r"\s{2,}", line.strip().format(e=e, o=o, b=before))
                rights.add((f"{who} {environment}" if who in PERSONAS else who, scope, role))
    return rights


def rights(found: Deployment) -> set[Right]:
    """Every role assignment that a deployment makes: who, where, what."""
    every = found.everything()
    roles = BUILT_IN | {
        each.name: each.body["properties"]["roleName"].rpartition(" (")[0]
        for each in every
        if each.kind == "Microsoft.Authorization/roleDefinitions"
    }
    given = [each for each in every if each.kind == "Microsoft.Authorization/roleAssignments"]
    assert len({each.id for each in given}) == len(given)
    for each in given:
        properties = each.body["properties"]
        is_group = properties["principalId"] in people()
        assert properties["principalType"] == ("Group" if is_group else "ServicePrincipal")
    return {
        (
            _who(each.body["properties"]["principalId"]),
            _where(each, found.value("azure")["resource_group"]),
            roles[each.body["properties"]["roleDefinitionId"].rpartition("/")[2]],
        )
        for each in given
    }


def people() -> dict[str, str]:
    environments = ("dev", "test", "staging", "prod")
    return {group(persona, e): f"{persona} {e}" for persona in PERSONAS for e in environments}


def _who(principal: str) -> str:
    name = principal.removeprefix("principalId of ")
    for start, who in {"mlw-": "workspace", "egst-": "events", "logic-": "logic app"}.items():
        if name.startswith(start):
            return who
    return people().get(principal) or name.removeprefix("id-churnmodel-")


def _where(assignment: Resource, group: str) -> str:
    """What an assignment is on; and of which environment, where that is not the group's."""
    scope = assignment.scope
    if scope is None:
        return "subscription" if assignment.base == SUBSCRIPTION else "group"
    match scope.kind.partition("/")[2]:
        case "storageAccounts":
            return "data" if scope.name.startswith("churnmodeldata") else "storage"
        case "storageAccounts/blobServices/containers":
            return str(scope.name)
        case "storageAccounts/queueServices/queues":
            return "queue"
        case "vaults/secrets":
            return "secret"
        case "userAssignedIdentities":
            return f"identity {scope.name.removeprefix('id-churnmodel-').partition('-')[0]}"
        case "workspaces":
            of = assignment.base.rpartition("/")[2]
            return "workspace" if of == group else f"workspace of {of.rpartition('-')[2]}"
    return "registry" if "MachineLearning" in scope.kind else "container registry"


def deployments() -> Iterator[tuple[str, str]]:
    """Every topology, and each of its deployments."""
    for environments in CHOICES["environments"]:
        yield from ((environments, name) for name in environments.split("-"))
        yield environments, "shared"


def deployed(environments: str, name: str) -> Deployment:
    workspaces = "one-shared" if name == "shared" else "one-per-environment"
    files = infrastructure(everything_on, environments=environments, workspaces=workspaces)
    return deployment(files, f"infrastructure/{name}.bicepparam")


@pytest.mark.parametrize(("environments", "name"), deployments())
def test_who_may_do_what(environments: str, name: str) -> None:
    names = environments.split("-")
    if name == "shared":
        expected = table(SHARED, "dev", names)
    else:
        first = name == names[0]
        lines = EVERYWHERE + (DATA_SCIENTISTS if first else AFTER_DEV + AFTER_ANOTHER)
        lines += IN_PRODUCTION if name == "prod" else ""
        before = None if first else names[names.index(name) - 1]
        expected = table(lines.replace("\n\n", "\n"), name, [name], before)
    assert rights(deployed(environments, name)) == expected


@pytest.mark.parametrize(("environments", "name"), deployments())
def test_what_nobody_may(environments: str, name: str) -> None:
    given = rights(deployed(environments, name))
    assert not [right for right in given if right[1] == "subscription"]
    assert not [right for right in given if right[2] in ("Owner", "User Access Administrator")]
    assert {who for who, _, role in given if role == "Contributor"} <= {
        f"infrastructure_team {e}" for e in environments.split("-")
    }
    # In another environment: nothing but what its models are, which CI/CD takes from there.
    assert {(who, role) for who, scope, role in given if " of " in scope} <= {
        (f"{name}-ci-cd", "Reader")
    }
    # Raw and production data: written by data engineers, and by nobody else.
    writers = {who for who, scope, role in given if scope in ("raw", "production", "data")
               and role in WRITING}  # fmt: skip
    assert all(who.startswith("data_engineers") for who in writers)
    # What monitors production changes nothing there, and an event leads to nothing but its own.
    assert {role for who, _, role in given if who.endswith("-monitoring")} <= {
        "Reader", "Monitoring Reader", "Storage Blob Data Reader",
    }  # fmt: skip
    assert {scope for who, scope, _ in given if who in ("events", "logic app")} == {
        "queue",
        "secret",
    }
    # A data scientist works in dev: nothing elsewhere, and nothing that leads to production's data.
    theirs = {right for right in given if right[0].startswith("data_scientists")}
    assert {who for who, *_ in theirs} <= {"data_scientists dev"}
    assert bool(theirs) == (name in ("dev", "shared"))
    assert not {scope for _, scope, _ in theirs} & {"data", "production", "storage", "registry"}
    # Who may start a job acts as the cluster: so its rights are theirs too.
    if theirs:
        cluster = {scope for who, scope, _ in given if who.endswith("-compute")}
        assert not cluster & {"data", "production"}


def test_a_data_scientist_in_a_shared_workspace_touches_no_endpoint() -> None:
    every = deployed("dev-prod", "shared").everything()
    role = next(each for each in every if each.kind == "Microsoft.Authorization/roleDefinitions")
    allowed = role.body["properties"]["permissions"][0]

    def may(action: str) -> bool:
        def named(patterns: list[str]) -> bool:
            return any(
                re.fullmatch(re.escape(each).replace(r"\*", ".*"), action, re.IGNORECASE)
                for each in patterns
            )

        action = f"Microsoft.MachineLearningServices/workspaces/{action}"
        return named(allowed["actions"]) and not named(allowed["notActions"])

    for action in ("read", "jobs/write", "jobs/cancel/action", "models/versions/write",
                   "data/versions/write", "environments/build/action", "onlineEndpoints/read",
                   "datastores/listSecrets/action"):  # fmt: skip
        assert may(action), action
    for kind in ("onlineEndpoints", "batchEndpoints"):
        for action in ("write", "delete", "deployments/write", "deployments/delete", "score/action",
                       "listKeys/action", "token/action", "jobs/write"):  # fmt: skip
            assert not may(f"{kind}/{action}"), action
    for action in ("write", "delete", "computes/write", "datastores/write", "outboundRules/write"):
        assert not may(action), action


def test_without_groups_no_person_has_a_right() -> None:
    for workspaces in CHOICES["workspaces"]:
        files = infrastructure(workspaces=workspaces)
        for path in (path for path in files if path.endswith(".bicepparam")):
            machines = {
                f"{name}-{kind}"
                for name in ("dev", "staging", "prod", "shared")
                for kind in ("ci-cd", "compute", "endpoint", "monitoring")
            }
            assert {who for who, *_ in rights(deployment(files, path))} <= {*machines, "events"}


def test_one_group_in_every_file_has_each_right_once() -> None:
    def on(settings: dict) -> None:
        everything_on(settings)
        settings["access"] = dict.fromkeys(PERSONAS, group("ml_engineers", "dev").upper())

    files = infrastructure(on, workspaces="one-shared")
    given = rights(deployment(files, "infrastructure/shared.bicepparam"))
    assert ("ml_engineers dev", "workspace", "AzureML Data Scientist") in given


def test_the_table_says_of_each_role_the_id_that_it_has() -> None:
    roles = yaml.safe_load((FOLDER / "roles.yml").read_text(encoding="utf-8"))
    assert list(roles) == [
        *PERSONAS, "ci_cd", "monitoring", "compute", "endpoint", "events", "logic_app", "workspace",
    ]  # fmt: skip
    every = [role for given in roles.values() for role in given]
    assert {role["id"]: role["role"] for role in every if "id" in role}.items() <= BUILT_IN.items()
    assert [role["role"] for role in every if "id" not in role] == [
        "Data Scientist without Endpoints"
    ]
    assert {key for role in every for key in role} == {
        "scope",
        "role",
        "id",
        "workspaces",
        "network",
    }
    assert {role.get("workspaces") for role in every} <= {None, *CHOICES["workspaces"]}
