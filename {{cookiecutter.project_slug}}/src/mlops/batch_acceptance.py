"""The test in batches: a version scores its held-out rows where it is to serve."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.acceptance import agreement_check, incomparable_answers, some_rows
from mlops.contract import Contract
from mlops.decisions import Check, Decision, refusal
from mlops.errors import MlopsError, Refused
from mlops.probes import problem_with
from mlops.versions import contract_of, decide, digest_check, find_version
from mlops.workspaces import ModelVersion, Report, Workspace

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 10_000


def accept_in_batches(
    workspace: Workspace, number: int | None = None, *, report: Report
) -> Decision:
    """Score a version's held-out rows, and make it the champion where that is the last test.

    Each row must be answered, as the contract says, and often enough as the champion answers it.
    Where the environment does not name this test, nothing but the record is kept.

    Args:
        workspace: where it scores.
        number: the version. Default: the champion, or the newest where there is none.
        report: takes progress.

    Raises:
        MlopsError: it failed, or the rows could not be scored.
        Refused: its files are not what was registered.
        UsageError: there is no such version, or no batch endpoint.
    """
    environment = workspace.environment
    endpoint, name = environment.endpoint("batch"), environment.name
    with workspace.lock():
        champion = workspace.champion()
        version = champion if champion and number is None else find_version(workspace, number)
        intact = digest_check(version, workspace.files(version))
        if not intact.passed:
            raise Refused(f"{version} is not what was registered: {intact.show()}")
        report(f"{endpoint} scores the held-out rows of {version} ...")
        with tempfile.TemporaryDirectory() as folder:
            checks = _checks(workspace, version, champion, Path(folder), report)
        compared = champion and champion.number != version.number
        decision = decide(
            workspace, "batch-test", version, checks,
            compared_with=str(champion) if compared else "",
        )  # fmt: skip
        workspace.keep(decision)
        named = "batch" in environment.settings.tests
        if not decision.accepted:
            if named:
                workspace.set_tags(version, {f"batch.{name}": "failed"})
            kept = f"; {champion} stays the champion" if compared else ""
            raise MlopsError(refusal(f"{version} failed its test in batches{kept}", decision))
        if environment.settings.champion_test == "batch":
            workspace.set_champion(version)
        if named:
            # Last: a version that is marked as passed has nothing left to do.
            workspace.set_tags(version, {f"batch.{name}": "passed"})
    return decision


def _checks(
    workspace: Workspace,
    version: ModelVersion,
    champion: ModelVersion | None,
    folder: Path,
    report: Report,
) -> tuple[Check, ...]:
    import pandas as pd

    contract = contract_of(workspace, version)
    table = pd.read_parquet(workspace.files(version) / "held_out" / "held_out.parquet")
    table = some_rows(table, MOST_ROWS)
    rows = folder / "rows.parquet"
    table.to_parquet(rows, index=False)
    ours = _score(workspace, version, rows, folder / "ours.parquet", report)
    problem = problem_with(contract, ours["prediction"].tolist(), len(table))
    answered = Check(
        rule="held-out rows answered", value=float(len(ours)), limit=float(len(table)),
        comparison="expected", passed=not problem, detail=problem,
    )  # fmt: skip
    limit = workspace.environment.settings.acceptance.agreement
    if champion is None or champion.number == version.number:
        none = Check(rule="the champion's answers", value="no other champion", passed=True)
        return answered, none
    asked = contract_of(workspace, champion)
    reason = incomparable_answers(contract, asked, table)
    if not reason:
        rows = folder / "champions_rows.parquet"
        _columns(table, asked).to_parquet(rows, index=False)
        try:
            theirs = _score(workspace, champion, rows, folder / "theirs.parquet", report)
        except MlopsError as error:
            reason = f"the champion did not score them: {str(error).splitlines()[0]}"
    if reason:
        skipped = Check(
            rule="the champion's answers", value="not comparable", passed=True, detail=reason
        )
        return answered, skipped
    pair = ours["prediction"].tolist(), theirs["prediction"].tolist()
    return answered, agreement_check(contract, *pair, str(champion), limit)


def _columns(table: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """The columns that a contract knows: it refuses others."""
    return table[[name for name in table.columns if name in contract.columns]]


def _score(
    workspace: Workspace, version: ModelVersion, rows: Path, target: Path, report: Report
) -> pd.DataFrame:
    import pandas as pd

    workspace.score(version, rows, target, report)
    return pd.read_parquet(target)
