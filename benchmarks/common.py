"""What the benchmarks share: a generated project, timed commands, servers, tables of ratios."""

from __future__ import annotations

import compileall
import contextlib
import http.client
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

TEMPLATE = Path(__file__).resolve().parents[1]
SCRIPTS = Path(sys.executable).parent
HOST = "127.0.0.1"
SECONDS_TO_START = 120

# A terminated benchmark stops its servers and removes its folder, like an interrupted one.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@contextlib.contextmanager
def generated_project(**answers: str) -> Iterator[Path]:
    """A project of the template in a temporary folder, committed and compiled as if installed."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        config = folder / "cookiecutter.yml"
        config.write_text(f"replay_dir: {folder / 'replay'}\n", encoding="utf-8")
        given = [f"{key}={value}" for key, value in answers.items()]
        timed(
            [sys.executable, "-m", "cookiecutter", "--no-input", "--config-file", str(config),
             "--output-dir", str(folder / "made"), str(TEMPLATE), *given],
            environment={**os.environ, "TMPDIR": name},  # It leaves its rendered hooks there.
        )  # fmt: skip
        project = next((folder / "made").iterdir())
        git = ["git", "-c", "user.name=benchmark", "-c", "user.email=benchmark@example.com"]
        for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
            timed([*git, *arguments], folder=project)
        compileall.compile_dir(project / "src", quiet=1)
        yield project


def variables(project: Path | None = None, **more: str) -> dict[str, str]:
    """The environment of a measured command: it finds the project's code and may compile it.

    What it leaves in its temporary folder goes with the project.
    """
    given = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    given.pop("PYTHONDONTWRITEBYTECODE", None)
    given["PATH"] = os.pathsep.join([str(SCRIPTS), given.get("PATH", "")])
    given |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    if project:
        given |= {"PYTHONPATH": str(project / "src"), "TMPDIR": str(project.parent)}
    return given | more


class Run(NamedTuple):
    """What a command took, in seconds, and its standard output.

    `cpu` counts all its processes; other work on the machine disturbs it less than `seconds`.
    """

    seconds: float
    cpu: float
    output: str


def timed(
    command: Sequence[str], *, folder: Path | None = None, environment: dict[str, str] | None = None
) -> Run:
    """Run a command to its end; the end of all if it fails."""
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    seconds, after = time.perf_counter() - started, os.times()
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    cpu = sum(after[2:4]) - sum(before[2:4])
    return Run(seconds, cpu, done.stdout)


def interleaved(contenders: dict[str, Callable[[], Run]], rounds: int) -> dict[str, list[Run]]:
    """Runs of each contender, round by round in a changing order, after a round to warm up."""
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name in random.sample(list(contenders), len(contenders)):
            progress(f"round {number} of {rounds}: {name}")
            run = contenders[name]()
            if number:
                runs[name].append(run)
    return runs


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> str:
    """The median of the ratios within a round, and the least and the greatest of them."""
    ratios = [above / below for above, below in zip(numerators, denominators)]
    middle, least, greatest = (f"{f(ratios):.3g}" for f in (statistics.median, min, max))
    return f"{middle} ({least} to {greatest})"


def median(values: Sequence[float], digits: int = 2) -> str:
    """A median as text."""
    return f"{statistics.median(values):.{digits}f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table, aligned; all columns but the first to the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    dashes = [f"{'-' * (width - (i > 0))}{':' if i else ''}" for i, width in enumerate(widths)]
    progress("")
    for line in (lines[0], dashes, *lines[1:]):
        cells = [
            cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths))
        ]
        print(f"| {' | '.join(cells)} |")


def machine() -> None:
    """Print what the numbers depend on."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg()) if os.name == "posix" else "?"
    version = ".".join(str(part) for part in sys.version_info[:3])
    print(f"{os.cpu_count()} cores, Python {version}, load average at the end {load}\n")


def progress(text: str) -> None:
    """One line that the next one overwrites; nothing in a pipe."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


class Server:
    """A scoring server, and one client that keeps its connection if the server keeps it."""

    def __init__(self, port: int, path: str) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=60)
        self._path = path

    def post(self, body: bytes) -> tuple[float, bytes]:
        """Milliseconds from the request to the whole answer, and the answer; it must be a 200."""
        started = time.perf_counter()
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", self._path, body, headers)
        response = self._connection.getresponse()
        answer = response.read()
        milliseconds = 1000 * (time.perf_counter() - started)
        if response.status != 200:
            sys.exit(f"a server answered {response.status}: {answer[:500]!r}")
        return milliseconds, answer

    def close(self) -> None:
        """End the client's connection."""
        self._connection.close()


@contextlib.contextmanager
def running(
    command: Sequence[str], port: int, *, project: Path, environment: dict[str, str],
    score: str, health: str,
) -> Iterator[Server]:  # fmt: skip
    """A server on the loopback interface that has answered its health probe; stopped at the end.

    The project's own guard starts it: it ends with this process, however that ends.
    """
    guard = project / "src" / "mlops" / "workspaces" / "local" / "guard.py"
    log = project.parent / f"server-{port}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(guard), *command],
            cwd=project, env=environment, stdin=subprocess.PIPE, stdout=stream, stderr=stream,
            start_new_session=os.name == "posix",
        )  # fmt: skip
    try:
        _wait(process, port, health, log)
        server = Server(port, score)
        yield server
        server.close()
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, health: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(HOST, port, timeout=5)
            connection.request("GET", health)
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    sys.exit(f"a server did not start:\n{log.read_text(errors='replace')[-2000:]}")


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
