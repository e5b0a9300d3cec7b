"""States of a project that the tests of the loop start from: built once, put back before each test.

A local workspace remembers absolute paths, so each state is a snapshot that is copied back to the
very place where it was made.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import SCRATCH, copy_of, generated, mlops_environment, run_mlops

# The engine, of the project with the default answers, for what a test computes itself.
SOURCE = str(generated() / "src")
sys.path.insert(0, SOURCE)

# All processes that a test starts inherit this variable: so the ones that are left are found.
MARK = "MLOPS_TEST_MARK"
SECONDS_AT_MOST = 600
SECONDS_TO_END = 60

# Takes versions 1 and 2 of dev into prod, in one process, as the commands would.
RELEASE = """
from mlops import promotion, release, training
from mlops.project import find_project
from mlops.workspaces import open_workspace
project = find_project()
dev, staging, prod = [open_workspace(project, name) for name in project.environments]
training.train(project, dev, settings={"learning_rate": "0.08"}, report=print)
for number in (1, 2):
    for source, target in ((dev, staging), (staging, prod)):
        version, _ = promotion.promote(project, source, target, number, report=print)
        release.deploy(target, version.number, report=print)
        release.rollout(target, version.number, report=print)
staging.close(), prod.close()
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of the loop in one process of pytest-xdist: they share the states."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("loop"))


class Loop:
    """A project in which the tests run the loop, and what its local workspaces hold."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mark = uuid.uuid4().hex
        self.running: list[Running] = []

    def run(
        self, *arguments: str, status: int | None = 0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and require its exit status."""
        variables[MARK] = self.mark
        done = run_mlops(self.root, *arguments, status=status, **variables)
        assert "error: unexpected" not in done.stderr, done.stderr
        return done

    def json(self, *arguments: str, status: int = 0) -> Any:
        """The one JSON value on a command's standard output."""
        return json.loads(self.run(*arguments, "--json", status=status).stdout)

    def start(self, *arguments: str, **variables: str) -> Running:
        """Start a command and let it run."""
        return Running(self, *arguments, **variables)

    def end(self) -> None:
        """End what a failed test left running; what its commands left behind is an error."""
        for running in self.running:
            running.process.kill()
            running.process.wait()
        try:
            eventually(lambda: not self.processes(), SECONDS_TO_END)
        finally:
            for process in self.processes():
                os.kill(process, signal.SIGKILL)

    def processes(self) -> list[int]:
        """The processes that commands in this project started and that still run."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text that stands once in a file of the project."""
        file = self.root / path
        text = file.read_text("utf-8")
        assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
        file.write_text(text.replace(old, new), "utf-8")

    def workspace(self, environment: str) -> Path:
        """The folder of an environment's own workspace."""
        return self.root / ".mlops" / self.settings(environment)["azure"]["workspace"]

    def settings(self, environment: str) -> dict[str, Any]:
        """What `environments/<name>.yml` said before any test changed it."""
        file = generated() / "environments" / f"{environment}.yml"
        settings: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
        return settings

    def query(self, environment: str, sql: str, *values: Any) -> list[Any]:
        """Rows of the workspace's tracking store, read beside MLflow."""
        file = self.workspace(environment) / "mlflow.db"
        connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def versions(self, environment: str = "dev") -> list[int]:
        """The numbers of the registered versions."""
        if not (self.workspace(environment) / "mlflow.db").is_file():
            return []
        return [
            row[0]
            for row in self.query(
                environment, "select version from model_versions order by version"
            )
        ]

    def tags(self, version: int, environment: str = "dev") -> dict[str, str]:
        """The tags of a registered version."""
        sql = "select key, value from model_version_tags where version = ?"
        return dict(self.query(environment, sql, version))

    def champion(self, environment: str) -> int | None:
        """The version that last became the champion."""
        sql = (
            "select version from model_version_tags where key = ? order by cast(value as int) desc"
        )
        rows = self.query(environment, sql, f"champion.{environment}")
        return rows[0][0] if rows else None

    def runs(self, environment: str = "dev") -> list[str]:
        """The states of the runs, oldest first."""
        sql = "select status from runs where lifecycle_stage = 'active' order by start_time"
        return [row[0] for row in self.query(environment, sql)]

    def model(self, version: int, environment: str = "dev") -> Path:
        """The folder of a registered version's model."""
        sql = "select run_id from model_versions where version = ?"
        run = self.query(environment, sql, version)[0][0]
        return self.workspace(environment) / "artifacts" / run / "artifacts" / "model"

    def store(self, environment: str) -> Path:
        """The folder of the environment's online endpoint."""
        name = self.settings(environment)["endpoints"]["online"]
        return self.workspace(environment) / "endpoints" / str(name)

    def endpoint(self, environment: str) -> dict[str, Any]:
        """The state of the environment's online endpoint."""
        file = self.store(environment) / "endpoint.json"
        return json.loads(file.read_text("utf-8")) if file.is_file() else {}

    def decisions(self, environment: str, kind: str) -> list[dict[str, Any]]:
        """The kept records of a kind, oldest first."""
        files = (self.workspace(environment) / "decisions").glob(f"*-{environment}-{kind}.json")
        return [json.loads(file.read_text("utf-8")) for file in sorted(files)]


class Running:
    """A command that runs beside the test; its output goes to files."""

    def __init__(self, loop: Loop, *arguments: str, **variables: str) -> None:
        self.loop = loop
        loop.running.append(self)
        folder = SCRATCH / "running" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlops", *arguments],
                cwd=loop.root, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                env=mlops_environment(loop.root, **{MARK: loop.mark, **variables}),
            )  # fmt: skip

    def output(self) -> str:
        """What it has printed so far."""
        return self.out.read_text("utf-8") + self.err.read_text("utf-8")

    def until(self, seen: str | Callable[[], Any]) -> Running:
        """Wait until it has printed a text, or until something is true; it must not end before."""
        condition = (lambda: seen in self.output()) if isinstance(seen, str) else seen
        eventually(lambda: condition() or self.process.poll() is not None)
        assert condition(), f"it ended with {self.process.poll()} before:\n{self.output()}"
        return self

    def kill(self) -> None:
        """`kill -9`; and nothing that it started may live on."""
        self.process.kill()
        self.process.wait()
        eventually(lambda: not self.loop.processes(), SECONDS_TO_END)

    def interrupt(self) -> int:
        """Ctrl-C; its exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(SECONDS_AT_MOST)

    def end(self) -> int:
        """Wait for its end; its exit status."""
        return self.process.wait(SECONDS_AT_MOST)


def eventually(condition: Callable[[], Any], seconds: float = SECONDS_AT_MOST) -> None:
    """Wait until something is true; a test that waits far too long fails."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


@functools.cache
def place() -> Path:
    """Where the project stands in all its states."""
    return SCRATCH / "loop" / generated().name


@functools.cache
def snapshot(state: str) -> Path:
    """A copy of the project in a state: `fresh`, `trained` (version 1) or `released` (1 and 2)."""
    if state == "fresh":
        shutil.rmtree(place(), ignore_errors=True)
        copy_of(generated(), place().parent)
    elif state == "trained":
        put_back("fresh").run("train")
    else:
        loop = put_back("trained")
        subprocess.run(
            [sys.executable, "-c", RELEASE], cwd=loop.root, env=mlops_environment(loop.root),
            check=True, capture_output=True, timeout=300,
        )  # fmt: skip
    copy = SCRATCH / "states" / state
    shutil.copytree(place(), copy, symlinks=True)
    return copy


def put_back(state: str) -> Loop:
    """The project in a state, as if nothing had happened since."""
    source = snapshot(state)
    shutil.rmtree(place(), ignore_errors=True)
    shutil.copytree(source, place(), symlinks=True)
    return Loop(place())


def in_state(state: str) -> Iterator[Loop]:
    """The project for one test or module, which must leave no process behind."""
    if os.name != "posix" or not Path("/proc").is_dir():
        pytest.skip("looks for processes in /proc")
    loop = put_back(state)
    yield loop
    loop.end()


@pytest.fixture
def fresh() -> Iterator[Loop]:
    """A project in which nothing was run yet."""
    yield from in_state("fresh")


@pytest.fixture(scope="module")
def fresh_once() -> Iterator[Loop]:
    """The same for tests that change nothing in it."""
    yield Loop(copy_of(generated(), SCRATCH / "unchanged" / uuid.uuid4().hex))


@pytest.fixture
def trained() -> Iterator[Loop]:
    """A project in which `mlops train` has run once."""
    yield from in_state("trained")


@pytest.fixture
def released() -> Iterator[Loop]:
    """A project whose versions 1 and 2 went through staging into prod; 2 has the traffic."""
    yield from in_state("released")
