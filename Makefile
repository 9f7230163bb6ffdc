# Thin: what each target does is in scripts/. Every target sets up what it needs first; a second time that takes a moment.
.DEFAULT_GOAL := help
# Compiled bytecode halves the time that ansible-playbook takes to start, which is part of every outage measured here.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup demo bench bench-source bench-kafka bench-hostile test test-fast test-unit test-kernel test-daemons test-uml test-simulation test-faults test-loop-faults test-hostile sanity molecule test-umip lint format reference nightly clean

STAGES := .venv/bin/python scripts/stages.py

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

setup: ## system packages, .venv and Ansible collections
	@scripts/setup.sh

demo: setup ## a Mobile IPv6 network comes up, a node moves, its home agent dies, traffic comes back
	@scripts/as_root.sh .venv/bin/python -m closedloop_tools.demo

bench: setup ## measure, into reports/bench/
	@scripts/as_root.sh .venv/bin/python -m closedloop_tools.bench

bench-source: setup ## measure the event source, with a soak of five minutes, into reports/ves_source/
	@.venv/bin/python -m closedloop_tools.ves_source

bench-kafka: setup ## measure the way of events through Kafka to an onset, into reports/kafka/
	@.venv/bin/ansible-playbook molecule/kafka/fetch.yml >/dev/null && .venv/bin/python -m closedloop_tools.kafka

bench-hostile: setup ## a million hostile events through the control loop, half an hour, into reports/hostile/
	@scripts/as_root.sh .venv/bin/python -m tests.hostile.bench

test: setup ## every test: lint, unit, kernel, daemons, uml, simulation, sanity, molecule, faults, loop_faults, hostile
	@$(STAGES)

test-fast: setup ## lint and unit tests
	@$(STAGES) lint unit

test-unit: setup ## unit tests, and what the repository claims about itself
	@$(STAGES) unit

test-kernel: setup ## kernel code against throw-away namespaces
	@$(STAGES) kernel

test-daemons: setup ## the daemons as processes, with kill tests
	@$(STAGES) daemons

test-uml: setup ## kernel and daemon tests on another kernel, User Mode Linux
	@$(STAGES) uml

test-simulation: setup ## the functions and the whole loop under seeded faults
	@$(STAGES) simulation

sanity: setup ## ansible-test sanity and units on the built artifact
	@$(STAGES) sanity

molecule: setup ## every molecule scenario
	@$(STAGES) molecule

test-umip: setup ## UMIP from UMIP_SOURCE=... (an archive with UMIP_SHA256=...) as home agent and mobile node; needs a kernel with Mobile IPv6
	@scripts/as_root.sh .venv/bin/ansible-playbook tests/umip/playbook.yml -e umip_image_source="$(UMIP_SOURCE)" -e umip_image_sha256="$(UMIP_SHA256)"

test-hostile: setup ## twenty thousand events whose every text is an attack, through the control loop
	@$(STAGES) hostile

test-faults: setup ## two hundred kills on a running lab, and wrong values
	@$(STAGES) faults

test-loop-faults: setup ## a thousand faults of a running lab with its loop, which heals meanwhile
	@$(STAGES) loop_faults

lint: setup ## ruff, mypy, yamllint, ansible-lint, changelog, generated files
	@$(STAGES) lint

format: setup ## let ruff lay out the Python files
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

reference: setup ## write what is generated anew: docs/reference/, tests/sanity/ignore-2.19.txt
	@.venv/bin/python scripts/reference.py && .venv/bin/python scripts/sanity_ignores.py

nightly: setup ## the simulation, all kinds, with new seeds until it is stopped
	@.venv/bin/python -m tests.simulation --forever

clean: ## remove labs, processes, caches, reports and environments of this checkout
	@scripts/clean.sh
