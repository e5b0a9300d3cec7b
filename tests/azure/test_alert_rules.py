"""The alert rules about an endpoint: missing until there is one, and moved to what is in use."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from mlops import workspaces
from mlops.workspaces.azure.alert_rules import (
    ABOUT_THE_DEPLOYMENT,
    ABOUT_THE_ENDPOINT,
    AlertRules,
)
from mlops.workspaces.azure.arm import Arm
from tests.azure.conftest import Azure
from tests.azure.projects import AzureProject, make_project
from tests.infrastructure.bicep import SUBSCRIPTION, Deployment, deployment


class Deployments(list[list[str]]):
    """The Azure CLI: what it was asked to deploy, made in the stand-in as the files say.

    The files are read as the tests of the infrastructure read them.
    """

    def __init__(self, azure: Azure) -> None:
        self.azure = azure

    def run(self, program: str, words: Sequence[str], *, root: Path) -> str:
        """Deploy a file."""
        assert program == "az"
        self.append(list(words))
        files = {path.relative_to(root).as_posix(): path.read_text()
                 for folder in ("infrastructure", "environments")
                 for path in (root / folder).rglob("*") if path.is_file()}  # fmt: skip
        option = dict(pairwise(words))
        if words[1] == "sub":
            found = deployment(files, option["--parameters"])
        else:
            pairs = [word.split("=", 1) for word in words if "=" in word]
            given = {name: int(value) if name == "p95Milliseconds" else value
                     for name, value in pairs}  # fmt: skip
            base = f"{SUBSCRIPTION}/resourceGroups/{option['--resource-group']}"
            found = Deployment(files, option["--template-file"], given, base)
        assert found.all_findings() == []
        for each in found.everything():
            if each.kind in ("Microsoft.Insights/actionGroups", "Microsoft.Insights/metricAlerts"):
                path = each.id.replace(SUBSCRIPTION, f"/subscriptions/{self.azure.subscription}")
                made = {"id": path, "name": each.name, "properties": each.body["properties"]}
                self.azure.stand_in.scopes.insights[path.lower()] = made
        return ""


@pytest.fixture
def deployed(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> Deployments:
    """What was deployed so far."""
    made = Deployments(azure)
    monkeypatch.setattr("mlops.infrastructure.run", made.run)
    return made


@pytest.fixture
def project(azure: Azure, deployed: Deployments, tmp_path: Path) -> AzureProject:
    return make_project(azure, tmp_path)


def missing(project: AzureProject, environment: str = "prod") -> list[str]:
    """What concerns alerts and is not there."""
    return [need.name for need in project.workspace(environment).requirements()
            if not need.satisfied and ("alert" in need.name or "action group" in need.name)]  # fmt: skip


class Served:
    """An endpoint of prod whose traffic a test moves; no server stands behind it."""

    def __init__(self, project: AzureProject) -> None:
        self.workspace = project.workspace("prod")
        self.name = self.workspace.environment.endpoint("online")
        self.traffic: dict[str, int] = {}

    def read(self) -> workspaces.Endpoint:
        """The endpoint as it is now."""
        deployments = {name: workspaces.Deployment(name, 1, "now") for name in self.traffic}
        return workspaces.Endpoint(self.name, deployments, self.traffic)

    def rules(self) -> AlertRules:
        """The alert rules about it."""
        where = self.workspace
        return AlertRules(where.project, where.environment, Arm(where._credential), self)

    def missing(self) -> list[str]:
        """The rules that are not there."""
        return [need.name for need in self.rules().rules() if not need.satisfied]


def scope(azure: Azure, rule: str) -> str:
    (found,) = (each for path, each in azure.stand_in.scopes.insights.items()
                if path.endswith(f"/metricalerts/{rule}"))  # fmt: skip
    return str(found["properties"]["scopes"][0])


def test_the_rules_are_missing_until_they_are_made_and_are_made_once(
    azure: Azure, project: AzureProject, deployed: Deployments
) -> None:
    name = project.workspace("prod").environment.endpoint("online")
    assert missing(project) == [
        "action group ag-churnmodel-prod",
        f"alert rules of endpoint {name}",
    ]
    project.workspace("prod").provide()
    assert missing(project) == []
    assert [words[:3] for words in deployed] == [
        ["deployment", "sub", "create"],
        ["deployment", "group", "create"],
    ]
    option = dict(pairwise(deployed[1]))
    assert option["--name"] == f"{name}-alerts"
    assert option["--resource-group"] == "rg-churnmodel-prod"
    assert option["--subscription"] == azure.subscription
    assert scope(azure, f"{name}-errors").endswith(f"/onlineEndpoints/{name}")
    project.workspace("prod").provide()
    assert [words for words in deployed if words[1] == "group"] == [deployed[1]]


def test_the_rules_about_machines_follow_the_version_in_use(
    azure: Azure, project: AzureProject
) -> None:
    served = Served(project)
    served.traffic = {"version-3": 100}
    about = f"alert rules of endpoint {served.name}"
    assert served.missing() == [about, "alert rules of deployment version-3"]
    served.rules().make()
    assert served.missing() == []
    assert scope(azure, f"{served.name}-cpu").endswith("/deployments/version-3")
    made = set(azure.stand_in.scopes.insights)
    assert {path.rpartition("/")[2] for path in made} == {
        f"{served.name}-{rule}" for rule in (*ABOUT_THE_ENDPOINT, *ABOUT_THE_DEPLOYMENT)
    }
    served.traffic = {"version-3": 10, "version-4": 90}
    assert served.missing() == ["alert rules of deployment version-4"]
    served.rules().make()
    assert served.missing() == []
    assert scope(azure, f"{served.name}-memory").endswith("/deployments/version-4")
    assert set(azure.stand_in.scopes.insights) == made, "moved, not made again"


def test_another_limit_of_the_latency_is_another_rule(azure: Azure, project: AzureProject) -> None:
    Served(project).rules().make()
    assert Served(project).missing() == []
    file = project.root / "environments" / "prod.yml"
    file.write_text(file.read_text().replace("p95_ms: 20000", "p95_ms: 249.5"))
    assert Served(project).missing() == [f"alert rules of endpoint {Served(project).name}"]
    Served(project).rules().make()
    assert Served(project).missing() == []


def test_what_nobody_asked_for_is_not_missing(azure: Azure, tmp_path: Path) -> None:
    project = make_project(azure, tmp_path)
    assert missing(project, "dev") == []
    file = project.root / "environments" / "prod.yml"
    text = file.read_text()
    file.write_text(text.replace("alerts: true", "alerts: false"))
    assert missing(project) == []
    file.write_text(text)
    assert len(missing(project)) == 2
    (project.root / "infrastructure" / "endpoint_alerts.bicep").unlink()
    assert missing(project) == ["action group ag-churnmodel-prod"], (
        "as in a project of an older release"
    )
    elsewhere = make_project(azure, tmp_path / "elsewhere", infrastructure="none")
    assert missing(elsewhere) == [], "who makes the workspaces makes their alerts"


def test_who_may_not_read_the_group_is_told_who_may(azure: Azure, project: AzureProject) -> None:
    azure.stand_in.fail(
        "GET .*/Microsoft.Insights/.*", times=10, status=403, code="AuthorizationFailed"
    )
    needs = [need for need in project.workspace("prod").requirements()
             if "alert" in need.name or "action group" in need.name]  # fmt: skip
    assert len(needs) == 2
    assert not any(need.satisfied or need.makeable for need in needs)
    assert {need.remedy for need in needs} == {
        "who may read the resource group, such as ML engineers, sees it"
    }


def test_a_shared_workspace_mails_from_one_group(azure: Azure, tmp_path: Path) -> None:
    project = make_project(azure, tmp_path, workspaces="one-shared")
    assert "action group ag-churnmodel-shared" in missing(project)
    assert missing(project, "dev") == []
