"""The sign-in to Azure in GitHub Actions: renewed before it ends, quietly, and never shown."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlops.workspaces.azure import jobs, sign_in

CLIENT, TENANT = "aaaaaaaa-1111-2222-3333-444444444444", "bbbbbbbb-1111-2222-3333-444444444444"
GIVEN = "a-token-of-github"
LOGIN = (
    f"login --service-principal --username {CLIENT} --tenant {TENANT} --federated-token @- "
    "--allow-no-subscriptions --output none"
)


class GitHub:
    """The part of GitHub that gives a job a token, and what it was asked."""

    def __init__(self) -> None:
        self.answer: tuple[int, object] = (200, {"value": GIVEN, "count": 1})
        self.asked: list[tuple[str, str]] = []
        github = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                github.asked.append((self.path, self.headers.get("Authorization", "")))
                status, body = github.answer
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/token?api-version=2.0"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


class Az:
    """An `az` that is signed in as somebody, and what it was called with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.signed_in("servicePrincipal")

    def signed_in(self, kind: str, login: str = "exit 0") -> None:
        account = {"user": {"name": CLIENT, "type": kind}, "tenantId": TENANT}
        az = self.folder / "az"
        az.write_text(
            f'#!/bin/sh\necho "$@" >> "{self.folder}/calls"\n'
            f"if [ \"$1\" = account ]; then echo '{json.dumps(account)}'; exit 0; fi\n"
            f'cat >> "{self.folder}/stdin"\n{login}\n'
        )
        az.chmod(0o755)

    def read(self, name: str) -> list[str]:
        file = self.folder / name
        return file.read_text().splitlines() if file.is_file() else []

    @property
    def logins(self) -> list[str]:
        return [call for call in self.read("calls") if call.startswith("login")]


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    made = GitHub()
    monkeypatch.setenv(sign_in.ADDRESS, made.address)
    monkeypatch.setenv(sign_in.BEARER, "the-bearer-of-the-job")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(sign_in, "_renewed", None)
    sign_in._who.cache_clear()
    yield made
    sign_in._who.cache_clear()
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def az(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Az:
    made = Az(tmp_path / "az")
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    return made


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let this much time have passed since the last renewal."""
    assert sign_in._renewed is not None
    monkeypatch.setattr(sign_in, "_renewed", sign_in._renewed - seconds)


def test_a_fresh_token_signs_in_again(
    github: GitHub, az: Az, capfd: pytest.CaptureFixture[str]
) -> None:
    sign_in.renew()
    assert github.asked == [
        (
            "/token?api-version=2.0&audience=api%3A%2F%2FAzureADTokenExchange",
            "bearer the-bearer-of-the-job",
        )
    ]
    assert az.logins == [LOGIN]
    # The token is on the standard input: not in the arguments, nor on the terminal.
    assert az.read("stdin") == [GIVEN]
    assert capfd.readouterr() == ("", "")


def test_it_is_renewed_only_when_github_s_token_is_about_to_end(
    github: GitHub, az: Az, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        sign_in.renew()
    assert len(az.logins) == 1
    later(monkeypatch, sign_in.SECONDS + 1)
    sign_in.renew()
    assert len(az.logins) == 2
    assert len(github.asked) == 2
    asked = [call for call in az.read("calls") if call.startswith("account show")]
    assert len(asked) == 1, "who is signed in does not change"
    assert sign_in.SECONDS < 300, "as long as a token of GitHub is valid"


def test_elsewhere_nothing_is_done(github: GitHub, az: Az, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(sign_in.BEARER)
    sign_in.renew()
    assert not github.asked and not az.read("calls")


@pytest.mark.parametrize("kind", ["user", "nobody"])
def test_who_is_signed_in_otherwise_stays_signed_in(
    kind: str, github: GitHub, az: Az, capfd: pytest.CaptureFixture[str]
) -> None:
    az.signed_in(kind)
    if kind == "nobody":
        (az.folder / "az").write_text('#!/bin/sh\necho "Please run az login" >&2\nexit 1\n')
    sign_in.renew()
    assert not github.asked and not az.logins
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("answer", "login", "reason"),
    [
        ((500, {}), "exit 0", "GitHub answered 500"),
        ((200, {"count": 0}), "exit 0", "GitHub answered without a token"),
        ((200, ["no", "object"]), "exit 0", "GitHub answered without a token"),
        (None, "echo 'ERROR: AADSTS700016: no such application' >&2; exit 1", "AADSTS700016"),
        (None, "exit 1", ""),
    ],
)
def test_a_failure_is_one_line_and_not_the_end(
    answer: tuple[int, object] | None, login: str, reason: str,
    github: GitHub, az: Az, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    github.answer = answer or github.answer
    az.signed_in("servicePrincipal", login)
    sign_in.renew()
    said = capfd.readouterr().err
    assert said.startswith("the sign-in to Azure was not renewed: ") and reason in said
    assert said.count("\n") == 1 and GIVEN not in said and "bearer" not in said
    sign_in.renew()
    assert capfd.readouterr().err == "", "it is not tried again at once"


def test_github_that_cannot_be_reached_is_no_reason_to_stop(
    github: GitHub, az: Az, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(sign_in.ADDRESS, "http://127.0.0.1:9/token?api-version=2.0")
    sign_in.renew()
    assert "was not renewed" in capfd.readouterr().err
    assert not az.logins


def test_a_job_s_end_renews_for_what_comes_then(monkeypatch: pytest.MonkeyPatch) -> None:
    renewed: list[str] = []
    monkeypatch.setattr(jobs, "renew", lambda: renewed.append("once"))
    done: Any = SimpleNamespace(status="Completed", name="job")
    client: Any = SimpleNamespace(
        jobs=SimpleNamespace(get=lambda _: done, list=lambda parent_job_name: [])
    )
    assert jobs.follow(client, "job", print) == (done, {})
    assert renewed == ["once"]


def test_the_sdk_asks_for_a_token_after_the_renewal(
    github: GitHub, az: Az, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = pytest.importorskip("azure.identity")
    order: list[str] = []
    monkeypatch.setattr(sign_in, "renew", lambda: order.append("renewed"))
    monkeypatch.setattr(
        identity.DefaultAzureCredential, "get_token", lambda *_, **__: order.append("token")
    )
    monkeypatch.setattr(
        identity.DefaultAzureCredential, "get_token_info", lambda *_, **__: order.append("info")
    )
    credential = sign_in.open_credential()
    credential.get_token("https://management.azure.com/.default")
    credential.get_token_info("https://management.azure.com/.default")  # type: ignore[attr-defined]
    assert order == ["renewed", "token", "renewed", "info"]
