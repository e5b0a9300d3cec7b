"""Doubles of `gh` and `az` for `mlops connect`: they keep a platform in a JSON file, write down how
they are called, and answer and refuse as the real ones do.

Shapes: GitHub's REST API (environments, variables, branch protection, teams, OIDC), Azure's CLI
(account, identity, role, group), Azure DevOps' REST API and CLI. Run as a program, by a bare Python,
or called in the test's own process.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
TENANT = "22222222-2222-2222-2222-222222222222"
WRITES = re.compile(
    r"--method (PUT|POST|PATCH|DELETE)|--http-method (POST|PATCH|PUT|DELETE)|variable set|"
    r" (create|update|delete) "
)


class Refusal(Exception):
    """What a tool says on standard error, with its exit status."""

    def __init__(self, said: str, status: int = 1, body: str = "") -> None:
        super().__init__(said)
        self.said, self.status, self.body = said, status, body


class Platform:
    """The state of the platforms in a file, and the answers of the two tools."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.state: dict[str, Any] = json.loads(file.read_text("utf-8"))

    def call(self, tool: str, arguments: list[str], stdin: str) -> tuple[int, str, str]:
        """Exit status, standard output and standard error of one call."""
        body = None
        for option in ("--in-file", "--service-endpoint-configuration", "--config", "--input"):
            if option in arguments:
                index = arguments.index(option) + 1
                place = arguments[index]
                text = stdin if place in ("-", "/dev/stdin") else Path(place).read_text("utf-8")
                arguments = [*arguments[:index], "FILE", *arguments[index + 1 :]]
                body = json.loads(text)
        line = " ".join([tool, *arguments])
        self.state["calls"].append({"line": line, "words": [tool, *arguments], "body": body})
        try:
            for refusal in self.state["refusals"]:
                if re.search(refusal["on"], line):
                    raise Refusal(refusal["said"], refusal.get("status", 1))
            answer = (_Gh if tool == "gh" else _Az)(self.state, arguments, body).answer()
        except Refusal as refusal:
            self._save()
            return refusal.status, refusal.body, refusal.said + "\n"
        self._save()
        return 0, answer, ""

    def _save(self) -> None:
        self.file.write_text(json.dumps(self.state, indent=1), "utf-8")


def options_of(arguments: list[str]) -> dict[str, list[str]]:
    """The words after each option."""
    found: dict[str, list[str]] = {}
    name = ""
    for word in arguments:
        if re.fullmatch(r"--[a-z][a-z-]*", word):
            name = word
            found.setdefault(name, [])
        elif name:
            found[name].append(word)
    return found


class _Tool:
    def __init__(self, state: dict[str, Any], arguments: list[str], body: Any) -> None:
        self.state, self.arguments, self.body = state, arguments, body
        self.options = options_of(arguments)

    def one(self, option: str, default: str = "") -> str:
        return (self.options.get(option) or [default])[0]

    def show(self, value: Any) -> str:
        """The answer as --query and --output ask for it."""
        if self.one("--output") == "none":
            return ""
        if query := self.one("--query"):
            for part in query.split("."):
                value = value[part]
        return f"{value}\n" if self.one("--output") == "tsv" else json.dumps(value)


class _Gh(_Tool):
    """`gh`: api, repo view, variable set."""

    def answer(self) -> str:
        hub = self.state["github"]
        if not hub["signed_in"]:
            raise Refusal(
                "To get started with GitHub CLI, please run:  gh auth login\nAlternatively, "
                "populate the GH_TOKEN environment variable with a GitHub API authentication token.",
                4,
            )
        words = self.arguments
        if words[:2] == ["repo", "view"]:
            repository = hub["repository"]
            host = hub.get("host", "github.com")
            url = f"https://{host}/{repository['full_name']}"
            return json.dumps({"nameWithOwner": repository["full_name"], "url": url})
        if words[:2] == ["variable", "set"]:
            place = hub["environments"].get(self.one("--env")) if "--env" in self.options else hub
            if place is None:
                raise Refusal("failed to set variable: HTTP 404: Not Found")
            place["variables"][words[2]] = self.one("--body")
            return ""
        assert words[0] == "api", words
        value = next(word for word in words[1:] if "/" in word and not word.startswith("-"))
        found = self._rest(self.one("--method", "GET"), value.split("?")[0])
        return "" if found is None or "--silent" in words else json.dumps(found)

    def _rest(self, method: str, path: str) -> Any:
        hub = self.state["github"]
        name = hub["repository"]["full_name"]
        if path == f"repos/{name}":
            return hub["repository"]
        routes = (
            (r"actions/oidc/customization/sub", self._subject),
            (r"teams", lambda: [one for one in hub["teams"].values() if one["permission"]]),
            (r"environments/([^/]+)", self._environment),
            (r"environments/([^/]+)/deployment-branch-policies", self._branch_policies),
            (r"environments/([^/]+)/variables/(\w+)", self._environment_variable),
            (r"environments/([^/]+)/secrets/(\w+)", self._secret),
            (r"actions/variables/(\w+)", self._variable),
            (r"branches/([^/]+)/protection", self._protection),
        )
        for pattern, handler in routes:
            if found := re.fullmatch(rf"repos/{re.escape(name)}/{pattern}", path):
                self.method = method
                return handler(*found.groups())
        if found := re.fullmatch(r"orgs/([^/]+)/teams/([^/]+)", path):
            return self._found(hub["teams"].get(found[2]))
        if re.fullmatch(r"orgs/[^/]+/actions/oidc/customization/sub", path):
            return self._found(hub["organization_subject"])
        if found := re.fullmatch(r"users/(.+)", path):
            return self._found(hub["users"].get(found[1]))
        raise AssertionError(f"the double knows no {method} {path}")

    def _found(self, value: Any) -> Any:
        if value is None:
            raise Refusal("gh: Not Found (HTTP 404)", 1, '{"message":"Not Found","status":"404"}')
        return value

    def _subject(self) -> Any:
        return self.state["github"]["subject"]

    def _environment(self, name: str) -> Any:
        hub = self.state["github"]
        if self.method == "GET":
            return self._found(hub["environments"].get(name, {}).get("shown"))
        body = self.body
        if body.get("reviewers") and hub["plan"] == "free" and hub["repository"]["private"]:
            raise Refusal(
                "gh: Failed to create the environment protection rule. Please ensure the billing "
                "plan supports the required reviewers protection rule. (HTTP 422)"
            )
        rules: list[Any] = []
        if body["wait_timer"]:
            rules.append({"id": 1, "type": "wait_timer", "wait_timer": body["wait_timer"]})
        if body["reviewers"]:
            reviewers = [
                {"type": one["type"], "reviewer": {"id": one["id"]}} for one in body["reviewers"]
            ]
            rules.append({
                "id": 2, "type": "required_reviewers", "reviewers": reviewers,
                "prevent_self_review": body["prevent_self_review"],
            })  # fmt: skip
        policy = body["deployment_branch_policy"]
        if policy:
            rules.append({"id": 3, "type": "branch_policy"})
        there = hub["environments"].setdefault(
            name, {"variables": {}, "secrets": [], "policies": []}
        )
        there["shown"] = {
            "id": 4, "name": name, "protection_rules": rules, "deployment_branch_policy": policy,
        }  # fmt: skip
        return there["shown"]

    def _branch_policies(self, name: str) -> Any:
        environment = self._found(self.state["github"]["environments"].get(name))
        if self.method == "POST":
            environment["policies"].append({"id": 5, **self.body})
            return environment["policies"][-1]
        policies = environment["policies"]
        return {"total_count": len(policies), "branch_policies": policies}

    def _environment_variable(self, environment: str, name: str) -> Any:
        variables = self.state["github"]["environments"].get(environment, {}).get("variables", {})
        return {"name": name, "value": self._found(variables.get(name))}

    def _variable(self, name: str) -> Any:
        return {"name": name, "value": self._found(self.state["github"]["variables"].get(name))}

    def _secret(self, environment: str, name: str) -> Any:
        secrets = self.state["github"]["environments"].get(environment, {}).get("secrets", [])
        return {"name": self._found(name if name in secrets else None)}

    def _protection(self, branch: str) -> Any:
        hub = self.state["github"]
        if hub["plan"] == "free" and hub["repository"]["private"]:
            raise Refusal(
                "gh: Upgrade to GitHub Pro or make this repository public to enable this feature. "
                "(HTTP 403)"
            )
        if self.method == "GET":
            if hub["protection"] is None:
                raise Refusal("gh: Branch not protected (HTTP 404)")
            return hub["protection"]
        if not hub["pushed"]:
            raise Refusal("gh: Branch not found (HTTP 404)")
        body = self.body
        shown = {
            "required_status_checks": body["required_status_checks"],
            "enforce_admins": {"enabled": body["enforce_admins"]},
            "required_pull_request_reviews": body["required_pull_request_reviews"],
        }
        if body["restrictions"] is not None:
            people = body["restrictions"]
            shown["restrictions"] = {
                "users": [{"login": one} for one in people["users"]],
                "teams": [{"slug": one} for one in people["teams"]],
                "apps": [{"slug": one} for one in people["apps"]],
            }
        for switch in ("required_linear_history", "allow_force_pushes", "lock_branch"):
            shown[switch] = {"enabled": body.get(switch, False)}
        hub["protection"] = shown
        return shown


class _Az(_Tool):
    """`az`: account, group, identity, role, devops, pipelines, repos."""

    def answer(self) -> str:
        azure = self.state["azure"]
        verb = " ".join(word for word in self.arguments[:4] if not word.startswith("-"))
        devops = verb.split()[0] in ("devops", "pipelines", "repos")
        if devops and not self.state["devops"]["extension"]:
            raise Refusal(
                f"ERROR: '{verb.split()[0]}' is misspelled or not recognized by the system.", 2
            )
        if not azure["signed_in"]:
            raise Refusal("ERROR: Please run 'az login' to setup account.")
        for start, handler in self._handlers().items():
            if verb == start or verb.startswith(f"{start} "):
                return handler()
        raise AssertionError(f"the double knows no az {verb}")

    def _handlers(self) -> dict[str, Any]:
        return {
            "account show": self._account,
            "group exists": lambda: json.dumps(self.one("--name") in self.state["azure"]["groups"]),
            "group create": self._create_group,
            "identity show": lambda: self.show(self._identity()),
            "identity create": self._create_identity,
            "identity federated-credential": self._credential,
            "role assignment list": self._roles,
            "role assignment create": self._assign,
            "devops configure": lambda: self.state["devops"]["configured"],
            "devops project show": self._project,
            "devops team list": lambda: json.dumps([
                {"name": name, "id": id_} for name, id_ in self.state["devops"]["teams"].items()
            ]),
            "devops service-endpoint": self._endpoint,
            "devops invoke": self._invoke,
            "pipelines list": lambda: json.dumps([
                {"name": name, "id": id_} for name, id_ in self.state["devops"]["pipelines"].items()
            ]),
            "pipelines create": self._create_pipeline,
            "repos show": self._repository,
            "repos policy list": lambda: json.dumps(self.state["devops"]["policies"]),
            "repos policy create": self._create_policy,
            "repos policy update": self._update_policy,
        }  # fmt: skip

    def _account(self) -> str:
        wanted = self.one("--subscription")
        found = self.state["azure"]["subscriptions"].get(wanted)
        if found is None:
            raise Refusal(
                f"ERROR: Subscription '{wanted}' not found. Check the spelling and casing and try "
                "again."
            )
        return json.dumps({"id": wanted, "name": "models", "tenantId": found, "state": "Enabled"})

    def _create_group(self) -> str:
        self.state["azure"]["groups"].append(self.one("--name"))
        return self.show({"name": self.one("--name")})

    def _identity(self) -> Any:
        name = self.one("--identity-name") or self.one("--name")
        group = self.one("--resource-group")
        found = self.state["azure"]["identities"].get(f"{group}/{name}")
        if found is None:
            raise Refusal(
                f"ERROR: (ResourceNotFound) The Resource 'Microsoft.ManagedIdentity/"
                f"userAssignedIdentities/{name}' under resource group '{group}' was not found.", 3
            )  # fmt: skip
        return found

    def _create_identity(self) -> str:
        name, group = self.one("--name"), self.one("--resource-group")
        if group not in self.state["azure"]["groups"]:
            raise Refusal(
                f"ERROR: (ResourceGroupNotFound) Resource group '{group}' could not be found.", 3
            )
        return self.show(add_identity(self.state, group, name))

    def _credential(self) -> str:
        identity, act = self._identity(), self.arguments[2]
        credentials = identity["credentials"]
        if act == "list":
            return json.dumps(list(credentials.values()))
        name = self.one("--name")
        if act == "update" and name not in credentials:
            raise Refusal(f"ERROR: (NotFound) The federated credential {name} was not found.", 3)
        credentials[name] = {
            "name": name, "issuer": self.one("--issuer"), "subject": self.one("--subject"),
            "audiences": self.options["--audiences"],
        }  # fmt: skip
        return self.show(credentials[name])

    def _roles(self) -> str:
        who, scope = self.one("--assignee"), self.one("--scope")
        return json.dumps([
            one for one in self.state["azure"]["roles"]
            if one["principalId"] == who and one["scope"] == scope
        ])  # fmt: skip

    def _assign(self) -> str:
        if not self.state["azure"]["may_assign"]:
            raise Refusal(
                "ERROR: (AuthorizationFailed) The client 'person@example.com' with object id "
                "'33333333-3333-3333-3333-333333333333' does not have authorization to perform "
                "action 'Microsoft.Authorization/roleAssignments/write' over scope "
                f"'{self.one('--scope')}' or the scope is invalid."
            )
        self.state["azure"]["roles"].append({
            "id": f"assignment-{len(self.state['azure']['roles'])}",
            "principalId": self.one("--assignee-object-id"), "scope": self.one("--scope"),
            "roleDefinitionName": self.one("--role"), "condition": self.one("--condition") or None,
        })  # fmt: skip
        return ""

    def _project(self) -> str:
        devops = self.state["devops"]
        if self.one("--organization") != devops["organization"]:
            raise Refusal(
                f"ERROR: The requested resource requires user authentication: "
                f"{self.one('--organization')}/_apis"
            )
        if self.one("--project") != devops["project"]:
            raise Refusal(
                f"ERROR: TF200016: The following project does not exist: {self.one('--project')}. "
                "Verify that the name of the project is correct and that the project exists on the "
                "specified Azure DevOps Server."
            )
        return json.dumps({"id": "project-id", "name": devops["project"]})

    def _repository(self) -> str:
        devops, name = self.state["devops"], self.one("--repository")
        if name != devops["repository"]:
            raise Refusal(
                f"ERROR: TF401019: The Git repository with name or identifier {name} does not exist "
                "or you do not have permissions for the operation you are attempting."
            )
        branch = "refs/heads/main" if devops["pushed"] else None
        return json.dumps({"id": "repository-id", "name": name, "defaultBranch": branch})

    def _create_pipeline(self) -> str:
        pipelines = self.state["devops"]["pipelines"]
        pipelines[self.one("--name")] = 100 + len(pipelines)
        return self.show({"id": pipelines[self.one("--name")]})

    def _create_policy(self) -> str:
        policies = self.state["devops"]["policies"]
        policies.append({"id": len(policies) + 1, **self.body})
        return self.show(policies[-1])

    def _update_policy(self) -> str:
        policies = self.state["devops"]["policies"]
        found = next((one for one in policies if str(one["id"]) == self.one("--id")), None)
        if found is None:
            raise Refusal(f"ERROR: The requested policy {self.one('--id')} was not found.")
        found |= self.body
        return self.show(found)

    def _endpoint(self) -> str:
        devops, act = self.state["devops"], self.arguments[2]
        if act == "list":
            return json.dumps(list(devops["endpoints"].values()))
        if act == "show":
            return self.show(
                next(one for one in devops["endpoints"].values() if one["id"] == self.one("--id"))
            )
        made = json.loads(json.dumps(self.body))
        made["id"] = f"endpoint-{len(devops['endpoints'])}"
        made["authorization"]["parameters"] |= {
            "workloadIdentityFederationIssuer": f"https://login.microsoftonline.com/{TENANT}/v2.0",
            "workloadIdentityFederationSubject": f"/eid1/c/pub/t/AbC/a/xYz/sc/org-id/{made['id']}",
        }
        devops["endpoints"][made["name"]] = made
        return self.show(made)

    def _invoke(self) -> str:
        devops = self.state["devops"]
        route = dict(pair.split("=", 1) for pair in self.options["--route-parameters"])
        query = dict(pair.split("=", 1) for pair in self.options.get("--query-parameters", []))
        resource, method = self.one("--resource"), self.one("--http-method")
        assert self.one("--api-version") == "7.1-preview", "az reads no 7.1-preview.1"
        if resource == "environments":
            if method == "POST":
                id_ = devops["environments"][self.body["name"]] = len(devops["environments"]) + 1
                return self.show({"id": id_, **self.body})
            listed = [{"id": id_, "name": name} for name, id_ in devops["environments"].items()]
            return json.dumps({"count": len(listed), "value": listed})
        if resource == "configurations":
            if method == "POST":
                devops["checks"].append({"id": len(devops["checks"]) + 1, **self.body})
                return self.show(devops["checks"][-1])
            kind, id_ = query["resourceType"], query["resourceId"]
            found = [
                one for one in devops["checks"]
                if (one["resource"]["type"], one["resource"]["id"]) == (kind, id_)
            ]  # fmt: skip
            return json.dumps({"count": len(found), "value": found})
        assert resource == "pipelinePermissions", resource
        key = f"{route['resourceType']}/{route['resourceId']}"
        have = devops["permissions"].setdefault(key, [])
        for one in (self.body or {}).get("pipelines", []):
            assert isinstance(one["id"], int), "the id of a pipeline is a number"
            have.append(one)
        return self.show({"resource": {"id": route["resourceId"]}, "pipelines": have})


def add_identity(state: dict[str, Any], group: str, name: str) -> dict[str, Any]:
    """An identity that is there."""
    made = {
        "name": name, "clientId": f"client-of-{name}", "principalId": f"principal-of-{name}",
        "credentials": {},
    }  # fmt: skip
    state["azure"]["identities"][f"{group}/{name}"] = made
    return made


def install(folder: Path, file: Path) -> None:
    """Put both programs into a folder, for a PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("gh", "az"):
        double = folder / name
        code = f'#!/bin/sh\nexec "{sys.executable}" -I -S "{__file__}" "{file}" {name} "$@"\n'
        double.write_text(code, "utf-8")
        double.chmod(0o755)


def main() -> int:
    """One call of a program: the state's file, the tool, its arguments."""
    file, tool, *arguments = sys.argv[1:]
    stdin = "" if sys.stdin.isatty() else sys.stdin.read()
    status, said, refused = Platform(Path(file)).call(tool, arguments, stdin)
    os.write(1, said.encode())
    os.write(2, refused.encode())
    return status


if __name__ == "__main__":
    sys.exit(main())
