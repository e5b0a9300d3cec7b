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
from typing import NoReturn

import pytest
from cookiecutter.main import cookiecutter
from hypothesis import HealthCheck, settings

TEMPLATE = Path(__file__).resolve().parents[1]
SCRATCH = Path(tempfile.mkdtemp(prefix="template-tests-"))

# How long an example takes says more of the machine than of the code.
settings.register_profile("template", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("template")


def not_here(what: str) -> NoReturn:
    """End a test for want of something: skipped, but failed where CI promises to have it all."""
    if os.environ.get("NOTHING_SKIPPED"):
        pytest.fail(what)
    pytest.skip(what)


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


def files_of(project: Path) -> dict[str, bytes]:
    """The files of a project, but for git's own and what Python compiled."""
    return {
        path.relative_to(project).as_posix(): path.read_bytes()
        for path in sorted(project.rglob("*"))
        if path.is_file() and not {"__pycache__", ".git"} & set(path.parts)
    }


GIT = ["git", "-c", "user.name=tests", "-c", "user.email=tests@example.com"]


def commit_all(folder: Path, message: str = "start") -> None:
    """Commit all that is in a folder; make it a repository first where it is none."""
    new = [] if (folder / ".git").exists() else [["init", "-q", "-b", "main"]]
    for arguments in (*new, ["add", "-A"], ["commit", "-qm", message, "--allow-empty"]):
        subprocess.run([*GIT, *arguments], cwd=folder, check=True, capture_output=True)


@functools.cache
def template_repository() -> Path:
    """The template as it is in the working tree, with all its history: read only."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=TEMPLATE, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    folder = SCRATCH / f"cookiecutter-azureml-mlops-{os.getpid()}"
    subprocess.run(["git", "clone", "-q", "--no-tags", str(TEMPLATE), str(folder)], check=True)
    subprocess.run(["git", "rm", "-rq", "--ignore-unmatch", "."], cwd=folder, check=True)
    for name in filter(None, listed.split("\0")):
        if (TEMPLATE / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TEMPLATE / name, target)
    commit_all(folder, "template")
    return folder


def cruft(*arguments: str, folder: Path, check: bool = True) -> str:
    """Run cruft in a folder; what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "cruft", *arguments], cwd=folder, capture_output=True, text=True
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


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
    commit_all(copy)
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
