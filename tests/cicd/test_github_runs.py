"""GitHub Actions: the generated workflows, run."""

from __future__ import annotations

import pytest

from tests.matrix import Answers, name_of

from .github import GitHub
from .scenarios import NOTHING_BUT_RELEASES, Scenarios, write

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cicd-github")]

PROJECTS: list[Answers] = [
    {"environments": "dev-prod", "workspaces": "one-shared", "serving": "batch"},
    {"environments": "dev-test-staging-prod", "workspaces": "one-shared", "serving": "online"},
    {"environments": "dev-staging-prod", "workspaces": "one-per-environment", "serving": "online"},
]


class TestGitHub(Scenarios):
    kind = GitHub

    @pytest.mark.parametrize("answers", PROJECTS, ids=[name_of(a) for a in PROJECTS])
    def test_every_kind_of_project_goes_to_production(self, answers: Answers) -> None:
        self.goes_through(answers)

    def test_a_project_that_is_not_connected_is_green_and_does_nothing_in_azure(self) -> None:
        platform = self.state("fresh")
        platform.connected, platform.left_out = False, {"integration"}
        runs = platform.push(write("environments/dev.yml", "\n# more\n"))
        assert set(runs) == {"training", "infrastructure"}
        runs |= {"monitoring": platform.schedule("monitoring")}
        runs |= {"release": platform.start("release", version="dev/1")}
        runs |= {"teardown": platform.start("teardown", environment="dev", confirm="dev")}
        for run in runs.values():
            assert run.must().ran == []
        assert not platform.asked and not platform.state["calls"]

    def test_no_two_releases_run_at_the_same_time(self) -> None:
        platform = self.state("fresh")
        platform.connected, platform.left_out = False, NOTHING_BUT_RELEASES
        queues = [platform.start("release", version=f"dev/{n}").queue for n in (1, 2)]
        assert queues[0] and queues[0] == queues[1]
