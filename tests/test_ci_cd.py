"""The CI/CD files: valid for their platforms, and nothing for a security check to find."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import generated

SCHEMAS = {
    "github-actions": ["--builtin-schema", "vendor.github-workflows"],
    "azure-devops": [
        "--builtin-schema", "vendor.azure-pipelines",
        "--data-transform", "azure-pipelines", "--regex-variant", "nonunicode",
    ],
}  # fmt: skip
FOLDERS = {"github-actions": ".github/workflows", "azure-devops": ".azure-pipelines"}


def run(program: str, *arguments: str) -> None:
    command = [str(Path(sys.executable).parent / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("ci_cd", SCHEMAS)
def test_the_files_are_what_the_platform_reads(ci_cd: str) -> None:
    files = sorted((generated(ci_cd=ci_cd) / FOLDERS[ci_cd]).glob("*.yml"))
    assert len(files) == 2
    run("check-jsonschema", *SCHEMAS[ci_cd], *map(str, files))


def test_zizmor_finds_nothing_at_its_strictest() -> None:
    folder = generated(ci_cd="github-actions") / ".github" / "workflows"
    run("zizmor", "--offline", "--persona=auditor", str(folder))
