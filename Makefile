# What a person types. Each target says what it does; the work itself is in scripts/ and the CLI.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
WORKERS ?= 2
PYTEST_ARGS ?=
DATA ?= ../shared/data
ARGS ?=

.PHONY: help setup setup-spark demo dev test check fix bench bench-accuracy bench-speed docs clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The stamp is written last: a set-up that was interrupted starts again where pip left off.
.venv/.installed: pyproject.toml scripts/make_venv.sh
	@scripts/make_venv.sh .venv platform

.venv-sqlfluff/.installed: pyproject.toml scripts/make_venv.sh
	@scripts/make_venv.sh .venv-sqlfluff sqlfluff

setup: .venv/.installed ## Create .venv with the platform and its tools (the others call this)

.venv-spark/.installed: pyproject.toml scripts/make_venv.sh
	@scripts/make_venv.sh .venv-spark spark

setup-spark: .venv-spark/.installed ## Create .venv-spark: a second engine for the dbt models, with Java 17

demo: .venv/.installed ## Simulate a retailer of 14 regions and forecast it, files to table (4 to 6 minutes)
	@$(BIN)/forecast-platform demo $(DEMO_ARGS)

dev: .venv/.installed ## Open the Dagster UI and its daemon on http://127.0.0.1:3000
	@$(BIN)/forecast-platform dev

test: .venv/.installed ## Run the tests; PYTEST_ARGS="-k lake" narrows them
	@echo "Running the tests in $(WORKERS) processes; a test that needs an absent tool is skipped and listed."
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

check: .venv/.installed .venv-sqlfluff/.installed ## Run formatters, linters, types and architecture tests; change nothing
	@scripts/check.sh

fix: .venv/.installed .venv-sqlfluff/.installed ## Format the code and repair what the linters can
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .
	@.venv-sqlfluff/bin/sqlfluff fix --quiet dbt_conditioning/models dbt_conditioning/tests

bench: .venv/.installed ## Measure the hot paths against a peer in the same run
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks

bench-accuracy: .venv/.installed ## Hold the models against peers on DATA=<folder>; ARGS=--quick for a look
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.accuracy --data $(DATA) $(ARGS)

bench-speed: .venv/.installed ## Measure features, training and scoring against LightGBM; ARGS=--quick for a look
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.speed $(ARGS)

docs: .venv/.installed ## List the documentation pages
	@find README.md CONTRIBUTING.md docs -name '*.md' | sort
	@echo "dbt's documentation of the conditioned tables: $(BIN)/forecast-platform docs"

clean: ## Remove environments, caches and build output; never data/
	@echo "Removing environments, caches and build output. data/ stays; remove it by hand if you mean to."
	@rm -rf .venv .venv-sqlfluff .venv-spark .azurite build dist *.egg-info .pytest_cache .ruff_cache .hypothesis \
		.import_linter_cache dbt_conditioning/target dbt_conditioning/logs
