"""Updates of the project from its template: by cruft, without what cruft lets pass in silence.

cruft merges three ways only in a clean git checkout with its full history, and it ends with 0 also
where the merge left conflicts. Here the first is required, and the second is an error.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops.errors import MlopsError, Refused, UsageError

LINK = ".cruft.json"
RELEASE = re.compile(r"refs/tags/v(\d+)\.(\d+)\.(\d+)(\^\{\})?")
BRANCHES = "template-update"


@dataclass(frozen=True)
class Release:
    """A release of the template: a tag `v1.2.3` and the commit that it names."""

    version: tuple[int, int, int]
    commit: str

    @property
    def tag(self) -> str:
        """The tag, as git knows it."""
        return "v" + ".".join(str(part) for part in self.version)


@dataclass(frozen=True)
class Update:
    """What an update did: the release or answers that it brought, and what it left to a person."""

    target: str
    changed: tuple[str, ...] = ()
    unmerged: tuple[str, ...] = ()
    branch: str = ""
    note: str = field(default="")

    def record(self) -> dict[str, Any]:
        """The update as JSON holds it."""
        return {
            "target": self.target,
            "changed": list(self.changed),
            "unmerged": list(self.unmerged),
            "branch": self.branch,
        }

    def show(self) -> str:
        """The update in words."""
        if self.note:
            return self.note
        if self.unmerged:
            files = "".join(f"\n  {name}" for name in self.unmerged)
            return (
                f"{self.target}: the template and you changed the same lines of{files}\n"
                "choose between them there, remove any .rej file, and commit; "
                "or give up with `git reset --hard && git clean -f '*.rej'`"
            )
        where = (
            f" in a commit on the branch {self.branch}" if self.branch else ", not committed yet"
        )
        return f"{self.target}: {len(self.changed)} file(s) changed{where}"


def update(
    root: Path, answers: dict[str, str], *, on_branch: bool, report: Callable[[str], None]
) -> Update:
    """Bring the newest release of the template, or give other answers to the release that is here.

    Args:
        root: the project's folder.
        answers: what to change; without any, the newest release is brought.
        on_branch: commit the result to a branch that is named after it.
        report: takes a line about what is going on.

    Raises:
        UsageError: the project is not linked to its template, or an answer is unknown.
        Refused: git could not merge here.
        MlopsError: the template cannot be read, or cruft failed; nothing was changed.
    """
    link = _link(root)
    if answers:
        _require_known(answers, link)
        target = ", ".join(f"{name}={value}" for name, value in answers.items())
        checkout, slug = link["commit"], "-".join(answers)
    else:
        release = newest_release(link["template"])
        if release.commit == link["commit"]:
            return Update(release.tag, note=f"nothing to do: this is {release.tag} already")
        target = checkout = slug = release.tag
    _require_mergeable(root)
    branch = f"{BRANCHES}/{slug}" if on_branch else ""
    if branch:
        if _git(root, "branch", "--all", "--list", branch, f"*/{branch}"):
            return Update(target, branch=branch, note=f"nothing to do: {branch} is there already")
        _git(root, "switch", "--quiet", "--create", branch)
    report(f"updating to {target} ...")
    try:
        _run_cruft(root, checkout, answers)
    except MlopsError:
        if branch:
            _leave(root, branch)
        raise
    changed = _paths(_git(root, "status", "--porcelain", "-z"))
    unmerged = [name for name in changed if name.endswith(".rej")]
    unmerged += _git(root, "diff", "--name-only", "--diff-filter=U").splitlines()
    if branch and not unmerged:
        if not changed:
            _leave(root, branch)
            return Update(target, note=f"nothing to do: {target} changes nothing here")
        _git(root, "add", "--all")
        _git(root, "commit", "--quiet", "--message", f"Update the template: {target}")
    return Update(target, tuple(changed), tuple(unmerged), branch)


def newest_release(template: str) -> Release:
    """The newest release of a template, by its tags; versions compare as numbers.

    Raises:
        MlopsError: the template cannot be reached, or has no release.
    """
    found: dict[tuple[int, int, int], str] = {}
    for line in _git(None, "ls-remote", "--tags", template).splitlines():
        commit, _, name = line.partition("\t")
        if match := RELEASE.fullmatch(name):
            version = (int(match[1]), int(match[2]), int(match[3]))
            # Of an annotated tag, the line with ^{} names the commit.
            if match[4] or version not in found:
                found[version] = commit
    if not found:
        raise MlopsError(f"{template} has no release: no tag such as v1.2.3")
    newest = max(found)
    return Release(newest, found[newest])


def _link(root: Path) -> dict[str, Any]:
    file = root / LINK
    if not file.is_file():
        raise UsageError(
            f"{root} is not linked to its template: there is no {LINK}; "
            "docs/template-updates.md says how to link it"
        )
    link: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return link


def _require_known(answers: dict[str, str], link: dict[str, Any]) -> None:
    known = [name for name in link["context"]["cookiecutter"] if not name.startswith("_")]
    if unknown := [name for name in answers if name not in known]:
        raise UsageError(
            f"the template has no answer {', '.join(unknown)}; it has: {', '.join(known)}"
        )


def _require_mergeable(root: Path) -> None:
    if _git(root, "rev-parse", "--is-inside-work-tree", fails_with="") != "true":
        raise Refused(
            f"{root} is no git checkout, and only git can merge; `git init` and commit first"
        )
    if _git(root, "status", "--porcelain"):
        raise Refused("there are changes that are not committed; commit or stash them first")
    if _git(root, "rev-parse", "--is-shallow-repository") == "true":
        raise Refused(
            "this clone is shallow and cannot be merged with; `git fetch --unshallow` first"
        )


def _run_cruft(root: Path, checkout: str, answers: dict[str, str]) -> None:
    command = [sys.executable, "-m", "cruft", "update", "--skip-apply-ask", "--checkout", checkout]
    # A project that was made from a commit after the release keeps what it has.
    command += ["--variables-to-update", json.dumps(answers)] if answers else ["--not-strict"]
    plain = {**os.environ, "TYPER_STANDARD_TRACEBACK": "1"}
    done = subprocess.run(command, cwd=root, env=plain, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        if "No module named cruft" in said:
            said = "cruft is not installed here: `make setup`"
        # The template's own words come first; where there are none, the last line says why.
        words = said.partition("Traceback (most recent call last)")[0].strip()
        raise MlopsError(f"the update failed: {words or said.splitlines()[-1]}")


def _leave(root: Path, branch: str) -> None:
    """Remove a branch that has nothing; where we came from may be no branch but a commit."""
    _git(root, "checkout", "--quiet", "-")
    _git(root, "branch", "--quiet", "--delete", branch)


def _git(root: Path | None, *arguments: str, fails_with: str | None = None) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    if done.returncode and fails_with is None:
        raise MlopsError(f"git {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout.rstrip("\n") if not done.returncode else fails_with or ""


def _paths(status: str) -> list[str]:
    """The files of `git status --porcelain -z`; of a renamed one the new name."""
    entries = iter(status.split("\0"))
    found = []
    for entry in entries:
        if entry:
            found.append(entry[3:])
            if entry[0] == "R":
                next(entries, None)
    return found
