# `make run` starts Perennial on this machine, `make test` proves it. The rest is below; `make` lists it.

# The first of these that is 3.11 or newer, unless you say which: make run PYTHON=/path/to/python
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PYTHON_OK = $(if $(PYTHON),$(shell $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo yes))
VENV ?= .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed

PORT ?= 8787
STATE ?= .perennial
RESET ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help
help:  ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-21s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- Environment ---------------------------------------------------------------------------------

.PHONY: venv
venv: $(INSTALLED)  ## make the virtual environment, with pinned requirements

$(INSTALLED): requirements.txt requirements-dev.txt
	@$(if $(PYTHON_OK),,$(error perennial needs Python 3.11 or newer: make PYTHON=/path/to/python))
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing requirements into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# --- Run -----------------------------------------------------------------------------------------

.PHONY: run
run: $(INSTALLED)  ## start the whole system on loopback (PORT=8787 STATE=.perennial RESET=1)
	@exec $(BIN)/python -m infra.local run --port $(PORT) --state $(STATE) $(if $(RESET),--reset)

.PHONY: demo
demo: $(INSTALLED)  ## 200 customers, twelve months, and books that agree (its own system, nothing is kept)
	@$(BIN)/python -m infra.local.demo

# --- Prove ---------------------------------------------------------------------------------------

.PHONY: test
test: $(INSTALLED)  ## run all tests (ARGS='-k renewal')
	@$(BIN)/python -m pytest -n 2 --dist loadscope $(ARGS)

.PHONY: test-dynamodb-local
test-dynamodb-local: $(INSTALLED)  ## tables, races and the simulator on Amazon's DynamoDB Local (Java 17, Maven)
	@$(BIN)/python -m infra.local.dynamodb_local \
		$(BIN)/python -m pytest -n 2 --dist worksteal -k dynamodb-local $(ARGS) || test $$? = 3

.PHONY: test-stripe
test-stripe: $(INSTALLED)  ## the payment gateway's contract against Stripe's test mode (STRIPE_TEST_KEY)
	@if [ -n "$$STRIPE_TEST_KEY" ]; then $(BIN)/python -m pytest -m stripe $(ARGS); \
		else echo "Stripe's test mode skipped: STRIPE_TEST_KEY is not set (sk_test_…)"; fi

.PHONY: bench
bench: $(INSTALLED)  ## measure every budget: units, requests, CPU, start, growth, price (ARGS=--markdown)
	@$(BIN)/python -m tests.bench $(ARGS)

.PHONY: simulate
simulate: $(INSTALLED)  ## months with crashes and races (SEEDS=200, or SEED=123 to see one)
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),200)) $(ARGS)

.PHONY: soak
soak: $(INSTALLED)  ## the simulator on fresh seeds for so long (MINUTES=60)
	@$(BIN)/python -m tests.simulation --minutes $(or $(MINUTES),60) $(ARGS)

.PHONY: properties
properties: $(INSTALLED)  ## every property with so many drawn examples (EXAMPLES=10000)
	@EXAMPLES=$(or $(EXAMPLES),10000) $(BIN)/python -m pytest -n 2 tests/property $(ARGS)

.PHONY: lint
lint: $(INSTALLED)  ## ruff, mypy and the import contract
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# --- Deploy --------------------------------------------------------------------------------------

STAGE ?= dev
AGAIN ?=
export BUCKET PUBLIC_URL MAIL_FROM ALLOWED_ORIGINS ALARM_EMAIL

.PHONY: package
package: $(INSTALLED)  ## make build/dev/sam.json and deployment.zip for Lambda (STAGE=dev)
	@$(BIN)/python -m infra.package build --stage $(STAGE)

.PHONY: deploy
deploy: $(INSTALLED)  ## deploy with the AWS CLI (STAGE=dev BUCKET=… PUBLIC_URL=… MAIL_FROM=… ALARM_EMAIL=…)
	@$(BIN)/python -m infra.package deploy --stage $(STAGE)

.PHONY: bootstrap
bootstrap: $(INSTALLED)  ## make the live environment of a deployed stage and show its first keys, once
	@$(BIN)/python -m infra.package bootstrap --stage $(STAGE) $(if $(AGAIN),--again)

# --- On call -------------------------------------------------------------------------------------

# The local system, unless STAGE is given.
ON = $(if $(filter file,$(origin STAGE)),--state $(STATE),--stage $(STAGE))

.PHONY: doctor
doctor: $(INSTALLED)  ## ledger, processor, schedule and feed agree? (STAGE=… or STATE=.perennial, REPAIR=1)
	@$(BIN)/python -m infra.ops doctor $(ON) $(if $(REPAIR),--repair) $(ARGS)

.PHONY: redrive
redrive: $(INSTALLED)  ## list dead letters, or send them back to work (QUEUE=due STAGE=… YES=1)
	@$(BIN)/python -m infra.ops redrive $(ON) $(if $(QUEUE),--queue $(QUEUE)) $(if $(YES),--yes)

.PHONY: clean
clean:  ## remove the virtual environment, caches and builds (your data in .perennial stays)
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
