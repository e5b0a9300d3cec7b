"""The acceptance test of a deployment: its contract, its speed under load, and its answers.

What it asks for, `acceptance` in `environments/<name>.yml` says.
"""

from __future__ import annotations

import contextlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from mlops.contract import Contract
from mlops.decisions import Check
from mlops.errors import MlopsError
from mlops.examples import boundary_rows, request_rows, violations
from mlops.probes import latency_check, predictions_in, problem_with, refuses, request_body
from mlops.versions import contract_of, find_version
from mlops.workspaces import RETRAINED, ModelVersion, Response, Workspace

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 100
MOST_VIOLATIONS = 100
MOST_COMPARED = 300
SPREAD = 0.5


def acceptance_test(
    workspace: Workspace, deployment: str, version: ModelVersion, other: str | None
) -> tuple[Check, ...]:
    """All checks of a deployment.

    Args:
        workspace: where it is deployed; its environment has the limits.
        deployment: its name.
        version: its version, whose held-out rows it is asked.
        other: the deployment whose answers its answers are compared with, if there is one.
    """
    contract = contract_of(workspace, version)
    return (
        *contract_checks(workspace, deployment, contract),
        *load_checks(workspace, deployment, contract),
        comparison(workspace, deployment, version, other),
    )


def contract_checks(workspace: Workspace, deployment: str, contract: Contract) -> list[Check]:
    """What obeys the contract is answered; each way to break it, in each column, is refused.

    Of more than 100 ways, 100 are tried.
    """
    valid = {
        "rows that obey the contract": contract.examples(EXAMPLES, seed=2),
        "rows at the contract's limits": boundary_rows(contract),
    }
    checks = []
    for what, rows in valid.items():
        if not rows:
            continue
        response = workspace.invoke(request_body(rows), deployment, test=True)
        problem = _problem(contract, response, len(rows))
        checks.append(
            Check(
                rule=f"answers {what}", value=str(response.status), limit="200",
                comparison="expected", passed=not problem, detail=problem or f"{len(rows)} rows",
            )
        )  # fmt: skip
    broken = violations(contract, MOST_VIOLATIONS)
    responses = _ask(workspace, deployment, [request_body([one.row]) for one in broken])
    for kind in dict.fromkeys(one.kind for one in broken):
        asked = [pair for pair in zip(broken, responses) if pair[0].kind == kind]
        accepted = [
            f"{one.column}: {response.status}, {problem}"
            for one, response in asked
            if (problem := refuses(response, one.column))
        ]
        checks.append(
            Check(
                rule=f"refuses {kind}", value=float(len(asked) - len(accepted)),
                limit=float(len(asked)), comparison="at least", passed=not accepted,
                detail=accepted[0] if accepted else "",
            )
        )  # fmt: skip
    return checks


def load_checks(workspace: Workspace, deployment: str, contract: Contract) -> tuple[Check, Check]:
    """Requests of clients that ask at once: none fails, and 95 % are answered in time."""
    settings = workspace.environment.settings.acceptance
    bodies = [request_body([row]) for row in contract.examples(settings.requests, seed=3)]
    started = time.perf_counter()
    responses = _ask(workspace, deployment, bodies)
    seconds = time.perf_counter() - started
    failed = [response for response in responses if response.status != 200]
    detail = f"{len(bodies)} requests of {settings.clients} clients at once"
    if failed:
        detail += f"; the first failure: {failed[0].status} {failed[0].body[:200]}"
    else:
        detail += f", {len(bodies) / seconds:.0f} in a second"
    errors = Check(
        rule="failed requests under load", value=float(len(failed)), limit=0.0,
        comparison="at most", passed=not failed, detail=detail,
    )  # fmt: skip
    times = [response.milliseconds for response in responses]
    return errors, latency_check(times, workspace.environment.rollout.p95_ms, " under load")


def comparison(
    workspace: Workspace, deployment: str, version: ModelVersion, other: str | None
) -> Check:
    """That a deployment answers the version's held-out rows as another one does, often enough."""
    if other is None:
        return _not_compared("no previous deployment")
    file = workspace.files(version) / "held_out" / "held_out.parquet"
    if not file.is_file():
        return _not_compared("no held-out rows", f"{version} has none in its files")
    import pandas as pd

    contract = contract_of(workspace, version)
    table = some_rows(pd.read_parquet(file), MOST_COMPARED)
    number = workspace.endpoint().deployments[other].version
    asked = contract_of(workspace, find_version(workspace, number))
    if reason := incomparable_answers(contract, asked, table):
        return _not_compared("not comparable", reason)
    rule = f"answers as {other}"
    answers = []
    for name, rules in ((other, asked), (deployment, contract)):
        response = workspace.invoke(request_body(request_rows(table, rules)), name, test=True)
        if problem := _problem(rules, response, len(table)):
            said = f"{name} answered {response.status}: {problem}"
            if name == other:  # That nothing can be asked of it says nothing about the new one.
                return _not_compared("not comparable", said)
            return Check(rule=rule, value="no answer", passed=False, detail=said)
        answers.append(predictions_in(response))
    theirs, ours = answers
    limit = workspace.environment.settings.acceptance.agreement
    check = agreement_check(contract, ours, theirs, other, limit)
    if RETRAINED in version.tags and not check.passed:
        # It was made because the world has moved: the gate says that its answers are better.
        detail = f"{check.detail}; no limit for a model that was retrained"
        check = check.model_copy(update={"limit": None, "passed": True, "detail": detail})
    return check


def agreement_check(
    contract: Contract, ours: list[Any], theirs: list[Any], other: str, limit: float
) -> Check:
    """That enough answers to the same rows agree.

    Two classes agree if they are the same; two numbers if they differ by at most half of the
    standard deviation of the other's answers.
    """
    how = "the same class"
    if contract.classes:
        agree = [a == b for a, b in zip(ours, theirs)]
    else:
        import statistics

        tolerance = SPREAD * statistics.pstdev(theirs)
        how = f"differ by at most {tolerance:.4g}, half of the standard deviation"
        agree = [abs(a - b) <= tolerance for a, b in zip(ours, theirs)]
    share = sum(agree) / len(agree)
    return Check(
        rule=f"answers as {other}", value=share, limit=limit, comparison="at least",
        passed=share >= limit, detail=f"{sum(agree)} of {len(agree)} held-out rows: {how}",
    )  # fmt: skip


def incomparable_answers(contract: Contract, other: Contract, table: pd.DataFrame) -> str:
    """Why the answers of two versions to the same rows say nothing; empty if they do."""
    if missing := sorted(set(other.features) - set(table.columns)):
        return f"the other needs {', '.join(missing)}, which the contract no longer has"
    if (contract.target, contract.classes) != (other.target, other.classes):
        return "the other predicts another target or other classes"
    return ""


def some_rows(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """The table, or as many of its rows, the same ones each time."""
    return table.sample(most, random_state=0).sort_index() if len(table) > most else table


def _not_compared(value: str, detail: str = "") -> Check:
    return Check(rule="answers as before", value=value, passed=True, detail=detail)


def _problem(contract: Contract, response: Response, rows: int) -> str:
    if response.status != 200:
        return response.body[:200]
    try:
        return problem_with(contract, predictions_in(response), rows)
    except ValueError as error:
        return str(error)


def _ask(workspace: Workspace, deployment: str, bodies: list[bytes]) -> list[Response]:
    """The answers to all requests, in their order, of as many clients at once as the settings say."""

    def send(body: bytes) -> Response:
        try:
            return workspace.invoke(body, deployment, test=True)
        except MlopsError as error:
            return Response(503, str(error), 0.0, deployment)

    clients = workspace.environment.settings.acceptance.clients
    # A workspace leads a library's prints to standard error, each thread for itself: at the end of
    # this block, standard output is what it was.
    with contextlib.redirect_stdout(sys.stderr), ThreadPoolExecutor(clients) as pool:
        return list(pool.map(send, bodies))
