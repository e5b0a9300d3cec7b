"""The pictures of the pages in the docs: small, and shown."""

from __future__ import annotations

import re

from tests.conftest import TEMPLATE

IMAGES = TEMPLATE / "docs" / "images"
README = (TEMPLATE / "README.md").read_text(encoding="utf-8")


def test_every_picture_is_shown_and_small() -> None:
    shown = set(re.findall(r'(?:src|srcset)="(docs/images/[^"]+)"', README))
    there = {path.relative_to(TEMPLATE).as_posix(): path for path in IMAGES.iterdir()}
    assert shown == set(there)
    assert len(there) >= 7
    for path in there.values():
        picture = path.read_bytes()
        assert picture.startswith(b"\x89PNG\r\n\x1a\n"), path.name
        assert len(picture) < 150_000, path.name
    assert len(re.findall(r"<img ", README)) == len(
        re.findall(r'<img [^>]*alt="[^"]{20,}"', README)
    )
