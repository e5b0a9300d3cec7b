"""One issue or work item for each alarm: opened, kept up to date, and closed when the alarm ended.

Each carries its alarm's key and state in a mark, by which the next run finds it again: whatever
people change in the title or write below.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from mlops.digests import digest_of
from mlops.errors import UsageError
from mlops.monitoring.alarm import RETRAINING, Alarm
from mlops.tickets import Board, Ticket

# GitHub's limits are 256 and 65536 characters, Azure DevOps' 255 and a million.
TITLE, BODY = 250, 50_000
ENDED = "The alarm has ended: the newest result is accepted, or another version is in use."
ACCEPTED = "The alarm has ended: a later retraining was accepted, or its model is in use already."


class Action(NamedTuple):
    """What was done about an alarm's ticket."""

    done: Literal["opened", "updated", "unchanged", "closed"]
    key: str
    number: int | None


def read_alarms(text: str) -> list[Alarm]:
    """The list that `mlops monitor` publishes.

    Raises:
        UsageError: it is no such list.
    """
    try:
        return TypeAdapter(list[Alarm]).validate_python(json.loads(text))
    except (ValueError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise UsageError(
            f"the input is not the list of alarms that `mlops monitor` publishes: {first}"
        ) from None


def follow_up(
    board: Board, alarms: Sequence[Alarm], prefix: str, *, of_retraining: bool = False
) -> Iterator[Action]:
    """Bring the tickets in line with the alarms, and say what was done about each.

    An open ticket of the environment whose alarm is not among them is closed: that of its
    retraining by who retrains, all others by who monitors. Neither knows the other's alarms.

    What a silent one names stays open as long as it is about the same version.

    Args:
        board: where the tickets are.
        alarms: all that there are now, and the silent ones.
        prefix: what the keys of the environment begin with.
        of_retraining: whether they are those of the retraining, or those of the monitor.

    Raises:
        UsageError: they are not.
    """
    own = written(prefix + RETRAINING)

    def is_ours(key: str) -> bool:
        return key == own if of_retraining else key.startswith(written(prefix)) and key != own

    for alarm in alarms:
        if (written(alarm.key) == own) != of_retraining:
            whose = (
                "of `mlops monitor`" if of_retraining else "of `mlops retrain`: write --of retrain"
            )
            raise UsageError(f"{alarm.key} is an alarm {whose}")
    there: dict[str, Ticket] = {}
    tickets = board.tickets()
    for ticket in tickets:
        there.setdefault(ticket.key, ticket)
    now = {written(alarm.key): alarm for alarm in alarms}
    for key, alarm in now.items():
        if alarm.silent:
            continue
        state = state_of(alarm)
        mark, body = f"mlops-alarm: {key} {state}", clean(alarm.body)[:BODY]
        open_one = there.get(key)
        if open_one is None:
            title = " ".join(clean(alarm.title).split())[:TITLE] or key
            yield Action("opened", alarm.key, board.create(title, body, mark))
        elif open_one.state == state:
            yield Action("unchanged", alarm.key, open_one.number)
        else:
            board.update(open_one.number, body, mark)
            yield Action("updated", alarm.key, open_one.number)
    for ticket in tickets:
        given = now.get(ticket.key)
        if given and given.silent and ticket.state.startswith(given.state):
            yield Action("unchanged", given.key, ticket.number)
        elif (given is None or given.silent) and is_ours(ticket.key):
            board.close(ticket.number, ACCEPTED if of_retraining else ENDED)
            yield Action("closed", ticket.key, ticket.number)


def state_of(alarm: Alarm) -> str:
    """Twelve digits that change when there is news of an alarm."""
    if re.fullmatch(r"[0-9a-f]{12}", alarm.state):
        return alarm.state
    return digest_of(alarm.state or [alarm.title, alarm.body])[:12]


def written(key: str) -> str:
    """A key as it stands in a mark: without spaces, and without what could end a comment."""
    return quote(clean(key), safe="/").replace("--", "-%2D") or "-"


def clean(text: str) -> str:
    """A text that every program takes: no half characters, no control characters but line breaks."""
    text = text.encode("utf-8", errors="replace").decode("utf-8").replace("\r\n", "\n")
    return "".join(c for c in text if c in "\n\t" or (c >= " " and c != "\x7f"))


def report_of(actions: Sequence[Action]) -> list[dict[str, Any]]:
    """What was done, as JSON holds it."""
    return [action._asdict() for action in actions]
