# Two commands for a newcomer: make cluster, make test. The rest are shortcuts.
SHELL := /bin/bash
PY := .venv/bin/python
LAB ?= inventory/lab.py
LAB_PY := $(LAB:.yml=.py)
LAB_YML := $(LAB:.py=.yml)
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help cluster plan lab lab-down clean docs check test test-unit test-sim test-lab test-vm test-slow lock

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

docs: .venv/ok ## write inventory/schema.json and docs/inventory.md again from the language
	@$(PY) -m inventory.spec schema > schema.part && mv schema.part inventory/schema.json
	@$(PY) -m inventory.spec reference > reference.part && mv reference.part docs/inventory.md

lock: ## write requirements.lock again from pyproject.toml
	uvx --from uv uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --group dev --group build pyproject.toml -o requirements.lock

# --- the lab -------------------------------------------------------------------------------------
# A run that was interrupted, or limited to no node, ends with 0 in pyinfra; here it ends with what it is.
cluster: .venv/ok lab ## make the lab match inventory/lab.yml (LAB=inventory/other.py for another)
	@test -f '$(LAB_PY)' || { echo '$(LAB_PY): no such inventory; a lab is a pair of files: cp inventory/lab.py $(LAB_PY)' >&2; exit 2; }
	@outcome=$$(mktemp) && trap 'rm -f "$$outcome"' EXIT && \
	HALOFLEET_OUTCOME=$$outcome .venv/bin/pyinfra -y '$(LAB_PY)' deploys/cluster.py $(ARGS) && \
	{ test -s "$$outcome" || { echo 'make cluster: the run did not reach its end' >&2; exit 1; }; }

plan: .venv/ok ## show the lab without any host: addresses, topology, what runs where (LAB=...)
	@.venv/bin/pyinfra @local deploys/plan.py --data 'lab=$(LAB_YML)' $(ARGS)

lab: .venv/ok ## only the virtual hosts, where the inventory has any
	@if grep -qs '^virtual:' '$(LAB_YML)'; then .venv/bin/pyinfra -y @local deploys/virtual_lab.py --data 'lab=$(LAB_YML)'; fi

lab-down: .venv/ok ## the virtual hosts and all that belongs to them are gone; caches stay
	@.venv/bin/pyinfra -y @local deploys/virtual_lab_down.py

clean: lab-down ## the caches go too
	rm -rf "$${HALOFLEET_HOME:-$$HOME/.local/share/halofleet}/cache" .venv

# --- checks --------------------------------------------------------------------------------------

check: .venv/ok ## lint and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/shellcheck $$(git ls-files '*.sh')

test: check test-unit test-sim test-lab ## everything that can be checked on this machine
	.venv/bin/pytest tests/vm/test_vagrant.py tests/vm/test_links.py --changed
	.venv/bin/pytest tests/vm/test_kernel.py --changed -k 'taken_for or reboots_first or argument_is_on or initramfs or second_run'

# A tier in two processes. What each has said is shown when it is done.
PARTS = $(MAKE) --no-print-directory --jobs=2 --output-sync=target

unit-% sim-% lab-%: .venv/ok
	.venv/bin/pytest tests/$(firstword $(subst -, ,$@)) --part $*/2

test-unit: .venv/ok ## pure planning and parsing
	@$(PARTS) unit-1 unit-2

test-sim: .venv/ok ## every role against a simulated host, Fedora and Ubuntu
	@$(PARTS) sim-1 sim-2

test-lab: .venv/ok ## booted hosts, real sshd, real llama.cpp
	@$(PARTS) lab-1 lab-2

test-vm: .venv/ok ## real kernels and boot loaders in QEMU, whether or not anything has changed
	.venv/bin/pytest tests/vm

test-slow: .venv/ok ## what takes too long for every run: kills at every place, compiling for Vulkan, HIP, on the stand-in for Fedora, an hour of load
	HALOFLEET_SLOW=true .venv/bin/pytest tests/sim -k 'interrupt or killed' --durations=0
	HALOFLEET_SLOW=true .venv/bin/pytest $(addprefix tests/lab/test_,cluster.py virtual_host.py put_back.py vulkan.py) \
	  tests/slow tests/lab/test_soak.py -s --durations=0
