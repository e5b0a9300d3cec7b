"""Data in Blob storage, over Azurite: what is sent, what is read, and what a break leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import AzureBlobDatastore
from azure.identity import DefaultAzureCredential
from azure.storage.blob import ContainerClient

from mlops import data as acts
from mlops.batch_collection import collect_batch
from mlops.errors import MlopsError, Refused
from mlops.project import Project, find_project
from mlops.workspaces import Location, ModelVersion
from mlops.workspaces.azure import data as azure_data
from mlops.workspaces.azure.data import AzureDataStore
from mlops.workspaces.local.data import LocalDataStore

from ..conftest import ENGINE, copy_of, generated, run_mlops
from ..matrix import SUBSCRIPTION
from .conftest import Azure

GROUP, WORKSPACE = "rg-data", "mlw-data"
FILE = Location("training", "training.parquet", "uri_file")
FOLDER = Location("training", "tables", "uri_folder")
MEBIBYTE = 1 << 20


@dataclass
class Workspace:
    """As much of a workspace as the acts with data need, seen from `dev`."""

    environment: Any
    store: AzureDataStore

    def data(self) -> AzureDataStore:
        return self.store

    def lock(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return find_project(copy_of(generated(), tmp_path / "project"))


@pytest.fixture
def client(azure: Azure) -> MLClient:
    """A workspace with a datastore `training`, whose container is empty."""
    identifier = azure.add_workspace(GROUP, WORKSPACE)
    client = MLClient(DefaultAzureCredential(), azure.subscription, GROUP, WORKSPACE)
    add_datastore(azure, client, identifier, "training").create_container()
    add_datastore(azure, client, identifier, "nowhere")
    azure.stand_in.requests.clear()
    return client


def add_datastore(azure: Azure, client: MLClient, workspace: str, name: str) -> ContainerClient:
    """A datastore in the workspace's account; its container, which is not made yet."""
    account = client.datastores.get("workspaceblobstore").account_name
    container = f"{name}-{uuid.uuid4().hex[:8]}"
    client.datastores.create_or_update(
        AzureBlobDatastore(name=name, account_name=account, container_name=container)
    )
    azure.stand_in.data_plane.containers(workspace)[name] = container
    return azure.stand_in.data_plane.client(account).get_container_client(container)


@pytest.fixture
def blobs(azure: Azure, client: MLClient) -> ContainerClient:
    """The container, as somebody else sees it."""
    store = client.datastores.get("training")
    plane = azure.stand_in.data_plane.client(store.account_name)
    return plane.get_container_client(store.container_name)


@pytest.fixture
def workspace(client: MLClient, project: Project) -> Workspace:
    environment = project.environment("dev")
    return Workspace(environment, AzureDataStore(client, DefaultAzureCredential(), environment))


@pytest.fixture
def store(workspace: Workspace) -> AzureDataStore:
    return workspace.store


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure_data, "BLOCK", 1000)


def push(project: Project, workspace: Any, file: Path | None = None) -> acts.Push:
    sample = project.root / "data" / "sample.parquet"
    return acts.push(project, workspace, file or sample, "training", report=print)


def table(project: Project, rows: int) -> Path:
    file = project.root / f"{rows}.parquet"
    pd.read_parquet(project.root / "data" / "sample.parquet").iloc[:rows].to_parquet(file)
    return file


def bytes_in(file: Path, size: int) -> Path:
    file.write_bytes(os.urandom(size))
    return file


def blocks_sent(azure: Azure) -> int:
    return sum(request.query.get("comp") == "block" for request in azure.stand_in.sent("PUT .*"))


def interrupt_after(count: int) -> Callable[[int], None]:
    """Progress that is interrupted, as by Ctrl-C."""
    calls = iter(range(count))

    def progress(_: int) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt

    return progress


# --- push and register


def test_a_table_is_uploaded_once_and_registered_once(
    azure: Azure, project: Project, workspace: Workspace, client: MLClient, blobs: ContainerClient
) -> None:
    first = push(project, workspace)
    assert (first.uploaded, first.registration.is_new) == (True, True)
    sample = (project.root / "data" / "sample.parquet").read_bytes()
    assert blobs.download_blob("training.parquet").readall() == sample
    writes = len(azure.stand_in.sent("PUT .*"))
    again = push(project, workspace)
    assert (again.uploaded, again.registration.is_new) == (False, False)
    assert again.registration.version == first.registration.version
    assert not acts.register(project, workspace, "training").is_new  # type: ignore[arg-type]
    assert len(azure.stand_in.sent("PUT .*")) == writes
    version = first.registration.version
    asset = client.data.get("training", version.version)
    assert asset.type == "uri_file"
    assert asset.path.endswith("/datastores/training/paths/training.parquet")
    assert asset.tags == version.tags == {
        "datastore": "training", "path": "training.parquet", "bytes": str(len(sample)),
        "rows": "569",
    }  # fmt: skip


def test_azure_and_a_laptop_give_the_same_content_the_same_version(
    project: Project, workspace: Workspace, tmp_path: Path
) -> None:
    local = Workspace(workspace.environment, LocalDataStore(tmp_path / "data"))  # type: ignore[arg-type]
    there, here = push(project, workspace), push(project, local)
    assert there.registration.version.version == here.registration.version.version
    pulled = [
        acts.pull(project, w, "training", 50, tmp_path / f"{n}.parquet", report=print)  # type: ignore[arg-type]
        for n, w in enumerate((workspace, local))
    ]
    assert pulled[0].file.read_bytes() == pulled[1].file.read_bytes()


def test_training_reads_the_version_of_what_lies_there(
    project: Project, workspace: Workspace, blobs: ContainerClient
) -> None:
    def reads() -> Any:
        return acts.training_data(project, workspace)  # type: ignore[arg-type]

    assert reads() is None
    first = push(project, workspace).registration.version
    second = push(project, workspace, table(project, 300)).registration.version
    assert reads() == second != first
    assert workspace.store.reference(second) == f"azureml:training:{second.version}"
    assert [v.version for v in workspace.store.versions("training")] == [
        first.version, second.version,
    ]  # fmt: skip
    assert push(project, workspace).uploaded
    assert reads() == first
    # Somebody writes there with another tool, which keeps no MD5.
    blobs.upload_blob("training.parquet", table(project, 200).read_bytes(), overwrite=True)
    with pytest.raises(Refused, match="has changed since; run `mlops data register --env dev`"):
        reads()
    third = acts.register(project, workspace, "training")  # type: ignore[arg-type]
    assert third.is_new and third.version.tags["rows"] == "200"
    assert not acts.register(project, workspace, "training").is_new  # type: ignore[arg-type]
    assert reads() == third.version


def test_a_folder_of_tables(
    project: Project, workspace: Workspace, blobs: ContainerClient, client: MLClient
) -> None:
    file = project.sources
    text = file.read_text("utf-8").replace("type: uri_file", "type: uri_folder")
    file.write_text(text.replace("path: training.parquet", "path: tables"), "utf-8")
    for name in ("tables.parquet", "tables2/a.parquet"):  # neither is in the folder
        blobs.upload_blob(name, b"")
    # An account with a hierarchical namespace lists its folders, too.
    blobs.upload_blob("tables/2024", b"", metadata={"hdi_isfolder": "true"})
    for rows in (300, 200):
        push(project, workspace, table(project, rows))
    files = workspace.store.files(FOLDER)
    assert [f.name for f in files] == ["200.parquet", "300.parquet"]
    pulled = acts.pull(project, workspace, "training", 10_000, None, report=print)  # type: ignore[arg-type]
    assert (pulled.rows, pulled.of) == (500, 500)
    asset = client.data.get("training", pulled.version)
    assert asset.type == "uri_folder" and asset.path.endswith("/datastores/training/paths/tables")


# --- broken uploads


def test_a_broken_upload_leaves_the_old_blob_and_the_next_one_sends_the_rest(
    azure: Azure, store: AzureDataStore, tmp_path: Path, small_blocks: None
) -> None:
    old, new = bytes_in(tmp_path / "old", 5_000), bytes_in(tmp_path / "new", 20_500)
    store.upload(old, FILE, print)
    before = store.files(FILE)
    sent = blocks_sent(azure)
    with pytest.raises(KeyboardInterrupt):
        store.upload(new, FILE, interrupt_after(2))
    assert blocks_sent(azure) - sent == 12
    assert store.files(FILE) == before
    assert store.open(FILE).read() == old.read_bytes()
    sent = blocks_sent(azure)
    store.upload(new, FILE, print)
    assert blocks_sent(azure) - sent == 21 - 12
    assert store.open(FILE).read() == new.read_bytes()


def test_what_another_file_left_behind_is_not_taken_for_this_one(
    store: AzureDataStore, tmp_path: Path, small_blocks: None
) -> None:
    one, other = bytes_in(tmp_path / "one", 20_000), bytes_in(tmp_path / "other", 20_000)
    with pytest.raises(KeyboardInterrupt):
        store.upload(one, FILE, interrupt_after(2))
    assert store.files(FILE) == []
    store.upload(other, FILE, print)
    assert store.open(FILE).read() == other.read_bytes()


def test_a_failed_commit_leaves_the_old_blob(
    azure: Azure, store: AzureDataStore, tmp_path: Path, small_blocks: None
) -> None:
    store.upload(bytes_in(tmp_path / "old", 5_000), FILE, print)
    before, new = store.files(FILE), bytes_in(tmp_path / "new", 9_000)

    def fail(done: int) -> None:
        if done == 9_000:
            azure.stand_in.fail(
                r"PUT .*training\.parquet", status=400, code="InvalidBlockList",
                x_ms_error_code="InvalidBlockList",
            )  # fmt: skip

    with pytest.raises(MlopsError, match="was replaced meanwhile by someone else; run the command"):
        store.upload(new, FILE, fail)
    assert store.files(FILE) == before
    store.upload(new, FILE, print)
    assert store.open(FILE).read() == new.read_bytes()


@pytest.mark.parametrize("there", [True, False])
def test_two_uploads_at_once_do_not_overwrite_each_other(
    store: AzureDataStore, blobs: ContainerClient, tmp_path: Path, there: bool
) -> None:
    if there:
        blobs.upload_blob(FILE.path, b"old")
    ours = bytes_in(tmp_path / "ours", 3_000)
    with pytest.raises(MlopsError, match=r"training.parquet was replaced meanwhile by someone"):
        store.upload(ours, FILE, lambda _: blobs.upload_blob(FILE.path, b"theirs", overwrite=True))
    assert blobs.download_blob(FILE.path).readall() == b"theirs"


def test_an_upload_that_takes_long_says_how_far_it_is(
    project: Project, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, small_blocks: None
) -> None:
    monkeypatch.setattr(acts, "SECONDS_BETWEEN_REPORTS", 0.0)
    said: list[str] = []
    sample = project.root / "data" / "sample.parquet"
    acts.push(project, workspace, sample, "training", report=said.append)  # type: ignore[arg-type]
    assert said[-1] == f"{FILE}: 100 %"
    assert len(said) > 10


# --- reading


def test_a_blob_is_read_from_any_place(store: AzureDataStore, tmp_path: Path) -> None:
    file = bytes_in(tmp_path / "file", 100_000)
    content = file.read_bytes()
    store.upload(file, FILE, print)
    with store.open(FILE) as stream:
        stream.seek(-4, 2)
        assert stream.read() == content[-4:]
        assert stream.tell() == 100_000 and stream.read(1) == b""
        stream.seek(50_000)
        assert stream.read(10) == content[50_000:50_010]


def test_a_blob_that_is_replaced_while_it_is_read_is_not_read_on(
    store: AzureDataStore, blobs: ContainerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure_data, "READ_AHEAD", 1000)
    store.upload(bytes_in(tmp_path / "file", 5_000), FILE, print)
    with store.open(FILE) as stream:
        stream.read(500)
        blobs.upload_blob(FILE.path, os.urandom(5_000), overwrite=True)
        with pytest.raises(MlopsError, match="was replaced meanwhile"):
            stream.read()


HOURS = Location("training", "modelDataCollector/endpoint/version-1/model_inputs", "uri_folder")


def test_a_blob_that_grows_is_read_as_it_was_when_it_was_opened(
    store: AzureDataStore, blobs: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure_data, "READ_AHEAD", 1000)
    location = HOURS.file("2026/11/25/22/one.jsonl")
    blob = blobs.get_blob_client(location.path)
    blob.create_append_blob()
    lines = [b"%04d\n" % number for number in range(1000)]
    blob.append_block(b"".join(lines))
    with store.open(location) as stream:
        assert stream.read(500) == b"".join(lines[:100])
        blob.append_block(b"and more\n")
        assert stream.read() == b"".join(lines[100:])
    assert store.open(location).read().endswith(b"0999\nand more\n")


def test_the_hours_of_days_are_listed_at_once_in_their_order(
    azure: Azure, store: AzureDataStore, blobs: ContainerClient
) -> None:
    names = [f"2026/11/{day:02}/{hour:02}/x.jsonl" for day in (9, 10, 11) for hour in range(24)]
    for name in reversed(names):
        blobs.upload_blob(f"{HOURS.path}/{name}", name.encode(), blob_type="AppendBlob")
    blobs.upload_blob(f"{HOURS.path}-2/2026/11/09/00/x.jsonl", b"another deployment's")
    asked = len(azure.stand_in.sent("GET .*blob.*|GET /training.*"))
    assert store.names(HOURS) == names
    assert [file.name for file in store.files(HOURS)] == names
    lists = azure.stand_in.sent("GET .*blob.*|GET /training.*")[asked:]
    assert [request.query.get("comp") for request in lists] == ["list", "list"]
    asked = len(azure.stand_in.requests)
    assert [store.open(HOURS.file(name)).read().decode() for name in names] == names
    assert len(azure.stand_in.requests) - asked == len(names)


def test_a_blob_without_bytes_is_read(store: AzureDataStore, blobs: ContainerClient) -> None:
    blobs.upload_blob(FILE.path, b"")
    assert store.open(FILE).read() == b""


MEASURE = r"""
import re, sys
from pathlib import Path
import pandas, pyarrow.parquet
from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential
from mlops.project import find_project
from mlops.samples import sample_tables
from mlops.workspaces import Location
from mlops.workspaces.azure.data import AzureDataStore

folder, subscription, group, workspace, project = sys.argv[1:]
credential = DefaultAzureCredential()
environment = find_project(Path(project)).environment("dev")
client = MLClient(credential, subscription, group, workspace)
store = AzureDataStore(client, credential, environment)

def peak():
    # (getrusage counts what the process was before it became this program.)
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024

def use(name):
    location = Location("training", name, "uri_file")
    store.upload(Path(folder, name), location, lambda done: None)
    uploaded = peak()
    target = Path(folder, "sample.parquet")
    print(sample_tables([(name, store.open(location))], 1000, target, lambda done: None))
    return uploaded

use("small.parquet")  # what is imported and cached is not what grows
before = peak()
print("peaks", before, use("large.parquet"), peak())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
def test_memory_does_not_grow_with_the_data(
    azure: Azure, client: MLClient, project: Project, tmp_path: Path
) -> None:
    import numpy as np

    random = np.random.default_rng(0)
    for name, rows in (("small", 100_000), ("large", 1_400_000)):
        columns = {f"c{n}": random.random(rows) for n in range(10)}
        pd.DataFrame(columns).to_parquet(tmp_path / f"{name}.parquet")
    assert (tmp_path / "large.parquet").stat().st_size > 100 * MEBIBYTE
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), azure.subscription, GROUP, WORKSPACE,
         str(project.root)],
        env={**os.environ, "PYTHONPATH": ENGINE}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "(1000, 1400000)" in done.stdout
    before, uploaded, read = map(int, done.stdout.rpartition("peaks ")[2].split())
    assert max(uploaded, read) - before < 90, done.stdout  # of a file of 106 MiB


# --- the commands, from a process of their own


def test_the_commands(azure: Azure, tmp_path: Path) -> None:
    root = copy_of(generated(azure_subscription_id=SUBSCRIPTION), tmp_path)
    for file in (*root.glob("environments/*.yml"), *root.glob(".azureml/*/config.json")):
        file.write_text(file.read_text("utf-8").replace(SUBSCRIPTION, azure.subscription), "utf-8")
    settings = find_project(root).environment("dev").settings.azure
    identifier = azure.add_workspace(settings.resource_group, settings.workspace)
    client = MLClient(
        DefaultAzureCredential(), azure.subscription, settings.resource_group, settings.workspace
    )
    add_datastore(azure, client, identifier, "training").create_container()

    def mlops(*arguments: str, status: int = 0) -> Any:
        done = run_mlops(root, *arguments, "--json", status=status, **azure.environment)
        return json.loads(done.stdout)

    pushed = mlops("data", "push", "data/sample.parquet")
    assert (pushed["uploaded"], pushed["registered"]) == (True, True)
    again = mlops("data", "push", "data/sample.parquet")
    assert (again["uploaded"], again["registered"]) == (False, False)
    pulled = mlops("data", "pull", "--rows", "7")
    assert (pulled["rows"], pulled["of"], pulled["version"]) == (7, 569, pushed["version"])
    assert len(pd.read_parquet(pulled["file"])) == 7
    azure.stand_in.fail(
        r"HEAD .*training\.parquet", times=9, status=403, code="AuthorizationPermissionMismatch",
        x_ms_error_code="AuthorizationPermissionMismatch",
    )  # fmt: skip
    said = mlops("data", "pull", status=1)["error"]
    assert "to read needs the role `Storage Blob Data Reader` on the container training-" in said


# --- what is said when something is missing


def test_a_datastore_that_is_not_there(project: Project, store: AzureDataStore) -> None:
    with pytest.raises(MlopsError, match=r"no datastore `elsewhere` in the workspace .* of dev"):
        store.files(Location("elsewhere", "a", "uri_file"))


@pytest.mark.parametrize("kind", ["uri_file", "uri_folder"])
def test_a_container_that_is_not_there(store: AzureDataStore, kind: Any, tmp_path: Path) -> None:
    location = Location("nowhere", "a", kind)
    for act in (
        lambda: store.files(location),
        lambda: store.upload(bytes_in(tmp_path / "file", 1), location.file("b"), print),
    ):
        with pytest.raises(MlopsError, match=r"the container nowhere-\w+ of \w+ is not there"):
            act()


def test_without_the_role_the_message_names_it(
    azure: Azure, store: AzureDataStore, tmp_path: Path
) -> None:
    azure.stand_in.fail(
        r"PUT .*training\.parquet", times=9, status=403, code="AuthorizationPermissionMismatch",
        x_ms_error_code="AuthorizationPermissionMismatch",
    )  # fmt: skip
    with pytest.raises(MlopsError, match=r"to write `Storage Blob Data Contributor`"):
        store.upload(bytes_in(tmp_path / "file", 1), FILE, print)


def test_an_asset_that_is_not_there_has_no_versions(store: AzureDataStore) -> None:
    assert store.versions("training") == []
    assert store.files(FILE) == store.files(FOLDER) == []


def test_a_scored_table_is_collected_where_azure_collects_requests(
    azure: Azure, client: MLClient, project: Project, workspace: Workspace, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("MLOPS_TIME", "2026-02-03T04:59:59Z")
    model = tmp_path / "version" / "model"
    model.mkdir(parents=True)
    shutil.copy(project.contract, model / "contract.yml")
    monkeypatch.setattr(Workspace, "files", lambda *_: model.parent, raising=False)
    source, answers = project.root / "data" / "sample.parquet", tmp_path / "answers.parquet"
    ids = pd.read_parquet(source)[["sample_id"]]
    ids.assign(prediction="benign").to_parquet(answers, index=False)
    said: list[str] = []
    version = ModelVersion("churn-model", 3, "dev", "run", "now", {})
    collect_batch(workspace, version, source, answers, said.append)  # type: ignore[arg-type]
    assert said == []
    store = client.datastores.get("workspaceblobstore")
    plane = azure.stand_in.data_plane.client(store.account_name)
    container = plane.get_container_client(store.container_name)
    endpoint = workspace.environment.endpoint("batch")
    for collection in ("model_inputs", "model_outputs"):
        folder = f"modelDataCollector/{endpoint}/version-3/{collection}/2026/02/03/04/"
        (name,) = [blob.name for blob in container.list_blobs(name_starts_with=folder)]
        lines = container.download_blob(name).readall().decode().splitlines()
        rows = [row for line in lines for row in json.loads(line)["data"]]
        assert [row["sample_id"] for row in rows] == ids["sample_id"].tolist()
