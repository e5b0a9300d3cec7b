"""`mlops connect github` against doubles of gh and az: the plan, the commands, the refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cicd.connecting import TEAMS, Connecting, connecting, plain
from tests.cicd.doubles import SUBSCRIPTION, TENANT
from tests.conftest import files_of

PREFIX = "repo:acme@123/churn-model@456"
CONNECTED = {"MLOPS_PLAN": "true", "MLOPS_CONNECTED": "true"}
ROLES = "Role Based Access Control Administrator"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connecting:
    """A project with the default answers and a subscription, on platforms without connection."""
    return connecting(tmp_path, monkeypatch)


def put(environment: str) -> str:
    where = f"repos/acme/churn-model/environments/{environment}"
    return f"gh api --method PUT {where} --silent --input FILE"


def only_main(environment: str) -> str:
    where = f"repos/acme/churn-model/environments/{environment}/deployment-branch-policies"
    return f"gh api --method POST {where} --silent --input FILE"


def variables(environment: str, client: str) -> list[str]:
    values = {
        "AZURE_CLIENT_ID": f"client-of-{client}", "AZURE_TENANT_ID": TENANT,
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
    }  # fmt: skip
    return [
        f"gh variable set {name} --env {environment} --repo acme/churn-model --body {value}"
        for name, value in values.items()
    ]


def credential(environment: str, identity: str, group: str) -> str:
    return (
        f"az identity federated-credential create --name ci-cd --identity-name {identity} "
        f"--resource-group {group} --subscription {SUBSCRIPTION} "
        "--issuer https://token.actions.githubusercontent.com "
        f"--subject {PREFIX}:environment:{environment} --audiences api://AzureADTokenExchange "
        "--output none"
    )


def written(hub: Connecting, environment: str) -> Any:
    file = hub.project / "environments" / f"{environment}.yml"
    return yaml.safe_load(file.read_text("utf-8"))["ci_cd"]


def test_a_fresh_connect_makes_everything_in_order(hub: Connecting) -> None:
    said = hub.run("github", "--yes")
    lines = [call["line"] for call in hub.writes]
    group, home = "rg-churnmodel-ci-cd", f"--subscription {SUBSCRIPTION}"
    identity = f"--name id-churnmodel-infrastructure --resource-group {group} {home}"
    assert lines[:13] == [
        put("dev"), only_main("dev"), put("staging"), only_main("staging"), put("prod"),
        only_main("prod"), put("infrastructure"), put("monitoring"), only_main("monitoring"),
        put("template-update"), only_main("template-update"),
        f"az group create --name {group} {home} --location westeurope --output none",
        f"az identity create {identity} --location westeurope --query clientId --output tsv",
    ]  # fmt: skip
    assert [line.split(" --")[0] for line in lines[13:15]] == ["az role assignment create"] * 2
    environments = ("dev", "staging", "prod")
    assert lines[15:] == [
        *(credential(name, f"id-churnmodel-{name}-ci-cd", f"rg-churnmodel-{name}")
          for name in environments),
        credential("monitoring", "id-churnmodel-prod-monitoring", "rg-churnmodel-prod"),
        credential("infrastructure", "id-churnmodel-infrastructure", group),
        *(line for name in environments for line in variables(name, f"id-churnmodel-{name}-ci-cd")),
        *variables("monitoring", "id-churnmodel-prod-monitoring"),
        *variables("infrastructure", "id-churnmodel-infrastructure"),
        "gh variable set MLOPS_PLAN --repo acme/churn-model --body true",
        "gh api --method PUT repos/acme/churn-model/branches/main/protection --silent --input FILE",
        "gh variable set MLOPS_CONNECTED --repo acme/churn-model --body true",
    ]  # fmt: skip
    assert "commit and push what was written: .github/CODEOWNERS" in said.output


def test_what_was_made_is_what_was_meant(hub: Connecting) -> None:
    hub.run("github", "--yes")
    state = hub.state
    shown = {name: one["shown"] for name, one in state["github"]["environments"].items()}

    def reviewers(name: str) -> Any:
        rules = [
            rule for rule in shown[name]["protection_rules"]
            if rule["type"] == "required_reviewers"
        ]  # fmt: skip
        return rules and ([one["reviewer"]["id"] for one in rules[0]["reviewers"]], rules[0])

    teams = {slug: team["id"] for slug, team in state["github"]["teams"].items()}
    ids, rule = reviewers("prod")
    assert ids == [teams["ml-engineers"], teams["infrastructure-team"]]
    assert rule["prevent_self_review"]
    assert reviewers("infrastructure")[0] == [teams["infrastructure-team"]]
    assert not reviewers("dev") and not reviewers("staging")
    assert not reviewers("monitoring") and not reviewers("template-update")
    only = {"protected_branches": False, "custom_branch_policies": True}
    for name in ("dev", "staging", "prod", "monitoring", "template-update"):
        assert shown[name]["deployment_branch_policy"] == only
        assert [p["name"] for p in state["github"]["environments"][name]["policies"]] == ["main"]
    assert shown["infrastructure"]["deployment_branch_policy"] is None, "pull requests use it"
    protection = state["github"]["protection"]
    checks = protection["required_status_checks"]["checks"]
    assert [one["context"] for one in checks] == ["checks", "tests", "model"]
    reviews = protection["required_pull_request_reviews"]
    assert reviews["require_code_owner_reviews"]
    assert reviews["required_approving_review_count"] == 1
    assert "@ORGANIZATION/" not in (hub.project / ".github" / "CODEOWNERS").read_text("utf-8")


def test_the_infrastructure_may_give_no_role_that_gives_roles(hub: Connecting) -> None:
    hub.run("github", "--yes")
    contributor, administrator = hub.state["azure"]["roles"]
    assert (contributor["roleDefinitionName"], contributor["condition"]) == ("Contributor", None)
    assert administrator["roleDefinitionName"] == ROLES
    assert administrator["principalId"] == hub.identity("infrastructure")["principalId"]
    for role in ("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
                 "f58310d9-a9f6-439a-9e8d-f62e7b41a168"):  # fmt: skip
        assert administrator["condition"].count(role) == 2, "neither given nor taken"


def test_again_there_is_nothing_to_do(hub: Connecting) -> None:
    hub.run("github", "--yes")
    before = files_of(hub.project)
    said = hub.run("github")  # asks nothing, as there is nothing to make
    assert "nothing to do" in said.output
    assert hub.writes == []
    assert files_of(hub.project) == before
    assert "# nothing to do" in hub.run("github", "--dry-run").output


def test_a_dry_run_prints_a_script_that_does_what_a_real_run_does(hub: Connecting) -> None:
    fresh, files = hub.state, files_of(hub.project)
    script = hub.run("github", "--dry-run").stdout
    assert hub.writes == []
    assert files_of(hub.project) == files
    assert '# environments/dev.yml: ci_cd.federation: {issuer: "https://token' in script
    assert '--body "$CLIENT_ID_INFRASTRUCTURE"' in script
    hub.write({**fresh, "calls": []})
    done = hub.script(script)
    assert done.returncode == 0, done.stderr
    by_script, state = hub.state["calls"], hub.state
    hub.write(fresh)
    hub.run("github", "--yes")
    assert hub.state["calls"][-len(by_script) :] == by_script, "the same commands, in this order"
    assert hub.writes == [call for call in by_script if call in hub.writes]
    for part in ("github", "azure", "devops"):
        assert hub.state[part] == state[part]


def test_a_plan_as_json(hub: Connecting) -> None:
    plan = json.loads(hub.run("github", "--dry-run", "--json").stdout)
    states = {item["what"]: item["state"] for item in plan}
    assert states["repository acme/churn-model, branch main"] == "there"
    assert states["variable MLOPS_CONNECTED"] == "make"
    assert states["secret TEMPLATE_UPDATE_TOKEN of template-update"] == "person"
    assert all(item["commands"] for item in plan if item["state"] == "make")
    done = json.loads(hub.run("github", "--yes", "--json").stdout)
    assert done["made"] == sum(state == "make" for state in states.values())


def test_nothing_is_made_unasked(hub: Connecting, monkeypatch: pytest.MonkeyPatch) -> None:
    said = hub.run("github", status=3)
    assert "nobody can be asked here; --yes makes the" in said.stderr
    assert hub.writes == []
    monkeypatch.setattr("mlops.connect_commands._somebody_is_there", lambda: True)
    assert "the answer was no" in hub.run("github", input="n\n", status=3).stderr
    assert hub.writes == []
    hub.run("github", input="y\n")
    assert hub.state["github"]["variables"] == CONNECTED


SUBJECTS = {
    "the prefix that GitHub says": ({"use_default": True, "sub_claim_prefix": "repo:a@1/b@2"},
                                    "repo:a@1/b@2:environment:prod"),
    "the prefix counts, not the flag": (
        {"use_default": True, "use_immutable_subject": False, "sub_claim_prefix": "repo:a@1/b@2"},
        "repo:a@1/b@2:environment:prod"),
    "immutable, without the prefix": ({"use_default": True, "use_immutable_subject": True},
                                      f"{PREFIX}:environment:prod"),
    "an older answer": ({"use_default": True}, "repo:acme/churn-model:environment:prod"),
    "a template": (
        {"use_default": False,
         "include_claim_keys": ["repository_owner_id", "repository_id", "context"]},
        "repository_owner_id:123:repository_id:456:environment:prod"),
    "a template that keeps the repository": (
        {"use_default": False, "include_claim_keys": ["repository_visibility", "repo", "context"],
         "sub_claim_prefix": PREFIX},
        f"repository_visibility:private:{PREFIX}:environment:prod"),
}  # fmt: skip


@pytest.mark.parametrize("said", SUBJECTS.values(), ids=SUBJECTS.keys())
def test_the_subject_is_the_one_that_github_uses(hub: Connecting, said: Any) -> None:
    answer, subject = said
    hub.change(github={"subject": answer})
    hub.run("github", "--yes")
    assert hub.identity("prod")["credentials"]["ci-cd"]["subject"] == subject
    assert json.dumps(subject) in (hub.project / "environments" / "prod.yml").read_text("utf-8")


def test_the_organizations_template_counts_where_the_repository_says_so(hub: Connecting) -> None:
    template = {"include_claim_keys": ["repository_owner", "context"]}
    hub.change(github={"subject": {"use_default": False}, "organization_subject": template})
    hub.run("github", "--yes")
    subject = hub.identity("dev")["credentials"]["ci-cd"]["subject"]
    assert subject == "repository_owner:acme:environment:dev"


def test_a_subject_that_only_a_job_knows_is_asked_for(hub: Connecting) -> None:
    answer = {"use_default": False, "include_claim_keys": ["repo", "job_workflow_ref"]}
    hub.change(github={"subject": answer})
    said = hub.run("github", "--yes", status=3)
    assert "what job_workflow_ref will say is not known here" in plain(said.stderr)
    assert "--subject 'dev=SUBJECT'" in plain(said.stderr)
    assert hub.writes == []
    names = ("dev", "staging", "prod", "monitoring", "infrastructure")
    given = [word for name in names for word in ("--subject", f"{name}=sub:{name}")]
    hub.run("github", "--yes", *given)
    assert hub.identity("staging")["credentials"]["ci-cd"]["subject"] == "sub:staging"
    for pair in ("dev", "dev="):
        assert "ENV=SUBJECT" in hub.run("github", "--subject", pair, status=2).stderr
    assert "no environment `qa`" in hub.run("github", "--subject", "qa=x", status=2).stderr


def test_a_subject_is_given_by_either_name_of_an_environment(hub: Connecting) -> None:
    file = hub.project / "environments" / "prod.yml"
    text = file.read_text("utf-8")
    file.write_text(text.replace("  environment: prod\n", "  environment: production\n"), "utf-8")
    hub.change(
        github={"subject": {"use_default": False, "include_claim_keys": ["job_workflow_ref"]}}
    )
    names = ("dev", "staging", "monitoring", "infrastructure")
    given = [word for name in names for word in ("--subject", f"{name}=sub:{name}")]
    said = plain(hub.run("github", *given, status=3).stderr)
    assert "--subject 'production=SUBJECT'" in said
    for name in ("production", "prod"):
        hub.run("github", "--yes", *given, "--subject", f"{name}=sub:{name}")
        assert hub.identity("prod")["credentials"]["ci-cd"]["subject"] == f"sub:{name}"


def test_a_changed_subject_is_brought_up_to_date(hub: Connecting) -> None:
    hub.run("github", "--yes")
    hub.change(github={"subject": {"use_default": True, "sub_claim_prefix": "repo:acme@1/new@2"}})
    hub.run("github", "--yes")
    lines = [call["line"] for call in hub.writes]
    assert len(lines) == 5
    assert all("federated-credential update --name ci-cd" in line for line in lines)
    text = (hub.project / "environments" / "dev.yml").read_text("utf-8")
    assert "repo:acme@1/new@2:environment:dev" in text and PREFIX not in text


@pytest.mark.parametrize(
    ("host", "issuer"),
    [("github.acme.example", "https://github.acme.example/_services/token"),
     ("acme.ghe.com", "https://token.actions.acme.ghe.com")],
)  # fmt: skip
def test_another_host_has_another_issuer(hub: Connecting, host: str, issuer: str) -> None:
    hub.change(github={"host": host, "subject": {"use_default": True}})
    hub.run("github", "--yes")
    assert hub.identity("dev")["credentials"]["ci-cd"]["issuer"] == issuer
    calls = [call["line"] for call in hub.state["calls"] if call["line"].startswith("gh api")]
    assert all(f"--hostname {host}" in line for line in calls)


def test_what_is_stricter_already_stays(hub: Connecting) -> None:
    stricter = {
        "required_status_checks": {
            "strict": True, "checks": [{"context": "security", "app_id": 7}],
        },
        "enforce_admins": {"enabled": True},
        "required_pull_request_reviews": {
            "required_approving_review_count": 2, "dismiss_stale_reviews": True,
            "dismissal_restrictions": {"users": [{"login": "casey"}], "teams": [], "apps": []},
        },
        "restrictions": {"users": [], "teams": [{"slug": "ml-engineers"}], "apps": []},
        "required_linear_history": {"enabled": True},
        "allow_force_pushes": {"enabled": False},
    }  # fmt: skip
    hub.change(github={"protection": stricter})
    hub.run("github", "--yes")
    body = next(
        c["body"] for c in hub.writes if c["line"].endswith("protection --silent --input FILE")
    )
    names = [one["context"] for one in body["required_status_checks"]["checks"]]
    assert names == ["security", "checks", "tests", "model"]
    assert body["required_status_checks"]["strict"] and body["enforce_admins"]
    reviews = body["required_pull_request_reviews"]
    assert reviews["required_approving_review_count"] == 2 and reviews["dismiss_stale_reviews"]
    assert reviews["dismissal_restrictions"] == {"users": ["casey"], "teams": [], "apps": []}
    assert body["restrictions"] == {"users": [], "teams": ["ml-engineers"], "apps": []}
    assert body["required_linear_history"] is True and "allow_force_pushes" not in body


def test_reviewers_and_waiting_time_of_an_environment_stay(hub: Connecting) -> None:
    hub.run("github", "--yes")
    state = hub.state
    shown = state["github"]["environments"]["prod"]["shown"]
    casey = {"type": "User", "reviewer": {"id": 77}}
    shown["protection_rules"] = [
        {"type": "wait_timer", "wait_timer": 30},
        {"type": "required_reviewers", "prevent_self_review": False, "reviewers": [casey]},
    ]
    hub.write(state)
    hub.run("github", "--yes")
    (call,) = hub.writes
    assert call["body"]["wait_timer"] == 30
    assert [one["id"] for one in call["body"]["reviewers"]] == [77, 11, 13]


def test_teams_that_are_missing_are_told_with_their_command(hub: Connecting) -> None:
    state = hub.state
    del state["github"]["teams"]["data-engineers"]
    state["github"]["teams"]["data-scientists"]["permission"] = "pull"
    hub.write(state)
    said = plain(hub.run("github", "--yes").output)
    assert (
        "there is no such team: run `gh api --method POST orgs/acme/teams -f name=data-engineers"
        in said
    )
    assert "gh api --method PUT orgs/acme/teams/data-scientists/repos/acme/churn-model" in said
    assert hub.state["github"]["variables"] == CONNECTED, "nobody waits for that"


def test_without_anybody_to_approve_nothing_is_connected(hub: Connecting) -> None:
    fresh = hub.state
    hub.change(github={"teams": {}})
    said = plain(hub.run("github", "--yes").output)
    assert "! environment prod: nobody could approve of what goes there" in said
    assert "variable MLOPS_CONNECTED: stays unset" in said
    assert not {"prod", "infrastructure"} & set(hub.state["github"]["environments"])
    assert hub.state["github"]["variables"] == {"MLOPS_PLAN": "false"}
    # GitHub would make the environment that a job names, and any pusher could sign in.
    assert hub.identity("prod")["credentials"] == {}
    assert hub.identity("infrastructure")["credentials"] == {}
    assert hub.state["azure"]["roles"] == []
    assert "federation" not in written(hub, "prod") and "federation" in written(hub, "dev")
    assert hub.identity("dev")["credentials"], "nobody has to approve of what goes there"
    assert "nothing to do" in hub.run("github").output
    hub.change(github={"teams": fresh["github"]["teams"]})
    hub.run("github", "--yes")
    assert hub.identity("prod")["credentials"] and len(hub.state["azure"]["roles"]) == 2
    assert hub.state["github"]["variables"] == CONNECTED


def test_what_lets_in_where_nobody_can_approve_is_told_with_its_command(hub: Connecting) -> None:
    hub.run("github", "--yes")
    state = hub.state
    state["github"]["teams"] = {}
    for name in ("prod", "infrastructure"):
        del state["github"]["environments"][name]
    hub.write(state)
    said = plain(hub.run("github", "--yes").output)
    for name, group in (("prod-ci-cd", "prod"), ("infrastructure", "ci-cd")):
        assert (
            "az identity federated-credential delete --name ci-cd --identity-name "
            f"id-churnmodel-{name} --resource-group rg-churnmodel-{group} --subscription "
            f"{SUBSCRIPTION} --yes"
        ) in said
    assert "take `ci_cd.federation` out of environments/prod.yml" in said
    assert hub.state["github"]["variables"]["MLOPS_PLAN"] == "false"
    assert not any("federated-credential" in call["line"] for call in hub.writes)


def test_a_personal_account_has_no_teams(hub: Connecting) -> None:
    state = hub.state
    state["github"]["repository"] |= {
        "full_name": "casey/churn-model", "private": False,
        "owner": {"login": "casey", "id": 77, "type": "User"},
    }  # fmt: skip
    hub.write(state)
    said = plain(hub.run("github", "--dry-run").output)
    assert "a personal account has no teams" in said and "`@casey` for each" in said
    owners = hub.project / ".github" / "CODEOWNERS"
    lines = [line.split("@")[0] + "@casey" if "@ORG" in line else line
             for line in owners.read_text("utf-8").splitlines()]  # fmt: skip
    owners.write_text("\n".join(lines) + "\n", "utf-8")
    hub.run("github", "--yes")
    shown = hub.state["github"]["environments"]["prod"]["shown"]
    rule = next(r for r in shown["protection_rules"] if r["type"] == "required_reviewers")
    assert rule["reviewers"] == [{"type": "User", "reviewer": {"id": 77}}]
    assert not rule["prevent_self_review"], "nobody else is there"
    reviews = hub.state["github"]["protection"]["required_pull_request_reviews"]
    assert reviews["required_approving_review_count"] == 0
    assert "nothing to do" in hub.run("github").output


def test_a_plan_without_required_reviewers(hub: Connecting) -> None:
    hub.change(github={"plan": "free"})
    said = plain(hub.run("github", "--yes", status=3).stderr)
    assert "GitHub's plan has no required reviewers for a private repository" in said
    assert "--without-reviewers" in said and "made until then" in said
    done = plain(hub.run("github", "--yes", "--without-reviewers").output)
    assert "! protection of main" in done and "make it public" in done
    policy = hub.state["github"]["environments"]["infrastructure"]["shown"]
    assert policy["deployment_branch_policy"], "no pull request signs in where nobody looks first"
    assert hub.state["github"]["variables"] == {**CONNECTED, "MLOPS_PLAN": "false"}


def test_a_project_without_a_subscription(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = connecting(tmp_path, monkeypatch, azure=False)
    said = plain(hub.run("github", "--yes").output)
    assert "environments/dev.yml names no subscription" in said
    assert "variable MLOPS_CONNECTED: stays unset" in said
    assert not any(call["line"].startswith("az ") for call in hub.state["calls"])
    assert {"dev", "staging", "prod"} <= set(hub.state["github"]["environments"])
    assert hub.state["github"]["protection"]
    assert "nothing to do" in hub.run("github").output


def test_one_shared_workspace_needs_to_make_a_role(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = connecting(tmp_path, monkeypatch, workspaces="one-shared")
    hub.run("github", "--yes")
    roles = {role["roleDefinitionName"]: role for role in hub.state["azure"]["roles"]}
    assert set(roles) == {"Contributor", "User Access Administrator"}
    assert "GuidNotEquals" in roles["User Access Administrator"]["condition"]
    assert "nothing to do" in hub.run("github").output


def test_resources_that_somebody_else_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = connecting(tmp_path, monkeypatch, infrastructure="none")
    before = files_of(hub.project)
    hub.run("github", "--yes")
    assert hub.state["azure"]["roles"] == [] and hub.state["azure"]["groups"] == []
    assert "infrastructure" not in hub.state["github"]["environments"]
    changed = {name for name, text in files_of(hub.project).items() if before[name] != text}
    assert changed == {".github/CODEOWNERS"}
    assert hub.identity("dev")["credentials"]["ci-cd"]["subject"] == f"{PREFIX}:environment:dev"


def test_an_identity_that_is_missing(hub: Connecting) -> None:
    state = hub.state
    del state["azure"]["identities"]["rg-churnmodel-prod/id-churnmodel-prod-ci-cd"]
    hub.write(state)
    said = plain(hub.run("github", "--yes").output)
    assert "! identity id-churnmodel-prod-ci-cd: run `mlops workspaces apply --env prod`" in said
    assert hub.state["github"]["variables"] == {"MLOPS_PLAN": "true"}
    assert hub.identity("dev")["credentials"], "the others are connected"


def test_a_failure_halfway_says_what_was_made_and_goes_on_later(hub: Connecting) -> None:
    hub.change(azure={"may_assign": False})
    said = plain(hub.run("github", "--yes", status=3).stderr)
    assert "you may not assign roles on that subscription" in said
    assert "made until then: .github/CODEOWNERS names teams of acme; environment dev;" in said
    assert "can be run again" in said
    assert hub.state["github"]["variables"] == {}
    hub.change(azure={"may_assign": True})
    hub.run("github", "--yes")
    assert not any(put("dev") in call["line"] for call in hub.writes)
    assert hub.state["github"]["variables"] == CONNECTED
    assert "nothing to do" in hub.run("github").output


REFUSALS = {
    "not signed in": (
        "^gh ", "To get started with GitHub CLI, please run:  gh auth login", 2, "gh auth login"),
    "a token that is no longer valid": (
        "^gh ", "gh: Bad credentials (HTTP 401)", 2, "no longer valid"),
    "single sign-on": (
        "gh api", "gh: Resource protected by organization SAML enforcement. You must grant your "
        "OAuth token access to this organization. (HTTP 403)", 3, "single sign-on"),
    "too many requests": (
        "gh api", "gh: API rate limit exceeded for user ID 1. (HTTP 403)", 1, "gh api rate_limit"),
    "no remote": ("repo view", "no git remotes found", 2, "gh repo create"),
    "several remotes": (
        "repo view",
        "X No default remote repository has been set for this directory.\n\nplease run `gh repo "
        "set-default` to select a default remote repository.",
        2,
        "`gh repo set-default`, and run this again",
    ),
    "hidden repository": (
        "repo view", "GraphQL: Could not resolve to a Repository with the name 'acme/churn-model'. "
        "(repository)", 1, "hides it"),
    "a token without the scope": (
        "teams", 'gh: Not allowed (HTTP 403)\nThis API operation needs the "read:org" scope.', 3,
        "gh auth refresh --scopes read:org"),
    "no administrator when it is made": (
        "PUT", "gh: Must have admin rights to Repository. (HTTP 403)", 3, "an administrator"),
    "a token with fewer rights": (
        "PUT", "gh: Resource not accessible by personal access token (HTTP 403)", 3,
        "the right Administration"),
    "no network": ("gh api", "error connecting to api.github.com", 1, "cannot be reached"),
    "az not signed in": ("^az ", "ERROR: Please run 'az login' to setup account.", 2, "az login"),
    "az's sign-in ran out": (
        "^az ", "ERROR: AADSTS700082: The refresh token has expired due to inactivity.", 2,
        "az is not signed in, or no longer"),
    "a subscription that az does not see": (
        "account show", f"ERROR: Subscription '{SUBSCRIPTION}' not found. Check the spelling and "
        "casing and try again.", 2, "az login --tenant"),
    "no right to read": (
        "identity show", "ERROR: (AuthorizationFailed) The client 'x' does not have authorization "
        "to perform action 'Microsoft.ManagedIdentity/userAssignedIdentities/read' over scope 'y'",
        3, "no right in Azure to `Microsoft.ManagedIdentity/userAssignedIdentities/read`"),
    "a branch that was never pushed": (
        "protection", "gh: Branch not found (HTTP 404)", None, "git push -u origin HEAD"),
    "something new": ("repo view", "gh: a teapot", 1, "a teapot"),
}  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_says_what_to_do(hub: Connecting, refusal: Any) -> None:
    on, text, status, sentence = refusal
    hub.refuse(on, text)
    if status is None:  # what is not there when read, and cannot be made
        hub.refuse("", "")
        hub.change(github={"pushed": False})
    said = hub.run("github", "--yes", status=status or 2)
    assert sentence in plain(said.stderr)
    assert "Traceback" not in said.stderr
    if "PUT" not in on and status is not None:
        assert hub.writes == []


def test_a_program_that_is_missing(hub: Connecting, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlops import tools

    for missing, source in (("gh", "https://cli.github.com"), ("az", "https://aka.ms/azure-cli")):
        there = "az" if missing == "gh" else "gh"
        monkeypatch.setattr(
            tools.shutil,
            "which",
            lambda name, there=there: f"/usr/bin/{name}" if name == there else None,
        )
        said = plain(hub.run("github", status=2).stderr)
        assert f"`{missing}`, is not installed; see {source}" in said


def test_an_administrator_is_needed(hub: Connecting) -> None:
    state = hub.state
    state["github"]["repository"]["permissions"]["admin"] = False
    hub.write(state)
    assert "does not administer acme/churn-model" in hub.run("github", status=3).stderr


def test_another_tenant_than_the_files_say(hub: Connecting) -> None:
    hub.change(azure={"subscriptions": {SUBSCRIPTION: "another-tenant"}})
    said = plain(hub.run("github", status=2).stderr)
    assert f"az login --tenant {TENANT}" in said and "dev.yml" in said


def test_a_role_with_another_condition_is_left_to_a_person(hub: Connecting) -> None:
    hub.run("github", "--yes")
    state = hub.state
    state["azure"]["roles"][1]["condition"] = "(true)"
    hub.write(state)
    said = plain(hub.run("github").output)
    assert "delete that, `az role assignment delete --ids assignment-1`" in said


def test_each_subscription_and_each_tenant(hub: Connecting) -> None:
    other, foreign = SUBSCRIPTION.replace("1", "4"), SUBSCRIPTION.replace("1", "5")
    for name, subscription in (("staging", other), ("prod", foreign)):
        file = hub.project / "environments" / f"{name}.yml"
        text = file.read_text("utf-8").replace(SUBSCRIPTION, subscription)
        file.write_text(text.replace(f'"{TENANT}"', '""'), "utf-8")
    tenants = {SUBSCRIPTION: TENANT, other: TENANT, foreign: "another-tenant"}
    hub.change(azure={"subscriptions": tenants})
    said = plain(hub.run("github", "--yes").output)
    scopes = [role["scope"] for role in hub.state["azure"]["roles"]]
    assert scopes == [f"/subscriptions/{one}" for one in (SUBSCRIPTION, SUBSCRIPTION, other, other)]
    assert "that subscription belongs to another tenant, another-tenant" in said
    prod = hub.state["github"]["environments"]["prod"]["variables"]
    assert (prod["AZURE_SUBSCRIPTION_ID"], prod["AZURE_TENANT_ID"]) == (foreign, "another-tenant")


def test_no_more_reviewers_than_github_takes(hub: Connecting) -> None:
    owners = hub.project / ".github" / "CODEOWNERS"
    people = {f"person{number}": {"id": 900 + number} for number in range(8)}
    hub.change(github={"users": people})
    with owners.open("a", encoding="utf-8") as file:
        file.write("/environments/prod.yml " + " ".join(f"@{name}" for name in people) + "\n")
    hub.run("github", "--yes")
    rules = hub.state["github"]["environments"]["prod"]["shown"]["protection_rules"]
    (rule,) = (rule for rule in rules if rule["type"] == "required_reviewers")
    assert [one["reviewer"]["id"] for one in rule["reviewers"]] == list(range(900, 906))
    assert "nothing to do" in hub.run("github").output


def test_two_environments_are_not_one_on_the_platform(hub: Connecting) -> None:
    file = hub.project / "environments" / "prod.yml"
    text = file.read_text("utf-8")
    for name in ("Dev", "infrastructure"):
        changed = text.replace("  environment: prod\n", f"  environment: {name}\n")
        file.write_text(changed, "utf-8")
        said = plain(hub.run("github", status=2).stderr)
        assert f"`ci_cd.environment` is that of {name.lower()}; give each its own" in said


def test_an_environment_that_is_open_to_more_is_told(hub: Connecting) -> None:
    hub.run("github", "--yes")
    state = hub.state
    state["github"]["environments"]["prod"]["policies"].append({"id": 6, "name": "release/*"})
    hub.write(state)
    said = plain(hub.run("github").output)
    assert "! environment prod, for no other branch: it is open to release/*" in said
    assert hub.writes == []
    state["github"]["environments"]["prod"]["policies"] = [{"id": 6, "name": "release/*"}]
    hub.write(state)
    said = plain(hub.run("github", "--yes").output)
    assert "! environment prod, for no other branch: it is open to release/*" in said
    policies = hub.state["github"]["environments"]["prod"]["policies"]
    assert [one["name"] for one in policies] == ["release/*", "main"]


def test_a_project_of_another_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = connecting(tmp_path, monkeypatch, ci_cd="azure-devops")
    assert "--set ci_cd=github-actions" in hub.run("github", status=2).stderr


def test_the_owners_of_this_file_are_the_teams(hub: Connecting) -> None:
    from mlops.cicd import code_owners

    owners = code_owners.read(hub.project / ".github" / "CODEOWNERS")
    assert {owner.split("/")[1] for owner in owners.everybody} == set(TEAMS)
