"""From each release to the newest: all that the template changed arrives, and no edit is lost."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE, commit_all, cruft, generated, not_here, run_mlops
from tests.matrix import Answers

from .conftest import EDITS, RELEASES, assert_merged, content_of, git, project_of, replace


def follow_the_upgrade_notes(release: str, project: Path) -> None:
    """What the changelog asks for before the update."""
    if release == "0.1.0":
        for line in ('  "README.md",\n', '  "environments",\n'):
            replace("pyproject.toml", line, "")(project)
        commit_all(project, "as the upgrade notes say")


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    """A release, where its commit is in this clone."""
    commit = RELEASES[request.param]
    known = ["git", "cat-file", "-e", f"{commit}^{{commit}}"]
    if subprocess.run(known, cwd=TEMPLATE, capture_output=True).returncode:
        not_here(f"the commit of {request.param} is not in this clone; `git fetch --unshallow`")
    return str(request.param)


def test_a_pristine_project_of_each_release_becomes_a_new_one(release: str, tmp_path: Path) -> None:
    project = project_of(tmp_path, RELEASES[release])
    before = content_of(project)
    follow_the_upgrade_notes(release, project)
    cruft("update", "--skip-apply-ask", folder=project)
    assert_merged(project)
    skipped = ("data/", "src/churn_model/")
    wanted = {
        name: text for name, text in content_of(generated()).items() if not name.startswith(skipped)
    } | {name: text for name, text in before.items() if name.startswith(skipped)}
    assert content_of(project) == wanted
    assert json.loads(run_mlops(project, "check", "--json").stdout) == []
    # What it could merge now, it can merge again.
    commit_all(project, "update")
    answers = json.dumps({"azure_location": "northeurope", "ci_cd": "none"})
    cruft("update", "--skip-apply-ask", "--variables-to-update", answers, folder=project)
    assert_merged(project)
    assert "northeurope" in (project / "environments" / "prod.yml").read_text(encoding="utf-8")


def test_without_the_upgrade_notes_an_update_leaves_the_users_files_as_they_are(
    tmp_path: Path,
) -> None:
    project = project_of(tmp_path, RELEASES["0.1.0"])
    before = content_of(project)
    cruft("update", "--skip-apply-ask", folder=project)
    assert_merged(project)
    after = content_of(project)
    for name in ("README.md", "environments/prod.yml", "src/churn_model/train.py"):
        assert after[name] == before[name]
    assert json.loads(run_mlops(project, "check", "--json").stdout) == []


@pytest.mark.parametrize("answers", [{}, {"problem_type": "regression", "environments": "dev-prod"}],
                         ids=["default", "other"])  # fmt: skip
def test_no_edit_is_lost_and_nothing_conflicts_from_each_release(
    release: str, answers: Answers, tmp_path: Path
) -> None:
    project = project_of(tmp_path, RELEASES[release], **answers)
    edits = {
        name: edit
        for name, edit in EDITS.items()
        if not (answers and name == "another threshold")  # which is one of a classification
    }
    pristine = content_of(project)
    for edit in edits.values():
        edit(project)
    edited = content_of(project)
    commit_all(project, "edits")
    follow_the_upgrade_notes(release, project)
    cruft("update", "--skip-apply-ask", folder=project)
    assert_merged(project)
    after = content_of(project)
    for name in edited.keys() - pristine.keys():
        assert after[name] == edited[name], name
    for name in pristine:
        added = set(edited[name].splitlines()) - set(pristine[name].splitlines())
        assert added <= set(after.get(name, b"").splitlines()), name


def test_no_released_answer_is_gone(release: str) -> None:
    old = json.loads(git(TEMPLATE, "show", f"{RELEASES[release]}:cookiecutter.json"))
    new = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    for name, value in old.items():
        if name.startswith("_"):
            continue
        assert name in new, f"{name} is gone: old projects would lose their answer"
        assert type(new[name]) is type(value), name
        if isinstance(value, list):
            assert set(value) <= set(new[name]), f"a choice of {name} is gone: no update at all"


def test_the_changelog_and_the_recorded_releases_agree() -> None:
    changelog = (TEMPLATE / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\d+\.\d+\.\d+)$", changelog, re.MULTILINE)
    assert versions == sorted(versions, key=lambda v: [int(p) for p in v.split(".")], reverse=True)
    version = re.search(r'^version = "(.*)"$', (TEMPLATE / "pyproject.toml").read_text(), re.M)
    assert version and version[1] == versions[0]
    # The commit of the newest release is known only after it was made.
    assert [*RELEASES][::-1] in (versions, versions[1:])
    for part in re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]:
        assert "### Upgrade notes" in part, part.splitlines()[0]
