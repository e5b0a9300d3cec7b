"""`mlops compare` and `mlops monitor` on real trainings, workspaces and servers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import GIT, mlops_environment

from .conftest import Loop

# Keeps the result of a monitor, as one will.
MONITOR = """
import sys
from mlops.decisions import Check
from mlops.project import find_project
from mlops.versions import decide
from mlops.workspaces import open_workspace
prod = open_workspace(find_project(), "prod")
check = Check(rule="distance of mean_radius", value=0.3, limit=0.1, passed=sys.argv[1] == "fine")
prod.keep(decide(prod, "monitor", prod.champion(), [check], signal="data_drift"))
"""


def metric(done: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [metric for metric in done["metrics"] if metric["metric"] == name]
    return dict(found)


def test_a_change_that_does_nothing_passes_against_its_base(fresh: Loop, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    done = json.loads(
        fresh.run("compare", "--base", "HEAD", "--json", MLOPS_SUMMARY=str(summary)).stdout
    )
    assert {metric["verdict"] for metric in done["metrics"]} == {"same"}
    (check,) = [c for c in done["decision"]["checks"] if "lower bound" in c["rule"]]
    assert check["passed"]
    assert done["base"][:8] in check["rule"]
    assert done["notes"] == []
    assert "| roc_auc |" in summary.read_text("utf-8")
    assert "plots/" not in summary.read_text("utf-8")
    assert not (fresh.root / ".mlops").exists()
    status = subprocess.run(
        [*GIT, "status", "--porcelain"], cwd=fresh.root, capture_output=True, text=True
    )
    assert status.stdout == ""


def test_a_change_is_refused_by_the_rule_for_champions(fresh: Loop) -> None:
    fresh.edit("pipelines/training.yml", "max_iterations: 100", "max_iterations: 12")
    fresh.edit("environments/dev.yml", "margin: 0.02", "margin: 0.0001")
    done = fresh.json("compare", "--base", "HEAD", status=3)
    assert metric(done, "roc_auc")["verdict"] == "worse"
    failed = [check["rule"] for check in done["decision"]["checks"] if not check["passed"]]
    assert failed == [f"roc_auc against {done['base'][:8]}, lower bound of the difference"]
    assert "churn-model: refused in dev" in done["card"]


def test_another_split_is_a_note_for_the_reviewer(fresh: Loop) -> None:
    fresh.edit("pipelines/training.yml", "holdout_fraction: 0.2", "holdout_fraction: 0.25")
    done = fresh.run("compare", "--base", "HEAD")
    assert "is not comparable: it held out other rows" in done.stdout
    assert "gate.champion.incomparable: accept" in done.stdout
    assert "gate: accepted" in done.stdout


def test_an_alarm_goes_from_a_monitors_result_to_the_next_stage(
    released: Loop, tmp_path: Path
) -> None:
    def monitor(status: int) -> dict[str, Any]:
        output = tmp_path / "output"
        output.write_text("", "utf-8")
        released.run("monitor", status=status, GITHUB_OUTPUT=str(output))
        pairs = [line.partition("=") for line in output.read_text("utf-8").splitlines()]
        said = {name: json.loads(text) for name, _, text in pairs}
        # Nobody has asked the model yet: of what is silent, tickets would stay as they are.
        return said | {"alarms": [alarm for alarm in said["alarms"] if not alarm["silent"]]}

    def keep(state: str) -> None:
        subprocess.run(
            [sys.executable, "-c", MONITOR, state], cwd=released.root, check=True,
            env=mlops_environment(released.root),
        )  # fmt: skip

    assert monitor(0) == {"alarms": [], "report": True}
    keep("breached")
    said = monitor(3)
    (alarm,) = said["alarms"]
    assert (alarm["key"], alarm["retrain"]) == ("churn-model/prod/data_drift", True)
    keep("fine")
    released.edit("environments/prod.yml", "p95_ms: 500", "p95_ms: 0.001")
    said = monitor(3)
    assert [alarm["key"] for alarm in said["alarms"]] == ["churn-model/prod/endpoint"]
    assert "latency p95" in said["alarms"][0]["body"]
