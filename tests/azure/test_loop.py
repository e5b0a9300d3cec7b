"""The whole loop on Azure: the generated project's own commands, through the real azure-ai-ml."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from mlops.project import find_project
from mlops.workspaces.azure.images import image_version
from tests.azure.conftest import Azure
from tests.azure.projects import AzureProject, make_project

pytestmark = pytest.mark.slow


def traffic(project: AzureProject, environment: str) -> dict[str, int]:
    (status,) = project.answer("status", "--env", environment)
    return {d["name"]: d["traffic"] for d in status["endpoint"]["deployments"]}


def champion(project: AzureProject, environment: str) -> int:
    (status,) = project.answer("status", "--env", environment)
    return int(status["champion"]["version"])


def test_the_whole_loop(azure: Azure, tmp_path: Path) -> None:
    project = make_project(azure, tmp_path, infrastructure="none")
    sent = azure.stand_in.sent

    # Train: one job, with the environment's cluster and the image of this constraints.txt.
    trained = project.answer("train")
    assert trained["decision"]["accepted"]
    assert Path(project.root / trained["card"]).is_file()
    assert (Path(project.root / trained["card"]).parent / "plots").is_dir()
    (job,) = sent(r"PUT .*/jobs/training-[0-9a-f]+")
    properties = job.body["properties"]
    assert properties["settings"]["default_compute"].endswith("/computes/cpu-cluster")
    assert len(properties["tags"]["git_commit"]) == 40
    (image,) = {
        component.body["properties"]["componentSpec"]["environment"].rpartition("/versions/")[2]
        for component in sent("PUT .*/components/.*/versions/.*")
    }
    assert image == image_version(find_project(project.root), "training")

    # The same again finds the job, and makes nothing.
    again = project.answer("train")
    assert again["job"] == trained["job"] and again["decision"]["version"] == 1
    assert len(sent(r"PUT .*/jobs/training-.*")) == 1

    for environment in ("dev", "prod"):
        if environment == "prod":
            project.answer("promote", "--from", "dev")
        project.answer("deploy", "--env", environment)
        assert traffic(project, environment) == {"version-1": 0}
        project.answer("rollout", "--env", environment)
        assert traffic(project, environment) == {"version-1": 100}
        assert champion(project, environment) == 1

    # Promoted through the registry, and deployed from there.
    (shared,) = sent("POST .*/registries/mlr-churnmodel/import")
    assert shared.status in (200, 202)
    deployed = sent(r"PUT .*/mlw-churnmodel-prod/onlineEndpoints/.*/deployments/version-1")[-1]
    assert "registries/mlr-churnmodel/models/churn-model" in deployed.body["properties"]["model"]
    collector = deployed.body["properties"]["dataCollector"]
    assert set(collector["collections"]) == {"model_inputs", "model_outputs"}
    assert all(one["samplingRate"] == 1 for one in collector["collections"].values())

    # A second version: mirrored traffic, canary steps; then back.
    assert project.answer("train", "--set", "learning_rate=0.05")["decision"]["version"] == 2
    project.answer("deploy", "--env", "dev")
    project.answer("rollout", "--env", "dev")
    project.answer("promote", "--from", "dev")
    project.answer("deploy", "--env", "prod")
    rollout = project.answer("rollout", "--env", "prod")
    assert any("mirrored" in check["rule"] for check in rollout["checks"])
    steps = [
        (r.body["properties"].get("traffic"), r.body["properties"].get("mirrorTraffic"))
        for r in sent(r"PUT .*/mlw-churnmodel-prod/onlineEndpoints/[^/]+")
    ]
    live = [t["version-2"] for t, _ in steps if t and "version-2" in t]
    assert [*dict.fromkeys(share for share in live if share)] == [10, 50, 100]
    assert {"version-2": 10} in [mirror for _, mirror in steps]
    assert traffic(project, "prod") == {"version-1": 0, "version-2": 100}
    project.answer("rollback", "--env", "prod")
    assert traffic(project, "prod")["version-1"] == 100
    assert champion(project, "prod") == 1
    # Azure ML's own monitor has followed the traffic, there and back.
    schedules = sent(r"PUT .*/mlw-churnmodel-prod/schedules/churn-model-prod-monitor")
    watched = [request.body["properties"]["tags"]["deployment"] for request in schedules]
    assert watched == ["version-1", "version-2", "version-1"]

    answer = project.answer("invoke", "--env", "prod")
    assert answer["deployment"] == "version-1" and answer["body"]["predictions"]

    # Batch: as many answers as rows, in their order.
    scored = tmp_path / "scores.csv"
    result = project.answer(
        "score", "--env", "prod", "--input", "data/sample.parquet", "--output", str(scored)
    )
    rows = pd.read_parquet(project.root / "data" / "sample.parquet")
    scores = pd.read_csv(scored)
    assert result["rows"] == len(scores) == len(rows)
    identifier = next(name for name in scores.columns if name in rows.columns)
    assert scores[identifier].tolist() == rows[identifier].tolist()

    # No token, key or signature stands in what the project keeps.
    kept = [f for f in (project.root / ".mlops").rglob("*") if f.suffix in (".json", ".txt", ".md")]
    assert kept
    for file in kept:
        text = file.read_text("utf-8")
        assert "eyJ" not in text and "sig=" not in text, file
    assert json.loads((project.root / ".azureml" / "dev" / "config.json").read_text())
