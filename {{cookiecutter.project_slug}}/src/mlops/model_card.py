"""The model card: what a person reads about a model and the gate's decision."""

from __future__ import annotations

from typing import Any

from mlops.contract import Contract
from mlops.decisions import Decision


def model_card(decision: Decision, contract: Contract, evaluation: dict[str, Any]) -> str:
    """The card as Markdown; its plots lie beside it, in `plots`."""
    verdict = "accepted" if decision.accepted else "refused"
    version = f" as version {decision.version}" if decision.version else ""
    parts = [
        f"# {decision.model}: {verdict} in {decision.environment}{version}",
        f"{contract.title}. {contract.description}".strip(),
        f"Decided at {decision.time} on {evaluation['rows']} held-out rows.",
        "## Metrics\n",
        _table(
            ("metric", "value", "95 % interval"),
            [
                (name, _number(value), " to ".join(map(_number, evaluation["intervals"][name])))
                for name, value in evaluation["metrics"].items()
            ],
        ),
        "## Gate\n",
        _table(
            ("rule", "value", "limit", "result", "detail"),
            [
                (
                    c.rule,
                    _number(c.value),
                    f"{c.comparison} {_number(c.limit)}".strip() if c.limit is not None else "-",
                    "passed" if c.passed else "**failed**",
                    c.detail,
                )
                for c in decision.checks
            ],
        ),
    ]
    if evaluation["slices"]:
        names = list(evaluation["metrics"])
        parts += [
            "## Slices\n",
            _table(
                ("slice", "rows", *names),
                [
                    (part, str(result["rows"]), *(_number(result["metrics"][n]) for n in names))
                    for part, result in evaluation["slices"].items()
                ],
            ),
        ]
    parts += ["## Plots\n"]
    parts += [f"![{name}](plots/{name}.png)" for name in evaluation.get("plots", [])]
    parts += [
        "## Lineage\n",
        _table(
            ("what", "value"), [(k, str(v)) for k, v in decision.facts.items() if k != "metrics"]
        ),
    ]
    return "\n\n".join(parts).replace("\n\n\n", "\n\n") + "\n"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
