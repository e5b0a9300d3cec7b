"""Runs the workflow of a Logic App as Azure would, as far as this project's goes.

`run` takes the definition, its parameters and what the trigger was sent; what the actions ask the
network, `answer` answers. Expressions are those of Logic Apps: calls of functions, and what lies in
what they give, by `['name']`, or by `?['name']` where it may be missing.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any, NamedTuple

Json = Any
TOKENS = re.compile(r"\s*('(?:[^']|'')*'|\d+|\w+|\?\[|[\[\](),])")


class Answer(NamedTuple):
    """What an address answers."""

    status: int
    body: Json = None


class Run:
    """A run: what was asked of the network, what the caller is answered, and how each action ended."""

    def __init__(
        self, definition: Json, given: dict[str, Json], sent: Json,
        answer: Callable[[dict[str, Json]], Answer],
    ) -> None:  # fmt: skip
        self.asked: list[dict[str, Json]] = []
        self.answered: Answer | None = None
        self.ended: dict[str, str] = {}
        self.shown: dict[str, Json] = {}
        """What the history of runs shows of each action's inputs and outputs."""
        self._given, self._sent, self._answer = given, sent, answer
        self._outputs: dict[str, Json] = {}
        self._run(definition["actions"])

    def _run(self, actions: dict[str, Json]) -> str:
        """Run the actions of a scope in their order; how the scope ended."""
        waiting = dict(actions)
        while waiting:
            ready = next(n for n in waiting if not waiting[n].get("runAfter", {}).keys() & waiting)
            action = waiting.pop(ready)
            after = action.get("runAfter", {})
            runs = all(self.ended[name] in wanted for name, wanted in after.items())
            self.ended[ready] = self._act(ready, action) if runs else "Skipped"
        last = [name for name in actions
                if not any(name in each.get("runAfter", {}) for each in actions.values())]  # fmt: skip
        return (
            "Failed" if {self.ended[name] for name in last} & {"Failed", "Skipped"} else "Succeeded"
        )

    def _act(self, name: str, action: Json) -> str:
        if action["type"] == "Scope":
            return self._run(action["actions"])
        if action["type"] == "If":
            holds = all(left == right for test in action["expression"]["and"]
                        for left, right in [self.value(test["equals"])])  # fmt: skip
            other = action.get("else", {}).get("actions", {})
            return self._run(action["actions"] if holds else other)
        inputs = self.value(action["inputs"])
        if action["type"] == "Response":
            assert self.answered is None, "answered twice"
            self.answered = Answer(inputs["statusCode"], inputs.get("body"))
            return "Succeeded"
        assert action["type"] == "Http", action["type"]
        self.asked.append(inputs)
        answer = self._answer(inputs)
        self._outputs[name] = {"statusCode": answer.status, "body": answer.body}
        secured = action.get("runtimeConfiguration", {}).get("secureData", {}).get("properties", [])
        every = {"inputs": inputs, "outputs": self._outputs[name]}
        self.shown[name] = {key: value for key, value in every.items() if key not in secured}
        return "Succeeded" if answer.status < 400 else "Failed"

    # --- Expressions

    def value(self, given: Json) -> Json:
        """What an input says, with its expressions worked out."""
        if isinstance(given, dict):
            return {key: self.value(each) for key, each in given.items()}
        if isinstance(given, list):
            return [self.value(each) for each in given]
        if isinstance(given, str) and given.startswith("@"):
            tokens = TOKENS.findall(given[1:])
            assert "".join(tokens) == given[1:].replace(", ", ","), f"not understood: {given}"
            value, rest = self._expression(tokens)
            assert not rest, f"not understood: {given}"
            return value
        return given

    def _expression(self, tokens: list[str]) -> tuple[Json, list[str]]:
        first, rest = tokens[0], tokens[1:]
        if first.startswith("'"):
            return first[1:-1].replace("''", "'"), rest
        if first.isdigit():
            return int(first), rest
        assert rest[0] == "(", f"{first} is no call"
        arguments, rest = [], rest[1:]
        while rest[0] != ")":
            value, rest = self._expression(rest)
            arguments.append(value)
            rest = rest[1:] if rest[0] == "," else rest
        value, rest = self._call(first, arguments), rest[1:]
        while rest and rest[0] in ("[", "?["):
            key, after = self._expression(rest[1:])
            value = self._inside(value, key, maybe=rest[0] == "?[")
            rest = after[1:]
        return value, rest

    def _inside(self, value: Json, key: Json, *, maybe: bool) -> Json:
        if maybe and (value is None or (isinstance(value, dict) and key not in value)):
            return None
        if maybe and isinstance(value, list) and key >= len(value):
            return None
        return value[key]

    def _call(self, name: str, given: list[Json]) -> Json:
        match name:
            case "triggerBody":
                return self._sent
            case "parameters":
                return self._given[given[0]]
            case "outputs":
                return self._outputs[given[0]]
            case "body":
                return self._outputs[given[0]]["body"]
            case "concat":
                return "".join(given)
            case "base64":
                return base64.b64encode(given[0].encode()).decode()
            case "equals":
                return given[0] == given[1]
            case "if":
                return given[1] if given[0] else given[2]
        raise AssertionError(f"{name} is not a known function")
