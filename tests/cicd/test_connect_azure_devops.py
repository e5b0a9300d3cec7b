"""`mlops connect azure-devops` against a double of az: the plan, the commands, the refusals."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cicd import doubles
from tests.cicd.connecting import TEAMS, Connecting, connecting, plain
from tests.cicd.doubles import SUBSCRIPTION, TENANT
from tests.conftest import files_of, run_mlops

SLUG = "churn-model"
PIPELINES = (
    "integration", "template-update", "infrastructure", "monitoring", "release", "teardown",
    "training",
)  # fmt: skip
WHERE = "--organization https://dev.azure.com/acme --project Models --detect false"


@pytest.fixture
def devops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connecting:
    """A project with a subscription, in Azure DevOps, without connection."""
    return connecting(tmp_path, monkeypatch, ci_cd="azure-devops")


def created(devops: Connecting) -> list[str]:
    """What the last run made, in order, each in a few words."""
    words = []
    for call in devops.writes:
        line, body = call["line"], call["body"] or {}
        if "devops invoke" in line:
            resource = line.split("--resource ")[1].split()[0]
            target = body.get("resource", {}).get("name") or body.get("name") or ""
            words.append(
                " ".join(filter(None, (resource, body.get("type", {}).get("name"), target)))
            )
        elif "pipelines create" in line:
            words.append(line.split("--name ")[1].split()[0])
        else:
            words.append(" ".join(line.split(" --")[0].split()[1:]))
    return words


def checks(devops: Connecting, name: str) -> dict[str, Any]:
    """The settings of the checks of an environment or a connection, by kind."""
    return {
        check["type"]["name"]: check["settings"] for check in devops.state["devops"]["checks"]
        if check["resource"]["name"] == name
    }  # fmt: skip


def test_a_fresh_connect_makes_everything_in_order(devops: Connecting) -> None:
    devops.run("azure-devops", "--yes")
    environments = [f"{SLUG}-{name}" for name in ("dev", "staging", "prod", "infrastructure")]
    lock = "configurations ExclusiveLock"
    made = ["devops service-endpoint create", "identity federated-credential create"]
    assert created(devops) == [
        f"environments {environments[0]}", f"{lock} {environments[0]}",
        f"environments {environments[1]}", f"{lock} {environments[1]}",
        f"environments {environments[2]}", f"{lock} {environments[2]}",
        f"configurations Approval {environments[2]}",
        f"environments {environments[3]}", f"{lock} {environments[3]}",
        "group create", "identity create", "role assignment create", "role assignment create",
        *made * 5,
        *(f"configurations Task Check azure-{name}" for name in environments[:3]),
        f"configurations Task Check azure-{SLUG}-monitoring",
        f"configurations Approval azure-{environments[3]}",
        *(f"{SLUG}-{stem}" for stem in PIPELINES),
        *["pipelinePermissions"] * 9,
        *["repos policy create"] * 8,
    ]  # fmt: skip


def test_again_there_is_nothing_to_do(devops: Connecting) -> None:
    devops.run("azure-devops", "--yes")
    before = files_of(devops.project)
    assert "nothing to do" in devops.run("azure-devops").output
    assert devops.writes == []
    assert files_of(devops.project) == before


def test_issuer_and_subject_are_those_of_the_connections_answer(devops: Connecting) -> None:
    devops.run("azure-devops", "--yes")
    for name in ("dev", "staging", "prod"):
        endpoint = devops.state["devops"]["endpoints"][f"azure-{SLUG}-{name}"]
        said = endpoint["authorization"]["parameters"]
        credential = devops.identity(name)["credentials"]["ci-cd"]
        assert credential["issuer"] == said["workloadIdentityFederationIssuer"]
        assert credential["subject"] == said["workloadIdentityFederationSubject"]
        assert said["serviceprincipalid"] == devops.identity(name)["clientId"]
        assert said["tenantid"] == TENANT
        assert endpoint["data"]["subscriptionId"] == SUBSCRIPTION
        assert endpoint["authorization"]["scheme"] == "WorkloadIdentityFederation"
        file = devops.project / "environments" / f"{name}.yml"
        written = yaml.safe_load(file.read_text("utf-8"))["ci_cd"]
        assert written["federation"] == {
            "issuer": credential["issuer"], "subject": credential["subject"],
        }  # fmt: skip
        assert written["service_connection"] == endpoint["name"]


def test_a_dry_run_prints_a_script_that_does_what_a_real_run_does(devops: Connecting) -> None:
    fresh, files = devops.state, files_of(devops.project)
    script = devops.run("azure-devops", "--dry-run").stdout
    assert devops.writes == []
    assert files_of(devops.project) == files
    assert '# environments/dev.yml: ci_cd.federation: {issuer: "$ISSUER_DEV"' in script
    devops.write({**fresh, "calls": []})
    done = devops.script(script)
    assert done.returncode == 0, done.stderr
    by_script, state = devops.state["calls"], devops.state
    devops.write(fresh)
    devops.run("azure-devops", "--yes")
    assert devops.state["calls"][-len(by_script) :] == by_script, "the same commands, in this order"
    for part in ("azure", "devops"):
        assert devops.state[part] == state[part]


def test_who_approves_and_what_is_locked(devops: Connecting) -> None:
    devops.run("azure-devops", "--yes")
    prod = checks(devops, f"{SLUG}-prod")
    assert set(prod) == {"ExclusiveLock", "Approval"}
    approval = prod["Approval"]
    assert [one["id"] for one in approval["approvers"]] == [
        "team-ml-engineers", "team-infrastructure-team",
    ]  # fmt: skip
    assert approval["minRequiredApprovers"] == 1 and approval["requesterCannotBeApprover"]
    assert set(checks(devops, f"{SLUG}-dev")) == {"ExclusiveLock"}


def test_a_connection_is_guarded_itself(devops: Connecting) -> None:
    """A job that names no environment may name a connection: what guards only those is no guard."""
    devops.run("azure-devops", "--yes")
    for name in ("dev", "staging", "prod"):
        (check,) = checks(devops, f"azure-{SLUG}-{name}").values()
        assert check["inputs"]["allowedBranches"] == "refs/heads/main"
    found = checks(devops, f"azure-{SLUG}-infrastructure")
    assert set(found) == {"Approval"}, "pull requests show what would change, once that is approved"
    assert found["Approval"]["approvers"] == [{"id": "team-infrastructure-team"}]


def test_pipelines_may_use_only_what_they_need(devops: Connecting) -> None:
    devops.run("azure-devops", "--yes")
    state = devops.state["devops"]
    stems = {number: name.removeprefix(f"{SLUG}-") for name, number in state["pipelines"].items()}
    names = {f"endpoint/{one['id']}": name for name, one in state["endpoints"].items()}
    names |= {f"environment/{number}": name for name, number in state["environments"].items()}
    allowed = {
        names[key]: [stems[one["id"]] for one in ones] for key, ones in state["permissions"].items()
    }
    infrastructure = ["infrastructure", "teardown"]
    assert allowed == {
        f"{SLUG}-dev": ["release"],
        f"{SLUG}-staging": ["release"],
        f"{SLUG}-prod": ["release"],
        f"{SLUG}-infrastructure": infrastructure,
        f"azure-{SLUG}-dev": ["release", "training"],
        f"azure-{SLUG}-staging": ["release"],
        f"azure-{SLUG}-prod": ["release"],
        f"azure-{SLUG}-monitoring": ["monitoring"],
        f"azure-{SLUG}-infrastructure": infrastructure,
    }


def test_these_are_the_names_that_the_pipelines_use(devops: Connecting) -> None:
    devops.run("azure-devops", "--yes")
    file = devops.project / ".azure-pipelines" / "names.yaml"
    used = yaml.safe_load(file.read_text("utf-8"))["variables"]
    for kind, there in (("environment_", "environments"), ("service_connection_", "endpoints")):
        names = {value for key, value in used.items() if key.startswith(kind)}
        assert names == set(devops.state["devops"][there])
    assert {f"{used['model']}-{stem}" for stem in PIPELINES} == set(
        devops.state["devops"]["pipelines"]
    )


def test_policies_stand_for_code_owners(devops: Connecting) -> None:
    devops.run("azure-devops", "--yes")
    policies = devops.state["devops"]["policies"]
    assert all(one["isEnabled"] for one in policies)
    scope = {"repositoryId": "repository-id", "refName": "refs/heads/main", "matchKind": "Exact"}
    assert all(one["settings"]["scope"] == [scope] for one in policies)
    by_reviewers = {
        tuple(one["settings"]["requiredReviewerIds"]): one["settings"]["filenamePatterns"]
        for one in policies if "requiredReviewerIds" in one["settings"]
    }  # fmt: skip
    assert by_reviewers["team-data-engineers",][0] == "/data/*"
    engineers = by_reviewers["team-ml-engineers",]
    assert engineers.index("/environments/*") < engineers.index("!/environments/prod.yml")
    both = by_reviewers["team-ml-engineers", "team-infrastructure-team"]
    assert both[0] == "/environments/prod.yml"
    builds = {
        one["settings"]["displayName"]: one for one in policies
        if "buildDefinitionId" in one["settings"]
    }  # fmt: skip
    number = devops.state["devops"]["pipelines"][f"{SLUG}-integration"]
    assert builds[f"{SLUG}-integration"]["settings"]["buildDefinitionId"] == number
    assert builds[f"{SLUG}-integration"]["isBlocking"]
    assert not builds[f"{SLUG}-infrastructure"]["isBlocking"]
    assert "/infrastructure/*" in builds[f"{SLUG}-infrastructure"]["settings"]["filenamePatterns"]


@pytest.mark.parametrize(
    "remote",
    [
        "https://acme@dev.azure.com/acme/My%20Models/_git/churn-model",
        "git@ssh.dev.azure.com:v3/acme/My%20Models/churn-model",
        "https://dev.azure.com/acme/My%20Models/_git/churn-model",
    ],
)
def test_the_project_is_where_git_pushes_to(devops: Connecting, remote: str) -> None:
    devops.change(devops={"project": "My Models"})
    subprocess.run(["git", "remote", "set-url", "origin", remote], cwd=devops.project, check=True)
    said = devops.run("azure-devops", "--dry-run").stdout
    assert "--project 'My Models'" in said and "'project=My Models'" in said


def test_an_older_address_of_the_organization(devops: Connecting) -> None:
    devops.change(devops={"organization": "https://acme.visualstudio.com"})
    remote = "https://acme.visualstudio.com/DefaultCollection/Models/_git/churn-model"
    subprocess.run(["git", "remote", "set-url", "origin", remote], cwd=devops.project, check=True)
    devops.run("azure-devops", "--yes")
    assert devops.state["devops"]["endpoints"]


def test_the_project_can_be_named(devops: Connecting) -> None:
    subprocess.run(["git", "remote", "remove", "origin"], cwd=devops.project, check=True)
    said = plain(devops.run("azure-devops", status=2).stderr)
    assert "name --organization and --project" in said
    configured = "[defaults]\norganization = https://dev.azure.com/acme\nproject = Models\n"
    devops.change(devops={"configured": configured})
    devops.run("azure-devops", "--dry-run")
    devops.change(devops={"configured": ""})
    devops.run("azure-devops", "--dry-run", "--organization", "acme", "--project", "Models")


REFUSALS = {
    "the extension is missing": (
        "az devops|az repos", "ERROR: The command requires the extension azure-devops. Unable to "
        "prompt for extension install confirmation as no tty available.", 2,
        "az extension add --name azure-devops"),
    "not signed in": (
        "^az ", "ERROR: Before you can run Azure DevOps commands, you need to run the login command "
        "(az login if using AAD/MSA identity else az devops login if using PAT token) to setup "
        "credentials.", 2, "run `az login`"),
    "not a member": (
        "project show", "ERROR: TF400813: The user 'aaaa' is not authorized to access this "
        "resource.", 3, "an administrator of the project"),
    "a hidden project": (
        "project show", "ERROR: VS800075: The project with id 'vstfs:///Classification/TeamProject/x'"
        " does not exist, or you do not have permission to access it.", 2, "no such project"),
    "the organization is another tenant's": (
        "project show", "ERROR: Page not found.", 2, "no such organization"),
    "no right to make an environment": (
        "resource environments .*POST", "ERROR: Access denied. Casey needs Create permissions to "
        "perform the action.", 3, "an administrator of the project"),
    "too many requests": (
        "pipelines list", "ERROR: TF400733: The request has been canceled: Request was blocked due "
        "to exceeding usage of resource 'Concurrency' in namespace 'User'.", 1, "some minutes"),
}  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_says_what_to_do(devops: Connecting, refusal: Any) -> None:
    on, text, status, sentence = refusal
    devops.refuse(on, text)
    said = devops.run("azure-devops", "--yes", status=status)
    assert sentence in plain(said.stderr)
    assert "Traceback" not in said.stderr
    if "POST" not in on:
        assert devops.writes == []


def test_names_that_are_not_there(devops: Connecting) -> None:
    def refused(*options: str) -> str:
        return plain(devops.run("azure-devops", *options, status=2).stderr)

    assert "no such organization" in refused("--organization", "umbrella", "--project", "Models")
    assert "no such project" in refused("--project", "Other")
    assert "no such repository" in refused("--repository", "other")
    devops.change(devops={"pushed": False})
    assert "git push -u origin HEAD" in refused()
    devops.change(devops={"extension": False})
    assert "az extension add --name azure-devops" in refused()


def test_az_is_missing(devops: Connecting, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlops import tools

    monkeypatch.setattr(tools.shutil, "which", lambda name: None)
    said = plain(devops.run("azure-devops", status=2).stderr)
    assert "`az`, is not installed; see https://aka.ms/azure-cli" in said


def test_a_connection_with_a_secret_is_left_to_a_person(devops: Connecting) -> None:
    devops.run("azure-devops", "--yes")
    state = devops.state
    state["devops"]["endpoints"][f"azure-{SLUG}-dev"]["authorization"] = {
        "scheme": "ServicePrincipal", "parameters": {"serviceprincipalid": "x"},
    }  # fmt: skip
    state["devops"]["endpoints"][f"azure-{SLUG}-prod"]["authorization"]["parameters"][
        "serviceprincipalid"
    ] = "another"
    state["devops"]["pipelines"] = {}
    devops.write(state)
    said = plain(devops.run("azure-devops", "--yes").output)
    assert f"! service connection azure-{SLUG}-dev: it signs in with a secret" in said
    assert "it signs in as another, not as id-churnmodel-prod-ci-cd" in said
    assert set(devops.state["devops"]["pipelines"]) == {
        f"{SLUG}-integration",
        f"{SLUG}-template-update",
    }


def test_teams_that_are_missing(devops: Connecting) -> None:
    devops.change(devops={"teams": {}})
    said = plain(devops.run("azure-devops", "--yes").output)
    for team in TEAMS:
        assert f"! team {team}: make it, `az devops team create --name {team}" in said
    assert "the project has none of the teams" in said
    assert f"! pipeline {SLUG}-release: is made, so that it begins, when" in said
    assert f"{SLUG}-release" not in devops.state["devops"]["pipelines"]


def test_without_anybody_to_approve_no_connection_is_made(devops: Connecting) -> None:
    fresh = devops.state
    devops.change(devops={"teams": {}})
    said = plain(devops.run("azure-devops", "--yes").output)
    for name in ("prod", "infrastructure"):
        assert (
            f"! service connection azure-{SLUG}-{name}: is not made before somebody could" in said
        )
        assert devops.identity(name)["credentials"] == {}
    assert devops.state["azure"]["roles"] == []
    assert set(devops.state["devops"]["endpoints"]) == {
        f"azure-{SLUG}-{name}" for name in ("dev", "staging", "monitoring")
    }
    assert "nothing to do" in devops.run("azure-devops").output
    devops.change(devops={"teams": fresh["devops"]["teams"]})
    devops.run("azure-devops", "--yes")
    assert len(devops.state["devops"]["endpoints"]) == 5
    assert len(devops.state["azure"]["roles"]) == 2


def test_a_connection_that_nobody_could_approve_is_told_with_its_command(
    devops: Connecting,
) -> None:
    devops.run("azure-devops", "--yes")
    state = devops.state
    state["devops"] |= {"teams": {}, "checks": []}
    devops.write(state)
    said = plain(devops.run("azure-devops", "--yes").output)
    for name in ("prod", "infrastructure"):
        id_ = state["devops"]["endpoints"][f"azure-{SLUG}-{name}"]["id"]
        assert f"`az devops service-endpoint delete --id {id_} --yes`" in said
    assert (
        "federated-credential delete --name ci-cd --identity-name id-churnmodel-prod-ci-cd" in said
    )
    assert set(checks(devops, f"azure-{SLUG}-prod")) == {"Task Check"}, "a branch, at least"


def test_another_task_is_no_branch_control(devops: Connecting) -> None:
    devops.run("azure-devops", "--yes")
    state = devops.state
    for check in state["devops"]["checks"]:
        if check["resource"]["name"] == f"azure-{SLUG}-prod":
            check["settings"] = {
                "displayName": "Business hours",
                "definitionRef": {"id": "445fde2f-6c39-441c-807f-8a59ff2e075f", "version": "0.0.1"},
            }
    devops.write(state)
    devops.run("azure-devops", "--yes")
    assert created(devops) == [f"configurations Task Check azure-{SLUG}-prod"]
    (call,) = devops.writes
    assert call["body"]["settings"]["inputs"]["allowedBranches"] == "refs/heads/main"
    assert "nothing to do" in devops.run("azure-devops").output


def test_policies_follow_code_owners(devops: Connecting) -> None:
    devops.run("azure-devops", "--yes")
    before = devops.state["devops"]["policies"]
    state = devops.state
    for one in state["devops"]["policies"]:
        if "requiredReviewerIds" in one["settings"]:
            one["settings"]["minimumApproverCount"] = 2
    devops.write(state)
    file = devops.project / ".azure-pipelines" / "CODEOWNERS"
    text = file.read_text("utf-8").replace("/data/ @data-engineers\n", "")
    file.write_text(text + "/docs/ @data-scientists\n", "utf-8")
    said = plain(devops.run("azure-devops", "--yes").output)
    after = devops.state["devops"]["policies"]
    assert len(after) == len(before), "none is added for owners that have one"
    assert set(created(devops)) == {"repos policy update"}
    by_message = {one["settings"].get("message"): one for one in after}
    changed = by_message["CODEOWNERS: data-scientists"]["settings"]
    assert "/docs/*" in changed["filenamePatterns"]
    assert changed["minimumApproverCount"] == 2, "what is stricter stays"
    gone = by_message["CODEOWNERS: data-engineers"]["id"]
    assert "! policy of main: CODEOWNERS: data-engineers" in said
    assert f"az repos policy delete --id {gone} --yes --organization" in said
    assert "nothing to do" in devops.run("azure-devops").output


def test_without_reviewers_no_pull_request_signs_in(devops: Connecting) -> None:
    devops.run("azure-devops", "--yes", "--without-reviewers")
    assert set(checks(devops, f"{SLUG}-prod")) == {"ExclusiveLock"}
    assert set(checks(devops, f"azure-{SLUG}-infrastructure")) == {"Task Check"}


def test_a_project_without_a_subscription(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devops = connecting(tmp_path, monkeypatch, azure=False, ci_cd="azure-devops")
    said = plain(devops.run("azure-devops", "--yes").output)
    assert "environments/dev.yml names no subscription" in said
    assert set(devops.state["devops"]["pipelines"]) == {
        f"{SLUG}-integration",
        f"{SLUG}-template-update",
    }
    assert not any("az account" in call["line"] for call in devops.state["calls"])
    assert "nothing to do" in devops.run("azure-devops").output


@pytest.mark.parametrize(
    ("answers", "administrator"),
    [({"workspaces": "one-shared"}, "User Access Administrator"), ({"infrastructure": "none"}, None),
     ({"environments": "dev-test-staging-prod"}, "Role Based Access Control Administrator")],
)  # fmt: skip
def test_other_kinds_of_projects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str], administrator: str
) -> None:
    devops = connecting(tmp_path, monkeypatch, ci_cd="azure-devops", **answers)
    devops.run("azure-devops", "--yes")
    roles = [role["roleDefinitionName"] for role in devops.state["azure"]["roles"]]
    assert roles == (["Contributor", administrator] if administrator else [])
    assert "nothing to do" in devops.run("azure-devops").output


def test_a_failure_halfway_goes_on_later(devops: Connecting) -> None:
    devops.refuse(
        "service-endpoint create", "ERROR: Access denied. Casey needs Create permissions."
    )
    said = plain(devops.run("azure-devops", "--yes", status=3).stderr)
    assert (
        f"service connection azure-{SLUG}-dev: whoever az is signed in as may not do that" in said
    )
    assert f"made until then: environment {SLUG}-dev;" in said
    devops.refuse("", "")
    devops.run("azure-devops", "--yes")
    assert not any(word.startswith("environments ") for word in created(devops))
    assert "nothing to do" in devops.run("azure-devops").output


def test_real_programs_are_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devops = connecting(tmp_path, monkeypatch, azure=False, ci_cd="azure-devops")
    fresh = devops.state
    devops.run("azure-devops", "--yes")
    expected = devops.state
    devops.write(fresh)
    doubles.install(tmp_path / "bin", devops.file)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    run_mlops(devops.project, "connect", "azure-devops", "--yes", PATH=path)
    assert devops.state == expected


def test_a_plan_as_json(devops: Connecting) -> None:
    plan = json.loads(devops.run("azure-devops", "--dry-run", "--json").stdout)
    states = {item["what"]: item["state"] for item in plan}
    assert states[f"service connection azure-{SLUG}-prod"] == "make"
    assert states["rights of Models Build Service in the repository"] == "person"
    assert sum(item["state"] == "there" for item in plan) == 1


def test_a_project_of_another_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devops = connecting(tmp_path, monkeypatch)
    assert "--set ci_cd=azure-devops" in devops.run("azure-devops", status=2).stderr
