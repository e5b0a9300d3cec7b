"""The command-line tools of the platforms, `gh` and `az`: call them, and tell what they refuse."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlops.errors import MlopsError, UsageError, redact


class Tool(NamedTuple):
    """A program: what it is called, where to get it, and how to sign in with it."""

    title: str
    source: str
    sign_in: str


TOOLS = {
    "gh": Tool("the GitHub CLI", "https://cli.github.com", "gh auth login"),
    "az": Tool("the Azure CLI", "https://aka.ms/azure-cli", "az login"),
}

# Nobody answers a question here: a tool that would ask, refuses instead.
SILENT = {"GH_PROMPT_DISABLED": "1", "AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "no"}


class ToolRefused(MlopsError):
    """A tool ended with an error.

    `status` is its exit status, `stderr` what it said without what signs somebody in, `stdout` what
    it answered until then: `gh api` writes the body of a refusal there.
    """

    def __init__(self, command: str, status: int, stderr: str, stdout: str = "") -> None:
        self.command, self.status = command, status
        self.stderr, self.stdout = redact(stderr.strip()), redact(stdout.strip())
        super().__init__(f"{command}\n{self.stderr or f'ended with {status}'}")


def run(program: str, arguments: Sequence[str], *, stdin: str | None = None, root: Path) -> str:
    """Run `gh` or `az` in a folder, with a text on its standard input; what it answered.

    Raises:
        UsageError: the program is not installed.
        ToolRefused: it ended with an error.
    """
    found = shutil.which(program)
    if found is None:
        tool = TOOLS[program]
        raise UsageError(
            f"{tool.title}, `{program}`, is not installed; see {tool.source}, and then run "
            f"`{tool.sign_in}` and `{shown(program, arguments)}`"
        )
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    done = subprocess.run(
        [found, *arguments], cwd=root, env={**os.environ, **SILENT},
        capture_output=True, text=True, encoding="utf-8", errors="replace", **given,
    )  # fmt: skip
    if done.returncode:
        raise ToolRefused(shown(program, arguments), done.returncode, done.stderr, done.stdout)
    answer: str = done.stdout
    return answer


def ask(program: str, arguments: Sequence[str], *, root: Path) -> Any:
    """What a tool answers as JSON; None where it answers nothing.

    Raises:
        UsageError: the program is not installed.
        ToolRefused: it ended with an error, or answered no JSON.
    """
    answer = run(program, arguments, root=root)
    try:
        return json.loads(answer) if answer.strip() else None
    except ValueError:
        said = f"it answered no JSON: {answer.strip()[:200]}"
        raise ToolRefused(shown(program, arguments), 0, said) from None


def shown(program: str, arguments: Sequence[str], stdin: str | None = None) -> str:
    """A call as a person would type it in a shell; its standard input as a here-document."""
    command = shlex.join([program, *arguments])
    return command if stdin is None else f"{command} <<'END'\n{stdin.rstrip()}\nEND"
