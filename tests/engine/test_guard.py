"""Processes that must not outlive their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlops.workspaces.local.processes import (
    ask_to_end,
    code_environment,
    start,
    stop,
    tail,
)
from tests.conftest import ENGINE

from .builders import write

# Writes its own process id and that of a child, and waits with it.
FAMILY = (
    "import os, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-I', '-S', '-c', 'import time; time.sleep(60)'])\n"
    "open(sys.argv[1] + '.part', 'w').write(f'{os.getpid()} {child.pid}')\n"
    "os.replace(sys.argv[1] + '.part', sys.argv[1])\n"
    "time.sleep(60)\n"
)
PARENT = (
    "import os, sys, time\n"
    "from pathlib import Path\n"
    "from mlops.workspaces.local.processes import start\n"
    "start([sys.executable, '-I', '-S', *sys.argv[1:]], folder=Path.cwd(),\n"
    "      log=open('log', 'wb'), environment=dict(os.environ))\n"
    "time.sleep(60)\n"
)


def is_alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return status != "Z"


def wait_until(condition: object, seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def family(file: Path) -> list[int]:
    assert wait_until(file.is_file)
    return [int(process) for process in file.read_text().split()]


def run_family(folder: Path) -> subprocess.Popen[bytes]:
    script = write(folder / "family.py", FAMILY)
    with (folder / "log").open("wb") as log:
        return start(
            [sys.executable, "-I", "-S", str(script), str(folder / "ids")],
            folder=folder, log=log, environment=dict(os.environ),
        )  # fmt: skip


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


@needs_proc
def test_a_process_and_its_child_end_when_the_parent_is_killed(tmp_path: Path) -> None:
    script, parent = write(tmp_path / "family.py", FAMILY), write(tmp_path / "parent.py", PARENT)
    started = subprocess.Popen(
        [sys.executable, str(parent), str(script), str(tmp_path / "ids")],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": ENGINE},
    )  # fmt: skip
    processes = family(tmp_path / "ids")
    assert all(map(is_alive, processes))
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    assert wait_until(lambda: not any(map(is_alive, processes)))


@needs_proc
def test_stopping_a_process_ends_its_child_as_well(tmp_path: Path) -> None:
    process = run_family(tmp_path)
    processes = family(tmp_path / "ids")
    stop(process)
    assert wait_until(lambda: not any(map(is_alive, processes)))


@pytest.mark.skipif(os.name != "posix", reason="Windows has no way to ask")
@pytest.mark.parametrize("answer", ["echo done > ended; exit 7", ":"])
def test_a_process_that_is_asked_may_end_by_itself_but_not_live_on(
    tmp_path: Path, answer: str
) -> None:
    ends = "exit" in answer
    with (tmp_path / "log").open("wb") as log:
        process = start(
            ["/bin/sh", "-c", f"trap '{answer}' TERM; echo > ids; while :; do sleep 0.05; done"],
            folder=tmp_path, log=log, environment=dict(os.environ),
        )  # fmt: skip
        assert wait_until((tmp_path / "ids").is_file)
        ask_to_end(process, 30 if ends else 0.3)
        assert (process.poll() is not None) == ends
        stop(process)
    assert process.poll() == (7 if ends else 137)
    assert (tmp_path / "ended").is_file() == ends


@needs_proc
def test_what_a_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = start(
            ["/bin/sh", "-c", "sleep 60 & echo $! > ids"],
            folder=tmp_path, log=log, environment=dict(os.environ),
        )  # fmt: skip
        assert process.wait() == 0
    (left,) = family(tmp_path / "ids")
    assert wait_until(lambda: not is_alive(left))


@pytest.mark.parametrize(("command", "status"), [("exit 3", 3), ("kill -9 $$", 137), ("true", 0)])
def test_the_status_of_the_command_comes_through(tmp_path: Path, command: str, status: int) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = start(
            ["/bin/sh", "-c", f"echo out; echo err >&2; {command}"],
            folder=tmp_path, log=log, environment=dict(os.environ),
        )  # fmt: skip
        assert process.wait() == status
    assert tail(tmp_path / "log") == "    out\n    err"


def test_a_process_finds_the_code_and_this_python(tmp_path: Path) -> None:
    variables = code_environment(tmp_path, COLOUR="blue")
    assert variables["PYTHONPATH"] == str(tmp_path)
    assert variables["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert variables["COLOUR"] == "blue"
