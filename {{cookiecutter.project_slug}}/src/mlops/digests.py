"""Digests of what a step reads and a model is made of."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

IGNORED = {"__pycache__", ".DS_Store", ".amlignore"}


def digest_of(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def digest_path(path: Path) -> str:
    """SHA-256 of a file's bytes, or of a folder's file names and bytes in order of name."""
    if path.is_file():
        return _digest_file(path)
    return digest_of(
        [
            (file.relative_to(path).as_posix(), _digest_file(file))
            # By the name's text: Windows would sort paths without regard to case.
            for file in sorted(path.rglob("*"), key=lambda file: file.relative_to(path).as_posix())
            if file.is_file() and not IGNORED.intersection(file.relative_to(path).parts)
        ]
    )


def md5_of(path: Path) -> str:
    """MD5 of a file's bytes: the digest that Blob storage keeps with a blob."""
    return _digest_file(path, hashlib.md5(usedforsecurity=False))


def _digest_file(path: Path, digest: hashlib._Hash | None = None) -> str:
    digest = digest or hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
