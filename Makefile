# Every target prepares what it needs by itself; a second call finds it in the cache.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help environment setup demo up down status test unit lint format locks comfyui-lock

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

environment:
	@$(PYTHON) operations/bootstrap.py $(STACK)

# What these run is fetched and built while the Python packages are installed.
demo setup test up: STACK := --stack

setup: environment ## Fetch and build everything that runs (cached outside the checkout)
	@$(BIN)/ddcolor-obs setup

demo: environment ## Restore photos, cause every fault, see every alert: the main job on real input
	@$(BIN)/ddcolor-obs demo $(ARGS)

up: environment ## Start the native stack in the background
	@$(BIN)/ddcolor-obs up --detach $(ARGS)

down: environment ## Stop the native stack
	@$(BIN)/ddcolor-obs down $(ARGS)

status: environment ## Show every part of the native stack
	@$(BIN)/ddcolor-obs status $(ARGS)

test: setup ## Run all tests, the ones against the real stack included
	@$(BIN)/python -m pytest $(ARGS)

unit: environment ## Run the tests that need no process
	@$(BIN)/python -m pytest tests/unit $(ARGS)

lint: environment ## Check style, types and alert rules
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy
	@$(BIN)/ddcolor-obs rules lint

format: environment ## Format the code
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

locks: ## Write the lock files anew from pyproject.toml (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --all-extras pyproject.toml -o locks/runtime.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --all-extras --group dev pyproject.toml -c locks/runtime.txt -o locks/development.txt
	uv pip compile -q --universal --python-version 3.12 --generate-hashes --no-emit-index-url --no-header --upgrade --override locks/elastalert.overrides locks/elastalert.in -o locks/elastalert.txt

comfyui-lock: ## Write locks/comfyui.txt anew (COMFYUI= and NODE=: checkouts at the commits of compose/comfyui.Dockerfile)
	sed 's/opencv_python/opencv-python-headless/' $(NODE)/requirements.txt | uv pip compile -q --universal --python-version 3.12 --generate-hashes --no-emit-index-url --no-header --no-annotate $(COMFYUI)/requirements.txt - pyproject.toml --extra comfyui -c locks/comfyui.constraints -o locks/comfyui.txt
