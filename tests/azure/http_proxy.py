"""The server: speaks HTTP on its port, and TLS with those who ask for a host of Azure."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.azure.certificates import Certificates
from tests.azure.messages import Answer, Request
from tests.azure.services import HOST


class HttpProxy:
    """A proxy that answers itself, for all hosts."""

    def __init__(self, answer: Callable[[Request], Answer], certificates: Certificates) -> None:
        self._server = _Server((HOST, 0), _Handler)
        self._server.answer, self._server.certificates = answer, certificates
        self.url = f"http://{HOST}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    answer: Callable[[Request], Answer]
    certificates: Certificates

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    host = ""

    def do_CONNECT(self) -> None:
        self.host = self.path.partition(":")[0]
        self.send_response(200)
        self.end_headers()
        context = self.server.certificates.context(self.host)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.close_connection = False

    def finish(self) -> None:
        with suppress(OSError, ssl.SSLError):
            super().finish()
        self.connection.close()

    def serve(self) -> None:
        answer = self.server.answer(self._request())
        if answer.cut == "drop after":
            self.close_connection = True
        else:
            self._send(answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = serve  # noqa: N815

    def _request(self) -> Request:
        address = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        return Request(
            self.command, self.host, unquote(address.path), query, self.headers, content, self.path
        )

    def _send(self, answer: Answer) -> None:
        body = answer.content
        if not isinstance(body, bytes):
            body = b"" if body is None else json.dumps(body).encode()
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if answer.cut == "drop":
            body, self.close_connection = body[: len(body) // 2], True
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """The log is `StandIn.requests`."""
