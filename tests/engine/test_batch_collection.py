"""What is collected of tables that are scored in batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops import batch_collection, inference, tables
from mlops.batch_collection import collect_batch
from mlops.project import find_project
from mlops.workspaces import Location, ModelVersion
from mlops.workspaces.local.data import LocalDataStore

from .builders import contract, edit, write

RULES = contract(
    {
        "key": {"type": "integer"},
        "at": {"type": "timestamp"},
        "n": {"type": "number", "nullable": True},
        "zip": {"type": "category", "values": [1, 2]},
        "secret": {"type": "category", "collect": False},
    },
    id="key",
    timestamp="at",
)
VERSION = ModelVersion("churn", 4, "prod", "run", "now", {})
PLAYED = "2025-03-01T06:30:00+01:00"
WHERE = "modelDataCollector/churn-batch/version-4"


class Workspace:
    """As much of a workspace as collecting needs."""

    class environment:  # noqa: N801
        @staticmethod
        def endpoint(kind: str) -> str:
            return f"churn-{kind}"

    def __init__(self, folder: Path, rules: Any = RULES) -> None:
        self.folder = folder
        text = json.dumps(rules.model_dump(mode="json"))
        write(folder / "version" / "model" / "contract.yml", text)

    def files(self, _: ModelVersion) -> Path:
        return self.folder / "version"

    def data(self) -> LocalDataStore:
        return LocalDataStore(self.folder / "data")

    def collected(self, collection: str) -> list[list[dict[str, Any]]]:
        """The records of each file."""
        folder = self.folder / "data" / "workspaceblobstore" / WHERE / collection
        return [
            [json.loads(line) for line in file.read_text("utf-8").splitlines()]
            for file in sorted(folder.glob("*/*/*/*/*.jsonl"), key=lambda file: file.stat().st_ino)
        ]


def table(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "key": range(rows),
            "at": pd.Timestamp("2025-01-01 12:00:00"),
            "n": [None if number % 5 == 0 else number / 7 for number in range(rows)],
            "zip": [1 + number % 2 for number in range(rows)],
            "secret": "HIDDEN",
            "label": "yes",
        }
    )


def answers(rows: int) -> pd.DataFrame:
    shares = np.arange(rows) / 7
    return pd.DataFrame({"key": range(rows), "prediction": "no", "probability_no": shares})


def collect(workspace: Workspace, rows: int, suffix: str = ".parquet", missing: int = 0) -> str:
    said: list[str] = []
    files = []
    for name, content in (("in", table(rows)), ("out", answers(rows - missing))):
        file = workspace.folder / f"{name}{suffix}"
        if suffix == ".csv":
            content.to_csv(file, index=False)
        else:
            content.to_parquet(file, index=False, row_group_size=13)
        files.append(file)
    collect_batch(workspace, VERSION, *files, said.append)  # type: ignore[arg-type]
    return "\n".join(said)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_rows_and_answers_are_collected_as_requests_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setenv("MLOPS_TIME", PLAYED)
    workspace = Workspace(tmp_path)
    assert collect(workspace, 3, suffix) == ""
    (((asked,),), ((answered,),)) = map(workspace.collected, ("model_inputs", "model_outputs"))
    assert asked["data"] == [
        {"key": 0, "at": "2025-01-01T12:00:00.000", "n": None, "zip": "1"},
        {"key": 1, "at": "2025-01-01T12:00:00.000", "n": pytest.approx(1 / 7), "zip": "2"},
        {"key": 2, "at": "2025-01-01T12:00:00.000", "n": pytest.approx(2 / 7), "zip": "1"},
    ]
    assert answered["data"] == [
        {"key": number, "prediction": "no", "probability_no": pytest.approx(number / 7)}
        for number in range(3)
    ]
    assert asked["correlationid"] == answered["correlationid"]
    assert (asked["type"], asked["source"]) == (
        "azureml.inference.model_inputs",
        "churn-batch/version-4",
    )
    assert asked["time"] == "2025-03-01T05:30:00Z"
    files = [file for file in (tmp_path / "data").rglob("*") if file.is_file()]
    assert [file.parent.relative_to(tmp_path / "data").parts[-4:] for file in files] == [
        ("2025", "03", "01", "05")
    ] * 2
    assert not any("HIDDEN" in file.read_text("utf-8") for file in files)
    assert not any("secret" in file.read_text("utf-8") for file in files)


def test_a_large_table_is_collected_in_pieces_that_join_row_for_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops.events.VALUES_IN_A_RECORD", 4 * 25)
    iterate = tables.iterate_table
    monkeypatch.setattr(
        batch_collection, "iterate_table",
        lambda path, rules: iterate(path, rules, 100 if path.stem == "in" else 70),
    )  # fmt: skip
    workspace = Workspace(tmp_path)
    assert collect(workspace, 333) == ""
    inputs, outputs = map(workspace.collected, ("model_inputs", "model_outputs"))
    assert len(inputs) == len(outputs) > 3
    records = [
        {
            record["correlationid"]: [row["key"] for row in record["data"]]
            for lines in files
            for record in lines
        }
        for files in (inputs, outputs)
    ]
    assert records[0] == records[1]
    assert max(map(len, records[0].values())) == 25
    assert sorted(key for keys in records[0].values() for key in keys) == list(range(333))


def test_the_id_is_in_no_file_where_it_may_not_be_collected(tmp_path: Path) -> None:
    columns = {name: dict(rule) for name, rule in RULES.model_dump(mode="json")["columns"].items()}
    columns["key"]["collect"] = False
    workspace = Workspace(tmp_path, contract(columns, id="key", timestamp="at"))
    assert collect(workspace, 3) == ""
    for collection in ("model_inputs", "model_outputs"):
        ((record,),) = workspace.collected(collection)
        assert all("key" not in row for row in record["data"])


class FullStore:
    def upload(self, _: Path, location: Location, __: Any) -> None:
        raise OSError(f"no space left for {location}")


def test_a_failure_is_one_line_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path)
    monkeypatch.setattr(workspace, "data", FullStore)
    (line,) = collect(workspace, 3).splitlines()
    assert line.startswith(
        "what was scored could not be collected for the monitor: no space left for "
        f"azureml://datastores/workspaceblobstore/paths/{WHERE}/model_inputs/"
    )
    assert "there is not an answer for each row" in collect(Workspace(tmp_path), 30, missing=2)


class Scoring(Workspace):
    """Scores nothing, but says that it did."""

    def __init__(self, folder: Path, environment: Any) -> None:
        super().__init__(folder)
        self.environment = environment  # type: ignore[misc]

    def champion(self) -> ModelVersion:
        return VERSION

    def score(self, _: ModelVersion, source: Path, target: Path, report: Any) -> int:
        pd.read_parquet(source)[["key"]].assign(prediction="no").to_parquet(target)
        return 3


@pytest.mark.parametrize("collects", [True, False])
def test_an_environment_may_say_that_batches_are_not_collected(
    project: Path, tmp_path: Path, collects: bool
) -> None:
    if not collects:
        file = project / "environments" / "prod.yml"
        edit(file, "\nmonitoring:\n", "\nmonitoring:\n  collect_batches: false\n")
    workspace = Scoring(tmp_path / "state", find_project(project).environment("prod"))
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    table(3).to_parquet(source)
    scored = inference.score_table(workspace, source, target, None, report=print)  # type: ignore[arg-type]
    assert scored == (VERSION, 3)
    files = list((tmp_path / "state" / "data").rglob("*.jsonl"))
    assert len(files) == (2 if collects else 0)
