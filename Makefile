# What people and CI type. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
LAB := PYTHONPATH=tests $(PYTHON) -m lab
WORKERS ?= 3
PYTEST := $(BIN)/pytest --ignore=tests/bench

.PHONY: help venv lab lab-status lab-down test check demo demo-down bench agent docs lock

help:                ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

venv: .venv/ready    ## the virtual environment for tests and checks
.venv/ready: requirements/dev.txt
	$(LAB) install
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --require-hashes -r requirements/dev.txt
	touch $@

lab:                 ## bring up engine, registries and servers
	@$(LAB) up

lab-status:          ## what runs, and where
	@$(LAB) status

lab-down:            ## end what was started, remove .lab/
	@$(LAB) down

test: venv           ## all tests but the benchmarks, on the lab
	$(LAB) install --tests
	$(LAB) up
	$(PYTEST) -n $(WORKERS) --dist loadscope -m "not serial" tests
	@$(PYTEST) -m serial tests || test $$? = 5  # 5: there are none

check: venv          ## ruff, mypy, import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config setup.cfg

demo: venv           ## the Jenkinsfile's one call on the example, twice, on the lab
	@$(LAB) install --tests
	@$(LAB) up
	@bash tests/lab/demo.sh

demo-down: lab-down  ## remove all that the demo made

bench: venv          ## timings, beside the peers'
	$(LAB) up
	$(BIN)/pytest -q -s tests/bench

agent: venv          ## the one file that the library carries
	$(BIN)/python -m tools.pack

docs: venv           ## docs/cli.md from the commands
	$(BIN)/python -m tools.docs

lock: venv           ## pin the dependencies anew
	$(BIN)/pip-compile -q --generate-hashes --allow-unsafe --strip-extras -o requirements/agent.txt requirements/agent.in
	$(BIN)/pip-compile -q --generate-hashes --allow-unsafe --strip-extras -o requirements/dev.txt requirements/dev.in
