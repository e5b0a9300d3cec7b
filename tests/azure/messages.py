"""What passes between clients and the stand-in: requests, answers, refusals, and the hosts."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

LOCATION = "eastus"
ARM, API = "management.azure.com", f"{LOCATION}.api.azureml.ms"
BLOBS, SCORING = ".blob.core.windows.net", f".{LOCATION}.inference.ml.azure.com"


@dataclass
class Request:
    """A request and the status of its answer (0: none was sent)."""

    method: str
    host: str
    path: str
    query: dict[str, str]
    headers: Any
    content: bytes
    target: str
    """Path and query as they were sent."""
    identity: str = ""
    status: int = 0

    @property
    def body(self) -> Any:
        """Its JSON; None where there is none."""
        with suppress(ValueError):
            return json.loads(self.content) if self.content else None
        return None

    @property
    def url(self) -> str:
        return f"https://{self.host}{self.target}"

    @property
    def line(self) -> str:
        """What the patterns of tests match: "METHOD path"."""
        return f"{self.method} {self.path}"

    @property
    def claims(self) -> dict[str, Any] | None:
        """What its token says; None where it has none."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        with suppress(ValueError, IndexError):
            claims = token.split(".")[1]
            claimed: dict[str, Any] = json.loads(
                base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))
            )
            return claimed
        return None


@dataclass
class Answer:
    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: str = ""
    """`drop`: the connection ends after half the body; `drop after`: before the answer."""


class Refusal(Exception):
    """An answer that says no, as Azure words it."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message}
        self.answer = Answer(status, {"error": self.error}, headers)
