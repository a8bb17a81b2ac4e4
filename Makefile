# `make` lists what there is. Needed: GNU make, Python 3.11 or newer and a package index that pip reaches.
# What is installed is in requirements.lock and, for the tools with an environment of their own, in the lock files
# beside them, to the last digit.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# A Python of your choice: make demo PYTHON=/path/to/python3.13. It is remembered with .venv; without it,
# the first that is new enough.
PYTHON ?= $(shell sed -n 's/^Python: [^ ]* //p' .venv/made-from.txt 2>/dev/null)
export SETUP_PYTHON = $(PYTHON)
# More arguments for the tool that a target runs: make test ARGS="-k sandbox", make lock ARGS=--upgrade.
ARGS ?=
# The revision that `make diff` compares with: make diff BASE=v1.2. Without it, where the branch left main.
export BASE ?=

venv_python := .venv/bin/python

# Runs a module before .venv is there: -E and -S keep the caller's Python settings and packages out of it.
define system_python
for candidate in $(if $(PYTHON),"$$SETUP_PYTHON",python3 python3.15 python3.14 python3.13 python3.12 python3.11 python); do \
	if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		exec "$$candidate" -E -S -m $(1); \
	fi; \
done; \
printf 'setup: %s is missing or older than 3.11; install a newer one, or name it: %s\n' \
	"$${SETUP_PYTHON:-Python on this PATH}" 'make demo PYTHON=/path/to/python3.11' >&2; \
exit 1
endef

# No news from the tools about newer versions of themselves, no statistics sent.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Python 3.12 reads the path of this folder in the locale's encoding, unless it is told.
export PYTHONUTF8 := 1

# What listens on this machine is not behind a proxy.
comma := ,
export no_proxy := $(if $(no_proxy),$(no_proxy)$(comma))127.0.0.1,localhost,::1
export NO_PROXY := $(no_proxy)

##@ Use

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

.PHONY: setup
setup: ## Create .venv from requirements.lock (the targets below do this first)
	@$(call system_python,tools.bootstrap)

.PHONY: demo
demo: generate ## Generate the client and walk through the OAuth flow, all on this machine
	$(venv_python) -m examples.demo

.PHONY: example
example: setup ## Run a web app against the sandbox (APP=fastapi, flask or django)
	@$(venv_python) -m examples.$(or $(APP),fastapi)_app --sandbox $(ARGS)

.PHONY: docs
docs: setup ## Build the documentation site and check it (ARGS=serve shows it, ARGS=screenshots renews docs/images)
	$(venv_python) -m $(if $(filter screenshots,$(ARGS)),tests.browser.screenshots,tools.site $(ARGS))
	$(if $(ARGS),,$(venv_python) -m pytest -q tests/site/built_pages.py)

.PHONY: bench
bench: setup ## Compare this package with other clients (ARGS="import refresh"; ARGS=baseline writes tests/costs.json)
	$(venv_python) -m $(if $(filter baseline,$(ARGS)),tests.support.costs,benchmarks $(ARGS))

##@ Change

.PHONY: generate
generate: setup ## Write pipedrive_oauth_client/generated from openapi.yaml
	$(venv_python) -m tools.generate

.PHONY: diff
diff: setup ## Say what the edit of openapi.yaml breaks, compared with BASE (default: where the branch left main)
	@$(venv_python) -m tools.specdiff.review $(ARGS) -- "$$BASE"

.PHONY: format
format: setup ## Format the code
	$(venv_python) -m ruff check --fix-only --quiet
	$(venv_python) -m ruff format

.PHONY: lock
lock: ## Write requirements.lock (ARGS=--upgrade; ARGS=tools/site for the lock files of one tool)
	@$(call system_python,tools.lock $(ARGS))

.PHONY: clean
clean: ## Remove everything that was built, .venv included
	rm -rf .venv .venv-bench .venv-lock .venv-interop .venv-matrix .venv-site .venv-release .setup.lock build dist site
	rm -rf tools/lint/node_modules tools/lint/npm.log tools/interop/node_modules tools/interop/npm.log
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Check

.PHONY: test
test: setup ## Run the tests (ARGS goes to pytest)
	$(venv_python) -m pytest -n auto --dist worksteal $(ARGS)

.PHONY: check
check: ## Run all checks except the tests (ARGS for a part: drift, lint, types, spec, lock, imports)
check: $(addprefix check-,$(or $(ARGS),drift lint types spec lock imports))

.PHONY: verify
verify: ## Run the slow checks (PART=faults, interop, matrix or release; ARGS goes to the tool)
verify: $(addprefix verify-,$(or $(PART),faults interop matrix release))

# Parts of `make check` and `make verify`, and a short name that the documents use.
.PHONY: drift check-drift check-lint check-types check-spec check-lock check-imports
.PHONY: verify-faults verify-interop verify-matrix verify-release

drift: check-drift

check-drift: setup # Is pipedrive_oauth_client/generated what openapi.yaml gives?
	$(venv_python) -m tools.generate --check

check-lint: setup # Style and likely bugs
	$(venv_python) -m ruff check
	$(venv_python) -m ruff format --check

check-types: setup # Two opinions on the types
	$(venv_python) -m mypy
	$(venv_python) -m pyright

check-spec: setup # Is openapi.yaml valid, and as the rules want it? (openapi-spec-validator and redocly)
	$(venv_python) -m tools.lint openapi.yaml

check-lock: setup # Does requirements.lock fit pyproject.toml?
	$(venv_python) -m tools.lock_check

check-imports: setup # Do imports run one way? The contract is in pyproject.toml.
	@! grep -q '^\[tool\.importlinter\]' pyproject.toml || \
		$(venv_python) -c 'from importlinter.cli import lint_imports_command as c; c()' --no-cache --no-logo

verify-faults: setup # Kill, stop and cancel refreshes in hundreds of rounds (make test has a short form)
	FAULT_ROUNDS=full $(venv_python) -m pytest -n auto tests/faults $(ARGS)

verify-interop: setup # The sandbox and the client against programs of others
	$(venv_python) -m tools.interop $(ARGS)

verify-matrix: setup # The tests on every supported Python, with the oldest and the newest packages
	$(venv_python) -m nox $(ARGS)

verify-release: setup # Build, install and try what would be released, on every supported Python; writes dist/
	$(venv_python) -m tools.release
