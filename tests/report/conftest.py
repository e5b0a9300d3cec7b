"""The pages as a person gets them, in a headless Chromium that is started once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlops.monitoring.report import monitor_page, status_page
from tests import monitor_examples as examples
from tests.conftest import not_here

PHONE, DESKTOP = 390, 1280
PAGES: dict[str, Callable[[], str]] = {
    "drift": lambda: monitor_page(examples.classification(), examples.decisions()),
    "fine": lambda: monitor_page(examples.regression()),
    "unknown": lambda: monitor_page(examples.unknown()),
    "hostile": lambda: monitor_page(examples.hostile(), examples.hostile_decisions()),
    "wide": lambda: monitor_page(examples.classification(200, 10), examples.decisions()),
    "status": lambda: status_page(examples.environments(), made=examples.MADE),
    "status-new": lambda: status_page(examples.new_environments(), made=examples.MADE),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these in one process of pytest-xdist: they share the browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))


@dataclass
class Opened:
    """A page in the browser, and what went on while it was opened."""

    page: Any
    source: str
    asked_for: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each page as a file."""
    folder = tmp_path_factory.mktemp("pages")
    for name, make in PAGES.items():
        (folder / f"{name}.html").write_text(make(), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in PAGES}


@pytest.fixture(scope="package")  # not longer: its event loop would be in the way of others'
def browser() -> Iterator[Any]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        not_here("needs Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, in a container, there is no sandbox to be had.
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, files: dict[str, Path]) -> Callable[..., Any]:
    """Open a page: its name, the width in pixels, the scheme."""

    @contextmanager
    def open_page(
        name: str, width: int = DESKTOP, scheme: str = "light", **options: Any
    ) -> Iterator[Opened]:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **options
        )
        found = Opened(context.new_page(), files[name].read_text(encoding="utf-8"))
        context.route("**/*", lambda route: _let_through(route, files[name], found.asked_for))
        found.page.on("console", lambda message: found.console.append(message.text))
        found.page.on("pageerror", lambda error: found.console.append(str(error)))
        found.page.goto(files[name].as_uri())
        yield found
        context.close()

    return open_page


def _let_through(route: Any, file: Path, asked_for: list[str]) -> None:
    """The page itself may be read, nothing else; all that is asked for is written down."""
    asked_for.append(route.request.url)
    if route.request.url == file.as_uri():
        route.continue_()
    else:
        route.abort()
