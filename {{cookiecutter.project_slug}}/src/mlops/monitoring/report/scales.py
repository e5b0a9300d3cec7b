"""From values to places on a chart: the frame, its axes and their ticks."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlops.monitoring.report.markup import Content, Html, html, tag
from mlops.monitoring.report.numbers import width_of

Show = Callable[[float], str]

# In units of the view box: a chart is about 340 pixels wide, so a unit is about a pixel.
WIDTH = 340
LETTER = 7.2  # how wide a letter of a label is in a wide font


@dataclass(frozen=True)
class Frame:
    """The part of a chart that shows values; `low` and `high` are the values at its bottom and top."""

    height: float
    low: float
    high: float
    left: float = 42
    right: float = 12
    top: float = 16
    bottom: float = 22

    @property
    def width(self) -> float:
        """How wide the part is."""
        return WIDTH - self.left - self.right

    @property
    def base(self) -> float:
        """Where the bottom is."""
        return self.height - self.bottom

    def x(self, part: float) -> float:
        """A place from left (0) to right (1)."""
        return self.left + part * self.width

    def y(self, value: float) -> float:
        """The place of a value; what is beyond the frame stands at its edge."""
        part = (value - self.low) / (self.high - self.low)
        return self.base - min(max(part, 0), 1) * (self.base - self.top)


@dataclass(frozen=True)
class TimeAxis:
    """Places of times, from the first to the last."""

    first: datetime.datetime
    last: datetime.datetime

    def part(self, time: datetime.datetime) -> float:
        """From 0, the first time, to 1, the last."""
        seconds = (self.last - self.first).total_seconds()
        return (time - self.first).total_seconds() / seconds if seconds else 1.0

    def holds(self, time: datetime.datetime) -> bool:
        """Whether a time lies on the axis."""
        return self.first <= time <= self.last


def ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Round values between two, at most so many."""
    if not high > low or not math.isfinite(high - low):
        return [low]
    rough = (high - low) / most
    power = 10 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, first + most + 2) if n * step <= high + step * 1e-6]


def limits(values: Sequence[float], threshold: float | None) -> tuple[float, float]:
    """The values at the bottom and the top of a frame: from 0, unless that would flatten the line."""
    known = [value for value in values if math.isfinite(value)]
    known += [threshold] if threshold is not None else []
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    flat = low > 0 and (high - low) < 0.4 * high
    if low == high:
        flat = False
    padding = 0.12 * ((high - low) or abs(high) or 1.0)
    bottom = low - padding if flat or low < 0 else 0.0
    return (max(bottom, 0.0) if low >= 0 else bottom), high + padding


def grid(frame: Frame, show: Show, most: int = 3) -> Html:
    """The lines of the ticks, their values at the left."""
    lines = []
    for value in ticks(frame.low, frame.high, most):
        y = frame.y(value)
        lines.append(tag("line", x1=frame.left, x2=WIDTH - frame.right, y1=y, y2=y, class_="grid"))
        lines.append(label(show(value), frame.left - 5, y + 4, "end"))
    return html(lines)


def label(text: str, x: float, y: float, anchor: str = "start", kind: str = "") -> Html:
    """A text on a chart; it stays within the chart's width."""
    wide = width_of(text) * LETTER
    if anchor == "start":
        x = max(0, min(x, WIDTH - wide))
    elif anchor == "middle":
        x = max(wide / 2, min(x, WIDTH - wide / 2))
    anchored = None if anchor == "start" else anchor
    return tag("text", text, x=x, y=y, text_anchor=anchored, class_=kind or None)


def picture(
    title: str, description: str, height: float, *content: Content, width: float = WIDTH
) -> Html:
    """A chart: its title and description are what a screen reader says of it."""
    return tag(
        "svg",
        tag("title", title),
        tag("desc", description),
        html(*content),
        role="img",
        viewBox=f"0 0 {width:g} {height:g}",
    )
