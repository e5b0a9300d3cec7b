"""`mlops retrain` in Azure: the half that trains, on a window of registered data, without production."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.azure.conftest import Azure
from tests.azure.projects import AzureProject, make_project
from tests.engine.builders import edit

pytestmark = pytest.mark.slow
REQUEST = json.dumps({
    "environment": "prod", "model": "churn-model", "origin": "dev/1", "digest": "a" * 64,
    "asks": [{"trigger": "signal", "name": "data_drift", "state": "1"}],
    "time": "2026-01-31T06:00:00+00:00",
})  # fmt: skip


def with_times(project: AzureProject) -> None:
    """A row for each hour of January, and a policy that trains on the last twenty days."""
    data = project.root / "data"
    table = pd.read_parquet(data / "sample.parquet")
    table["day"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(range(len(table)), "h")
    table.to_parquet(data / "sample.parquet", index=False)
    edit(data / "contract.yml", "id: sample_id\n", "id: sample_id\ntimestamp: day\n")
    edit(data / "contract.yml", "columns:\n", "columns:\n  day: {type: timestamp}\n")
    training = "path: training.parquet"
    edit(
        data / "sources.yml",
        f"dev: {{datastore: training, {training}",
        f"dev: {{datastore: workspaceblobstore, {training}",
    )
    prod = project.root / "environments" / "prod.yml"
    edit(prod, "  window_days: null", "  window_days: 20")
    edit(prod, "  minimum_new_rows: 0", "  minimum_new_rows: 1")


def test_a_request_trains_once_on_the_window_and_production_is_not_read(
    azure: Azure, tmp_path: Path
) -> None:
    project = make_project(azure, tmp_path)
    with_times(project)
    project.run("data", "push", "--env", "dev", str(project.root / "data" / "sample.parquet"))
    done = project.answer("retrain", "--request", REQUEST)
    assert done["outcome"]["version"] == "dev/1"
    assert "unknown, at least 1" not in json.dumps(done), "a model that nobody knows: not counted"
    (job,) = azure.stand_in.sent(r"PUT .*/jobs/training-[0-9a-f]+")
    given = job.body["properties"]["inputs"]["data"]["uri"]
    assert "workspaceblobstore" in given and given.endswith(".parquet")
    (version,) = project.workspace("dev").versions()
    assert version.tags["data_window"].startswith("481 rows from 2026-01-04T16:00:00+00:00 to ")
    assert version.tags["data_until"] == "2026-01-24T16:00:00+00:00"
    assert version.tags["data_version"].startswith("training:")
    assert version.tags["retraining"] == done["id"]

    again = project.answer("retrain", "--request", REQUEST)
    assert (again["again"], again["outcome"]) == (True, done["outcome"])
    assert len(azure.stand_in.sent(r"PUT .*/jobs/training-[0-9a-f]+.*")) == 1
    assert azure.stand_in.sent(r".* .*/workspaces/mlw-churnmodel-prod.*") == []
    (kept,) = project.workspace("dev").decisions("retraining")
    assert (kept.facts["for"], kept.facts["rows"]) == ("prod", 569)
