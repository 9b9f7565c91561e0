# Everything one does with a checkout on Debian 12 or 13; `make` alone lists it.
#
# Ports and the state folder: SITE_PORT=8001 GATEWAY_PORT=8081 STATE_DIR=.run2 make run

SHELL := /bin/bash
PYTHON := .venv/bin/python
# The tests mostly wait, so three processes suit two cores. A file's tests stay together.
TEST_PROCESSES ?= 3
PYTEST := $(PYTHON) -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup setup-test setup-bench run status manage test test-fast lint load bench faults test-images

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## install what `make run` needs; `make run` does it by itself
	@stack/setup.sh run

setup-test:
	@stack/setup.sh test

setup-bench:
	@stack/setup.sh bench

run: setup  ## start redis, gateway, formatter, relay and site; Ctrl-C stops all
	@exec $(PYTHON) -m stack.run

status:  ## each part, its pid and its state
	@[ -x $(PYTHON) ] || { echo "nothing was ever started here; make run does" >&2; exit 1; }
	@exec $(PYTHON) -m stack.status

manage: setup  ## a command of the running site: make manage do=createsuperuser
	@exec $(PYTHON) -m stack.manage $(or $(do),help)

test: setup-test lint  ## install what the tests need and run every test (TEST_PROCESSES=3)
	@exec $(PYTEST)

test-fast: setup-test  ## the tests without gateway, database and browser; under a minute
	@exec $(PYTEST) tests/unit tests/queue tests/lua tests/architecture

lint: setup-test  ## style, types, import rules
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check --quiet .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports
	@luacheck --quiet lua tests/lua

load: setup  ## 500 readers, 10 commenters, a minute, every frame checked (READERS= SECONDS= ...)
	@exec $(PYTHON) -m loadtest.run

bench: setup-bench  ## what each part costs, beside peers and bare loops; a quarter of an hour
	@exec $(PYTHON) -m loadtest.bench

faults: setup-test  ## kill anything, lose nothing: bugs, run, drops, reloads (MINUTES=10 SEED= ONLY=run)
	@exec $(PYTHON) -m tests.faults $(ONLY) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

test-images: setup  ## build the container images and try them together; needs no engine
	@exec docker/test_images.sh
