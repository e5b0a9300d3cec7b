"""What the shell of a step refers to: commands of `mlops`, targets of make, files, variables.

A finding is a sentence; no finding means that all of it exists. `Script` reads a script as far as that
needs: simple commands, in words; what stands in quotes within quotes stays unread.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer.main

MLOPS = ".venv/bin/mlops"
KEYWORDS = {"if", "then", "else", "fi", "!", "do", "done", "while"}
OPERATORS = {";", "&&", "||", "|", "&", "(", ")", ";;"}
PROGRAMS = {MLOPS, ".venv/bin/python", "make", "git", "gh", "az", "jq", "echo", "exit", "set", "["}
# What a program reads from its environment, with no word of it in the script.
READ_BY_PROGRAMS = {
    "GH_TOKEN", "GH_REPO", "AZURE_DEVOPS_EXT_PAT", "UV_CACHE_DIR",
    "GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0",
}  # fmt: skip


@dataclass(frozen=True)
class Script:
    """A script of a step."""

    text: str

    def commands(self) -> list[list[str]]:
        """Its simple commands, each in words, without redirections."""
        text = self.text.replace("\\\n", " ")
        text = re.sub(r"\$\{\w+:\+([^}]*)\}", r"\1", text)  # what may be left out is checked, too
        found: list[list[str]] = []
        for line in text.splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words: list[str] = []
            skip = False
            for word in [*lexer, ";"]:
                if word in OPERATORS:
                    found.append(words)
                    words = []
                elif set(word) <= set("<>"):
                    skip = True
                elif skip:
                    skip = False
                elif words or not (word in KEYWORDS or re.match(r"\w+=", word)):
                    words.append(word)
        return [words for words in found if words]

    def read(self) -> set[str]:
        """The variables that it reads."""
        text, outside, double = "", True, False
        for previous, sign in zip(" " + self.text, self.text):
            if sign == '"' and outside and previous != "\\":
                double = not double
            if sign == "'" and not double:
                outside = not outside
            text += sign if outside else ""
        return set(re.findall(r"(?<!\\)\$\{?([A-Za-z_]\w*)", text))

    def assigned(self) -> set[str]:
        """The variables that it sets itself."""
        return set(re.findall(r"(?:^|[\s;])([A-Za-z_]\w*)=", self.text))

    def words(self) -> str:
        """Its text without comments."""
        return re.sub(r"(^|\s)#.*", "", self.text)


@functools.cache
def command_tree() -> Any:
    """The commands of `mlops`, as its own parser knows them: a group with `commands`."""
    import mlops.cli

    return typer.main.get_command(mlops.cli.app)


# What each command hands to the steps after it. `test_files.py` holds the engine to it.
PUBLISHED = {
    "train": {"version", "digest", "registered"},
    "release": {"version", "digest", "environments"},
    "monitor": {"alarms", "report"},
    "retrain": {"retrain", "request", "version", "digest", "registered", "alarms"},
    "workspaces list": {"deployments"},
    "update": {"branch"},
}


def outputs_of(script: str) -> set[str]:
    """The outputs of a step that runs this script."""
    found: set[str] = set()
    for words in Script(script).commands():
        if words[0] == MLOPS:
            plain = [word for word in words[1:3] if not word.startswith("-")]
            for length in (1, 2):
                found |= PUBLISHED.get(" ".join(plain[:length]), set())
    return found


@dataclass(frozen=True)
class Surroundings:
    """What a script may refer to: the project, its environments, and the variables that are set."""

    platform: str
    project: Path
    environments: list[str]
    variables: set[str]

    def findings(self, text: str) -> Iterator[str]:
        """What the script refers to and is not there."""
        script = Script(text)
        commands = script.commands()
        called = sum(words[0] == MLOPS for words in commands)
        if called != len(re.findall(r"(?<!\w)mlops ", script.words())):
            yield "a call of mlops hides in quotes, or is not that of .venv"
        for words in commands:
            if words[0] not in PROGRAMS:
                yield f"`{words[0]}` is a program that this check does not know"
            elif words[0] == MLOPS:
                yield from self._mlops(words[1:])
            elif words[0] == "make":
                yield from self._make(words[1:])
        for name in sorted(script.read() - script.assigned() - self.variables):
            yield f"${name} is set nowhere"
        folders = "containers|environments|data|src"
        for path in re.findall(rf"(?<![\w./$-])((?:{folders})/[\w./-]+)", text):
            if not (self.project / path).exists():
                yield f"there is no {path}"

    def _make(self, targets: list[str]) -> Iterator[str]:
        known = re.findall(r"^([\w-]+):", (self.project / "Makefile").read_text("utf-8"), re.M)
        for target in targets:
            if not target.startswith("$") and target not in known:
                yield f"make has no target {target}"

    def _mlops(self, words: list[str]) -> Iterator[str]:
        command = command_tree()
        words, path = list(words), "mlops"
        while hasattr(command, "commands"):
            name = words.pop(0) if words else ""
            if name not in command.commands:
                yield f"there is no command `{path} {name}`"
                return
            command, path = command.commands[name], f"{path} {name}"
        options = {
            opt: param for param in command.params for opt in (*param.opts, *param.secondary_opts)
        }
        given = set()
        while words:
            word = words.pop(0)
            param = options.get(word)
            if param is None:
                yield f"`{path}` has no {word}"
                continue
            given.add(param.name)
            if getattr(param, "is_flag", False):
                continue
            value = words.pop(0) if words else ""
            if word == "--env" and not value.startswith("$") and value not in self.environments:
                yield f"`{path}`: there is no environment {value}"
            if word == "--on" and value != self.platform:
                yield f"`{path}`: this is not {value}"
        missing = [p.opts[0] for p in command.params if p.required and p.name not in given]
        if missing:
            yield f"`{path}` needs {', '.join(missing)}"
