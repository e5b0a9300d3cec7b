"""Each fault at each operation: it ends well or says why, again completes it, nothing is doubled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlops import release
from mlops.errors import MlopsError
from mlops.versions import digest_check
from mlops.workspaces.azure.workspace import AzureWorkspace
from tests.azure.conftest import Azure
from tests.azure.projects import (
    AzureProject,
    make_project,
    receive,
    receive_another,
    silent,
    small_pipeline,
    submit_small,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def project(azure: Azure, tmp_path: Path) -> AzureProject:
    return make_project(azure, tmp_path)


@pytest.fixture
def prod(project: AzureProject) -> AzureWorkspace:
    return project.workspace("prod")


def jobs(azure: Azure) -> set[str]:
    """The names of the jobs that are there."""
    return {path for path in azure.stand_in.resources if "/jobs/small-" in path}


PASSING = [
    pytest.param({"status": 429, "retry_after": "0"}, 2, id="throttled"),
    pytest.param({"status": 500}, 1, id="500"),
    pytest.param({"status": 502}, 1, id="502"),
    pytest.param({"status": 503}, 2, id="503"),
    pytest.param({"status": 504}, 1, id="504"),
    pytest.param({"status": "drop before"}, 1, id="broken before"),
    pytest.param({"status": "drop after"}, 1, id="done, and the answer lost"),
    pytest.param({"status": "drop"}, 1, id="done, and the answer broken"),
]


def at_last(act: Callable[[], Any], fault: dict[str, Any]) -> Any:
    """What an act gives; of an answer that broke in the middle, it may say so and be run again."""
    try:
        return act()
    except MlopsError as error:
        assert fault["status"] == "drop" and "run the command again" in str(error)
        return act()


@pytest.mark.parametrize(("fault", "times"), PASSING)
def test_a_fault_that_passes_makes_no_second_job(
    azure: Azure, prod: AzureWorkspace, fault: dict[str, Any], times: int
) -> None:
    azure.stand_in.fail(r"PUT .*/jobs/.*", times=times, **fault)
    done = at_last(lambda: submit_small(prod), fault)
    assert len(jobs(azure)) == 1
    assert submit_small(prod).name == done.name, "the same again finds its job"
    assert len(jobs(azure)) == 1


@pytest.mark.parametrize(("fault", "times"), PASSING)
def test_a_fault_that_passes_makes_no_second_version(
    azure: Azure, prod: AzureWorkspace, fault: dict[str, Any], times: int
) -> None:
    azure.stand_in.fail(r"POST .*/mlflow/model-versions/create", times=times, **fault)
    version = at_last(lambda: receive(prod), fault)
    assert receive(prod).number == version.number
    assert len(prod.versions()) == 1


@pytest.mark.parametrize(("fault", "times"), [PASSING[0], PASSING[1], *PASSING[-2:]])
def test_a_fault_that_passes_makes_no_second_deployment(
    azure: Azure, prod: AzureWorkspace, fault: dict[str, Any], times: int
) -> None:
    version = receive(prod)
    azure.stand_in.fail(r"PUT .*/deployments/.*", times=times, **fault)
    at_last(lambda: prod.create_deployment("version-1", version), fault)
    assert list(prod.endpoint().deployments) == ["version-1"]


def test_a_fault_that_stays_is_told_and_again_completes_the_job(
    azure: Azure, prod: AzureWorkspace
) -> None:
    azure.stand_in.fail(r"PUT .*/jobs/.*", times=50, status=500, message="The sky fell.")
    with pytest.raises(MlopsError, match=r"500 .*The sky fell.*run the command again"):
        submit_small(prod)
    azure.stand_in.faults.clear()
    submit_small(prod)
    assert len(jobs(azure)) == 1


def test_a_command_that_was_interrupted_finds_its_job(azure: Azure, prod: AzureWorkspace) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("say: "):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        submit_small(prod, report=interrupt)
    said: list[str] = []
    submit_small(prod, report=said.append)
    assert any("is at work already" in line or "was done before" in line for line in said)
    assert len(jobs(azure)) == 1


def test_a_step_that_fails_is_named_with_its_log_and_a_new_job_follows(
    azure: Azure, prod: AzureWorkspace
) -> None:
    code = small_pipeline(prod.project.root) / "say.py"
    works = code.read_text()
    code.write_text("raise SystemExit('error: no such thing')")
    for attempt in ("", "-2"):
        with pytest.raises(
            MlopsError, match=f"step `say` of small-[0-9a-f]+{attempt} .*Failed"
        ) as no:
            submit_small(prod)
        assert "no such thing" in str(no.value)
    code.write_text(works)
    submit_small(prod)


def test_a_deployment_that_does_not_come_up_is_removed_and_said(
    azure: Azure, prod: AzureWorkspace
) -> None:
    receive(prod)
    azure.stand_in.fail(
        r"PUT .*/deployments/.*", status="async", code="ResourceNotReady",
        message="User container has crashed.",
    )  # fmt: skip
    with pytest.raises(MlopsError, match=r"version-1 did not start and was removed.*crashed"):
        release.deploy(prod, report=silent)
    assert not prod.endpoint().deployments
    assert all(decision.accepted for decision in release.deploy(prod, report=silent))


def test_a_rollout_that_fails_at_its_first_stage_puts_the_traffic_back(
    azure: Azure, prod: AzureWorkspace, tmp_path: Path
) -> None:
    receive(prod)
    release.deploy(prod, report=silent)
    release.rollout(prod, report=silent)
    second = receive_another(prod, tmp_path)
    release.deploy(prod, report=silent)
    reached: list[str] = []

    def break_at_10(line: str) -> None:
        reached.append(line)
        if "10 % of the traffic; testing" in line:
            azure.stand_in.fail(r"POST .*/score", times=500, status=503)

    with pytest.raises(MlopsError, match=r"the rollout of version-2 failed, version-1 has all"):
        release.rollout(prod, report=break_at_10)
    azure.stand_in.faults.clear()
    endpoint = prod.endpoint()
    assert endpoint.traffic == {"version-1": 100} and not endpoint.mirror
    assert not any("50 %" in line for line in reached)
    champion = prod.champion()
    assert champion is not None and champion.number == 1
    assert prod.versions()[-1].number == second.number
    assert prod.versions()[-1].tags["rollout.prod"] == "failed"


def test_a_promotion_that_breaks_after_the_upload_is_taken_up_again(
    azure: Azure, prod: AzureWorkspace
) -> None:
    azure.stand_in.fail(r"POST .*/mlflow/model-versions/create", times=50, status=400)
    with pytest.raises(MlopsError):
        receive(prod)
    assert not prod.versions()
    azure.stand_in.faults.clear()
    assert receive(prod).number == 1
    assert len(prod.versions()) == 1


def test_an_upload_whose_answers_break_arrives_whole(azure: Azure, prod: AzureWorkspace) -> None:
    azure.stand_in.fail(r"PUT .*/ExperimentRun/.*", times=3, status="drop")
    version = at_last(lambda: receive(prod), {"status": "drop"})
    assert digest_check(version, prod.files(version)).passed


def test_a_score_that_breaks_leaves_the_old_file_and_again_completes_it(
    azure: Azure, prod: AzureWorkspace, tmp_path: Path
) -> None:
    version = receive(prod)
    source, target = prod.project.root / "data" / "sample.parquet", tmp_path / "scores.csv"
    target.write_text("old")
    azure.stand_in.fail(r"POST .*/jobs", times=50, status=400)
    with pytest.raises(MlopsError):
        prod.score(version, source, target, silent)
    assert target.read_text() == "old"
    azure.stand_in.faults.clear()
    rows = prod.score(version, source, target, silent)
    assert rows == len(pd.read_csv(target)) == len(pd.read_parquet(source))
