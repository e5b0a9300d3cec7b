"""The two expression languages, by examples of their documentation."""

from __future__ import annotations

from typing import Any

import pytest

from .expressions import Evaluation, ExpressionError, Names, Strict, substitute
from .languages import AZURE, GITHUB

NAMES = Names(
    github={"ref": "refs/heads/main", "event": {"inputs": {"version": "dev/7"}}},
    steps={"a": {"outputs": Strict("step a", {"list": '["x", "y"]', "empty": ""})}},
    jobs=[{"result": "success"}, {"result": "failure"}],
    variables={"Build.Reason": "PullRequest", "later": "staging,prod"},
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("github.ref == 'refs/heads/MAIN'", True),
        ("github.event.inputs.version || 'none'", "dev/7"),
        ("github.event.nothing.there || 'none'", "none"),
        ("fromJSON(steps.a.outputs.list)[1]", "y"),
        ("steps.a.outputs.empty && 'full' || 'empty'", "empty"),
        ("contains(jobs.*.result, 'failure')", True),
        ("!contains('abc', 'B') || false", False),
        ("1 < 2 && '10' == 10", True),
        ("null == 0", True),
        ("'it''s'", "it's"),
        ("format('{0}-{1}', 'a', 3)", "a-3"),
        ("GitHub['REF']", "refs/heads/main"),
        ("join(fromJSON('[1, 2]'), '+')", "1+2"),
        ("(1 == 2) == false", True),
    ],
)
def test_github(text: str, value: Any) -> None:
    assert Evaluation(GITHUB, NAMES).value(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("and(eq(variables['Build.Reason'], 'pullrequest'), not(false))", True),
        ("split(variables.later, ',')", ["staging", "prod"]),
        ("eq(variables['nothing'], '')", True),
        ("ne('a', 'A')", False),
        ("in('b', 'a', 'b')", True),
        ("eq(true, 'True')", True),
        ("coalesce('', null, 'c')", "c"),
        ("iif(eq(1, '1'), 'yes', 'no')", "yes"),
        ("join(';', split('a,b', ','))", "a;b"),
        ("containsValue(split('a,b', ','), 'B')", True),
    ],
)
def test_azure(text: str, value: Any) -> None:
    assert Evaluation(AZURE, NAMES).value(text) == value


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (AZURE, "variables.a == 'b'"),
        (AZURE, "!variables.a"),
        (GITHUB, "nobody.knows"),
        (GITHUB, "eq(1, 1)"),
        (GITHUB, "steps.a.outputs.lost"),
        (GITHUB, "github.ref ="),
        (GITHUB, "contains('a'"),
        (GITHUB, '"double"'),
        (AZURE, "eq(1, 2) eq(3, 4)"),
    ],
)
def test_what_a_platform_would_not_understand_is_an_error(language: Any, text: str) -> None:
    with pytest.raises(ExpressionError):
        Evaluation(language, NAMES).value(text)


def test_what_is_called_is_known() -> None:
    state = Evaluation(GITHUB, NAMES, {"failure": lambda: True})
    assert state.value("failure() && github.ref") == "refs/heads/main"
    assert state.called == {"failure"}


def test_texts() -> None:
    def value(text: str) -> Any:
        return Evaluation(GITHUB, NAMES).value(text)

    assert (
        substitute("a ${{ github.ref }} b ${{ '}}' }}", value, GITHUB) == "a refs/heads/main b }}"
    )
    assert substitute("${{ fromJSON('[1]') }}", value, GITHUB) == [1]
    assert substitute("$(not.ours) ${nor} this", value, GITHUB) == "$(not.ours) ${nor} this"
