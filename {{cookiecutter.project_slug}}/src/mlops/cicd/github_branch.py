"""The protection of the default branch on GitHub: what is there is kept, and never weakened.

Source: GitHub, "REST API endpoints for protected branches".
"""

from __future__ import annotations

from typing import Any

SWITCHES = (
    "required_linear_history", "allow_force_pushes", "allow_deletions", "block_creations",
    "required_conversation_resolution", "lock_branch", "allow_fork_syncing",
)  # fmt: skip


def merged(there: dict[str, Any], checks: list[str], *, reviewed: bool) -> dict[str, Any]:
    """The body that sets what is there and, beyond it, pull requests and the checks.

    `reviewed` also wants an approval, by a code owner: where one person works alone, nobody could
    give it.
    """
    status = there.get("required_status_checks") or {}
    required = {
        one["context"]: {"context": one["context"], "app_id": one.get("app_id") or -1}
        for one in status.get("checks") or []
    }
    required |= {name: {"context": name, "app_id": -1} for name in checks if name not in required}
    reviews = there.get("required_pull_request_reviews") or {}
    body: dict[str, Any] = {
        "required_status_checks": {
            "strict": bool(status.get("strict")), "checks": list(required.values()),
        },
        "enforce_admins": bool((there.get("enforce_admins") or {}).get("enabled")),
        "required_pull_request_reviews": {
            "dismiss_stale_reviews": bool(reviews.get("dismiss_stale_reviews")),
            "require_code_owner_reviews": reviewed
            or bool(reviews.get("require_code_owner_reviews")),
            "required_approving_review_count": max(
                reviews.get("required_approving_review_count") or 0, int(reviewed)
            ),
            "require_last_push_approval": bool(reviews.get("require_last_push_approval")),
            **{
                name: _people(reviews[name])
                for name in ("dismissal_restrictions", "bypass_pull_request_allowances")
                if reviews.get(name)
            },
        },
        "restrictions": _people(there["restrictions"]) if there.get("restrictions") else None,
    }  # fmt: skip
    for switch in SWITCHES:
        if (there.get(switch) or {}).get("enabled"):
            body[switch] = True
    return body


def suffices(there: dict[str, Any], checks: list[str], *, reviewed: bool) -> bool:
    """Whether the protection that is there asks for all that already."""
    if not there.get("required_pull_request_reviews"):
        return False
    return merged(there, checks, reviewed=reviewed) == merged(there, [], reviewed=False)


def _people(said: dict[str, Any]) -> dict[str, list[str]]:
    return {
        "users": [one["login"] for one in said.get("users") or []],
        "teams": [one["slug"] for one in said.get("teams") or []],
        "apps": [one["slug"] for one in said.get("apps") or []],
    }
