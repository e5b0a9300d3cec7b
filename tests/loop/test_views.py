"""`mlops status`, and what scripts read with `--json`."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Loop


def test_status_shows_every_environment_at_a_glance(released: Loop) -> None:
    text = released.run("status").stdout
    rows = [line.split() for line in text.splitlines()[1:-1]]
    assert [row[0] for row in rows] == ["dev"] * 2 + ["staging"] * 2 + ["prod"] * 2
    # The table is cut at no width in a pipe, so every fact is on its row.
    commit = released.tags(1)["git_commit"][:8]
    for row in rows:
        assert row[-1].rstrip("+") == commit
    assert "version-2: 100 %" in text
    assert "version-1: 0 %" in text
    assert text.splitlines()[-1].startswith("* the champion")

    states = released.json("status")
    assert [state["environment"] for state in states] == ["dev", "staging", "prod"]
    prod = states[-1]
    assert prod["champion"]["version"] == 2
    assert prod["champion"]["origin"] == "dev/2"
    assert set(prod["champion"]["metrics"]) >= {"roc_auc", "f1", "log_loss"}
    assert [(d["version"], d["traffic"]) for d in prod["endpoint"]["deployments"]] == [
        (1, 0), (2, 100),
    ]  # fmt: skip
    assert prod["last_decision"]["kind"] == "rollout"
    assert [v["version"] for v in prod["versions"]] == [1, 2]


def test_status_writes_a_page_of_all_environments(released: Loop, tmp_path: Path) -> None:
    page = tmp_path / "out" / "status.html"
    told = released.run("status", "--html", str(page)).stdout
    assert told.splitlines()[-1] == f"the page: {page}"
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "Nothing is known to be wrong in dev, staging and prod" in text
    for environment in ("dev", "staging", "prod"):
        assert f"mlops monitor --env {environment}" in text, "nothing was monitored yet"
    assert "trained as dev/2" in text
    assert "version 2\N{NO-BREAK SPACE}★" in text
    # With --json, standard output is what it is without a page.
    assert released.json("status", "--html", str(page)) == released.json("status")
    folder = released.run("status", "--env", "dev", "--html", str(page.parent), status=2)
    assert "is a folder; name a file in it" in folder.stderr


def test_the_versions_of_two_digits_come_after_those_of_one(trained: Loop) -> None:
    import sqlite3

    connection = sqlite3.connect(trained.workspace("dev") / "mlflow.db")
    columns = [row[1] for row in connection.execute("pragma table_info(model_versions)")]
    tags = [row[1] for row in connection.execute("pragma table_info(model_version_tags)")]
    for number in range(2, 12):
        for table, names in (("model_versions", columns), ("model_version_tags", tags)):
            values = ", ".join(str(number) if name == "version" else name for name in names)
            connection.execute(
                f"insert into {table} select {values} from {table} where version = 1"
            )
    connection.commit()
    connection.close()
    versions = trained.json("status", "--env", "dev")[0]["versions"]
    assert [version["version"] for version in versions] == list(range(1, 12))
    deployed = trained.json("deploy", "--env", "dev")
    assert deployed["version"] == 11, "the newest is the default"


def test_a_mistake_is_one_json_value_too(fresh_once: Loop) -> None:
    for command in (
        ("check", "--env", "nowhere"), ("train", "--env", "nowhere"),
        ("status", "--env", "nowhere"), ("rollback", "--env", "prod"),
        ("deploy", "--env", "prod"), ("promote", "--from", "dev"),
    ):  # fmt: skip
        failed = fresh_once.run(*command, "--json", status=None)
        assert failed.returncode in (1, 2, 3)
        told = json.loads(failed.stdout)
        assert told["exit_status"] == failed.returncode
        assert f"error: {told['error']}" in failed.stderr


def test_check_is_one_json_value_with_and_without_findings(fresh: Loop) -> None:
    assert fresh.json("check") == []
    fresh.edit("environments/prod.yml", "stages: [10, 50, 100]", "stages: [50, 10]")
    (finding,) = fresh.json("check", status=1)
    assert finding["file"].endswith("environments/prod.yml")
    assert "ascending" in finding["problem"]
