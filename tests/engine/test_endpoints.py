from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from mlops import files
from mlops.errors import MlopsError
from mlops.workspaces import Deployment, Endpoint, ModelVersion
from mlops.workspaces.local.endpoints import EndpointStore

from .builders import write

VERSION = ModelVersion("churn", 7, "dev", "run", "now", {})


@pytest.fixture
def deployment(tmp_path: Path) -> Path:
    """A deployment file; beside it, the files of a version with their code."""
    write(tmp_path / "code" / "score.py", "old")
    return write(
        tmp_path / "deployment.yml",
        "code_configuration: {code: ./code, scoring_script: score.py}\n"
        "environment_variables: {THREADS: 1}\n",
    )


@pytest.fixture
def store(tmp_path: Path) -> EndpointStore:
    return EndpointStore(tmp_path / "state", "churn-dev")


def test_an_endpoint_that_was_never_written_is_empty(store: EndpointStore) -> None:
    endpoint = store.read()
    assert (endpoint.name, endpoint.deployments, endpoint.traffic) == ("churn-dev", {}, {})


def test_a_new_deployment_has_no_traffic(
    store: EndpointStore, deployment: Path, tmp_path: Path
) -> None:
    store.create("blue", VERSION, deployment, tmp_path)
    endpoint = store.read()
    assert endpoint.deployments["blue"].version == 7
    assert not endpoint.traffic.get("blue")
    assert store.served("blue") == {
        "scoring_script": "score.py", "environment_variables": {"THREADS": "1"},
        "model_folder": str(tmp_path.resolve()),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "collected"),
    [
        ("", None),
        ("data_collector: {collections: {}}", None),
        ("data_collector: {collections: {model_inputs: {enabled: 'false'}}}", None),
        (
            "data_collector: {sampling_rate: 0.25, collections: {Model_Inputs: {enabled: 'True'}, "
            "model_outputs: {enabled: false}, extra: {enabled: true}}}",
            {"model_inputs": 25, "extra": 25},
        ),
        ("data_collector: {collections: {model_outputs: {enabled: 'true'}}}",
         {"model_outputs": 100}),
    ],
)  # fmt: skip
def test_the_data_collector_is_configured_as_the_deployment_says(
    store: EndpointStore, deployment: Path, tmp_path: Path, said: str,
    collected: dict[str, float] | None,
) -> None:  # fmt: skip
    with deployment.open("a") as stream:
        stream.write(said)
    store.create("blue", VERSION, deployment, tmp_path)
    file = store.collector_of("blue")
    assert (file is None) == (collected is None)
    if file and collected:
        assert files.read_json(file)["collections"] == {
            name: {"enabled": True, "sampleRatePercentage": percent}
            for name, percent in collected.items()
        }


def test_deployed_code_is_a_copy_that_later_edits_do_not_change(
    store: EndpointStore, deployment: Path, tmp_path: Path
) -> None:
    store.create("blue", VERSION, deployment, tmp_path)
    write(tmp_path / "code" / "score.py", "new")
    assert (store.code_of("blue") / "score.py").read_text() == "old"
    store.create("blue", VERSION, deployment, tmp_path)
    assert (store.code_of("blue") / "score.py").read_text() == "new"


def test_traffic_and_tags_survive_another_deployment(
    store: EndpointStore, deployment: Path, tmp_path: Path
) -> None:
    store.create("blue", VERSION, deployment, tmp_path)
    store.tag("blue", {"smoke": "passed"})
    store.tag("blue", {"rollout": "passed"})
    store.set_traffic({"blue": 100}, {"previous": "none"})
    store.create("green", VERSION, deployment, tmp_path)
    endpoint = store.read()
    assert endpoint.traffic == {"blue": 100}
    assert endpoint.tags == {"previous": "none"}
    assert endpoint.deployments["blue"].tags == {"smoke": "passed", "rollout": "passed"}


def test_a_deployment_with_traffic_is_not_deleted_nor_made_anew(
    store: EndpointStore, deployment: Path, tmp_path: Path
) -> None:
    store.create("blue", VERSION, deployment, tmp_path)
    store.set_traffic({"blue": 1}, {})
    for change in (
        lambda: store.delete("blue"),
        lambda: store.create("blue", VERSION, deployment, tmp_path),
    ):
        with pytest.raises(MlopsError, match="`blue` gets traffic"):
            change()
    assert (store.code_of("blue") / "score.py").is_file()
    assert "blue" in store.read().deployments


def test_a_deleted_deployment_is_gone_with_its_code_and_its_share(
    store: EndpointStore, deployment: Path, tmp_path: Path
) -> None:
    store.create("blue", VERSION, deployment, tmp_path)
    store.set_traffic({"blue": 0}, {})
    store.delete("blue")
    assert store.read().deployments == {}
    assert store.read().traffic == {}
    assert not store.folder_of("blue").exists()


def test_mirrored_traffic_is_set_with_the_traffic_and_ends_with_the_next_change(
    store: EndpointStore, deployment: Path, tmp_path: Path
) -> None:
    for name in ("blue", "green"):
        store.create(name, VERSION, deployment, tmp_path)
    store.set_traffic({"blue": 100}, {"previous": "blue"}, {"green": 10})
    assert store.read().mirror == {"green": 10}
    store.tag("green", {"smoke": "passed"})
    assert store.read().mirror == {"green": 10}
    store.set_traffic({"blue": 90, "green": 10}, {})
    assert store.read().mirror == {}
    store.set_traffic({"blue": 100}, {}, {"green": 10})
    store.delete("green")
    assert (store.read().traffic, store.read().mirror) == ({"blue": 100}, {})


@pytest.mark.parametrize(
    ("mirror", "said"),
    [
        ({"red": 10}, "has no deployment red"),
        ({"green": 51}, "at most 50 %"),
        ({"blue": 10}, "one deployment that gets none itself"),
        ({"green": 10, "black": 10}, "to one deployment"),
    ],
)
def test_what_azure_would_not_mirror_is_refused(
    store: EndpointStore, deployment: Path, tmp_path: Path, mirror: dict[str, int], said: str
) -> None:
    for name in ("blue", "green", "black"):
        store.create(name, VERSION, deployment, tmp_path)
    with pytest.raises(MlopsError, match=said):
        store.set_traffic({"blue": 100}, {}, mirror)
    assert (store.read().traffic, store.read().mirror) == ({}, {})


def test_a_state_from_before_there_was_mirrored_traffic_can_be_read(
    store: EndpointStore, deployment: Path, tmp_path: Path
) -> None:
    store.create("blue", VERSION, deployment, tmp_path)
    store.set_traffic({"blue": 100}, {"previous": "none"})
    file = store.folder / "endpoint.json"
    state = json.loads(file.read_text())
    assert state.pop("mirror") == {}
    file.write_text(json.dumps(state))
    endpoint = store.read()
    assert (endpoint.traffic, endpoint.mirror) == ({"blue": 100}, {})
    assert endpoint.tags == {"previous": "none"}


def test_a_state_that_cannot_be_written_stays_as_it_was(
    store: EndpointStore, deployment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    store.create("blue", VERSION, deployment, tmp_path)
    store.set_traffic({"blue": 100}, {})
    before = store.read()
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.set_traffic({"blue": 0}, {})
    assert store.read() == before
    assert {path.name for path in store.folder.iterdir()} == {"blue", "endpoint.json"}


def test_the_key_is_made_once_and_only_its_owner_can_read_it(store: EndpointStore) -> None:
    key = store.key()
    assert len(key) >= 32
    assert store.key() == key
    assert stat.S_IMODE((store.folder / "key").stat().st_mode) == 0o600
    assert EndpointStore(store.folder.parent, "other").key() != key


def test_the_deployment_in_use_has_most_of_the_traffic() -> None:
    both = {name: Deployment(name, 1, "now") for name in ("one", "two")}
    assert Endpoint("e", both, {"one": 10, "two": 90}).in_use == both["two"]
    assert Endpoint("e", both, {"one": 0, "two": 0}).in_use is None
    assert Endpoint("e").in_use is None
