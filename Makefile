# `make demo` and `make test-all` are the two that matter; both install first. PKG=<package> narrows where it says so.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help install assets demo test-all test lint format lock bench build isolation clean

BIN := .venv/bin
INSTALLED := .venv/.installed
PACKAGES := mslaunet cmcgns tryon_bench breastmri
PKG ?=
# One thread per test process: two processes with a thread pool each are slower than one. Tests never need a hub.
PYTEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n 2 --dist worksteal

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 18

install: $(INSTALLED) ## Install the locked environment into .venv (instant when nothing changed)

# uv does not read pip's configuration: the locked uv in .venv is shown the index that pip is configured with.
define SHOW_INDEX
index=$${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get global.index-url 2> /dev/null || true)}
	index=$${UV_DEFAULT_INDEX:-$$index}
	[ -z "$$index" ] || export UV_DEFAULT_INDEX="$$index"
endef

# A uv on the PATH is used if it reads this project (required-version, lock); otherwise pip brings the locked one.
$(INSTALLED): pyproject.toml uv.lock shared/pyproject.toml $(wildcard packages/*/pyproject.toml)
	@uv=uv
	if uv export --frozen --quiet > /dev/null 2>&1; then
	  [ -x $(BIN)/python ] || uv venv --quiet --python '>=3.11,<3.14' .venv
	else
	  uv=$(BIN)/uv
	  if [ ! -x $(BIN)/python ]; then
	    for python in python3 python3.13 python3.12 python3.11 none; do
	      "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2> /dev/null && break
	    done
	    if [ $$python = none ]; then
	      echo "error: needs Python 3.11 to 3.13, found $$(python3 --version 2> /dev/null || echo no python3); install one, or uv, which brings its own" >&2
	      exit 1
	    fi
	    if ! $$python -m venv .venv; then
	      rm -rf .venv
	      echo "error: $$python cannot make an environment; install its venv module (Debian: apt-get install python3-venv)" >&2
	      exit 1
	    fi
	  fi
	  [ -x $$uv ] || $(BIN)/python -m pip install --quiet "uv==$$(sed -n '/^name = "uv"$$/{n;s/.*"\(.*\)"/\1/p}' uv.lock)"
	  $(SHOW_INDEX)
	fi
	echo "Installing the locked environment into .venv"
	$$uv export --frozen --quiet --all-packages --all-groups --all-extras --no-emit-workspace -o .venv/requirements.txt
	$$uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode .venv/requirements.txt
	$$uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e ./shared $(PACKAGES:%=-e ./packages/%)
	touch $@

assets: $(INSTALLED) ## Fetch the real sample data into the user-level cache (verified, once)
	@for package in $(PACKAGES); do $(BIN)/$${package//_/-} assets fetch; done

demo: assets ## Run the demos on real data, or finish an interrupted one; PKG=mslaunet runs one
	@answered_no=
	for package in $(or $(PKG),$(PACKAGES)); do
	  $(BIN)/$${package//_/-} demo --resume || answered_no="$$answered_no $$package"
	done
	[ -z "$$answered_no" ] || { echo "error: demos that ended with an error or a no:$$answered_no" >&2; exit 1; }

# Without the data its tests are skipped, which only CI takes for a failure.
test-all: lint ## Set up, lint, fetch the data and run every test
	@for package in $(PACKAGES); do
	  $(BIN)/$${package//_/-} assets fetch && continue
	  if [ "$${CI:-}" = true ]; then exit 1; fi
	  echo "warning: no sample data for $$package; the tests that need it are skipped" >&2
	done
	# a Debian package, so not among what a user of another system has to fetch
	$(BIN)/breastmri assets fetch proc-asah || [ "$${CI:-}" != true ]
	$(PYTEST)

test: $(INSTALLED) ## Run the fast tests; PKG=mslaunet (or shared, workspace) narrows
	@$(PYTEST) -m "not slow" $(if $(PKG),tests/$(subst -,_,$(PKG)) $(wildcard $(PKG)/src packages/$(subst -,_,$(PKG))/src))

lint: $(INSTALLED) ## Check format, style, types and the direction of imports
	@$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/mypy

format: $(INSTALLED) ## Format the code and repair what can be repaired
	@$(BIN)/ruff check --fix --quiet
	$(BIN)/ruff format

lock: $(INSTALLED) ## Resolve again (LOCK=--upgrade for newer versions) and write uv.lock without any index's name
	@$(SHOW_INDEX)
	$(BIN)/uv lock $(LOCK)
	$(BIN)/python tools/neutral_lock.py uv.lock

bench: $(INSTALLED) ## Measure and write a table to docs/; without PKG: the time of every command's --help
	@script=tools/bench_$(or $(subst -,_,$(PKG)),help).py
	[ -f $$script ] || { echo "error: no bench for $(PKG) yet" >&2; exit 2; }
	$(BIN)/python $$script

build: $(INSTALLED) ## Build wheel and sdist into dist/; PKG=mslaunet builds one
	@for package in $(or $(subst -,_,$(PKG)),$(PACKAGES)); do
	  $(BIN)/uv build --quiet --python $(BIN)/python --no-build-isolation --out-dir dist packages/$$package
	done
	ls dist

isolation: $(INSTALLED) ## Install mslaunet with plain pip into an empty environment and use it (downloads, minutes)
	@$(BIN)/python -m pytest tests/workspace/full_install.py

clean: ## Remove the environment, caches and build products
	@rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
