"""Reads a Bicep file: what it declares, and the trees of its expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

DECLARED = ("parameter", "variable", "resource", "module", "output")


@dataclass
class Expression:
    """A part of a file; `sign` is its operator, or whether it asks before it reads (`.?`)."""

    kind: str
    text: str
    parts: list[Expression] = field(default_factory=list)
    sign: str = ""

    def pairs(self) -> dict[str, Expression]:
        """The properties of an object whose keys are plain."""
        return {part.parts[0].text.strip("'"): part.parts[1] for part in self.parts}


def source(node: Node) -> str:
    return (node.text or b"").decode()


def expression(node: Node) -> Expression:
    """The tree of an expression, with the operators in the order in which Bicep applies them."""
    inner = [child for child in node.named_children if child.type != "comment"]
    made = Expression(
        node.type.removesuffix("_expression"), source(node), [expression(part) for part in inner]
    )
    if made.kind in ("binary", "member", "subscript"):
        made.sign = source(node.child(1))  # type: ignore[arg-type]
        return _in_order(made, made.parts[0])
    return made


def _in_order(outer: Expression, first: Expression) -> Expression:
    """The parser takes `a ? b : c.d` for `(a ? b : c).d`, and `x => x.y` for `(x => x).y`."""
    looser = {"lambda", "ternary"} | ({"binary"} if outer.kind != "binary" else set())
    if first.kind not in looser:
        return outer
    last = first.parts[-1]
    text = last.text + outer.text.removeprefix(first.text)
    inner = Expression(outer.kind, text, [last, *outer.parts[1:]], outer.sign)
    return Expression(
        first.kind, outer.text, [*first.parts[:-1], _in_order(inner, last)], first.sign
    )


@dataclass
class Declaration:
    """A parameter, variable, resource, module or output: its words, and what stands after `=`."""

    words: list[str]
    value: Expression | None
    decorators: str
    existing: bool


class File:
    """What a file declares, by symbol."""

    def __init__(self, text: str, path: str) -> None:
        if path.endswith(".bicepparam"):  # the parser knows no `param` without a type
            text = re.sub(r"^param (\w+) =", r"var \1 =", text, flags=re.MULTILINE)
        root = Parser(Language(tree_sitter_bicep.language())).parse(text.encode()).root_node
        self.broken = root.has_error
        self.scope, self.using, decorators = "resourceGroup", "", ""
        self.declared: dict[str, dict[str, Declaration]] = {kind: {} for kind in DECLARED}
        for node in [] if self.broken else root.named_children:
            kind = node.type.partition("_")[0]
            if kind == "target":
                self.scope = source(node.named_children[0])[1:-1]
            elif kind == "using":
                self.using = source(node.named_children[0])[1:-1]
            elif kind in DECLARED:
                self._declare(kind, node, decorators)
            decorators = source(node) if kind == "decorators" else ""
        self.parameters, self.variables, self.resources, self.modules, self.outputs = (
            self.declared[kind] for kind in DECLARED
        )

    def _declare(self, kind: str, node: Node, decorators: str) -> None:
        parts = node.named_children
        assigned = any(child.type == "=" for child in node.children)
        words = [source(part).strip("'") for part in (parts[:-1] if assigned else parts)]
        self.declared[kind][words[0]] = Declaration(
            words,
            expression(parts[-1]) if assigned else None,
            decorators,
            " existing =" in source(node).partition("\n")[0],
        )

    def undeclared(self, functions: set[str]) -> Iterator[str]:
        """Symbols and functions that are used and not known; symbols that nothing uses."""
        known = {name for kind in DECLARED[:-1] for name in self.declared[kind]}
        used: set[str] = set()
        for each in (each for named in self.declared.values() for each in named.values()):
            if each.value:
                yield from _unknown(each.value, frozenset(known), functions, used)
        idle = {name for name, each in self.resources.items() if each.existing}
        for name in sorted(idle | set(self.parameters) | set(self.variables)):
            if name not in used and not self.using:
                yield f"{name}: never used"


def _unknown(
    node: Expression, known: frozenset[str], functions: set[str], used: set[str]
) -> Iterator[str]:
    parts = node.parts
    if node.kind in ("lambda", "for_statement"):
        known, parts = known | set(re.findall(r"\w+", parts[0].text)), parts[1:]
    elif node.kind == "call":
        if parts[0].text not in functions:
            yield f"{parts[0].text}: not a known function"
        parts = parts[1:]
    elif node.kind == "object_property" and parts[0].kind == "identifier":
        parts = parts[1:]
    if node.kind == "identifier" and node.text in known:
        used.add(node.text)
    elif node.kind == "identifier":
        yield f"{node.text}: not declared"
    for part in parts:
        yield from _unknown(part, known, functions, used)
