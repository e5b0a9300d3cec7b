"""What a person reads when Azure says no: what is missing, for whom, on which resource."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops.errors import MlopsError
from tests.azure.conftest import Azure
from tests.azure.projects import AzureProject, make_project


@pytest.fixture
def project(azure: Azure, tmp_path: Path) -> AzureProject:
    return make_project(azure, tmp_path, infrastructure="none")


def message(project: AzureProject, environment: str = "dev") -> str:
    with pytest.raises(MlopsError) as caught:
        project.workspace(environment).versions()
    assert "eyJ" not in str(caught.value), "no token in a message"
    return str(caught.value)


def test_nobody_is_signed_in(azure: Azure, project: AzureProject) -> None:
    azure.sign_in("nobody")
    assert f"not signed in to Azure: run `az login --tenant {azure.tenant}`" in message(project)


def test_a_wrong_tenant(azure: Azure, project: AzureProject) -> None:
    azure.stand_in.identity("stranger").tenant = "99999999-0000-0000-0000-000000000000"
    azure.sign_in("stranger")
    said = message(project)
    assert "another tenant" in said and f"az login --tenant {azure.tenant}" in said


def test_no_permission_names_who_needs_which_role_on_what(
    azure: Azure, project: AzureProject
) -> None:
    identity = azure.stand_in.identity("data-scientist")
    identity.allowed = []
    azure.sign_in("data-scientist")
    said = message(project)
    assert identity.object_id in said
    assert "AzureML Data Scientist" in said
    assert "mlw-churnmodel-dev" in said and "az role assignment create" in said


def test_a_workspace_that_is_not_there(azure: Azure, project: AzureProject) -> None:
    file = project.root / "environments" / "dev.yml"
    file.write_text(file.read_text().replace("mlw-churnmodel-dev", "mlw-elsewhere"))
    said = message(project)
    assert "mlw-elsewhere" in said and "mlops workspaces apply --env dev" in said


def test_a_subscription_that_is_not_there(azure: Azure, project: AzureProject) -> None:
    file = project.root / "environments" / "dev.yml"
    other = "99999999-1111-2222-3333-444444444444"
    file.write_text(file.read_text().replace(azure.subscription, other))
    said = message(project)
    assert f"no subscription {other}" in said and "dev.yml" in said


def test_an_exhausted_quota(azure: Azure, project: AzureProject) -> None:
    azure.stand_in.fail(
        "GET .*/workspaces/mlw-churnmodel-dev", status=409, code="QuotaExceeded",
        message="Not enough quota available for Standard_DS3_v2 in eastus.",
    )  # fmt: skip
    said = message(project)
    assert "quota" in said and azure.subscription in said and "azure.compute" in said


def test_azure_that_cannot_be_reached(azure: Azure, project: AzureProject) -> None:
    azure.stand_in.fail("GET .*/workspaces/mlw-churnmodel-dev", times=20, status="drop before")
    assert "Azure cannot be reached" in message(project)


def test_the_packages_for_azure_are_an_extra(
    project: AzureProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops.errors import UsageError
    from mlops.project import find_project
    from mlops.workspaces import open_workspace
    from mlops.workspaces.azure import workspace

    monkeypatch.setattr(workspace, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="make azure"):
        open_workspace(find_project(project.root), "dev")
