"""`mlops update`: the newest release or another answer, and an error where cruft is silent."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cruft as cruft_commands
import pytest

from tests.conftest import commit_all, run_mlops

from .conftest import append, git, replace


def updated(project: Path, *arguments: str, status: int = 0) -> dict[str, Any]:
    done = run_mlops(project, "update", "--json", *arguments, status=status)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_an_update_brings_the_newest_release_and_not_what_came_after(project: Path) -> None:
    replace("environments/prod.yml", "roc_auc: 0.96", "roc_auc: 0.97")(project)
    commit_all(project, "edit")
    done = updated(project)
    assert done["target"] == "v0.10.0"
    assert {".cruft.json", "Makefile", "environments/prod.yml"} <= set(done["changed"])
    settings = (project / "environments" / "prod.yml").read_text(encoding="utf-8")
    assert "p95_ms: 400" in settings and "roc_auc: 0.97" in settings
    link = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))
    assert link["checkout"] == "v0.10.0"
    commit_all(project, "update")
    outputs = project.parent / "outputs"
    said = run_mlops(project, "update", "--branch", GITHUB_OUTPUT=str(outputs)).stdout
    assert "v0.10.0: nothing to do, it is here" in said
    assert outputs.read_text() == "branch=\n", "there is nothing to push"


def test_an_update_on_a_branch_is_a_commit_of_its_own(project: Path) -> None:
    done = updated(project, "--branch")
    assert done["branch"] == git(project, "branch", "--show-current").strip()
    assert done["branch"] == "template-update/v0.10.0"
    assert git(project, "log", "-1", "--format=%s") == "Update the template: v0.10.0\n"
    git(project, "switch", "-q", "main")
    outputs = project.parent / "outputs"
    said = run_mlops(project, "update", "--branch", GITHUB_OUTPUT=str(outputs)).stdout
    assert outputs.read_text() == "branch=template-update/v0.10.0\n"
    assert "nothing to do, it is on the branch template-update/v0.10.0 already" in said
    assert git(project, "status", "--porcelain") == ""


def test_a_conflict_is_shown_named_and_ends_with_1(project: Path) -> None:
    replace("environments/prod.yml", "p95_ms: 500", "p95_ms: 300")(project)
    commit_all(project, "edit")
    done = updated(project, status=1)
    assert done["unmerged"] == ["environments/prod.yml"]
    text = (project / "environments" / "prod.yml").read_text(encoding="utf-8")
    assert re.search(r"<<<<<<<.*p95_ms: 300.*=======.*p95_ms: 400.*>>>>>>>", text, re.DOTALL)
    # Until that is done, there is nothing else to bring.
    said = run_mlops(project, "update", status=1).stderr
    assert "an earlier update is not merged yet: environments/prod.yml" in said
    git(project, "reset", "-q", "--hard")
    # What the message says to give up with leaves all as it was.
    said = run_mlops(project, "update", "--branch", status=1)
    assert "could not be merged: environments/prod.yml" in said.stderr
    give_up = said.stdout.strip().splitlines()[-1]
    subprocess.run(["bash", "-ec", give_up], cwd=project, check=True, capture_output=True)
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "branch", "--format=%(refname:short)") == "main\n"


def test_a_file_that_the_template_removes_and_the_user_edited_is_named(project: Path) -> None:
    append(".github/workflows/integration.yml", "# ours\n")(project)
    commit_all(project, "edit")
    done = updated(project, "--set", "ci_cd=none", status=1)
    assert done["unmerged"] == [".github/workflows/integration.yml"]
    assert not (project / ".github" / "workflows" / "template-update.yml").exists()
    assert (project / ".github" / "workflows" / "integration.yml").is_file()


@pytest.mark.parametrize("answer", ["project_slug=other", "problem_type=regression"])
def test_an_answer_that_the_users_own_files_are_made_for_stays(answer: str, project: Path) -> None:
    said = run_mlops(project, "update", "--set", answer, status=2).stderr
    assert "cannot be changed" in said and "make a new project" in said
    assert git(project, "status", "--porcelain") == ""


def test_another_value_of_the_same_answer_is_another_branch(project: Path) -> None:
    one = updated(project, "--set", "ci_cd=none", "--branch")
    git(project, "switch", "-q", "main")
    two = updated(project, "--set", "ci_cd=azure-devops", "--branch")
    assert (one["branch"], two["branch"]) == (
        "template-update/ci_cd-none",
        "template-update/ci_cd-azure-devops",
    )


def test_a_commit_that_is_refused_says_where_the_update_is(project: Path) -> None:
    hook = project / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    said = run_mlops(project, "update", "--branch", status=1).stderr
    assert "not today" in said
    assert "the update is staged on the branch template-update/v0.10.0" in said


def test_a_link_that_a_merge_broke_is_named(project: Path) -> None:
    append(".cruft.json", "<<<<<<< ours\n")(project)
    assert ".cruft.json: this is not JSON" in run_mlops(project, "update", status=2).stderr


def test_a_project_that_is_newer_than_the_release_keeps_what_it_has(
    template: Path, tmp_path: Path
) -> None:
    made = Path(cruft_commands.create(str(template), output_dir=tmp_path, no_input=True))
    commit_all(made)
    assert "v0.10.0: nothing to do" in run_mlops(made, "update").stdout
    assert git(made, "status", "--porcelain") == ""


def test_another_answer_stays_on_the_release(project: Path) -> None:
    updated(project, "--set", "ci_cd=none", "--branch")
    assert not (project / ".github").exists()
    assert "p95_ms: 500" in (project / "environments" / "prod.yml").read_text(encoding="utf-8")
    said = run_mlops(project, "update", "--set", "cicd=none", status=2).stderr
    assert "the template has no answer cicd" in said and "ci_cd" in said


def test_an_answer_that_will_not_do_changes_nothing(project: Path) -> None:
    said = run_mlops(project, "update", "--set", "azure_location=West Europe", "--branch", status=1)
    assert "for example: 'westeurope'" in said.stderr and "cruft create" not in said.stderr
    assert git(project, "branch", "--show-current") == "main\n"
    assert git(project, "status", "--porcelain") == ""
    said = run_mlops(project, "update", "--set", "ci_cd=jenkins", status=1)
    assert "jenkins" in said.stderr


@pytest.mark.parametrize(
    ("break_it", "status", "why"),
    [
        (lambda project: (project / "new.txt").write_text("x"), 3, "not committed"),
        (lambda project: shutil.rmtree(project / ".git"), 3, "no git checkout"),
        (lambda project: (project / ".cruft.json").unlink(), 2, "not linked to its template"),
    ],
    ids=["unclean", "no git", "not linked"],
)
def test_where_nothing_can_be_merged_nothing_is_tried(
    break_it: Callable[[Path], None], status: int, why: str, project: Path
) -> None:
    break_it(project)
    assert why in run_mlops(project, "update", status=status).stderr


def test_a_shallow_clone_is_refused(project: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    commit_all(project, "another")
    git(tmp_path, "clone", "-q", "--depth", "1", project.as_uri(), str(shallow))
    assert "git fetch --unshallow" in run_mlops(shallow, "update", status=3).stderr


def test_a_template_that_is_gone_says_so(project: Path, template: Path) -> None:
    template.rename(template.with_name("elsewhere"))
    for words in ((), ("--set", "ci_cd=none")):
        said = run_mlops(project, "update", *words, status=1).stderr
        assert re.search("does not (exist|appear)", said)


def test_a_template_without_a_release_says_so(project: Path, template: Path) -> None:
    git(template, "tag", "-d", "v0.9.0", "v0.10.0")
    assert "has no release" in run_mlops(project, "update", status=1).stderr
