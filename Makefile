# Quaestor. `make demo` and `make test` are all that is needed: both set everything up first.
#
#   setup      make .venv from the locked requirements; quick when nothing changed
#   demo       run the main job and leave it running; ONCE=1 ends by itself
#   test       every test, slow proofs included; STRICT=1 fails on a skip that could have run
#   test-fast  the same without the slow proofs and the browser
#   check      formatting, types, layers and the rules of the house
#   bench      measure the throughput
#   simulate   whole flows over faulty wires; SEEDS=10000 for a night, FROM=17 SEEDS=1 for one seed
#   lock       renew the locks with uv; UPGRADE=1 takes newer versions
#   clean      remove caches and build results; .venv stays

# The first Python that is recent enough and can make virtual environments.
CANDIDATES := python3.11 python3.12 python3.13 python3 python
PYTHON ?= $(shell for p in $(CANDIDATES); do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo "$$p" && break; done)
UV ?= uv
LOCK := $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' --quiet \
	$(if $(UPGRADE),--upgrade)

VENV := .venv
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: setup demo test test-fast check bench simulate lock clean

setup: $(STAMP)

# The stamp is written last, so that an interrupted installation is repeated. A recent pip comes
# first: the one that Python 3.11 brings takes twice as long to choose among the hashed files. All
# is compiled once, on every core: else each process does it again at its start wherever Python is
# told to keep no compiled files.
$(STAMP): pyproject.toml requirements/pip.txt requirements/dev.txt
	@test -n "$(PYTHON)" || { \
		echo "Python 3.11 or newer with its venv module is needed (Debian: python3-venv)." >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes --requirement requirements/pip.txt
	$(PIP) --no-compile --require-hashes --requirement requirements/dev.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	-@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib src >/dev/null
	@touch $@

demo: setup
	@$(BIN)/quaestor demo $(if $(ONCE),--once)

test: setup
	@$(BIN)/python -m tests.house.runner $(if $(STRICT),--strict)

test-fast: setup
	@$(BIN)/python -m tests.house.runner --fast $(if $(STRICT),--strict)

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q tests/house

bench: setup
	@$(BIN)/quaestor bench

simulate: setup
	@$(BIN)/python -m tests.simulation.runner --seeds $(or $(SEEDS),200) --from $(or $(FROM),0) \
		$(if $(JOBS),--jobs $(JOBS))

# The development lock is made on top of the runtime lock, so that both name the same versions.
lock:
	echo pip | $(LOCK) --output-file requirements/pip.txt -
	$(LOCK) --extra embedded --output-file requirements/runtime.txt pyproject.toml
	$(LOCK) --extra embedded --extra dev --constraint requirements/runtime.txt \
		--output-file requirements/dev.txt pyproject.toml

clean:
	rm -rf build dist .pytest_cache .hypothesis .ruff_cache .mypy_cache .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
