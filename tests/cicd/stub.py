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
from .runs import Run

MAKEFILE = """\
.PHONY: setup azure lint check
setup azure:
	mkdir -p .venv/bin && cp stub.py .venv/bin/mlops && chmod +x .venv/bin/mlops
lint check:
	true
"""
DIGEST = "d" * 64
# What a shell, or a platform, may take for something else.
REQUEST = '{"environment":"prod","asks":[{"trigger":"signal","name":"x","value":null}],"time":"1=2 $HOME"}'
STUB = '''\
#!{python} -IS
"""Says how it was called; fails in the environments that $PLATFORM/failing names."""
import json, os, pathlib, shlex, sys
platform = pathlib.Path(os.environ["PLATFORM"])
with (platform / "called").open("a") as stream:
    stream.write(shlex.join(sys.argv[1:]) + "\\n")
command, given = sys.argv[1], dict(zip(sys.argv, sys.argv[1:]))
failing = (platform / "failing").read_text().split() if (platform / "failing").exists() else []
if given.get("--env") in failing:
    sys.exit("it fails in " + given["--env"])
names = {names}
later = names[names.index(given["--env"]) + 1:] if command == "release" else []
alarm = {{"key": "a", "title": "a", "body": "a", "retrain": True}}
refused = {{"key": "b", "title": "b", "body": "b"}}
refuses = (platform / "refuses").exists()
decides = {{"retrain": "true", "request": {request!r}}}
version = {{"version": "dev/7", "digest": "{digest}", "registered": "true"}}
none = {{"version": "", "digest": "", "registered": "false", "alarms": json.dumps([refused])}}
retrained = none if refuses else {{**version, "alarms": "[]"}}
published = {{
    "train": version,
    "retrain": decides if "--decide-only" in sys.argv else retrained,
    "release": {{"version": given.get("--version"), "digest": "{digest}", "environments": json.dumps(
        [{{"name": n, "environment": "{prefix}" + n}} for n in later])}},
    "monitor": {{"alarms": json.dumps([alarm]), "report": "true"}},
}}.get(command, {{}})
if command == "alarms":
    expected = {{"monitor": [alarm], "retrain": [refused] if refuses else []}}
    assert json.loads(sys.stdin.read()) == expected[given.get("--of", "monitor")]
if command == "retrain" and "--request" in sys.argv:
    assert given["--request"] == {request!r}
if "--report" in given:
    pathlib.Path(given["--report"]).write_text("the page")
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
sys.exit(3 if command == "monitor" or (refuses and "--request" in sys.argv) else 0)
'''


def stub_project(folder: Path, ci_cd: str) -> Path:
    """A committed project of three environments with the stub."""
    project = folder / "churn-model"
    shutil.copytree(generated(ci_cd=ci_cd), project)
    (project / "Makefile").write_text(MAKEFILE, "utf-8")
    prefix = "churn-model-" if ci_cd == "azure-devops" else ""
    names = ["dev", "staging", "prod"]
    stub = STUB.format(
        python=sys.executable, names=names, digest=DIGEST, prefix=prefix, request=REQUEST
    )
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
    """An alarm is told, and what the policy asks for is trained, released, or told as refused."""
    refuses = platform.machine.root / "refuses"
    refuses.unlink(missing_ok=True)
    on = ["alarms", "--on", platform.ci_cd.removesuffix("-actions")]
    run = platform.schedule("monitoring").must()
    (monitor, decide, alarms) = called(platform)
    assert monitor[:3] == ["monitor", "--env", "prod"]
    assert decide == ["retrain", "--env", "prod", "--decide-only"]
    assert alarms == [*on, "--input", "-"]
    assert not platform.asked
    assert [files for files, _ in run.job("monitor").artifacts.values()] == [("report.html",)]
    (queued,) = platform.state["runs"]
    assert platform.stage_named(queued["stage"]) == "training"
    assert queued["inputs"] == {"request": REQUEST}
    runs = platform.handed_over()
    assert list(runs) == ["training", "release"]
    tell_retraining(platform, runs["training"].must(), on)
    assert platform.asked, "the release asks the reviewers of production"

    refuses.touch()
    platform.schedule("monitoring").must()
    called(platform)
    runs = platform.handed_over()
    assert list(runs) == ["training"]
    tell_retraining(platform, runs["training"].must(), on)
    refuses.unlink()


def tell_retraining(platform: Platform, training: Run, on: list[str]) -> None:
    """The training trains what was asked for, and tells of it."""
    retrain, alarms = called(platform)[:2]
    assert retrain == ["retrain", "--env", "prod", "--request", REQUEST]
    assert alarms == [*on, "--of", "retrain", "--input", "-"]
    assert not training.job("tell").signed_in
    assert training.job("train").summary == "retrain"
