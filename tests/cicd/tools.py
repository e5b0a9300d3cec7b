"""Doubles of `gh` and `az`: first on a machine's PATH, they write down how they are called and answer.

They keep a platform's pull requests, issues, work items and queued runs in `$PLATFORM/state.json`, and
refuse what the real ones refuse: no token, a token without the right, nobody signed in, an argument
that they do not know. This file is run by itself, by a bare Python.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

NO_CREDENTIALS = "nobody-is-signed-in"  # where a clone without credentials would push to
ALL_RIGHTS = "a-token-with-all-rights"
SERVICE_TOKEN = "the-token-of-the-build-service"  # noqa: S105
EMPTY = {"calls": [], "pull_requests": [], "issues": [], "runs": [], "signed_in": ""}
SECRET = {"GH_TOKEN", "GITHUB_TOKEN", "AZURE_DEVOPS_EXT_PAT"}


def install(folder: Path) -> None:
    """Put the doubles into a folder; and a Python, as setup-python would."""
    folder.mkdir(parents=True, exist_ok=True)
    python = Path(sys.base_prefix) / "bin" / "python3"
    for name in ("gh", "az"):
        double = folder / name
        double.write_text(f'#!/bin/sh\nexec "{python}" -I -S "{__file__}" {name} "$@"\n', "utf-8")
        double.chmod(0o755)
    for name in ("python3", "python"):
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(python)
    write_state(folder.parent, json.loads(json.dumps(EMPTY)))


def read_state(root: Path) -> dict[str, Any]:
    """What the platform knows."""
    state: dict[str, Any] = json.loads((root / "state.json").read_text("utf-8"))
    return state


def write_state(root: Path, state: dict[str, Any]) -> None:
    """Replace what the platform knows."""
    (root / "state.json").write_text(json.dumps(state, indent=1), "utf-8")


def token(permissions: dict[str, str]) -> str:
    """A job's own token on GitHub, as the double reads it."""
    return "|".join(["job", *(f"{what}={level}" for what, level in permissions.items())])


class Call:
    """One call: its words, its options, and what the platform knows."""

    def __init__(self, tool: str, arguments: list[str]) -> None:
        self.tool, self.root = tool, Path(os.environ["PLATFORM"])
        self.state = read_state(self.root)
        self.words: list[str] = []
        self.options: dict[str, list[str]] = {}
        rest = list(arguments)
        while rest:
            word = rest.pop(0)
            if word.startswith("-"):
                name, equals, value = word.partition("=")
                values = self.options.setdefault(name, [])
                if equals:
                    values.append(value)
                    continue
                flag = re.compile("--|-[a-zA-Z]$" if tool == "gh" else "--")
                while rest and not flag.match(rest[0]):
                    values.append(rest.pop(0))
                    if tool == "gh":
                        break  # an option of `gh` has one value, one of `az` may have several
            else:
                self.words.append(word)
        present = {name: os.environ[name] for name in sorted(SECRET & set(os.environ))}
        self.state["calls"].append({"tool": tool, "arguments": arguments, "tokens": present})
        self.save()

    def save(self) -> None:
        write_state(self.root, self.state)

    def is_(self, *words: str) -> bool:
        """Whether the command begins with these words."""
        return tuple(self.words[: len(words)]) == words

    def option(self, *names: str, default: str | None = None) -> str:
        """The value of an option that must be there, unless there is a default."""
        for name in names:
            if name in self.options:
                value = " ".join(self.options[name])
                if self.tool == "az" and value.startswith("@"):
                    return Path(value[1:]).read_text("utf-8").removesuffix("\n")
                return value
        if default is None:
            self.refuse(f"{names[0]} is required")
        return default

    def text(self) -> str:
        """The body that an option gives, or names a file of (`-`: standard input)."""
        file = self.option("--body-file", "-F", "--description-file", default="")
        if file == "-":
            return sys.stdin.read()
        if file:
            return Path(file).read_text("utf-8")
        return self.option("--body", "-b", "--description", default="")

    def refuse(self, why: str, status: int = 1) -> NoReturn:
        print(f"{self.tool}: {' '.join(self.words)}: {why}", file=sys.stderr)
        sys.exit(status)

    def answer(self, value: Any) -> None:
        """Print a value, through --jq or --query where that is asked for."""
        query = self.option("--jq", "-q", "--query", default="")
        if not query:
            print(json.dumps(value))
            return
        for line in asked(value, query, self):
            print(line if isinstance(line, str) else json.dumps(line))


def asked(value: Any, query: str, call: Call) -> list[Any]:
    """What a query finds: the few forms of jq and JMESPath that are in use."""
    query, _, otherwise = query.partition(" // ")
    if query in ("length", "length(@)"):
        return [len(value)]
    found = [value]
    for part in re.findall(r"\[\d*\]|\w+|.", query.replace("'", "").replace('"', "")):
        if part == ".":
            continue
        if part == "[]":
            found = [item for one in found for item in one]
        elif part.startswith("["):
            index = int(part[1:-1])
            found = [one[index] if one and index < len(one) else None for one in found]
        elif re.fullmatch(r"\w+", part):
            found = [one.get(part) if one is not None else None for one in found]
        else:
            call.refuse(f"the double does not know the query {query}")
    if otherwise == "empty":
        found = [one for one in found if one is not None]
    if call.tool == "az" and found == [None]:
        return []
    return found


def main(tool: str, arguments: list[str]) -> None:
    """Answer one call."""
    call = Call(tool, arguments)
    if call.is_(*call.state.get("broken", ["nothing"])):
        call.refuse("HTTP 502: the platform is down")
    (gh if tool == "gh" else az)(call)
    call.save()


# --- gh ------------------------------------------------------------------------------------------


def gh(call: Call) -> None:
    """The commands of `gh` that workflows may use."""
    given = os.environ.get("GH_TOKEN") or os.environ.get("GITHUB_TOKEN") or ""
    if not given:
        call.refuse("set the GH_TOKEN environment variable", 4)

    def needs(right: str, level: str = "write") -> None:
        granted = dict(pair.split("=") for pair in given.split("|")[1:])
        if given != ALL_RIGHTS and granted.get(right) not in (level, "write"):
            call.refuse(f"HTTP 403: Resource not accessible by integration ({right}: {level})")

    if call.is_("auth", "setup-git"):
        origin = (call.root / "origin.git").as_uri()
        configure = ["git", "config", "--global", f"url.{origin}.insteadOf", NO_CREDENTIALS]
        subprocess.run(configure, check=True)
        needs("contents", "read")
    elif call.is_("pr", "list"):
        needs("pull-requests", "read")
        head, state = call.option("--head", default=""), call.option("--state", default="open")
        call.answer(
            [
                pull
                for pull in call.state["pull_requests"]
                if head in ("", pull["headRefName"]) and state in ("all", pull["state"].lower())
            ]
        )
    elif call.is_("pr", "create"):
        needs("pull-requests")
        pull = {
            "number": len(call.state["pull_requests"]) + 1, "state": "OPEN", "comments": [],
            "headRefName": call.option("--head", "-H"), "title": call.option("--title", "-t"),
            "body": call.text(),
        }  # fmt: skip
        call.state["pull_requests"].append(pull)
        print(f"https://github.com/someone/churn-model/pull/{pull['number']}")
    elif call.is_("pr", "comment"):
        needs("pull-requests")
        number = call.words[2]
        text, edits = call.text(), "--edit-last" in call.options
        for pull in call.state["pull_requests"]:
            if str(pull["number"]) == number:
                if edits and pull["comments"]:
                    pull["comments"][-1] = text
                elif edits and "--create-if-none" not in call.options:
                    call.refuse("no comments found for current user")
                else:
                    pull["comments"].append(text)
                return
        call.refuse(f"no pull request {number}")
    elif call.is_("issue"):
        needs("issues", "read" if call.is_("issue", "list") else "write")
        issues(call)
    elif call.is_("label", "create"):
        needs("issues")
    elif call.is_("workflow", "run"):
        needs("actions")
        given_inputs = [pair for name in ("-f", "--field", "--raw-field", "-F")
                        for pair in call.options.get(name, [])]  # fmt: skip
        call.state["runs"].append({
            "stage": call.words[2].removesuffix(".yml"),
            "inputs": dict(pair.split("=", 1) for pair in given_inputs),
            "branch": call.option("--ref", "-r", default="main"),
        })  # fmt: skip
    else:
        call.refuse("the double does not know this command", 2)


def issues(call: Call) -> None:
    """`gh issue`: list, create, comment, edit, close, reopen."""
    kept, verb = call.state["issues"], call.words[1]
    labels = [label for name in ("--label", "-l") for label in call.options.get(name, [])]
    if verb == "list":
        state = call.option("--state", "-s", default="open").upper()
        call.answer(
            [
                {**issue, "labels": [{"name": label} for label in issue["labels"]]}
                for issue in kept
                if state in ("ALL", issue["state"]) and set(labels) <= set(issue["labels"])
            ]
        )
        return
    if verb == "create":
        number = len(kept) + 1
        kept.append({
            "number": number, "state": "OPEN", "title": call.option("--title", "-t"),
            "body": call.text(), "labels": labels, "comments": [],
            "url": f"https://github.com/someone/churn-model/issues/{number}",
        })  # fmt: skip
        print(kept[-1]["url"])
        return
    wanted = call.words[2].rpartition("/")[2]
    issue = next((issue for issue in kept if str(issue["number"]) == wanted), None)
    if issue is None:
        call.refuse(f"no issue {wanted}")
    if verb == "comment":
        issue["comments"].append(call.text())
    elif verb == "edit":
        issue["body"] = call.text() or issue["body"]
        issue["title"] = call.option("--title", "-t", default=issue["title"])
    elif verb in ("close", "reopen"):
        issue["state"] = "CLOSED" if verb == "close" else "OPEN"
        comment = call.option("--comment", "-c", default="")
        issue["comments"] += [comment] if comment else []
    else:
        call.refuse("the double does not know this command", 2)


# --- az ------------------------------------------------------------------------------------------


def az(call: Call) -> None:
    """The commands of `az` that pipelines and the engine may use."""
    from_devops = call.words[0] in ("repos", "boards", "pipelines", "devops")
    if from_devops and os.environ.get("AZURE_DEVOPS_EXT_PAT") != SERVICE_TOKEN:
        call.refuse("Before you can run Azure DevOps commands, you need to run the login command")
    if call.words[0] in ("deployment", "group", "account") and not call.state["signed_in"]:
        call.refuse("Please run 'az login' to setup account.")
    if call.is_("repos", "pr", "list"):
        branch, state = (
            call.option("--source-branch", "-s"),
            call.option("--status", default="active"),
        )
        call.answer(
            [
                pull
                for pull in call.state["pull_requests"]
                if branch == pull["headRefName"] and state in ("all", "active")
            ]
        )
    elif call.is_("repos", "pr", "create"):
        pull = {
            "number": len(call.state["pull_requests"]) + 1, "state": "OPEN", "comments": [],
            "headRefName": call.option("--source-branch", "-s"), "title": call.option("--title"),
            "body": call.text(), "into": call.option("--target-branch", "-t", default="main"),
        }  # fmt: skip
        call.state["pull_requests"].append(pull)
        call.answer({"pullRequestId": pull["number"]})
    elif call.is_("pipelines", "run"):
        pairs = call.options.get("--parameters", [])
        branch = call.option("--branch", default="main").removeprefix("refs/heads/")
        call.state["runs"].append({
            "stage": call.option("--name"),
            "inputs": dict(pair.split("=", 1) for pair in pairs), "branch": branch,
        })  # fmt: skip
        call.answer({"id": len(call.state["runs"])})
    elif call.is_("boards"):
        boards(call)
    elif call.is_("devops", "invoke") and call.option("--resource") == "pullRequestThreads":
        routes = dict(pair.split("=", 1) for pair in call.options["--route-parameters"])
        thread = json.loads(Path(call.option("--in-file")).read_text("utf-8"))
        for pull in call.state["pull_requests"]:
            if str(pull["number"]) == routes["pullRequestId"]:
                pull["comments"] += [comment["content"] for comment in thread["comments"]]
    elif call.is_("deployment", "sub", "what-if") or call.is_("deployment", "sub", "create"):
        print("the double's answer of Azure: + Microsoft.MachineLearningServices/workspaces")
    elif call.is_("group", "exists"):
        print("true")
    elif call.is_("group", "delete"):
        pass
    elif call.is_("account", "show"):
        call.answer({"id": "a-subscription", "user": {"name": call.state["signed_in"]}})
    elif call.is_("extension") or call.is_("config") or call.is_("bicep"):
        pass
    else:
        call.refuse("the double does not know this command", 2)


def boards(call: Call) -> None:
    """`az boards`: query, work-item create, update, show."""
    kept = call.state["issues"]
    if call.is_("boards", "query"):
        wiql = call.option("--wiql")
        tags = re.findall(r"\[System\.Tags\]\s+contains\s+'((?:[^']|'')*)'", wiql, re.IGNORECASE)
        call.answer(
            [
                work_item(issue)
                for issue in kept
                if issue["state"] == "OPEN" and all(tag in issue["labels"] for tag in tags)
            ]
        )
        return
    if call.is_("boards", "work-item", "create"):
        fields = fields_of(call)
        kept.append({
            "number": len(kept) + 1, "state": "OPEN", "title": call.option("--title"),
            "body": call.text(), "comments": [], "type": call.option("--type"),
            "labels": [t.strip() for t in fields.get("System.Tags", "").split(";") if t.strip()],
        })  # fmt: skip
        call.answer(work_item(kept[-1]))
        return
    if not call.is_("boards", "work-item", "update") and not call.is_(
        "boards", "work-item", "show"
    ):
        call.refuse("the double does not know this command", 2)
    wanted = call.option("--id")
    issue = next((issue for issue in kept if str(issue["number"]) == wanted), None)
    if issue is None:
        call.refuse(f"no work item {wanted}")
    if call.is_("boards", "work-item", "update"):
        discussion = call.option("--discussion", default="")
        issue["comments"] += [discussion] if discussion else []
        issue["body"] = call.option("--description", default=issue["body"])
        if "--state" in call.options:
            over = ("closed", "done", "resolved", "removed")
            issue["state"] = "CLOSED" if call.option("--state").lower() in over else "OPEN"
    call.answer(work_item(issue))


def fields_of(call: Call) -> dict[str, str]:
    """The fields that `--fields` gives: each is one argument."""
    return dict(pair.split("=", 1) for pair in call.options.get("--fields", []))


def work_item(issue: dict[str, Any]) -> dict[str, Any]:
    """An issue as Azure Boards shows it."""
    fields = {
        "System.Title": issue["title"], "System.Description": issue["body"],
        "System.State": "Active" if issue["state"] == "OPEN" else "Closed",
        "System.Tags": "; ".join(issue["labels"]), "System.WorkItemType": issue.get("type", ""),
    }  # fmt: skip
    return {"id": issue["number"], "fields": fields}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
