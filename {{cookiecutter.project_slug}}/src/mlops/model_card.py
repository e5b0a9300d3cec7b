"""The model card: what a person reads about a model and the gate's decision."""

from __future__ import annotations

from typing import Any

from mlops.contract import Contract
from mlops.decisions import Decision
from mlops.markdown import show_number, table


def model_card(decision: Decision, contract: Contract, evaluation: dict[str, Any]) -> str:
    """The card as Markdown; its plots lie beside it, in `plots`."""
    verdict = "accepted" if decision.accepted else "refused"
    version = f" as version {decision.version}" if decision.version else ""
    parts = [
        f"# {decision.model}: {verdict} in {decision.environment}{version}",
        f"{contract.title}. {contract.description}".strip(),
        f"Decided at {decision.time} on {evaluation['rows']} held-out rows.",
        "## Metrics\n",
        table(
            ("metric", "value", "95 % interval"),
            [
                (
                    name,
                    show_number(value),
                    " to ".join(map(show_number, evaluation["intervals"][name])),
                )
                for name, value in evaluation["metrics"].items()
            ],
        ),
        "## Gate\n",
        table(
            ("rule", "value", "limit", "result", "detail"),
            [
                (
                    c.rule,
                    show_number(c.value),
                    f"{c.comparison} {show_number(c.limit)}".strip()
                    if c.limit is not None
                    else "-",
                    "passed" if c.passed else "FAILED",
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
            table(
                ("slice", "rows", *names),
                [
                    (part, str(result["rows"]), *(show_number(result["metrics"][n]) for n in names))
                    for part, result in evaluation["slices"].items()
                ],
            ),
        ]
    parts += ["## Plots\n"]
    parts += [f"![{name}](plots/{name}.png)" for name in evaluation.get("plots", [])]
    parts += [
        "## Lineage\n",
        table(
            ("what", "value"), [(k, str(v)) for k, v in decision.facts.items() if k != "metrics"]
        ),
    ]
    return "\n\n".join(parts).replace("\n\n\n", "\n\n") + "\n"
