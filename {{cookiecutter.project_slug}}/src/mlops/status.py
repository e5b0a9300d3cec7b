"""The state of all environments at a glance."""

from __future__ import annotations

from typing import Any

from mlops.workspaces import Endpoint, ModelVersion, Workspace


def status_of(workspace: Workspace) -> dict[str, Any]:
    """What is in one environment: versions, the champion, the last decision.

    And the online `endpoint`: None in an environment that has none.
    """
    versions = workspace.versions()
    champion = workspace.champion()
    decisions = workspace.decisions()
    online = workspace.environment.serves("online")
    return {
        "environment": workspace.environment.name,
        # The metrics that the gate looks at.
        "gate": list(workspace.environment.settings.gate.floors),
        "champion": _version(champion) if champion else None,
        "versions": [_version(version) for version in versions],
        "endpoint": _endpoint(workspace.endpoint()) if online else None,
        "last_decision": decisions[-1].record() if decisions else None,
    }


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "deployments": [
            {
                "name": deployment.name,
                "version": deployment.version,
                "traffic": endpoint.traffic.get(deployment.name, 0),
                "mirror": endpoint.mirror.get(deployment.name, 0),
                "created": deployment.created,
            }
            for deployment in endpoint.deployments.values()
        ],
    }


def _version(version: ModelVersion) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.number,
        "origin": version.origin,
        "created": version.created,
        "git_commit": version.tags.get("git_commit", ""),
        "git_dirty": version.tags.get("git_dirty", ""),
        "batch": version.tags.get(f"batch.{version.environment}", ""),
        "rollout": version.tags.get(f"rollout.{version.environment}", ""),
        "metrics": version.metrics,
    }
