"""The project's files, and the loop as far as every project has it: what `mlops train` does."""

from mlops.checks import check_project
from mlops.project import Project
from mlops.training import Training


def test_the_project_has_no_findings(project: Project) -> None:
    assert [finding.show(project.root) for finding in check_project(project)] == []


def test_the_gate_accepts_a_trained_model(trained: Training) -> None:
    assert trained.decision.accepted, trained.decision.refusals
    assert trained.version is not None
