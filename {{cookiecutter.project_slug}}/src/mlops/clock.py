"""The time: that of the machine, or the one that MLOPS_TIME replays on local workspaces."""

from __future__ import annotations

import datetime
import os

from mlops.errors import UsageError

VARIABLE = "MLOPS_TIME"


def now() -> datetime.datetime:
    """The time in UTC.

    With MLOPS_TIME it stands still at that time: days that are past can be played again.

    Raises:
        UsageError: MLOPS_TIME is no time in ISO 8601.
    """
    said = os.environ.get(VARIABLE)
    return parse(said, VARIABLE) if said else datetime.datetime.now(datetime.timezone.utc)


def parse(text: str, what: str) -> datetime.datetime:
    """A time in ISO 8601, in UTC; without a zone it is taken as UTC.

    Raises:
        UsageError: it is none; `what` names where it stands.
    """
    try:
        # Before 3.11, Python does not read the Z.
        time = datetime.datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise UsageError(
            f"{what} is {text!r}; write a time in ISO 8601, such as 2026-01-31T06:00:00Z"
        ) from None
    return time.replace(tzinfo=time.tzinfo or datetime.timezone.utc).astimezone(
        datetime.timezone.utc
    )
