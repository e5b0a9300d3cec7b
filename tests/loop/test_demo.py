"""`mlops demo` with the other answers: a regression, two environments, one shared workspace."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator

import pytest

from tests.conftest import SCRATCH, copy_of, generated

from .conftest import Loop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo() -> Iterator[tuple[Loop, str]]:
    """A project in which the demo has run once, and its account."""
    answers = {
        "problem_type": "regression",
        "environments": "dev-prod",
        "workspaces": "one-shared",
    }
    loop = Loop(copy_of(generated(**answers), SCRATCH / "demo"))
    yield loop, loop.run("demo").stdout
    loop.end()
    shutil.rmtree(loop.root)


def test_the_account_says_what_happened_in_plain_words(demo: tuple[Loop, str]) -> None:
    _, account = demo
    where, gates, answer, times, following = (
        account.index(title)
        for title in (
            "Which model version is where", "What each gate decided", "How the endpoint answered",
            "How long each stage took", "Try next",
        )
    )  # fmt: skip
    for name in ("dev", "prod"):
        assert f"  {name}: version 2 (trained as dev/2) " in account[where:gates]
        assert f"  {name}, " in account[gates:answer]
    assert "rmse 5" in account[where:gates]
    assert "version-1 0 %, version-2 100 %" in account[where:gates]
    assert account[gates:answer].count("accepted") == 4
    assert '{"predictions": [{"prediction": ' in account[answer:times]
    assert "442 rows scored" in account[answer:times]
    assert "roll back in prod, and forward again" in account[times:following]
    assert [line.split()[1] for line in account[following:].splitlines()[1:4]] == [
        "status", "serve", "ui",
    ]  # fmt: skip


def test_environments_that_share_a_workspace_share_versions_and_not_champions(
    demo: tuple[Loop, str],
) -> None:
    loop, _ = demo
    (store,) = (loop.root / ".mlops").glob("*/mlflow.db")
    connection = sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)
    versions = connection.execute("select version from model_versions").fetchall()
    tags = dict(
        connection.execute("select key, value from model_version_tags where version = 2").fetchall()
    )
    connection.close()
    assert sorted(versions) == [(1,), (2,)], "promotion makes no copy"
    assert "champion.dev" in tags and "champion.prod" in tags
    for tag in ("gate.dev", "rollout.dev", "gate.prod", "rollout.prod"):
        assert tags[tag] == "passed", tag
    assert tags["promoted_from"] == "dev/2"


def test_the_demo_can_be_run_again(demo: tuple[Loop, str]) -> None:
    loop, _ = demo
    again = loop.json("demo")
    assert [state["champion"]["version"] for state in again["environments"]] == [2, 2]
    assert again["scored_rows"] == 442
    assert '"predictions"' in again["answer"]
