"""What git says about the project's files."""

from __future__ import annotations

import subprocess
from pathlib import Path


def commit_tags(root: Path) -> dict[str, str]:
    """The commit that a job runs on, and whether the files differ from it."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", "pyproject.toml") is None:
        return {"git_commit": "no commit", "git_dirty": "true"}
    commit, changes = git("rev-parse", "HEAD"), git("status", "--porcelain", "--", ".")
    return {
        "git_commit": commit or "no commit",
        "git_dirty": str(bool(changes) or commit is None).lower(),
    }
