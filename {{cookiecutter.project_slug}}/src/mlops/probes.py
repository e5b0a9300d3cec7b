"""Tests of a deployment over HTTP: does it answer, what does it refuse, how long does it take."""

from __future__ import annotations

import json
import math
from typing import Any

from mlops.contract import Contract
from mlops.decisions import Check
from mlops.workspaces import Response, Workspace

BATCH_ROWS = 20
LATENCY_REQUESTS = 10


def request_body(rows: list[dict[str, Any]]) -> bytes:
    """A scoring request."""
    return json.dumps({"input_data": rows}).encode("utf-8")


def smoke_test(workspace: Workspace, deployment: str, contract: Contract) -> tuple[Check, ...]:
    """Valid requests must be answered, malformed ones refused with a message that names the field.

    The limit of the latency is the environment's `rollout.p95_ms`.
    """
    rows = contract.examples(BATCH_ROWS)
    field = next(iter(contract.features))

    def send(body: bytes) -> Response:
        return workspace.invoke(body, deployment, test=True)

    def without(row: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in row.items() if name != field}

    checks = [
        _answers(contract, "one row", send(request_body(rows[:1])), 1),
        _answers(contract, f"{BATCH_ROWS} rows", send(request_body(rows)), BATCH_ROWS),
        _refuses("text that is not JSON", send(b"{"), "JSON"),
        _refuses("a missing field", send(request_body([without(rows[0])])), field),
        _refuses("a wrong type", send(request_body([{**rows[0], field: {}}])), field),
        _refuses(
            "an unknown field",
            send(request_body([{**rows[0], "unknown_field": 1}])),
            "unknown_field",
        ),
    ]
    times = [send(request_body([row])).milliseconds for row in rows[:LATENCY_REQUESTS]]
    return (*checks, latency_check(times, workspace.environment.rollout.p95_ms))


def live_test(workspace: Workspace, contract: Contract) -> tuple[Check, ...]:
    """Requests through the endpoint's traffic, as clients send them, must be answered in time.

    Valid ones only: they count among those of the clients.
    """
    rows = contract.examples(BATCH_ROWS)

    def send(rows: list[dict[str, Any]]) -> Response:
        return workspace.invoke(request_body(rows), test=True)

    checks = [
        _answers(contract, "one row", send(rows[:1]), 1),
        _answers(contract, f"{BATCH_ROWS} rows", send(rows), BATCH_ROWS),
    ]
    times = [send([row]).milliseconds for row in rows[:LATENCY_REQUESTS]]
    return (*checks, latency_check(times, workspace.environment.rollout.p95_ms))


def traffic_test(workspace: Workspace, deployment: str, contract: Contract) -> tuple[Check, ...]:
    """Requests through the endpoint's traffic, and as many to the new deployment itself.

    A deployment to which the traffic is only mirrored must answer none that came through it.
    """
    settings = workspace.environment.rollout
    rows = contract.examples(settings.requests_per_stage, seed=1)
    bodies = [request_body([row]) for row in rows]
    live = [workspace.invoke(body, test=True) for body in bodies]
    responses = live + [workspace.invoke(body, deployment, test=True) for body in bodies]
    failed = [response for response in responses if response.status != 200]
    answered = [response for response in live if response.deployment == deployment]
    endpoint = workspace.endpoint()
    stage = f"at {endpoint.traffic.get(deployment, 0)} % of the traffic"
    if mirrored := endpoint.mirror.get(deployment):
        stage = f"at {mirrored} % mirrored"
        failed += [response for response in answered if response.status == 200]
    detail = f"{len(answered)} of {len(rows)} through the traffic answered by {deployment}"
    if failed:
        detail += f"; the first failure: {failed[0].status} {failed[0].body[:200]}"
    errors = Check(
        rule=f"failed requests {stage}",
        value=float(len(failed)), limit=0.0, comparison="at most",
        passed=not failed, detail=detail,
    )  # fmt: skip
    times = [response.milliseconds for response in responses]
    return errors, latency_check(times, settings.p95_ms, f" {stage}")


def latency_check(milliseconds: list[float], limit: float, where: str = "") -> Check:
    """That 95 % of the requests were answered within the limit (nearest-rank percentile)."""
    ordered = sorted(milliseconds)
    p50, p95 = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.50, 0.95))
    return Check(
        rule=f"latency p95 in ms{where}", value=round(p95, 1), limit=limit, comparison="at most",
        passed=p95 <= limit,
        detail=f"p50 {p50:.1f} ms of {len(ordered)} requests",
    )  # fmt: skip


def predictions_in(response: Response) -> list[Any]:
    """The predictions of an answer, one for each row.

    Raises:
        ValueError: it is no answer to a scoring request; the message is the start of its body.
    """
    try:
        return [answer["prediction"] for answer in json.loads(response.body)["predictions"]]
    except (ValueError, KeyError, TypeError):
        raise ValueError(response.body[:200]) from None


def problem_with(contract: Contract, predictions: list[Any], rows: int) -> str:
    """What is wrong with the predictions for that many rows; empty if nothing is."""
    if len(predictions) != rows:
        return f"{len(predictions)} predictions"
    if contract.classes:
        if any(prediction not in contract.classes for prediction in predictions):
            return "a prediction that is no class of the contract"
    elif not all(isinstance(p, (int, float)) and math.isfinite(p) for p in predictions):
        return "a prediction that is no finite number"
    return ""


def refuses(response: Response, named: str) -> str:
    """Empty if a response is a refusal that names this; otherwise what it says instead."""
    try:
        message = str(json.loads(response.body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = response.body
    if response.status == 400 and named in message:
        return ""
    return f"{message[:200]}; it must name {named}"


def _answers(contract: Contract, what: str, response: Response, rows: int) -> Check:
    try:
        problem = problem_with(contract, predictions_in(response), rows)
    except ValueError as error:
        problem = str(error)
    return Check(
        rule=f"answers {what}", value=str(response.status), limit="200", comparison="expected",
        passed=response.status == 200 and not problem, detail=problem,
    )  # fmt: skip


def _refuses(what: str, response: Response, named: str) -> Check:
    problem = refuses(response, named)
    return Check(
        rule=f"refuses {what}", value=str(response.status), limit="400", comparison="expected",
        passed=not problem, detail=problem,
    )  # fmt: skip
