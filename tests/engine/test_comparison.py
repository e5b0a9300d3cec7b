"""What `mlops compare` trains, and what it leaves as it was; the engine is replaced by a small one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlops import comparison
from mlops.errors import MlopsError, UsageError
from mlops.metrics import METRICS
from mlops.project import find_project
from mlops.revisions import copy_checkout, copy_commit, find_commit
from tests.conftest import GIT, commit_all, generated, mlops_environment

from .builders import contract, write

ZERO = "0" * 40
PLATFORM = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "MLOPS_SUMMARY", "TF_BUILD")

# Stands where a project's engine stands: says what it found, and decides as `behaviour.py` does.
ENGINE = """
import json, os, sys
from pathlib import Path
import behaviour
folder = Path.cwd()
print(f"process {os.getpid()}", file=sys.stderr, flush=True)
behaviour.before()
card = folder / "card.md"
card.write_text("# model\\n\\n## Plots\\n\\n![roc](plots/roc.png)\\n\\n## Lineage\\n")
check = {"rule": "roc_auc", "value": behaviour.roc_auc, "limit": 2.0, "passed": False}
facts = {
    "metrics": json.dumps({"roc_auc": behaviour.roc_auc, "log_loss": behaviour.log_loss}),
    "files": sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()),
    "variables": dict(os.environ),
    "arguments": sys.argv[1:],
}
decision = {"accepted": False, "kind": "gate", "environment": "dev", "model": "m",
            "checks": [check], "facts": facts, "time": "2026-01-01T00:00:00+00:00"}
print(json.dumps({"decision": decision, "card": str(card)}))
raise SystemExit(3)
"""
BEHAVIOUR = """
roc_auc, log_loss = {roc_auc}, {log_loss}
def before():
    {before}
"""


def behave(root: Path, roc_auc: float = 0.9, log_loss: float = 0.2, before: str = "pass") -> None:
    text = BEHAVIOUR.format(roc_auc=roc_auc, log_loss=log_loss, before=before)
    write(root / "src" / "behaviour.py", text)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed project with the small engine; temporary folders lie in `tmp_path/temporary`."""
    root = tmp_path / "repository"
    template = generated()
    for name in ("pyproject.toml", "data/contract.yml", "environments/dev.yml"):
        write(root / name, (template / name).read_text("utf-8"))
    write(root / "src" / "mlops" / "__init__.py", "")
    write(root / "src" / "mlops" / "__main__.py", ENGINE)
    write(root / ".gitignore", ".mlops/\nignored/\n__pycache__/\n")
    behave(root)
    commit_all(root)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    return root


def left_over(root: Path) -> list[Path]:
    return list((root.parent / "temporary").iterdir())


def compare(root: Path, base: str = "HEAD") -> comparison.Comparison:
    return comparison.compare(find_project(root), base, report=lambda line: None)


def metric(done: comparison.Comparison, name: str) -> comparison.MetricChange:
    (found,) = [change for change in done.metrics if change.name == name]
    return found


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run([*GIT, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_each_side_is_trained_with_its_own_code_and_uncommitted_changes_count(root: Path) -> None:
    behave(root, roc_auc=0.8, log_loss=0.1)
    done = compare(root)
    assert done.commit == git(root, "rev-parse", "HEAD")
    change = metric(done, "roc_auc")
    assert (change.here, change.base, change.verdict) == (0.8, 0.9, "worse")
    assert change.difference == pytest.approx(-0.1)
    assert metric(done, "log_loss").verdict == "better"  # a smaller error is better
    assert done.notes == ()
    assert done.decision.facts["git_dirty"] == "true"
    assert "plots" not in done.card.lower()
    assert "## Lineage" in done.card
    json.dumps(done.record())


@pytest.mark.parametrize(
    ("name", "here", "base", "verdict"),
    [
        ("roc_auc", 0.9, 0.8, "better"), ("roc_auc", 0.8, 0.9, "worse"),
        ("log_loss", 0.9, 0.8, "worse"), ("log_loss", 0.8, 0.9, "better"),
        ("f1", 0.9, 0.9, "same"), ("f1", None, 0.9, "-"), ("f1", 0.9, None, "-"),
    ],
)  # fmt: skip
def test_better_is_what_the_metric_says(
    name: str, here: float | None, base: float | None, verdict: str
) -> None:
    (change,) = comparison._changes(contract(), {name: here}, {name: base})
    assert change.verdict == verdict
    assert name in METRICS["classification"]


def test_what_git_ignores_and_the_local_workspaces_are_not_taken_along(root: Path) -> None:
    write(root / ".mlops" / "mlflow.db", "")
    write(root / "ignored" / "large.bin", "")
    write(root / "data" / "new.py", "")
    (root / "environments" / "dev.yml").touch()
    (root / "src" / "mlops" / "__init__.py").unlink()  # in the index still
    files = compare(root).decision.facts["files"]
    assert "data/new.py" in files
    assert not {".mlops/mlflow.db", "ignored/large.bin", "src/mlops/__init__.py"} & set(files)


def test_the_trainings_are_local_and_write_to_no_output_of_the_platform(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PLATFORM:
        monkeypatch.setenv(name, str(root.parent / "output"))
    facts = compare(root).decision.facts
    assert facts["arguments"] == ["train", "--json"]
    assert facts["variables"]["MLOPS_LOCAL"] == "1"
    assert not set(PLATFORM) & set(facts["variables"])
    assert not (root.parent / "output").exists()


def test_the_checkout_and_its_repository_stay_as_they_are(root: Path) -> None:
    behave(root, roc_auc=0.7)
    write(root / "untracked.txt", "")
    git(root, "add", "src/behaviour.py")

    def state() -> Any:
        listed = [git(root, *c.split()) for c in ("status --porcelain", "worktree list", "branch")]
        index = (root / ".git" / "index").read_bytes()
        return listed, index, sorted(path for path in root.rglob("*"))

    before = state()
    compare(root)
    assert state() == before
    assert left_over(root) == []


@pytest.mark.parametrize(
    ("base", "said"),
    [
        (ZERO, "the branch is new"),
        ("", "the branch is new"),
    ],
)
def test_without_a_base_the_checkout_is_trained_alone(root: Path, base: str, said: str) -> None:
    done = compare(root, base)
    assert [said in note for note in done.notes] == [True]
    assert metric(done, "roc_auc").here == 0.9
    assert metric(done, "roc_auc").verdict == "-"


@pytest.mark.parametrize("base", ["f" * 40, "--help", "mian"])
def test_a_base_that_does_not_exist_is_refused_before_anything_is_trained(
    root: Path, base: str
) -> None:
    with pytest.raises(UsageError, match=f"there is no commit {base} in this repository"):
        compare(root, base)


def test_a_shallow_clone_is_told_how_to_fetch_the_base(root: Path) -> None:
    first = git(root, "rev-parse", "HEAD")
    behave(root, roc_auc=0.7)
    commit_all(root, "second")
    clone = root.parent / "clone"
    git(root.parent, "clone", "-q", "--depth", "1", root.as_uri(), str(clone))
    with pytest.raises(UsageError, match=f"shallow clone: `git fetch origin {first}`"):
        find_commit(clone, first)


def test_a_base_that_cannot_be_trained_is_a_note(root: Path) -> None:
    write(
        root / "src" / "behaviour.py",
        "import os\ndef before():\n    raise SystemExit('no file ' + os.getcwd() + '/data/x.csv')\n",
    )
    commit_all(root, "broken")
    behave(root)
    (note,) = compare(root).notes
    commit = git(root, "rev-parse", "--short=8", "HEAD")
    assert note.startswith(f"the base {commit} could not be trained: ")
    assert note.endswith("no file data/x.csv")


def test_a_base_without_a_project_is_a_note(root: Path) -> None:
    git(root, "checkout", "-q", "--orphan", "empty")
    git(root, "rm", "-rqf", "--cached", ".")
    git(root, "commit", "-qm", "empty", "--allow-empty")
    (note,) = compare(root, "empty").notes
    assert "holds no project to compare with" in note


def test_a_checkout_that_cannot_be_trained_is_an_error(root: Path) -> None:
    behave(root, before="raise SystemExit('no such column')")
    with pytest.raises(
        MlopsError, match=r"(?s)this checkout could not be trained: .*no such column"
    ):
        compare(root)
    assert left_over(root) == []


def test_a_project_outside_of_git_is_a_wrong_usage(root: Path) -> None:
    shutil.rmtree(root / ".git")
    with pytest.raises(UsageError, match="is in no git repository"):
        compare(root)


def test_a_project_may_lie_deep_in_its_repository(root: Path) -> None:
    shutil.rmtree(root / ".git")
    outer = root.parent / "outer"
    inner = outer / "models" / "churn"
    shutil.copytree(root, inner)
    write(outer / "large.txt", "not of the project")
    commit_all(outer)
    behave(inner, roc_auc=0.95)
    done = compare(inner)
    assert metric(done, "roc_auc").verdict == "better"
    assert "large.txt" not in done.decision.facts["files"]


def test_a_commit_is_written_as_it_is_whatever_archives_leave_out(root: Path) -> None:
    write(root / ".gitattributes", "data export-ignore\n")
    commit_all(root, "attributes")
    folder = copy_commit(root, "HEAD", root.parent / "commit")
    assert (folder / "data" / "contract.yml").is_file()


def test_links_stay_links(root: Path) -> None:
    (root / "link.yml").symlink_to("data/contract.yml")
    target = root.parent / "copy"
    copy_checkout(root, target)
    assert str((target / "link.yml").readlink()) == "data/contract.yml"


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_leaves_nothing_behind(root: Path) -> None:
    behave(root, before="import time; time.sleep(600)")
    commit_all(root, "slow")
    code = (
        "from mlops import comparison; from mlops.project import find_project;"
        "comparison.compare(find_project(), 'HEAD', report=lambda line: print(line, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, env=mlops_environment(generated()),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(2)]
    assert {line[:5] for line in lines} == {"here:", "base:"}
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    process.stdout.close()
    assert left_over(root) == []
    assert not [line for line in lines if Path("/proc", line.split()[-1]).exists()]
