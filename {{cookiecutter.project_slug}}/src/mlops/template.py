"""Updates of the project from its template: by cruft, without what cruft lets pass in silence.

cruft merges three ways only in a clean git checkout with its full history, and it ends with 0 also
where the merge left conflicts or gave up on a file. Here the first is required, and the second is
an error that names the files.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlops.errors import MlopsError, Refused, UsageError

LINK = ".cruft.json"
RELEASE = re.compile(r"refs/tags/v(\d+)\.(\d+)\.(\d+)(\^\{\})?")
# How these two behave is what the template is tested with. They run apart from the project's own
# packages, so they add none to it.
CRUFT = ("--from", "cruft[pyproject]==2.16.0", "--with", "cookiecutter==2.7.1")
# What the user's own files, which no update touches, are made of.
FIXED = {
    "project_slug": "the package in src/ has its name",
    "problem_type": "data/ and the model's code in src/ are made for it",
}


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
    """What an update did.

    `target` is the release or the answers that it brought, `changed` and `unmerged` are files from
    the project's folder, `branch` is where the result is committed, if it is.
    """

    target: str
    changed: tuple[str, ...] = ()
    unmerged: tuple[str, ...] = ()
    branch: str = ""

    def record(self) -> dict[str, Any]:
        """The update as JSON holds it."""
        return {**asdict(self), "changed": list(self.changed), "unmerged": list(self.unmerged)}

    def show(self) -> str:
        """The update in words."""
        if self.unmerged:
            files = "".join(f"\n  {name}" for name in self.unmerged)
            undo = "git reset --hard && git clean -fd"
            if self.branch:
                undo += f" && git checkout - && git branch -D {self.branch}"
            return (
                f"{self.target}: these could not be merged with your edits:{files}\n"
                "choose in each between the template's lines and yours (a file that the template "
                "removes: delete it, or keep it), remove any .rej file, and commit; or give up:\n"
                f"  {undo}"
            )
        where = f"in a commit on the branch {self.branch}" if self.branch else "not committed yet"
        if not self.changed:
            there = f"it is on the branch {self.branch} already" if self.branch else "it is here"
            return f"{self.target}: nothing to do, {there}"
        return f"{self.target}: {len(self.changed)} file(s) changed, {where}"


def update(
    root: Path, answers: dict[str, str], *, on_branch: bool, report: Callable[[str], None]
) -> Update:
    """Bring the newest release of the template, or give other answers to the release that is here.

    Args:
        root: the project's folder.
        answers: what to change; without any, the newest release is brought.
        on_branch: commit the result to a branch that is named after it. Where that branch is there
            already, nothing is done.
        report: takes a line about what is going on.

    Raises:
        UsageError: the project is not linked to its template, or an answer cannot be changed.
        Refused: git could not merge here.
        MlopsError: the template cannot be read, cruft failed, or git refused the commit.
    """
    link = _read_link(root)
    if left := _unmerged(root):
        raise MlopsError(f"an earlier update is not merged yet: {', '.join(left)}; finish it first")
    if answers:
        _require_changeable(answers, link)
        target = ", ".join(f"{name}={value}" for name, value in answers.items())
        checkout = link["commit"]
    else:
        release = newest_release(link["template"], root)
        if release.commit == link["commit"]:
            return Update(release.tag)
        target = checkout = release.tag
    _require_mergeable(root, on_branch)
    branch = ""
    if on_branch:
        branch = "template-update/" + re.sub(r"[^\w.-]+", "-", target)
        if _git(root, "branch", "--all", "--list", branch, f"*/{branch}"):
            return Update(target, branch=branch)
        _git(root, "switch", "--quiet", "--create", branch)
    report(f"updating to {target} ...")
    try:
        refused = _run_cruft(root, checkout, answers)
    except MlopsError:
        _leave(root, branch)
        raise
    changed = _changed(root)
    unmerged = sorted({*_unmerged(root), *refused})
    if not changed and not unmerged:
        _leave(root, branch)
        return Update(target)
    if branch and not unmerged:
        _commit(root, f"Update the template: {target}", branch)
    return Update(target, tuple(changed), tuple(unmerged), branch)


def newest_release(template: str, root: Path) -> Release:
    """The newest release of a template, by its tags; versions compare as numbers.

    Raises:
        MlopsError: the template cannot be reached, or has no release.
    """
    found: dict[tuple[int, int, int], str] = {}
    for line in _git(root, "ls-remote", "--tags", template).splitlines():
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


def _read_link(root: Path) -> dict[str, Any]:
    file = root / LINK
    if not file.is_file():
        raise UsageError(
            f"{root} is not linked to its template: there is no {LINK}; "
            "docs/template-updates.md says how to link it"
        )
    try:
        link: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(
            f"{file}: this is not JSON: {error}; after a merge, take one side's file as a whole"
        ) from None
    if missing := [key for key in ("template", "commit", "context") if not link.get(key)]:
        raise UsageError(
            f"{file}: {', '.join(missing)} is missing; take the file of an older commit"
        )
    return link


def _require_changeable(answers: dict[str, str], link: dict[str, Any]) -> None:
    known = [name for name in link["context"]["cookiecutter"] if not name.startswith("_")]
    if unknown := [name for name in answers if name not in known]:
        raise UsageError(
            f"the template has no answer {', '.join(unknown)}; it has: {', '.join(known)}"
        )
    for name in answers:
        if name in FIXED:
            raise UsageError(
                f"{name} cannot be changed: {FIXED[name]}, and those files are yours; "
                "make a new project and take your code over"
            )


def _require_mergeable(root: Path, on_branch: bool) -> None:
    if _git(root, "rev-parse", "--is-inside-work-tree", fails_with="") != "true":
        raise Refused(
            f"{root} is no git checkout, and only git can merge; `git init` and commit first"
        )
    if _changed(root):
        raise Refused("there are changes that are not committed; commit or stash them first")
    if _git(root, "rev-parse", "--is-shallow-repository") == "true":
        raise Refused(
            "this clone is shallow and cannot be merged with; `git fetch --unshallow` first"
        )
    if on_branch and not _git(root, "var", "GIT_COMMITTER_IDENT", fails_with=""):
        raise Refused("git does not know who commits; set `git config user.name` and `user.email`")


def _run_cruft(root: Path, checkout: str, answers: dict[str, str]) -> list[str]:
    """Run cruft; the files whose changes git refused as a whole, which leaves no trace in them."""
    uv = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--python", sys.executable]
    command = [*uv, *CRUFT, "cruft", "update", "--skip-apply-ask", "--checkout", checkout]
    # A project that was made from a commit after the release keeps what it has.
    command += ["--variables-to-update", json.dumps(answers)] if answers else ["--not-strict"]
    variables = {**os.environ, "TYPER_STANDARD_TRACEBACK": "1", "PYTHONUTF8": "1"}
    done = _run(command, root, variables)
    said = f"{done.stdout}\n{done.stderr}"
    if done.returncode:
        if "No module named uv" in said:
            raise MlopsError("uv is missing in this environment: `make setup`")
        raise MlopsError(f"the update failed: {_reason(done.stderr or done.stdout)}")
    return sorted(set(re.findall(r"^error: patch failed: (.*):\d+$", said, re.MULTILINE)))


def _reason(said: str) -> str:
    """Why cruft failed: the template's own words come first, those of an exception last."""
    words, _, traceback = said.partition("Traceback (most recent call last)")
    # After these words come the commands for those who call cruft themselves.
    words = words.partition("Your other answers")[0].strip()
    exceptions = list(re.finditer(r"^[\w.]+: ", traceback, re.MULTILINE))
    return words or (traceback[exceptions[-1].start() :] if exceptions else said).strip()


def _commit(root: Path, message: str, branch: str) -> None:
    _git(root, "add", "--all")
    try:
        _git(root, "commit", "--quiet", "--message", message)
    except MlopsError as error:
        raise MlopsError(
            f"{error}\nthe update is staged on the branch {branch}: mend that and `git commit`"
        ) from None


def _leave(root: Path, branch: str) -> None:
    """Remove a branch that has nothing; where we came from may be no branch but a commit."""
    if branch:
        _git(root, "checkout", "--quiet", "-")
        _git(root, "branch", "--quiet", "--delete", branch)


def _unmerged(root: Path) -> list[str]:
    """The files with conflict markers, and those whose changes git rejected."""
    unmerged = _git(
        root, "diff", "--name-only", "--diff-filter=U", "-z", "--relative", fails_with=""
    )
    rejected = _git(root, "ls-files", "--others", "-z", "--", "*.rej", fails_with="")
    names = f"{unmerged}\0{rejected}".split("\0")
    return sorted({name.removesuffix(".rej") for name in names if name})


def _changed(root: Path) -> list[str]:
    """The files below the project's folder that differ from the commit; of a moved one the new name."""
    listed = _git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--", ".")
    above = _git(root, "rev-parse", "--show-prefix")
    entries = iter(listed.split("\0"))
    found = []
    for entry in entries:
        if entry:
            found.append(entry[3:].removeprefix(above))
            if entry[0] in "RC":
                next(entries, None)  # the name before
    return found


def _git(root: Path, *arguments: str, fails_with: str | None = None) -> str:
    done = _run(["git", *arguments], root)
    if done.returncode and fails_with is None:
        raise MlopsError(f"git {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout.rstrip("\n") if not done.returncode else fails_with or ""


def _run(
    command: list[str], root: Path, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=root, env=variables, capture_output=True, text=True,
        encoding="utf-8", errors="replace",
    )  # fmt: skip
