"""What is submitted: the environment's cluster and image, a search, more than one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlops.pipeline_checks import load_pipeline
from mlops.settings import DistributedSettings
from mlops.workspaces.azure.images import image_version
from mlops.workspaces.azure.jobs import load_pipeline_job
from tests.azure.conftest import Azure
from tests.azure.projects import AzureProject, make_project, submit_small


@pytest.fixture
def project(azure: Azure, tmp_path: Path) -> AzureProject:
    return make_project(azure, tmp_path)


def loaded(project: AzureProject, name: str, distributed: DistributedSettings | None = None) -> Any:
    pipeline = load_pipeline(project.root / "pipelines" / f"{name}.yml")
    return load_pipeline_job(
        pipeline, f"{name}-0", pipeline.with_inputs({}), compute="big", image="azureml:training:1",
        experiment="churn", tags={"git_commit": "abc"}, distributed=distributed,
    )  # fmt: skip


def test_the_job_has_the_clusters_and_the_images_names(azure: Azure, project: AzureProject) -> None:
    workspace = project.workspace("dev")
    submit_small(workspace)
    (job,) = azure.stand_in.sent("PUT .*/jobs/small-.*")
    assert job.body["properties"]["settings"]["default_compute"].endswith("/computes/cpu-cluster")
    (component,) = azure.stand_in.sent("PUT .*/components/.*/versions/.*")
    image = component.body["properties"]["componentSpec"]["environment"]
    version = image_version(workspace.project, "training")
    assert image.endswith(f"/environments/training/versions/{version}")
    (registered,) = azure.stand_in.sent("PUT .*/environments/training/versions/.*")
    assert registered.path.endswith(version)
    assert (
        registered.body["properties"]["build"]["dockerfilePath"] == "containers/training/Dockerfile"
    )


@pytest.mark.parametrize(
    "changed",
    [
        "constraints.txt",
        "pyproject.toml",
        "containers/training/Dockerfile",
        "containers/python-version",
    ],
)
def test_another_input_of_the_image_is_another_version(project: AzureProject, changed: str) -> None:
    workspace = project.workspace("dev")
    before = image_version(workspace.project, "training")
    file = project.root / changed
    file.write_text(file.read_text() + "\n# changed\n")
    assert image_version(workspace.project, "training") != before


@pytest.mark.parametrize("name", ["training", "sweep"])
def test_training_is_spread_as_the_environment_says(project: AzureProject, name: str) -> None:
    setting = DistributedSettings(type="pytorch", instance_count=2, process_count_per_instance=4)
    job = loaded(project, name, setting)
    train = job.jobs["train"]
    component = getattr(train, "trial", None) or train.component
    assert component.distribution.process_count_per_instance == 4
    assert train.resources["instance_count"] == 2 or train.resources.instance_count == 2
    assert not job.jobs["prepare"].component.distribution
    assert not job._validate().error_messages


def test_tensorflow_counts_workers(project: AzureProject) -> None:
    setting = DistributedSettings(type="tensorflow", instance_count=2, process_count_per_instance=3)
    assert (
        loaded(project, "training", setting).jobs["train"].component.distribution.worker_count == 6
    )


def test_a_search_is_submitted_as_a_sweep(azure: Azure, project: AzureProject) -> None:
    client = project.workspace("dev")._client
    client.jobs.create_or_update(loaded(project, "sweep"))
    (job,) = azure.stand_in.sent("PUT .*/jobs/sweep-0")
    train = job.body["properties"]["jobs"]["train"]
    assert train["type"] == "sweep" and train["search_space"] and train["objective"]
