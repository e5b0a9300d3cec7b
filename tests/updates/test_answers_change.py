"""cruft creates what cookiecutter creates, and other answers give what a new project would be."""

from __future__ import annotations

import json
from pathlib import Path

import cruft as cruft_commands
import pytest

from tests.conftest import commit_all, cruft, generate, generated, template_repository
from tests.matrix import Answers, name_of, pairwise

from .conftest import RELEASES, assert_merged, content_of, edit_all, git, project_of

MATRIX = pairwise()


@pytest.mark.parametrize("answers", MATRIX, ids=[name_of(row) for row in MATRIX])
def test_cruft_makes_what_cookiecutter_makes_and_sees_no_difference(
    answers: Answers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = project_of(tmp_path, **answers)
    assert content_of(project) == content_of(generated(**answers))
    capsys.readouterr()
    assert cruft_commands.diff(project_dir=project, exit_code=True), capsys.readouterr().out
    assert capsys.readouterr().out == ""
    assert cruft_commands.check(project_dir=project)


def test_a_creation_by_cruft_says_what_is_next_and_a_difference_does_not(tmp_path: Path) -> None:
    template = str(template_repository())
    assert "make demo" in cruft("create", template, "--no-input", folder=tmp_path)
    project = tmp_path / "churn-model"
    commit_all(project)
    assert cruft("diff", folder=project) == ""


def test_a_second_update_does_nothing(tmp_path: Path) -> None:
    project = project_of(tmp_path, RELEASES["0.1.0"])
    cruft("update", "--skip-apply-ask", folder=project)
    commit_all(project, "update")
    assert "Nothing to do" in cruft("update", "--skip-apply-ask", folder=project)
    # Another answer that is the same one changes nothing either.
    same = json.dumps({"ci_cd": "github-actions"})
    cruft("update", "--skip-apply-ask", "--variables-to-update", same, folder=project)
    assert git(project, "status", "--porcelain") == ""


CHANGES = [
    ({"ci_cd": "github-actions"}, {"ci_cd": "azure-devops"}),
    ({"ci_cd": "none"}, {"ci_cd": "github-actions"}),
    ({"ci_cd": "azure-devops"}, {"ci_cd": "none"}),
    ({"serving": "online-and-batch"}, {"serving": "batch"}),
    ({"serving": "batch"}, {"serving": "online-and-batch"}),
    ({"serving": "online"}, {"serving": "batch"}),
    ({"infrastructure": "bicep"}, {"infrastructure": "none"}),
    ({"infrastructure": "none"}, {"infrastructure": "bicep"}),
    ({"environments": "dev-prod"}, {"environments": "dev-test-staging-prod"}),
    ({"environments": "dev-test-staging-prod"}, {"environments": "dev-staging-prod"}),
    ({"workspaces": "one-shared"}, {"workspaces": "one-per-environment"}),
    ({"azure_subscription_id": ""}, {"azure_subscription_id": "0" * 8 + "-1111" * 3 + "-" + "2" * 12}),
    ({"license": "proprietary"}, {"license": "MIT"}),
    ({"python_version": "3.11"}, {"python_version": "3.13"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after"), CHANGES, ids=["-".join([*b.values(), "to", *a.values()]) for b, a in CHANGES]
)  # fmt: skip
def test_another_answer_gives_what_a_new_project_with_the_same_edits_is(
    before: Answers, after: Answers, tmp_path: Path
) -> None:
    project = project_of(tmp_path / "old", **before)
    edit_all(project)
    commit_all(project, "edits")
    answers = json.dumps(after)
    cruft("update", "--skip-apply-ask", "--variables-to-update", answers, folder=project)
    assert_merged(project)
    fresh = generate(tmp_path / "new", **{**before, **after})
    edit_all(fresh)
    assert content_of(project) == content_of(fresh)
