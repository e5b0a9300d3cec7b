"""The project under test, and a copy of it in which a model is trained once for all tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops import training
from mlops.contract import Contract, load_contract
from mlops.project import Project, find_project
from mlops.workspaces import Workspace, open_workspace

# Tests cost nothing in Azure: environments with a subscription use local workspaces here.
os.environ["MLOPS_LOCAL"] = "1"


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


@pytest.fixture(scope="session")
def workspace(copy: Project) -> Iterator[Workspace]:
    """The local workspace of the copy's first environment."""
    opened = open_workspace(copy, copy.environments[0])
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def trained(copy: Project, workspace: Workspace) -> training.Training:
    """What `mlops train` did there."""
    return training.train(copy, workspace, report=print)
