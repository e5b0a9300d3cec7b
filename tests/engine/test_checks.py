from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from azure.ai.ml.entities._load_functions import load_schedule as azure_load_schedule

from mlops.azure_checks import azure_ml_files, check_with_azure
from mlops.checks import check_project
from mlops.documents import Finding
from mlops.project import find_project
from mlops.settings import ENDPOINT_KINDS

from ..conftest import copy_of, generated
from .builders import edit, serve_only, write


def found(project: Path, environment: str | None = None) -> list[Finding]:
    return check_project(find_project(project), environment, with_azure=False)


def only(project: Path) -> tuple[str, int, str]:
    (finding,) = found(project)
    return finding.path.relative_to(project).as_posix(), finding.line, finding.problem


def test_a_new_project_has_no_findings() -> None:
    assert found(generated()) == []


def test_mistakes_in_many_files_are_listed_at_once_by_file_and_line(project: Path) -> None:
    package = find_project(project).package
    expected = {
        ("data/contract.yml", edit(project / "data/contract.yml", "target: diagnosis", "target: diagnosi")),
        ("environments/dev.yml", edit(project / "environments/dev.yml", "p95_ms: 500", "p95: 500")),
        ("environments/prod.yml", edit(project / "environments/prod.yml", "resource_group:", "resource_grop:")),
        ("pipelines/training.yml", edit(project / "pipelines/training.yml", "parent.inputs.seed", "parent.inputs.sed")),
        ("pipelines/components/train.yml", edit(project / "pipelines/components/train.yml", "name: train", "nam: train")),
        ("deployment/online/deployment.yml", edit(project / "deployment/online/deployment.yml", "mlops/scoring/online.py", "mlops/scoring/onlin.py")),
        ("pipelines/components/evaluate.yml", 25),
    }  # fmt: skip
    edit(
        package / "evaluate.py",
        "contract: Path, evaluation: Path)",
        "contract: Path, folder: Path)",
    )
    findings = found(project)
    named = {(f.path.resolve().relative_to(project.resolve()).as_posix(), f.line) for f in findings}
    # A contract that names no column at its target is wrong as a whole: it has no line of its own.
    expected = {(file, 4 if file == "data/contract.yml" else line) for file, line in expected}
    assert expected <= named
    assert {file for file, _ in named} == {file for file, _ in expected}
    assert findings == sorted(findings, key=lambda f: (str(f.path), f.line))


def test_only_the_named_environment_is_looked_at(project: Path) -> None:
    edit(project / "environments/prod.yml", "p95_ms:", "p95:")
    assert found(project, "dev") == []
    assert len(found(project, "prod")) == 2


def test_an_option_that_is_no_parameter_of_the_step_is_found(project: Path) -> None:
    line = edit(
        project / "pipelines/components/train.yml",
        "--seed ${{inputs.seed}}",
        "--sed=${{inputs.seed}}",
    )
    problems = {(f.line, f.problem) for f in found(project)}
    start = line - 6  # `command:`, of which the option is the sixth line
    assert problems == {
        (start, "`train` in train.py has no parameter `sed`; did you mean `seed`?"),
        (start, "`train` in train.py needs `--seed ${{inputs.seed}}` here"),
    }  # fmt: skip


def test_an_option_with_an_equals_sign_is_an_option(project: Path) -> None:
    edit(
        project / "pipelines/components/train.yml",
        "--seed ${{inputs.seed}}",
        "--seed=${{inputs.seed}}",
    )
    assert found(project) == []


def test_parameters_with_defaults_need_no_option(project: Path) -> None:
    edit(
        find_project(project).package / "train.py",
        "    seed: int,\n",
        "    seed: int = 0,\n    *,\n    extra: str = '',\n",
    )
    assert found(project) == []


def test_code_that_is_no_python_is_found_with_its_line(project: Path) -> None:
    package = find_project(project).package
    write(package / "estimator.py", "x = 1\ndef make(:\n")
    write(package / "train.py", "def train(:\n")
    said = [(Path(f.path).name, f.line) for f in found(project)]
    assert said == [("estimator.py", 2), ("train.py", 1)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def fit():\n    pass\n", "must define the function `train`"),
        (None, "train.py is missing"),
    ],
)
def test_a_step_without_its_function_is_found(
    project: Path, text: str | None, problem: str
) -> None:
    file = find_project(project).package / "train.py"
    file.unlink() if text is None else write(file, text)
    path, line, said = only(project)
    assert (path, line) == ("pipelines/components/train.yml", 41)
    assert problem in said


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("code: ../../src", "code: ../../scr", "the folder ../../scr is missing"),
        ("mlops/scoring/online.py", "online.py", "the file online.py is missing in ../../src"),
        ("  scoring_script: mlops/scoring/online.py\n", "", "needs `code` and `scoring_script`"),
        ('OMP_NUM_THREADS: "1"', "A: ${{inputs.a}}", "a deployment has no placeholders, but names inputs.a"),
        ("code_configuration:\n", "code_configuration:\n\t", "not YAML"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_deployment_is_found(
    project: Path, old: str, new: str, problem: str
) -> None:
    edit(project / "deployment/online/deployment.yml", old, new)
    path, _, said = only(project)
    assert path == "deployment/online/deployment.yml"
    assert problem in said


@pytest.mark.parametrize("kind", ["online", "batch"])
def test_a_project_with_one_kind_of_endpoint_has_no_findings(project: Path, kind: str) -> None:
    assert found(serve_only(project, kind)) == []


@pytest.mark.parametrize("kind", ["online", "batch"])
def test_an_endpoint_that_is_named_must_be_described(project: Path, kind: str) -> None:
    (project / "deployment" / kind / "endpoint.yml").unlink()
    findings = found(project)
    assert [finding.path.name for finding in findings] == ["dev.yml", "prod.yml", "staging.yml"]
    for finding in findings:
        lines = finding.path.read_text("utf-8").splitlines()
        assert lines[finding.line - 1].startswith(f"  {kind}: ")
        assert f"`endpoints.{kind}` needs deployment/{kind}/endpoint.yml" in finding.problem
    shutil.rmtree(project / "deployment" / kind)
    (only_dev,) = found(project, "dev")
    assert f"endpoint.yml and deployment/{kind}/deployment.yml" in only_dev.problem


@pytest.mark.parametrize(("kind", "other"), [("online", "batch"), ("batch", "online")])
def test_an_endpoint_that_is_described_must_be_named(project: Path, kind: str, other: str) -> None:
    shutil.copytree(project / "deployment" / other, project / "kept")
    serve_only(project, kind)
    (project / "kept").rename(project / "deployment" / other)
    path, _, problem = only(project)
    assert path == f"deployment/{other}/deployment.yml"
    assert f"`endpoints.{other}`, or remove deployment/{other}" in problem
    assert found(project, "dev") == [], "another environment may have it"


def test_one_environment_with_an_endpoint_is_enough_for_its_description(project: Path) -> None:
    for name in ("dev", "staging"):
        batch = find_project(project).environment(name).endpoint("batch")
        edit(project / f"environments/{name}.yml", f"  batch: {batch}\n", "")
    assert found(project) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("dev online", "prod online"), ("dev batch", "staging batch"),
        ("prod online", "prod batch"), ("dev batch", "prod online"),
    ],
)  # fmt: skip
def test_two_endpoints_with_the_same_name_are_found_at_the_second(
    project: Path, first: str, second: str
) -> None:
    names = {
        f"{name} {kind}": find_project(project).environment(name).endpoint(kind)
        for name in ("dev", "staging", "prod")
        for kind in ENDPOINT_KINDS
    }
    name, kind = second.split()
    file = project / "environments" / f"{name}.yml"
    line = edit(file, f"{kind}: {names[second]}\n", f"{kind}: {names[first]}\n")
    path, at, problem = only(project)
    assert (path, at) == (f"environments/{name}.yml", line)
    taken = "{}'s {} endpoint".format(*first.split())
    assert problem.startswith(f"`endpoints.{kind}` is `{names[first]}`, the name of {taken}")


def test_a_sample_that_breaks_the_contract_is_found_where_the_pipeline_names_it(
    project: Path,
) -> None:
    sample = project / "data" / "sample.parquet"
    pd.read_parquet(sample).assign(mean_area=-1.0).to_parquet(sample)
    path, line, problem = only(project)
    assert (path, line) == ("pipelines/training.yml", 12)
    assert "`mean_area` must be at least 0" in problem


def test_a_sample_that_is_no_table_is_found(project: Path) -> None:
    (project / "data" / "sample.parquet").write_bytes(b"nothing")
    assert "not a readable table" in only(project)[2]


def test_every_azure_file_of_the_project_is_one_that_azure_loads() -> None:
    project = find_project(generated())
    listed = {path for paths in azure_ml_files(project).values() for path in paths}
    folders = ("pipelines", "containers", "deployment")
    there = {path for folder in folders for path in (project.root / folder).rglob("*.yml")}
    assert listed == {*there, project.root / "monitoring" / "monitor.yml"}
    assert all(azure_ml_files(project).values())


def test_azure_finds_nothing_in_a_new_project_and_names_a_mistake(project: Path) -> None:
    assert check_with_azure(find_project(project)) == []
    edit(project / "deployment/batch/endpoint.yml", "auth_mode: aad_token", "auth_mode: none")
    edit(project / "deployment/online/deployment.yml", "instance_count: 1", "instance_count: many")
    findings = check_with_azure(find_project(project))
    assert {finding.path.relative_to(project).as_posix() for finding in findings} == {
        "deployment/batch/endpoint.yml", "deployment/online/deployment.yml",
    }  # fmt: skip
    assert all(finding.problem.startswith("azure-ai-ml: ") for finding in findings)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("hours: 3", "hours: three", "`trigger.schedule.hours`: Not a valid list."),
        ("data_context: training", "data_context: trained", "Value 'trained' passed is not in set"),
        ("type: mltable\n          path: azureml:g", "type: mltables\n          path: azureml:g",
         "reference_data.input_data.type`: Value 'mltables' passed is not in set ["),
        ("emails: [", "email: [", "`create_monitor.alert_notification.email`: Unknown field."),
    ],
)  # fmt: skip
def test_azure_names_a_mistake_in_the_monitor_with_its_line(
    project: Path, old: str, new: str, problem: str
) -> None:
    line = edit(project / "monitoring/monitor.yml", old, new)
    (finding,) = check_with_azure(find_project(project))
    assert finding.path.name == "monitor.yml" and finding.line == line
    assert finding.problem.startswith("azure-ai-ml: ") and problem in finding.problem


def test_azure_takes_the_monitor_of_a_regression_which_it_cannot_load_by_itself() -> None:
    project = find_project(generated(problem_type="regression"))
    assert check_with_azure(project) == []
    with pytest.raises(NotImplementedError):  # when this is mended, so is `load_schedule` of ours
        azure_load_schedule(project.root / "monitoring" / "monitor.yml")


def test_a_cluster_that_an_environment_does_not_have_is_found(project: Path) -> None:
    edit(project / "environments/prod.yml", "name: cpu-cluster", "name: big-cluster")
    findings = {f.path.relative_to(project).as_posix(): f for f in found(project)}
    assert set(findings) == {
        "pipelines/sweep.yml", "pipelines/training.yml", "deployment/batch/deployment.yml",
    }  # fmt: skip
    for finding in findings.values():
        assert "`azure.compute.name` says big-cluster, cpu-cluster" in finding.problem
        line = finding.path.read_text("utf-8").splitlines()[finding.line - 1]
        assert "compute: azureml:cpu-cluster" in line


def test_two_environments_cannot_be_approved_as_one(project: Path) -> None:
    line = edit(project / "environments/prod.yml", "environment: prod", "environment: staging")
    file, where, problem = only(project)
    assert (file, where) == ("environments/prod.yml", line)
    assert "as in environments/staging.yml: whoever approves one would approve both" in problem


@pytest.mark.parametrize("name", ["cpu-cluster-1", "a", "-x-y", "cluster_one", "x" * 17])
def test_a_cluster_name_that_azure_refuses_is_found(name: str, project: Path) -> None:
    edit(project / "environments/dev.yml", "name: cpu-cluster", f"name: {name}")
    assert found(project, "dev")[0].path.name == "dev.yml"


@pytest.mark.parametrize("file", ["training.yml", "release.yml"])
def test_a_workflow_runs_in_the_environment_that_the_file_names(project: Path, file: str) -> None:
    for name in {"training.yml", "release.yml"} - {file}:
        (project / ".github/workflows" / name).unlink()
    edit(project / "environments/dev.yml", "  environment: dev", "  environment: development")
    path, line, problem = only(project)
    assert path == f".github/workflows/{file}"
    text = (project / path).read_text("utf-8").splitlines()
    assert text[line - 1] == "    environment: dev"
    assert problem.endswith("`development`: write `environment: development`")
    edit(project / path, "    environment: dev\n", "    environment:\n      name: development\n")
    assert found(project) == []
    write(project / path, "jobs: [what, another, release, wrote]\n")
    assert found(project) == []


def test_the_pipelines_use_the_names_that_the_files_name(tmp_path: Path) -> None:
    project = copy_of(generated(ci_cd="azure-devops"), tmp_path)
    assert found(project) == []
    file = project / "environments/staging.yml"
    edit(file, "  environment: churn-model-staging", "  environment: churn-acceptance")
    edit(file, "service_connection: azure-churn-model-staging", "service_connection: azure-other")
    names = project / ".azure-pipelines/names.yaml"
    lines = names.read_text("utf-8").splitlines()
    findings = found(project)
    assert {(f.path, lines[f.line - 1].split(":")[0].strip()) for f in findings} == {
        (names, "environment_staging"), (names, "service_connection_staging"),
    }  # fmt: skip
    assert "write `environment_staging: churn-acceptance`" in findings[0].problem
    edit(names, "  environment_staging: churn-model-staging\n", "")
    assert len(found(project)) == 1, "a release before had no such name"
    names.unlink()
    assert found(project) == []
