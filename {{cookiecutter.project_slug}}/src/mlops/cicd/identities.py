"""Whom the CI/CD signs in to Azure as: identities without a secret, and whose tokens they take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlops.cicd.federation import Federation
from mlops.cicd.plan import Command, Item, left, made_by, there
from mlops.cicd.refusals import Reader
from mlops.errors import UsageError
from mlops.project import Environment, Project

CREDENTIAL = "ci-cd"
"""The credential's name, which is also the one that Bicep gives it."""

AUDIENCE = "api://AzureADTokenExchange"

PRIVILEGED = {
    "Owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
    "User Access Administrator": "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
    "Role Based Access Control Administrator": "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
}
"""The roles that hand out roles: the infrastructure's identity may neither give nor take them."""


@dataclass(frozen=True)
class Account:
    """A subscription as az sees it."""

    subscription: str
    name: str
    tenant: str


@dataclass(frozen=True)
class Identity:
    """A user-assigned identity. `client_id` and `principal_id` may stand for what comes later."""

    name: str
    group: str
    account: Account
    client_id: str = ""
    principal_id: str = ""
    exists: bool = True

    @property
    def where(self) -> tuple[str, ...]:
        """The arguments that name it, but for its own name."""
        return ("--resource-group", self.group, "--subscription", self.account.subscription)


def account_of(reader: Reader, project: Project, environment: Environment) -> Account:
    """The environment's subscription.

    Raises:
        MlopsError: az is not signed in, or not in the tenant that the environment's file names.
    """
    azure = environment.settings.azure
    said = reader.ask(
        "az", "account", "show", "--subscription", azure.subscription_id, "--output", "json"
    )
    if azure.tenant_id and said["tenantId"].lower() != azure.tenant_id.lower():
        raise UsageError(
            f"{project.environment_file(environment.name)}: the tenant is {azure.tenant_id}, but az "
            f"sees the subscription in {said['tenantId']}; run `az login --tenant "
            f"{azure.tenant_id}`, or mend `azure.tenant_id`"
        )
    return Account(said["id"], said["name"], said["tenantId"])


def identity_of(reader: Reader, environment: Environment, account: Account) -> Identity:
    """The identity that the environment's stages sign in as; `exists` says whether it is there."""
    azure = environment.settings.azure
    name = f"id-{azure.name_prefix}-{environment.name}-ci-cd"
    return _found(reader, Identity(name, azure.resource_group, account))


def monitoring_identity(reader: Reader, environment: Environment, account: Account) -> Identity:
    """The identity that reads what monitors found, and changes nothing."""
    azure = environment.settings.azure
    name = f"id-{azure.name_prefix}-{environment.name}-monitoring"
    return _found(reader, Identity(name, azure.resource_group, account))


def infrastructure_identity(reader: Reader, environment: Environment, account: Account) -> Identity:
    """The identity that deploys the infrastructure, in a group of its own."""
    prefix = environment.settings.azure.name_prefix
    return _found(reader, Identity(f"id-{prefix}-infrastructure", f"rg-{prefix}-ci-cd", account))


def _found(reader: Reader, identity: Identity) -> Identity:
    said = reader.find(
        "az", "identity", "show", "--name", identity.name, *identity.where, "--output", "json"
    )
    found = said or {"clientId": "", "principalId": ""}
    return Identity(
        identity.name, identity.group, identity.account, found["clientId"], found["principalId"],
        exists=bool(said),
    )  # fmt: skip


def missing(
    project: Project, environment: Environment, identity: Identity,
    role: str = "AzureML Data Scientist",
) -> Item:  # fmt: skip
    """What to say of an environment's identity that is not there."""
    if (project.root / "infrastructure").is_dir():
        remedy = f"run `mlops workspaces apply --env {environment.name}`, then this again"
    else:
        remedy = (
            f"let who made {identity.group} make it there: `az identity create --name "
            f"{identity.name} --resource-group {identity.group}`, with the role {role} on "
            "the workspace; then run this again"
        )
    return left(f"identity {identity.name}", remedy, needed=True)


def credential(reader: Reader, identity: Identity, federation: Federation) -> Item:
    """The credential with which the identity takes the platform's tokens."""
    known = not federation.subject.startswith("$")
    what = f"federated credential of {identity.name}" + (f": {federation.subject}" * known)
    listed = identity.exists and reader.ask(
        "az", "identity", "federated-credential", "list", "--identity-name", identity.name,
        *identity.where, "--output", "json",
    )  # fmt: skip
    found = next((one for one in listed or [] if one["name"] == CREDENTIAL), None)
    same = any(
        (one["issuer"], one["subject"]) == (federation.issuer, federation.subject)
        and AUDIENCE in one["audiences"]
        for one in listed or []
    )
    if same:
        return there(what)
    return made_by(what, Command("az", (
        "identity", "federated-credential", "update" if found else "create",
        "--name", CREDENTIAL, "--identity-name", identity.name, *identity.where,
        "--issuer", federation.issuer, "--subject", federation.subject,
        "--audiences", AUDIENCE, "--output", "none",
    )))  # fmt: skip


def lingering(
    reader: Reader, project: Project, identity: Identity, name: str, issuer: str
) -> list[Item]:
    """What still lets jobs in of an environment whose approval nobody could give: a person deletes it.

    `issuer` is that of the platform's tokens; empty: only the credential of this command's name is
    meant.
    """
    if not identity.exists:
        return []
    listed = reader.ask(
        "az", "identity", "federated-credential", "list", "--identity-name", identity.name,
        *identity.where, "--output", "json",
    )  # fmt: skip
    again = ""
    if name in project.environments:
        ci_cd = project.environment(name).settings.ci_cd
        if ci_cd and ci_cd.federation:
            file = project.environment_file(name).relative_to(project.root).as_posix()
            again = f"; take `ci_cd.federation` out of {file}, or `mlops workspaces apply` makes it again"
    return [left(f"federated credential of {identity.name}: {one['subject']}", (
        "it lets jobs in, and nobody could approve of what they do: `az identity "
        f"federated-credential delete --name {one['name']} --identity-name {identity.name} "
        f"{' '.join(identity.where)} --yes`{again}"
    ), needed=True) for one in listed if one["name"] == CREDENTIAL or one["issuer"] == issuer]  # fmt: skip


def infrastructure_items(
    reader: Reader, identity: Identity, location: str, subscriptions: list[str], *, shared: bool
) -> tuple[Identity, list[Item]]:
    """What the infrastructure's identity needs, and the identity as later commands know it."""
    items = [_group(reader, identity, location)]
    what = f"identity {identity.name}"
    if identity.exists:
        items.append(there(what))
    else:
        create = ("identity", "create", "--name", identity.name, *identity.where)
        show = ("identity", "show", "--name", identity.name, *identity.where)
        items.append(made_by(
            what,
            Command("az", (*create, "--location", location, "--query", "clientId",
                           "--output", "tsv"), keeps="CLIENT_ID_INFRASTRUCTURE"),
            Command("az", (*show, "--query", "principalId", "--output", "tsv"),
                    keeps="PRINCIPAL_ID_INFRASTRUCTURE"),
        ))  # fmt: skip
        identity = Identity(
            identity.name, identity.group, identity.account,
            "$CLIENT_ID_INFRASTRUCTURE", "$PRINCIPAL_ID_INFRASTRUCTURE", exists=False,
        )  # fmt: skip
    # Only User Access Administrator may also make a role, which a shared workspace needs.
    administrator = "User Access Administrator" if shared else list(PRIVILEGED)[2]
    for subscription in subscriptions:
        assigned = identity.exists and reader.ask(
            "az", "role", "assignment", "list", "--assignee", identity.principal_id,
            "--scope", f"/subscriptions/{subscription}", "--output", "json",
        )  # fmt: skip
        items.append(_role(identity, subscription, "Contributor", "", assigned or []))
        items.append(_role(identity, subscription, administrator, condition(), assigned or []))
    return identity, items


def _group(reader: Reader, identity: Identity, location: str) -> Item:
    where = ("--name", identity.group, "--subscription", identity.account.subscription)
    what = f"resource group {identity.group}"
    if identity.exists or reader.ask("az", "group", "exists", *where):
        return there(what)
    return made_by(what, Command(
        "az", ("group", "create", *where, "--location", location, "--output", "none")
    ))  # fmt: skip


def _role(
    identity: Identity, subscription: str, role: str, rule: str, assigned: list[dict[str, Any]]
) -> Item:
    scope = f"/subscriptions/{subscription}"
    what = f"{role}{' (but for the roles that hand out roles)' if rule else ''} on {scope}"
    for one in assigned:
        if one["roleDefinitionName"] == role and one["scope"] == scope:
            said = "".join((one.get("condition") or "").split())
            if said == "".join(rule.split()):
                return there(what)
            return left(what, (
                f"{identity.name} has it with another condition: delete that, `az role assignment "
                f"delete --ids {one['id']}`, and run this again"
            ))  # fmt: skip
    limited = ("--condition", rule, "--condition-version", "2.0") if rule else ()
    return made_by(what, Command("az", (
        "role", "assignment", "create", "--assignee-object-id", identity.principal_id,
        "--assignee-principal-type", "ServicePrincipal", "--role", role, "--scope", scope,
        *limited, "--output", "none",
    )))  # fmt: skip


def condition() -> str:
    """The condition of a role assignment that excepts the privileged roles.

    Source: Microsoft, "Delegate Azure role assignment management to others with conditions".
    """
    assignments, roles = "Microsoft.Authorization/roleAssignments", ", ".join(PRIVILEGED.values())
    parts = (
        f"((!(ActionMatches{{'{assignments}/{act}'}})) OR (@{side}[{assignments}:RoleDefinitionId] "
        f"ForAnyOfAllValues:GuidNotEquals {{{roles}}}))"
        for act, side in (("write", "Request"), ("delete", "Resource"))
    )
    return " AND ".join(parts)
