# Every target does its own set-up; a second call starts at once.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test check quick-tests lint dev bench spark-cluster format lock clean

PYTHON ?= python3
BIN := .venv/bin
UV := $(shell command -v uv 2>/dev/null)

# The stamp is named after what the environment was made from and where it lies: it cannot be moved. It is told once more
# when it is set, as there may have been no Python before.
TELL_MADE_FROM := { pwd; $(PYTHON) -V; cat requirements*.lock pyproject.toml; } 2>&1 | cksum | cut -d ' ' -f 1
MADE_FROM := $(shell $(TELL_MADE_FROM))
READY := .venv/.ready-$(MADE_FROM)
# What only tests and linters use, which is half of all.
DEV := .venv/.ready-dev-$(MADE_FROM)
# Spark is large and needs Java: it is set up for what uses it only, and tests of it are skipped without.
SPARK := .venv/.ready-spark-$(MADE_FROM)
BENCH := .venv/.ready-bench-$(MADE_FROM)
# Tools of others, which read what the pipeline writes and write what it reads: datacontract-cli, drt, and the DuckDB 1.5 that they
# and most tools carry today.
OTHERS := .venv-others/.ready-$(MADE_FROM)
JAVA := $(shell command -v java 2>/dev/null)

# Without byte code everything takes two to three times as long to start.
unexport PYTHONDONTWRITEBYTECODE

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## Segment the sample in data/ (more options: make run ARGS="--json").
	@$(BIN)/smartcart run --input data/smartcart_customers.csv $(ARGS)

# What shares something dear stays together (see conftest.py). A process more than there are cores, as some wait for others.
PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder
CORES := $(shell nproc 2>/dev/null || echo 2)

test: $(DEV) $(OTHERS) $(if $(JAVA),$(SPARK)) lint ## Lint and the whole test suite (with COV=1, which lines it runs, too).
	@$(PYTEST) --numprocesses $$(($(CORES) + 1)) $(if $(COV),--cov --cov-report=term) $(ARGS)

check: $(DEV) ## For daily work: lint, and every test that runs no whole night.
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint quick-tests

quick-tests: $(DEV)
	@$(PYTEST) --numprocesses $(CORES) -m "not night" $(ARGS)

lint: $(DEV) ## Style, docstrings and types.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

dev: $(READY) ## The Dagster UI with schedule and sensor, on 127.0.0.1:3000.
	@$(BIN)/smartcart dev $(ARGS)

bench: $(BENCH) $(if $(JAVA),$(SPARK)) ## The benchmarks (one of them: make bench ARGS=nightly).
	@$(BIN)/python -m benchmarks $(ARGS)

spark-cluster: $(SPARK) ## A Spark cluster on loopback, until Ctrl-C (for one command: make spark-cluster ARGS="command").
	@$(BIN)/python -m smartcart_pipeline_tests.spark_cluster $(ARGS)

format: $(DEV) ## Put the code into shape.
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

COMPILE := uv pip compile --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-strip-extras --no-emit-index-url --no-header --quiet

lock: ## Pin the dependencies anew (needs uv; newer versions: make lock ARGS=--upgrade).
	@$(COMPILE) pyproject.toml --extra build $(ARGS) --output-file requirements.lock
	@for lock in "dev postgres" spark bench; do \
		$(BIN)/python -c "import sys, tomllib; extras = tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']; print(*(one for name in sys.argv[1:] for one in extras[name]), sep='\n')" $$lock \
			| $(COMPILE) - --constraint requirements.lock $(ARGS) --output-file requirements-$${lock%% *}.lock || exit 1; \
	done
	@printf '%s\n' 'datacontract-cli[csv]>=1.2,<2' 'drt-core>=1.2,<2' 'duckdb>=1.5,<1.6' | $(COMPILE) - $(ARGS) --no-annotate --output-file requirements-others.lock

clean: ## Remove the environment and the caches; data/ stays.
	@rm -f .venv/.ready*
	@rm -rf .venv .venv-others .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage* build dist *.egg-info

# A lock names everything. Left to resolve extras, pip may ask for hashes of versions that nobody pinned. Byte code is made
# afterwards: pip makes it with one process, of one file after the other.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile
COMPILE_INSTALLED := $(BIN)/python -m compileall -qq -j 0 .venv/lib || true

# For one's own commands: install WHAT PACKAGES… installs where that may be done, and else says the one command to type.
INSTALL := install() { \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing $$1 (once) …" >&2; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends "$${@:2}" >/dev/null; \
	else \
		echo "$$1 is missing. Install it$$(! command -v apt-get >/dev/null || echo " with: sudo apt-get install $${*:2}")" >&2; \
		false; \
	fi; }

# Debian and Ubuntu keep what makes environments in a package of its own; uv makes them by itself.
PYTHON_VERSION := $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'
MAKES_ENVIRONMENTS := $(if $(UV),true,$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null)

# The stamp goes first and comes last, so a set-up that was broken off is done again from the start.
$(READY):
	@$(INSTALL); [ "$(PYTHON)" != python3 ] || command -v python3 >/dev/null || install Python python3 python3-venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, as python3 or by name: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(INSTALL); $(MAKES_ENVIRONMENTS) || install "Python's venv" "python$$($(PYTHON_VERSION))-venv"
	@echo "Setting up .venv (once) …" >&2
	@rm -f .venv/.ready*
	@rm -rf .venv
ifneq ($(UV),)
	@uv venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv
	@uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	@uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
else
	@$(PYTHON) -m venv .venv
	@$(PIP_INSTALL) --require-hashes -r requirements.lock
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@$(COMPILE_INSTALLED)
endif
	@$(BIN)/python -m compileall -q smartcart_pipeline
	@# Set-up ends here. Preparing data/ is not part of it: the command does so on first use.
	@touch ".venv/.ready-$$($(TELL_MADE_FROM))"

$(DEV): $(READY)
	@echo "Setting up what tests and linters use (once) …" >&2
ifneq ($(UV),)
	@uv pip install --quiet --python $(BIN)/python --compile-bytecode --no-deps --require-hashes -r requirements-dev.lock
else
	@$(PIP_INSTALL) --require-hashes -r requirements-dev.lock
	@$(COMPILE_INSTALLED)
endif
	@touch ".venv/.ready-dev-$$($(TELL_MADE_FROM))"

$(SPARK): $(READY)
	@$(INSTALL); command -v java >/dev/null || install "Java 17, which Spark needs," openjdk-17-jre-headless
	@echo "Setting up Spark (once) …" >&2
ifneq ($(UV),)
	@uv pip install --quiet --python $(BIN)/python --compile-bytecode --no-deps --require-hashes -r requirements-spark.lock
else
	@$(PIP_INSTALL) --require-hashes -r requirements-spark.lock
	@$(COMPILE_INSTALLED)
endif
	@touch ".venv/.ready-spark-$$($(TELL_MADE_FROM))"

$(BENCH): $(DEV)
	@echo "Setting up what the benchmarks use (once) …" >&2
ifneq ($(UV),)
	@uv pip install --quiet --python $(BIN)/python --compile-bytecode --no-deps --require-hashes -r requirements-bench.lock
else
	@$(PIP_INSTALL) --require-hashes -r requirements-bench.lock
	@$(COMPILE_INSTALLED)
endif
	@touch ".venv/.ready-bench-$$($(TELL_MADE_FROM))"

$(OTHERS): | $(READY)
	@echo "Setting up the tools of others (once) …" >&2
	@rm -rf .venv-others
ifneq ($(UV),)
	@uv venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv-others
	@uv pip install --quiet --python .venv-others/bin/python --no-deps --require-hashes -r requirements-others.lock
else
	@$(PYTHON) -m venv .venv-others
	@.venv-others/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile \
		--require-hashes -r requirements-others.lock
endif
	@touch ".venv-others/.ready-$$($(TELL_MADE_FROM))"
