"""Programs of npm that the tests use, installed on first use."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.conftest import TEMPLATE, not_here

SECONDS_AT_MOST = 600


def modules_of(package: str, version: str) -> Path:
    """The folder `node_modules` with one version of a package."""
    folder = TEMPLATE / "build" / f"{package}-{version}"
    if not (folder / "node_modules").exists():
        if shutil.which("npm") is None:
            not_here(f"needs npm, to install {package}")
        folder.mkdir(parents=True, exist_ok=True)
        # Beside, then moved: a second process of the tests may be installing it, too.
        with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
            command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", beside]
            done = subprocess.run(
                [*command, f"{package}@{version}"],
                capture_output=True, text=True, timeout=SECONDS_AT_MOST,
            )  # fmt: skip
            if done.returncode:
                not_here(f"npm could not install {package}: {done.stderr}")
            with suppress(OSError):
                (Path(beside) / "node_modules").rename(folder / "node_modules")
    return folder / "node_modules"
