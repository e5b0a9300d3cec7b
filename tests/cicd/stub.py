"""A project whose `mlops` only says how it was called: for tests of the harness that take no time.

The workflows are the real ones. `make setup` puts the stub where the real command would be.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from tests.conftest import commit_all, generated

from .platforms import Platform

MAKEFILE = """\
.PHONY: setup azure lint check
setup azure:
	mkdir -p .venv/bin && cp stub.py .venv/bin/mlops && chmod +x .venv/bin/mlops
lint check:
	true
"""
DIGEST = "d" * 64
STUB = '''\
#!{python} -IS
"""Says how it was called; fails in the environments that $PLATFORM/failing names."""
import json, os, pathlib, shlex, sys
platform = pathlib.Path(os.environ["PLATFORM"])
with (platform / "called").open("a") as stream:
    stream.write(shlex.join(sys.argv[1:]) + "\\n")
command, given = sys.argv[1], dict(zip(sys.argv[2::2], sys.argv[3::2]))
failing = (platform / "failing").read_text().split() if (platform / "failing").exists() else []
if given.get("--env") in failing:
    sys.exit("it fails in " + given["--env"])
names = {names}
later = names[names.index(given["--env"]) + 1:] if command == "release" else []
alarm = {{"key": "a", "title": "a", "body": "a", "retrain": True}}
published = {{
    "train": {{"version": "dev/7", "digest": "{digest}", "registered": "true"}},
    "release": {{"version": given.get("--version"), "digest": "{digest}", "environments": json.dumps(
        [{{"name": n, "environment": "{prefix}" + n}} for n in later])}},
    "monitor": {{"alarms": json.dumps([alarm]), "retrain": "true"}},
}}.get(command, {{}})
if command == "alarms":
    assert json.loads(sys.stdin.read()) == [alarm]
for name, value in published.items():
    if os.environ.get("GITHUB_OUTPUT"):
        with open(os.environ["GITHUB_OUTPUT"], "a") as stream:
            stream.write(f"{{name}}={{value}}\\n")
    else:
        print(f"##vso[task.setvariable variable={{name}};isOutput=true]{{value}}")
decisions = pathlib.Path(".mlops/w/decisions")
decisions.mkdir(parents=True, exist_ok=True)
(decisions / "one.json").write_text("{{}}")
summary = os.environ.get("GITHUB_STEP_SUMMARY") or os.environ["MLOPS_SUMMARY"]
open(summary, "a").write(command)
sys.exit(3 if command == "monitor" else 0)
'''


def stub_project(folder: Path, ci_cd: str) -> Path:
    """A committed project of three environments with the stub."""
    project = folder / "churn-model"
    shutil.copytree(generated(ci_cd=ci_cd), project)
    (project / "Makefile").write_text(MAKEFILE, "utf-8")
    prefix = "churn-model-" if ci_cd == "azure-devops" else ""
    names = ["dev", "staging", "prod"]
    stub = STUB.format(python=sys.executable, names=names, digest=DIGEST, prefix=prefix)
    (project / "stub.py").write_text(stub, "utf-8")
    commit_all(project)
    return project


def called(platform: Platform) -> list[list[str]]:
    """How the stub was called since the last time."""
    file = platform.machine.root / "called"
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    file.unlink(missing_ok=True)
    return [shlex.split(line) for line in lines]


RELEASED = ["--version", "dev/7", "--digest", DIGEST]
STAGES = [["release", "--env", name, *RELEASED] for name in ("dev", "staging", "prod")]


def tell_training(platform: Platform) -> None:
    """A push trains, and hands its version over to the release."""
    platform.left_out = {"integration", "infrastructure"}
    run = platform.push(lambda project: (project / "src" / "a.py").write_text("a"))[
        "training"
    ].must()
    assert run.summary == "train" and len(run.job("train").artifacts) == 1
    assert called(platform) == [["train", "--env", "dev"]]
    (queued,) = platform.state["runs"]
    assert platform.stage_named(queued["stage"]) == "release"
    assert queued["inputs"] == {"version": "dev/7", "digest": DIGEST}


def tell_release(platform: Platform) -> None:
    """A release goes from environment to environment, until one fails or is refused."""
    failing = platform.machine.root / "failing"
    failing.write_text("")
    release = platform.start("release", version="dev/7", digest=DIGEST).must()
    assert (calls := called(platform)) == STAGES, calls
    assert release.summary == "release" * 3
    assert len(platform.asked) == 1
    assert len({job.signed_in for job in release.ran}) == 3

    failing.write_text("staging")
    platform.start("release", version="dev/7", digest=DIGEST).must("failure")
    assert called(platform) == STAGES[:2]
    failing.write_text("")
    platform.refused = platform.reviewed()
    platform.start("release", version="dev/7").must("failure")
    assert called(platform) == [STAGES[0][:5], STAGES[1]]
    platform.refused = set()


def tell_monitoring(platform: Platform) -> None:
    """An alarm is told, and starts a training."""
    platform.schedule("monitoring").must()
    (monitor, alarms) = called(platform)
    assert monitor[:3] == ["monitor", "--env", "prod"]
    assert alarms == ["alarms", "--on", platform.ci_cd.removesuffix("-actions"), "--input", "-"]
    assert not platform.asked
    (queued,) = platform.state["runs"]
    assert platform.stage_named(queued["stage"]) == "training"
    assert list(platform.handed_over()) == ["training", "release"]
