"""Starting guarded processes, and what they need to find the project's code."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import IO

from mlops.workspaces.local import guard


def start(
    command: list[str], *, folder: Path, log: IO[bytes], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Start a command in `folder` that ends when this process does; its output goes to `log`."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__, *command],
        cwd=folder, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
        env=environment, start_new_session=os.name == "posix",
    )  # fmt: skip


def call(command: list[str], environment: dict[str, str]) -> int:
    """Run a command on this terminal, to its end or to that of this process; its exit status."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__, *command],
        stdin=subprocess.PIPE, env=environment, start_new_session=os.name == "posix",
    )  # fmt: skip
    try:
        return process.wait()
    finally:
        stop(process)


def ask_to_end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Let a process that `start` started end by itself, and wait for that; `stop` it after that.

    Windows has no way to ask.
    """
    if os.name == "posix" and process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that `start` started, and all that it started."""
    if process.stdin:
        process.stdin.close()
    process.wait()


def code_environment(code: Path, **more: str) -> dict[str, str]:
    """The variables for a process that runs code from a folder with this Python."""
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(code),
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        **more,
    }


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def tail(log: Path, lines: int = 20, without: str = "$^") -> str:
    """The end of a log, indented; without the lines in which a pattern is found."""
    text = log.read_text(encoding="utf-8", errors="replace").splitlines()
    kept = [line for line in text if not re.search(without, line)]
    return "\n".join(f"    {line}" for line in kept[-lines:])
