"""Values over time as lines, with the threshold that they should not cross."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mlops.monitoring.report.markup import Content, Html, html, tag
from mlops.monitoring.report.numbers import count, dated, moment, number, plural, width_of
from mlops.monitoring.report.scales import (
    LETTER,
    WIDTH,
    Frame,
    Show,
    TimeAxis,
    grid,
    label,
    limits,
    picture,
)
from mlops.monitoring.report.words import beyond, limit_text, metric_of
from mlops.monitoring.results import HealthPoint, MetricResult

HEIGHT = 168
SPARK = (84, 22)
DOTS_AT_MOST = 20

Place = tuple[float, float]
Point = tuple[datetime.datetime, "float | None"]


@dataclass(frozen=True)
class Event:
    """Something that happened to the model: a line across every chart of that time."""

    time: datetime.datetime
    name: str


def metric_chart(
    title: str, metric: MetricResult, points: Sequence[Point], events: Sequence[Event] = ()
) -> Html:
    """A metric in each window; where a window says nothing, the line has a gap."""
    known = [value for _, value in points if value is not None]
    frame = Frame(HEIGHT, *limits(known, metric.threshold), top=18, right=58)
    show = metric_of(metric.name).show
    axis = TimeAxis(points[0][0], points[-1][0])
    places = [(frame.x(axis.part(time)), frame.y(v)) for time, v in points if v is not None]
    middles = [((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in pairwise(places)]
    written = dated([time for time, _ in points])
    drawn: list[Content] = [
        grid(frame, show),
        _threshold(
            frame,
            metric.threshold,
            limit_text(metric),
            metric.comparison == "at most",
            [*places, *middles],
        ),
        _events(frame, axis, events),
        _line(frame, axis, points, "line now"),
    ]
    for time, value in points:
        if value is None:
            x, y = frame.x(axis.part(time)), frame.base
            cross = f"M{x - 3:.1f} {y - 3:.1f}l6 6m0-6l-6 6"
            drawn.append(
                tag("path", tag("title", f"{written(time)}: says nothing"), d=cross, class_="gap")
            )
        elif len(points) <= DOTS_AT_MOST or beyond(value, metric) or time == points[-1][0]:
            words = f"{written(time)}: {show(value)}"
            drawn.append(
                _dot(frame.x(axis.part(time)), frame.y(value), beyond(value, metric), words)
            )
    drawn.append(_last_value(frame, points, show))
    return picture(title, _told(points, metric), HEIGHT, *drawn, _dates(frame, points))


def spark(metric: MetricResult, points: Sequence[Point]) -> Html | None:
    """A metric over time, small, beside a text that says its value."""
    known = [value for _, value in points if value is not None]
    if len(known) < 2:
        return None
    width, height = SPARK
    low, high = limits(known, metric.threshold)
    axis = TimeAxis(points[0][0], points[-1][0])

    def at(time: datetime.datetime, value: float) -> tuple[float, float]:
        part = (value - low) / (high - low)
        return 4 + axis.part(time) * (width - 8), height - 3 - part * (height - 6)

    places = [at(time, value) for time, value in points if value is not None]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    limit = None
    if metric.threshold is not None:
        y = at(points[0][0], metric.threshold)[1]
        limit = tag("path", d=f"M0 {y:.1f}h{width}", class_="limit")
    return tag(
        "svg",
        limit,
        tag("polyline", points=line, class_="line now"),
        _dot(*places[-1], beyond(known[-1], metric), "", 0.75),
        viewBox=f"0 0 {width} {height}", class_="spark", aria_hidden="true",
    )  # fmt: skip


def latency_chart(points: Sequence[HealthPoint], limit: float | None) -> Html:
    """The latencies that 50, 95 and 99 % of the requests did not exceed, in milliseconds."""
    series = {name: [(p.end, getattr(p, name)) for p in points] for name in ("p50", "p95", "p99")}
    known = [value for line in series.values() for _, value in line if value is not None]
    shown = limit if limit is not None and known and limit < 4 * max(known) else None
    frame = Frame(HEIGHT, 0, limits(known, shown)[1], right=36, left=46)
    axis = TimeAxis(points[0].end, points[-1].end)
    ends = {name: next((v for _, v in reversed(line) if v is not None), None)
            for name, line in series.items()}  # fmt: skip
    names = _apart({name: frame.y(value) for name, value in ends.items() if value is not None})
    said = ", ".join(f"{name} {number(value)}" for name, value in ends.items() if value is not None)
    return picture(
        "Latency over time", f"At the end: {said or 'no request'}.", HEIGHT,
        grid(frame, number),
        _threshold(frame, shown, f"p95 at most {number(shown or 0)}", True),
        html(_line(frame, axis, line, f"line {name}") for name, line in series.items()),
        html(label(name, WIDTH - frame.right + 5, y + 4) for name, y in names.items()),
        _dates(frame, [(p.end, None) for p in points]),
    )  # fmt: skip


def requests_chart(points: Sequence[HealthPoint]) -> Html:
    """The requests of each interval."""
    top = max(point.requests for point in points)
    frame = Frame(HEIGHT, 0, 1.08 * (top or 1), left=46)
    slot = frame.width / len(points)
    gap = min(1.5, slot / 6)
    columns = [
        tag(
            "rect",
            tag("title", f"{moment(point.end)}: {plural(point.requests, 'request')}"),
            x=frame.left + place * slot + gap,
            y=frame.y(point.requests),
            width=slot - 2 * gap,
            height=frame.base - frame.y(point.requests),
            class_="now",
        )
        for place, point in enumerate(points)
    ]
    total = plural(sum(point.requests for point in points), "request")
    return picture(
        "Requests over time", f"{total} in all, at most {count(top)} in an interval.", HEIGHT,
        grid(frame, number), columns,
        tag("line", x1=frame.left, x2=WIDTH - frame.right, y1=frame.base, y2=frame.base, class_="axis"),
        _dates(frame, [(point.end, None) for point in points]),
    )  # fmt: skip


def _line(frame: Frame, axis: TimeAxis, points: Sequence[Point], kind: str) -> Html:
    """The line through the values that are known, with gaps where one is not."""
    pieces: list[list[str]] = [[]]
    for time, value in points:
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{frame.x(axis.part(time)):.1f},{frame.y(value):.1f}")
    return html(
        tag("polyline", points=" ".join(piece), class_=kind) for piece in pieces if len(piece) > 1
    )


def _dot(x: float, y: float, bad: bool, words: str, size: float = 1) -> Html:
    """A value: a dot, or a diamond where it is beyond the threshold."""
    title = tag("title", words) if words else None
    if not bad:
        return tag("circle", title, cx=x, cy=y, r=3 * size, class_="dot now")
    half = 5.5 * size
    path = f"M{x:.1f} {y - half:.1f}l{half:g} {half:g}-{half:g} {half:g}-{half:g}-{half:g}z"
    return tag("path", title, d=path, class_="dot bad")


def _threshold(
    frame: Frame, value: float | None, words: str, at_most: bool, places: Sequence[Place] = ()
) -> Html | None:
    """The threshold, the side of it that is breached, and its label where the line is not."""
    if value is None:
        return None
    y = frame.y(value)
    top, bottom = (frame.top, y) if at_most else (y, frame.base)
    x, below = _free(frame, y, width_of(words) * LETTER, at_most, places)
    return html(
        tag("rect", x=frame.left, y=top, width=frame.width, height=max(bottom - top, 0), class_="beyond"),
        tag("line", x1=frame.left, x2=frame.x(1), y1=y, y2=y, class_="limit"),
        label(words, x, below, kind="limit"),
    )  # fmt: skip


def _free(
    frame: Frame, y: float, wide: float, at_most: bool, places: Sequence[Place]
) -> tuple[float, float]:
    """Where a label of a threshold is farthest from the line: left or right, above or below."""
    above, below = (y - 5, y + 13) if at_most else (y + 13, y - 5)
    corners = [
        (x, height)
        for height in (above, below)
        for x in (frame.left + 5, frame.x(1) - wide)
        if frame.top + 6 < height < frame.base
    ]

    def room(corner: tuple[float, float]) -> float:
        x, height = corner
        near = [abs(py - (height - 4)) for px, py in places if x - 8 <= px <= x + wide + 8]
        return min([*near, 14.0])  # farther away is as good

    return max(corners, key=room) if corners else (frame.left + 5, above)


def _events(frame: Frame, axis: TimeAxis, events: Sequence[Event]) -> Html:
    return html(
        html(
            tag("line", x1=x, x2=x, y1=frame.top - 6, y2=frame.base, class_="event"),
            label(event.name, x, frame.top - 8, "middle", "event"),
        )
        for event in events
        if axis.holds(event.time)
        for x in (frame.x(axis.part(event.time)),)
    )


def _last_value(frame: Frame, points: Sequence[Point], show: Show) -> Html | None:
    value = points[-1][1]
    if value is None:
        return None
    return label(show(value), frame.x(1) + 8, frame.y(value) + 4, kind="last")


def _dates(frame: Frame, points: Sequence[Point]) -> Html:
    """The first and the last day."""
    y = frame.height - 5
    written = dated([time for time, _ in points])
    if len(points) == 1:
        return label(written(points[0][0]), frame.x(1), y, "end")
    first, last = points[0][0], points[-1][0]
    names = [written(first), written(last)]
    if last - first < datetime.timedelta(days=2):
        names = [f"{name} {time:%H:%M}" for name, time in zip(names, (first, last))]
    return html(label(names[0], frame.left, y), label(names[1], frame.x(1), y, "end"))


def _apart(places: dict[str, float], least: float = 12) -> dict[str, float]:
    """Places of labels, pushed apart where they would cover each other."""
    moved: dict[str, float] = {}
    for name in sorted(places, key=lambda name: -places[name]):
        y = places[name]
        if moved:
            y = min(y, min(moved.values()) - least)
        moved[name] = y
    return moved


def _told(points: Sequence[Point], metric: MetricResult) -> str:
    """The line in words."""
    known = [value for _, value in points if value is not None]
    if not known:
        return "No window says anything."
    show = metric_of(metric.name).show
    bad = sum(beyond(value, metric) for value in known)
    limit = f" The threshold is {limit_text(metric)}." if metric.threshold is not None else ""
    gaps = len(points) - len(known)
    silent = f" {gaps} of the windows say nothing." if gaps else ""
    return (
        f"{len(points)} windows: from {show(known[0])} to {show(known[-1])}, "
        f"{bad} of them beyond the threshold.{limit}{silent}"
    )
