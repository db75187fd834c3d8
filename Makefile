# Two commands for a newcomer: make cluster, make test. The rest are shortcuts.
SHELL := /bin/bash
PY := .venv/bin/python
LAB ?= inventory/lab.py
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help cluster lab lab-down clean check test test-unit test-sim test-lab lock

help: ## what can be said
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

