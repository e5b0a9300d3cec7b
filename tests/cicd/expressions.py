"""Expressions of GitHub Actions and Azure Pipelines: one parser for both; languages.py has the rules.

Azure's language is GitHub's without operators, and with functions in their place. What is not known
here is an error: a workflow that names it needs this file to grow, not a guess.

Sources: GitHub, "Evaluate expressions in workflows and actions"; Azure Pipelines, "Expressions".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>'(?:[^']|'')*')
      | (?P<number>-?(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)*(?:[eE][+-]?\d+)?))
      | (?P<name>[A-Za-z_][\w-]*)
      | (?P<sign>&&|\|\||==|!=|<=|>=|[!<>()\[\].,*])
    )""",
    re.VERBOSE,
)
OPERATORS = [["||"], ["&&"], ["==", "!="], ["<", "<=", ">", ">="]]  # the weakest first


class ExpressionError(Exception):
    """The platform would refuse this expression, or this file does not know it."""


class Names(dict[str, Any]):
    """What a name can stand for; names are found whatever their case."""

    def find(self, name: str) -> Any:
        for key, value in self.items():
            if key.lower() == name.lower():
                return value
        raise ExpressionError(f"there is no `{name}` here; there are: {', '.join(self)}")


@dataclass(frozen=True)
class Language:
    """What sets one of the two languages apart.

    `text` says how a value is written as a string, `equal` when two values are equal.
    """

    operators: bool
    functions: dict[str, Callable[..., Any]]
    text: Callable[[Any], str]
    truth: Callable[[Any], bool]
    equal: Callable[[Any, Any], bool]


@dataclass
class Evaluation:
    """The value of an expression: it is computed while it is read.

    `functions` are those that only hold at this place, such as the state of the jobs before. `called`
    are the functions that it names: a condition that asks for no state gets one.
    """

    language: Language
    names: Names
    functions: dict[str, Callable[..., Any]] = field(default_factory=dict)
    called: set[str] = field(default_factory=set)

    def value(self, text: str) -> Any:
        """The value of a whole expression.

        Raises:
            ExpressionError: it is wrong, or names something that is not there.
        """
        self._tokens, self._text = _tokens(text), text
        found = self._operation(0)
        if self._tokens:
            raise ExpressionError(f"`{text}`: what is `{self._tokens[0][1]}` doing here?")
        return found

    def _peek(self, *signs: str) -> bool:
        return bool(self._tokens) and self._tokens[0] in [("sign", sign) for sign in signs]

    def _next(self, expected: str | None = None) -> tuple[str, str]:
        if not self._tokens or (expected and self._tokens[0] != ("sign", expected)):
            found = f"`{self._tokens[0][1]}`" if self._tokens else "its end"
            raise ExpressionError(f"`{self._text}`: {expected or 'a value'} is missing at {found}")
        return self._tokens.pop(0)

    def _operation(self, level: int) -> Any:
        if level == len(OPERATORS):
            return self._not()
        left = self._operation(level + 1)
        while self._peek(*OPERATORS[level]):
            if not self.language.operators:
                raise ExpressionError(f"`{self._text}`: Azure Pipelines has no operators")
            sign = self._next()[1]
            right = self._operation(level + 1)
            left = self._apply(sign, left, right)
        return left

    def _apply(self, sign: str, left: Any, right: Any) -> Any:
        if sign == "||":
            return left if self.language.truth(left) else right
        if sign == "&&":
            return right if self.language.truth(left) else left
        if sign in ("==", "!="):
            return self.language.equal(left, right) == (sign == "==")
        if not (isinstance(left, str) and isinstance(right, str)):
            left, right = number(left), number(right)
        return {
            "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right,
        }[sign]  # fmt: skip

    def _not(self) -> Any:
        if self._peek("!"):
            if not self.language.operators:
                raise ExpressionError(f"`{self._text}`: Azure Pipelines has no operators")
            self._next()
            return not self.language.truth(self._not())
        return self._path()

    def _path(self) -> Any:
        kind, word = self._next()
        if kind == "sign" and word == "(":
            found = self._operation(0)
            self._next(")")
        elif kind == "string":
            found = word[1:-1].replace("''", "'")
        elif kind == "number":
            found = number(word) if word.count(".") < 2 else word
        elif kind == "name" and word.lower() in ("true", "false", "null"):
            found = {"true": True, "false": False, "null": None}[word.lower()]
        elif kind == "name" and self._peek("("):
            found = self._call(word)
        elif kind == "name":
            found = self.names.find(word)
        else:
            raise ExpressionError(f"`{self._text}`: what is `{word}` doing here?")
        while self._peek(".", "["):
            found = self._part(found)
        return found

    def _part(self, whole: Any) -> Any:
        if self._next()[1] == "[":
            key = self._operation(0)
            self._next("]")
        elif self._peek("*"):
            self._next()
            rest = whole.values() if isinstance(whole, dict) else whole or []
            return Several(rest)
        else:
            key = self._next()[1]
        if isinstance(whole, Several):
            return Several(part_of(item, key) for item in whole)
        return part_of(whole, key)

    def _call(self, name: str) -> Any:
        self._next("(")
        arguments: list[Any] = []
        while not self._peek(")"):
            if arguments:
                self._next(",")
            arguments.append(self._operation(0))
        self._next(")")
        known = {key.lower(): f for key, f in (self.language.functions | self.functions).items()}
        if name.lower() not in known:
            raise ExpressionError(f"`{self._text}`: there is no function `{name}` here")
        self.called.add(name.lower())
        return known[name.lower()](*arguments)


class Several(list[Any]):
    """What `.*` found."""


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    while text[position:].strip():
        match = TOKEN.match(text, position)
        if not match:
            raise ExpressionError(f"`{text}`: what is `{text[position:].strip()}`?")
        tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
        position = match.end()
    return tokens


def part_of(whole: Any, key: Any) -> Any:
    """A member of an object or an array; null where there is none, as on both platforms.

    An object with `__strict__` stands for one whose members must be there, such as the outputs of a
    step: a name that is misspelt is null on the platforms, and an error here.
    """
    if isinstance(whole, dict):
        for name, value in whole.items():
            if name.lower() == str(key).lower():
                return value
        if isinstance(whole, Strict):
            whole.refuse(key)
        return None
    if isinstance(whole, list):
        index = int(number(key)) if number(key) == number(key) else -1
        return whole[index] if 0 <= index < len(whole) else None
    return None


class Strict(dict[str, Any]):
    """An object that a platform would answer for with null, where we want to hear of it."""

    def __init__(self, what: str, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.what = what

    def refuse(self, key: Any) -> None:
        raise ExpressionError(f"{self.what} has no `{key}`; it has: {', '.join(self) or 'nothing'}")


def number(value: Any) -> float:
    """A value as a number: what GitHub compares with; not a number where it is none."""
    if value is None or value == "":
        return 0.0
    if isinstance(value, str):
        try:
            return float(int(value, 16)) if value.lower().startswith("0x") else float(value)
        except ValueError:
            return math.nan
    return float(value) if isinstance(value, (bool, int, float)) else math.nan


PLACE = re.compile(r"\$\{\{((?:[^'}]|'(?:[^']|'')*'|\}(?!\}))*)\}\}")


def substitute(text: str, evaluate: Callable[[str], Any], language: Language) -> Any:
    """A text with its `${{ }}` replaced; the value itself where the text is nothing else."""
    whole = PLACE.fullmatch(text.strip())
    if whole:
        return evaluate(whole[1])
    return PLACE.sub(lambda match: language.text(evaluate(match[1])), text)
