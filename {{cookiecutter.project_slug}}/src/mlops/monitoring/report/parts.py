"""What every page is made of: its frame, sections, tables and figures."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops.monitoring.report.icons import badge, symbols
from mlops.monitoring.report.markup import Content, Html, html, tag
from mlops.monitoring.report.numbers import moment
from mlops.monitoring.results import State

STYLE = Path(__file__).with_name("style.css")

# The page itself says that it loads nothing and runs nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading; `mark` stands beside its name in the table of contents."""

    id: str
    title: str
    content: Html
    mark: Html | None = None
    intro: Content = None


def page(title: str, masthead: Html, sections: Sequence[Section], footer: Content) -> str:
    """A whole page: the masthead, then the sections in their order."""
    links = (
        tag("li", tag("a", section.title, href=f"#{section.id}"), section.mark)
        for section in sections
    )
    style = STYLE.read_text(encoding="utf-8")
    head = html(
        tag("meta", charset="utf-8"),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        tag("style", Html(style)),
    )
    body = html(
        tag("a", "To the content", href="#content", class_="skip"),
        symbols(),
        tag("header", masthead, class_="masthead"),
        tag("nav", tag("ul", links), aria_label="On this page"),
        tag("main", (_section(section) for section in sections), id="content", tabindex="-1"),
        tag("footer", tag("p", footer)),
    )
    document = tag("html", tag("head", head), tag("body", body), lang="en")
    return f"<!DOCTYPE html>\n{document}\n"


def _section(section: Section) -> Html:
    heading = tag("h2", section.title, id=f"{section.id}-title")
    intro = tag("p", section.intro, class_="intro") if section.intro else None
    return tag(
        "section", heading, intro, section.content,
        id=section.id, aria_labelledby=f"{section.id}-title",
    )  # fmt: skip


def table(
    caption: str,
    head: Sequence[Content],
    rows: Sequence[Sequence[Content]],
    *,
    numbers: Collection[int] = (),
    wide: bool = False,
    quiet: bool = False,
) -> Html:
    """A table whose first column names the rows.

    `numbers` are the columns that are aligned at the right. A `wide` one scrolls sideways where
    there is no room for it. The caption of a `quiet` one is only read aloud.
    """

    def kind(place: int) -> str | None:
        return "n" if place in numbers else None

    made = tag(
        "table",
        tag("caption", caption, class_="unseen" if quiet else None),
        tag(
            "thead",
            tag(
                "tr", (tag("th", text, scope="col", class_=kind(n)) for n, text in enumerate(head))
            ),
        ),
        tag(
            "tbody",
            (
                tag(
                    "tr",
                    tag("th", row[0], scope="row", class_=kind(0)),
                    (tag("td", cell, class_=kind(n)) for n, cell in enumerate(row[1:], start=1)),
                )
                for row in rows
            ),
        ),
    )
    if not wide:
        return made
    return tag("div", made, class_="scroll", role="group", aria_label=caption, tabindex="0")


def figure(title: Content, chart: Content, note: Content = None, legend: Content = None) -> Html:
    """A chart with what it shows above it."""
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("span", title, class_="what"),
            tag("span", note, class_="note") if note else None,
            legend,
        ),
        chart,
    )


def legend(*, mean: bool = False) -> Html:
    """How the reference and the present are drawn."""
    return tag(
        "span",
        tag("span", class_="swatch before"), " reference ",
        tag("span", class_="swatch now"), " now",
        html(" ", tag("span", "△▲", class_="means"), " mean") if mean else None,
        class_="legend",
    )  # fmt: skip


def card(
    state: State, title: str, where: str, found: Content, more: Content = None, word: str = ""
) -> Html:
    """A thing at a glance, linked to the section that it is told in."""
    return tag(
        "li",
        tag("p", tag("a", title, href=f"#{where}"), badge(state, word), class_="top"),
        tag("p", found),
        tag("p", more, class_="window") if more else None,
        class_=f"card {state}",
    )


def details(
    summary: Content, *content: Content, is_open: bool = False, kind: str = "", anchor: str = ""
) -> Html:
    """What is there to be opened.

    A link to `anchor` opens it: it names the content, not the whole.
    """
    inside = tag("div", *content, class_="inside", id=anchor or None)
    return tag("details", tag("summary", summary), inside, open=is_open, class_=kind or None)


def facts(pairs: Sequence[tuple[str, Content]]) -> Html:
    """Names and what they are, side by side."""
    return tag(
        "dl",
        (tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs),
        class_="facts",
    )


def name_of(text: str, kind: str = "name") -> Html:
    """A name from the data: its letters cannot change the direction of what follows."""
    return tag("bdi", text, class_=kind)


def time_tag(time: datetime.datetime) -> Html:
    """A time, for people and for machines."""
    return tag("time", moment(time), datetime=time.isoformat(timespec="seconds"))


def joined(parts: Sequence[Content], last: str = " and ") -> Html:
    """`a, b and c`."""
    if len(parts) < 2:
        return html(*parts)
    return html(
        *([part, ", "] if n < len(parts) - 2 else [part] for n, part in enumerate(parts[:-1])),
        last,
        parts[-1],
    )
