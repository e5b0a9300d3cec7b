"""One act at a time on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS_BEFORE_SAYING_SO = 1.0


@contextmanager
def locked(folder: Path, environment: str) -> Iterator[None]:
    """Held while an act changes a workspace; ends with its process, however that ends."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=SECONDS_BEFORE_SAYING_SO)
    except Timeout:
        print(f"another mlops command is at work in {environment}: waiting for it", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
