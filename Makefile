# Two commands a newcomer needs: `make demo` shows the main job end to end, `make test` proves it.
# Needed on the machine: Python 3.11 or newer, and (for `make test`) what .ci/run installs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NATIVE := $(wildcard relay/*/_native.pyx relay/*/*.pxi)
BUILT := build/native/.built

# Tests start the program some hundred times: without this it would be compiled anew each time where this is set.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check unit coverage test-reversed test-python install dev native fuzz fuzz-native fidelity cases abuse nodes bench profile packages lock release clean

demo: $(VENV)/.installed
	$(BIN)/relay demo

test: check unit

check: $(BUILT)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(BUILT)
	$(BIN)/pytest -n 3 --dist worksteal -rs

# The tests with the share of lines and branches they reach; fails below the floor in pyproject.toml.
coverage: $(BUILT)
	$(BIN)/pytest -n 3 --dist worksteal -rs --cov=relay

# All tests in reverse order: those that need another one before them fail.
test-reversed: $(BUILT)
	RELAY_TEST_ORDER=reversed $(BIN)/pytest -n 3 --dist worksteal -rs

# The tests of the rewriter once more, with the compiled code hidden.
test-python: $(VENV)/.dev
	RELAY_TEST_WITHOUT_NATIVE=1 $(BIN)/pytest -n 3 -rs $(wildcard tests/*/test_rewrite_*.py tests/unit/test_render*.py \
		tests/unit/test_mail_*.py tests/*/test_mailauth_*.py tests/property/test_mail_*.py)

fidelity: $(VENV)/.dev
	tests/fidelity/run

install: $(VENV)/.installed
dev: $(BUILT)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("relay needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml setup.py $(NATIVE) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.dev: pyproject.toml setup.py | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(VENV)/.installed $@

# The compiled code beside its sources, anew when these change. Without a C compiler there is none, and nothing fails.
native: $(BUILT)
$(BUILT): setup.py $(NATIVE) | $(VENV)/.dev
	rm -f relay/*/_native.*.so
	$(BIN)/python setup.py --quiet build_ext --inplace
	mkdir -p $(@D)
	touch $(VENV)/.installed $@

# The collection of real mails through the compiled code and its twins in Python, under every switch. Then a minute of
# mutated mails, with the compiled code built with sanitizers.
fuzz-native: $(BUILT)
	RELAY_TEST_EVERY_SWITCH=1 $(BIN)/pytest -n 3 tests/unit/test_rewrite_fast_path.py -k real_mails
	BIN=$(BIN) tests/native/run $(SECONDS)

# Ten minutes of octets by chance through the parsers that meet strangers, guided by the code they reach (atheris), of
# address lists through a Postfix where one is installed, of stories through the model of the queue, and of more examples
# of the properties than `make test` tries.
fuzz: $(BUILT)
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),600)

# What users of relay and of other servers reported, if the shared data is there. Takes about fifteen minutes.
cases: $(BUILT)
	$(BIN)/python -m tests.cases

# The worst that can be done to it from outside: kills, faults, hostile servers and clients. Takes about ten minutes.
abuse: $(VENV)/.dev
	$(BIN)/python -m tests.abuse.run
	$(BIN)/python -m tests.abuse.bulkheads

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

# What users install, installed: the wheel, the image and the Debian package in a bare Debian, the chart. As root, with
# debootstrap and the network; a few minutes.
packages: $(BUILT) $(VENV)-packages/.installed
	RELAY_TEST_PACKAGES=1 $(BIN)/pytest -n 2 --dist loadfile -rs --timeout 900 tests/packages

$(VENV)-packages/.installed: requirements/packages.lock
	$(PYTHON) -m venv $(VENV)-packages
	$(VENV)-packages/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/packages.lock
	touch $@

# Pins every dependency, with the hashes of all its files for all platforms. `make lock UPGRADE=--upgrade` takes newer ones.
COMPILE := $(VENV)-release/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes $(UPGRADE) \
	--custom-compile-command "make lock"
lock: $(VENV)-release/.installed
	$(COMPILE) requirements/build.in -o requirements/build.lock
	$(COMPILE) pyproject.toml -o requirements/relay.lock
	$(COMPILE) pyproject.toml --extra postgres -o requirements/postgres.lock
	$(COMPILE) requirements/release.in -o requirements/release.lock
	$(COMPILE) requirements/packages.in -o requirements/packages.lock

# The sdist and the wheel of HEAD, built twice and compared, a bill of materials, checksums, an audit: into dist/.
release: $(VENV)-release/.installed
	$(VENV)-release/bin/python -m release

$(VENV)-release/.installed: requirements/release.lock
	$(PYTHON) -m venv $(VENV)-release
	$(VENV)-release/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/release.lock
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-release $(VENV)-packages build dist *.egg-info
