"""Numbers and times as a person reads them."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from unicodedata import east_asian_width

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
SPACE = "\N{NO-BREAK SPACE}"
THIN = "\N{NARROW NO-BREAK SPACE}"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int = 3) -> str:
    """A number in three significant digits; thousands are grouped, the smallest are powers."""
    if value is None or math.isnan(value):
        return NOTHING
    sign = MINUS if value < 0 else ""
    size = abs(value)
    if math.isinf(size):
        return f"{sign}\N{INFINITY}"
    if size >= 1e15 or 0 < size < 1e-4:
        factor, power = f"{size:.{digits - 1}e}".split("e")
        factor = factor.rstrip("0").rstrip(".")
        return f"{sign}{factor} \N{MULTIPLICATION SIGN} 10{str(int(power)).translate(SUPERSCRIPT)}"
    rounded = float(f"{size:.{digits}g}")
    if rounded >= 10 ** (digits - 1):
        return f"{sign}{size:,.0f}"
    return sign + f"{rounded:f}".rstrip("0").rstrip(".")


def count(value: int) -> str:
    """A count, its thousands grouped."""
    return f"{value:,}"


def share(value: float | None) -> str:
    """A share of 1 in percent, with one decimal."""
    if value is None or math.isnan(value):
        return NOTHING
    percent = 100 * value
    if 0 < percent < 0.05:
        return f"<{THIN}0.1{THIN}%"
    text = f"{percent:.1f}".removesuffix(".0")
    if text == "100" and percent < 100:
        return f">{THIN}99.9{THIN}%"
    return f"{text}{THIN}%"


def milliseconds(value: float | None) -> str:
    """A latency."""
    return NOTHING if value is None else f"{number(value)}{THIN}ms"


def chance(p_value: float) -> str:
    """A p-value."""
    return "p < 0.001" if p_value < 0.001 else f"p = {number(p_value, 2)}"


def plural(amount: int, one: str, many: str = "") -> str:
    """`1 row`, `2 rows`."""
    return f"{count(amount)}{SPACE}{one if amount == 1 else many or one + 's'}"


def moment(time: datetime.datetime) -> str:
    """A time in UTC to the minute: `25 Nov 2026, 03:15 UTC`."""
    time = _utc(time)
    return f"{date(time)}, {time:%H:%M}{SPACE}UTC"


def date(time: datetime.datetime) -> str:
    """A day: `25 Nov 2026`."""
    return f"{day(time)}{SPACE}{_utc(time).year}"


def day(time: datetime.datetime) -> str:
    """A day of a year that is known: `25 Nov`."""
    time = _utc(time)
    return f"{time.day}{SPACE}{MONTHS[time.month - 1]}"


def dated(times: Sequence[datetime.datetime]) -> Callable[[datetime.datetime], str]:
    """How days among these are written: with the year, where it could be another."""
    apart = max(times) - min(times) if times else datetime.timedelta()
    return date if apart > datetime.timedelta(days=300) else day


def span(start: datetime.datetime, end: datetime.datetime) -> str:
    """A window of time: whole days without the hour, `18 Nov to 25 Nov 2026`."""
    start, end = _utc(start), _utc(end)
    if end - start < datetime.timedelta(days=1):
        if start.date() == end.date():
            return f"{date(end)}, {start:%H:%M} to {end:%H:%M}{SPACE}UTC"
        return f"{day(start)} {start:%H:%M} to {date(end)} {end:%H:%M}{SPACE}UTC"
    first = day(start) if start.year == end.year else date(start)
    return f"{first} to {date(end)}"


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def short(text: str, wide: int) -> str:
    """A text of at most so many letters; what was cut off is marked, and so is one of spaces."""
    if not text.strip():
        return f"“{text[:wide]}”"
    if width_of(text) <= wide:
        return text
    kept = text[: wide - 1]
    while width_of(kept) > wide - 1:
        kept = kept[:-1]
    return kept + "\N{HORIZONTAL ELLIPSIS}"


def width_of(text: str) -> int:
    """How wide a text is, in letters: some of East Asia's are two."""
    return len(text) + sum(east_asian_width(letter) in "WF" for letter in text)


def _utc(time: datetime.datetime) -> datetime.datetime:
    return time.astimezone(datetime.timezone.utc) if time.tzinfo else time
