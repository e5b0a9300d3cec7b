"""What Azure's published specifications say against a request, where they are there."""

from __future__ import annotations

import re

from tests.azure.messages import ARM, Request
from tests.azure.resources import PROVIDER
from tests.specs import SPECS, request_findings

ARCHIVES = ("rest-specs.tar.xz", "bicep-types.tar.xz")
CHECKED = all((SPECS / name).is_file() for name in ARCHIVES)
# What azure-ai-ml 1.35.2 sends against the published specifications, and Azure takes all the same.
SDK_HABITS = r"hash_version: \d+ is no StringType|/listSecrets takes no body"
SPECIFIED = re.compile(f"{PROVIDER}(?!.*(/mfeOperation|/providers/))", re.IGNORECASE)


def findings_of(request: Request) -> list[str]:
    """What is wrong with a request; nothing where nothing is specified."""
    if not CHECKED or request.host != ARM or not SPECIFIED.search(request.path):
        return []
    findings = request_findings(request.method, request.url, request.body)
    return [finding for finding in findings if not re.search(SDK_HABITS, finding)]
