# `make help` is the front page. CI calls the same targets that people do.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/millrace
UV_VERSION := 0.13.8
export UV := $(CACHE)/uv-$(UV_VERSION)/bin/uv
VENV := .venv/.synced
RUN := .venv/bin/python -m bootstrap
OPERATE := .venv/bin/python -m operations
PYTEST := .venv/bin/python -m pytest

export STACK PORT_OFFSET

##@ Use
up: $(VENV)       ## bring the platform up (STACK=airgap|dev picks; else chosen by machine)
	@$(RUN) up
status: $(VENV)   ## what runs, and the endpoints, one line each
	@$(RUN) status
smoke: $(VENV)    ## resources in over HTTP, one processed row and one task per event out, with latencies
	@.venv/bin/python -m loadtests smoke
token: $(VENV)    ## an access token on standard output, for ten minutes (SCOPE="data:read …")
	@.venv/bin/python -m loadtests token --scope '$(SCOPE)'
load: $(VENV)     ## 10,000 users on documents, held to targets (USERS PACE SECONDS SHAPE TARGET WHERE)
	@.venv/bin/python -m loadtests load --users '$(USERS)' --pace '$(PACE)' --seconds '$(SECONDS)' --shape '$(SHAPE)' \
	  --target '$(TARGET)' --flow '$(FLOW)' --rate '$(RATE)' --workers '$(WORKERS)' --where '$(WHERE)'
load-compare: $(VENV)  ## the newest load run against the saved one (or NEW=folder, BASE=folder)
	@.venv/bin/python -m loadtests load-compare --base '$(BASE)' --new '$(NEW)' --anyway '$(ANYWAY)'
preview: $(VENV)  ## what `up` would change, held against the policies
	@$(RUN) preview
dashboard: $(VENV)  ## the platform's dashboards as one page (WATCH=1 serves it; RANGE BOARD PROMETHEUS)
	@$(OPERATE) dashboard --watch '$(WATCH)' --span '$(RANGE)' --board '$(BOARD)' --prometheus '$(PROMETHEUS)' --port '$(PORT)'
slo: $(VENV)      ## what the services promise, as OpenSLO, on standard output
	@$(OPERATE) slo
logs: $(VENV)     ## all pods' lines about a request (TRACE=trace or correlation id, SINCE=1h, JSON=1)
	@$(OPERATE) logs --trace '$(TRACE)' --since '$(SINCE)' --raw '$(JSON)'
down: $(VENV)     ## remove the platform and the cluster; caches stay
	@$(RUN) down
alone: $(VENV)    ## stop what other checkouts run here (not k3d's); their `make up` starts it again
	@$(RUN) alone
clean: $(VENV)    ## remove the caches too
	@$(RUN) clean
	rm -rf .venv build "$(CACHE)"
env: $(VENV)      ## for a shell where plain pulumi and kubectl work: eval "$$(make -s env)"
	@$(RUN) env
doctor: $(VENV)   ## what this machine has and lacks, and which environment fits it
	@$(RUN) doctor
render: $(VENV)   ## all manifests of STACK to build/manifests/STACK, no cluster needed
	@$(RUN) render
pin: $(VENV)      ## fill in official images' digests and tools' checksums (needs their sites)
	@.venv/bin/python -m infra.images.pin
	@$(RUN) pin

##@ Databases (DB=restdb and the like)
schema-load: $(VENV)  ## bring an empty database to the newest revision
	@$(OPERATE) schema-load --db '$(DB)'
migrate: $(VENV)  ## bring a database to a revision (TO=revision|status, DRY=1)
	@$(OPERATE) migrate --db '$(DB)' --to '$(TO)' --dry '$(DRY)'
backup: $(VENV)   ## take a backup and prove it by restoring it on the side
	@$(OPERATE) backup --db '$(DB)'
backups: $(VENV)  ## which backups there are, how old, how large, and when they were proven
	@$(OPERATE) backups --db '$(DB)'
restore: $(VENV)  ## put a backup in place of the live data (BACKUP, CONFIRM=the database's name)
	@$(OPERATE) restore --db '$(DB)' --backup '$(BACKUP)' --confirm '$(CONFIRM)' --migrate-first '$(MIGRATE)'
restore-drill: $(VENV)  ## restore the newest backup on the side and compare (or BACKUP)
	@$(OPERATE) restore-drill --db '$(DB)' --backup '$(BACKUP)'
pitr: $(VENV)     ## put the data of a moment in place of the live ones (TO, CONFIRM)
	@$(OPERATE) pitr --db '$(DB)' --to '$(TO)' --confirm '$(CONFIRM)' --migrate-first '$(MIGRATE)'
restore-unlock: $(VENV)  ## undo or finish what an interrupted restore left
	@$(OPERATE) restore-unlock --db '$(DB)'
operation: $(VENV)  ## show what runs on a database's server until it is over
	@$(OPERATE) operation --db '$(DB)'
rotate: $(VENV)   ## replace a secret while all goes on (SECRET); continues what was interrupted
	@$(OPERATE) rotate --secret '$(SECRET)' --stack '$(STACK)'
secrets: $(VENV)  ## what can be rotated, and what is in the middle of it
	@$(OPERATE) secrets --stack '$(STACK)'

##@ Work on it
check: $(VENV)    ## format, lint, types, imports, unit and policy tests: no container, about a minute
	@# To sort the jobs' output make locks the file it writes to, so give it a pipe of its own:
	@# dockerd, for one, holds a lock on /dev/null, and make would wait for it for ever.
	@$(MAKE) -j2 --output-sync=target check-types check-fast | cat
test: check images  ## check, then integration tests on real servers in containers
	@eval "$$($(RUN) env)"; $(PYTEST) -n 4 --dist loadfile --no-loadscope-reorder tests/integration
e2e: up           ## tests on the real cluster, through its published ports
	@$(RUN) e2e-tools
	@eval "$$($(RUN) env)"; $(PYTEST) tests/e2e
bench: $(VENV)    ## benchmarks, each with its rivals in the same run; NAME=… runs one of those it lists
	@eval "$$($(RUN) env)"; .venv/bin/python -m tests.bench $(NAME)
format: $(VENV)   ## let ruff format the code
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .
docs: $(VENV)     ## write what is generated: messages and revisions of gRPC, JSON schemas, tables of docs/
	@.venv/bin/python -m services.contracts.messages
	@.venv/bin/python -m services.contracts.revisions
	@.venv/bin/python -m infra.model.schema
	@.venv/bin/python -m services.contracts.schemas
	@.venv/bin/python -m docs.reference
tools: $(VENV)    ## build the tools alone
	@$(RUN) tools
images: $(VENV)   ## build tools and base images and start the registry: what tests need
	@$(RUN) images

check-types: $(VENV)
	@.venv/bin/pyright
check-fast: $(VENV)
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/lint-imports
	@# A file's tests stay together: what a module composes once is not composed in both processes.
	@$(PYTEST) -n 2 --dist loadfile tests/unit tests/policy

help:             ## this page
	@awk 'BEGIN { FS = ":.*##" } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*##/ { sub(/:.*/, "", $$1); gsub(/[$$][$$]/, "$$", $$2); printf "  make %-13s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(UV):
	@sh bootstrap/get-uv.sh "$(UV)" "$(UV_VERSION)"
$(VENV): pyproject.toml uv.lock | $(UV)
	@$(UV) sync --frozen --all-groups --quiet
	@touch $@

.PHONY: up status smoke load load-compare preview dashboard slo logs down alone clean env doctor render pin \
  schema-load migrate backup backups restore restore-drill pitr restore-unlock operation rotate secrets check test e2e bench format docs tools images check-types check-fast help
