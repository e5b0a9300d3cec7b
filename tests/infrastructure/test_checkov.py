"""What checkov, which knows what is risky in Azure, says about the infrastructure."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ..conftest import generated

# Its parser knows neither lambdas nor `@onlyIfNotExists`. It has no rule for what these make:
# modules, resource groups, role assignments, a budget, an Azure ML registry.
UNREAD = {"access", "access_before", "budget", "main", "registry", "registry_access"}


@pytest.mark.slow
def test_checkov_finds_nothing_but_what_is_excepted_with_a_reason() -> None:
    folder = generated() / "infrastructure"
    done = subprocess.run(
        [sys.executable, "-m", "uv", "tool", "run", "checkov==3.3.30", "--framework", "bicep",
         "--directory", str(folder), "--compact", "--skip-download", "--output", "json"],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    found = json.loads(done.stdout)["results"]
    assert [f"{each['file_path']}: {each['check_id']}" for each in found["failed_checks"]] == []
    unread = {path.rpartition("/")[2].removesuffix(".bicep") for path in found["parsing_errors"]}
    assert unread == UNREAD
    excepted = [(each["check_id"], each["check_result"]) for each in found["skipped_checks"]]
    assert [name for name, result in excepted if not result["suppress_comment"].strip()] == []
    # Each exception is one that checkov would else report.
    written = [line for path in folder.rglob("*.bicep") for line in path.read_text().splitlines()
               if "checkov:skip=" in line]  # fmt: skip
    assert len(written) == len(excepted) > 0
