# `make help` lists every task. Everything a task needs is installed by the task itself, on a fresh Debian as root.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
APT := DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0
INSTALL := $(APT) update && $(APT) install -y --no-install-recommends
PYTEST := $(BIN)/python -m pytest

.PHONY: help
help: ## List the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# --- set-up --------------------------------------------------------------------------------------------------------

.venv/bin/python:
	@$(PYTHON) -c 'import sys, ensurepip; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"' 2>/dev/null \
	  || { $(INSTALL) python3 python3-venv ca-certificates; }
	$(PYTHON) -m venv .venv

# Installing resolves nothing: each lock is closed (tests/unit/setup), what builds a package lies in one of them, and
# uv takes over where pip has been told to look. `make lock` writes them.
UV := UV_SYSTEM_CERTS=$$(test -e /etc/ssl/certs/ca-certificates.crt && echo 1 || echo 0) \
  UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null || true)}}" \
  $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation

.venv/tools.stamp: requirements/tools.lock | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --no-compile -r $<
	@touch $@

.venv/run.stamp: requirements/run.lock pyproject.toml .venv/tools.stamp
	$(UV) --require-hashes -r requirements/run.lock
	$(UV) --editable .
	@touch $@

.venv/dev.stamp: requirements/dev.lock .venv/run.stamp
	$(UV) --require-hashes -r requirements/dev.lock
	$(BIN)/uv pip check --quiet --python $(BIN)/python
	@touch $@

# Debian's PostgreSQL would start a server of its own on installation; the tests start private ones.
.PHONY: servers
servers:
	@if ! { ls /usr/lib/postgresql/*/bin/postgres && command -v redis-server; } >/dev/null 2>&1; then \
	  mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf; \
	  $(INSTALL) postgresql redis-server; fi

.PHONY: setup
setup: .venv/dev.stamp servers ## Install everything for development and tests

# --- the two commands ----------------------------------------------------------------------------------------------

.PHONY: demo
demo: .venv/run.stamp ## Backtest an example with an HTML report, then trade on an emulated exchange and compare
	@$(BIN)/sigma backtest examples/ema-cross/backtest.yaml --html ema-cross.html
	@echo
	@$(BIN)/sigma demo
	@echo
	@echo "Open ema-cross.html in a browser. Next:"
	@echo "  source .venv/bin/activate"
	@echo "  sigma backtest examples/ema-cross/backtest.yaml --set fast=8    # another parameter"
	@echo "  sigma new my_strategy                                           # a strategy of your own"
	@echo "  sigma data import FILE                                          # your own data"

.PHONY: test
test: setup check ## Static checks and all tests with real PostgreSQL and Redis
	$(PYTEST) tests -n auto --dist worksteal

.PHONY: coverage
coverage: setup ## Which lines the tests run, in every process they start; fails below the threshold in pyproject.toml
	rm -f .coverage .coverage.*
	COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml $(BIN)/python -m coverage run -m pytest tests -n auto --dist worksteal || true
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --skip-covered

.PHONY: mutation
mutation: setup ## The share of small changes of the code on which a test fails, by rooms
	$(BIN)/python -m tests.mutation

# --- parts ---------------------------------------------------------------------------------------------------------

.PHONY: check
check: .venv/dev.stamp ## Lint, format check, layers, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

.PHONY: docs
docs: .venv/dev.stamp ## Build the documentation as a site that opens without a network: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

.PHONY: format
format: .venv/dev.stamp ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: bench
bench: .venv/dev.stamp ## Measure, beside the peers, in throw-away environments
	$(BIN)/python -m tests.bench

.PHONY: bench-live crash soak
bench-live: .venv/dev.stamp servers ## Measure the live path: latency, throughput, halt, restart, memory
	$(BIN)/python -m tests.bench_live

crash: .venv/dev.stamp servers ## Kill bots at every step of the order path, 1,000 times and more
	$(BIN)/python -m tests.crash

MINUTES ?= 30
soak: .venv/dev.stamp servers ## Run 20 bots with faults at random for MINUTES
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

.PHONY: crds
crds: .venv/dev.stamp ## Generate the CRDs from the manifest types
	$(BIN)/python -m sigma_operator.crds crds docs/crds.md

.PHONY: charts images
charts: .venv/dev.stamp ## Write the tables of values into the charts' READMEs
	$(BIN)/python charts/values_table.py

images: .venv/dev.stamp ## Build the container images
	$(BIN)/python -m tests.cluster.cluster images

.PHONY: cluster-up cluster-down cluster-test bench-cluster
cluster-up: .venv/dev.stamp ## Start the single-node cluster of the tests
	$(BIN)/python -m tests.cluster.cluster up

cluster-down: .venv/dev.stamp ## Stop it; nothing is left
	$(BIN)/python -m tests.cluster.cluster down

cluster-test: .venv/dev.stamp ## Prove the operator on a real cluster (the first time builds Kubernetes: 10 minutes)
	$(PYTEST) tests/cluster -n 3

bench-cluster: .venv/dev.stamp ## Measure the operator on a cluster of its own
	$(BIN)/python -m tests.cluster.bench

PIN := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11
.PHONY: version
version: ## Print the version; TO=1.2.3 makes it that one, in package and charts
	@$(PYTHON) charts/version.py $(TO)

.PHONY: lock
lock: .venv/tools.stamp ## Pin the dependencies anew, with hashes
	$(PIN) pyproject.toml --all-extras -o requirements/dev.lock
	$(PIN) --constraint requirements/dev.lock --group build -o requirements/tools.lock
	for set in "run bot venue backtest demo" "backtest backtest demo" "operator operator" "bot bot" "live bot venue"; do \
	  $(PIN) --constraint requirements/dev.lock pyproject.toml $$(printf -- '--extra %s ' $${set#* }) \
	    -o requirements/$${set%% *}.lock; done
	$(BIN)/python requirements/metadata.py $(BIN)/uv

.PHONY: clean
clean: ## Remove what the tasks made, the virtual environment included
	rm -rf .venv build dist .coverage .mypy_cache .ruff_cache .hypothesis ema-cross.html
