"""Trainings beside this process, each of a project in a folder of its own.

They run with the code and the settings of their folder, and with the packages of this process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from mlops.decisions import Decision
from mlops.errors import MlopsError, redact
from mlops.project import Project, find_project
from mlops.workspaces import ModelVersion, Report
from mlops.workspaces.local import guard
from mlops.workspaces.local.processes import processors, stop
from mlops.workspaces.local.workspace import LocalWorkspace

# What a platform reads this process's outputs by, which the trainings must not write to; and what
# git sets while it runs a hook.
NOT_INHERITED = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "TF_BUILD", "MLOPS_SUMMARY", "GIT_")
SECONDS_TO_REMOVE = 10


@dataclass(frozen=True)
class Trained:
    """A training that came to a decision."""

    project: Project
    decision: Decision
    card: Path

    @cached_property
    def workspace(self) -> LocalWorkspace:
        """The local workspace of the first environment, where it was trained."""
        first = self.project.environment(self.project.environments[0])
        return LocalWorkspace(self.project, first)

    @cached_property
    def version(self) -> ModelVersion | None:
        """What was registered; None where the gate refused."""
        versions = self.workspace.versions() if self.decision.accepted else []
        return next((v for v in versions if v.number == self.decision.version), None)

    @property
    def metrics(self) -> dict[str, float | None]:
        """On the held-out rows."""
        return json.loads(self.decision.facts["metrics"])  # type: ignore[no-any-return]


class Training:
    """`mlops train` in a folder, beside this process, and ended with it."""

    def __init__(self, folder: Path, name: str, report: Report) -> None:
        self.folder, self.name = folder, name
        self._report = report
        self._said: list[str] = []
        self._answer: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, sys.executable, "-m", "mlops", "train",
             "--json"],
            cwd=folder, env=_variables(folder), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=os.name == "posix",
        )  # fmt: skip
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stdout, self._answer.append)),
            threading.Thread(target=self._read, args=(self._process.stderr, self._tell)),
        ]
        for reader in self._readers:
            reader.daemon = True
            reader.start()

    def result(self) -> Trained | str:
        """Its decision, or why it came to none."""
        while self._process.poll() is None:  # in short waits, which Ctrl-C interrupts everywhere
            time.sleep(0.05)
        for reader in self._readers:
            reader.join()
        try:
            answer = json.loads("".join(self._answer))
            decision = dict(answer["decision"])
            decision.pop("accepted", None)
            trained = Trained(
                find_project(self.folder), Decision.model_validate(decision), Path(answer["card"])
            )
            # Here its settings are read, by this engine: an older one may not know all of them.
            _ = trained.version
            return trained
        except MlopsError as error:
            return self._plain(str(error))
        except (ValueError, KeyError, TypeError):
            return self._plain(self._why())

    def stop(self) -> None:
        """End it, if it still runs, and wait for that."""
        stop(self._process)

    def _why(self) -> str:
        try:
            return str(json.loads("".join(self._answer))["error"])
        except (ValueError, KeyError, TypeError):
            ended = f"it ended with {self._process.returncode}"
            return "".join(self._said[-5:]).strip() or ended

    def _plain(self, text: str) -> str:
        """Without the folder, which is gone when a person reads it."""
        return redact(text.replace(f"{self.folder}{os.sep}", "").strip())

    def _tell(self, line: str) -> None:
        self._said.append(line)
        if not line.startswith("error: "):
            self._report(f"{self.name}: {self._plain(line)}")

    @staticmethod
    def _read(stream: IO[bytes] | None, take: Callable[[str], None]) -> None:
        for line in stream or ():
            take(line.decode("utf-8", errors="replace"))


def _variables(folder: Path) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(NOT_INHERITED)}
    # Trainings side by side share the processors: threads that wait for each other waste them.
    threads = str(max(1, processors() // 2))
    return {
        "OMP_NUM_THREADS": threads,
        **inherited,
        "PYTHONPATH": str(folder / "src"),
        "MLOPS_LOCAL": "1",
    }


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards, also while processes in it are still ending."""
    folder = Path(tempfile.mkdtemp(prefix="mlops-compare-")).resolve()
    try:
        yield folder
    finally:
        deadline = time.monotonic() + SECONDS_TO_REMOVE
        while folder.exists():
            shutil.rmtree(folder, ignore_errors=True)
            if time.monotonic() > deadline:
                break
            time.sleep(0.05 if folder.exists() else 0)
