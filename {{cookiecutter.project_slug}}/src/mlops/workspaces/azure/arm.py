"""Azure Resource Manager, for what azure-ai-ml does not ask it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


class Arm:
    """Sends requests, as who is signed in, and repeats those that fail for a moment."""

    def __init__(self, credential: Any) -> None:
        from azure.ai.ml._azure_environments import (
            _get_base_url_from_metadata,
            _resource_to_scopes,
        )
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy

        self._base = _get_base_url_from_metadata().rstrip("/")
        scopes = _resource_to_scopes(self._base)
        sign_in = BearerTokenCredentialPolicy(credential, *scopes)
        self._client: Any = PipelineClient(self._base, policies=[RetryPolicy(), sign_in])

    def list(self, path: str) -> Iterator[Any]:
        """The entries of a list, over all its pages.

        Raises:
            HttpResponseError: Azure said no.
        """
        address: str | None = f"{self._base}{path}"
        while address:
            answer = self._ask(address)
            yield from answer.get("value", [])
            address = answer.get("nextLink")

    def get(self, path: str, **query: str) -> Any:
        """What a path answers to a query.

        Raises:
            HttpResponseError: Azure said no.
        """
        from urllib.parse import quote, urlencode

        return self._ask(f"{self._base}{path}?{urlencode(query, quote_via=quote)}")

    def _ask(self, address: str) -> Any:
        from azure.core.exceptions import HttpResponseError
        from azure.core.rest import HttpRequest

        response = self._client.send_request(HttpRequest("GET", address))
        if response.status_code != 200:
            raise HttpResponseError(response=response)
        return json.loads(response.text())
