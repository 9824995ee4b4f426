# SPDX-License-Identifier: Apache-2.0
# Any target works as the first command of a fresh checkout: each first makes .venv, once.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# The makes that simulations start are not sub-makes of this one.
unexport MAKEFLAGS MFLAGS
export PATH := $(CURDIR)/.venv/bin:$(PATH)

STAMP := .venv/installed
HEADERS := $(wildcard hls/gatewright/*.hpp hls/gatewright/lib/*.hpp)
RTL_LINT := $(wildcard tests/rtl/test_lint.py tests/rtl/test_slang.py tests/hls/test_lint.py)
BENCHMARKS := $(wildcard benchmarks/bench_*.py)
# A worker may run g++ and Verilator: more than eight fill the memory of a laptop.
PYTEST := python -m pytest -q -n auto --maxprocesses 8 --dist worksteal

.PHONY: help setup demo test test-all lint matrix bench clean

help: ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## Make .venv with everything that the targets below need.

$(STAMP): pyproject.toml constraints.txt scripts/setup.sh
	@bash scripts/setup.sh
	@touch $@

demo: $(STAMP) ## Train a small model, compile it and check every stage.
	@gatewright demo

test: $(STAMP) ## Run the tests, but for the slow ones.
	@$(PYTEST)

test-all: $(STAMP) ## Run all tests.
	@$(PYTEST) -m "slow or not slow"

lint: $(STAMP) ## Check style, types, layers, C++ headers and RTL.
	@ruff check
	@ruff format --check
	@mypy
	@lint-imports --no-logo
ifneq ($(HEADERS),)
	@types=$$(python -c 'from gatewright.sim.tools import find_tool; print(find_tool("ap_types").path)'); \
	for header in $(HEADERS:hls/%=%); do echo "#include \"$$header\"" | \
	  g++ -std=c++14 -Wall -Wextra -Werror -Wno-unknown-pragmas -Wno-unused-label -Ihls -isystem "$$types" \
	    -fsyntax-only -x c++ -; done
endif
ifneq ($(RTL_LINT),)
	@$(PYTEST) $(RTL_LINT)
endif

matrix: $(STAMP) ## Run the conformance test where kernels have changed, and write its table into the docs.
	@python scripts/matrix.py

bench: $(STAMP) ## Measure what the README states.
	@for script in $(BENCHMARKS); do echo "$$script"; python "$$script"; done

clean: ## Remove what builds and tests wrote; .venv stays.
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
