"""Templates of Azure Pipelines: what a pipeline is once they are expanded, before it runs.

Sources: Azure Pipelines, "Template usage reference", "Template expressions", "Template parameters".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from .expressions import Evaluation, Names, Strict, substitute
from .languages import AZURE
from .platforms import read_yaml

DIRECTIVE = re.compile(r"\$\{\{\s*(if|elseif|else|each|insert)\b\s*(.*?)\s*\}\}", re.DOTALL)
EACH = re.compile(r"(\w+)\s+in\s+(.*)", re.DOTALL)
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str, int, float), "boolean": (bool,), "number": (int, float), "object": (dict, list),
}  # fmt: skip


def expand_pipeline(
    file: Path, predefined: dict[str, str], given: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """A pipeline without templates and template expressions; and its variables.

    Args:
        file: the pipeline.
        predefined: the variables that the platform knows before the run.
        given: the parameters that the run was queued with.
    """
    spec = read_yaml(file)
    parameters = parameters_of(file, spec, given)
    names = Names(parameters=parameters, variables=Strict("variables", predefined))
    listed = Expansion(file, names).section("variables", spec.get("variables") or [])
    variables = named(listed)
    names["variables"] = Strict("variables", predefined | variables)
    expansion = Expansion(file, names)
    rest = {key: spec[key] for key in spec if key not in ("parameters", "variables")}
    done: dict[str, Any] = expansion.mapping(rest)
    return done, variables


def parameters_of(file: Path, spec: dict[str, Any], given: dict[str, Any]) -> Strict:
    """The values of a file's parameters; they are checked as the platform checks them."""
    values, left = {}, dict(given)
    for rule in spec.get("parameters") or []:
        name = rule["name"]
        assert name in left or "default" in rule, f"{file.name}: a value for {name} must be given"
        value = left.pop(name, rule.get("default"))
        kinds = TYPES[rule.get("type", "string")]
        assert isinstance(value, kinds), f"{file.name}: {name} is no {rule.get('type')}: {value!r}"
        # A pipeline that is queued with an empty string is refused: it says "a value is required".
        assert value != "" or "default" in rule, f"{file.name}: a value for {name} must be given"
        if "values" in rule:
            assert value in rule["values"], f"{file.name}: {name} may not be {value!r}"
        values[name] = value
    assert not left, f"{file.name}: unexpected parameters: {', '.join(left)}"
    return Strict("parameters", values)


def named(listed: Any) -> dict[str, str]:
    """Variables by name, from either form that they may have in a file."""
    if isinstance(listed, dict):
        listed = [{"name": name, "value": value} for name, value in listed.items()]
    for one in listed:
        assert set(one) <= {"name", "value", "readonly"}, f"the harness does not know {one}"
    return {one["name"]: AZURE.text(one["value"]) for one in listed}


class Expansion:
    """The expansion of one file: which names its expressions may use."""

    def __init__(self, file: Path, names: Names) -> None:
        self.file, self.names = file, names

    def value(self, text: str) -> Any:
        """The value of an expression."""
        return Evaluation(AZURE, self.names).value(text)

    def section(self, key: str, node: Any) -> Any:
        """A part of the file under this key."""
        if isinstance(node, dict):
            return self.mapping(node)
        if isinstance(node, list):
            return self.sequence(key, node)
        return substitute(node, self.value, AZURE) if isinstance(node, str) else node

    def with_name(self, name: str, value: Any) -> Expansion:
        """The same with one more name."""
        return Expansion(self.file, Names({**self.names, name: value}))

    def mapping(self, node: dict[Any, Any]) -> dict[str, Any]:
        """A mapping with its directives followed."""
        done: dict[str, Any] = {}
        taken = False
        for key, value in node.items():
            match = DIRECTIVE.fullmatch(str(key).strip())
            if not match:
                name = substitute(key, self.value, AZURE) if isinstance(key, str) else key
                done[name] = self.section(name, value)
                continue
            for expansion, inserted in self.follow(match[1], match[2], taken):
                if inserted:
                    done |= expansion.mapping(value)
            if match[1] in ("if", "elseif", "else"):
                taken = self.chosen(match[1], match[2], taken)
        return done

    def sequence(self, key: str, node: list[Any]) -> list[Any]:
        """A sequence with its directives followed and its templates included."""
        done: list[Any] = []
        taken = False
        for item in node:
            first = str(next(iter(item))).strip() if isinstance(item, dict) and item else ""
            match = DIRECTIVE.fullmatch(first)
            if match:
                assert len(item) == 1, f"{self.file.name}: {first} stands beside other keys"
                for expansion, inserted in self.follow(match[1], match[2], taken):
                    if inserted:
                        value = expansion.section(key, item[next(iter(item))])
                        done += value if isinstance(value, list) else [value]
                if match[1] in ("if", "elseif", "else"):
                    taken = self.chosen(match[1], match[2], taken)
            elif first == "template":
                done += self.included(key, item)
            else:
                done.append(self.section(key, item))
        return done

    def chosen(self, word: str, text: str, taken: bool) -> bool:
        """Whether a branch of if, elseif and else was taken by now."""
        before = taken and word != "if"
        return before or word == "else" or AZURE.truth(self.value(text))

    def follow(self, word: str, text: str, taken: bool) -> list[tuple[Expansion, bool]]:
        """In which expansions the value of a directive is inserted."""
        if word == "insert":
            return [(self, True)]
        if word == "each":
            match = EACH.fullmatch(text)
            assert match, f"{self.file.name}: each {text}"
            items = self.value(match[2])
            if isinstance(items, dict):
                items = [{"key": key, "value": value} for key, value in items.items()]
            return [(self.with_name(match[1], item), True) for item in items]
        if word == "else":
            return [(self, not taken)]
        open_ = not taken or word == "if"
        return [(self, open_ and AZURE.truth(self.value(text)))]

    def included(self, key: str, item: dict[str, Any]) -> list[Any]:
        """What a template gives to the sequence in which it is named."""
        assert set(item) <= {"template", "parameters"}, f"{self.file.name}: {item}"
        file = self.file.parent / str(substitute(item["template"], self.value, AZURE))
        assert file.is_file(), f"{self.file.name}: there is no {item['template']}"
        given = self.section("parameters", item.get("parameters") or {})
        spec = read_yaml(file)
        assert set(spec) <= {"parameters", key}, f"{file.name} is no template of {key}"
        parameters = parameters_of(file, spec, given)
        names = Names({**self.names, "parameters": parameters})
        inside = Expansion(file, Names({k: names[k] for k in ("parameters", "variables")}))
        content = inside.section(key, spec[key])
        if key == "variables":
            return [{"name": name, "value": value} for name, value in named(content).items()]
        return list(content)
