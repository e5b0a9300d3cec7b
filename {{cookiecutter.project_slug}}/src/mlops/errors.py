"""The errors that a person can mend, each with the exit status that a script can read."""

from __future__ import annotations

import errno
import os
import re


class MlopsError(Exception):
    """Something failed: the message says what, where, and what to do instead."""

    exit_status = 1


class UsageError(MlopsError):
    """The command was called wrongly: an unknown environment, a missing file."""

    exit_status = 2


class Refused(MlopsError):
    """A rule said no: the contract, the gate, the order of environments."""

    exit_status = 3


def disk_full(error: Exception) -> str | None:
    """What to say when an error means that the disk is full; None for any other error."""
    said = str(error)
    # The errors of SQLite and of shutil carry no number, or not that of their cause.
    if os.strerror(errno.ENOSPC) not in said and "database or disk is full" not in said:
        return None
    return (
        f"the disk is full: {said.splitlines()[0][:300]}; free some space and run the command again"
    )


def redact(text: str) -> str:
    """A text without what signs somebody in: tokens, signatures, keys."""
    text = re.sub(r"\beyJ[\w-]+\.[\w-]+(\.[\w-]*)?", "***", text)
    named = r"(?:sig|[\w-]*(?:key|token|secret|password))[\"']?\s*[=:]\s*[\"']?|(?:bearer|token)\s+"
    return re.sub(rf"(?i)\b({named})[\w%+/=.-]{{16,}}", r"\1***", text)
