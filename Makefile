# Quaestor. `make demo` and `make test` are all that is needed: both set everything up first.
#
#   setup      make .venv from the locked requirements; quick when nothing changed
#   demo       run the main job and leave it running; ONCE=1 ends by itself
#   test       every test, slow proofs included; STRICT=1 fails on a skip that could have run
#   test-fast  the same without the slow proofs and the browser
#   check      formatting, types, layers and the rules of the house
#   bench      measure the throughput
#   lock       renew the locks with uv; UPGRADE=1 takes newer versions
#   clean      remove caches and build results; .venv stays

# The first Python that is recent enough and can make virtual environments.
CANDIDATES := python3.11 python3.12 python3.13 python3 python
PYTHON ?= $(shell for p in $(CANDIDATES); do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo "$$p" && break; done)
UV ?= uv
LOCK := $(UV) pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
	$(if $(UPGRADE),--upgrade) --quiet --extra embedded

VENV := .venv
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin

.PHONY: setup demo test test-fast check bench lock clean

setup: $(STAMP)

# The stamp is written last, so that an interrupted installation is repeated.
$(STAMP): pyproject.toml requirements/dev.txt
	@test -n "$(PYTHON)" || { \
		echo "Python 3.11 or newer with its venv module is needed (Debian: python3-venv)." >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
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

# The development lock is made on top of the runtime lock, so that both name the same versions.
lock:
	$(LOCK) --output-file requirements/runtime.txt
	$(LOCK) --extra dev --constraint requirements/runtime.txt --output-file requirements/dev.txt

clean:
	rm -rf build dist .pytest_cache .hypothesis .ruff_cache .mypy_cache .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
