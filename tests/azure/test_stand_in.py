"""The stand-in for Azure, asked by plain azure-ai-ml and MLflow."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from azure.ai.ml import Input, MLClient, command, load_job
from azure.ai.ml.entities import (
    AmlCompute,
    BatchEndpoint,
    CodeConfiguration,
    CronTrigger,
    Data,
    Environment,
    JobSchedule,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
    ModelBatchDeployment,
    ModelBatchDeploymentSettings,
)
from azure.ai.ml.exceptions import JobException, MlException
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.identity import DefaultAzureCredential
from mlflow import MlflowClient

from tests.azure.conftest import Azure

GROUP, WORKSPACE = "rg-test", "mlw-test"
STEP = """
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
name: add
version: "1"
inputs: {{numbers: {{type: uri_folder}}, more: {{type: integer, default: 1}}}}
outputs: {{sums: {{type: uri_folder}}}}
code: ./src
environment: {{image: mcr.microsoft.com/azureml/openmpi5.0-ubuntu24.04}}
command: >-
  python add.py ${{{{inputs.numbers}}}} ${{{{inputs.more}}}} ${{{{outputs.sums}}}}
"""
JOB = """
type: pipeline
experiment_name: adding
tags: {kind: sum}
settings: {default_compute: "azureml:cpu-cluster"}
inputs:
  numbers: {type: uri_folder, path: ./numbers}
  more: 3
jobs:
  first:
    type: command
    component: ./step.yml
    inputs: {numbers: "${{parent.inputs.numbers}}", more: "${{parent.inputs.more}}"}
  second:
    type: command
    component: ./step.yml
    inputs: {numbers: "${{parent.jobs.first.outputs.sums}}"}
"""
SWEEP = """
type: pipeline
experiment_name: sweeping
settings: {default_compute: "azureml:cpu-cluster"}
inputs: {numbers: {type: uri_folder, path: ./numbers}}
jobs:
  tuned:
    type: sweep
    trial: ./step.yml
    inputs: {numbers: "${{parent.inputs.numbers}}"}
    search_space: {more: {type: choice, values: [2, 9]}}
    sampling_algorithm: random
    objective: {goal: maximize, primary_metric: total}
    limits: {max_total_trials: 2}
"""
CODE = """
import os, pathlib, sys, mlflow
numbers, more, sums = sys.argv[1:]
total = sum(int(file.read_text()) for file in pathlib.Path(numbers).iterdir()) + int(more)
pathlib.Path(sums, "sum.txt").write_text(str(total))
client = mlflow.MlflowClient()
client.log_metric(os.environ["MLFLOW_RUN_ID"], "total", total)
client.log_artifacts(os.environ["MLFLOW_RUN_ID"], sums, "sums")
print("the sum is", total)
"""
SCORE = """
import json, os, pathlib
def init():
    global factor
    (file,) = pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).rglob("factor.txt")
    factor = int(file.read_text())
def run(body):
    return {"answer": json.loads(body)["number"] * factor, "who": os.environ["WHO"]}
"""
BATCH = """
import os, pathlib, pandas
def init():
    global factor
    (file,) = pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).rglob("factor.txt")
    factor = int(file.read_text())
def run(mini_batch):
    files = [pathlib.Path(file) for file in mini_batch]
    return pandas.DataFrame({"file": [file.name for file in files],
                             "answer": [int(file.read_text()) * factor for file in files]})
"""


def client_of(azure: Azure, workspace: str = WORKSPACE) -> MLClient:
    return MLClient(DefaultAzureCredential(), azure.subscription, GROUP, workspace)


@pytest.fixture
def client(azure: Azure) -> MLClient:
    azure.add_workspace(GROUP, WORKSPACE)
    return client_of(azure)


def test_a_workspace(client: MLClient) -> None:
    workspace = client.workspaces.get(WORKSPACE)
    assert workspace.location == "eastus"
    assert workspace.mlflow_tracking_uri.startswith("azureml://eastus.api.azureml.ms/mlflow")


def test_environments_in_pages(client: MLClient) -> None:
    for version in "123":
        client.environments.create_or_update(
            Environment(name="e", version=version, image="an/image")
        )
    assert [found.version for found in client.environments.list("e")] == ["1", "2", "3"]
    assert client.environments.get("e", label="latest").version == "3"


def write_step(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "add.py").write_text(CODE)
    (tmp_path / "step.yml").write_text(STEP.format())
    (tmp_path / "numbers").mkdir()
    (tmp_path / "numbers" / "one.txt").write_text("40")


def eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)


def test_a_pipeline_job(client: MLClient, azure: Azure, tmp_path: Path) -> None:
    write_step(tmp_path)
    (tmp_path / "job.yml").write_text(JOB)
    job = client.jobs.create_or_update(load_job(tmp_path / "job.yml"))
    client.jobs.stream(job.name)
    assert client.jobs.get(job.name).status == "Completed"
    children = client.jobs.list(parent_job_name=job.name)
    assert [child.display_name for child in children] == ["first", "second"]
    mlflow = MlflowClient(client.workspaces.get().mlflow_tracking_uri)
    run = mlflow.get_run(job.name)
    assert (run.info.status, run.data.tags["kind"]) == ("FINISHED", "sum")
    steps = mlflow.search_runs([run.info.experiment_id], "metrics.total > 0")
    assert sorted(step.data.metrics["total"] for step in steps) == [43, 44]
    assert {step.data.tags["mlflow.parentRunId"] for step in steps} == {job.name}
    assert [found.name for found in client.jobs.list()] == [job.name]


def test_models(client: MLClient, azure: Azure, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("a model")
    made = client.models.create_or_update(
        Model(name="m", path=tmp_path / "model", type="mlflow_model", tags={"a": "1"})
    )
    assert made.version == "1"
    made.tags["b"] = "2"
    client.models.create_or_update(made)
    assert client.models.get("m", label="latest").tags == {"a": "1", "b": "2"}
    client.models.download("m", "1", tmp_path / "download")
    assert (tmp_path / "download" / "m" / "model" / "MLmodel").read_text() == "a model"
    uri = client.workspaces.get(WORKSPACE).mlflow_tracking_uri
    mlflow = MlflowClient(uri)
    assert mlflow.get_model_version("m", "1").tags == {"a": "1", "b": "2"}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    run = mlflow.create_run(mlflow.create_experiment("e")).info
    mlflow.log_artifacts(run.run_id, str(tmp_path / "model"), "model")
    version = mlflow.create_model_version(
        "m", f"{run.artifact_uri}/model", run.run_id, tags={"c": "3"}
    )
    mlflow.set_registered_model_alias("m", "champion", version.version)
    assert mlflow.get_model_version_by_alias("m", "champion").version == "2"
    mlflow.set_model_version_tag("m", "2", "d", "4")
    assert client.models.get("m", "2").tags == {"c": "3", "d": "4"}
    assert [found.version for found in client.models.list("m")] == ["1", "2"]
    client.models.download("m", "2", tmp_path / "second")
    assert list((tmp_path / "second").rglob("MLmodel"))
    path = mlflow.download_artifacts(run.run_id, "model", str(tmp_path))
    assert Path(path, "MLmodel").read_text() == "a model"


def test_sharing_a_model_through_a_registry(client: MLClient, azure: Azure, tmp_path: Path) -> None:
    azure.add_registry(GROUP, "mlr-test")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("a model")
    client.models.create_or_update(
        Model(name="m", version="7", path=tmp_path / "model", type="mlflow_model", tags={"a": "b"})
    )
    shared = client.models.share(
        "m", "7", registry_name="mlr-test", share_with_name="m", share_with_version="dev-7"
    )
    assert shared.tags == {"a": "b"}
    registry = MLClient(DefaultAzureCredential(), registry_name="mlr-test")
    assert [found.version for found in registry.models.list("m")] == ["dev-7"]
    registry.models.download("m", "dev-7", tmp_path / "download")
    assert list((tmp_path / "download").rglob("MLmodel"))
    azure.stand_in.fail("POST .*/import", status="async", code="QuotaExceeded")
    with pytest.raises(HttpResponseError, match="QuotaExceeded"):
        client.models.share(
            "m", "7", registry_name="mlr-test", share_with_name="m", share_with_version="8"
        )


def write_scoring(folder: Path) -> Path:
    (folder / "scoring").mkdir()
    (folder / "scoring" / "score.py").write_text(SCORE)
    (folder / "scoring" / "batch.py").write_text(BATCH)
    (folder / "model").mkdir()
    (folder / "model" / "factor.txt").write_text("3")
    return folder


def test_an_online_endpoint(client: MLClient, azure: Azure, tmp_path: Path) -> None:
    folder = write_scoring(tmp_path)
    model = client.models.create_or_update(
        Model(name="m", version="1", path=folder / "model", type="custom_model")
    )
    client.online_endpoints.begin_create_or_update(
        ManagedOnlineEndpoint(name="triple", auth_mode="key", tags={"owner": "x"})
    ).result()
    for name in ("blue", "green"):
        client.online_deployments.begin_create_or_update(
            ManagedOnlineDeployment(
                name=name,
                endpoint_name="triple",
                model=model.id,
                instance_type="Standard_DS2_v2",
                instance_count=1,
                environment=Environment(image="an/image"),
                tags={"t": name},
                code_configuration=CodeConfiguration(
                    code=str(folder / "scoring"), scoring_script="score.py"
                ),
                environment_variables={"WHO": name},
            )
        ).result()
    endpoint = client.online_endpoints.get("triple")
    assert endpoint.traffic == {"blue": 0, "green": 0}
    endpoint.traffic, endpoint.mirror_traffic = {"blue": 100}, {"green": 50}
    client.online_endpoints.begin_create_or_update(endpoint).result()
    assert client.online_endpoints.get("triple").traffic == {"blue": 100}
    (folder / "request.json").write_text('{"number": 5}')
    for wanted, expected in ((None, "blue"), ("green", "green")):
        answer = client.online_endpoints.invoke(
            "triple", request_file=str(folder / "request.json"), deployment_name=wanted
        )
        assert json.loads(answer) == {"answer": 15, "who": expected}
    key = client.online_endpoints.get_keys("triple").primary_key
    uri = client.online_endpoints.get("triple").scoring_uri
    answer = requests.post(
        uri, json={"number": 1}, headers={"Authorization": f"Bearer {key}"}, timeout=30
    )
    assert answer.headers["azureml-model-deployment"] == "blue"
    assert requests.post(uri, json={"number": 1}, timeout=30).status_code == 401
    with pytest.raises(HttpResponseError, match="traffic"):
        client.online_deployments.begin_delete("blue", "triple").result()
    assert "azmlinfsrv" in client.online_deployments.get_logs("green", "triple", lines=50)
    client.online_deployments.begin_delete("green", "triple").result()
    assert [found.name for found in client.online_deployments.list("triple")] == ["blue"]
    client.online_endpoints.begin_delete("triple").result()
    assert not list(client.online_endpoints.list())


def test_a_batch_endpoint(client: MLClient, azure: Azure, tmp_path: Path) -> None:
    folder = write_scoring(tmp_path)
    model = client.models.create_or_update(
        Model(name="m", version="1", path=folder / "model", type="custom_model")
    )
    client.batch_endpoints.begin_create_or_update(BatchEndpoint(name="triples")).result()
    client.batch_deployments.begin_create_or_update(
        ModelBatchDeployment(
            name="blue",
            endpoint_name="triples",
            model=model.id,
            environment=Environment(image="an/image"),
            code_configuration=CodeConfiguration(
                code=str(folder / "scoring"), scoring_script="batch.py"
            ),
            compute="cpu-cluster",
            settings=ModelBatchDeploymentSettings(
                mini_batch_size=1, output_action="append_row", output_file_name="predictions.csv"
            ),
        )
    ).result()
    (folder / "input").mkdir()
    for number in (1, 2):
        (folder / "input" / f"{number}.txt").write_text(str(number))
    job = client.batch_endpoints.invoke(
        "triples",
        deployment_name="blue",
        input=Input(type="uri_folder", path=str(folder / "input")),
    )
    client.jobs.stream(job.name)
    assert [found.name for found in client.batch_endpoints.list_jobs("triples")] == [job.name]
    client.jobs.download(job.name, output_name="score", download_path=folder / "output")
    (file,) = (folder / "output").rglob("predictions.csv")
    assert file.read_text() == "2.txt 6\n1.txt 3\n"


def test_computes_schedules_and_workspaces(client: MLClient, azure: Azure) -> None:
    client.compute.begin_create_or_update(
        AmlCompute(name="cpu-cluster", size="Standard_DS3_v2", max_instances=2)
    ).result()
    assert client.compute.get("cpu-cluster").max_instances == 2
    schedule = JobSchedule(
        name="nightly",
        trigger=CronTrigger(expression="0 3 * * *"),
        create_job=f"azureml:{azure.stand_in.workspace_id(GROUP, WORKSPACE)}/jobs/some-job",
    )
    client.schedules.begin_create_or_update(schedule).result()
    assert client.schedules.get("nightly").trigger.expression == "0 3 * * *"
    client.schedules.begin_disable("nightly").result()
    assert not client.schedules.get("nightly").is_enabled
    client.schedules.begin_delete("nightly").result()
    assert not list(client.schedules.list())
    client.datastores.get("workspaceblobstore")


def test_data(client: MLClient, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("1,2")
    made = client.data.create_or_update(
        Data(name="d", version="1", path=tmp_path / "table.csv", type="uri_file")
    )
    assert made.path.endswith("/table.csv")
    assert client.data.get("d", label="latest").version == "1"
    assert [found.name for found in client.data.list()] == ["d"]


def test_data_with_the_identity_of_the_client(azure: Azure, tmp_path: Path) -> None:
    azure.stand_in.credentials = "None"
    azure.add_workspace(GROUP, WORKSPACE)
    (tmp_path / "table.csv").write_text("1,2")
    table = Data(name="d", version="1", path=tmp_path / "table.csv", type="uri_file")
    client_of(azure).data.create_or_update(table)
    azure.stand_in.identity("owner").allowed = ["(GET|POST) .*"]
    table = Data(name="e", version="1", path=tmp_path / "table.csv", type="uri_file")
    with pytest.raises(MlException, match="permission to alter this storage account"):
        client_of(azure).data.create_or_update(table)


def test_who_may_do_what(client: MLClient, azure: Azure) -> None:
    with pytest.raises(ResourceNotFoundError, match="SubscriptionNotFound"):
        MLClient(DefaultAzureCredential(), str(uuid.uuid4()), GROUP, WORKSPACE).workspaces.get()
    with pytest.raises(ResourceNotFoundError, match="ResourceGroupNotFound"):
        MLClient(DefaultAzureCredential(), azure.subscription, "none", WORKSPACE).workspaces.get()
    with pytest.raises(ResourceNotFoundError, match="ResourceNotFound"):
        MLClient(DefaultAzureCredential(), azure.subscription, GROUP, "none").workspaces.get()
    azure.sign_in("reader")
    azure.stand_in.identity("reader").allowed = ["GET .*"]
    reader = client_of(azure)
    assert reader.workspaces.get().name == WORKSPACE
    with pytest.raises(
        HttpResponseError, match=r"AuthorizationFailed.*environments/versions/write"
    ):
        reader.environments.create_or_update(Environment(name="e", version="1", image="i"))
    azure.sign_in("stranger")
    azure.stand_in.identity("stranger").tenant = str(uuid.uuid4())
    with pytest.raises(ClientAuthenticationError, match="InvalidAuthenticationTokenTenant"):
        client_of(azure).workspaces.get()
    azure.sign_in("nobody")
    with pytest.raises(ClientAuthenticationError, match="DefaultAzureCredential failed"):
        client_of(azure).workspaces.get()


@pytest.mark.parametrize("status", [503, 429, "drop", "drop after", "drop before"])
def test_faults_that_pass(client: MLClient, azure: Azure, status: int | str) -> None:
    azure.stand_in.fail("PUT .*/environments/.*", times=2, status=status, retry_after="0")
    client.environments.create_or_update(Environment(name="e", version="1", image="i"))
    assert len(azure.stand_in.sent("PUT .*/environments/.*")) == 3


def test_operations_that_fail(client: MLClient, azure: Azure) -> None:
    azure.stand_in.fail(
        "PUT .*/computes/.*", status="async", code="QuotaExceeded", message="No cores left."
    )
    with pytest.raises(HttpResponseError, match="No cores left"):
        client.compute.begin_create_or_update(
            AmlCompute(name="cpu-cluster", size="Standard_DS3_v2")
        ).result()
    assert client.compute.get("cpu-cluster").provisioning_state == "Failed"


def test_role_assignments(azure: Azure) -> None:
    scope = azure.add_workspace(GROUP, WORKSPACE)
    azure.stand_in.role_assignments.append(
        {"scope": scope.partition("/providers/")[0], "principalId": "p", "roleDefinitionId": "r"}
    )
    token = DefaultAzureCredential().get_token("https://management.azure.com/.default").token
    answer = requests.get(
        f"https://management.azure.com{scope}/providers/Microsoft.Authorization/roleAssignments",
        params={"api-version": "2022-04-01", "$filter": "principalId eq 'p'"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert [found["properties"]["roleDefinitionId"] for found in answer.json()["value"]] == ["r"]


def test_a_job_that_is_cancelled_and_one_that_fails(
    client: MLClient, azure: Azure, tmp_path: Path
) -> None:
    slow = client.jobs.create_or_update(
        command(command="sleep 60", environment="azureml:e:1", compute="c", display_name="slow")
    )
    eventually(lambda: client.jobs.get(slow.name).status == "Running")
    client.jobs.begin_cancel(slow.name).result()
    assert client.jobs.get(slow.name).status == "Canceled"
    bad = client.jobs.create_or_update(
        command(command="echo why; exit 3", environment="azureml:e:1", compute="c")
    )
    with pytest.raises(JobException, match=r"status code 3\. why"):
        client.jobs.stream(bad.name)
    azure.stand_in.fail("PUT .*/jobs/.*", status="async", message="The cluster went away.")
    lost = client.jobs.create_or_update(
        command(command="true", environment="azureml:e:1", compute="c")
    )
    with pytest.raises(JobException, match="went away"):
        client.jobs.stream(lost.name)


def test_a_sweep_step(client: MLClient, tmp_path: Path) -> None:
    write_step(tmp_path)
    (tmp_path / "job.yml").write_text(SWEEP)
    job = client.jobs.create_or_update(load_job(tmp_path / "job.yml"))
    client.jobs.stream(job.name)
    assert client.jobs.get(job.name).status == "Completed"
    client.jobs.download(job.name, all=True, download_path=tmp_path / "all")
    mlflow = MlflowClient(client.workspaces.get().mlflow_tracking_uri)
    experiment = mlflow.get_experiment_by_name("sweeping").experiment_id
    runs = mlflow.search_runs([experiment], "metrics.total > 0")
    assert sorted(run.data.metrics["total"] for run in runs) == [42, 49]


def test_a_job_whose_answer_was_lost_runs_once(client: MLClient, azure: Azure) -> None:
    azure.stand_in.fail("PUT .*/jobs/.*", status="drop")
    job = client.jobs.create_or_update(
        command(command="echo once", environment="azureml:e:1", compute="cpu-cluster")
    )
    client.jobs.stream(job.name)
    assert client.jobs.get(job.name).status == "Completed"
    assert len(azure.stand_in.sent(f"PUT .*/jobs/{job.name}")) == 2
    assert [found.name for found in client.jobs.list()] == [job.name]
