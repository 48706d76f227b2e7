# What people and CI type; `make help` lists it. Where the lab cannot run on this machine itself, what needs it runs in
# a container: `lab run` decides.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 5
BIN := $(VENV)/bin
LAB := PYTHONPATH=tests $(PYTHON) -m lab
PYTEST := $(BIN)/pytest --ignore=tests/bench
# $(call suite,OPTIONS): where at most three tests fail, these run once more, alone; one that fails again fails it all.
define suite
@$(PYTEST) $(1) -n $(WORKERS) --dist loadscope --no-loadscope-reorder tests || { \
    [ $$? = 1 ] || exit 1; \
    failed=$$($(PYTEST) $(1) -q --collect-only --last-failed --last-failed-no-failures none tests | grep '^tests/.*::'); \
    [ "$$(wc -l <<< "$$failed")" -le 3 ] || exit 1; \
    $(PYTEST) $(1) --last-failed --last-failed-no-failures none tests || exit 1; \
    printf '%s\n' "failed among others and passed alone:" "$$failed"; }
endef
# Empty, it is not set: hundreds of agents start in a run, and each would be compiled anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help venv lab lab-status lab-down unit test test-here test-all test-all-here check check-types check-rest demo demo-here demo-down bench bench-here mutations mutations-here agent docs pictures lock

help:                ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

venv: $(VENV)/ready  ## the virtual environment for tests and checks
$(VENV)/ready: requirements/dev.txt setup.cfg
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(LAB) install
	@echo 'installing the tools into $(VENV), about a minute'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --require-hashes -r requirements/dev.txt
	$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

lab:                 ## bring up engine, registries and servers
	@$(LAB) up

lab-status:          ## what runs, and where
	@$(LAB) status

lab-down:            ## end what was started, remove .lab/
	@$(LAB) down

unit: venv           ## the unit tests alone, in seconds
	@# One worker more than processors: some tests wait for a program or the end of a time.
	$(PYTEST) -q -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --dist loadscope tests/unit

test:                ## each promise once, on the lab
	@$(LAB) run $(MAKE) --no-print-directory test-here
test-here: venv
	@$(LAB) install --tests
	@$(LAB) up
	$(call suite,-m 'not matrix')

test-all:            ## the matrix, too: the other Compose, each shell, each moment of a kill
	@$(LAB) run $(MAKE) --no-print-directory test-all-here
test-all-here: export MANY_EXAMPLES = 1
test-all-here: venv
	@$(LAB) install --tests
	@$(LAB) up
	$(call suite,)

check: venv          ## ruff, mypy, import contract, the committed agent, shellcheck, no split list, no symbolic link
	@$(MAKE) --no-print-directory --jobs=2 --output-sync check-types check-rest
# mypy takes as long as everything else.
check-types:
	$(BIN)/mypy
check-rest:
	$(BIN)/python -m tools.links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=agent $(BIN)/lint-imports --config setup.cfg
	$(BIN)/python -m tools.pack --check
	$(BIN)/shellcheck .ci/run tests/lab/oci-runtime $$(git ls-files '*.sh')
	$(BIN)/python -m tools.splits

demo:                ## the Jenkinsfile's one call on the example, three times, on the lab
	@$(LAB) run $(MAKE) --no-print-directory demo-here
demo-here: venv
	@$(LAB) install --tests
	@$(LAB) up
	@PYTHONPATH=tests:. $(BIN)/python -m lab.demo

demo-down: lab-down  ## remove all that the demo made

bench:               ## timings, beside the peers'
	@$(LAB) run $(MAKE) --no-print-directory bench-here
bench-here: venv
	@$(LAB) install --tests
	@$(LAB) up
	$(BIN)/pytest -q -s tests/bench
	$(BIN)/python -m tools.plot

mutations:           ## take away one guard after the other: the tests that name it must fail
	@$(LAB) run $(MAKE) --no-print-directory mutations-here
mutations-here: venv
	@$(LAB) install --tests
	PYTHONPATH=tests $(BIN)/python -m mutations -n $(WORKERS) $(ONLY)

agent: venv          ## the agent's files that the library carries
	$(BIN)/python -m tools.keys
	$(BIN)/python -m tools.pack

docs: venv           ## docs/cli.md from the commands
	$(BIN)/python -m tools.docs

COMPILE := pip-compile -q --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
pictures: venv       ## docs/pictures, from a real demo
	@output=$$(mktemp) && $(MAKE) --no-print-directory demo | tee $$output && PYTHONPATH=tests:. $(BIN)/python -m tools.pictures $$output

lock: venv           ## pin the dependencies anew
	cd requirements && ../$(BIN)/$(COMPILE) --no-strip-extras -o agent.txt agent.in
	cd requirements && ../$(BIN)/$(COMPILE) --no-strip-extras -o dev.txt dev.in
