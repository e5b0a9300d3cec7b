"""The images: what they install goes together, for each Python that is offered. Needs the network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import generated, not_here
from .matrix import CHOICES

ANSWERING = {"numpy", "pandas", "scikit-learn", "skops"}


def pinned(project: Path) -> list[str]:
    """The lines of constraints.txt that the batch image takes over, as its Dockerfile picks them."""
    dockerfile = (project / "containers" / "batch" / "Dockerfile").read_text(encoding="utf-8")
    (pattern,) = re.findall(r"grep -E '([^']+)'", dockerfile)
    lines = (project / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if re.search(pattern, line)]


@pytest.mark.parametrize("python", CHOICES["python_version"])
def test_the_packages_of_the_batch_image_go_together(python: str, tmp_path: Path) -> None:
    project = generated()
    constraints = tmp_path / "answers.txt"
    constraints.write_text("\n".join(pinned(project)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-annotate",
         "--python-version", python, "--constraint", str(constraints),
         str(project / "containers" / "batch" / "requirements.txt")],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode and "No solution" not in done.stderr:
        not_here(f"the packages cannot be looked up: {done.stderr}")
    assert done.returncode == 0, done.stderr
    chosen = dict(re.findall(r"^([\w.-]+)==(\S+)", done.stdout, re.MULTILINE))
    assert {"azureml-core", "azureml-dataset-runtime"} <= chosen.keys()
    ours = {line.split(";")[0].strip() for line in pinned(project)}
    for name in ANSWERING:
        assert f"{name}=={chosen[name]}" in ours, "an answer is computed by the same versions"
