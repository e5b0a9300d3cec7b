"""`mlops serve`: the endpoint over real HTTP, as its clients see it."""

from __future__ import annotations

import http.client
import json
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from .conftest import Loop, Running, eventually, in_state

HEADER = "azureml-model-deployment"


class Server:
    """A running `mlops serve`, and what a client must know of it."""

    def __init__(self, loop: Loop, port: int = 0) -> None:
        self.loop = loop
        self.running: Running = loop.start("serve", "--env", "prod", "--port", str(port))
        self.running.until("Ctrl-C ends it")
        lines = self.running.output().splitlines()
        self.url = next(line.split()[-1] for line in lines if " answers at " in line)
        file = next(line.split()[-1] for line in lines if line.startswith("its key is in "))
        self.key = Path(file).read_text()

    def post(
        self, body: bytes, *, path: str = "/score", key: str | None = "", **headers: str
    ) -> tuple[int, Any, str | None]:
        """Status, answer and the deployment that answered."""
        if key is not None:
            headers["Authorization"] = f"Bearer {key or self.key}"
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        return response.status, answer, response.getheader(HEADER)

    def rows(self, count: int = 1) -> list[dict[str, Any]]:
        from mlops.contract import load_contract

        return load_contract(self.loop.root / "data" / "contract.yml").examples(count)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Both versions in prod: version 1 with 70 % of the traffic, version 2 with 30 %."""
    for loop in in_state("released"):
        state = loop.store("prod") / "endpoint.json"
        content = loop.endpoint("prod")
        content["traffic"] = {"version-1": 70, "version-2": 30}
        state.write_text(json.dumps(content))
        server = Server(loop)
        yield server
        server.running.interrupt()


def request(rows: Any) -> bytes:
    return json.dumps({"input_data": rows}).encode()


def test_rows_are_answered_in_order_by_a_named_deployment(server: Server) -> None:
    rows = server.rows(5)
    for name in ("version-1", "version-2"):
        status, answer, deployment = server.post(request(rows), **{HEADER: name})
        assert (status, deployment) == (200, name)
        alone = [server.post(request([row]), **{HEADER: name})[1] for row in rows]
        assert answer["predictions"] == [one["predictions"][0] for one in alone]
        for prediction in answer["predictions"]:
            shares = [prediction["probability_benign"], prediction["probability_malignant"]]
            assert sum(shares) == pytest.approx(1)
            likely = "benign" if shares[0] > shares[1] else "malignant"
            assert prediction["prediction"] == likely


def test_a_request_without_the_key_is_refused(server: Server) -> None:
    for key in (None, "wrong", "schlüssel".encode().decode("latin-1")):
        status, answer, deployment = server.post(request(server.rows()), key=key)
        assert (status, deployment) == (401, None)
        assert "Authorization: Bearer KEY" in answer["error"]["message"]


def test_an_unknown_path_or_deployment_is_not_found(server: Server) -> None:
    status, answer, _ = server.post(request(server.rows()), path="/predict")
    assert (status, answer["error"]["message"]) == (404, "post to /score")
    status, answer, _ = server.post(request(server.rows()), **{HEADER: "version-9"})
    assert status == 404
    assert "no deployment `version-9`, only: version-1, version-2" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mean_radius": "wide"}, "row 0: `mean_radius`: "),
        ({"mean_radius": None}, "row 0: `mean_radius`: "),
        ({"mean_radius": True}, "row 0: `mean_radius`: "),
        ({"mean_radius": -1}, "row 0: `mean_radius`: "),
        ({"mean_radius": float("nan")}, "row 0: `mean_radius`: "),
        ({"mean_radius": float("inf")}, "row 0: `mean_radius`: "),
        ({"colour": "red"}, "row 0: `colour` is not a feature of the model"),
    ],
)
def test_a_wrong_value_is_named(server: Server, change: dict[str, Any], said: str) -> None:
    status, answer, deployment = server.post(request([{**server.rows()[0], **change}]))
    assert status == 400
    assert said in answer["error"]["message"]
    assert deployment in ("version-1", "version-2")


def test_every_missing_field_is_named(server: Server) -> None:
    row = server.rows()[0]
    del row["mean_area"], row["worst_area"]
    status, answer, _ = server.post(request([row]))
    assert status == 400
    assert [detail["field"] for detail in answer["error"]["details"]] == ["mean_area", "worst_area"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"radius=1", "not JSON"),
        (b"[]", "the request must be a JSON object"),
        (b"{}", "`input_data` is missing"),
        (b'{"input_data": []}', "`input_data`"),
        (b'{"input_data": [], "data": 1}', "unknown key `data`"),
        (b'{"input_data": "\xff"}', "not JSON"),
    ],
)
def test_a_wrong_shape_is_a_bad_request(server: Server, body: bytes, said: str) -> None:
    status, answer, _ = server.post(body)
    assert status == 400
    assert said in answer["error"]["message"]


def test_a_huge_body_is_refused_and_the_deployment_lives_on(server: Server) -> None:
    before = server.loop.processes()
    for size in ((10 << 20) + 1, 30 << 20):
        status, answer, _ = server.post(b" " * size)
        assert status == 413
        assert "larger than 10 MiB; send fewer rows" in answer["error"]["message"]
    status, answer, _ = server.post(b"{}", **{"Content-Length": str(10**15)})
    assert status == 413
    assert server.post(request(server.rows()))[0] == 200
    assert sorted(server.loop.processes()) == sorted(before), "no server was started anew"
    assert "Traceback" not in server.running.output()


def test_the_traffic_is_split_as_set(server: Server) -> None:
    body, asked = request(server.rows()), 300
    answered = Counter(server.post(body)[2] for _ in range(asked))
    # 300 requests at 30 %: 90 and five standard deviations of 7.9.
    assert set(answered) == {"version-1", "version-2"}
    assert 50 <= answered["version-2"] <= 130


def test_servers_listen_on_loopback_only(server: Server) -> None:
    inodes = set()
    for pid in server.loop.processes():
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            if link.is_symlink() and (target := str(link.readlink())).startswith("socket:["):
                inodes.add(target[8:-1])
    addresses = []
    for table in ("tcp", "tcp6"):
        file = Path("/proc/net") / table
        for line in file.read_text().splitlines()[1:] if file.is_file() else []:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                addresses.append(words[1].partition(":")[0])
    assert len(set(addresses)) == 1
    assert addresses[0] == "0100007F", "127.0.0.1 as the kernel writes it"
    assert len(addresses) >= 3, "the router and two servers"


def test_a_port_in_use_is_changed_a_rollback_is_followed_and_ctrl_c_ends_all(
    released: Loop,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = Server(released, port)
    assert f"port {port} is in use; taking {urlsplit(server.url).port}" in server.running.output()
    body = request(server.rows())
    assert server.post(body)[::2] == (200, "version-2")
    released.run("rollback", "--env", "prod")
    assert server.post(body)[::2] == (200, "version-1")
    server.running.interrupt()
    eventually(lambda: not released.processes())
    assert "Traceback" not in server.running.output()


def test_without_traffic_there_is_nothing_to_serve(trained: Loop) -> None:
    refused = trained.run("serve", "--env", "prod", status=3)
    assert "run `mlops deploy --env prod` and `mlops rollout --env prod` first" in refused.stderr
    wrong = trained.run("serve", "--env", "prod", "--port", "70000", status=2)
    assert "Traceback" not in wrong.stderr
