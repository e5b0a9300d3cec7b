"""What a message may not say, and what it may."""

from __future__ import annotations

import pytest

from mlops.errors import redact

VALUE = "dGhpc0lzQVNlY3JldEtleTEyMw=="


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {VALUE}",
        f'{{"primaryKey": "{VALUE}", "secondaryKey": "x"}}',
        f"{{'access_token': '{VALUE}'}}",
        f"DefaultEndpointsProtocol=https;AccountKey={VALUE};",
        f"https://account.blob.core.windows.net/c?sv=2024&sig={VALUE}",
        f"client_secret={VALUE}",
        "token eyJhbGciOiJub25lIn0.eyJhdWQiOiJhcm0ifQ.c2lnbmF0dXJl is not valid",
    ],
)
def test_what_signs_somebody_in_is_taken_out(text: str) -> None:
    said = redact(text)
    assert VALUE not in said and "eyJ" not in said and "***" in said


@pytest.mark.parametrize(
    "text",
    [
        "unknown key `incomparable_settings_name`; write `incomparable`",
        "its key is in /tmp/somewhere/endpoints/churn/key",
        "data/contract.yml:3: the token of the key is missing",
        "dGhpc0lzQVNlY3JldEtleTEyMw is a digest",
    ],
)
def test_other_words_stay(text: str) -> None:
    assert redact(text) == text
