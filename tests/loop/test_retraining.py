"""`mlops retrain`: from an alarm to a better model in production, once, by real commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from tests.conftest import mlops_environment

from .conftest import Loop

# Keeps the result of a monitor about the version in use.
MONITOR = """
from mlops.decisions import Check
from mlops.project import find_project
from mlops.versions import decide
from mlops.workspaces import open_workspace
prod = open_workspace(find_project(), "prod")
check = Check(rule="distance of mean_radius", value=0.3, limit=0.1, passed=False)
prod.keep(decide(prod, "monitor", prod.champion(), [check], signal="data_drift"))
"""


def raise_alarm(loop: Loop) -> None:
    subprocess.run(
        [sys.executable, "-c", MONITOR], cwd=loop.root, env=mlops_environment(loop.root), check=True
    )


def more_rows(loop: Loop) -> None:
    """Ten rows more to train on: copies of others, with ids of their own."""
    file = loop.root / "data" / "sample.parquet"
    table = pd.read_parquet(file)
    more = table.iloc[:10].assign(sample_id=lambda rows: rows["sample_id"] + 10_000)
    pd.concat([table, more]).to_parquet(file, index=False)


def records(loop: Loop, environment: str) -> list[dict[str, Any]]:
    return loop.decisions(environment, "retraining")


def published(file: Path) -> dict[str, str]:
    pairs = [line.partition("=") for line in file.read_text("utf-8").splitlines()]
    return {name: text for name, _, text in pairs}


def test_an_alarm_becomes_one_version_in_production(released: Loop) -> None:
    assert "nothing asks for one" in released.run("retrain").stdout
    assert records(released, "prod") == records(released, "dev") == []
    raise_alarm(released)
    more_rows(released)

    # Killed in the middle, and then two at the same time: one trains, the other gets its result.
    released.start("retrain").until("train ...").kill()
    assert records(released, "dev") == []
    both = [released.start("retrain", "--json") for _ in range(2)]
    assert [command.end() for command in both] == [0, 0], [c.output() for c in both]
    said = [json.loads(command.out.read_text("utf-8")) for command in both]
    assert [one["outcome"]["version"] for one in said] == ["dev/3", "dev/3"]
    assert sorted(one["again"] for one in said) == [False, True]
    assert released.versions("dev") == [1, 2, 3]
    (record,) = records(released, "dev")
    tags = released.tags(3)
    assert tags["retraining"] == record["facts"]["request"] == said[0]["id"]
    assert (tags["data_rows"], record["version"]) == ("579", 3)
    assert released.champion("prod") == 2

    # The next day, and now up to production.
    summary = released.root / "summary.md"
    done = released.run("retrain", "--release", MLOPS_SUMMARY=str(summary))
    assert "prod: done before: trained and registered, dev/3" in done.stdout
    assert "rollout in prod: accepted version 3" in done.stdout
    assert released.champion("prod") == 3
    assert released.endpoint("prod")["traffic"] == {"version-3": 100}
    assert "## rollout in prod: accepted version 3" in summary.read_text("utf-8")
    # The alarm ended with the version that it was about.
    assert "nothing asks for one" in released.run("retrain", "--decide-only").stdout
    assert released.versions("dev") == [1, 2, 3]


def test_a_request_goes_from_stage_to_stage_and_a_refused_challenger_is_an_alarm(
    released: Loop, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    raise_alarm(released)
    more_rows(released)
    before = len(list(released.workspace("prod").glob("decisions/*")))
    released.run("retrain", "--decide-only", GITHUB_OUTPUT=str(output))
    decided = published(output)
    assert decided["retrain"] == "true"
    assert len(list(released.workspace("prod").glob("decisions/*"))) == before

    released.edit("environments/dev.yml", "roc_auc: 0.95", "roc_auc: 0.9999")
    summary = tmp_path / "summary.md"
    for again in (False, True):
        output.write_text("", "utf-8")
        refused = released.run(
            "retrain", "--request", decided["request"], status=3,
            GITHUB_OUTPUT=str(output), MLOPS_SUMMARY=str(summary),
        )  # fmt: skip
        assert "the model for prod was refused" in refused.stderr
        said = published(output)
        assert (said["version"], said["registered"]) == ("", "false")
        (alarm,) = json.loads(said["alarms"])
        assert alarm["key"] == "churn-model/prod/retraining"
        assert "# churn-model: refused in dev" in alarm["body"]
        assert ("prepare" in refused.stderr) is not again, "nothing is trained again"
    assert "FAILED" in summary.read_text("utf-8")
    assert released.versions("dev") == [1, 2]

    wrong = json.loads(decided["request"]) | {"origin": "$(reboot)"}
    said_no = released.run("retrain", "--request", json.dumps(wrong), status=2)
    assert "`origin`" in said_no.stderr
    other = released.run("retrain", "--env", "staging", "--request", decided["request"], status=2)
    assert "--request is for prod, not for staging" in other.stderr
    released.run("retrain", "--decide-only", "--force", status=2)
    forced = released.json("retrain", "--force", status=3)
    assert forced["outcome"]["result"] == "refused"
    assert len(records(released, "dev")) == 2
