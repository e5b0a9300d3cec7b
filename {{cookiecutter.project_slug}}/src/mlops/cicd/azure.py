"""What both platforms need in Azure: the environments that lie there, and whom they sign in as."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from mlops.cicd.identities import (
    Account,
    Identity,
    account_of,
    identity_of,
    infrastructure_identity,
    infrastructure_items,
    missing,
    monitoring_identity,
)
from mlops.cicd.plan import Item, left
from mlops.cicd.refusals import Reader
from mlops.errors import UsageError
from mlops.project import Environment, Project

INFRASTRUCTURE, MONITORING = "infrastructure", "monitoring"


@dataclass(frozen=True)
class Options:
    """What the command was told: see the help of `mlops connect`."""

    reviewers: bool = True
    subjects: dict[str, str] = field(default_factory=dict)
    organization: str = ""
    project: str = ""
    repository: str = ""


@dataclass(frozen=True)
class Azure:
    """Who signs in where: an identity for each environment, and that of the infrastructure."""

    identities: dict[str, Identity]
    """By environment of the project; `monitoring` is one, and `infrastructure` where the project
    deploys its own."""

    items: list[Item]

    @property
    def ready(self) -> dict[str, Identity]:
        """The identities that are there, or that commands make."""
        return {name: one for name, one in self.identities.items() if one.client_id}


def platform_name(environment: Environment) -> str:
    """What the environment is called on the platform."""
    ci_cd = environment.settings.ci_cd
    return ci_cd.environment if ci_cd else environment.name


def environments_of(project: Project) -> list[Environment]:
    """The project's environments, in order.

    Raises:
        UsageError: two of them are one on the platform: one's jobs would sign in as the other.
    """
    environments = [project.environment(name) for name in project.environments]
    names: dict[str, str] = {name: name for name in (INFRASTRUCTURE, MONITORING)}
    for one in environments:
        other = names.setdefault(platform_name(one).lower(), one.name)
        if other != one.name:
            raise UsageError(
                f"{one.document.path}:{one.document.line('ci_cd', 'environment')}: "
                f"`ci_cd.environment` is that of {other}; give each its own"
            )
    return environments


def azure_of(reader: Reader, project: Project, waiting: Collection[str] = ()) -> Azure:
    """What is there in Azure, and what it lacks; a project that names no subscription has nothing.

    Where `infrastructure` is among those that are waiting for who approves, its identity gets no role.

    Raises:
        MlopsError: az is not signed in where an environment lies.
    """
    environments = environments_of(project)
    in_azure = [one for one in environments if one.settings.azure.subscription_id]
    items = [_local(project, one) for one in environments if one not in in_azure]
    accounts = {one.name: account_of(reader, project, one) for one in in_azure}
    identities: dict[str, Identity] = {}
    for environment in in_azure:
        identity = identity_of(reader, environment, accounts[environment.name])
        identities[environment.name] = identity
        if not identity.exists:
            items.append(missing(project, environment, identity))
    if (last := environments[-1]) in in_azure:
        watcher = monitoring_identity(reader, last, accounts[last.name])
        identities[MONITORING] = watcher
        if not watcher.exists:
            items.append(missing(project, last, watcher, "Reader"))
    if in_azure and (project.root / INFRASTRUCTURE).is_dir():
        first = in_azure[0]
        identity = infrastructure_identity(reader, first, accounts[first.name])
        reached, others = _subscriptions(accounts, identity.account)
        shared = len(environments) > 1 and len({_workspace(one) for one in environments}) == 1
        identities[INFRASTRUCTURE], more = infrastructure_items(
            reader, identity, first.settings.azure.location,
            [] if INFRASTRUCTURE in waiting else reached, shared=shared,
        )  # fmt: skip
        items += more
        items += [left(f"{identity.name} in {account.name}", (
            f"that subscription belongs to another tenant, {account.tenant}, where this identity "
            "cannot go: deploy its infrastructure by hand, `mlops workspaces apply`"
        )) for account in others]  # fmt: skip
    return Azure(identities, items)


def _local(project: Project, environment: Environment) -> Item:
    file = project.environment_file(environment.name).relative_to(project.root).as_posix()
    return left(f"{environment.name} in Azure", (
        f"{file} names no subscription, so no job reaches Azure yet: write "
        f"`azure.subscription_id`, run `mlops workspaces apply --env {environment.name}`, and this "
        "again"
    ), needed=True)  # fmt: skip


def _subscriptions(accounts: dict[str, Account], home: Account) -> tuple[list[str], list[Account]]:
    distinct = {account.subscription.lower(): account for account in accounts.values()}.values()
    reached = [account.subscription for account in distinct if account.tenant == home.tenant]
    return reached, [account for account in distinct if account.tenant != home.tenant]


def _workspace(environment: Environment) -> tuple[str, str, str]:
    azure = environment.settings.azure
    return azure.subscription_id.lower(), azure.resource_group.lower(), azure.workspace.lower()
