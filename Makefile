# Everything a newcomer needs does its own set-up: Python with venv, a C compiler and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.run-stamp
STAMP := $(VENV)/.stamp
PREFIX ?= /opt/inferwatch
DESTDIR ?=
LISTEN ?=
CONFIG ?=

# What Python and pytest make of the files is kept from one run to the next, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo run test check format lint types contracts docs bench bench-fleet evaluate lock \
        golden deploy promqltest test-server test-gpu test-engine test-systemd test-browser coverage install uninstall clean need-cc need-server

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

# What the agent needs, which is all that demo and run wait for.
$(RUN_STAMP): pyproject.toml requirements/run.lock
	@command -v $(PYTHON) >/dev/null || { echo "needs Python 3.11 or later: install python3, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "needs Python 3.11 or later, found $$($(PYTHON) --version); say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "needs Python's venv module: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/run.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# What working on it needs besides.
$(STAMP): $(RUN_STAMP) requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/dev.lock
	@touch $@

need-cc:
	@command -v cc >/dev/null || { echo "needs a C compiler for the test driver library: on Debian and Ubuntu, apt install gcc libc6-dev" >&2; exit 1; }

need-server:
	@command -v prometheus >/dev/null && command -v promtool >/dev/null || { echo "needs prometheus and promtool on the PATH: on Debian and Ubuntu, apt install prometheus" >&2; exit 1; }

demo: $(RUN_STAMP) ## the whole agent on a recording of a serving host, at http://localhost:9745 or LISTEN=ADDRESS
	$(BIN)/inferwatch demo $(if $(LISTEN),--listen $(LISTEN))

run: $(RUN_STAMP) ## the agent on this host, at http://localhost:9745 or LISTEN=ADDRESS, with CONFIG=FILE
	$(BIN)/inferwatch run $(if $(CONFIG),--config $(CONFIG)) $(if $(LISTEN),--listen $(LISTEN))

test: $(STAMP) need-cc ## every test that needs no GPU, engine, server, systemd or browser
	$(BIN)/python -m pytest -q --numprocesses=auto --maxprocesses=8 --dist=loadfile -m "not gpu and not engine and not server and not systemd and not browser"

test-server: $(STAMP) need-cc need-server ## tests against a real Prometheus and Alertmanager
	$(BIN)/python -m pytest -q -m server

test-gpu: $(STAMP) ## tests on a real NVIDIA GPU
	$(BIN)/python -m pytest -q -m gpu --timeout=900 -s

test-engine: $(STAMP) ## tests against a real vLLM, if one is installed
	$(BIN)/python -m pytest -q -m engine --timeout=900

test-browser: $(STAMP) ## the pages of the agent and of the report in a real Chromium
	$(BIN)/python -m pytest -q -m browser

test-systemd: $(STAMP) ## tests in a booted container; needs root, debootstrap and systemd-nspawn
	$(BIN)/python -m pytest -q -m systemd --timeout=900

coverage: $(STAMP) need-cc ## make test with a coverage report
	$(BIN)/python -m pytest -q -m "not gpu and not engine and not server and not systemd and not browser" --cov --cov-report=term-missing:skip-covered

format: $(STAMP) ## write the code in the one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

contracts: $(STAMP)
	$(BIN)/lint-imports --no-cache

check: lint types contracts test test-server ## what CI runs: format, lint, types, contracts, tests

golden: $(STAMP) ## write the golden pages of the tests anew; look at the difference
	INFERWATCH_GOLDEN=1 $(BIN)/python -m pytest -q tests/e2e/test_replay.py
	INFERWATCH_GOLDEN=1 $(BIN)/python -m pytest -q tests/e2e/test_rules_promtool.py -k summaries
	INFERWATCH_GOLDEN=1 $(BIN)/python -m pytest -q tests/agent/report/test_report.py -k golden
	INFERWATCH_GOLDEN=1 $(BIN)/python -m pytest -q tests/agent/app/test_web_page.py -k golden

docs: $(STAMP) ## the pages made from the code
	$(BIN)/inferwatch metrics > docs/metrics.md
	$(BIN)/python -m tests.runbooks > exporters/web/runbooks.html

deploy: ## the shipped rules for Prometheus, in deploy/prometheus; RUNBOOKS=URL says where docs/ can be read
	mkdir -p deploy/prometheus/rules
	rm -f deploy/prometheus/rules/*.yml
	cp agent/alerts/rules/names/openllmetry.yml deploy/prometheus/openllmetry.yml
	for file in agent/alerts/rules/*.yml; do sed 's|docs/runbooks\.md#|$(if $(RUNBOOKS),$(RUNBOOKS)/)&|' $$file > deploy/prometheus/rules/$${file##*/}; done

promqltest: $(STAMP) ## Prometheus's own test scripts, also as build/promqltest.json
	$(BIN)/python -m tests.promqltest

# The agent with what it needs and nothing of what working on it needs, as it is where it is installed.
build/installed/.stamp: requirements/run.lock pyproject.toml
	$(PYTHON) -m venv build/installed
	build/installed/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/run.lock
	build/installed/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

bench: $(STAMP) build/installed/.stamp need-cc need-server ## costs beside real peers, also as build/bench.json
	$(BIN)/python -m benchmarks --python build/installed/bin/python

bench-fleet: $(STAMP) need-cc need-server ## what a fleet costs a real Prometheus, and its report: build/fleet.json, build/scaling.json
	$(BIN)/python -m benchmarks.fleet
	$(BIN)/python -m benchmarks.scaling

evaluate: $(STAMP) ## how good the estimators are: docs/evaluation.md and build/evaluation.json
	$(BIN)/python -m evaluation

lock: ## resolve the dependencies anew; needs uv
	uv pip compile --quiet --group dev pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements/dev.lock
	uv pip compile --quiet pyproject.toml --constraint requirements/dev.lock --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements/run.lock

install: ## install as a service of this host, as root; see docs/install.md
	PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" PYTHON="$(PYTHON)" sh systemd/install.sh

uninstall: ## remove the service; PURGE=1 removes configuration and history too
	PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" PURGE="$(PURGE)" sh systemd/uninstall.sh

clean: ## remove what was built
	rm -rf build dist $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
