"""What a change does to the model: this checkout and another commit, trained side by side.

Both are trained on local workspaces, in temporary folders, each with its own code, engine and
settings. The packages are those of this checkout: a change of `constraints.txt` shows in neither
difference. Nothing of the checkout is touched.

The other commit's version then is the champion that this checkout's gate compares with, by its own
rule. Where the two cannot be compared, as after a change of the contract, the gate of the first
environment would refuse the model after the merge; a reviewer is told, and the change not refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops.contract import Contract, load_contract
from mlops.decisions import Check, Decision
from mlops.errors import MlopsError
from mlops.files import read_json
from mlops.git import commit_tags
from mlops.isolated import Trained, Training, temporary_folder
from mlops.metrics import METRICS, Metric
from mlops.model_card import model_card
from mlops.project import Project
from mlops.revisions import Unavailable, copy_checkout, copy_commit, find_commit
from mlops.summaries import card_summary
from mlops.workspaces import ModelVersion, Report

CHARACTERS_OF_A_REASON = 500


@dataclass(frozen=True)
class MetricChange:
    """A metric of both models, as text and number; the difference is in the metric's unit."""

    name: str
    here: float | None
    base: float | None
    better: bool | None
    """None where they are the same, or one is missing."""

    @property
    def difference(self) -> float | None:
        """Here minus base."""
        return None if self.here is None or self.base is None else self.here - self.base

    @property
    def verdict(self) -> str:
        """One word for a person."""
        if self.difference is None:
            return "-"
        return {True: "better", False: "worse", None: "same"}[self.better]


@dataclass(frozen=True)
class Comparison:
    """What both trainings gave.

    `commit` is the base's, in full if it was found. `notes` are what a reviewer should know besides:
    why there is no base, why the two are not comparable.
    """

    commit: str
    metrics: tuple[MetricChange, ...]
    decision: Decision
    notes: tuple[str, ...]
    card: str

    def record(self) -> dict[str, Any]:
        """The result as JSON holds it."""
        return {
            "base": self.commit,
            "metrics": [
                {
                    "metric": m.name, "here": m.here, "base": m.base,
                    "difference": m.difference, "verdict": m.verdict,
                }
                for m in self.metrics
            ],
            "decision": self.decision.record(),
            "notes": list(self.notes),
            "card": self.card,
        }  # fmt: skip


def compare(project: Project, base: str, *, report: Report) -> Comparison:
    """Train this checkout, with its uncommitted changes, and a commit, and compare the models.

    Raises:
        UsageError: the project is in no git repository, or there is no such commit in it.
        MlopsError: this checkout could not be trained.
    """
    with temporary_folder() as folder:
        copy_checkout(project.root, folder / "here")
        commit, problem, files = base, "", None
        try:
            commit = find_commit(project.root, base)
            files = copy_commit(project.root, commit, folder / "base")
        except Unavailable as reason:
            problem = str(reason)
        running = {"here": Training(folder / "here", "here", report)}
        try:
            if files:
                running["base"] = Training(files, "base", report)
            here = running["here"].result()
            if isinstance(here, str):
                raise MlopsError(f"this checkout could not be trained: {here}")
            other = running["base"].result() if "base" in running else None
        finally:
            for training in running.values():
                training.stop()
        if isinstance(other, str):
            why = " ".join(other.split())[:CHARACTERS_OF_A_REASON]
            problem, other = f"the base {commit[:8]} could not be trained: {why}", None
        return _judge(project, commit, here, other, problem)


def _judge(
    project: Project, commit: str, here: Trained, base: Trained | None, problem: str
) -> Comparison:
    notes = [problem] if problem else []
    decision, card = here.decision, here.card.read_text("utf-8")
    contract = load_contract(here.project.contract)
    version = here.version
    if base and version and base.version is None:
        notes.append(f"the gate of {commit[:8]} refuses its own model: it is no champion")
    elif base and version and base.version:
        files = here.workspace.files(version)
        check, note = _champion_check(here, version, files, base, base.version, commit)
        notes += [note] if note else []
        checks = (*decision.checks[:-1], *([check] if check else []))
        decision = decision.model_copy(update={"checks": checks})
    # The number that it got in a workspace that is thrown away says nothing.
    facts = {
        name: value
        for name, value in {**decision.facts, **commit_tags(project.root)}.items()
        if name not in ("job", "model_digest") and not name.startswith("gate.")
    }
    decision = decision.model_copy(update={"version": None, "facts": facts})
    if version:
        evaluation = read_json(here.workspace.files(version) / "evaluation" / "evaluation.json")
        card = model_card(decision, contract, evaluation)
    changes = _changes(contract, here.metrics, base.metrics if base else {})
    return Comparison(commit, changes, decision, tuple(notes), card_summary(card))


def _champion_check(
    here: Trained, version: ModelVersion, files: Path, base: Trained, champion: ModelVersion,
    commit: str,
) -> tuple[Check | None, str]:  # fmt: skip
    """The gate's comparison with the base as the champion; or why there is none."""
    from mlops.registration import gate_checks
    from mlops.workspaces.registry import quiet_mlflow

    quiet_mlflow()
    settings = here.workspace.environment.settings
    name = settings.name
    try:
        check = gate_checks(
            settings,
            load_contract(files / "model" / "contract.yml"),
            read_json(files / "evaluation" / "evaluation.json"),
            files / "evaluation" / "predictions.parquet",
            files / "held_out" / "held_out.parquet",
            version.tags,
            champion,
            base.workspace.files(champion) / "model",
        )[-1]
    except Exception as error:  # The base's model is asked by this checkout's code.
        return None, (
            f"this code cannot ask the model of {commit[:8]} ({type(error).__name__}: {error}): "
            f"after the merge, a training in {name} would end the same way"
        )
    comparable = check.value != "not comparable"
    if comparable or check.passed:  # or the settings let it through
        bound = ", lower bound of the difference" if comparable else ""
        rule = f"{settings.gate.champion.metric} against {commit[:8]}{bound}"
        return check.model_copy(update={"rule": rule}), ""
    reason, _, advice = check.detail.partition("; ")
    return None, (
        f"{commit[:8]} is not comparable: {reason}. After the merge, the gate of {name} refuses the "
        f"model for that; {advice}"
    )


def _changes(
    contract: Contract, here: dict[str, float | None], base: dict[str, float | None]
) -> tuple[MetricChange, ...]:
    known = METRICS[contract.problem_type]
    return tuple(
        MetricChange(name, value, base.get(name), _better(known[name], value, base.get(name)))
        for name, value in here.items()
        if name in known
    )


def _better(metric: Metric, here: float | None, base: float | None) -> bool | None:
    if here is None or base is None or here == base:
        return None
    return not metric.worse(here, base)
