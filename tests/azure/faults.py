"""The faults that tests ask for."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

from tests.azure.messages import Refusal, Request


@dataclass
class Fault:
    """How the next `times` requests fail whose "METHOD path" a pattern matches."""

    match: str
    times: int
    status: int | str
    """That of the answer, or how the connection or the operation fails: `StandIn.fail`."""
    code: str
    message: str
    headers: dict[str, str]

    def refusal(self, status: int) -> Refusal:
        return Refusal(status, self.code, self.message, **self.headers)


class Faults(list[Fault]):
    """The faults, in the order in which they were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def take(self, request: Request) -> Fault | None:
        """The fault that a request meets, which is then used up once."""
        with self._lock:
            for fault in self:
                if fault.times and re.fullmatch(fault.match, request.line, re.IGNORECASE):
                    fault.times -= 1
                    return fault
        return None
