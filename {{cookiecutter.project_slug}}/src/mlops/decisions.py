"""The record of a decision: what was compared with what, and why it went that way."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from mlops import clock

DecisionKind = Literal[
    "gate",
    "promotion",
    "smoke-test",
    "acceptance-test",
    "batch-test",
    "rollout",
    "rollback",
    "monitor",
    "retraining",
]


class Check(BaseModel):
    """One rule: the value that it saw, the limit that it holds, and whether it passed.

    `comparison` says how value and limit are compared, as a person would; `beyond` is past the limit,
    on the worse side.
    """

    model_config = ConfigDict(frozen=True)

    rule: str
    value: float | str | None
    limit: float | str | None = None
    comparison: Literal["at least", "at most", "expected", "beyond", ""] = ""
    passed: bool
    detail: str = ""

    def show(self) -> str:
        """One line for a person."""
        return f"{'passed' if self.passed else 'FAILED'}  {self.text}"

    @property
    def text(self) -> str:
        """The line without the verdict."""
        limit = ""
        if self.limit is not None and not (self.comparison == "expected" and self.passed):
            limit = f", {self.comparison} {_show(self.limit)}"
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.rule}: {_show(self.value)}{limit}{detail}"


class Decision(BaseModel):
    """What was decided about a model version in an environment. Accepted if every check passed."""

    model_config = ConfigDict(frozen=True)

    kind: DecisionKind
    environment: str
    model: str
    version: int | None = None
    checks: tuple[Check, ...]
    facts: dict[str, Any] = {}
    time: str

    @property
    def accepted(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def refusals(self) -> list[str]:
        """Why it was refused: the failed checks, a line each."""
        return [check.show() for check in self.checks if not check.passed]

    def record(self) -> dict[str, Any]:
        """The record as JSON holds it."""
        return {"accepted": self.accepted, **self.model_dump(mode="json")}


def read_decision(path: Path) -> Decision:
    """Read a record that `Decision.record` made."""
    import json

    record = json.loads(path.read_text(encoding="utf-8"))
    record.pop("accepted")
    return Decision.model_validate(record)


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return clock.now().isoformat(timespec="seconds")


def _show(value: float | str | None) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def refusal(what: str, decision: Decision) -> str:
    """What was refused, and a line for each rule that said so."""
    return what + ":\n" + "\n".join(f"  {line}" for line in decision.refusals)
