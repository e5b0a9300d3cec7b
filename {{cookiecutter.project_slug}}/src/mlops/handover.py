"""What a command hands to the CI/CD platform that runs it; on a laptop, nothing.

GitHub and Azure DevOps read the outputs of a step, and a summary for people, each in its own way.
A command says both once, here, and the workflows need no scripts around it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

SUMMARY = "MLOPS_SUMMARY"
"""The variable with the file that summaries are added to, where the platform names none."""


def publish(values: dict[str, Any]) -> None:
    """Hand values to the steps and jobs that follow.

    A string stays as it is, all else is JSON; a line break, which could begin a second output, is
    escaped in JSON and refused in a string.

    Source: GitHub, "Workflow commands"; Azure DevOps, "Logging commands", `task.setvariable`.

    Raises:
        ValueError: a string has a line break.
    """
    written = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
    }
    if broken := [name for name, text in written.items() if len(text.splitlines()) > 1]:
        raise ValueError(f"{', '.join(broken)}: an output is one line")
    if file := os.environ.get("GITHUB_OUTPUT"):
        _append(file, "".join(f"{name}={text}\n" for name, text in written.items()))
    elif os.environ.get("TF_BUILD"):
        for name, text in written.items():
            if not isinstance(values[name], str):
                # A variable's $(NAME) is replaced by that variable: in JSON it can be written else.
                text = text.replace("$(", "\\u0024(")
            text = text.replace("%", "%AZP25")
            print(f"##vso[task.setvariable variable={name};isOutput=true]{text}", flush=True)


def summarize(markdown: str) -> None:
    """Add Markdown to the page that the platform shows for the run."""
    file = os.environ.get(SUMMARY) or os.environ.get("GITHUB_STEP_SUMMARY")
    if file:
        _append(file, markdown.rstrip("\n") + "\n\n")


def _append(file: str, text: str) -> None:
    with Path(file).open("a", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
