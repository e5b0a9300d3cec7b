"""Many repositories from one sheet: a team's defaults, a replayed sheet, and no way out of the folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .conftest import TEMPLATE, commit_all, files_of, generate, template_repository
from .matrix import SUBSCRIPTION

GUIDE = TEMPLATE / "docs" / "bootstrapping.md"


def cookiecutter(*words: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run cookiecutter in a folder, with a home of its own."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "cookiecutter", *words],
        cwd=folder, env={**os.environ, "HOME": str(home), "USERPROFILE": str(home), **variables},
        capture_output=True, text=True, check=True,
    )  # fmt: skip


def test_the_worked_example_makes_three_repositories_in_one_go(tmp_path: Path) -> None:
    blocks = re.findall(r"```(\w*)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    files = {kind: text for kind, text in blocks if kind in ("yaml", "bash")}
    (tmp_path / "teams").mkdir()
    (tmp_path / "teams" / "vision.yml").write_text(files["yaml"], encoding="utf-8")
    template = template_repository()
    program = str(Path(sys.executable).parent)
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", files["bash"]],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(home), "TEMPLATE": str(template),
             "PATH": f"{program}{os.pathsep}{os.environ['PATH']}"},
        check=True, capture_output=True,
    )  # fmt: skip
    defaults = yaml.safe_load(files["yaml"])["default_context"]
    made = sorted(path.parent for path in tmp_path.glob("models/*/pyproject.toml"))
    assert len(made) == 3
    for project in made:
        settings = yaml.safe_load((project / "environments" / "prod.yml").read_text("utf-8"))
        assert settings["owner"]["team"] == defaults["team"]
        assert settings["azure"]["subscription_id"] == defaults["azure_subscription_id"]
        assert (project / ".azure-pipelines").is_dir() == (defaults["ci_cd"] == "azure-devops")
    names = {yaml.safe_load((p / "environments/prod.yml").read_text())["model"] for p in made}
    assert names == {project.name for project in made}


def test_a_replayed_sheet_gives_the_same_bytes(tmp_path: Path) -> None:
    answers = {"problem_type": "regression", "team": 'It\'s "us" \\ 🚀', "serving": "batch"}
    words = [f"{name}={value}" for name, value in answers.items()]
    cookiecutter("--no-input", "--output-dir", "one", str(TEMPLATE), *words, folder=tmp_path)
    (sheet,) = (tmp_path / "home" / ".cookiecutter_replay").glob("*.json")
    words = ["--replay-file", str(sheet), "--output-dir", "two", str(TEMPLATE)]
    cookiecutter(*words, folder=tmp_path)
    one, two = (files_of(tmp_path / name / "churn-model") for name in ("one", "two"))
    assert one == two == files_of(generate(tmp_path / "three", **answers))


def test_of_a_sheet_of_an_older_release_only_what_is_new_is_asked(tmp_path: Path) -> None:
    cookiecutter("--no-input", "--output-dir", "one", str(TEMPLATE), folder=tmp_path)
    (sheet,) = (tmp_path / "home" / ".cookiecutter_replay").glob("*.json")
    old = json.loads(sheet.read_text(encoding="utf-8"))
    for name in ("contact_email", "name_prefix", "ci_cd", "serving"):
        del old["cookiecutter"][name]
    old["cookiecutter"]["project_name"] = "Old Model"
    (tmp_path / "old.json").write_text(json.dumps(old), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "cookiecutter", "--replay-file", "old.json", str(TEMPLATE)],
        cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path / "home")},
        input="us@example.com\noldmodel\n\n\n", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("[4/4]") == 1
    settings = yaml.safe_load((tmp_path / "churn-model" / "environments" / "prod.yml").read_text())
    assert settings["owner"]["contact"] == "us@example.com"
    assert settings["azure"]["name_prefix"] == "oldmodel"


# Python runs this at its start, in cookiecutter and in the hooks that it starts: it writes down
# what they open, connect to, and start.
WITNESS = """
import os, sys
log = os.open(os.environ["WITNESS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def see(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)) and (
        isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        or isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    ):
        path = os.fsdecode(arguments[0])
        os.write(log, f"write {os.path.realpath(path)}\\n".encode())
    elif event in ("os.remove", "os.rename", "os.mkdir", "os.rmdir"):
        os.write(log, f"write {os.path.realpath(os.fsdecode(arguments[0]))}\\n".encode())
    elif event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.listen"):
        os.write(log, f"socket {event}\\n".encode())
    elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"):
        os.write(log, f"start {arguments[1] if event == 'subprocess.Popen' else event}\\n".encode())
sys.addaudithook(see)
"""


def test_generation_writes_only_its_folder_opens_no_socket_and_starts_only_its_hooks(
    tmp_path: Path,
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WITNESS, encoding="utf-8")
    (tmp_path / "tmp").mkdir()
    log = tmp_path / "log"
    cookiecutter(
        "--no-input", "--output-dir", "out", str(TEMPLATE), folder=tmp_path,
        PYTHONPATH=str(tmp_path / "site"), WITNESS=str(log), TMPDIR=str(tmp_path / "tmp"),
        MLOPS_WIRE="",
    )  # fmt: skip
    seen = [line.partition(" ") for line in log.read_text(encoding="utf-8").splitlines()]
    written = [Path(what) for kind, _, what in seen if kind == "write"]
    # Its own memory of the answers, and the hooks that it renders, are cookiecutter's.
    allowed = [tmp_path / "out", tmp_path / "home" / ".cookiecutter_replay", tmp_path / "tmp"]
    assert any(path.is_relative_to(tmp_path / "out" / "churn-model") for path in written)
    astray = [
        path for path in written
        if not any(path.is_relative_to(folder) for folder in allowed) and path != Path("/dev/null")
    ]  # fmt: skip
    assert astray == []
    assert [what for kind, _, what in seen if kind == "socket"] == []
    started = [what for kind, _, what in seen if kind == "start" and what[0] == "["]
    assert len(started) == 2, started
    assert all(str(tmp_path / "tmp") in what for what in started), started


def test_a_hook_imports_nothing_but_the_standard_library() -> None:
    for hook in (TEMPLATE / "hooks").glob("*.py"):
        imported = re.findall(r"^\s*(?:import|from) (\w+)", hook.read_text("utf-8"), re.MULTILINE)
        assert set(imported) <= set(sys.stdlib_module_names), hook.name


# --- live wiring, on explicit request -----------------------------------------------------------


@pytest.fixture
def fake_make(tmp_path: Path) -> Path:
    """A `make` that sets up a project whose `mlops` writes down how it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    make = folder / "make"
    make.write_text(
        "#!/bin/sh\nmkdir -p .venv/bin\n"
        "printf '#!/bin/sh\\necho \"$@\" > called\\nexit ${MLOPS_STATUS:-0}\\n' > .venv/bin/mlops\n"
        "chmod +x .venv/bin/mlops\nexit ${MAKE_STATUS:-0}\n"
    )
    make.chmod(0o755)
    return folder


def wired(folder: Path, make: Path | None, **variables: str) -> tuple[str, Path]:
    """Generate with MLOPS_WIRE and so on; what was said, and the project."""
    path = os.environ["PATH"] if make is None else f"{make}{os.pathsep}{os.environ['PATH']}"
    done = cookiecutter(
        "--no-input", "--output-dir", "out", str(TEMPLATE), folder=folder, PATH=path, **variables
    )
    return done.stdout + done.stderr, folder / "out" / "churn-model"


@pytest.mark.parametrize("action", ["check", "apply"])
def test_a_creation_wires_only_when_it_is_asked_to(
    action: str, tmp_path: Path, fake_make: Path
) -> None:
    said, project = wired(tmp_path, fake_make, MLOPS_WIRE=action)
    assert (project / "called").read_text() == f"workspaces {action}\n"
    assert f"workspaces {action}" in said


@pytest.mark.parametrize(
    ("variables", "go_on"),
    [
        ({"MAKE_STATUS": "2"}, "make setup && .venv/bin/mlops workspaces apply"),
        ({"MLOPS_STATUS": "3"}, ".venv/bin/mlops workspaces apply"),
    ],
)
def test_a_failed_wiring_keeps_the_project_and_says_how_to_go_on(
    variables: dict[str, str], go_on: str, tmp_path: Path, fake_make: Path
) -> None:
    said, project = wired(tmp_path, fake_make, MLOPS_WIRE="apply", **variables)
    assert (project / "pyproject.toml").is_file()
    assert f"  cd {project} && {go_on}" in said


def test_a_machine_without_make_keeps_the_project_too(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    done = cookiecutter(
        "--no-input", "--output-dir", "out", str(TEMPLATE), folder=tmp_path,
        PATH=str(tmp_path / "nothing"), MLOPS_WIRE="apply",
    )  # fmt: skip
    assert "make setup && .venv/bin/mlops workspaces apply" in done.stdout
    assert (tmp_path / "out" / "churn-model" / "pyproject.toml").is_file()


def test_cruft_wires_at_a_creation_and_never_at_a_difference_or_an_update(
    tmp_path: Path, fake_make: Path
) -> None:
    template = template_repository()
    environment = {
        **os.environ, "MLOPS_WIRE": "apply", "HOME": str(tmp_path),
        "PATH": f"{fake_make}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip

    def cruft(*words: str, folder: Path) -> str:
        command = [sys.executable, "-m", "cruft", *words]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout + done.stderr

    said = cruft("create", str(template), "--no-input", folder=tmp_path)
    project = tmp_path / "churn-model"
    assert "$ .venv/bin/mlops workspaces apply" in said
    assert (project / "called").read_text() == "workspaces apply\n"
    (project / "called").unlink()
    commit_all(project)
    answers = json.dumps({"ci_cd": "none"})
    update = ("update", "--skip-apply-ask", "--variables-to-update", answers)
    for words in (("diff",), update):
        assert "mlops workspaces" not in cruft(*words, folder=project), words
    assert not (project / "called").exists()
    assert not (project / ".github").exists()


def test_an_unknown_wish_is_named(tmp_path: Path, fake_make: Path) -> None:
    said, project = wired(tmp_path, fake_make, MLOPS_WIRE="yes")
    assert "MLOPS_WIRE is 'yes': write check or apply" in said
    assert not (project / "called").exists()


# --- the files that connect ---------------------------------------------------------------------


@pytest.mark.parametrize("workspaces", ["one-per-environment", "one-shared"])
def test_azure_ml_reads_which_workspace_an_environment_has(workspaces: str, tmp_path: Path) -> None:
    from azure.ai.ml import MLClient

    project = generate(tmp_path, azure_subscription_id=SUBSCRIPTION, workspaces=workspaces)
    for name in ("dev", "staging", "prod"):
        settings = yaml.safe_load((project / "environments" / f"{name}.yml").read_text("utf-8"))
        client = MLClient.from_config(_NoCredential(), path=str(project / ".azureml" / name))
        azure = settings["azure"]
        assert client.subscription_id == azure["subscription_id"] == SUBSCRIPTION
        assert client.resource_group_name == azure["resource_group"]
        assert client.workspace_name == azure["workspace"]


class _NoCredential:
    """A credential that nobody asks."""

    def get_token(self, *scopes: str) -> None:
        raise AssertionError("no token is needed to read a file")


def test_names_obey_azures_rules_in_the_worst_case(tmp_path: Path) -> None:
    project = generate(
        tmp_path, project_slug="a-name-of-eighteen", name_prefix="abcdefghij0",
        environments="dev-test-staging-prod", azure_subscription_id=SUBSCRIPTION,
    )  # fmt: skip
    seen: set[str] = set()
    for file in sorted((project / "environments").glob("*.yml")):
        settings = yaml.safe_load(file.read_text("utf-8"))
        azure, endpoints = settings["azure"], settings["endpoints"]
        for name in (azure["workspace"], azure["registry"]):
            assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}", name)
        for name in endpoints.values():
            assert re.fullmatch(r"[a-zA-Z](-?[a-zA-Z0-9])*", name) and 3 <= len(name) <= 32
        assert re.fullmatch(r"[a-zA-Z][a-zA-Z-]{2,15}", azure["compute"]["name"])
        assert len(azure["resource_group"]) <= 90
        assert not seen & set(endpoints.values())
        seen |= set(endpoints.values())


def test_the_ending_of_an_endpoint_tells_two_subscriptions_apart(tmp_path: Path) -> None:
    def online(folder: str, **answers: str) -> str:
        project = generate(tmp_path / folder, **answers)
        settings = yaml.safe_load((project / "environments" / "prod.yml").read_text("utf-8"))
        return str(settings["endpoints"]["online"])

    one = online("one", azure_subscription_id=SUBSCRIPTION)
    other = online("two", azure_subscription_id=SUBSCRIPTION.replace("0", "9"))
    assert one == online("three", azure_subscription_id=SUBSCRIPTION)
    assert one != other
    assert one.rpartition("-")[0] == other.rpartition("-")[0] == "churnmodel-prod"
