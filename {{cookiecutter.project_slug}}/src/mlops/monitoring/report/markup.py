"""HTML that is escaped by construction: a text becomes text, whatever it holds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import TypeAlias, Union


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Content: TypeAlias = "Union[str, Iterable[Content], None]"
"""What may stand in an element: HTML, text that gets escaped, or nothing."""

Attribute: TypeAlias = "Union[str, float, bool, None]"

VOID = {"br", "col", "hr", "link", "meta"}
DRAWN = {"circle", "line", "path", "polyline", "rect", "use"}

# What HTML may not hold (controls, halves of a pair), and what turns the direction of all that
# follows: a name must not be able to rearrange the page.
UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """A text without the characters that a page cannot hold or show."""
    return UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)


def html(*content: Content) -> Html:
    """The contents one after the other, as HTML."""
    return Html("".join(_parts(content)))


def tag(name: str, *content: Content, **attributes: Attribute) -> Html:
    """An element.

    `class_` stands for class, and an underscore for a hyphen. An attribute that is None or False
    is left out.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{given}>")
    if name in DRAWN and not content:
        return Html(f"<{name}{given}/>")
    return Html(f"<{name}{given}>{html(*content)}</{name}>")


def number_text(value: float) -> str:
    """A coordinate: one decimal is a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = number_text(value) if isinstance(value, (int, float)) else clean(value)
    return f' {name}="{escape(text)}"'


def _parts(content: Content) -> Iterable[str]:
    if content is None:
        return
    if isinstance(content, Html):
        yield content
    elif isinstance(content, str):
        yield escape(clean(content), quote=False)
    else:
        for part in content:
            yield from _parts(part)
