# Every target brings up what it needs: uv through pip where it is missing, .venv, the locked packages.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

unexport PYTHONDONTWRITEBYTECODE  # compiling every module at every start would be most of its time

PYTHON ?= python3.11
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
BIN := .venv/bin

.PHONY: help setup pulumi demo test test-quick test-all lint format types bench lock docs clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.locked ## bring up .venv with the locked packages

.tools/bin/uv:
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet uv

.venv/.locked: requirements.lock pyproject.toml hatch_build.py src/mlinfra/modelkit/sealing/walk.c $(filter .tools/bin/uv,$(UV))
	test -x $(BIN)/python || $(UV) venv --quiet --seed --python $(PYTHON) .venv
	$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

.venv/.demo: requirements.lock pyproject.toml hatch_build.py src/mlinfra/modelkit/sealing/walk.c $(filter .tools/bin/uv,$(UV))
	test -x $(BIN)/python || $(UV) venv --quiet --seed --python $(PYTHON) .venv
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --constraint requirements.lock \
	  --editable '.[serving]' scikit-learn
	touch $@

demo: .venv/.demo ## train, register, deploy, ask, replace, roll back and clean up a credit model on this machine
	$(BIN)/python examples/credit/demo.py

test: setup ## one representative of each promise; prints what is left to test-all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -m "not slow" -n 3
	@echo "Left to make test-all:"
	@$(BIN)/pytest -m slow --collect-only -q | grep :: || true

test-quick: setup ## the fast checks alone
	$(BIN)/pytest -m "not slow and not thorough" -n 2

test-all: setup pulumi ## everything, however long
	$(BIN)/pytest -n 2

pulumi: setup ## bring up the Pulumi engine where no fitting one is installed
	$(BIN)/python tools/pulumi/install.py .tools/pulumi/bin

lint: setup ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## let the formatter have its way
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup ## generate the reference pages and the adapters' schemas from the code
	$(BIN)/python -m mlinfra.cli.reference > docs/cli.md
	$(BIN)/python -c "from mlinfra.spec import reference_markdown; print(reference_markdown(), end='')" > docs/spec.md
	$(BIN)/python -m mlinfra.infra.reference > docs/stacks-reference.md
	$(BIN)/python -m mlinfra.emulator.fidelity tests/emulator/evidence.json > docs/fidelity.md
	$(BIN)/python tools/schemas/local.py
	$(BIN)/python tools/schemas/aws.py
	$(BIN)/python tools/schemas/azure.py
	$(BIN)/python tools/schemas/gcp.py

bench: setup ## measure what the documentation claims; each peer in an environment of its own
	$(BIN)/python benchmarks/cli.py
	$(BIN)/python benchmarks/packing.py
	$(BIN)/python benchmarks/sealing.py
	$(BIN)/python benchmarks/calls.py
	$(BIN)/python benchmarks/serving.py
	$(BIN)/python benchmarks/stacks.py

lock: ## renew requirements.lock: versions and hashes, no addresses
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --extra serving --extra serving-grpc --extra aws --extra azure --extra gcp --extra emulator \
	  --extra infra-aws --extra infra-azure --extra infra-gcp --group dev --upgrade \
	  pyproject.toml -o requirements.lock

clean: ## remove what make brought up
	rm -rf .venv .tools .mypy_cache .pytest_cache .ruff_cache .hypothesis
