"""Makes the engine of the default project importable."""

from __future__ import annotations

import sys

from hypothesis import settings

from ..conftest import generated

# Generating replaces the list `sys.path` (cookiecutter restores a copy), so the folder is named
# only afterwards.
SOURCE = str(generated() / "src")
if SOURCE not in sys.path:
    sys.path.insert(0, SOURCE)

settings.register_profile("engine", database=None, derandomize=True)
settings.load_profile("engine")
