"""The steps that need Azure, against its stand-in: training and release of one project."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.azure.conftest import Azure, azure, stand_in
from tests.azure.projects import make_project

from .github import GitHub

__all__ = ["azure", "stand_in"]  # the fixtures
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("azure")]


def test_the_workflows_train_and_release_in_azure(azure: Azure, tmp_path: Path) -> None:
    project = make_project(azure, tmp_path, ci_cd="github-actions", infrastructure="none")
    platform = GitHub(tmp_path / "platform")
    platform.host(project.root)
    platform.local, platform.in_azure = False, azure.environment
    training = platform.start("training").must()
    assert training.job("train").signed_in == "dev"
    assert len(azure.stand_in.sent(r"PUT .*/jobs/training-[0-9a-f]+")) == 1
    platform.handed_over()["release"].must()
    assert platform.asked == ["prod"]
    (prod,) = project.answer("status", "--env", "prod")
    assert prod["champion"]["version"] == 1
    assert [d["traffic"] for d in prod["endpoint"]["deployments"]] == [100]
