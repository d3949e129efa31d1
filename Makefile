# Two commands are enough: `make run` and `make test`. Everything else is for those who work on Jiesu.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 3
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
.DEFAULT_GOAL := help
.PHONY: help run test check format bench fuzz schema drills browsers night defences prove tour golden replay-gate lock notice sbom vulnerabilities clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): $(BIN)/python pyproject.toml requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ $(RUNTIME)

run: $(RUNTIME) ## start everything on this machine: Temporal, SQLite, worker, API
	@$(BIN)/jiesu up --demo

test: $(DEV) ## run all tests, three files at a time: they wait for servers much of it
	$(BIN)/pytest -n $(WORKERS)

check: $(DEV) ## lint, types, layers, dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/deptry .

format: $(DEV) ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV) ## measure against a bare workflow and write docs/performance.md
	$(BIN)/python -m bench

fuzz: $(DEV) ## more than a million hostile inputs for decoder, models, loader, import, codec and what people type
	$(BIN)/python -m tests.fuzz

schema: $(DEV) ## 20,000 requests made from the API's own description, in every role
	PYTHONPATH=tests $(BIN)/python -m tests.schema

drills: $(DEV) ## break running homes in every way of docs/operations.md, and write down there what was seen
	PYTHONPATH=tests $(BIN)/python -m tests.drills

browsers: $(DEV) ## pages in Firefox, WebKit and Chromium 83 and 88, and more of their flows on PostgreSQL
	CI=true $(BIN)/pytest -m engines tests/browsers

night: $(DEV) defences ## the long fault runs, all defences, other browsers, and the drills
	$(BIN)/pytest -m night
	$(MAKE) browsers
	$(MAKE) drills

defences: $(DEV) ## take out each defence against an attack, all of them, and write down that it was missed
	PYTHONPATH=tests $(BIN)/python -m support.defences

prove: $(DEV) ## search the shipped packs anew for ways to freeze an issue, and record the proofs; before a release COMMANDS=4
	$(BIN)/python -m policies.liveness.prove $(if $(COMMANDS),--commands $(COMMANDS))

tour: $(DEV) ## play one issue's life in a browser, and write docs/tour.md with pictures of each page
	PYTHONPATH=tests $(BIN)/python -m browsers.tour

golden: $(DEV) ## record the golden histories anew (read CONTRIBUTING.md first)
	PYTHONPATH=tests $(BIN)/python -m support.golden

replay-gate: $(DEV) ## before a release: replay golden histories, and ARCHIVE=FOLDER or s3://BUCKET/PREFIX, with this code
	$(BIN)/python -m audit.gate $(if $(ARCHIVE),"$(ARCHIVE)")

lock: $(DEV) ## work out both lock files anew
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --universal --no-header --no-annotate --generate-hashes --group build -o constraints.txt
	$(BIN)/uv pip compile pyproject.toml --universal --no-header --no-annotate --generate-hashes --group dev -o requirements.lock

notice: $(DEV) ## write NOTICE: every runtime package with its version and licence
	PYTHONPATH=tests $(BIN)/python -m support.supply notice

sbom: $(DEV) ## write build/sbom.json: what the image holds, as CycloneDX
	@mkdir -p build
	$(BIN)/cyclonedx-py requirements constraints.txt --pyproject pyproject.toml --output-reproducible -o build/sbom.json

vulnerabilities: $(DEV) ## ask whether a locked package is known to be vulnerable; needs a service that knows
	PYTHONPATH=tests $(BIN)/python -m support.supply vulnerabilities

clean: ## remove the virtual environment and caches, never the data in .jiesu
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
