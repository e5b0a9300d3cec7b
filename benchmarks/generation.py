"""How long a generation takes, and an update, against what cookiecutter and cruft need anyway.

    python benchmarks/generation.py [ROUNDS]

Goals: generation at most 1.3 times cookiecutter's own time on a template with one file; the hooks
together under 0.15 s; `cruft update` under 2 s.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from common import TEMPLATE, Run, interleaved, machine, median, ratio, table, timed, variables

GIT = ["git", "-c", "user.name=benchmark", "-c", "user.email=benchmark@example.com"]
GENERATION, HOOKS, UPDATE = 1.3, 0.15, 2.0


def commit(folder: Path) -> None:
    """Commit all that is in a folder, as a repository of its own."""
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all", "--allow-empty"]):
        subprocess.run([*GIT, *arguments], cwd=folder, check=True)


def copy_of_template(folder: Path, *without: str) -> Path:
    """The files of the template that git knows, without some folders."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=TEMPLATE, check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        if not name.startswith(without or "\0"):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(TEMPLATE / name, target)
    return folder


def plain_template(folder: Path, texts: dict[str, str]) -> Path:
    """A template that has these files and asks one question."""
    for name, text in texts.items():
        file = folder / "{{cookiecutter.name}}" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (folder / "cookiecutter.json").write_text('{"name": "plain"}', encoding="utf-8")
    return folder


def generation(folder: Path) -> dict[str, Callable[[], Run]]:
    """What is generated, side by side."""
    config = folder / "cookiecutter.yml"
    config.write_text(f"replay_dir: {folder / 'replay'}\n", encoding="utf-8")

    def generate(template: Path) -> Run:
        output = folder / "out"
        shutil.rmtree(output, ignore_errors=True)
        command = [sys.executable, "-m", "cookiecutter", "--no-input", "--config-file", str(config)]
        environment = variables() | {"TMPDIR": str(folder)}
        return timed([*command, "-o", str(output), str(template)], environment=environment)

    ours = copy_of_template(folder / "ours")
    generate(ours)
    (project,) = (folder / "out").iterdir()
    files = [path for path in project.rglob("*") if path.is_file()]
    texts = {
        path.relative_to(project).as_posix(): path.read_text("utf-8", errors="ignore")
        for path in files
        if path.suffix != ".parquet" and "{" not in path.read_text("utf-8", errors="ignore")
    }
    # As many files as ours, and of their size: those with braces, which Jinja would read, again.
    spare = list(texts.values())
    texts |= {f"more/{n}.txt": spare[n % len(spare)] for n in range(len(files) - len(texts))}
    templates = {
        "a template with one file": plain_template(folder / "one", {"a.txt": "a\n"}),
        f"a template with {len(texts)} plain files": plain_template(folder / "many", texts),
        "ours, without hooks": copy_of_template(folder / "bare", "hooks/"),
        "ours": ours,
    }
    return {name: lambda path=path: generate(path) for name, path in templates.items()}


def updates(folder: Path) -> dict[str, Callable[[], Run]]:
    """Commands of cruft in a project of the first release."""
    template = folder / "history"
    subprocess.run(["git", "clone", "-q", str(TEMPLATE), str(template)], check=True)
    releases = json.loads((TEMPLATE / "tests" / "releases.json").read_text(encoding="utf-8"))
    first = next(iter(releases.values()))
    cruft = [sys.executable, "-m", "cruft"]
    create = ["create", str(template), "--no-input", "--default-config", "--output-dir", str(folder),
              "--checkout", first]  # fmt: skip
    environment = variables() | {"TMPDIR": str(folder)}
    timed([*cruft, *create], environment=environment)
    project = folder / "churn-model"
    commit(project)

    def run(*arguments: str) -> Run:
        subprocess.run(["git", "reset", "-q", "--hard"], cwd=project, check=True)
        subprocess.run(["git", "clean", "-qfd"], cwd=project, check=True)
        return timed([*cruft, *arguments], folder=project, environment=environment)

    return {
        "cruft --help": lambda: run("--help"),
        "cruft diff": lambda: run("diff"),
        "cruft update": lambda: run("update", "--skip-apply-ask"),
    }


def compare(
    title: str, contenders: dict[str, Callable[[], Run]], rounds: int
) -> dict[str, list[float]]:
    """Measure, print a table against the first contender, and return the seconds of each."""
    runs = interleaved(contenders, rounds)
    seconds = {what: [run.seconds for run in found] for what, found in runs.items()}
    first = next(iter(contenders))
    rows = [[what, median(found), ratio(found, seconds[first])] for what, found in seconds.items()]
    table([title, "median s", f"/ {first}"], rows)
    return seconds


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        seconds = compare("generation", generation(Path(name)), rounds)
        hooks = [a - b for a, b in zip(seconds["ours"], seconds["ours, without hooks"])]
        share = statistics.median(hooks)
        print(f"ours / one file: goal {GENERATION}; hooks: {share:.3f} s, goal {HOOKS}\n")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        compare("cruft, from the first release to the newest", updates(Path(name)), rounds)
        print(f"cruft update: goal {UPDATE} s\n")
    machine()


if __name__ == "__main__":
    main()
