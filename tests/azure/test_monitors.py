"""The monitor in Azure: its schedule and what it compares with; what endpoints were asked."""

from __future__ import annotations

import datetime
import json
import re
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from mlops import release
from mlops.errors import MlopsError
from mlops.events import DATASTORE, folder_of
from mlops.monitoring import act
from mlops.workspaces import Location, ModelVersion
from mlops.workspaces.azure.workspace import AzureWorkspace
from tests.azure.conftest import Azure
from tests.azure.projects import (
    AzureProject,
    make_project,
    receive,
    silent,
)

UTC = datetime.timezone.utc
NOW = datetime.datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
SCHEDULES = r"PUT .*/schedules/churn-model-prod-monitor"


@pytest.fixture
def project(azure: Azure, tmp_path: Path) -> AzureProject:
    return make_project(azure, tmp_path)


@pytest.fixture
def prod(project: AzureProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AzureWorkspace:
    """Production; every version there has the same few files."""
    prod = project.workspace("prod")
    files = files_of_a_version(project.root, tmp_path / "files")
    monkeypatch.setattr(prod, "files", lambda _: files)
    return prod


def files_of_a_version(root: Path, folder: Path) -> Path:
    for name in ("model", "held_out", "evaluation"):
        (folder / name).mkdir(parents=True)
    contract = (root / "data" / "contract.yml").read_text("utf-8")
    (folder / "model" / "contract.yml").write_text(contract, "utf-8")
    rows = pd.read_parquet(root / "data" / "sample.parquet").iloc[:20]
    rows.to_parquet(folder / "held_out" / "held_out.parquet")
    answers = {"prediction": ["benign"] * 20, "probability_benign": [0.9] * 20}
    pd.DataFrame(answers).to_parquet(folder / "evaluation" / "predictions.parquet")
    return folder


def version(number: int) -> ModelVersion:
    tags = {"model_digest": f"{number:064x}", "origin": f"dev/{number}"}
    return ModelVersion("churn-model", number, "prod", "run", "2026-01-01T00:00:00+00:00", tags)


def serve(azure: Azure, workspace: AzureWorkspace, number: int, *, collects: bool = True) -> str:
    """A deployment of a version that gets all traffic, without a server; its endpoint's id."""
    settings, write = workspace.environment.settings, azure.stand_in.resources.write
    its = azure.stand_in.workspace_id(settings.azure.resource_group, settings.azure.workspace)
    name, endpoint = f"version-{number}", str(settings.endpoints.online)
    write(
        f"{its}/onlineEndpoints/{endpoint}",
        {"location": "eastus", "properties": {"authMode": "Key", "traffic": {name: 100}, "properties": {}}}, "owner",
    )  # fmt: skip
    collections = {}
    for kind in ("model_inputs", "model_outputs"):
        asset = f"{its}/data/{endpoint}-{name}-{kind}/versions/1"
        where = (
            f"azureml://datastores/workspaceblobstore/paths/modelDataCollector/{endpoint}/{name}"
        )
        write(asset, {"properties": {"dataType": "uri_folder", "dataUri": f"{where}/{kind}"}}, "x")
        mode = "Enabled" if collects else "Disabled"
        collections[kind] = {"dataCollectionMode": mode, "dataId": asset, "samplingRate": 1.0}
    write(
        f"{its}/onlineEndpoints/{endpoint}/deployments/{name}",
        {"location": "eastus", "tags": {"version": str(number)},
         "sku": {"name": "Default", "capacity": 1},
         "properties": {"endpointComputeType": "Managed", "instanceType": "Standard_DS3_v2", "properties": {},
                        "scaleSettings": {"scaleType": "Default"},
                        "dataCollector": {"collections": collections, "rollingRate": "Hour"}}},
        "owner",
    )  # fmt: skip
    return f"{its}/onlineEndpoints/{endpoint}"


def watch(workspace: AzureWorkspace, number: int) -> list[str]:
    """What is said when the monitor is to watch a version."""
    said: list[str] = []
    workspace.watch(version(number), said.append)
    return said


def sent(azure: Azure) -> list[dict[str, Any]]:
    """The schedules that were put, the newest last."""
    return [request.body["properties"] for request in azure.stand_in.sent(SCHEDULES)]


def monitor_in(schedule: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schedule["action"]["monitorDefinition"]
    return found


def register_labels(
    azure: Azure, workspace: AzureWorkspace, folder: str, credentials: str = "Sas"
) -> None:
    """A version of the data asset `ground_truth`, and the datastore where it lies."""
    settings, write = workspace.environment.settings.azure, azure.stand_in.resources.write
    its = azure.stand_in.workspace_id(settings.resource_group, settings.workspace)
    uri = f"azureml://datastores/production/paths/{folder}"
    asset = {"dataType": "uri_folder", "dataUri": uri}
    write(f"{its}/data/ground_truth/versions/1", {"properties": asset}, "owner")
    datastore = {
        "datastoreType": "AzureBlob", "accountName": "data", "containerName": "production",
        "endpoint": "core.windows.net", "protocol": "https",
        "credentials": {"credentialsType": credentials},
    }  # fmt: skip
    write(f"{its}/datastores/production", {"properties": datastore}, "owner")


# --- the schedule


def test_the_schedule_watches_the_deployment_with_what_is_known_of_it(
    azure: Azure, prod: AzureWorkspace
) -> None:
    file = prod.project.root / "environments" / "prod.yml"
    thresholds = "{data_drift: {numerical: {jensen_shannon_distance: 0.35}}}"
    file.write_text(file.read_text().replace("thresholds: {}", f"thresholds: {thresholds}"))
    prod.environment = prod.project.environment("prod")
    endpoint = serve(azure, prod, 1)
    said = watch(prod, 1)
    (schedule,) = sent(azure)
    monitor = monitor_in(schedule)
    assert monitor["monitoringTarget"] == {
        "taskType": "classification", "deploymentId": f"{endpoint}/deployments/version-1",
    }  # fmt: skip
    # Nobody's labels are known yet.
    signals = monitor["signals"]
    assert list(signals) == [
        "data_drift", "prediction_drift", "data_quality", "feature_attribution_drift",
    ]  # fmt: skip
    assert said[0].startswith("model_performance is left out: no labels are registered yet")
    assert said[-1] == f"churn-model-prod-monitor watches version-1: {', '.join(signals)}"
    assert {signal["mode"] for signal in signals.values()} == {"Enabled"}
    drift = signals["data_drift"]
    name = str(prod.environment.endpoint("online"))
    assert drift["productionData"]["uri"].endswith(
        f"/data/{name}-version-1-model_inputs/versions/1"
    )
    assert drift["referenceData"]["uri"].endswith("/data/churn-model-reference/versions/1-00000000")
    assert drift["featureDataTypeOverride"]["mean_radius"] == "numerical"
    assert set(drift["featureDataTypeOverride"]) == set(features(prod))
    assert [t["threshold"]["value"] for t in drift["metricThresholds"]] == [0.35, 0.2]
    inputs, outputs = signals["feature_attribution_drift"]["productionData"]
    assert (inputs["dataContext"], outputs["dataContext"]) == ("model_inputs", "model_outputs")
    assert outputs["uri"].endswith("-model_outputs/versions/1")
    emails = monitor["alertNotificationSetting"]["emailNotificationSetting"]["emails"]
    assert emails == [prod.environment.settings.owner.contact]  # type: ignore[union-attr]


def features(workspace: AzureWorkspace) -> list[str]:
    data = yaml.safe_load((workspace.project.root / "data" / "contract.yml").read_text())
    return [name for name in data["columns"] if name not in ("sample_id", "diagnosis")]


def test_the_reference_is_what_was_held_out_in_the_columns_that_are_collected(
    azure: Azure, prod: AzureWorkspace, tmp_path: Path
) -> None:
    contract = prod.files(version(1)) / "model" / "contract.yml"
    text = contract.read_text("utf-8").replace(
        "mean_radius: {type: number,", "mean_radius: {type: number, collect: false,"
    )
    contract.write_text(text, "utf-8")
    serve(azure, prod, 1)
    watch(prod, 1)
    asset = prod._client.data.get("churn-model-reference", "1-00000000")
    assert asset.type == "mltable" and asset.tags["origin"] == "dev/1"
    settings = prod.environment.settings.azure
    its = azure.stand_in.workspace_id(settings.resource_group, settings.workspace)
    folder = azure.stand_in.storage.download(str(asset.path).rstrip("/"), its, tmp_path)
    said = yaml.safe_load((folder / "MLTable").read_text("utf-8"))
    assert said["paths"] == [{"file": "./reference.parquet"}]
    table = pd.read_parquet(folder / "reference.parquet")
    expected = [n for n in features(prod) if n != "mean_radius"]
    assert list(table) == [*expected, "prediction", "probability_benign"]
    assert len(table) == 20


def test_again_it_is_brought_up_to_date_and_for_the_next_version_it_is_the_same(
    azure: Azure, prod: AzureWorkspace
) -> None:
    serve(azure, prod, 1)
    watch(prod, 1)
    uploads = len(azure.stand_in.sent("PUT .*/data/churn-model-reference/.*"))
    watch(prod, 1)
    first, again = sent(azure)
    assert first == again
    assert len(azure.stand_in.sent("PUT .*/data/churn-model-reference/.*")) == uploads == 1
    serve(azure, prod, 2)
    watch(prod, 2)
    assert sent(azure)[-1]["tags"]["deployment"] == "version-2"
    assert monitor_in(sent(azure)[-1])["monitoringTarget"]["deploymentId"].endswith("/version-2")
    schedules = [path for path in azure.stand_in.resources if "/schedules/" in path]
    assert len(schedules) == 1


def test_one_that_somebody_switched_off_stays_off(azure: Azure, prod: AzureWorkspace) -> None:
    serve(azure, prod, 1)
    watch(prod, 1)
    prod._client.schedules.begin_disable("churn-model-prod-monitor").result()
    said = watch(prod, 1)
    assert sent(azure)[-1]["isEnabled"] is False
    assert any("is switched off, and stays so" in line for line in said)


def test_labels_that_are_registered_are_compared_with_the_answers_by_the_id(
    azure: Azure, prod: AzureWorkspace, tmp_path: Path
) -> None:
    serve(azure, prod, 1)
    register_labels(azure, prod, "elsewhere")
    assert "no labels are registered" in watch(prod, 1)[0]
    register_labels(azure, prod, "ground_truth", credentials="None")
    assert "reads no datastore without credentials, as `production` is" in watch(prod, 1)[0]
    assert "model_performance" not in monitor_in(sent(azure)[-1])["signals"]
    register_labels(azure, prod, "ground_truth")
    watch(prod, 1)
    signal = monitor_in(sent(azure)[-1])["signals"]["model_performance"]
    (production,), reference = signal["productionData"], signal["referenceData"]
    assert production["columns"] == {"target_column": "prediction", "join_column": "sample_id"}
    assert reference["columns"] == {"target_column": "diagnosis", "join_column": "sample_id"}
    assert reference["jobInputType"] == "mltable"
    thresholds = signal["properties"]["azureml.modelmonitor.model_performance_thresholds"]
    assert [(t["metric"], t["threshold"]["value"]) for t in yaml.safe_load(thresholds)] == [
        ("Accuracy", 0.85), ("Precision", 0.85), ("Recall", 0.85),
    ]  # fmt: skip
    name, label = reference["uri"].split("/data/")[1].split("/versions/")
    asset = prod._client.data.get(name, label)
    settings = prod.environment.settings.azure
    its = azure.stand_in.workspace_id(settings.resource_group, settings.workspace)
    folder = azure.stand_in.storage.download(str(asset.path).rstrip("/"), its, tmp_path)
    (path,) = yaml.safe_load((folder / "MLTable").read_text("utf-8"))["paths"]
    assert path["pattern"].endswith(
        f"/workspaces/{settings.workspace}/datastores/production/paths/ground_truth/**/*.parquet"
    )


def test_a_regression_has_thresholds_of_its_own(azure: Azure, tmp_path: Path) -> None:
    project = make_project(azure, tmp_path, problem_type="regression")
    prod = project.workspace("prod")
    files = files_of_a_version(project.root, tmp_path / "files")
    prod.files = lambda _: files  # type: ignore[method-assign]
    serve(azure, prod, 1)
    register_labels(azure, prod, "ground_truth")
    watch(prod, 1)
    monitor = monitor_in(sent(azure)[-1])
    assert monitor["monitoringTarget"]["taskType"] == "regression"
    signal = monitor["signals"]["model_performance"]
    thresholds = signal["properties"]["azureml.modelmonitor.model_performance_thresholds"]
    assert [(t["metric"], t["threshold"]["value"]) for t in yaml.safe_load(thresholds)] == [
        ("MeanAbsoluteError", 55), ("RootMeanSquaredError", 70),
    ]  # fmt: skip


@pytest.mark.parametrize("missing", ["collector", "deployment", "file"])
def test_where_there_is_nothing_to_watch_it_says_so_and_does_nothing(
    azure: Azure, prod: AzureWorkspace, missing: str
) -> None:
    serve(azure, prod, 1, collects=missing != "collector")
    if missing == "file":
        (prod.project.root / "monitoring" / "monitor.yml").unlink()
    (said,) = watch(prod, 2 if missing == "deployment" else 1)
    expected = {
        "collector": "version-1 collects nothing", "file": "there is no monitoring/monitor.yml",
        "deployment": "churn-model version 2 is not deployed",
    }  # fmt: skip
    assert said.startswith(expected[missing])
    assert not sent(azure)


def test_a_file_that_azure_does_not_take_is_told(azure: Azure, prod: AzureWorkspace) -> None:
    file = prod.project.root / "monitoring" / "monitor.yml"
    file.write_text(file.read_text("utf-8").replace("hours: 3", "hours: three"), "utf-8")
    serve(azure, prod, 1)
    with pytest.raises(MlopsError, match=r"cannot load monitoring/monitor.yml .*`mlops check`"):
        watch(prod, 1)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"status": 403, "code": "AuthorizationFailed", "message": "The client 'c' with object id "
          "'o' does not have authorization to perform action 'Microsoft.MachineLearningServices/"
          "workspaces/schedules/write' over scope '/s'"}, "needs the role `AzureML Data Scientist`"),
        ({"status": 409, "code": "Conflict", "message": "It is being changed."},
         "409 Conflict.*It is being changed"),
        ({"status": "async", "code": "InternalServerError", "message": "Spark is ill."},
         "Spark is ill"),
    ],
    ids=["forbidden", "conflict", "fails later"],
)  # fmt: skip
def test_a_schedule_that_azure_refuses_leaves_the_one_before(
    azure: Azure, prod: AzureWorkspace, fault: dict[str, Any], said: str
) -> None:
    serve(azure, prod, 1)
    watch(prod, 1)
    serve(azure, prod, 2)
    azure.stand_in.fail(SCHEDULES, **fault)
    with pytest.raises(MlopsError, match=said):
        watch(prod, 2)
    azure.stand_in.faults.clear()
    if fault["status"] != "async":
        schedule = prod._client.schedules.get("churn-model-prod-monitor")
        assert schedule.tags["deployment"] == "version-1"
    watch(prod, 2)
    assert prod._client.schedules.get("churn-model-prod-monitor").tags["deployment"] == "version-2"


def test_a_fault_that_passes_makes_the_schedule_all_the_same(
    azure: Azure, prod: AzureWorkspace
) -> None:
    serve(azure, prod, 1)
    azure.stand_in.fail(SCHEDULES, times=2, status=429, retry_after="0")
    azure.stand_in.fail(r"PUT .*/data/churn-model-reference/.*", status="drop after")
    watch(prod, 1)
    assert len([r for r in azure.stand_in.sent(SCHEDULES) if r.status in (200, 201)]) == 1


def test_the_monitor_is_a_requirement_that_apply_brings_up_to_date(
    azure: Azure, prod: AzureWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prod, "versions", lambda: [version(1), version(2)])

    def monitors() -> list[bool]:
        needs = prod.requirements()
        return [n.satisfied for n in needs if n.name == "monitor churn-model-prod-monitor"]

    assert monitors() == []  # nothing serves
    serve(azure, prod, 1, collects=False)
    assert monitors() == []
    serve(azure, prod, 1)
    assert monitors() == [False]
    monkeypatch.setattr(prod._needs.__class__, "make", silent_make)
    prod.provide()
    assert monitors() == [True]
    # Another threshold, or labels, are news for it.
    file = prod.project.root / "environments" / "prod.yml"
    text = file.read_text().replace("thresholds: {}", "thresholds: {data_quality: {numerical: "
                                    "{null_value_rate: 0.5}}}")  # fmt: skip
    file.write_text(text)
    changed = AzureWorkspace(prod.project, prod.project.environment("prod"))
    (need,) = [n for n in changed.requirements() if n.name.startswith("monitor ")]
    assert not need.satisfied and need.remedy == "mlops workspaces apply --env prod"
    register_labels(azure, prod, "ground_truth")
    assert monitors() == [False]
    prod.provide()
    assert monitors() == [True]
    assert "model_performance" in monitor_in(sent(azure)[-1])["signals"]


def silent_make(_: object) -> None:
    """The rest of what an environment needs is not made here."""


def test_an_environment_that_scores_batches_only_has_nothing_to_watch(
    azure: Azure, tmp_path: Path
) -> None:
    prod = make_project(azure, tmp_path, serving="batch").workspace("prod")
    assert watch(prod, 1) == ["prod has no online endpoint: Azure ML watches no batches"]
    assert not [need for need in prod.requirements() if need.name.startswith("monitor ")]
    assert not sent(azure)


# --- what was asked


def test_the_requests_of_some_days_are_counted_by_their_status(
    azure: Azure, prod: AzureWorkspace
) -> None:
    endpoint = serve(azure, prod, 1)
    note = azure.stand_in.metrics.note
    hour = datetime.timedelta(hours=1)
    start, end = NOW - 60 * hour, NOW
    for name, status, count, milliseconds, minute in (
        ("version-1", 200, 80, 10.0, start),
        ("version-1", 200, 20, 110.0, start + 30 * hour),
        ("version-2", 200, 10, 10.0, start + 30 * hour),  # at the same time: they add up
        ("version-1", 400, 5, 10.0, start + 30 * hour),
        ("version-1", 422, 3, 10.0, start + 30 * hour),
        ("version-1", 503, 2, 10.0, end - hour),
        ("version-1", 200, 99, 10.0, start - hour),  # before
        ("version-1", 200, 99, 10.0, end),  # and after
    ):
        for _ in range(count):
            note(endpoint, name, status, milliseconds, minute)
    found = prod.requests(start, end)
    assert (found.count, found.refused, found.errors) == (120, 8, 2)
    # Minutes of 80, 28, 10 and 2 requests; in one of them, most took 110 ms.
    assert found.p50 == pytest.approx((80 * 10 + 28 * 110 + 10 * 10 + 2 * 10) / 120)
    assert found.p95 is not None and found.p99 is not None
    days = azure.stand_in.sent(r"GET .*/providers/Microsoft.Insights/metrics")
    assert len(days) == 2 * 3


def test_an_endpoint_that_nobody_asked_has_no_latency(azure: Azure, prod: AzureWorkspace) -> None:
    serve(azure, prod, 1)
    found = prod.requests(NOW - datetime.timedelta(days=1), NOW)
    assert (found.count, found.errors, found.p95) == (0, 0, None)


def test_who_may_not_read_metrics_is_told_the_role(azure: Azure, prod: AzureWorkspace) -> None:
    serve(azure, prod, 1)
    azure.stand_in.fail(
        r"GET .*/metrics", times=9, status=403, code="AuthorizationFailed",
        message="The client 'c' with object id 'o' does not have authorization to perform action "
        "'microsoft.insights/metrics/read' over scope '/s'",
    )  # fmt: skip
    with pytest.raises(MlopsError, match="needs the role `Monitoring Reader`"):
        prod.requests(NOW - datetime.timedelta(days=1), NOW)
    azure.stand_in.faults.clear()
    azure.stand_in.fail(r"GET .*/metrics", times=1, status=500)  # which passes
    assert prod.requests(NOW - datetime.timedelta(days=1), NOW).count == 0


# --- all of it, with a deployment that answers


def test_from_a_rollout_to_what_was_collected_and_is_monitored(
    azure: Azure, tmp_path: Path
) -> None:
    project = make_project(azure, tmp_path / "project", infrastructure="none")
    few = {
        "stages: [10, 50, 100]": "stages: [100]", "mirror: 10 ": "mirror: 0 ",
        "requests_per_stage: 20": "requests_per_stage: 5", "{requests: 100,": "{requests: 10,",
        "  minimum_rows: 50\n": "  minimum_rows: 50\n  windows: 2\n",
    }  # fmt: skip
    file = project.root / "environments" / "prod.yml"
    for old, new in few.items():  # the tests of a release are not what is tested here
        file.write_text(file.read_text("utf-8").replace(old, new), "utf-8")
    prod, said = project.workspace("prod"), list[str]()

    receive(prod)
    release.deploy(prod, report=silent)
    assert not azure.stand_in.sent(".*/schedules/.*")  # what gets no traffic is not watched

    # A monitor that cannot follow holds no release up.
    azure.stand_in.fail(SCHEDULES, times=50, status=403, code="AuthorizationFailed")
    assert release.rollout(prod, report=said.append).accepted
    assert prod.endpoint().traffic == {"version-1": 100}
    assert "monitor does not watch churn-model version 1 yet: no permission in" in said[-1]
    assert said[-1].endswith("run `mlops workspaces apply --env prod`")
    azure.stand_in.faults.clear()
    prod.provide()
    schedule = prod._client.schedules.get("churn-model-prod-monitor")
    assert schedule.tags["deployment"] == "version-1"

    # What clients ask is collected in blobs that grow, and read as it is on a laptop.
    rows = pd.read_parquet(project.root / "data" / "sample.parquet").drop(columns="diagnosis")
    for start in (0, 60):
        body = {"input_data": rows.iloc[start : start + 60].to_dict("records")}
        assert prod.invoke(json.dumps(body).encode()).status == 200
    # None of our own tests' requests is among it.
    inputs, outputs = (collected(prod, kind, 120) for kind in ("model_inputs", "model_outputs"))
    assert [row["sample_id"] for row in inputs] == rows["sample_id"].iloc[:120].tolist()
    assert [row["sample_id"] for row in outputs] == rows["sample_id"].iloc[:120].tolist()
    assert set(inputs[0]) == set(rows)
    assert set(outputs[0]) == {
        "sample_id", "prediction", "probability_benign", "probability_malignant",
    }  # fmt: skip
    now = datetime.datetime.now(UTC)
    counted = prod.requests(now - datetime.timedelta(hours=1), now)
    assert counted.count > 2 and counted.errors == 0 and counted.p95
    result = act.monitor(prod.project, prod, ask=False, report=silent).result
    assert result is not None and result.problems == () and result.health
    assert result.health.requests >= counted.count
    assert {s.name: s.production_rows for s in result.signals} == {
        "data_drift": 120, "prediction_drift": 120, "data_quality": 120,
        "feature_attribution_drift": 120, "model_performance": 0,
    }  # fmt: skip


def collected(workspace: AzureWorkspace, collection: str, at_least: int) -> list[dict[str, Any]]:
    """The rows that version-1 has collected, as soon as they are so many."""
    folder = folder_of(workspace.environment.endpoint("online"), "version-1", collection)
    location, store = Location(DATASTORE, folder, "uri_folder"), workspace.data()
    deadline = time.monotonic() + 60
    while True:
        rows = []
        for name in store.names(location):
            assert re.fullmatch(r"\d{4}/\d\d/\d\d/\d\d/[\w-]+\.jsonl", name)
            with store.open(location.file(name)) as stream:
                rows += [row for line in stream for row in json.loads(line)["data"]]
        if len(rows) >= at_least:
            return rows
        assert time.monotonic() < deadline, f"{collection}: {len(rows)} rows"
        time.sleep(0.5)
