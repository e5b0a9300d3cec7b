"""What happened in the demo of drift: the windows, what was retrained, and the pages."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops.console import number, relative


@dataclass(frozen=True)
class Window:
    """What was seen at the end of a window."""

    end: datetime.date
    rows: int
    version: str
    drifted: tuple[str, ...]
    metric: float | None
    alarms: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """The window as JSON holds it."""
        return {
            "end": self.end.isoformat(), "rows": self.rows, "version": self.version,
            "drifted": list(self.drifted), "metric": self.metric, "alarms": list(self.alarms),
        }  # fmt: skip


@dataclass
class Account:
    """What happened, window by window. `page` is that of the last window, `alarm_page` of the alarm."""

    question: str
    metric: str
    windows: list[Window] = field(default_factory=list)
    retrained: list[str] = field(default_factory=list)
    alarm_page: Path | None = None
    page: Path | None = None
    seconds: float = 0.0

    def record(self) -> dict[str, Any]:
        """The account as JSON holds it."""
        return {
            "question": self.question,
            "windows": [window.record() for window in self.windows],
            "retrained": self.retrained,
            "alarm_report": str(self.alarm_page) if self.alarm_page else None,
            "report": str(self.page) if self.page else None,
            "seconds": round(self.seconds, 1),
        }

    def head(self) -> tuple[str, ...]:
        """The head of the table of windows."""
        return ("until", "rows", "version", "moved", self.metric, "alarms")

    def rows(self) -> list[tuple[str, ...]]:
        """A row for each window."""
        return [
            (
                window.end.isoformat(), str(window.rows), window.version,
                ", ".join(window.drifted) or "-", number(window.metric),
                ", ".join(window.alarms) or "-",
            )
            for window in self.windows
        ]  # fmt: skip

    def lines(self) -> Iterator[str]:
        """What came of it, in plain words."""
        yield from self.retrained
        yield f"It took {self.seconds:.0f} s."
        if self.alarm_page:
            yield f"report at the first alarm: {relative(self.alarm_page)}"
        if self.page:
            yield f"report at the end: {relative(self.page)}"
