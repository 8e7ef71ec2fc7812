# The two commands that a visitor needs are `make demo` and `make test`. `make help` lists all.
# Each sets up what it needs by itself (scripts/setup says what it installs, and does nothing when all is there).

.NOTPARALLEL:
.DEFAULT_GOAL := help

# What the caller's shell says about Python must not change what is built and tested.
unexport PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH PYTHONSAFEPATH PYTHONSTARTUP PYTHONWARNINGS PYTHONUTF8
unexport VIRTUAL_ENV

# ARGS goes to pytest, JOBS is how many tests run side by side (one for each processor, at most 4; 0: one after another),
# WAY (auto, container or namespace) to the demo, TREES and SEED to the soak, HISTORIES and SEED to the histories,
# RUNS to the treadmills, QUICK=1 to the benchmarks.
ARGS =
JOBS = logical
WAY = auto
TREES = 20000
HISTORIES = 10000
RUNS = 100
SEED := $(shell date +%s)

python = .venv/bin/python
pytest = $(python) -m pytest $(no_skips)
# Most tests wait for most of their time; those that cannot have a neighbour say so (the marker `alone`).
side_by_side = --numprocesses $(JOBS) --maxprocesses $(at_most)
at_most = 4
# TESTS_MUST_RUN=1 is set by .ci/run.
no_skips = $(if $(filter 1,$(TESTS_MUST_RUN)),-p scripts.no_skips)
shell_scripts = $(shell find .ci scripts docker tests -type f -exec awk \
	'FNR == 1 && /^\#!\/bin\/(ba|da)?sh/ { print FILENAME } { nextfile }' {} +)

.PHONY: help
help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS='	' read -r name text; do \
		printf '  make %-18s %s\n' "$$name" "$$text"; done

.PHONY: demo
demo: install ## show what pyinit does with a real self-daemonizing program (WAY=container or WAY=namespace)
	@$(python) -m scripts.demo --way $(WAY)

.PHONY: test
test: install test-tools ## set up, build the wheel, install it, run all tests that need no container engine
	$(pytest) $(side_by_side) --cov --cov-report= --cov-fail-under=0 tests/unit $(ARGS)
	$(pytest) $(side_by_side) tests --ignore=tests/unit --ignore=tests/container --ignore=tests/daemons $(ARGS)
	$(python) -m coverage report

.PHONY: soak
soak: install ## play TREES random hostile process trees (TREES=20000), chosen by SEED; what fails is kept in build/soak
	@echo "$(TREES) trees, SEED=$(SEED)"
	PYINIT_SOAK=$(TREES) PYINIT_SOAK_SEED=$(SEED) $(pytest) tests/system/test_random_trees.py $(ARGS)

.PHONY: histories
histories: install ## play HISTORIES random histories of a simulated kernel against the core (HISTORIES=10000), chosen by SEED
	@echo "$(HISTORIES) histories, SEED=$(SEED)"
	PYINIT_HISTORIES=$(HISTORIES) PYINIT_HISTORIES_SEED=$(SEED) $(pytest) $(side_by_side) \
		tests/unit/test_core_invariants.py $(ARGS)

.PHONY: treadmill
treadmill: install ## stop RUNS (100) fork treadmills with each of three limits, as root, and say how soon they are gone
	$(python) -m scripts.treadmill $(RUNS)

.PHONY: bench
bench: install ## measure pyinit beside tini, dumb-init, catatonit, supervisord, s6 and runit, as root (QUICK=1 to try it)
	$(python) -m benchmarks $(if $(QUICK),--quick) $(ARGS)

.PHONY: check
check: install ## ruff, mypy --strict, the log schema, the documents and their tables, shellcheck
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy --strict src tests scripts benchmarks
	$(python) scripts/check_schema.py
	$(python) scripts/check_documents.py
	$(python) -m benchmarks.table --check
	.venv/bin/shellcheck $(shell_scripts)

.PHONY: image
image: ## build the container image, pyinit
	docker build --network host --tag pyinit .

.PHONY: container-test
container-test: install image ## build the image and run the tests in real containers (any engine that answers as docker)
	@scripts/how-to-tools
	$(pytest) tests/container tests/daemons $(ARGS)

.PHONY: test-all-pythons
test-all-pythons: install ## unit and system tests with every further Python (3.11 or newer) on this machine
	@scripts/test-all-pythons $(side_by_side) $(ARGS)

.PHONY: setup
setup: # called by the others
	@scripts/setup

.PHONY: test-tools
test-tools: # called by the others
	@scripts/test-tools

.PHONY: install
install: setup # called by the others
	@scripts/install-wheel

.PHONY: clean
clean: ## remove what these commands made in this folder
	rm -rf .venv build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
