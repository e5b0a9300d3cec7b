from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from mlops.digests import digest_of, digest_path
from mlops.files import read_json, to_json, write_json, write_text

from .builders import write


def disk_is_full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("owner", "name"), [(os, "fsync"), (Path, "replace")])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    file = write(tmp_path / "state.json", "old")
    monkeypatch.setattr(owner, name, disk_is_full)
    with pytest.raises(OSError, match="No space left"):
        write_text(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_an_interruption_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    file = write(tmp_path / "state.json", "old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_the_new_content_is_on_the_disk_before_it_takes_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("fsync"), fsync(handle)))
    monkeypatch.setattr(
        Path, "replace", lambda self, to: (calls.append("replace"), replace(self, to))
    )
    write_text(tmp_path / "deep" / "state.json", "é")
    assert calls == ["fsync", "replace"]
    assert (tmp_path / "deep" / "state.json").read_bytes() == "é".encode()


def test_numbers_that_json_does_not_have_become_null(tmp_path: Path) -> None:
    value = {"a": float("nan"), "b": [float("inf"), 1.5], "c": {"d": (-float("inf"), 2)}, 3: "x"}
    write_json(tmp_path / "value.json", value)
    expected = {"a": None, "b": [None, 1.5], "c": {"d": [None, 2]}, "3": "x"}
    assert read_json(tmp_path / "value.json") == expected


def test_json_keeps_letters_as_they_are() -> None:
    assert "é" in to_json({"name": "é"})
    assert json.loads(to_json({"name": "é"})) == {"name": "é"}


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of([1, 2]) != digest_of([2, 1])
    assert digest_of({"a": 1}) != digest_of({"a": "1"})


def folder_of(path: Path, **files: str) -> Path:
    for name, text in files.items():
        write(path / name.replace("__", "/"), text)
    return path


def test_folders_with_the_same_files_have_the_same_digest(tmp_path: Path) -> None:
    first = folder_of(tmp_path / "first", a="1", sub__b="2")
    second = folder_of(tmp_path / "second", sub__b="2", a="1")
    assert digest_path(first) == digest_path(second)


@pytest.mark.parametrize(
    "files",
    [
        {"a": "1", "sub__c": "2"},
        {"a": "1", "b": "2"},
        {"a": "2", "sub__b": "1"},
        {"a": "1", "sub__b": "2", "c": ""},
        {"a": "1"},
    ],
    ids=["renamed", "moved", "swapped", "added", "removed"],
)
def test_any_change_of_a_folder_changes_its_digest(tmp_path: Path, files: dict[str, str]) -> None:
    first = folder_of(tmp_path / "first", a="1", sub__b="2")
    assert digest_path(first) != digest_path(folder_of(tmp_path / "second", **files))


def test_what_python_compiles_does_not_change_a_digest(tmp_path: Path) -> None:
    first = folder_of(tmp_path / "__pycache__" / "first", a="1")
    second = folder_of(tmp_path / "second", a="1")
    write(second / "sub" / "__pycache__" / "a.pyc", "compiled")
    write(second / ".DS_Store", "finder")
    assert digest_path(first) == digest_path(second)


def test_a_large_file_is_read_to_its_end(tmp_path: Path) -> None:
    large = b"x" * (1 << 20)
    (tmp_path / "a").write_bytes(large + b"1")
    (tmp_path / "b").write_bytes(large + b"2")
    assert digest_path(tmp_path / "a") != digest_path(tmp_path / "b")
