"""Makes the pictures of the pages in docs/images again, from the examples that the tests read.

`.venv/bin/python scripts/screenshots.py`; needs Chromium (`apt-get install chromium fonts-roboto`).
"""

from __future__ import annotations

import io
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from PIL import Image  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402
from tests import conftest, monitor_examples  # noqa: E402

IMAGES = ROOT / "docs" / "images"
COLOURS = 200
SCALE = 1.5


@dataclass(frozen=True)
class Picture:
    """A part of a page: from `start` down to, and without, `end`; the first `height` pixels of it."""

    name: str
    page: str
    width: int
    start: str
    height: int
    schemes: tuple[str, ...] = ("light", "dark")


PICTURES = (
    Picture("monitor", "monitor", 1120, "body", 890),
    Picture("monitor-feature", "monitor", 1120, ".column:nth-child(2)", 449),
    Picture("monitor-phone", "monitor", 390, "body", 844, ("light",)),
    Picture("status", "status", 1120, "body", 880),
)


def main() -> None:
    """Write every picture, small enough for a repository."""
    from mlops.monitoring.report import monitor_page, status_page

    pages = {
        "monitor": monitor_page(monitor_examples.classification(), monitor_examples.decisions()),
        "status": status_page(monitor_examples.environments(), made=monitor_examples.MADE),
    }
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    IMAGES.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for picture in PICTURES:
            file = Path(folder) / f"{picture.page}.html"
            file.write_text(pages[picture.page], encoding="utf-8")
            for scheme in picture.schemes:
                name = picture.name + ("-dark" if scheme == "dark" else "")
                write_small(IMAGES / f"{name}.png", take(browser, file, picture, scheme))


def take(browser: Any, file: Path, picture: Picture, scheme: str) -> bytes:
    """A PNG of the picture."""
    page = browser.new_page(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme=scheme, device_scale_factor=SCALE,
    )  # fmt: skip
    page.goto(file.as_uri())
    top = page.locator(picture.start).first.bounding_box()["y"]
    shot: bytes = page.screenshot(
        full_page=True,
        clip={"x": 0, "y": top, "width": picture.width, "height": picture.height},
    )
    page.close()
    return shot


def write_small(file: Path, shot: bytes) -> None:
    """A picture with as many colours as its text needs."""
    image = Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    image.save(file, optimize=True)
    print(
        f"{file.relative_to(ROOT)}: {image.width} x {image.height}, {file.stat().st_size:,} bytes"
    )


if __name__ == "__main__":
    try:
        main()
    finally:
        conftest.pytest_unconfigure()
