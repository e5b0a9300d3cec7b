"""Who signs in, with which tokens, and who may do what."""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from dataclasses import dataclass

from tests.azure.messages import API, ARM, BLOBS, SCORING, Answer, Refusal, Request
from tests.azure.resources import TYPES, kinds_of

# Which audiences a token may have for a host; the first ending that fits counts.
AUDIENCES = {
    ARM: ("https://management.azure.com", "https://management.core.windows.net"),
    API: ("https://management.azure.com", "https://management.core.windows.net",
          "https://ml.azure.com"),
    SCORING: ("https://ml.azure.com",),
    BLOBS: ("https://storage.azure.com",),
}  # fmt: skip
ACTIONS = {"GET": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete", "POST": "action"}
SECONDS_OF_A_TOKEN = 86400


@dataclass
class Identity:
    """Someone who signs in. `allowed`: patterns of "METHOD path"; None allows all."""

    object_id: str
    tenant: str
    allowed: list[str] | None = None

    def may(self, request: Request) -> bool:
        return self.allowed is None or any(
            re.fullmatch(pattern, request.line, re.IGNORECASE) for pattern in self.allowed
        )


class Identities:
    """The identities of a tenant, by the names that tests give them."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._known: dict[str, Identity] = {}

    def __getitem__(self, name: str) -> Identity:
        """The identity of this name; made when it is first asked for."""
        made = Identity(str(uuid.uuid5(uuid.NAMESPACE_DNS, name)), self._tenant)
        return self._known.setdefault(name, made)

    def sign_in(self, request: Request) -> Answer:
        """A token, as the identity endpoint of an Azure machine gives it."""
        name = request.headers.get("X-IDENTITY-HEADER", "")
        if name in ("", "nobody"):
            return Answer(400, {"statusCode": 400, "message": "No managed identity found."})
        expires = int(time.time()) + SECONDS_OF_A_TOKEN
        return Answer(
            200,
            {"access_token": self.token(name, request.query["resource"], expires),
             "expires_on": str(expires), "resource": request.query["resource"],
             "token_type": "Bearer", "client_id": self[name].object_id},
        )  # fmt: skip

    def token(self, name: str, audience: str, expires: int | None = None) -> str:
        """An unsigned token."""
        who = self[name]
        claims = {"aud": audience, "oid": who.object_id, "appid": who.object_id, "name": name,
                  "tid": who.tenant, "exp": expires or int(time.time()) + SECONDS_OF_A_TOKEN}  # fmt: skip
        parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
                 for part in ({"alg": "none", "typ": "JWT"}, claims)]  # fmt: skip
        return ".".join([*parts, "AAAA"])

    def check(self, request: Request) -> None:
        """Refuse a request without a token, with one for another host or tenant, or that its
        identity may not send."""
        claims = request.claims
        if claims is None:
            raise Refusal(401, "AuthenticationFailed", "The 'Authorization' header is missing.")
        audiences = next((AUDIENCES[end] for end in AUDIENCES if request.host.endswith(end)), ())
        if claims["aud"].rstrip("/") not in audiences:
            raise Refusal(401, "InvalidAuthenticationTokenAudience", "The access token has been "
                          f"obtained for wrong audience or resource '{claims['aud']}'.")  # fmt: skip
        if claims["tid"] != self._tenant:
            issuer = f"https://sts.windows.net/{claims['tid']}/"
            raise Refusal(
                401, "InvalidAuthenticationTokenTenant",
                f"The access token is from the wrong issuer '{issuer}'. It must match the tenant "
                f"'https://sts.windows.net/{self._tenant}/' associated with this subscription.",
            )  # fmt: skip
        who = self[request.identity]
        if not who.may(request):
            kinds = "/".join(kinds_of(request.path)) or "unknown"
            action = f"{TYPES}{kinds}/{ACTIONS.get(request.method, 'read')}"
            raise Refusal(
                403, "AuthorizationFailed",
                f"The client '{who.object_id}' with object id '{who.object_id}' does not have "
                f"authorization to perform action '{action}' over scope '{request.path}' or the "
                "scope is invalid. If access was recently granted, please refresh your credentials.",
            )  # fmt: skip
