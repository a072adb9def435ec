# Two commands a newcomer needs: `make demo` shows the main job end to end, `make test` proves it.
# Needed on the machine: Python 3.11 or newer, and (for `make test`) what .ci/run installs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Tests start the program some hundred times: without this it would be compiled anew each time where this is set.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check unit install dev fidelity abuse nodes bench profile clean

demo: $(VENV)/.installed
	$(BIN)/relay demo

test: check unit

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.dev
	$(BIN)/pytest -n 3 --dist worksteal

fidelity: $(VENV)/.dev
	tests/fidelity/run

install: $(VENV)/.installed
dev: $(VENV)/.dev

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("relay needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(VENV)/.installed $@

# The worst that can be done to it from outside: kills, faults, hostile servers and clients. Takes about ten minutes.
abuse: $(VENV)/.dev
	$(BIN)/python -m tests.abuse.run

# Three nodes on one PostgreSQL, killed twenty times while it restarts twice; then what it plans over a million queued
# entries. Takes about six minutes.
nodes: $(VENV)/.dev
	$(BIN)/python -m tests.abuse.nodes
	$(BIN)/python -m tests.abuse.nodes.scale

# Against Debian's Postfix and OpenDKIM, where these are installed. A quiet machine gives the truest figures.
bench: $(VENV)/.dev
	$(BIN)/python -m bench.mail

profile: $(VENV)/.dev
	$(BIN)/python -m bench.profile

clean:
	rm -rf $(VENV) build dist *.egg-info
