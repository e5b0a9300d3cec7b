"""How long a pull request of a fresh project waits for its checks, from a cold and a warm cache.

    python benchmarks/pull_request.py

The harness of the tests runs GitHub's integration workflow with its own commands, each job on an
empty machine: nothing is installed, and the cache of packages is empty (cold) or filled by the run
before (warm). First one job after another, as each has a machine of its own on the platform; then
all at once on this one.

Goals, with 2 cores: at most 5 minutes cold, 2 minutes warm.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from common import TEMPLATE, generated_project, machine, progress, table, timed

sys.path.insert(0, str(TEMPLATE))

from tests.cicd.github import GitHub
from tests.conftest import SCRATCH

JOBS = ("checks", "tests", "model")
GOALS = {"cold": 300.0, "warm": 120.0}


def change(project: Path) -> None:
    """The pull request."""
    with (project / "README.md").open("a", encoding="utf-8") as stream:
        stream.write("\nMore.\n")


def seconds_of(folder: Path, project: Path, cache: Path, job: str) -> float:
    """How long one job takes on an empty machine, all its steps counted."""
    platform = GitHub(folder, packages=False)
    platform.machine.more = {"UV_CACHE_DIR": str(cache / "uv"), "PIP_CACHE_DIR": str(cache / "pip")}
    platform.host(project)
    platform.left_out = {*JOBS, "infrastructure"} - {job}
    started = time.perf_counter()
    platform.pull_request(change)["integration"].must()
    return time.perf_counter() - started


def at_once(folder: Path, project: Path, cache: Path) -> float:
    """How long all jobs take when they share this machine."""
    failed: list[BaseException] = []

    def one(job: str) -> None:
        try:
            seconds_of(folder / job, project, cache, job)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(job,)) for job in JOBS]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        sys.exit(str(failed[0]))
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    found: dict[str, dict[str, float]] = {"cold": {}, "warm": {}}
    with (
        generated_project(ci_cd="github-actions") as project,
        tempfile.TemporaryDirectory() as name,
    ):
        folder = Path(name)
        timed(["git", "branch", "--move", "main"], folder=project)
        for job in JOBS:
            for state in found:
                progress(f"{job}, {state}")
                cache, place = folder / "caches" / job, folder / f"{job}-{state}"
                found[state][job] = seconds_of(place, project, cache, job)
        warm = folder / "caches" / JOBS[0]
        progress("all at once, warm")
        shared = at_once(folder / "at-once", project, warm)
    rows = [[job, *(f"{found[state][job]:.0f}" for state in found)] for job in JOBS]
    rows.append(
        ["the stage, a machine for each job", *(f"{max(found[s].values()):.0f}" for s in found)]
    )
    rows.append(["goal", *(f"{GOALS[state]:.0f}" for state in found)])
    rows.append(["all jobs at once on this machine", "", f"{shared:.0f}"])
    table(["integration", "cold s", "warm s"], rows)
    machine()


if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)
