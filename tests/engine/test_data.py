"""Data in Blob storage: what its file may say, the acts over a local workspace, and samples."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops import data as acts
from mlops import samples, training
from mlops.checks import check_project
from mlops.errors import MlopsError, Refused, UsageError
from mlops.project import Project, find_project
from mlops.sources import load_sources
from mlops.validation import ContractViolation
from mlops.workspaces import Location, Workspace, open_workspace
from mlops.workspaces.local import data as local_data

from ..conftest import copy_of, generated, run_mlops
from .builders import edit, write

SAMPLE = "data/sample.parquet"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_of(generated(), tmp_path / "project")


@pytest.fixture
def project(root: Path) -> Project:
    return find_project(root)


@pytest.fixture
def dev(project: Project) -> Iterator[Workspace]:
    workspace = open_workspace(project, "dev")
    yield workspace
    workspace.close()


def push(project: Project, workspace: Workspace, file: Path | None = None) -> acts.Push:
    return acts.push(project, workspace, file or project.root / SAMPLE, "training", report=print)


def pull(
    project: Project, workspace: Workspace, rows: int = 100, output: Path | None = None
) -> acts.Pull:
    return acts.pull(project, workspace, "training", rows, output, report=print)


def other_table(project: Project, name: str = "other.parquet") -> Path:
    """A second table that obeys the contract."""
    table = pd.read_parquet(project.root / SAMPLE)
    table = table.iloc[: len(table) // 2]
    file = project.root / name
    table.to_csv(file, index=False) if name.endswith("csv") else table.to_parquet(file)
    return file


def in_a_folder(project: Project) -> None:
    edit(project.sources, "type: uri_file", "type: uri_folder")
    edit(
        project.sources,
        "datastore: training, path: training.parquet",
        "datastore: training, path: a/b",
    )


# --- data/sources.yml


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("type: uri_file", "type: uri_fil", "`assets.training.type`: Input should be 'uri_file'"),
        ("    default: {datastore: production, path: training.parquet}",
            "    defalt: {datastore: production, path: training.parquet}", "is not a setting; did you mean `default`?"),
        ("{datastore: training, path: training", "{datastore: tra-ining, path: training", "`assets.training.environments.dev.datastore`"),
        ("training, path: training.parquet", "training", "environments.dev.path` is missing"),
        ("training, path: training.parquet", "training, path: /a", "write a path in the container"),
        ("training, path: training.parquet", "training, path: a/../b", "write a path in the container"),
        ("training, path: training.parquet", "training, path: a//b", "write a path in the container"),
        ("training, path: training.parquet", "training, path: a/", "write a path in the container"),
        ("training, path: training.parquet", r"training, path: a\b", "write a path in the container"),
        ("      dev: {datastore: training, path: t", "      dve: {datastore: training, path: t", "there is no environment `dve`; did you mean `dev`?"),
        ("  training:\n", "  tra ining:\n", "should match pattern"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_file_is_a_finding_with_its_line(
    project: Project, old: str, new: str, said: str
) -> None:
    line = edit(project.sources, old, new)
    (finding,) = [f for f in check_project(project, with_azure=False) if f.path == project.sources]
    assert said in finding.problem
    assert abs(finding.line - line) <= 1


def test_the_file_fits_every_project_as_it_comes(project: Project) -> None:
    sources = load_sources(project)
    assert sources is not None
    places = {name: str(sources.location("training", name)) for name in project.environments}
    assert places.pop("dev") == "azureml://datastores/training/paths/training.parquet"
    assert set(places.values()) == {"azureml://datastores/production/paths/training.parquet"}


def test_a_project_without_the_file_works_as_before(project: Project, dev: Workspace) -> None:
    project.sources.unlink()
    assert check_project(project, with_azure=False) == []
    assert acts.training_data(project, dev) is None
    with pytest.raises(UsageError, match=r"sources.yml is missing: .* docs/data.md"):
        push(project, dev)


def test_dev_may_not_read_what_production_reads(project: Project) -> None:
    line = edit(
        project.sources,
        "dev: {datastore: training, path: t",
        "dev: {datastore: production, path: t",
    )
    # Each has a workspace of its own, and so a container of its own.
    assert check_project(project, with_azure=False) == []
    for name in project.environments:
        file = project.environment_file(name)
        workspace = project.environment(name).settings.azure.workspace
        edit(file, f"workspace: {workspace}", "workspace: mlw-shared")
    (finding,) = check_project(project, with_azure=False)
    assert (finding.path, finding.line) == (project.sources, line)
    assert "is the same data in dev as in staging" in finding.problem
    dev = open_workspace(project, "dev")
    push(project, dev)
    with pytest.raises(Refused, match="is the same data in dev as in staging"):
        pull(project, dev)


def test_a_file_is_no_folder(project: Project, dev: Workspace) -> None:
    push(project, dev)
    edit(project.training_pipeline, "  data:\n    type: uri_file", "  data:\n    type: uri_folder")
    said = "`data` of training.yml is a uri_folder: write the same in both"
    assert said in [f.problem for f in check_project(project, with_azure=False)]
    with pytest.raises(UsageError, match=said):
        training.train(project, dev, report=print)


def test_an_unknown_name_and_an_environment_without_data(project: Project, dev: Workspace) -> None:
    with pytest.raises(UsageError, match=r"sources.yml:3: .*no data asset `trainin`; did you mean"):
        acts.register(project, dev, "trainin")
    edit(project.sources, "    default: {datastore: production, path: training.parquet}\n", "")
    with pytest.raises(UsageError, match=r"sources.yml:5: `training` lies nowhere in prod"):
        acts.register(project, open_workspace(project, "prod"), "training")
    assert acts.training_data(project, open_workspace(project, "prod")) is None
    assert check_project(project, with_azure=False) == []


# --- push and register


def test_what_did_not_change_is_neither_uploaded_nor_registered_again(
    project: Project, dev: Workspace
) -> None:
    first, again = push(project, dev), push(project, dev)
    assert (first.uploaded, first.registration.is_new) == (True, True)
    assert (again.uploaded, again.registration.is_new) == (False, False)
    assert again.registration.version == first.registration.version
    assert not acts.register(project, dev, "training").is_new
    assert len(dev.data().versions("training")) == 1
    tags = first.registration.version.tags
    size = (project.root / SAMPLE).stat().st_size
    assert tags == {
        "datastore": "training", "path": "training.parquet", "bytes": str(size), "rows": "569",
    }  # fmt: skip


def test_another_content_is_another_version_and_the_first_content_is_the_first_version(
    project: Project, dev: Workspace
) -> None:
    first = push(project, dev).registration.version
    second = push(project, dev, other_table(project)).registration.version
    assert first != second
    back = push(project, dev)
    assert (back.uploaded, back.registration.is_new) == (True, False)
    assert acts.training_data(project, dev) == back.registration.version == first


def test_a_table_that_breaks_the_contract_is_not_uploaded(project: Project, dev: Workspace) -> None:
    table = pd.read_parquet(project.root / SAMPLE)
    table.loc[3, "mean_radius"] = -1.0
    table.drop(columns="mean_area").to_parquet(project.root / "broken.parquet")
    with pytest.raises(ContractViolation) as error:
        push(project, dev, project.root / "broken.parquet")
    assert {v["column"] for v in error.value.violations} == {"mean_radius", "mean_area"}
    assert dev.data().files(Location("training", "training.parquet", "uri_file")) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing.parquet", "there is no such file"),
        ("other.csv", r"sources.yml:5: .*lies at training.parquet; .*is a .csv file"),
        ("pyproject.toml", "only .parquet and .csv files"),
    ],
)
def test_what_cannot_be_pushed(project: Project, dev: Workspace, name: str, said: str) -> None:
    if name == "other.csv":
        other_table(project, name)
    with pytest.raises(UsageError, match=said):
        push(project, dev, project.root / name)


def test_what_is_no_table_is_registered_without_a_number_of_rows(
    project: Project, dev: Workspace
) -> None:
    edit(project.sources, "training, path: training.parquet", "training, path: pictures.zip")
    folder = project.root / ".mlops" / dev.environment.settings.azure.workspace / "data"
    write(folder / "training" / "pictures.zip", "pictures")
    assert "rows" not in acts.register(project, dev, "training").version.tags
    with pytest.raises(UsageError, match="must hold tables of one kind"):
        pull(project, dev)


def test_nothing_lies_there(project: Project, dev: Workspace) -> None:
    for act in (lambda: acts.register(project, dev, "training"), lambda: pull(project, dev)):
        with pytest.raises(
            UsageError, match=r"nothing lies in .* `mlops data push --env dev FILE`"
        ):
            act()


def test_a_broken_upload_leaves_what_was_there_and_the_next_one_tidies_up(
    project: Project, dev: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = push(project, dev).registration.version
    store, location = dev.data(), Location("training", "training.parquet", "uri_file")
    before = store.files(location)
    monkeypatch.setattr(local_data, "BLOCK", 1000)

    def cut(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.upload(other_table(project), location, cut)
    assert store.files(location) == before
    folder = project.root / ".mlops" / dev.environment.settings.azure.workspace / "data"
    old = write(folder / ".partial" / "of-a-killed-command", "half").stat().st_mtime
    os.utime(folder / ".partial" / "of-a-killed-command", times=(old, old - 2 * 3600))
    write(folder / ".partial" / "of-one-that-goes-on", "half")
    assert push(project, dev, other_table(project)).registration.version != first
    assert sorted(f.name for f in folder.rglob("*") if f.is_file()) == [
        "of-one-that-goes-on",
        "training.parquet",
        "versions.json",
    ]


def test_a_folder_of_tables(project: Project, dev: Workspace) -> None:
    in_a_folder(project)
    first = push(project, dev).registration.version
    done = push(project, dev, other_table(project))
    assert str(done.target) == "azureml://datastores/training/paths/a/b/other.parquet"
    second = done.registration.version
    assert second != first and "rows" not in second.tags
    names = [f.name for f in dev.data().files(second.location)]
    assert names == ["other.parquet", "sample.parquet"]
    pulled = pull(project, dev, 10_000)
    assert pulled.rows == pulled.of == 569 + 284
    assert pulled.version == second.version
    assert dev.data().reference(second).is_dir()  # type: ignore[union-attr]
    other_table(project, "other.csv")
    push(project, dev, project.root / "other.csv")
    with pytest.raises(UsageError, match="must hold tables of one kind"):
        pull(project, dev)


# --- pull


def test_a_sample_comes_from_the_first_environment_only(project: Project) -> None:
    for name in project.environments[1:]:
        workspace = open_workspace(project, name)
        push(project, workspace)
        with pytest.raises(Refused, match=f"the data of {name} stays there: .*--env dev"):
            pull(project, workspace)


def test_a_sample_is_a_table_like_the_whole_and_the_same_each_time(
    project: Project, dev: Workspace
) -> None:
    push(project, dev)
    pulled = pull(project, dev)
    assert pulled.file == project.root / "data" / "pulled" / "training.parquet"
    assert (pulled.rows, pulled.of) == (100, 569)
    table, whole = pd.read_parquet(pulled.file), pd.read_parquet(project.root / SAMPLE)
    assert list(table.dtypes) == list(whole.dtypes)
    assert len(table.merge(whole)) == 100
    assert table["sample_id"].is_monotonic_increasing == whole["sample_id"].is_monotonic_increasing
    pd.testing.assert_frame_equal(pd.read_parquet(pull(project, dev).file), table)
    assert pull(project, dev, 569).rows == pull(project, dev, 10_000).rows == 569
    pd.testing.assert_frame_equal(pd.read_parquet(pulled.file), whole)


def test_git_ignores_a_sample(root: Path, project: Project, dev: Workspace) -> None:
    push(project, dev)
    pull(project, dev)
    from mlops.git import commit_tags

    assert commit_tags(root)["git_dirty"] == "false"


def test_a_sample_has_the_kind_of_the_data(project: Project, dev: Workspace) -> None:
    push(project, dev)
    with pytest.raises(UsageError, match=r"the data is .parquet, and so is its sample"):
        pull(project, dev, output=project.root / "sample.csv")


def test_rows_of_a_sorted_table_are_all_as_likely(tmp_path: Path) -> None:
    table = pd.DataFrame({"n": range(100_000)})
    places = sample_of([table], 10_000, tmp_path)["n"]
    assert places.is_monotonic_increasing and places.is_unique
    counts = np.histogram(places, bins=10, range=(0, 100_000))[0]
    assert abs(counts - 1000).max() < 150  # five standard deviations


@pytest.mark.parametrize("rows", [1, 7, 50, 5000])
def test_a_sample_does_not_depend_on_the_pieces(
    tmp_path: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.DataFrame({"n": range(1000), "c": pd.Categorical(["a", "b"] * 500)})
    halves = [table.iloc[:300], table.iloc[300:]]
    found = []
    for size in (3, 400, 5000):
        monkeypatch.setattr(samples, "ROWS_PER_BATCH", size)
        found += [sample_of([table], rows, tmp_path), sample_of(halves, rows, tmp_path)]
    assert len(found[0]) == min(rows, 1000)
    for other in found[1:]:
        pd.testing.assert_frame_equal(other, found[0])


def test_text_in_a_csv_file_stays_as_it_stands_there(tmp_path: Path) -> None:
    text = '"id","code","note"\n1,007,NA\n2,,""\n3,1e3,"a, ""b"""\n'
    quoted = '"id","code","note"\n"1","007","NA"\n"2",,""\n"3","1e3","a, ""b"""\n'
    streams = [("t.csv", io.BytesIO(text.encode()))]
    target = tmp_path / "t.csv"
    assert samples.sample_tables(streams, 10, target, print) == (3, 3)
    assert target.read_text() == quoted


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.parquet", b"PAR1 and no more", "t.parquet: this is not a readable table"),
        ("t.csv", b"a,b\n1\n", "t.csv: this is not a readable table"),
        ("t.csv", b"", "t.csv: this is not a readable table"),
    ],
)
def test_what_is_no_table_leaves_the_old_sample(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    target = write(tmp_path / name, "old")
    with pytest.raises(UsageError, match=said):
        samples.sample_tables([(name, io.BytesIO(content))], 5, target, print)
    assert [(f.name, f.read_text()) for f in tmp_path.iterdir()] == [(name, "old")]


def test_tables_with_other_columns_are_no_more_of_the_same(tmp_path: Path) -> None:
    tables = [pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})]
    with pytest.raises(UsageError, match="its columns are not those of the tables before it"):
        sample_of(tables, 5, tmp_path)


def test_a_table_without_rows(tmp_path: Path) -> None:
    empty = pd.DataFrame({"a": pd.Series([], dtype="int64")})
    assert sample_of([empty], 5, tmp_path).shape == (0, 1)


def sample_of(tables: list[pd.DataFrame], rows: int, folder: Path) -> pd.DataFrame:
    streams = ((f"{n}.parquet", io.BytesIO(t.to_parquet())) for n, t in enumerate(tables))
    samples.sample_tables(streams, rows, folder / "sample.parquet", lambda _: None)
    return pd.read_parquet(folder / "sample.parquet")


# --- what training reads


class Submitted(Exception):
    """Carries what a workspace was asked to run."""


def submitted(project: Project, workspace: Any, **options: Any) -> tuple[Any, Any, list[str]]:
    """The data that training would read, the job's tags, and what it said."""

    def submit(pipeline: Any, inputs: Any, *, tags: Any, **_: Any) -> None:
        raise Submitted(inputs["data"], tags)

    workspace.submit = submit
    said: list[str] = []
    with pytest.raises(Submitted) as caught:
        training.train(project, workspace, report=said.append, **options)
    return (*caught.value.args, said)


def test_training_reads_the_registered_version(project: Project, dev: Workspace) -> None:
    sample = project.root / SAMPLE
    assert submitted(project, dev) == (sample, {}, ["data: data/sample.parquet"])
    version = push(project, dev).registration.version
    data, tags, said = submitted(project, dev)
    assert data == dev.data().reference(version) and data.read_bytes() == sample.read_bytes()
    assert tags == {"data_version": f"training:{version.version}"}
    assert said == [f"data: training:{version.version}, {version.location}"]
    for options in ({"data": sample}, {"settings": {"data": str(sample)}}):
        assert submitted(project, dev, **options) == (sample, {}, ["data: data/sample.parquet"])


def test_training_reads_nothing_that_was_changed_since(project: Project, dev: Workspace) -> None:
    version = push(project, dev).registration.version
    file = dev.data().reference(version)
    assert isinstance(file, Path)
    file.write_bytes(other_table(project).read_bytes())
    with pytest.raises(Refused, match="has changed since; run `mlops data register --env dev`"):
        training.train(project, dev, report=print)
    newer = acts.register(project, dev, "training")
    assert newer.is_new and newer.version.tags["rows"] == "284"
    assert submitted(project, dev)[1] == {"data_version": str(newer.version)}
    file.unlink()
    with pytest.raises(MlopsError, match="has changed since"):
        training.train(project, dev, report=print)


def test_a_version_of_another_place_is_not_what_this_environment_reads(
    project: Project, dev: Workspace
) -> None:
    push(project, dev)
    edit(project.sources, "training, path: training.parquet", "training, path: elsewhere.parquet")
    assert acts.training_data(project, dev) is None
    assert push(project, dev).registration.is_new


# --- the commands


def test_the_commands(root: Path) -> None:
    import json

    done = run_mlops(root, "data", "push", SAMPLE)
    assert done.stdout.startswith(f"{SAMPLE} uploaded to azureml://datastores/training/paths/")
    assert "569 rows obey the contract" in done.stderr
    pushed = json.loads(run_mlops(root, "data", "push", SAMPLE, "--json").stdout)
    registered = json.loads(run_mlops(root, "data", "register", "--json").stdout)
    assert pushed == {**registered, "uploaded": False}
    assert (registered["name"], registered["registered"]) == ("training", False)
    assert "nothing changed: this is training:" in run_mlops(root, "data", "register").stdout
    pulled = run_mlops(root, "data", "pull", "--rows", "5").stdout
    assert f"5 of 569 rows of training:{registered['version']} are in " in pulled
    assert str(Path("data/pulled/training.parquet")) in pulled
    assert json.loads(run_mlops(root, "data", "pull", "--json").stdout) == {
        "name": "training", "version": registered["version"], "rows": 569, "of": 569,
        "file": str(root / "data" / "pulled" / "training.parquet"),
    }  # fmt: skip
    run_mlops(root, "data", "pull", "--env", "prod", status=3)
    run_mlops(root, "data", "push", "no.parquet", status=2)
    run_mlops(root, "data", "pull", "--rows", "0", status=2)
