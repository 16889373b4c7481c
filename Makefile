# Every target does its own set-up; a second call starts at once.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test lint dev bench spark-cluster format lock clean

PYTHON ?= python3
BIN := .venv/bin
UV := $(shell command -v uv 2>/dev/null)

# The stamp is named after what the environment was made from and where it lies: it cannot be moved.
MADE_FROM := $(shell { pwd; $(PYTHON) -V; cat requirements*.lock pyproject.toml; } 2>&1 | cksum | cut -d ' ' -f 1)
READY := .venv/.ready-$(MADE_FROM)
# Spark is large and needs Java: it is set up for what uses it only, and tests of it are skipped without.
SPARK := .venv/.ready-spark-$(MADE_FROM)
# The DuckDB that most tools carry today, to open what the pipeline's own has written.
OLDER := .venv-duckdb15/.ready-$(MADE_FROM)
JAVA := $(shell command -v java 2>/dev/null)

# Without byte code everything takes two to three times as long to start.
unexport PYTHONDONTWRITEBYTECODE

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## Segment the sample in data/ (more options: make run ARGS="--json").
	@$(BIN)/smartcart run --input data/smartcart_customers.csv $(ARGS)

test: $(READY) $(OLDER) $(if $(JAVA),$(SPARK)) lint ## Lint and the whole test suite.
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --cov --cov-report=term $(ARGS)

lint: $(READY) ## Style, docstrings and types.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

dev: $(READY) ## The Dagster UI with schedule and sensor, on 127.0.0.1:3000.
	@$(BIN)/smartcart dev $(ARGS)

bench: $(READY) $(if $(JAVA),$(SPARK)) ## The benchmarks (one of them: make bench ARGS=nightly).
	@$(BIN)/python -m benchmarks $(ARGS)

spark-cluster: $(SPARK) ## A Spark cluster on loopback, until Ctrl-C (for one command: make spark-cluster ARGS="command").
	@$(BIN)/python -m smartcart_pipeline_tests.spark_cluster $(ARGS)

format: $(READY) ## Put the code into shape.
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

COMPILE := uv pip compile --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-strip-extras --no-emit-index-url --no-header --quiet

lock: ## Pin the dependencies anew (needs uv; newer versions: make lock ARGS=--upgrade).
	@$(COMPILE) pyproject.toml --extra dev --extra postgres $(ARGS) --output-file requirements.lock
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["spark"])' \
		| $(COMPILE) - $(ARGS) --output-file requirements-spark.lock
	@echo 'duckdb>=1.5,<1.6' | $(COMPILE) - $(ARGS) --no-annotate --output-file requirements-duckdb15.lock

clean: ## Remove the environment and the caches; data/ stays.
	@rm -f .venv/.ready*
	@rm -rf .venv .venv-duckdb15 .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage* build dist *.egg-info

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

$(SPARK): $(READY)
	@command -v java >/dev/null || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || \
			{ echo "Spark needs Java 17: install openjdk-17-jre-headless" >&2; exit 1; }; \
		echo "Installing Java (once) …" >&2; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless >/dev/null; }
	@echo "Setting up Spark (once) …" >&2
ifneq ($(UV),)
	@uv pip install --quiet --python $(BIN)/python --compile-bytecode --no-deps --require-hashes -r requirements-spark.lock
else
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-spark.lock
endif
	@touch $(SPARK)

$(OLDER):
	@echo "Setting up DuckDB 1.5 (once) …" >&2
	@rm -rf .venv-duckdb15
ifneq ($(UV),)
	@uv venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv-duckdb15
	@uv pip install --quiet --python .venv-duckdb15/bin/python --no-deps --require-hashes -r requirements-duckdb15.lock
else
	@$(PYTHON) -m venv .venv-duckdb15
	@.venv-duckdb15/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r requirements-duckdb15.lock
endif
	@touch $(OLDER)
