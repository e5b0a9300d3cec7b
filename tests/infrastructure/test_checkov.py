"""What checkov, which knows what is risky in Azure, says about the infrastructure."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import generated

# Its parser knows no lambdas. It has no rule for what these make: modules, resource groups, role
# assignments, alert rules.
UNREAD = {"access", "access_before", "endpoint_alerts", "main", "registry_access", "watch"}
UNKNOWN_TO_IT = "@onlyIfNotExists()\n"  # a decorator that says when, not what


@pytest.mark.slow
def test_checkov_finds_nothing_but_what_is_excepted_with_a_reason(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(generated() / "infrastructure", tmp_path / "infrastructure"))
    for path in folder.rglob("*.bicep"):
        path.write_text(path.read_text().replace(UNKNOWN_TO_IT, ""))
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
