"""The health of the online endpoint: requests, errors and latency, against what is allowed."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.decisions import Check
from mlops.errors import MlopsError, redact
from mlops.monitoring.results import HealthPoint, HealthResult, state_of
from mlops.monitoring.significance import of_rate
from mlops.monitoring.windows import Span
from mlops.workspaces import Requests, Workspace


def health_of(workspace: Workspace, spans: Sequence[Span]) -> HealthResult:
    """How the endpoint did in the last of some windows, and in those before it.

    Few requests say nothing: an error among ten is no error rate.
    """
    settings = workspace.environment.settings.monitoring
    limit = workspace.environment.rollout.p95_ms
    try:
        found = [workspace.requests(span.start, span.end) for span in spans]
    except MlopsError as error:  # the signals have something to say without it
        return HealthResult(state="unknown", note=redact(str(error)))
    now = found[-1]
    enough = now.count >= settings.minimum_rows
    checks = _checks(now, settings.error_rate, limit, settings.significance) if enough else ()
    return HealthResult(
        state=state_of(breached=not all(check.passed for check in checks), known=enough),
        note="" if enough else f"requests in this window: {now.count}, of {settings.minimum_rows} needed",
        requests=now.count, refused=now.refused, errors=now.errors,
        error_rate=now.errors / now.count if now.count else None,
        p50=now.p50, p95=now.p95, p99=now.p99,
        error_rate_limit=settings.error_rate, p95_limit=limit, checks=checks,
        history=tuple(
            HealthPoint(
                start=span.start, end=span.end, requests=then.count, errors=then.errors,
                p50=then.p50, p95=then.p95, p99=then.p99,
            )
            for span, then in zip(spans, found)
        ),
    )  # fmt: skip


def _checks(
    now: Requests, error_rate: float, p95_ms: float, significance: float
) -> tuple[Check, ...]:
    rate = now.errors / now.count
    by_chance = of_rate(now.errors, now.count, error_rate) >= significance
    errors = Check(
        rule="share of failed requests", value=rate, limit=error_rate, comparison="at most",
        passed=rate <= error_rate or by_chance, detail=f"{now.errors} of {now.count}",
    )  # fmt: skip
    if now.p95 is None:
        return (errors,)
    latency = Check(
        rule="latency p95 in ms", value=round(now.p95, 1), limit=p95_ms, comparison="at most",
        passed=now.p95 <= p95_ms, detail=f"of {now.count} requests",
    )  # fmt: skip
    return errors, latency
