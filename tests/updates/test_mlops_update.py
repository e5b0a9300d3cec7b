"""`mlops update`: the newest release or another answer, and an error where cruft is silent."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import commit_all, run_mlops

from .conftest import git, replace


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
    assert "nothing to do: this is v0.10.0 already" in run_mlops(project, "update").stdout


def test_an_update_on_a_branch_is_a_commit_of_its_own(project: Path) -> None:
    done = updated(project, "--branch")
    assert done["branch"] == git(project, "branch", "--show-current").strip()
    assert done["branch"] == "template-update/v0.10.0"
    assert git(project, "log", "-1", "--format=%s") == "Update the template: v0.10.0\n"
    git(project, "switch", "-q", "main")
    said = run_mlops(project, "update", "--branch").stdout
    assert "nothing to do: template-update/v0.10.0 is there already" in said
    assert git(project, "status", "--porcelain") == ""


def test_a_conflict_is_shown_named_and_ends_with_1(project: Path) -> None:
    replace("environments/prod.yml", "p95_ms: 500", "p95_ms: 300")(project)
    commit_all(project, "edit")
    done = updated(project, status=1)
    assert done["unmerged"] == ["environments/prod.yml"]
    text = (project / "environments" / "prod.yml").read_text(encoding="utf-8")
    assert re.search(r"<<<<<<<.*p95_ms: 300.*=======.*p95_ms: 400.*>>>>>>>", text, re.DOTALL)
    git(project, "reset", "-q", "--hard")
    said = run_mlops(project, "update", status=1)
    assert "environments/prod.yml" in said.stdout and "<<<<<<<" not in said.stdout


def test_another_answer_stays_on_the_release(project: Path) -> None:
    updated(project, "--set", "ci_cd=none", "--branch")
    assert not (project / ".github").exists()
    assert "p95_ms: 500" in (project / "environments" / "prod.yml").read_text(encoding="utf-8")
    said = run_mlops(project, "update", "--set", "cicd=none", status=2).stderr
    assert "the template has no answer cicd" in said and "ci_cd" in said


def test_an_answer_that_will_not_do_changes_nothing(project: Path) -> None:
    said = run_mlops(project, "update", "--set", "azure_location=West Europe", "--branch", status=1)
    assert "for example: 'westeurope'" in said.stderr
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


def test_a_template_without_a_release_says_so(project: Path, template: Path) -> None:
    git(template, "tag", "-d", "v0.9.0", "v0.10.0")
    assert "has no release" in run_mlops(project, "update", status=1).stderr
