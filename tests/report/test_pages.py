"""The pages in a real browser: complete, readable, reachable, and alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import not_here
from tests.npm import modules_of
from tests.report.conftest import DESKTOP, PAGES, PHONE

AXE = "4.14.1"
ALL = sorted(PAGES)
CHARTED = ["drift", "fine", "hostile", "wide"]
Open = Callable[..., Any]
OPEN_ALL = "document.querySelectorAll('details').forEach(d => d.open = true)"

# Every element that shows text or a mark, with its own colour and what lies behind it.
CONTRASTS = (Path(__file__).parent / "contrasts.js").read_text(encoding="utf-8")


class Elements(HTMLParser):
    """The elements of a source, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.append(tag)


@pytest.mark.parametrize("name", ALL)
def test_a_page_asks_for_nothing_and_reports_nothing(name: str, opened: Open) -> None:
    source = Elements()
    with opened(name) as found:
        source.feed(found.source)
        read = found.page.evaluate("[...document.querySelectorAll('*')].map(e => e.localName)")
        assert found.asked_for == [found.page.url]
        assert found.console == []
        assert found.page.evaluate("document.scripts.length") == 0
    # A browser mends what is not HTML: it would close, move or add elements.
    assert [each.lower() for each in read] == source.names


@pytest.mark.parametrize("name", ALL)
def test_nothing_stands_beyond_the_edge(name: str, opened: Open) -> None:
    with opened(name) as found:
        found.page.evaluate(OPEN_ALL)
        for width in (DESKTOP, PHONE, 360):
            found.page.set_viewport_size({"width": width, "height": 900})
            assert found.page.evaluate("document.documentElement.scrollWidth") == width
            beyond = found.page.evaluate(
                """width => [...document.body.querySelectorAll('*')]
                  .filter(e => !e.closest('.scroll, .skip, .unseen, .symbols'))
                  .filter(e => e.getBoundingClientRect().right > width + 0.5)
                  .map(e => e.outerHTML.slice(0, 80))""",
                width,
            )
            assert beyond == [], width


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_what_is_wrong_is_seen_first(width: int, opened: Open) -> None:
    with opened("drift", width) as found:
        titles = found.page.evaluate(
            """[...document.querySelectorAll('h2')].map(h => [h.textContent, h.getBoundingClientRect().top])"""
        )
        verdict = found.page.locator(".verdict")
        assert verdict.is_visible()
        assert verdict.bounding_box()["y"] < 300
        assert verdict.inner_text().startswith("Breached: data drift, prediction drift")
        wrong = found.page.locator("#wrong").inner_text()
    assert "The mean rose from 17.5 to 23.8 pixels." in wrong
    assert "Recall fell to 0.801; it was 0.952 in the reference." in wrong
    assert [title for title, _ in sorted(titles, key=lambda each: each[1])] == [
        "What is wrong", "Features", "Predictions", "Performance", "Data quality",
        "Feature attribution", "Endpoint health", "What was done about it", "How it was computed",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("name", CHARTED)
def test_the_charts_are_there_and_can_be_read(name: str, width: int, opened: Open) -> None:
    with opened(name, width) as found:
        found.page.evaluate(OPEN_ALL)
        charts = found.page.evaluate(
            """[...document.querySelectorAll('figure > svg')].map(svg => {
              const box = svg.getBoundingClientRect()
              const letters = [...svg.querySelectorAll('text')].map(t =>
                parseFloat(getComputedStyle(t).fontSize) * box.width / svg.viewBox.baseVal.width)
              const outside = [...svg.querySelectorAll('text')].filter(t => {
                const b = t.getBoundingClientRect()
                return b.left < box.left - 1 || b.right > box.right + 1
              }).map(t => t.textContent)
              return {
                width: box.width, height: box.height, outside, role: svg.getAttribute('role'),
                title: svg.querySelector(':scope > title').textContent,
                told: svg.querySelector(':scope > desc').textContent,
                smallest: Math.min(...letters), marks: svg.querySelectorAll('rect, circle, path, polyline').length,
              }
            })"""
        )
        assert len(charts) >= 10
        for chart in charts:
            assert chart["role"] == "img" and chart["title"] and chart["told"], chart
            assert chart["width"] >= 240 and chart["height"] >= 30 and chart["marks"], chart
            assert chart["smallest"] >= 9, chart
            assert chart["outside"] == [], chart


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["drift", "unknown", "status"])
def test_text_and_marks_stand_out_in_both_schemes(name: str, scheme: str, opened: Open) -> None:
    with opened(name, scheme=scheme) as found:
        found.page.evaluate(OPEN_ALL)
        seen = found.page.evaluate(CONTRASTS)
        paper = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    assert len(seen["texts"]) > 50
    # WCAG 2.1 AA: 4.5 for text (1.4.3), 3 for the marks of a chart (1.4.11).
    assert [text for text in seen["texts"] if text["contrast"] < 4.5] == []
    assert [mark for mark in seen["marks"] if mark["contrast"] < 3] == []
    assert seen["marks"] or name != "drift"


@pytest.mark.parametrize("name", ["fine", "status"])
def test_everything_can_be_reached_and_opened_with_the_keyboard(name: str, opened: Open) -> None:
    with opened(name) as found:
        page = found.page
        closed = page.evaluate("document.querySelectorAll('details:not([open])').length")
        assert closed
        faint = []
        for _ in range(1000):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                """(() => {
                  const e = document.activeElement, style = getComputedStyle(e)
                  return {
                    name: e.localName, text: e.textContent.slice(0, 40),
                    closed: e.localName === 'summary' && !e.parentElement.open,
                    outline: style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth),
                  }
                })()"""
            )
            if focused["name"] == "body":
                break
            if focused["outline"] < 2:
                faint.append(focused)
            if focused["closed"]:
                page.keyboard.press("Enter")
        assert faint == []
        assert page.evaluate("document.querySelectorAll('details:not([open])').length") == 0


def test_the_first_stop_of_the_keyboard_leads_to_the_content(opened: Open) -> None:
    with opened("drift") as found:
        found.page.keyboard.press("Tab")
        skip = found.page.locator(":focus")
        assert skip.inner_text() == "To the content"
        assert skip.bounding_box()["x"] >= 0
        found.page.keyboard.press("Enter")
        assert found.page.evaluate("document.activeElement.id") == "content"


def test_a_link_to_a_feature_opens_it(opened: Open) -> None:
    with opened("drift") as found:
        last = found.page.locator("#features table a").last
        target = found.page.locator(last.get_attribute("href"))
        assert not target.is_visible()
        last.click()
        assert target.is_visible()


@pytest.mark.parametrize("name", ["drift", "status"])
def test_on_paper_everything_is_open(name: str, opened: Open, tmp_path: Path) -> None:
    with opened(name) as found:
        paper = found.page.pdf(path=str(tmp_path / "page.pdf"), format="A4")
        closed = found.page.evaluate("document.querySelectorAll('details:not([open])').length")
    assert paper.startswith(b"%PDF")
    assert closed
    if shutil.which("pdftotext") is None:
        not_here("needs pdftotext: apt-get install poppler-utils")
    read = subprocess.run(
        ["pdftotext", "-layout", str(tmp_path / "page.pdf"), "-"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    hidden = {"drift": "Share of each interval", "status": "Checks of the gate"}[name]
    assert hidden in read
    assert "To the content" not in read


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("drift", DESKTOP, "light"), ("fine", PHONE, "dark"), ("unknown", PHONE, "light"),
        ("hostile", PHONE, "light"), ("status", DESKTOP, "dark"), ("status", PHONE, "light"),
    ],
)  # fmt: skip
def test_axe_finds_no_barrier(name: str, width: int, scheme: str, opened: Open) -> None:
    axe = (modules_of("axe-core", AXE) / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    with opened(name, width, scheme, bypass_csp=True) as found:
        if name != "drift":  # its open features are enough, and all of them take a quarter minute
            found.page.evaluate(OPEN_ALL)
        found.page.evaluate(axe)
        told = found.page.evaluate("axe.run({resultTypes: ['violations']})")
    broken = [
        (v["id"], [node["html"][:120] for node in v["nodes"][:3]]) for v in told["violations"]
    ]
    assert broken == []
    assert len(told["passes"]) > 15


def test_hostile_names_are_text(opened: Open) -> None:
    with opened("hostile") as found:
        text = found.page.locator("body").inner_text()
        assert "<script>alert(1)</script>" in text
        assert '"><img src=x onerror=alert(2)>' in text
        assert re.search(r"‮|⁦", text) is None
        assert found.page.evaluate("document.images.length") == 0
