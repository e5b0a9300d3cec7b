"""The update that CI/CD runs each week: its very commands, on both platforms."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
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


@pytest.mark.parametrize("ci_cd", ["github-actions", "azure-devops"])
@pytest.mark.parametrize("conflict", [False, True], ids=["merged", "conflict"])
def test_the_update_of_the_ci_cd_pushes_a_branch_and_asks_for_a_pull_request(
    ci_cd: str, conflict: bool, template: Path, tmp_path: Path
) -> None:
    made = cruft_commands.create(
        str(template), output_dir=tmp_path / "made", no_input=True, default_config=True,
        checkout="v0.9.0", extra_context={"ci_cd": ci_cd},
    )  # fmt: skip
    if conflict:
        replace("environments/prod.yml", "p95_ms: 500", "p95_ms: 300")(Path(made))
    commit_all(Path(made))
    origin, clone = tmp_path / "origin.git", tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--bare", str(made), str(origin))
    git(tmp_path, "clone", "-q", str(origin), str(clone))
    if ci_cd == "azure-devops":  # whose checkout is of a commit, not of a branch
        git(clone, "checkout", "-q", "--detach")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("gh", "az"):
        (tools / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/asked\n')
        (tools / name).chmod(0o755)
    program = clone / ".venv" / "bin" / "mlops"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m mlops "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(clone / "src"), "HOME": str(tmp_path),
    }  # fmt: skip
    statuses = [
        subprocess.call(["bash", "-eo", "pipefail", "-c", step], cwd=clone, env=environment)
        for step in shell_steps(clone, ci_cd)
    ]
    branches = git(origin, "branch", "--list", "--format=%(refname:short)").split()
    if conflict:
        assert statuses[0] == 1
        return
    assert statuses == [0, 0]
    assert branches == ["main", "template-update/v0.10.0"]
    asked = (tmp_path / "asked").read_text(encoding="utf-8")
    assert re.search(r"pr create .*template-update/v0.10.0", asked)
    # The next week nothing is new: the branch is there, and nobody is asked again.
    again = tmp_path / "again"
    git(tmp_path, "clone", "-q", str(origin), str(again))
    shutil.copytree(clone / ".venv", again / ".venv")
    environment["PYTHONPATH"] = str(again / "src")
    (tmp_path / "asked").write_text("")
    for step in shell_steps(again, ci_cd):
        command = ["bash", "-eo", "pipefail", "-c", step]
        assert subprocess.call(command, cwd=again, env=environment) == 0
    assert "pr create" not in (tmp_path / "asked").read_text(encoding="utf-8")
