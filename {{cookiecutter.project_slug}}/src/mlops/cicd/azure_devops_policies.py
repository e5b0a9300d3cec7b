"""The policies of the default branch in Azure DevOps, some of them made of CODEOWNERS.

Source: Microsoft, "Policy configurations" of the REST API, and "Branch policies and settings".
"""

from __future__ import annotations

from typing import Any

from mlops.cicd.azure_devops_project import DevOps
from mlops.cicd.code_owners import CodeOwners
from mlops.cicd.plan import FILE, Command, Item, left, made_by, number, there

APPROVERS = "fa4e907d-c16b-4a4c-9dfa-4906e5d171dd"
BUILD = "0609b952-1397-4640-95ec-e00a01b2c241"
REVIEWERS = "fd2167ab-b0be-447a-8ec8-39368250530e"

MESSAGE = "CODEOWNERS: "
"""How the message of a policy begins that was made of CODEOWNERS; the names follow."""

PLANNED = ["/infrastructure/*", "/environments/*"]
"""The paths whose pull requests show what would change in Azure."""


def policies(
    devops: DevOps, owners: CodeOwners, teams: dict[str, str], pipelines: dict[str, str], slug: str
) -> list[Item]:
    """A review, the builds, and the owners' reviews, which follow CODEOWNERS; no policy is deleted.

    Of several teams that a policy requires, Azure DevOps wants a review of each.
    """
    listed = devops.list(
        "repos",
        "policy",
        "list",
        "--repository-id",
        devops.repository_id,
        "--branch",
        devops.branch,
    )
    there_ = [one for one in listed if one["isEnabled"]]
    items = [_approvers(devops, there_)]
    for stem, paths in (("integration", []), ("infrastructure", PLANNED)):
        if stem in pipelines:
            items.append(_build(devops, there_, f"{slug}-{stem}", pipelines[stem], paths))
    lacking = [name for name in _names(owners.everybody) if name not in teams]
    items += [left(f"team {name}", (
        f"make it, `az devops team create --name {name} --organization {devops.organization} "
        f"--project '{devops.project}'`, put its people in, and run this again"
    )) for name in lacking]  # fmt: skip
    required = [one for one in there_ if one["type"]["id"] == REVIEWERS]
    kept = []
    for names in dict.fromkeys(tuple(_names(list(rule.owners))) for rule in owners.rules):
        ids = [teams[name] for name in names if name in teams]
        patterns = _patterns(owners, names)
        found = _of_owners(required, names, ids, patterns)
        kept.append(found)
        if ids:
            items.append(_owners(devops, found, names, ids, patterns))
    ours = [one for one in required if str(one["settings"].get("message")).startswith(MESSAGE)]
    return items + [left(f"policy of {devops.branch}: {one['settings']['message']}", (
        "CODEOWNERS names no such owners any more, or another policy stands for them: `az repos "
        f"policy delete --id {one['id']} --yes --organization {devops.organization} --project "
        f"'{devops.project}'`"
    )) for one in ours if one not in kept]  # fmt: skip


def _approvers(devops: DevOps, listed: list[dict[str, Any]]) -> Item:
    what = f"policy of {devops.branch}: a review"
    if any(one["type"]["id"] == APPROVERS for one in listed):
        return there(what)
    return _policy(devops, what, APPROVERS, {
        "minimumApproverCount": 1,
        "creatorVoteCounts": False,
        "allowDownvotes": False,
        "resetOnSourcePush": True,
    })  # fmt: skip


def _build(
    devops: DevOps, listed: list[dict[str, Any]], name: str, pipeline: str, paths: list[str]
) -> Item:
    what = f"policy of {devops.branch}: the build of {name}"
    if any(
        one["type"]["id"] == BUILD and str(one["settings"]["buildDefinitionId"]) == pipeline
        for one in listed
    ):
        return there(what)
    # The plan of the infrastructure is read by people: it does not hold a pull request up.
    return _policy(devops, what, BUILD, {
        "buildDefinitionId": number(pipeline),
        "displayName": name,
        "manualQueueOnly": False,
        "queueOnSourceUpdateOnly": True,
        "validDuration": 720,
        **({"filenamePatterns": paths} if paths else {}),
    }, blocking=not paths)  # fmt: skip


def _of_owners(
    required: list[dict[str, Any]], names: tuple[str, ...], ids: list[str], patterns: list[str]
) -> dict[str, Any] | None:
    """The policy of these owners: one that says the same, or one whose message names them."""
    named = [one for one in required if one["settings"].get("message") == _message(names)]
    same = (one for one in [*named, *required] if _is(one, ids, patterns))
    return next(same, named[0] if named else None)


def _is(policy: dict[str, Any], ids: list[str], patterns: list[str]) -> bool:
    settings = policy["settings"]
    return bool(
        set(settings["requiredReviewerIds"]) == set(ids)
        and settings.get("filenamePatterns") == patterns
    )


def _owners(
    devops: DevOps, found: dict[str, Any] | None, names: tuple[str, ...], ids: list[str],
    patterns: list[str],
) -> Item:  # fmt: skip
    what = f"policy of {devops.branch}: {' and '.join(names)} for {_shown(patterns)}"
    settings = {"requiredReviewerIds": ids, "filenamePatterns": patterns}
    if found is None:
        return _policy(devops, what, REVIEWERS, {
            "minimumApproverCount": 1, "creatorVoteCounts": False, **settings,
            "message": _message(names),
        })  # fmt: skip
    if _is(found, ids, patterns):
        return there(what)
    body = {
        "type": {"id": REVIEWERS}, "isEnabled": True, "isBlocking": found["isBlocking"],
        "settings": {**found["settings"], **settings},
    }  # fmt: skip
    words = ("repos", "policy", "update", "--id", str(found["id"]), "--config", FILE)
    return made_by(what, Command("az", (*words, *devops.where, "--output", "none"), body))


def _message(names: tuple[str, ...]) -> str:
    return MESSAGE + ", ".join(names)


def _policy(
    devops: DevOps, what: str, kind: str, settings: dict[str, Any], *, blocking: bool = True
) -> Item:
    scope = {
        "repositoryId": devops.repository_id,
        "refName": f"refs/heads/{devops.branch}",
        "matchKind": "Exact",
    }
    body = {
        "type": {"id": kind}, "isEnabled": True, "isBlocking": blocking,
        "settings": {**settings, "scope": [scope]},
    }  # fmt: skip
    words = ("repos", "policy", "create", "--config", FILE, *devops.where, "--output", "none")
    return made_by(what, Command("az", words, body))


def _patterns(owners: CodeOwners, names: tuple[str, ...]) -> list[str]:
    """The lines of these owners; what later lines give to others is taken out with `!`."""
    patterns: list[str] = []
    for rule in owners.rules:
        ours = tuple(_names(list(rule.owners))) == names
        if ours or patterns:
            patterns.append(("" if ours else "!") + _path(rule.pattern))
    return patterns


def _path(pattern: str) -> str:
    """A pattern of CODEOWNERS as Azure DevOps writes it: `*` goes across folders there."""
    folder = pattern.endswith("/")
    anchored = "/" in pattern.rstrip("/")
    body = pattern.strip("/").replace("**/", "*").replace("**", "*") + ("/*" if folder else "")
    return f"/{body}" if anchored or body.startswith("*") else f"*/{body}"


def _names(owners: list[str]) -> list[str]:
    return [owner.rsplit("/", 1)[-1].removeprefix("@") for owner in owners]


def _shown(patterns: list[str]) -> str:
    named = [pattern for pattern in patterns if not pattern.startswith("!")]
    return ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
