# Two commands for a newcomer: make cluster, make test. The rest are shortcuts.
SHELL := /bin/bash
PY := .venv/bin/python
LAB ?= inventory/lab.py
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help cluster lab lab-down clean check test test-unit test-sim test-lab lock

help: ## what can be said
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

# --- the Python environment, from the lock file -------------------------------------------------

.venv/ok: requirements.lock pyproject.toml
	@python3 -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"python3 is {v[0]}.{v[1]}; halofleet needs 3.11 or newer")'
	@test -x $(PY) || python3 -m venv .venv || { rm -rf .venv; echo 'python3 has no venv module: install python3-venv' >&2; exit 1; }
	@echo 'installing the locked Python packages into .venv'
	@.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lock: ## write requirements.lock again from pyproject.toml
	uvx --from uv uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --group dev --group build pyproject.toml -o requirements.lock

# --- the lab -------------------------------------------------------------------------------------
