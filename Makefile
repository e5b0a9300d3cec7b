# Needs Python 3.10 or later with venv, git and make. The commands work without make, too: README.
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
PROJECT := {{cookiecutter.project_slug}}
ANSWERS ?=
WORKERS ?= 2

# Imports are compiled once here and not at every start.
export UV_COMPILE_BYTECODE = 1
# Nothing may be written into the template's folder: cookiecutter would take it for a part of it.
export RUFF_CACHE_DIR = $(CURDIR)/build/ruff
export PYTHONDONTWRITEBYTECODE = 1

.PHONY: setup demo test quick lint clean

setup: $(VENV)/.ready

# One environment holds the template's tools and the packages of a generated project.
$(VENV)/.ready: pyproject.toml $(PROJECT)/pyproject.toml $(PROJECT)/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	@echo 'installing about 200 packages ...'
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint '$(PROJECT)/constraints.txt' --group dev
	rm -rf build/packages
	$(BIN)/cookiecutter --no-input --output-dir build/packages . > /dev/null
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint '$(PROJECT)/constraints.txt' \
	  --requirements build/packages/*/pyproject.toml --extra dev --extra azure
	touch $@

# A project with the default answers (or ANSWERS="problem_type=regression ..."), and its loop.
demo: setup
	rm -rf build/demo
	$(BIN)/cookiecutter --no-input --output-dir build/demo . $(ANSWERS) > /dev/null
	env -u PYTHONDONTWRITEBYTECODE $(MAKE) --no-print-directory -C build/demo/* demo
	@echo; echo "The project, for these commands: cd $$(echo build/demo/*)"

test: setup lint
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup

quick: setup
	$(BIN)/python -m pytest -m 'not slow'

lint: setup
	$(BIN)/ruff format --check .
	# Unrendered, the project has a pyproject.toml that is not TOML yet and a package without name.
	$(BIN)/ruff check --ignore RUF200,N999 .
	$(BIN)/python scripts/jinja_statistics.py

clean:
	rm -rf $(VENV) build
