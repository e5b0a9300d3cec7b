"""The project under test, and a copy of it for the tests that change something."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlops.contract import Contract, load_contract
from mlops.project import Project, find_project


@pytest.fixture(scope="session")
def project() -> Project:
    return find_project(Path(__file__).parent)


@pytest.fixture(scope="session")
def contract(project: Project) -> Contract:
    return load_contract(project.contract)


@pytest.fixture(scope="session")
def sample(project: Project) -> Path:
    return project.root / "data" / "sample.parquet"


@pytest.fixture(scope="session")
def copy(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project in another folder, with local workspaces of its own."""
    folder = tmp_path_factory.mktemp("copy") / project.root.name
    ignore = shutil.ignore_patterns(".git", ".venv", ".mlops", "__pycache__", ".*_cache")
    shutil.copytree(project.root, folder, ignore=ignore)
    return find_project(folder)
