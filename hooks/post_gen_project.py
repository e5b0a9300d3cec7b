"""Keeps the chosen files, says what to do next and, where asked to, wires the workspaces.

Without MLOPS_WIRE a pure function of the answers: standard library only, no network, no git, no
clock, no prompts, no other program. With MLOPS_WIRE=check or apply it goes on: see `wire`.
"""

import json
import os

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")


def when(answer, *values):
    """The condition that an answer has one of these values."""
    return lambda answers: answers[answer] in values


def unless(answer, *values):
    """The condition that an answer has none of these values."""
    return lambda answers: answers[answer] not in values


def has(environment):
    """The condition that an environment is there."""
    return lambda answers: environment in answers["environments"].split("-")


def separate(environment):
    """The condition that an environment is there and has a workspace of its own."""
    return lambda answers: (
        has(environment)(answers) and answers["workspaces"] == "one-per-environment"
    )


def follows(environment, before):
    """The condition that an environment comes right after another, each with its own workspace."""
    return lambda answers: (
        f"{before}-{environment}" in answers["environments"]
        and answers["workspaces"] == "one-per-environment"
    )


def shared_by(environments):
    """The condition that these environments share one workspace."""
    return lambda answers: (
        answers["environments"] == environments and answers["workspaces"] == "one-shared"
    )


# The one table of files that not every project has: a file or folder, and the condition with
# which it is kept. The ending `__<word>` of a name falls off, so two files can stand for one.
KEPT = {
    "LICENSE__apache": when("license", "Apache-2.0"),
    "LICENSE__bsd": when("license", "BSD-3-Clause"),
    "LICENSE__mit": when("license", "MIT"),
    "LICENSE__proprietary": when("license", "proprietary"),
    ".azureml": unless("azure_subscription_id", ""),
    ".azureml/test": has("test"),
    ".azureml/staging": has("staging"),
    ".azure-pipelines": when("ci_cd", "azure-devops"),
    ".azure-pipelines/infrastructure.yml": when("infrastructure", "bicep"),
    ".azure-pipelines/teardown.yml": when("infrastructure", "bicep"),
    ".github": when("ci_cd", "github-actions"),
    ".github/workflows/infrastructure.yml": when("infrastructure", "bicep"),
    ".github/workflows/teardown.yml": when("infrastructure", "bicep"),
    "docs/ci-cd__azure-devops.md": when("ci_cd", "azure-devops"),
    "docs/ci-cd__github.md": when("ci_cd", "github-actions"),
    "data/contract__classification.yml": when("problem_type", "classification"),
    "data/contract__regression.yml": when("problem_type", "regression"),
    "data/sample__classification.parquet": when("problem_type", "classification"),
    "data/sample__regression.parquet": when("problem_type", "regression"),
    "data/sample__classification.py": when("problem_type", "classification"),
    "data/sample__regression.py": when("problem_type", "regression"),
    "monitoring/monitor__classification.yml": when("problem_type", "classification"),
    "monitoring/monitor__regression.yml": when("problem_type", "regression"),
    "monitoring/demo/README__classification.md": when("problem_type", "classification"),
    "monitoring/demo/README__regression.md": when("problem_type", "regression"),
    "monitoring/demo/contract__classification.yml": when("problem_type", "classification"),
    "monitoring/demo/contract__regression.yml": when("problem_type", "regression"),
    "monitoring/demo/monitor__classification.yml": when("problem_type", "classification"),
    "monitoring/demo/monitor__regression.yml": when("problem_type", "regression"),
    "monitoring/demo/plan__classification.yml": when("problem_type", "classification"),
    "monitoring/demo/plan__regression.yml": when("problem_type", "regression"),
    "monitoring/demo/table__classification.parquet": when("problem_type", "classification"),
    "monitoring/demo/table__regression.parquet": when("problem_type", "regression"),
    "monitoring/demo/table__classification.py": when("problem_type", "classification"),
    "monitoring/demo/table__regression.py": when("problem_type", "regression"),
    "pipelines/sweep__classification.yml": when("problem_type", "classification"),
    "pipelines/sweep__regression.yml": when("problem_type", "regression"),
    "src/{package}/estimator__classification.py": when("problem_type", "classification"),
    "src/{package}/estimator__regression.py": when("problem_type", "regression"),
    "src/{package}/plots__classification.py": when("problem_type", "classification"),
    "src/{package}/plots__regression.py": when("problem_type", "regression"),
    "src/{package}/score__classification.py": when("problem_type", "classification"),
    "src/{package}/score__regression.py": when("problem_type", "regression"),
    "environments/test.yml": has("test"),
    "environments/staging.yml": has("staging"),
    "infrastructure": when("infrastructure", "bicep"),
    "infrastructure/endpoint_alerts.bicep": unless("serving", "batch"),
    "infrastructure/dev.bicepparam": separate("dev"),
    "infrastructure/test.bicepparam": separate("test"),
    "infrastructure/staging__after-dev.bicepparam": follows("staging", "dev"),
    "infrastructure/staging__after-test.bicepparam": follows("staging", "test"),
    "infrastructure/prod__after-dev.bicepparam": follows("prod", "dev"),
    "infrastructure/prod__after-staging.bicepparam": follows("prod", "staging"),
    "infrastructure/shared__dev-prod.bicepparam": shared_by("dev-prod"),
    "infrastructure/shared__dev-staging-prod.bicepparam": shared_by("dev-staging-prod"),
    "infrastructure/shared__dev-test-staging-prod.bicepparam": shared_by("dev-test-staging-prod"),
    "containers/inference": unless("serving", "batch"),
    "containers/batch": unless("serving", "online"),
    "deployment/online": unless("serving", "batch"),
    "deployment/batch": unless("serving", "online"),
    "docs/azure.md": when("infrastructure", "bicep"),
    "docs/online.md": unless("serving", "batch"),
    "docs/batch.md": unless("serving", "online"),
    "tests/test_online.py": unless("serving", "batch"),
    "tests/test_batch.py": unless("serving", "online"),
}


def keep_chosen_files(answers):
    """Remove what was not chosen, and give what was chosen its name."""
    for name, condition in KEPT.items():
        path = name.format(package=answers["__package"])
        stem, ending = os.path.splitext(path)
        if not os.path.isdir(os.path.dirname(path) or "."):
            continue  # its folder was not chosen
        if not condition(answers):
            remove(path)
        elif "__" in os.path.basename(stem):
            os.rename(path, stem.rpartition("__")[0] + ending)


def remove(path):
    """Remove a file or a folder.

    By hand, as pathlib and shutil take longer to import than all that this hook does.
    """
    if os.path.isdir(path):
        for name in os.listdir(path):
            remove(os.path.join(path, name))
        os.rmdir(path)
    else:
        os.remove(path)


def next_steps(answers):
    """Three lines that fit the answers."""
    last = "make test     # linters, types, checks, tests"
    if answers["azure_subscription_id"] and answers["infrastructure"] == "bicep":
        last = "docs/azure.md     says how to make the Azure resources"
    return [
        f"cd {folder()}",
        "make demo     # the whole loop on this machine, without Azure",
        last,
    ]


def folder():
    """The project's folder for a shell, wherever that stands."""
    path = os.getcwd()
    return f'"{path}"' if " " in path else path


def wire(action):
    """Check or apply what the workspaces need, by the project's own command.

    It installs the project's packages first, so it takes a minute and the network. Whatever
    happens, the project stays; where it fails, it prints the commands that go on.
    """
    import subprocess

    if action not in ("check", "apply"):
        print(f"MLOPS_WIRE is {action!r}: write check or apply, or leave it out")
        return
    program = os.path.join(".venv", "Scripts" if os.name == "nt" else "bin", "mlops")
    commands = [["make", "setup"], [program, "workspaces", action]]
    for number, command in enumerate(commands):
        print(f"$ {' '.join(command)}", flush=True)
        try:
            failed = subprocess.call(command)
        except OSError as error:
            failed = error.strerror
        if failed:
            rest = " && ".join(" ".join(command) for command in commands[number:])
            print(
                f"the workspaces are not wired yet ({failed}); the project is complete. Go on with:"
            )
            print(f"  cd {folder()} && {rest}")
            return


def under_cruft_diff_or_update():
    """Whether cruft makes this project only to compare it.

    cruft says so to nobody. It shows in the folder: one of Python's temporary ones. (A creation by
    cruft into such a folder looks the same; it says nothing and wires nothing.)
    """
    import re
    import tempfile

    parent, name = os.path.split(os.path.dirname(os.getcwd()))
    return (
        "_commit" in ANSWERS
        and os.path.realpath(parent) == os.path.realpath(tempfile.gettempdir())
        and re.fullmatch(r"tmp[a-z0-9_]{8}", name) is not None
    )


def main():
    """Keep the chosen files; after a true creation say what is next, and wire if asked to."""
    keep_chosen_files(ANSWERS)
    if under_cruft_diff_or_update():
        return
    print("\n".join(["", "Next:", *(f"  {line}" for line in next_steps(ANSWERS))]), flush=True)
    action = os.environ.get("MLOPS_WIRE", "")
    if action:
        wire(action)


if __name__ == "__main__":
    main()
