"""The sign-in to Azure, kept alive where it would end before a long job does: in GitHub Actions.

There, `az` is signed in with a token of GitHub about the job, which is valid for minutes. `az`
presents it whenever it needs an access token: the first one for a resource, and after an hour or so
the next. By then Azure refuses it (AADSTS700024). So whoever is about to need access tokens renews
the sign-in first, with a fresh token of GitHub, which the job may ask for as long as it runs.

Azure DevOps does the same by itself: `keepAzSessionActive` of the task AzureCLI@2.

Source: GitHub, "OpenID Connect reference"; azure-cli, `az login --federated-token`, and its issue
28708.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlops.errors import MlopsError, redact

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

ADDRESS, BEARER = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
AUDIENCE = "api://AzureADTokenExchange"
SECONDS = 180.0  # GitHub's token is valid for five minutes, and may be needed in the last of ours
PATIENCE = 30.0  # seconds for an answer of GitHub


class _Principal(NamedTuple):
    """Whom `az` is signed in as."""

    client: str
    tenant: str


_lock = threading.Lock()
_renewed: float | None = None  # when it was last tried, by the monotonic clock


def renew() -> None:
    """Sign `az` in again where that is needed and was not done in the last three minutes.

    Outside GitHub Actions, and where `az` is signed in as a person, nothing. A failure is a line on
    standard error and no more: what was signed in before may last.
    """
    global _renewed
    if not (os.environ.get(ADDRESS) and os.environ.get(BEARER)):
        return
    with _lock:
        if _renewed is not None and time.monotonic() - _renewed < SECONDS:
            return
        _renewed = time.monotonic()
        try:
            _sign_in()
        except (MlopsError, OSError, ValueError) as error:
            said = redact(getattr(error, "stderr", "") or str(error)).splitlines()[:1]
            reason = said[0] if said else type(error).__name__
            print(f"the sign-in to Azure was not renewed: {reason}", file=sys.stderr, flush=True)


def open_credential() -> TokenCredential:
    """What the SDK signs in with: it renews the sign-in before it asks for an access token."""
    from azure.identity import DefaultAzureCredential

    class Renewing(DefaultAzureCredential):
        def get_token(self, *scopes: str, **more: Any) -> Any:
            renew()
            return super().get_token(*scopes, **more)

        def get_token_info(self, *scopes: str, **more: Any) -> Any:
            renew()
            return super().get_token_info(*scopes, **more)

    return Renewing()


def _sign_in() -> None:
    from mlops.tools import run

    principal = _who()
    if principal is None:
        return
    # `@-` is what `az` reads from its standard input: arguments are seen by every process.
    arguments = [
        "login", "--service-principal", "--username", principal.client,
        "--tenant", principal.tenant, "--federated-token", "@-",
        "--allow-no-subscriptions", "--output", "none",
    ]  # fmt: skip
    run("az", arguments, stdin=_token_of_github(), root=Path.cwd())


@functools.cache
def _who() -> _Principal | None:
    """The service principal that `az` is signed in as; None where that is a person, or nobody."""
    from mlops.tools import ask

    try:
        account = ask("az", ["account", "show", "--output", "json"], root=Path.cwd())
        user = account["user"]
        is_service = user["type"] == "servicePrincipal"
        return _Principal(user["name"], account["tenantId"]) if is_service else None
    except (MlopsError, KeyError, TypeError):
        return None


def _token_of_github() -> str:
    """A fresh token about this job, for Azure."""
    import requests

    answer = requests.get(
        os.environ[ADDRESS],
        params={"audience": AUDIENCE},
        headers={"Authorization": f"bearer {os.environ[BEARER]}"},
        timeout=PATIENCE,
    )
    if answer.status_code != 200:
        raise ValueError(f"GitHub answered {answer.status_code}")
    said = answer.json()
    if not isinstance(said, dict) or not said.get("value"):
        raise ValueError("GitHub answered without a token")
    return str(said["value"])
