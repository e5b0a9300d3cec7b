"""From workspace to workspace: through the registry, by a copy, or by stages in a shared one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlops.digests import digest_path
from mlops.errors import MlopsError, Refused
from mlops.promotion import promote
from mlops.workspaces import ModelVersion
from mlops.workspaces.azure.tracking import artifacts_of, fetch
from tests.azure.conftest import Azure
from tests.azure.projects import AzureProject, make_project, receive, silent

pytestmark = pytest.mark.slow
IMPORTS = "POST .*/registries/mlr-churnmodel/import"


def passed_in_dev(project: AzureProject) -> ModelVersion:
    """A version in dev that passed what dev tests."""
    dev = project.workspace("dev")
    return dev.set_tags(receive(dev), {"rollout.dev": "passed"})


def promoted(project: AzureProject) -> ModelVersion:
    dev, prod = project.workspace("dev"), project.workspace("prod")
    version, decision = promote(dev.project, dev, prod, report=silent)
    assert decision.accepted and decision.facts["promoted_from"] == "dev"
    return version


def edit(project: AzureProject, environment: str, old: str, new: str) -> None:
    file = project.root / "environments" / f"{environment}.yml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_it_goes_through_the_registry_once(azure: Azure, tmp_path: Path) -> None:
    project = make_project(azure, tmp_path)
    origin = passed_in_dev(project)
    version = promoted(project)
    assert version.digest == origin.digest and version.origin == origin.origin
    assert version.tags["promoted_from"] == "dev/1" and version.passed("gate", "prod")
    label = f"{origin.origin.rpartition('/')[2]}-{origin.digest[:8]}"
    address = f"azureml://registries/mlr-churnmodel/models/churn-model/versions/{label}"
    assert version.tags["registry_model"] == address
    assert len(azure.stand_in.sent(IMPORTS)) == 1
    assert promoted(project).number == version.number, "the same again is the same version"
    assert len(azure.stand_in.sent(IMPORTS)) == 1
    assert len(project.workspace("prod").versions()) == 1
    (decision, again) = project.workspace("prod").decisions()
    assert decision.kind == again.kind == "promotion"
    assert project.workspace("prod").decisions("promotion") == [decision, again]
    assert project.workspace("prod").decisions("monitor") == []
    assert version.tags["trained"] == origin.trained != ""


def test_where_it_comes_from_it_is_only_read(azure: Azure, tmp_path: Path) -> None:
    """As CI/CD, which is a `Reader` of the environment before and nothing else there, must do it."""
    project = make_project(azure, tmp_path)
    passed_in_dev(project)
    before = len(azure.stand_in.requests)
    promoted(project)
    sent = [each.line for each in azure.stand_in.requests[before:]]
    there = [line for line in sent if "workspaces/mlw-churnmodel-dev" in line]
    assert there
    reading = re.compile(r"GET .*|POST .*/mlflow/[a-z-]+/search")
    assert [line for line in there if not reading.fullmatch(line)] == []


def test_without_a_registry_it_is_copied(azure: Azure, tmp_path: Path) -> None:
    project = make_project(azure, tmp_path)
    for environment in ("dev", "prod"):
        edit(project, environment, "  registry: mlr-churnmodel", "  # registry: none")
    origin = passed_in_dev(project)
    version = promoted(project)
    assert version.digest == origin.digest
    assert "registry_model" not in version.tags
    assert not azure.stand_in.sent(".*registries.*")


def test_a_shared_workspace_keeps_one_version_and_tells_by_tags(
    azure: Azure, tmp_path: Path
) -> None:
    project = make_project(azure, tmp_path, workspaces="one-shared")
    origin = passed_in_dev(project)
    assert project.workspace("prod").versions() == [], "dev's versions are not prod's"
    runs = len(azure.stand_in.sent("POST .*/mlflow/runs/create"))
    version = promoted(project)
    assert version.number == origin.number
    assert version.passed("gate", "prod") and version.passed("gate", "dev")
    made = azure.stand_in.sent("POST .*/mlflow/runs/create")[runs:]
    assert len(made) == 1, "a record of the decision, and no copy"
    dev, prod = project.workspace("dev"), project.workspace("prod")
    assert dev.environment.endpoint("online") != prod.environment.endpoint("online")


def test_the_gate_of_the_target_refuses_as_locally(azure: Azure, tmp_path: Path) -> None:
    project = make_project(azure, tmp_path)
    passed_in_dev(project)
    edit(project, "prod", "roc_auc: 0.96", "roc_auc: 0.9999")
    with pytest.raises(Refused, match="roc_auc"):
        promoted(project)
    prod = project.workspace("prod")
    assert prod.versions() == []
    (decision,) = prod.decisions()
    assert not decision.accepted and any("roc_auc" in line for line in decision.refusals)
    assert not azure.stand_in.sent(IMPORTS), "what is refused is not shared"


def test_files_that_are_not_those_that_were_registered_are_refused(
    azure: Azure, tmp_path: Path
) -> None:
    project = make_project(azure, tmp_path)
    version = passed_in_dev(project)
    files = project.workspace("dev").files(version)
    (files / "model" / "contract.yml").write_text("title: another")
    with pytest.raises(MlopsError, match="digest of model, contract and code"):
        promoted(project)


def test_a_file_named_like_a_folder_beside_it_is_fetched_as_a_file(
    azure: Azure, tmp_path: Path
) -> None:
    prod = make_project(azure, tmp_path / "project").workspace("prod")
    there = tmp_path / "code"
    for name in ("a/one.py", "a/b/two.py", "a_b.py", "a/b_c.py"):
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_text(name)
    client = prod._mlflow
    with artifacts_of(client):
        run = client.create_run(client.create_experiment("files")).info.run_id
        client.log_artifacts(run, str(there), "code")
    fetched = fetch(client, run, "code", tmp_path / "fetched")
    assert digest_path(fetched) == digest_path(there)
