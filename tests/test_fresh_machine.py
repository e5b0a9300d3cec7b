"""The two commands on a machine that has Python, venv, git and make, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import TEMPLATE, copy_of, generated
from .matrix import CHOICES, SUBSCRIPTION, Answers, name_of

pytestmark = pytest.mark.slow

TOOLS = ["git", "make", "sh", "echo", "rm", "touch", "env", "uname", "dirname", "basename"]
# How this machine reaches its package registries is part of the machine.
KEPT_VARIABLES = (
    "PIP_",
    "UV_INDEX",
    "UV_DEFAULT",
    "SSL_",
    "REQUESTS_",
    "HTTP",
    "NO_PROXY",
    "no_proxy",
)

# Every value of every choice stands in one of them; each is tested with the Python that it names.
PROJECTS = [
    dict(zip([*CHOICES, "azure_subscription_id"], row.split()))
    for row in f"""
    classification dev-staging-prod one-per-environment bicep github-actions online-and-batch proprietary 3.11
    regression dev-prod one-shared none azure-devops online MIT 3.12 {SUBSCRIPTION}
    classification dev-test-staging-prod one-per-environment bicep none batch Apache-2.0 3.13
    regression dev-test-staging-prod one-shared bicep github-actions online-and-batch BSD-3-Clause 3.10
    classification dev-prod one-per-environment none azure-devops batch MIT 3.11 {SUBSCRIPTION}
    regression dev-staging-prod one-per-environment none none online proprietary 3.12
    """.strip().splitlines()
]
every_project = pytest.mark.parametrize("answers", PROJECTS, ids=[name_of(a) for a in PROJECTS])


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The variables of a bare machine: an empty home, and a PATH with the few tools only."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found, name
        (tools / name).symlink_to(found)
    (tools / "python3").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    (tmp_path / "home").mkdir()
    kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT_VARIABLES)}
    return {**kept, "HOME": str(tmp_path / "home"), "PATH": str(tools), "LANG": "C.UTF-8"}


def python_of(answers: Answers) -> str:
    """The Python that the answers name, where it stands beside ours; else ours."""
    beside = Path(sys.base_prefix).parent.glob(f"{answers['python_version']}.*/bin/python3")
    return str(max(beside, default=Path(sys.base_prefix) / "bin" / "python3"))


def make(folder: Path, variables: dict[str, str], *targets: str) -> str:
    done = subprocess.run(
        ["make", *targets], cwd=folder, env=variables, capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def test_the_projects_cover_every_value_of_every_choice() -> None:
    for name, values in CHOICES.items():
        assert {answers[name] for answers in PROJECTS} == set(values)


@every_project
def test_a_project_tests_itself_and_its_hooks_change_nothing(
    answers: Answers, tmp_path: Path, bare: dict[str, str]
) -> None:
    project = copy_of(generated(**answers), tmp_path)
    # Compiling all packages pays for a person who works on; here it takes half of the time.
    options = ("UV_COMPILE_BYTECODE=0", f"PYTHON={python_of(answers)}")
    assert " passed" in make(project, bare, "test", *options)
    hooks = [".venv/bin/pre-commit", "run", "--all-files"]
    done = subprocess.run(hooks, cwd=project, env=bare, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert status_of(project) == ""


# The demonstration of the default project is that of the template, below.
@pytest.mark.parametrize("answers", PROJECTS[1:3], ids=[name_of(a) for a in PROJECTS[1:3]])
def test_a_project_demonstrates_itself(
    answers: Answers, tmp_path: Path, bare: dict[str, str]
) -> None:
    project = copy_of(generated(**answers), tmp_path)
    account = make(project, bare, "demo", f"PYTHON={python_of(answers)}")
    for name in answers["environments"].split("-"):
        assert f"  {name}: version 2 (trained as dev/2)" in account
    assert ("How the endpoint answered" in account) == (answers["serving"] != "batch")
    assert ("569 rows scored" in account) == (
        answers["problem_type"] == "classification" and answers["serving"] != "online"
    )


def test_a_creation_makes_its_workspaces_where_it_is_asked_to(
    tmp_path: Path, bare: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "--output-dir", str(tmp_path)]
    done = subprocess.run(
        [*command, str(TEMPLATE)], env={**bare, "MLOPS_WIRE": "apply"}, cwd=tmp_path,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "$ .venv/bin/mlops workspaces apply" in done.stdout
    assert done.stdout.count("\N{CHECK MARK}") == 9 and "\N{BALLOT X}" not in done.stdout
    project = tmp_path / "churn-model"
    check = [".venv/bin/mlops", "workspaces", "check"]
    assert subprocess.run(check, cwd=project, env=bare, capture_output=True).returncode == 0


def test_a_clone_of_the_template_demonstrates_itself(tmp_path: Path, bare: dict[str, str]) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(TEMPLATE), str(clone)], check=True)
    account = make(clone, bare, "demo")
    assert "Which model version is where" in account
    assert "prod: version 2 (trained as dev/2)" in account
    assert status_of(clone) == ""


def status_of(folder: Path) -> str:
    """What git says has changed in a folder."""
    command = ["git", "status", "--porcelain"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout
