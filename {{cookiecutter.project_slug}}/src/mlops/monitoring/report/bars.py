"""Distributions as bars: the reference hollow, the present filled, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.monitoring.report.markup import Html, html, tag
from mlops.monitoring.report.numbers import number, share, short, width_of
from mlops.monitoring.report.scales import LETTER, WIDTH, Frame, grid, label, picture
from mlops.monitoring.results import Distribution

HEIGHT = 168
ROW = 30
MOST_ROWS = 12
LETTERS = 18  # of a name beside a horizontal bar
VALUES = 54


def histogram(title: str, before: Distribution | None, now: Distribution | None) -> Html:
    """The shares of the bins of one or two distributions with the same edges, as columns."""
    given = [d for d in (before, now) if d is not None and d.shares]
    edges = given[0].edges
    bins = len(edges) - 1
    top = max((part for d in given for part in d.shares), default=0) or 1.0
    frame = Frame(HEIGHT, 0, 1.08 * top, bottom=32)
    slot = frame.width / bins
    gap = min(2.0, slot / 8)
    columns = []
    for place in range(bins):
        x = frame.left + place * slot
        old = before.shares[place] if before and before.shares else None
        new = now.shares[place] if now and now.shares else None
        words = f"{number(edges[place])} to {number(edges[place + 1])}: {_both(old, new)}"
        half = slot / 2 - gap
        columns.append(
            tag(
                "g",
                tag("title", words),
                tag(
                    "rect",
                    x=x,
                    y=frame.top,
                    width=slot,
                    height=frame.base - frame.top,
                    class_="hit",
                ),
                _column(frame, x + gap, half, old, "before"),
                _column(frame, x + slot / 2 + gap / 2, half, new, "now"),
            )
        )
    return picture(
        title, _what_stands_out(before, now), HEIGHT,
        grid(frame, share), html(columns),
        tag("line", x1=frame.left, x2=WIDTH - frame.right, y1=frame.base, y2=frame.base, class_="axis"),
        _edges(frame, edges), _mean(frame, edges, before, "before"), _mean(frame, edges, now, "now"),
    )  # fmt: skip


def paired_bars(
    title: str, description: str, rows: Sequence[tuple[str, float | None, float | None]]
) -> Html:
    """Names with a share in the reference and one at present, as horizontal bars."""
    top = max((part for _, *both in rows for part in both if part is not None), default=0) or 1.0
    height = ROW * len(rows) + 4
    left = 16 + LETTER * max(width_of(short(name, LETTERS)) for name, _, _ in rows)
    room = WIDTH - left - VALUES
    drawn = []
    for place, (name, old, new) in enumerate(rows):
        y = place * ROW + 4
        words = tag("title", f"{short(name, 60)}: {_both(old, new)}")
        text = tag(
            "text", short(name, LETTERS), x=left - 8, y=y + 15, text_anchor="end", class_="name"
        )
        bars = [
            _row(left, y + 12 * n, part, room * (part or 0) / top, kind)
            for n, (part, kind) in enumerate(((old, "before"), (new, "now")))
        ]
        drawn.append(tag("g", words, text, bars))
    axis = tag("line", x1=left, x2=left, y1=0, y2=height, class_="axis")
    return picture(title, description, height, drawn, axis)


def shares_of(
    before: Distribution | None, now: Distribution | None
) -> list[tuple[str, float | None, float | None]]:
    """The labels of one or two distributions with their shares, the most frequent first."""
    old = dict(zip(before.labels, before.shares)) if before else {}
    new = dict(zip(now.labels, now.shares)) if now else {}
    names = sorted({*old, *new}, key=lambda name: (-max(old.get(name, 0), new.get(name, 0)), name))
    return [
        (name, old.get(name, 0.0) if old else None, new.get(name, 0.0) if new else None)
        for name in names
    ]


def distribution_chart(
    name: str, before: Distribution | None, now: Distribution | None
) -> Html | None:
    """The distribution of a column in the reference and at present; None where there is none.

    Numbers with other edges than the reference's (which a monitor does not make) stand alone.
    """
    title = f"{short(name, 60)}: distribution in the reference and now"
    if any(d and d.labels and d.shares for d in (before, now)):
        rows = shares_of(before, now)[:MOST_ROWS]
        return paired_bars(title, _what_stands_out(before, now), rows)
    old = before if before and before.shares and len(before.edges) > 1 else None
    new = now if now and now.shares and len(now.edges) > 1 else None
    if not (old or new):
        return None
    if old and new and old.edges != new.edges:
        return html(
            histogram(f"{title} (the reference)", old, None),
            histogram(f"{title} (now)", None, new),
        )
    return histogram(title, old, new)


def _column(frame: Frame, x: float, width: float, part: float | None, kind: str) -> Html | None:
    if not part:
        return None
    y = frame.y(part)
    return tag("rect", x=x, y=y, width=width, height=max(frame.base - y, 0.8), class_=kind)


def _row(x: float, y: float, part: float | None, width: float, kind: str) -> Html | None:
    if part is None:
        return None
    return html(
        tag("rect", x=x, y=y, width=max(width, 0.8), height=10, class_=kind),
        label(share(part), x + width + 5, y + 9.5),
    )


def _edges(frame: Frame, edges: tuple[float, ...]) -> Html:
    """The values at some of the edges, as many as there is room for."""
    wide = max(len(number(edge)) for edge in edges) * 7 + 12
    most = max(int(frame.width // wide), 1)
    bins = len(edges) - 1
    step = -(-bins // most)
    places = range(0, bins + 1, step)
    return html(
        label(number(edges[place]), frame.x(place / bins), frame.height - 4, "middle")
        for place in places
    )


def _mean(
    frame: Frame, edges: tuple[float, ...], distribution: Distribution | None, kind: str
) -> Html | None:
    """A triangle at the mean, below the axis."""
    wide = edges[-1] - edges[0]
    if distribution is None or distribution.mean is None or not wide > 0:
        return None
    x = frame.x(min(max((distribution.mean - edges[0]) / wide, 0), 1))
    y = frame.base + 2
    path = f"M{x:.1f} {y:.1f}l4.5 8h-9z"
    return tag("path", d=path, class_=f"mean {kind}")


def _both(old: float | None, new: float | None) -> str:
    said = [] if old is None else [f"{share(old)} in the reference"]
    said += [] if new is None else [f"{share(new)} now"]
    return ", ".join(said)


def _what_stands_out(before: Distribution | None, now: Distribution | None) -> str:
    """The largest difference of a share, in words."""
    if before is None or now is None or not before.shares or not now.shares:
        return "Only one of the two has values."
    if before.labels or now.labels:
        name, old, new = max(
            shares_of(before, now), key=lambda row: abs((row[1] or 0) - (row[2] or 0))
        )
        return f"Largest difference: {short(name, 60)}, {_both(old, new)}."
    if before.edges != now.edges:
        return "The bins differ."
    gaps = [abs(a - b) for a, b in zip(before.shares, now.shares)]
    place = gaps.index(max(gaps))
    low, high = before.edges[place], before.edges[place + 1]
    both = _both(before.shares[place], now.shares[place])
    return f"Largest difference: {number(low)} to {number(high)}, {both}."
