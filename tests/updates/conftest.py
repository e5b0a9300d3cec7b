"""Projects that cruft made, the edits that people make in them, and a template with releases."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import cruft as cruft_commands
import pytest

from tests.conftest import GIT, SCRATCH, TEMPLATE, commit_all, files_of, template_repository

RELEASES: dict[str, str] = json.loads(
    (TEMPLATE / "tests" / "releases.json").read_text(encoding="utf-8")
)
Edit = Callable[[Path], None]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run([*GIT, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@functools.cache
def released(commit: str | None = None, **answers: str) -> Path:
    """A project that cruft made of a commit of the template (default: the newest); read only."""
    folder = Path(tempfile.mkdtemp(dir=SCRATCH))
    made = cruft_commands.create(
        str(template_repository()), output_dir=folder, extra_context=answers,
        no_input=True, default_config=True, checkout=commit,
    )  # fmt: skip
    return Path(made)


def project_of(folder: Path, commit: str | None = None, **answers: str) -> Path:
    """A committed project of a release that a test may change."""
    project = folder / "churn-model"
    shutil.copytree(released(commit, **answers), project)
    commit_all(project)
    return project


def content_of(project: Path) -> dict[str, bytes]:
    return {name: text for name, text in files_of(project).items() if name != ".cruft.json"}


def assert_merged(project: Path) -> None:
    """Nothing is left to a person."""
    assert git(project, "diff", "--name-only", "--diff-filter=U") == ""
    assert not [path for path in project.rglob("*") if path.suffix in (".rej", ".orig")]
    for name, text in content_of(project).items():
        assert not re.search(rb"^(<<<<<<<|>>>>>>>) ", text, re.MULTILINE), name


# --- edits that people really make ---------------------------------------------------------------


def replace(name: str, old: str, new: str) -> Edit:
    """An edit that replaces text that must be there."""

    def edit(project: Path) -> None:
        file = project / name
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{name} has no {old!r}"
        file.write_text(text.replace(old, new), encoding="utf-8")

    return edit


def append(name: str, new: str) -> Edit:
    """An edit that writes at the end of a file, or a new file."""

    def edit(project: Path) -> None:
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        old = file.read_text(encoding="utf-8") if file.is_file() else ""
        file.write_text(old + new, encoding="utf-8")

    return edit


EDITS: dict[str, Edit] = {
    "a feature of one's own": append(
        "src/churn_model/features.py", "\n\ndef ratio(table):\n    return table\n"
    ),
    "a module of one's own": append("src/churn_model/own.py", '"""Ours."""\n'),
    "another threshold": replace("environments/prod.yml", "roc_auc: 0.96", "roc_auc: 0.97"),
    "an extra pipeline step": append(
        "pipelines/training.yml",
        "  audit:\n    type: command\n    component: components/audit.yml\n",
    ),
    "its component": append("pipelines/components/audit.yml", "name: audit\n"),
    "an extra workflow": append(".github/workflows/nightly.yml", "name: nightly\n"),
    "a README of one's own": replace(
        "README.md", "A machine learning model on Azure, from data to production and back.",
        "Tells who will leave us.",
    ),
    "a chapter of the README": replace(
        "README.md", "## The loop\n", "## Contact\n\nRoom 12.\n\n## The loop\n"
    ),
    "another package": replace("pyproject.toml", '  "typer",\n', '  "shap",\n  "typer",\n'),
}  # fmt: skip


def edit_all(project: Path) -> None:
    for edit in EDITS.values():
        edit(project)


# --- a template with releases of its own ---------------------------------------------------------


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A template of one's own with releases: v0.9.0, and v0.10.0 that is newer."""
    folder = tmp_path / "template"
    subprocess.run(["git", "clone", "-q", str(template_repository()), str(folder)], check=True)
    git(folder, "tag", "v0.9.0")
    replace("templates/environment.yml", "p95_ms: 500", "p95_ms: 400")(folder)
    replace("{{cookiecutter.project_slug}}/Makefile", ".PHONY: setup", ".PHONY: all setup")(folder)
    commit_all(folder, "release")
    git(folder, "tag", "-a", "v0.10.0", "-m", "release")
    append("README.md", "not released\n")(folder)
    commit_all(folder, "after the release")
    return folder


@pytest.fixture
def project(tmp_path: Path, template: Path) -> Path:
    """A committed project of v0.9.0, with an origin."""
    made = cruft_commands.create(
        str(template), output_dir=tmp_path, no_input=True, default_config=True, checkout="v0.9.0"
    )
    project = Path(made)
    commit_all(project)
    git(project, "config", "user.name", "tests")
    git(project, "config", "user.email", "tests@example.com")
    return project
