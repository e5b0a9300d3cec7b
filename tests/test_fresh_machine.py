"""The two commands on a machine that has Python, venv, git and make, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import TEMPLATE, copy_of, generated

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

PROJECTS = [
    {"problem_type": "classification", "environments": "dev-staging-prod"},
    {"problem_type": "regression", "environments": "dev-prod", "workspaces": "one-shared"},
    {"problem_type": "classification", "environments": "dev-prod"},
    {"problem_type": "regression", "environments": "dev-staging-prod"},
]


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


def other_pythons() -> list[str]:
    """The oldest and the newest other Python of this machine, where there are any."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = Path(sys.base_prefix).parent
    found = {}
    for minor in range(10, 20):
        for python in sorted(folder.glob(f"3.{minor}.*/bin/python3")):
            if f"3.{minor}" != here:
                found[minor] = str(python)
    return [found[minor] for minor in sorted({min(found), max(found)})] if found else []


def make(folder: Path, variables: dict[str, str], *targets: str) -> str:
    done = subprocess.run(
        ["make", *targets], cwd=folder, env=variables, capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


@pytest.mark.parametrize("answers", PROJECTS, ids=["-".join(a.values()) for a in PROJECTS])
def test_a_new_project_demonstrates_and_tests_itself(
    answers: dict[str, str], tmp_path: Path, bare: dict[str, str]
) -> None:
    project = copy_of(generated(**answers), tmp_path)
    account = make(project, bare, "demo")
    for name in answers["environments"].split("-"):
        assert f"  {name}: version 2 (trained as dev/2)" in account
    assert "How the endpoint answered" in account
    assert "mlops serve --env prod" in account
    assert " passed" in make(project, bare, "test")


@pytest.mark.parametrize("python", other_pythons())
def test_a_project_tests_itself_on_other_pythons(
    python: str, tmp_path: Path, bare: dict[str, str]
) -> None:
    project = copy_of(generated(problem_type="regression"), tmp_path)
    assert " passed" in make(project, bare, "test", f"PYTHON={python}")


def test_a_clone_of_the_template_demonstrates_itself(tmp_path: Path, bare: dict[str, str]) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(TEMPLATE), str(clone)], check=True)
    account = make(clone, bare, "demo")
    assert "Which model version is where" in account
    assert "prod: version 2 (trained as dev/2)" in account
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True
    )
    assert status.stdout == ""
