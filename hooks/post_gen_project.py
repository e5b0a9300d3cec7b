"""Keeps the chosen files and says what to do next.

A pure function of the answers: standard library only, no network, no git, no clock, no prompts.
"""

import json
import shutil
from pathlib import Path

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

# The one table of files that not every project has: a file or folder, the answer that it
# belongs to, and the values with which it is kept. A name that ends with `__<value>` loses
# that ending, so two files can stand for one.
KEPT = [
    ("data/contract__classification.yml", "problem_type", {"classification"}),
    ("data/contract__regression.yml", "problem_type", {"regression"}),
    ("data/sample__classification.parquet", "problem_type", {"classification"}),
    ("data/sample__regression.parquet", "problem_type", {"regression"}),
    ("data/sample__classification.py", "problem_type", {"classification"}),
    ("data/sample__regression.py", "problem_type", {"regression"}),
    ("src/{package}/estimator__classification.py", "problem_type", {"classification"}),
    ("src/{package}/estimator__regression.py", "problem_type", {"regression"}),
    ("src/{package}/plots__classification.py", "problem_type", {"classification"}),
    ("src/{package}/plots__regression.py", "problem_type", {"regression"}),
    ("src/{package}/score__classification.py", "problem_type", {"classification"}),
    ("src/{package}/score__regression.py", "problem_type", {"regression"}),
    ("environments/staging.yml", "environments", {"dev-staging-prod"}),
]


def keep_chosen_files(root, answers):
    """Remove what was not chosen, and give what was chosen its name."""
    for name, answer, values in KEPT:
        path = root / name.format(package=answers["__package"])
        if answers[answer] not in values:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif "__" in path.stem:
            path.rename(path.with_name(path.stem.rpartition("__")[0] + path.suffix))


def next_steps(answers):
    """Three lines."""
    return [
        f"cd {answers['project_slug']}",
        "make demo     # the whole loop on this machine, without Azure",
        "make test     # the project's tests",
    ]


def main():
    """Keep the chosen files; say what to do next, but not into the output of cruft."""
    keep_chosen_files(Path.cwd(), ANSWERS)
    if "_commit" not in ANSWERS:
        print("\n".join(["", "Next:", *(f"  {line}" for line in next_steps(ANSWERS))]))


if __name__ == "__main__":
    main()
