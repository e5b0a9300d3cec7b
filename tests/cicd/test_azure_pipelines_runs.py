"""Azure Pipelines: the generated pipelines, run."""

from __future__ import annotations

import pytest

from tests.matrix import Answers, name_of

from .azure_pipelines import AzureDevOps
from .scenarios import Scenarios

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cicd-azure")]

PROJECTS: list[Answers] = [
    {"environments": "dev-prod", "workspaces": "one-per-environment", "serving": "online"},
    {"environments": "dev-test-staging-prod", "workspaces": "one-per-environment",
     "serving": "batch"},
    {"environments": "dev-staging-prod", "workspaces": "one-shared", "serving": "online-and-batch"},
]  # fmt: skip


class TestAzurePipelines(Scenarios):
    kind = AzureDevOps

    @pytest.mark.parametrize("answers", PROJECTS, ids=[name_of(a) for a in PROJECTS])
    def test_every_kind_of_project_goes_to_production(self, answers: Answers) -> None:
        self.goes_through(answers)
