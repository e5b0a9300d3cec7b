"""`mlops train` with registered data: what it reads, and what the job's record says of it."""

from __future__ import annotations

import json

from .conftest import Loop


def test_training_reads_registered_data_and_its_job_says_which(fresh: Loop) -> None:
    pushed = json.loads(fresh.run("data", "push", "data/sample.parquet", "--json").stdout)
    done = fresh.run("train", "--json")
    version = f"training:{pushed['version']}"
    assert json.loads(done.stdout)["data_version"] == version
    assert f"data: {version}, azureml://datastores/training/paths/training.parquet" in done.stderr
    sql = "select value from tags where key = 'data_version'"
    assert fresh.query("dev", sql) == [(version,)]
    (data,) = fresh.query("dev", "select value from params where key = 'data'")[0]
    assert data.startswith(".mlops/") and data.endswith("/data/training/training.parquet")
    assert fresh.tags(1)["git_dirty"] == "false"
