"""`mlops workspaces` on Azure: what is missing, who makes it, and that again makes nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.azure.conftest import Azure
from tests.azure.projects import AzureProject, calls, fake_az, make_project

# What a deployment makes: the fake `az` asks the stand-in for it, as Resource Manager would.
DEPLOYMENT = """
import os, sys, requests
from azure.identity import DefaultAzureCredential
if "create" in sys.argv:
    token = DefaultAzureCredential().get_token("https://management.azure.com/.default").token
    for path, version, body in {made}:
        requests.put("https://management.azure.com" + path + "?api-version=" + version, json=body,
                     headers={{"Authorization": "Bearer " + token}}).raise_for_status()
else:
    print("Resource and property changes are indicated with this symbol:\\n  + Create")
"""


@pytest.fixture
def project(azure: Azure, tmp_path: Path) -> AzureProject:
    return make_project(azure, tmp_path)


def deployment(azure: Azure, folder: Path) -> dict[str, str]:
    """An `az` whose deployment makes the cluster and the datastore that dev lacks."""
    workspace = azure.stand_in.workspace_id("rg-churnmodel-dev", "mlw-churnmodel-dev")
    cluster = {
        "location": "eastus",
        "properties": {"computeType": "AmlCompute", "properties": {"vmSize": "Standard_DS3_v2"}},
    }
    datastore = {"properties": {
        "datastoreType": "AzureBlob", "accountName": "data", "containerName": "training",
        "credentials": {"credentialsType": "None"},
    }}  # fmt: skip
    made = [
        (f"{workspace}/computes/cpu-cluster", "2023-08-01-preview", cluster),
        (f"{workspace}/datastores/training", "2024-10-01-preview", datastore),
    ]
    folder.mkdir()
    script = folder / "deployment.py"
    script.write_text(DEPLOYMENT.format(made=repr(made)))
    return fake_az(folder, f'exec "{sys.executable}" "{script}" "$@"')


def test_what_is_missing_is_planned_made_and_not_made_again(
    azure: Azure, project: AzureProject, tmp_path: Path
) -> None:
    az = deployment(azure, tmp_path / "az")
    check = project.run("workspaces", "check", "--env", "dev", status=1, **az)
    for missing in ("cluster cpu-cluster", "datastore training", "image training:", "endpoint "):
        assert missing in check
    assert "mlops workspaces apply --env dev" in check

    summary = tmp_path / "summary.md"
    plan = project.run("workspaces", "plan", "--env", "dev", **az, MLOPS_SUMMARY=str(summary))
    assert "+ dev: cluster cpu-cluster" in plan and "+ Create" in plan
    page = summary.read_text()
    assert "    + dev: cluster cpu-cluster\n" in page
    assert "## The infrastructure of dev, as Azure sees it\n\n    Resource and" in page
    assert "      + Create\n" in page
    (asked,) = calls(tmp_path / "az")
    assert asked.startswith("deployment sub what-if --name churnmodel-dev --location ")
    assert f"--subscription {azure.subscription}" in asked
    assert "--parameters infrastructure/dev.bicepparam" in asked

    project.run("workspaces", "apply", "--env", "dev", **az)
    assert calls(tmp_path / "az")[-1].startswith("deployment sub create --name churnmodel-dev")
    made = azure.stand_in.sent("PUT .*")
    project.run("workspaces", "check", "--env", "dev", **az)
    project.run("workspaces", "apply", "--env", "dev", **az)
    assert len(calls(tmp_path / "az")) == 2, "nothing is missing: nothing is deployed"
    assert azure.stand_in.sent("PUT .*") == made


def test_a_group_holds_a_role_only_where_it_is_needed(azure: Azure, project: AzureProject) -> None:
    group = "aaaaaaaa-1111-2222-3333-444444444444"
    file = project.root / "environments" / "dev.yml"
    file.write_text(file.read_text().replace('ml_engineers: ""', f'ml_engineers: "{group}"'))
    workspace = azure.stand_in.workspace_id("rg-churnmodel-dev", "mlw-churnmodel-dev")
    registry = azure.add_registry("rg-churnmodel-registry", "mlr-churnmodel")

    def crosses() -> set[str]:
        found = project.workspace("dev").requirements()
        return {need.name for need in found if "ml_engineers" in need.name and not need.satisfied}

    def give(scope: str, role: str) -> None:
        azure.stand_in.role_assignments.append(
            {"scope": scope, "principalId": group,
             "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{role}"}
        )  # fmt: skip

    scientist, user = (
        "f6c7c914-8db3-469d-8ca1-694a8f32e121",
        "1823dd4f-9b8c-4ab6-ab4e-7397a3684615",
    )
    on_workspace = "AzureML Data Scientist on workspace for ml_engineers"
    on_registry = "AzureML Registry User on registry for ml_engineers"
    assert {on_workspace, on_registry} <= crosses()
    give(workspace.partition("/providers/")[0], scientist)
    assert on_workspace in crosses(), "on the group is not on the workspace"
    give(workspace, scientist)
    give(registry, user)
    assert not {on_workspace, on_registry} & crosses()


def test_a_scope_that_people_are_not_asked_for_is_passed_over(
    azure: Azure, project: AzureProject
) -> None:
    file = project.root / "environments" / "prod.yml"
    group = "aaaaaaaa-1111-2222-3333-444444444444"
    file.write_text(file.read_text().replace('ml_engineers: ""', f'ml_engineers: "{group}"'))
    table = project.root / "infrastructure" / "roles.yml"
    rows = table.read_text()
    row = rows[
        rows.index("  - scope: workspace_before") : rows.index("# The workflow that monitors")
    ]
    table.write_text(rows.replace("ml_engineers:\n", f"ml_engineers:\n{row.rstrip()}\n"))
    needs = [need.name for need in project.workspace("prod").requirements()]
    assert "AzureML Data Scientist on workspace for ml_engineers" in needs
    assert not [name for name in needs if "before" in name]


def test_where_the_environments_lie_is_listed(
    azure: Azure, project: AzureProject, tmp_path: Path
) -> None:
    outputs = tmp_path / "outputs"
    said = project.run("workspaces", "list", GITHUB_OUTPUT=str(outputs))
    for name in ("dev", "prod"):
        assert f"{name} " in said and f"mlw-churnmodel-{name} in rg-churnmodel-{name} of" in said
    assert outputs.read_text() == 'deployments=["dev", "prod"]\n'
    local = project.run("workspaces", "list", MLOPS_LOCAL="1", GITHUB_OUTPUT=str(outputs))
    assert ".mlops/mlw-churnmodel-dev" in local
    assert outputs.read_text().splitlines() == 2 * ['deployments=["dev", "prod"]']


@pytest.mark.parametrize(
    ("answers", "deployments"),
    [
        ({"workspaces": "one-shared"}, ["dev"]),
        ({"infrastructure": "none"}, []),
        ({"azure_subscription_id": ""}, []),
    ],
)
def test_what_is_deployed_together_is_listed_once(
    answers: dict[str, str], deployments: list[str], azure: Azure, tmp_path: Path
) -> None:
    project = make_project(azure, tmp_path, **answers)
    listed = project.answer("workspaces", "list")
    assert listed["deployments"] == deployments
    assert [each["name"] for each in listed["environments"]] == ["dev", "prod"]


def test_the_infrastructure_alone_is_deployed_in_the_order_of_the_environments(
    azure: Azure, project: AzureProject, tmp_path: Path
) -> None:
    az = fake_az(tmp_path / "az", "exit 0")
    said = project.run("workspaces", "apply", "--infrastructure-only", **az)
    assert "deployed: dev, prod" in said
    project.run("workspaces", "apply", "--infrastructure-only", "--env", "prod", **az)
    names = [call.split()[4] for call in calls(tmp_path / "az") if "deployment sub create" in call]
    assert names == ["churnmodel-dev", "churnmodel-prod", "churnmodel-prod"]
    assert len(calls(tmp_path / "az")) == 3
    assert not azure.stand_in.sent(".*"), "nothing but the deployment"


def test_a_shared_infrastructure_is_deployed_once(azure: Azure, tmp_path: Path) -> None:
    project = make_project(azure, tmp_path, workspaces="one-shared")
    az = fake_az(tmp_path / "az", "exit 0")
    project.run("workspaces", "apply", "--infrastructure-only", **az)
    (call,) = calls(tmp_path / "az")
    assert "--parameters infrastructure/shared.bicepparam" in call


def test_an_infrastructure_that_is_not_there_is_not_deployed(
    azure: Azure, project: AzureProject, tmp_path: Path
) -> None:
    az = fake_az(tmp_path / "az", "exit 0")
    apply = ("workspaces", "apply", "--env", "dev", "--infrastructure-only")
    said = project.run(*apply, status=2, MLOPS_LOCAL="1", **az)
    assert "dev does not lie in Azure" in said
    other = make_project(azure, tmp_path / "other", infrastructure="none")
    assert "leave out --infrastructure-only" in other.run(*apply, status=2, **az)
    assert not calls(tmp_path / "az")


def test_an_infrastructure_that_azure_refuses_is_told(
    azure: Azure, project: AzureProject, tmp_path: Path
) -> None:
    az = fake_az(tmp_path / "az", "echo 'AuthorizationFailed: no Owner here' >&2; exit 1")
    said = project.run("workspaces", "apply", "--infrastructure-only", status=1, **az)
    assert "az deployment sub create --name churnmodel-dev" in said
    assert "AuthorizationFailed: no Owner here" in said
    assert len(calls(tmp_path / "az")) == 1, "what comes after it is not deployed"


def test_without_infrastructure_files_somebody_else_makes_it(azure: Azure, tmp_path: Path) -> None:
    project = make_project(azure, tmp_path, infrastructure="none")
    plan = project.run("workspaces", "plan", "--env", "dev")
    assert "! dev: cluster cpu-cluster: the infrastructure team makes it" in plan


def test_an_environment_is_deleted_only_when_its_name_is_typed(
    azure: Azure, project: AzureProject, tmp_path: Path
) -> None:
    az = fake_az(tmp_path / "az", "exit 0")
    for typed in ("", "dev", "yes", "PROD"):
        said = project.run(
            "workspaces", "delete", "--env", "prod", "--confirm", typed, status=3, **az
        )
        assert "nothing is deleted: type `prod`" in said
    assert not calls(tmp_path / "az")
    project.run("workspaces", "delete", "--env", "dev", "--confirm", "dev", **az)
    assert calls(tmp_path / "az") == [
        f"group delete --name rg-churnmodel-dev --subscription {azure.subscription} --yes"
    ]


def test_a_shared_group_is_deleted_only_by_productions_name(azure: Azure, tmp_path: Path) -> None:
    project = make_project(azure, tmp_path, workspaces="one-shared")
    az = fake_az(tmp_path / "az", "exit 0")
    said = project.run("workspaces", "delete", "--env", "dev", "--confirm", "dev", status=3, **az)
    assert "dev, prod" in said and "type `prod`" in said
    assert not calls(tmp_path / "az")


def test_a_teardown_never_reaches_production(
    azure: Azure, project: AzureProject, tmp_path: Path
) -> None:
    az = fake_az(tmp_path / "az", "exit 0")
    delete = ("workspaces", "delete", "--not-production")
    said = project.run(*delete, "--env", "prod", "--confirm", "prod", status=3, **az)
    assert "prod lies in this resource group" in said
    shared = make_project(azure, tmp_path / "shared", workspaces="one-shared")
    for typed in ("dev", "prod"):
        shared.run(*delete, "--env", "dev", "--confirm", typed, status=3, **az)
    assert not calls(tmp_path / "az")
    project.run(*delete, "--env", "dev", "--confirm", "prod", status=3, **az)
    project.run(*delete, "--env", "dev", "--confirm", "dev", **az)
    assert len(calls(tmp_path / "az")) == 1


def test_what_the_project_did_not_make_it_does_not_delete(azure: Azure, tmp_path: Path) -> None:
    project = make_project(azure, tmp_path, infrastructure="none")
    az = fake_az(tmp_path / "az", "exit 0")
    said = project.run("workspaces", "delete", "--env", "dev", "--confirm", "dev", status=3, **az)
    assert "was not made by this project" in said
    assert not calls(tmp_path / "az")


def test_where_nobody_can_type_nothing_is_deleted(project: AzureProject) -> None:
    said = project.run("workspaces", "delete", "--env", "dev", status=3)
    assert "nothing is deleted: nobody typed `dev`" in said


def test_a_missing_azure_cli_is_named(project: AzureProject, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = project.run(
        "workspaces", "delete", "--env", "dev", "--confirm", "dev", status=2,
        PATH=str(tmp_path / "empty"),
    )  # fmt: skip
    assert "the Azure CLI, `az`, is not installed" in said


def test_in_an_empty_subscription_all_is_planned(azure: Azure, project: AzureProject) -> None:
    azure.stand_in.reset()  # nothing was made yet
    plan = project.run("workspaces", "plan", "--env", "dev")
    for planned in ("workspace mlw-churnmodel-dev", "cluster cpu-cluster", "registry mlr-churnmodel",
                    "datastore training", "image training:", "endpoint churnmodel-dev"):  # fmt: skip
        assert f"+ dev: {planned}" in plan
