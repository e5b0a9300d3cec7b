"""What a command works with, and how its errors become messages and exit statuses."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from mlops.console import Console
from mlops.errors import MlopsError, Refused, disk_full, redact
from mlops.handover import summarize

if TYPE_CHECKING:
    from mlops.project import Project
    from mlops.workspaces import Workspace

INTERRUPTED = 130


@dataclass
class Session:
    """What a command works with."""

    console: Console
    project: Project
    _open: dict[str, Workspace]

    def workspace(self, name: str | None) -> Workspace:
        """The workspace of an environment, closed when the command ends."""
        from mlops.workspaces import open_workspace

        name = name or self.project.environments[0]
        if name not in self._open:
            self._open[name] = open_workspace(self.project, name)
        return self._open[name]


@contextmanager
def session(as_json: bool) -> Iterator[Session]:
    """A session whose errors become messages and exit statuses."""
    console = Console(as_json=as_json)
    opened: dict[str, Workspace] = {}
    try:
        from mlops.project import find_project

        yield Session(console, find_project(), opened)
    except MlopsError as error:
        _fail(console, str(error), error.exit_status)
    except KeyboardInterrupt:
        _fail(console, "interrupted; run the command again to go on", INTERRUPTED)
    except typer.Exit:
        raise
    except Exception as error:
        if os.environ.get("MLOPS_DEBUG"):
            raise
        _fail(console, disk_full(error) or _unexpected(error), 1)
    finally:
        for workspace in opened.values():
            workspace.close()


def _unexpected(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return f"unexpected: {type(error).__name__}: {error}; MLOPS_DEBUG=1 shows where it came from"


def _fail(console: Console, message: str, status: int) -> None:
    from mlops.summaries import failure_summary

    message = redact(message)
    console.progress(f"error: {message}")
    if status != INTERRUPTED:
        command = redact(shlex.join(["mlops", *sys.argv[1:]]))
        summarize(failure_summary(command, message, status == Refused.exit_status))
    console.failure(message, status)
    raise typer.Exit(status)
