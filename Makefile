# Everything a person or CI runs. Needs Python 3.11+ with venv, git and GNU make 3.81+; nothing else.
# ARGS="…" is passed on to the command behind demo, bench and test.

ARGS ?=
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS_STAMP := $(PEERS)/.installed-2
NPM := .npm-peers
NPM_STAMP := $(NPM)/.installed

# The first interpreter that is new enough and has venv. PYTHON=… overrules the search.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	if $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$p; break; fi; done)

# Pins hold for the build tools in pip's isolated environments too.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup peers interop demo drill test test-deep check format docs bench bench-check wheel-check clean

help:
	@echo "make setup      .venv with everything; the command is .venv/bin/authz"
	@echo "make demo       an engine, a card network and 10,000 cards, in half a minute (ARGS=\"--rate 200\")"
	@echo "make drill      servers destroyed under load, and all had again: recovery point and time"
	@echo "make test       the whole suite, against real servers from wheels"
	@echo "make check      format, lint, types, import contracts"
	@echo "make bench      the canonical figures, ten minutes; writes them into docs/performance.md"
	@echo "make bench-check  the steps of one answer, beside their baseline"
	@echo "make test-deep  the property tests at twenty times their examples"
	@echo "make format     put the sources into their format"
	@echo "make docs       write the pages of docs/ that are made from tables"
	@echo "make wheel-check  the built wheel, installed outside the tree"
	@echo "make clean      away with what was installed and built"
	@echo "make peers      the interpreter of the libraries that we compare with"
	@echo "make interop    a library of Node's as a card network (needs npm and its registry)"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or newer with venv was found."; \
		echo "Install one (on Debian: apt install python3-venv), or name it: make setup PYTHON=/path/to/python3"; \
		exit 1; fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[embedded,dev]'
	@touch $(STAMP)

peers: $(PEERS_STAMP)

$(PEERS_STAMP): constraints.txt
	@if [ -z "$(PYTHON)" ]; then echo "No Python 3.11 or newer with venv was found: PYTHON=/path/to/python3"; exit 1; fi
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet pyiso8583 pyemv redis hiredis asyncpg
	@touch $(PEERS_STAMP)

# The npm package iso_8583 as a card network; in `make test` too, once it is there.
interop: setup $(NPM_STAMP)
	$(BIN)/python -m pytest tests/interop $(ARGS)

$(NPM_STAMP):
	@if ! command -v npm >/dev/null; then echo "npm was not found: install Node, then make interop."; exit 1; fi
	npm install --prefix $(NPM) --no-save --ignore-scripts --no-audit --no-fund iso_8583@2.6.7
	@touch $(NPM_STAMP)

demo: setup
	$(BIN)/authz demo $(ARGS)

# Both servers killed under load and their folders destroyed: docs/recovery.md.
drill: setup
	$(BIN)/authz bench drill $(ARGS)

test: setup peers
	$(BIN)/python -m pytest $(ARGS)

test-deep: setup peers
	HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest $(ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup
	$(BIN)/python -m authz.app.pages

bench: setup peers
	$(BIN)/authz bench all $(ARGS)

# Each step of one answer, over a loop in the same run, beside the baseline. ARGS="--save": a new one.
bench-check: setup
	$(BIN)/python -m pytest bench/micro --benchmark-json=.bench.json --benchmark-columns=min,median,rounds
	$(BIN)/python -m bench.check .bench.json $(ARGS)

# The built wheel, installed outside the tree: what a user of the package gets.
wheel-check: setup
	$(BIN)/python .ci/wheel_check.py

clean:
	rm -rf $(VENV) $(PEERS) $(NPM) dist build .mypy_cache .ruff_cache .hypothesis .import_linter_cache
