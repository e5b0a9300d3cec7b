"""The registry: one version per digest, one champion per environment."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from mlops.workspaces.local.tracking import create_store
from mlops.workspaces.registry import Registry, quiet_mlflow

MODEL = "churn-model"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("store")
    create_store(folder / "mlflow.db", folder / "artifacts")
    return f"sqlite:///{(folder / 'mlflow.db').as_posix()}"


@pytest.fixture
def client(store: str) -> Any:
    quiet_mlflow()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(store)
    with contextlib.suppress(MlflowException):  # the first test finds none
        client.delete_registered_model(MODEL)
    return client


def registry(client: Any, environment: str = "dev") -> Registry:
    settings = SimpleNamespace(model=MODEL)
    return Registry(client, SimpleNamespace(name=environment, settings=settings))  # type: ignore[arg-type]


def register(client: Any, digest: str, environment: str = "dev") -> Any:
    run = client.create_run("0")
    tags = {"model_digest": digest, f"gate.{environment}": "passed"}
    return registry(client, environment).register(run.info.run_id, tags)


def test_the_same_files_are_one_version(client: Any) -> None:
    assert [register(client, digest).number for digest in ("a", "b", "a")] == [1, 2, 1]


def test_a_version_that_was_made_twice_by_a_lost_answer_stays_once(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = client.create_model_version

    def twice(*arguments: Any, **named: Any) -> Any:
        create(*arguments, **named)
        return create(*arguments, **named)

    monkeypatch.setattr(client, "create_model_version", twice)
    assert register(client, "a").number == 1
    assert [version.number for version in registry(client).versions()] == [1]


def test_the_champion_is_the_last_that_was_set_in_the_environment(client: Any) -> None:
    first, second = register(client, "a"), register(client, "b")
    dev, prod = registry(client, "dev"), registry(client, "prod")
    assert dev.champion() is None
    for version in (first, second, second, first):
        dev.set_champion(version)
        champion = dev.champion()
        assert champion is not None and champion.number == version.number
    assert prod.champion() is None


def test_a_champion_of_an_older_release_is_known_by_its_alias(client: Any) -> None:
    first, second = register(client, "a"), register(client, "b")
    client.set_registered_model_alias(MODEL, "champion-dev", "2")
    dev = registry(client)
    champion = dev.champion()
    assert champion is not None and champion.number == second.number
    dev.set_champion(first)
    champion = dev.champion()
    assert champion is not None and champion.number == first.number


def test_a_champion_that_was_deleted_leaves_the_one_before(client: Any) -> None:
    first, second = register(client, "a"), register(client, "b")
    dev = registry(client)
    dev.set_champion(first)
    dev.set_champion(second)
    client.delete_model_version(MODEL, "2")
    champion = dev.champion()
    assert champion is not None and champion.number == 1
