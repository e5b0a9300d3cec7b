"""The signs of the three states: a shape each, so that none depends on its colour."""

from __future__ import annotations

from mlops.monitoring.report.markup import Html, html, tag
from mlops.monitoring.report.words import STATES
from mlops.monitoring.results import State

SHAPES = {
    "fine": ("M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1z", "M4.8 8.3l2.2 2.3 4.2-4.9"),
    "breached": ("M8 1.2 15.4 14.5H.6z", "M8 6v4M8 12.2v.2"),
    "unknown": ("M2.5 2.5h11v11h-11z", "M6 6.6a2 2 0 1 1 2.9 1.8c-.6.3-.9.6-.9 1.2M8 11.9v.2"),
}


def symbols() -> Html:
    """The shapes, drawn once for the whole page."""
    return tag(
        "svg",
        *(
            tag(
                "symbol",
                tag("path", d=body, class_="body"),
                tag("path", d=mark, class_="mark"),
                id=f"sign-{state}",
                viewBox="0 0 16 16",
            )
            for state, (body, mark) in SHAPES.items()
        ),
        width="0",
        height="0",
        class_="symbols",
        aria_hidden="true",
    )


def sign(state: State) -> Html:
    """The shape alone, where the word stands beside it."""
    return tag("svg", tag("use", href=f"#sign-{state}"), class_=f"sign {state}", aria_hidden="true")


def badge(state: State, word: str = "") -> Html:
    """The shape and the word."""
    return tag("span", sign(state), html(word or STATES[state]), class_=f"badge {state}")


def passed(accepted: bool, word: str = "") -> Html:
    """The badge of a check or a decision."""
    state: State = "fine" if accepted else "breached"
    return badge(state, word or ("passed" if accepted else "failed"))
