"""Mirrored traffic: a deployment gets copies of requests, and no client notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops.errors import MlopsError
from mlops.workspaces import ModelVersion, Response
from mlops.workspaces.local import serving
from mlops.workspaces.local.endpoints import EndpointStore

from .builders import write

OLD, NEW = "blue", "green"
BODY = b'{"input_data": []}'
SECONDS_AT_MOST = 30


class Servers:
    """Stands in for the processes that serve the deployments: what they got, how they behave."""

    def __init__(self) -> None:
        self.got: dict[str, list[bytes]] = {OLD: [], NEW: []}
        self.started: list[str] = []
        self.stopped: list[str] = []
        self.start: Callable[[], None] = lambda: None
        self.score: Callable[[], None] = lambda: None

    def server(self, _: EndpointStore, name: str, *__: object) -> Server:
        self.started.append(name)
        return Server(self, name)


class Server:
    def __init__(self, servers: Servers, name: str) -> None:
        self.servers, self.name = servers, name

    def wait(self) -> None:
        if self.name == NEW:
            self.servers.start()

    def post(self, body: bytes, test: bool = False) -> tuple[int, bytes]:
        self.servers.got[self.name].append(body)
        if self.name == NEW:
            self.servers.score()
        return 200, self.name.encode()

    def stop(self, *, flush: bool = True) -> None:
        self.servers.stopped.append(self.name)


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Servers:
    servers = Servers()
    monkeypatch.setattr(serving, "ModelServer", servers.server)
    return servers


@pytest.fixture
def store(tmp_path: Path) -> EndpointStore:
    """Two deployments: the old one has the traffic, half of which the new one gets as copies."""
    write(tmp_path / "code" / "score.py", "")
    file = write(tmp_path / "deployment.yml", "code_configuration: {scoring_script: score.py}\n")
    store = EndpointStore(tmp_path / "state", "churn-prod")
    for name in (OLD, NEW):
        store.create(name, ModelVersion("churn", 1, "prod", "run", "now", {}), file, tmp_path)
    store.set_traffic({OLD: 100}, {}, {NEW: 50})
    return store


@pytest.fixture
def router(store: EndpointStore, servers: Servers) -> Iterator[serving.Router]:
    router = serving.Router(store)
    yield router
    router.close()


def ask(router: serving.Router, store: EndpointStore, deployment: str | None = None) -> Response:
    return serving.post(router.port, store.key(), BODY, deployment)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_AT_MOST
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def test_the_mirrored_deployment_gets_its_share_and_clients_see_the_old_one_only(
    router: serving.Router, store: EndpointStore, servers: Servers
) -> None:
    answers = [ask(router, store) for _ in range(300)]
    assert {(a.status, a.body, a.deployment) for a in answers} == {(200, OLD, OLD)}
    assert servers.got[OLD] == [BODY] * 300
    # 300 requests at 50 %: 150 and five standard deviations of 8.7.
    eventually(lambda: len(servers.got[NEW]) >= 107)
    assert len(servers.got[NEW]) <= 193
    assert set(servers.got[NEW]) == {BODY}
    assert servers.started == [OLD, NEW]


def test_a_request_to_one_deployment_or_without_the_key_is_not_copied(
    router: serving.Router, store: EndpointStore, servers: Servers
) -> None:
    for _ in range(50):
        assert ask(router, store, OLD).deployment == OLD
        assert ask(router, store, NEW).deployment == NEW
        assert serving.post(router.port, "wrong", BODY, None).status == 401
    assert (len(servers.got[OLD]), len(servers.got[NEW])) == (50, 50)


def test_a_changed_mirror_counts_from_the_next_request(
    router: serving.Router, store: EndpointStore, servers: Servers
) -> None:
    store.set_traffic({OLD: 100}, {})
    for _ in range(50):
        ask(router, store)
    assert servers.got[NEW] == []
    store.set_traffic({OLD: 100}, {}, {NEW: 50})
    eventually(lambda: ask(router, store).status == 200 and len(servers.got[NEW]) > 0)
    store.delete(NEW)
    assert {ask(router, store).deployment for _ in range(50)} == {OLD}
    assert servers.stopped == [NEW]


def raises(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("start", MlopsError("the model's server does not run")),
        ("score", ConnectionResetError("it crashed")),
        ("score", TimeoutError("it hangs")),
    ],
)
def test_a_mirrored_deployment_that_fails_disturbs_nobody(
    router: serving.Router, store: EndpointStore, servers: Servers, step: str, error: Exception,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    setattr(servers, step, raises(error))
    router.start_servers()
    answers = [ask(router, store) for _ in range(100)]
    assert {(a.status, a.body, a.deployment) for a in answers} == {(200, OLD, OLD)}
    assert OLD not in servers.stopped
    assert capfd.readouterr() == ("", "")
    # It is given further copies: when it is well again, it gets them.
    setattr(servers, step, lambda: None)
    before = len(servers.got[NEW])
    eventually(lambda: ask(router, store).status == 200 and len(servers.got[NEW]) > before)


@pytest.mark.parametrize("step", ["start", "score"])
def test_a_mirrored_deployment_that_hangs_delays_nobody_and_copies_do_not_pile_up(
    router: serving.Router, store: EndpointStore, servers: Servers, step: str
) -> None:
    free = threading.Event()
    setattr(servers, step, lambda: free.wait(SECONDS_AT_MOST) and None)
    threads = threading.active_count()
    router.start_servers()
    started = time.monotonic()
    answers = [ask(router, store) for _ in range(200)]
    assert time.monotonic() - started < SECONDS_AT_MOST / 2
    assert {(a.status, a.deployment) for a in answers} == {(200, OLD)}
    assert threading.active_count() <= threads + serving.COPIES_AT_ONCE + 2
    free.set()
    # The copies that could not be sent were dropped, and later ones are sent again.
    eventually(lambda: len(servers.got[NEW]) == serving.COPIES_AT_ONCE)
    eventually(lambda: threading.active_count() <= threads + 1)
    eventually(
        lambda: ask(router, store).status == 200 and len(servers.got[NEW]) > serving.COPIES_AT_ONCE
    )


def test_a_closed_router_starts_no_server_for_a_copy(
    store: EndpointStore, servers: Servers
) -> None:
    router = serving.Router(store)
    router.close()
    with pytest.raises(MlopsError):
        router.start_server(NEW)
    assert servers.started == []
