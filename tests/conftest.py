"""Projects to test with: generated once per set of answers, copied for each test that changes one."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).resolve().parents[1]
SCRATCH = Path(tempfile.mkdtemp(prefix="template-tests-"))


def generate(folder: Path, **answers: str) -> Path:
    """Generate a project under `folder`; the folder of the project."""
    folder.mkdir(parents=True, exist_ok=True)
    config = SCRATCH / "cookiecutter.yml"
    config.write_text(f"replay_dir: {SCRATCH / 'replay'}\n", encoding="utf-8")
    made = cookiecutter(
        str(TEMPLATE), no_input=True, extra_context=answers, output_dir=str(folder),
        config_file=str(config),
    )  # fmt: skip
    return Path(made)


@functools.cache
def generated(**answers: str) -> Path:
    """A project with these answers, made once; read it, do not change it."""
    return generate(Path(tempfile.mkdtemp(dir=SCRATCH)), **answers)


# The engine is plain Python: its unit tests import it from the project with the default answers.
# (In two steps: cookiecutter puts sys.path back as it was before it ran.)
ENGINE = str(generated() / "src")
sys.path.insert(0, ENGINE)
sys.dont_write_bytecode = True


def pytest_unconfigure() -> None:
    shutil.rmtree(SCRATCH, ignore_errors=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the default answers that the test may change; with a git commit."""
    return copy_of(generated(), tmp_path)


def copy_of(pristine: Path, folder: Path) -> Path:
    """A copy of a project, with a first commit."""
    copy = folder / pristine.name
    shutil.copytree(pristine, copy)
    git = ["git", "-c", "user.name=tests", "-c", "user.email=tests@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run([*git, *arguments], cwd=copy, check=True, capture_output=True)
    return copy


Mlops = Callable[..., "subprocess.CompletedProcess[str]"]


def mlops_environment(project: Path, **variables: str) -> dict[str, str]:
    """The variables with which `python -m mlops` finds a project's code."""
    return {**os.environ, "PYTHONPATH": str(project / "src"), **variables}


def run_mlops(
    project: Path, *arguments: str, status: int | None = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `mlops` in a project and require its exit status (None: any)."""
    done = subprocess.run(
        [sys.executable, "-m", "mlops", *arguments],
        cwd=project, env=mlops_environment(project, **variables),
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert status is None or done.returncode == status, (
        f"mlops {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done


@pytest.fixture
def mlops(project: Path) -> Iterator[Mlops]:
    """`mlops` in the test's own project."""
    yield functools.partial(run_mlops, project)
