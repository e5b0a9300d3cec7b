"""Distributed training: what components may say, which step the setting is for, a world of one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlops.checks import check_project
from mlops.distributed import distributed_steps, world_of_one
from mlops.pipeline_checks import load_pipeline
from mlops.project import find_project
from mlops.settings import DistributedSettings

from .builders import edit
from .test_jobs import Work

PYTORCH = DistributedSettings(type="pytorch", instance_count=2, process_count_per_instance=4)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Two steps, of which the first is for the setting; both write down their variables."""
    work = Work(tmp_path)
    for name in ("train", "other"):
        work.component(name, "env > ${{outputs.out}}/env")
    work.pipeline("  train: {component: ./train.yml}\n  other: {component: ./other.yml}\n")
    return work


def variables(work: Work, step: str) -> dict[str, str]:
    lines = work.output(step, "env").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_the_setting_is_for_the_train_step(work: Work) -> None:
    assert distributed_steps(load_pipeline(work.folder / "pipeline.yml")) == ("train",)
    work.run(distributed=PYTORCH)
    found = variables(work, "train")
    expected = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "NODE_RANK": "0"}
    assert {name: found[name] for name in expected} == expected
    assert found["MASTER_ADDR"] == "127.0.0.1"
    assert int(found["MASTER_PORT"]) > 0
    assert "WORLD_SIZE" not in variables(work, "other")
    assert work.said.count("train: pytorch training is one process on this machine") == 1


def test_a_component_may_say_it_itself(work: Work) -> None:
    edit(work.folder / "other.yml", "type: command\n",
         "type: command\ndistribution: {type: TensorFlow, worker_count: 2}\n")  # fmt: skip
    work.run()
    config = json.loads(variables(work, "other")["TF_CONFIG"])
    assert config["task"] == {"type": "worker", "index": 0}
    assert len(config["cluster"]["worker"]) == 1


def test_with_mpi_nothing_is_set() -> None:
    assert world_of_one("mpi", 1) == {}


def test_a_step_that_becomes_distributed_is_run_again(work: Work) -> None:
    work.run()
    assert work.reused(distributed=PYTORCH) == ["other"]
    assert sorted(work.reused(distributed=PYTORCH)) == ["other", "train"]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("distribution: {type: pytorch, process_count_per_instance: 2}", ""),
        ("distribution: {type: PyTorch}", ""),
        ("distribution: {type: ray, port: 1}", ""),
        ("distribution: {type: tensorflow, worker_count: 2}\nresources: {instance_count: 2, shm_size: 2g}", ""),
        ("distribution: {type: pytroch}", "`pytroch` is no type of distribution; did you mean `pytorch`?"),
        ("distribution: {type: mpi, process_count: 2}", "did you mean `process_count_per_instance`?"),
        ("distribution: {type: mpi, process_count_per_instance: 0}", "greater than or equal to 1"),
        ("distribution: mpi", "`distribution` must be a mapping"),
        ("resources: {instance_count: none}", "resources.instance_count`"),
        ("resources: {shm_size: 2 GB}", "resources.shm_size`"),
    ],
)  # fmt: skip
def test_what_a_component_says_is_checked(project: Path, said: str, problem: str) -> None:
    file = project / "pipelines" / "components" / "train.yml"
    line = edit(file, "code: ../../src\n", f"code: ../../src\n{said}\n")
    findings = check_project(find_project(project), with_azure=False)
    if not problem:
        assert findings == []
        return
    (finding,) = findings
    assert problem in finding.problem
    assert (finding.path.name, finding.line) == ("train.yml", line + 1)


def test_a_setting_that_the_cluster_cannot_meet_is_found(project: Path) -> None:
    file = project / "environments" / "dev.yml"
    edit(file, "  compute:\n", "  distributed: {type: pytorch, instance_count: 3}\n  compute:\n")
    (finding,) = check_project(find_project(project), with_azure=False)
    assert "`azure.distributed.instance_count` is 3, but `azure.compute.max_instances` is 2" in (
        finding.problem
    )
    edit(file, "instance_count: 3", "instance_count: 2")
    assert check_project(find_project(project), with_azure=False) == []
