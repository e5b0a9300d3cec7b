"""The tools that read CI/CD files: each says what is wrong with those of a project, or nothing."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from . import actionlint, azure_references, github_references
from .azure_references import mappings, script_of

AZURE = [
    "--builtin-schema", "vendor.azure-pipelines",
    "--data-transform", "azure-pipelines", "--regex-variant", "nonunicode",
]  # fmt: skip
# The files of each schema, by platform.
SCHEMAS = {
    "github-actions": {
        ".github/workflows/*.yml": ["--builtin-schema", "vendor.github-workflows"],
        ".github/actions/*/action.yml": ["--builtin-schema", "vendor.github-actions"],
        ".github/dependabot.yml": ["--builtin-schema", "vendor.dependabot"],
    },
    "azure-devops": {".azure-pipelines/**/*.yml": AZURE},
}
FOLDERS = {"github-actions": ".github", "azure-devops": ".azure-pipelines"}


def run(program: str, *arguments: str, folder: Path) -> str:
    """What one of the tools of this environment says when it fails; nothing when it does not."""
    command = [str(Path(sys.executable).parent / program), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


def schemas(project: Path, ci_cd: str) -> str:
    """The schemas of the platform."""
    said = ""
    for pattern, arguments in SCHEMAS[ci_cd].items():
        if files := sorted(project.glob(pattern)):
            said += run("check-jsonschema", *arguments, *map(str, files), folder=project)
    return said


def zizmor(project: Path, ci_cd: str) -> str:
    """The security check, at its strictest; ignore comments do not count."""
    arguments = ["--offline", "--persona=auditor", "--strict-collection", "--no-ignores"]
    return run("zizmor", "--quiet", *arguments, FOLDERS[ci_cd], folder=project)


def yamllint(project: Path, ci_cd: str) -> str:
    """The tidiness of YAML, by the rules of the project."""
    return run("yamllint", "--strict", FOLDERS[ci_cd], folder=project)


def lint_workflows(project: Path, ci_cd: str) -> str:
    """actionlint, without its false errors."""
    files = sorted(project.glob(".github/workflows/*.yml"))
    found = [error for error in actionlint.errors(files) if not actionlint.is_false(error)]
    return "\n".join(f"{Path(error['file']).name}: {error['message']}" for error in found)


def shellcheck(project: Path, ci_cd: str) -> str:
    """The scripts of all steps, as bash."""
    with tempfile.TemporaryDirectory() as name:
        for number, (place, script) in enumerate(scripts_of(project / FOLDERS[ci_cd])):
            (Path(name) / f"{place}-{number}").write_text(f"set -e\n{script}\n", encoding="utf-8")
        files = sorted(file.name for file in Path(name).iterdir())
        assert files
        return run("shellcheck", "--shell=bash", "--norc", *files, folder=Path(name))


def scripts_of(folder: Path) -> Iterator[tuple[str, str]]:
    """The scripts under a folder of YAML files, each with its file."""
    for file in sorted(folder.rglob("*.yml")):
        for part in mappings(yaml.load(file.read_text("utf-8"), yaml.BaseLoader)):  # noqa: S506
            run_or_bash = part.get("run") or script_of(part)
            if isinstance(run_or_bash, str) and run_or_bash and "steps" not in part:
                yield file.name, run_or_bash


def references(project: Path, ci_cd: str) -> str:
    """Our own: what the files refer to is there."""
    own = {"github-actions": github_references, "azure-devops": azure_references}
    return "\n".join(own[ci_cd].findings(project))


Check = Callable[[Path, str], str]
CHECKS: dict[str, tuple[Check, list[str]]] = {
    "schemas": (schemas, ["github-actions", "azure-devops"]),
    "yamllint": (yamllint, ["github-actions", "azure-devops"]),
    "shellcheck": (shellcheck, ["github-actions", "azure-devops"]),
    "references": (references, ["github-actions", "azure-devops"]),
    "zizmor": (zizmor, ["github-actions"]),
    "actionlint": (lint_workflows, ["github-actions"]),
}
