"""Where alarms are followed up: the issues of GitHub, and the work items of Azure Boards."""

from __future__ import annotations

import html
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeVar

from mlops.errors import MlopsError
from mlops.tools import ToolRefused, ask, run

LABEL = "monitoring"
MARK = re.compile(r"mlops-alarm: (\S+) ([0-9a-f]+)")
Platform = Literal["github", "azure-devops"]
Done = TypeVar("Done")


class Ticket(NamedTuple):
    """An open issue or work item: its number, its alarm's key as the mark says it, and its state."""

    number: int
    key: str
    state: str


class Board(Protocol):
    """Where the tickets are."""

    def tickets(self) -> list[Ticket]:
        """The open ones, oldest first."""

    def create(self, title: str, body: str, mark: str) -> int | None:
        """Open one; its number, if the platform says it."""

    def update(self, number: int, body: str, mark: str) -> None:
        """Comment the news, and put the new mark in place of the old."""

    def close(self, number: int, comment: str) -> None:
        """Comment and close."""


def board_of(platform: Platform, root: Path) -> Board:
    """The issues of the repository that a folder belongs to, or the work items of its project."""
    return GitHubIssues(root) if platform == "github" else AzureBoards(root)


def _mark_in(lines: str) -> tuple[str, str] | None:
    found = MARK.search(lines)
    return (found[1], found[2]) if found else None


class GitHubIssues:
    """Issues, by `gh`. The mark is a comment in the first line, which the page does not show."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def tickets(self) -> list[Ticket]:
        """The open issues with the label, oldest first."""
        with _explained(GITHUB):
            found = ask(
                "gh",
                ["issue", "list", "--label", LABEL, "--state", "open", "--limit", "1000",
                 "--json", "number,title,body"],
                root=self._root,
            )  # fmt: skip
        marked = [(issue["number"], _mark_in(_first_line(issue["body"]))) for issue in found or []]
        return [Ticket(number, *mark) for number, mark in sorted(marked) if mark]

    def create(self, title: str, body: str, mark: str) -> int | None:
        """Open an issue, and make the label if it is missing."""
        color = ["--color", "d93f0b", "--description", "An alarm of a model's monitoring"]
        self._gh("label", "create", LABEL, "--force", *color)
        said = self._gh(
            "issue", "create", f"--title={title}", "--label", LABEL, "--body-file", "-",
            stdin=_hidden(mark, body),
        )  # fmt: skip
        number = said.strip().rpartition("/")[2]  # it says the address of the issue
        return int(number) if number.isdecimal() else None

    def update(self, number: int, body: str, mark: str) -> None:
        """Comment the news. The mark comes last: if it fails, the next run tells the news again."""
        self._gh("issue", "comment", str(number), "--body-file", "-", stdin=body)
        self._gh("issue", "edit", str(number), "--body-file", "-", stdin=_hidden(mark, body))

    def close(self, number: int, comment: str) -> None:
        """Comment and close."""
        self._gh("issue", "comment", str(number), "--body-file", "-", stdin=comment)
        self._gh("issue", "close", str(number))

    def _gh(self, *arguments: str, stdin: str | None = None) -> str:
        with _explained(GITHUB):
            return run("gh", arguments, stdin=stdin, root=self._root)


class AzureBoards:
    """Work items, by `az boards`. A description is HTML; the mark is its last line.

    `az` takes a text from a file: `--title @FILE`.
    Source: Azure CLI, "Load parameter value from a file"; azure-devops extension, `az boards`.
    """

    # Not every process has the type Issue, or calls its last state the same.
    types = ("Issue", "Task")
    last_states = ("Done", "Closed")

    def __init__(self, root: Path) -> None:
        self._root = root
        address, project = (
            os.environ.get(name, "") for name in ("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECT")
        )
        # On a laptop, `az` finds both by the repository's remote.
        self._organization = ["--organization", address] if address else []
        self._project = ["--project", project] if project else []
        self._name = project

    def tickets(self) -> list[Ticket]:
        """The open work items with the tag, oldest first."""
        where = [f"[System.Tags] CONTAINS '{LABEL}'"]
        where.append("[System.State] NOT IN ('Done', 'Closed', 'Resolved', 'Removed')")
        if self._name:
            name = self._name.replace("'", "''")
            where.append(f"[System.TeamProject] = '{name}'")
        query = " ".join(
            (
                "SELECT [System.Id], [System.Title], [System.Description] FROM workitems WHERE",
                " AND ".join(where),
                "ORDER BY [System.Id]",
            )
        )
        arguments = ["boards", "query", "--wiql", query, *self._organization, *self._project]
        with _explained(AZURE):
            found = ask("az", [*arguments, "--output", "json"], root=self._root)
        marked = [
            (item["id"], _mark_in(_last_line(item["fields"].get("System.Description"))))
            for item in found or []
        ]
        return [Ticket(number, *mark) for number, mark in sorted(marked) if mark]

    def create(self, title: str, body: str, mark: str) -> int | None:
        """Open a work item, of the first type that the project's process has."""
        texts = {"title": title, "description": _visible(mark, body)}

        def create(type_: str) -> int:
            fields = ["--type", type_, "--fields", f"System.Tags={LABEL}"]
            made = json.loads(self._az("create", *fields, *self._project, **texts))
            return int(made["id"])

        return self._first(self.types, create, "work item type")

    def update(self, number: int, body: str, mark: str) -> None:
        """Comment the news and describe them, in one step."""
        texts = {"discussion": _text(body), "description": _visible(mark, body)}
        with _explained(AZURE):
            self._az("update", "--id", str(number), **texts)

    def close(self, number: int, comment: str) -> None:
        """Comment and close, with the last state that the project's process has."""

        def close(state: str) -> None:
            self._az("update", "--id", str(number), "--state", state, discussion=comment)

        self._first(self.last_states, close, "state")

    @staticmethod
    def _first(names: tuple[str, ...], act: Callable[[str], Done], unknown: str) -> Done:
        """Act with the first of the names that the project knows; what is said if it knows none."""
        *others, last = names
        for name in others:
            try:
                return act(name)
            except ToolRefused as refused:
                if unknown not in refused.stderr.lower():
                    raise _plainly(refused, AZURE) from None
        with _explained(AZURE):
            return act(last)

    def _az(self, *arguments: str, **texts: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            files: list[str] = []
            for name, text in texts.items():
                # The line break at the end, `az` takes away.
                (Path(folder) / name).write_text(f"{text}\n", encoding="utf-8")
                files += [f"--{name}", f"@{Path(folder) / name}"]
            return run(
                "az",
                ["boards", "work-item", *arguments, *files, *self._organization,
                 "--output", "json", "--only-show-errors"],
                root=self._root,
            )  # fmt: skip


def _hidden(mark: str, body: str) -> str:
    return f"<!-- {mark} -->\n{body}"


def _visible(mark: str, body: str) -> str:
    return f"{_text(body)}\n<p>{html.escape(mark)}</p>"


def _text(body: str) -> str:
    return f'<pre style="white-space: pre-wrap">{html.escape(body)}</pre>'


def _first_line(body: str | None) -> str:
    return (body or "").lstrip().partition("\n")[0]


def _last_line(description: str | None) -> str:
    return html.unescape((description or "").rpartition("</pre>")[2])


# --- what the platforms refuse --------------------------------------------------------------------

# A part of what a tool says, and what to do about it.
GITHUB = {
    "disabled issues": "switch issues on: `gh repo edit --enable-issues`",
    "issues are disabled": "switch issues on: `gh repo edit --enable-issues`",
    "not accessible by integration": "the job needs `permissions: issues: write`",
    "must have": "the account needs the right to write issues",
    "gh auth login": "sign in with `gh auth login`; in a workflow, set GH_TOKEN",
    "gh_token": "sign in with `gh auth login`; in a workflow, set GH_TOKEN",
    "http 401": "sign in with `gh auth login`; in a workflow, set GH_TOKEN",
    "not a git repository": "run it in a clone of the repository, or set GH_REPO",
    "no git remotes": "run it in a clone of the repository, or set GH_REPO",
}
AZURE = {
    "'boards' is misspelled": "install it with `az extension add --name azure-devops`",
    "extension azure-devops": "install it with `az extension add --name azure-devops`",
    "az devops login": "sign in with `az devops login`; in a pipeline, set AZURE_DEVOPS_EXT_PAT to "
    "$(System.AccessToken)",
    "tf401027": "the build service needs the right to edit work items in this area",
    "permission": "the build service needs the right to edit work items in this area",
    "not authorized": "the build service needs the right to edit work items in this area",
    "--organization must be": "run it in a clone of the repository, or `az devops configure "
    "--defaults organization=... project=...`",
}


@contextmanager
def _explained(advice: dict[str, str]) -> Iterator[None]:
    try:
        yield
    except ToolRefused as refused:
        raise _plainly(refused, advice) from None


def _plainly(refused: ToolRefused, advice: dict[str, str]) -> MlopsError:
    said = f"{refused.stderr}\n{refused.stdout}".lower()
    what = next((remedy for part, remedy in advice.items() if part in said), "")
    if not what:
        return refused
    first = refused.stderr.splitlines()[0] if refused.stderr else f"status {refused.status}"
    tool = refused.command.partition(" ")[0]
    return MlopsError(f"`{tool}` refused it ({first}); {what}")
