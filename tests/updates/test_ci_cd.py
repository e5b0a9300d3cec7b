"""The update that CI/CD runs each week: its very commands, on both platforms."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cruft as cruft_commands
import pytest
import yaml

from tests.conftest import commit_all

from .conftest import git, replace


def shell_steps(project: Path, ci_cd: str) -> list[str]:
    """The shell steps of the update, but for the installation."""
    if ci_cd == "github-actions":
        file = project / ".github" / "workflows" / "template-update.yml"
        steps = yaml.safe_load(file.read_text("utf-8"))["jobs"]["update"]["steps"]
        return [step["run"] for step in steps if "run" in step and step["run"] != "make setup"]
    file = project / ".azure-pipelines" / "template-update.yml"
    steps = yaml.safe_load(file.read_text("utf-8"))["jobs"][0]["steps"]
    return [step["bash"] for step in steps if "bash" in step and "make setup" not in step["bash"]]


# Stands for `gh` and `az`: it knows the pull requests that it made, and can be made to fail.
PLATFORM = """#!/bin/sh
case "$*" in
  *"pr list"*) grep -c . "$PLATFORM/asked" 2>/dev/null || echo 0 ;;
  *"pr create"*) [ -z "$PLATFORM_FAILS" ] || exit 1; echo "$@" >> "$PLATFORM/asked" ;;
esac
"""
TOKENS = {"GH_TOKEN": "", "AZURE_DEVOPS_EXT_PAT": "", "BUILD_SOURCEBRANCHNAME": "main"}


class Platform:
    """A CI/CD platform: a repository, and runs of its weekly update in a fresh clone each."""

    def __init__(self, folder: Path, project: Path, ci_cd: str) -> None:
        self.folder, self.ci_cd = folder, ci_cd
        self.origin = folder / "origin.git"
        git(folder, "clone", "-q", "--bare", str(project), str(self.origin))
        for name in ("gh", "az"):
            (folder / name).write_text(PLATFORM)
            (folder / name).chmod(0o755)

    def run(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the update as the platform does: up to the first step that fails."""
        clone = Path(tempfile.mkdtemp(dir=self.folder)) / "clone"
        git(self.folder, "clone", "-q", str(self.origin), str(clone))
        if self.ci_cd == "azure-devops":  # whose checkout is of a commit, not of a branch
            git(clone, "checkout", "-q", "--detach")
        programs = clone / ".venv" / "bin"
        programs.mkdir(parents=True)
        (programs / "mlops").write_text(f'#!/bin/sh\nexec {sys.executable} -m mlops "$@"\n')
        (programs / "mlops").chmod(0o755)
        (programs / "python").symlink_to(sys.executable)
        environment = {
            **os.environ, **TOKENS, "PLATFORM": str(self.folder), "HOME": str(clone.parent),
            "PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(clone / "src"), "RUNNER_TEMP": str(clone.parent),
            "AGENT_TEMPDIRECTORY": str(clone.parent), **variables,
        }  # fmt: skip
        for step in shell_steps(clone, self.ci_cd):
            done = subprocess.run(
                ["bash", "-e", "-c", step],
                cwd=clone,
                env=environment,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                break
        return done

    def branches(self) -> list[str]:
        """The branches of the repository."""
        return git(self.origin, "branch", "--list", "--format=%(refname:short)").split()

    def pull_requests(self) -> list[str]:
        """How each pull request was asked for."""
        asked = self.folder / "asked"
        return asked.read_text(encoding="utf-8").splitlines() if asked.is_file() else []


@pytest.fixture(params=["github-actions", "azure-devops"])
def ci_cd(request: pytest.FixtureRequest) -> str:
    """A platform's name."""
    return str(request.param)


@pytest.fixture
def made(ci_cd: str, template: Path, tmp_path: Path) -> Path:
    """A project of v0.9.0 with that CI/CD."""
    project = cruft_commands.create(
        str(template), output_dir=tmp_path / "made", no_input=True, default_config=True,
        checkout="v0.9.0", extra_context={"ci_cd": ci_cd},
    )  # fmt: skip
    commit_all(Path(project))
    return Path(project)


def test_a_release_becomes_one_branch_and_one_pull_request(
    ci_cd: str, made: Path, tmp_path: Path
) -> None:
    platform = Platform(tmp_path, made, ci_cd)
    done = platform.run()
    assert done.returncode == 0, done.stderr
    assert platform.branches() == ["main", "template-update/v0.10.0"]
    (asked,) = platform.pull_requests()
    assert "template-update/v0.10.0" in asked and "Update the template: v0.10.0" in asked
    # The next week nothing is new.
    assert platform.run().returncode == 0
    assert platform.pull_requests() == [asked]


def test_a_pull_request_that_could_not_be_opened_is_opened_the_next_time(
    ci_cd: str, made: Path, tmp_path: Path
) -> None:
    platform = Platform(tmp_path, made, ci_cd)
    assert platform.run(PLATFORM_FAILS="yes").returncode == 1
    assert platform.pull_requests() == []
    assert platform.run().returncode == 0
    assert len(platform.pull_requests()) == 1


def test_a_conflict_fails_with_the_files_name_and_pushes_nothing(
    ci_cd: str, made: Path, tmp_path: Path
) -> None:
    replace("environments/prod.yml", "p95_ms: 500", "p95_ms: 300")(made)
    commit_all(made, "edit")
    platform = Platform(tmp_path, made, ci_cd)
    done = platform.run()
    assert done.returncode == 1
    assert "1 file(s) could not be merged: environments/prod.yml" in done.stderr
    assert platform.branches() == ["main"]
    assert platform.pull_requests() == []
