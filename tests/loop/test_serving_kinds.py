"""`mlops demo` and the commands after it, in projects with one kind of endpoint only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import SCRATCH, copy_of, generated
from tests.engine.builders import serve_only, write

from .conftest import Loop

pytestmark = pytest.mark.slow

INFERENCE_SERVER = "azureml_inference_server_http.py"
ENVIRONMENTS = ["dev", "staging", "prod"]


def after_the_demo(kind: str, **variables: str) -> Iterator[tuple[Loop, str]]:
    """A project with one kind of endpoint in which the demo has run once, and its account."""
    root = serve_only(copy_of(generated(), SCRATCH / f"{kind}-only"), kind)
    loop = Loop(root)
    yield loop, loop.run("demo", **variables).stdout
    loop.end()
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Loop, str]]:
    """With batch endpoints only; the inference server, which it does not need, is not there."""
    hidden = tmp_path_factory.mktemp("hidden")
    write(hidden / INFERENCE_SERVER, "raise ImportError('it is not installed')\n")
    source = SCRATCH / "batch-only" / generated().name / "src"
    yield from after_the_demo("batch", PYTHONPATH=f"{hidden}:{source}")


@pytest.fixture(scope="module")
def online() -> Iterator[tuple[Loop, str]]:
    """With online endpoints only."""
    yield from after_the_demo("online")


def next_commands(account: str) -> list[list[str]]:
    """The commands that the account ends with, as words."""
    _, _, commands = account.partition("Try next\n")
    return [line.split()[1:] for line in commands.splitlines()]


def test_with_batch_endpoints_the_account_speaks_of_no_traffic(batch: tuple[Loop, str]) -> None:
    _, account = batch
    for name in ENVIRONMENTS:
        assert f"  {name}: version 2 (trained as dev/2) " in account
    assert account.count("accepted") == 6
    assert "569 rows scored" in account
    for word in ("traffic", "deploy", "endpoint", "roll", "invoke", "serve"):
        assert word not in account.partition("Try next")[0], word


def test_with_batch_endpoints_the_test_in_batches_makes_the_champion(
    batch: tuple[Loop, str],
) -> None:
    loop, _ = batch
    states = loop.json("status")
    assert [state["environment"] for state in states] == ENVIRONMENTS
    assert [state["champion"]["version"] for state in states] == [2, 2, 2]
    assert [state["endpoint"] for state in states] == [None, None, None]
    assert "traffic" not in loop.run("status").stdout
    assert [state["versions"][-1]["batch"] for state in states] == ["", "passed", "passed"]


def test_with_batch_endpoints_the_commands_that_are_named_work(batch: tuple[Loop, str]) -> None:
    loop, account = batch
    status, score, ui = next_commands(account)
    assert (status, ui) == (["status"], ["ui", "--env", "dev"])
    assert score[:3] == ["score", "--env", "prod"]
    assert "569 rows scored with churn-model version 2" in loop.run(*score).stdout
    assert len(pd.read_csv(loop.root / score[-1])) == 569


def test_with_batch_endpoints_an_earlier_version_comes_back_through_its_tests(
    batch: tuple[Loop, str],
) -> None:
    loop, _ = batch
    back = loop.run("promote", "--from", "staging", "--version", "1").stdout
    assert "against prod's champion, version 2" in back
    assert back.endswith("next: mlops test --env prod --version 1\n")
    assert loop.json("status", "--env", "prod")[0]["champion"]["version"] == 2
    serving = loop.run("test", "--env", "prod").stdout
    assert "batch-test in prod: accepted version 2" in serving, "what serves, not the newest"
    tested = loop.run("test", "--env", "prod", "--version", "1").stdout
    assert "passed  answers as churn-model version 2: " in tested
    assert loop.json("status", "--env", "prod")[0]["champion"]["version"] == 1
    forward = loop.run("promote", "--from", "staging").stdout
    assert "dev/2 is now churn-model version 2 of prod" in forward
    again = loop.run("promote", "--from", "dev").stdout
    assert again.endswith("next: mlops test --env staging --version 2\n")


def test_with_batch_endpoints_every_online_command_is_wrong_usage(batch: tuple[Loop, str]) -> None:
    loop, _ = batch
    for command in ("deploy", "rollout", "rollback", "serve", "invoke"):
        refused = loop.run(command, "--env", "prod", status=2)
        assert "environments/prod.yml:" in refused.stderr
        assert "`prod` has no online endpoint" in refused.stderr
        assert "`mlops score --env prod` scores tables" in refused.stderr


def test_with_online_endpoints_the_account_speaks_of_no_batch(online: tuple[Loop, str]) -> None:
    loop, account = online
    assert "version-1 0 %, version-2 100 %" in account
    assert "roll back in prod, and forward again" in account
    assert '{"predictions": [{"prediction": ' in account
    for word in ("batch", "scored", "score in"):
        assert word not in account, word
    assert next_commands(account) == [
        ["status"],
        ["serve", "--env", "prod"],
        ["ui", "--env", "dev"],
    ]
    assert "version-2: 100 %" in loop.run("status").stdout


def test_with_online_endpoints_scoring_is_wrong_usage(online: tuple[Loop, str]) -> None:
    loop, _ = online
    table = Path("data") / "sample.parquet"
    refused = loop.run(
        "score", "--env", "prod", "--input", str(table), "--output", "o.csv", status=2
    )
    assert "`prod` has no batch endpoint" in refused.stderr
    assert "`mlops invoke --env prod` sends rows" in refused.stderr
    assert not (loop.root / "o.csv").exists()


def test_what_did_not_happen_is_null_in_the_record(batch: tuple[Loop, str]) -> None:
    loop, _ = batch
    again = loop.json("demo", "--env", "dev")
    assert (again["answer"], again["scored_rows"]) == (None, 569)
