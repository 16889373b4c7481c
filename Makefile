# Every target does its own set-up; a second call starts at once.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test lint dev bench format lock clean

PYTHON ?= python3
BIN := .venv/bin
UV := $(shell command -v uv 2>/dev/null)

# The stamp is named after what the environment was made from and where it lies: it cannot be moved.
MADE_FROM := $(shell { pwd; $(PYTHON) -V; cat requirements.lock pyproject.toml; } 2>&1 | cksum | cut -d ' ' -f 1)
READY := .venv/.ready-$(MADE_FROM)

# Without byte code everything takes two to three times as long to start.
unexport PYTHONDONTWRITEBYTECODE

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "%-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## Segment the sample in data/ (more options: make run ARGS="--json").
	@$(BIN)/smartcart run --input data/smartcart_customers.csv $(ARGS)

test: $(READY) lint ## Lint and the whole test suite.
	@$(BIN)/python -m pytest --cov --cov-report=term $(ARGS)

lint: $(READY) ## Style, docstrings and types.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

dev: $(READY) ## The Dagster UI with schedule and sensor, on 127.0.0.1:3000.
	@$(BIN)/smartcart dev $(ARGS)

bench: $(READY) ## The benchmarks.
	@$(BIN)/python -m benchmarks $(ARGS)

format: $(READY) ## Put the code into shape.
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

lock: ## Pin the dependencies anew (needs uv; newer versions: make lock ARGS=--upgrade).
	@uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
		--no-strip-extras --no-emit-index-url --no-header --quiet $(ARGS) --output-file requirements.lock

clean: ## Remove the environment and the caches; data/ stays.
	@rm -f .venv/.ready*
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage* build dist *.egg-info

# The stamp goes first and comes last, so a set-up that was broken off is done again from the start.
$(READY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, as python3 or by name: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "Setting up .venv (once) …" >&2
	@rm -f .venv/.ready*
	@rm -rf .venv
ifneq ($(UV),)
	@uv venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv
	@uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	@uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
else
	@$(PYTHON) -m venv .venv
	@# The lock names everything. Left to resolve extras, pip may ask for hashes of versions that nobody pinned.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
endif
	@$(BIN)/python -m compileall -q smartcart_pipeline
	@# Set-up ends here. Preparing data/ is not part of it: the command does so on first use.
	@touch $(READY)
