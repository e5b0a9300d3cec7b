"""What the page of a CI/CD run shows of a decision, a card or a failure."""

from __future__ import annotations

from mlops.decisions import Check, Decision
from mlops.summaries import card_summary, decision_summary, failure_summary

GOOD = Check(rule="f1", value=0.91234, limit=0.9, comparison="at least", passed=True)
BAD = Check(rule="refuses a | b", value=None, passed=False, detail="<img src=x>\n| passed |")


def decision(*checks: Check, **facts: str) -> Decision:
    return Decision(
        kind="promotion", environment="prod", model="m", version=3, checks=checks, facts=facts,
        time="now",
    )  # fmt: skip


def test_a_decision_is_a_title_a_table_of_its_checks_and_its_facts() -> None:
    made = decision(GOOD, origin="dev/3", metrics="{}", before="")
    assert decision_summary(made) == (
        "## promotion in prod: accepted version 3\n\n"
        "|  | check | value | limit | detail |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| passed | f1 | 0.9123 | at least 0.9 |  |\n\n"
        "| fact |  |\n| --- | --- |\n| origin | dev/3 |"
    )


def test_what_an_endpoint_answered_is_no_markup() -> None:
    shown = decision_summary(decision(GOOD, BAD))
    assert "refused version 3" in shown
    last = shown.splitlines()[-1]
    assert last == "| FAILED | refuses a \\| b | - | - | &lt;img src=x> \\| passed \\| |"


def test_a_failure_is_indented_and_so_read_as_text() -> None:
    shown = failure_summary("mlops release --env prod", "no:\n# heading\n```", refused=True)
    assert shown == (
        "## Refused\n\n    $ mlops release --env prod\n    no:\n    # heading\n    ```"
    )


def test_a_card_comes_without_its_plots() -> None:
    card = "# m\n\n## Plots\n\n![a](plots/a.png)\n\n## Lineage\n\n| what |\n"
    assert card_summary(card) == "# m\n\n## Lineage\n\n| what |\n"
    assert card_summary("# m\n") == "# m\n"
