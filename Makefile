# One task runner; the same verbs as in the docs. Needs Python 3.11 to 3.13, git and make.
SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
ifndef PYTHON
PYTHON := $(shell for p in python3.12 python3.11 python3.13 python3 python; do $$p -c '$(SUITABLE)' >/dev/null 2>&1 && { echo $$p; break; }; done)
endif
VENV ?= .venv
BIN := $(VENV)/bin
ONCE ?=
CASES ?= 200000
SEED ?= 1

.PHONY: help install dev weights demo test test-fast test-export lint types imports check fuzz bench bench-rivals clean

help:
	@echo "make demo       set up and run the whole way once, then serve until Ctrl-C (ONCE=1 exits)"
	@echo "make test       set up and run every test"
	@echo "make test-fast  unit tests without weights"
	@echo "make test-export  export of checkpoints against torch (5.5 GB in build/, once)"
	@echo "make fuzz       200,000 broken picture files (CASES=n SEED=n)"
	@echo "make check      lint, types and the import contract"
	@echo "make bench      measure the figures of docs/PERFORMANCE.md"
	@echo "make bench-rivals  measure beside llm-guard and presidio (6 GB in build/, once)"

$(VENV)/.run: pyproject.toml
	@$(PYTHON) -c '$(SUITABLE)' 2>/dev/null || { echo "Python 3.11 to 3.13 is needed: make PYTHON=/path/to/python3.12 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[cpu]'
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

install: $(VENV)/.run

dev: $(VENV)/.dev

weights: $(VENV)/.run
	$(BIN)/guardrail models pull

demo: weights
	$(BIN)/guardrail demo $(if $(ONCE),--once)

# Policy, verdict and the release gate are held to full branch coverage.
GATED := guardrail/policy/*,guardrail/verdict.py,guardrail/sidecar/gate.py

test: $(VENV)/.dev weights
	$(BIN)/python -m pytest --cov=guardrail --cov-branch --cov-report=
	$(BIN)/python -m coverage report --include='$(GATED)' --fail-under=100 --show-missing

# Mutated files of every format against the structure pass and the decoder; what breaks a rule is kept in build/fuzz.
fuzz: $(VENV)/.dev
	$(BIN)/python -W error -m tests.fuzz --cases $(CASES) --seed $(SEED)

test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not models and not slow"

# A virtual environment of their own: torch has no place in ours. On x86-64 the builds without an index of their own.
EXPORT ?= build/export
ifeq ($(shell uname -m),x86_64)
TORCH := torch==2.14.1 torchvision==0.29.1
else
TORCH := torch torchvision
endif

build/export/.made: pyproject.toml
	test -x build/export/bin/python || $(BIN)/python -m venv build/export
	build/export/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH) -e '.[dev,export]'
	@touch $@

test-export: $(VENV)/.dev weights $(if $(filter build/export,$(EXPORT)),build/export/.made)
	$(EXPORT)/bin/python -m pytest -m export -rP --timeout 1800 tests/inference/export tests/vision/concepts

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

check: lint types imports

bench: $(VENV)/.dev weights
	$(BIN)/guardrail bench text
	$(BIN)/guardrail bench output
	$(BIN)/guardrail bench upload
	$(BIN)/guardrail bench structure
	$(BIN)/guardrail bench start
	$(BIN)/python loadtests/overhead.py

# A virtual environment of their own: llm-guard brings torch, which has no place in ours. Needs Python below 3.13.
build/rivals/.made: loadtests/side_by_side/requirements.txt
	test -x build/rivals/bin/python || $(BIN)/python -m venv build/rivals
	build/rivals/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

bench-rivals: $(VENV)/.dev weights build/rivals/.made
	$(BIN)/python -m loadtests.side_by_side --rivals build/rivals/bin/python

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build dist
