"""The loop in a copy of the project: what `mlops train`, `deploy` and `rollout` do in the first
environment."""

from mlops import release, training
from mlops.checks import check_project
from mlops.project import Project
from mlops.workspaces import open_workspace


def test_the_project_has_no_findings(project: Project) -> None:
    assert [finding.show(project.root) for finding in check_project(project)] == []


def test_a_trained_model_passes_the_gate_and_answers_behind_the_endpoint(copy: Project) -> None:
    workspace = open_workspace(copy, copy.environments[0])
    try:
        trained = training.train(copy, workspace, report=print)
        assert trained.decision.accepted, trained.decision.refusals
        assert release.deploy(workspace, report=print).accepted
        assert release.rollout(workspace, report=print).accepted
        assert workspace.endpoint().traffic == {"version-1": 100}
    finally:
        workspace.close()
