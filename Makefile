# The only task runner. `make` alone prints what it can do.
#
# Variables: PYTHON (the interpreter that makes .venv), ARGS (more arguments for test, train, viz and lock), WORKERS (how
# many processes run tests), EXAMPLES (inputs per property of fuzz), and the environment variables that the programs
# themselves read: TOXIC_DATA_DIR, TOXIC_STATE_DIR, REGISTRY_PORT, INFERENCE_PORT, MLFLOW_TRACKING_URI. Set them before
# or after `make`. The container stack reads its settings from .env.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell for candidate in python3.11 python3.12 python3.13 python3; do \
	"$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& { echo "$$candidate"; break; }; done)
VENV := .venv
# Modules rather than scripts: the first line of a script can't hold every path of an interpreter.
RUN := $(VENV)/bin/python -m
PYTEST := $(RUN) pytest
PACKAGES := $(wildcard libs/*/pyproject.toml services/*/pyproject.toml infra/*/pyproject.toml tests/support/pyproject.toml)
WHEELS := $(filter-out tests/support/,$(dir $(PACKAGES))) models/weights/
WEIGHTS := models/weights/pyproject.toml models/baseline/contract.json
SOURCES := libs services infra/grafana infra/local infra/migrate infra/ray benchmarks $(wildcard tests)
ARGS ?=
EXAMPLES ?= 100000
WORKERS ?= auto
comma := ,
VERSION ?=
BUNDLE ?=
REASON ?=
SERVICES ?=
NAMES ?=
KEEP ?=
TO ?= backups/$(shell date -u +%Y-%m-%dT%H%M%SZ)
FROM ?=

# Without compiled files, every process compiles TensorFlow when it imports it: 27 seconds instead of 4.
unexport PYTHONDONTWRITEBYTECODE

include infra/telemetry.env
export $(shell sed -n 's/^\([A-Z_]*\)=.*/\1/p' infra/telemetry.env)

# The daily commands go to the container stack if it runs, unless MLFLOW_TRACKING_URI names a registry.
STACK := infra/containers/stack
DAILY := train promote rollback history versions verify adopt-baseline
IN_CONTAINERS := $(if $(filter $(DAILY),$(MAKECMDGOALS)),$(if $(MLFLOW_TRACKING_URI),,$(shell \
	$(STACK) runs $(if $(filter train,$(MAKECMDGOALS)),training,registry))))
LOCAL := $(if $(IN_CONTAINERS),,$(VENV)/.installed)
WITH_REGISTRY := $(RUN) toxic_local with-registry --
TRAINING := $(if $(IN_CONTAINERS),$(STACK) training,$(WITH_REGISTRY) $(RUN) toxic_training)
REGISTRY := $(if $(IN_CONTAINERS),$(STACK) registry,$(WITH_REGISTRY) $(RUN) toxic_registry)
# The ledger records who acts; inside a container every user is the same one.
ACTOR := $(if $(IN_CONTAINERS),--actor "$(shell id -un)")

# An absolute path, because training's pipelines run in another folder. Unlike abspath, it keeps spaces in a name.
absolute = $(if $(filter /%,$(firstword $(1))),$(1),$(CURDIR)/$(1))

# `make evaluate` measures this.
EVALUATED = $(if $(BUNDLE),--pipelines evaluate --params "bundle=$(call absolute,$(BUNDLE))",$(if \
	$(VERSION),--pipelines evaluate --params "version=$(VERSION)",--pipelines evaluate_baseline))

# The benchmarks unpack the shipped model here.
BENCHED := $(CURDIR)/var/benchmarks/data
UNPACKED = test -d "$(BENCHED)/06_models/baseline/bundle" || TOXIC_DATA_DIR="$(BENCHED)" $(WITH_REGISTRY) \
	$(RUN) toxic_training run --pipelines unpack_baseline

# Each worker takes the tests that share servers or fixtures together; conftest.py forms the groups.
# The run ends with a worker that crashes: with one in its place, xdist may wait for ever.
PARALLEL := -n $(WORKERS) --dist loadgroup --no-loadscope-reorder --max-worker-restart 0

##@ First

.PHONY: help
help: ## Print this
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/.installed ## Serve the shipped model on 8001 with MLflow on 5000, train a challenger; Ctrl-C ends it
	@$(RUN) toxic_local demo

.PHONY: serve
serve: $(VENV)/.installed ## Serve the local registry's champion; Ctrl-C ends it
	@$(RUN) toxic_local serve

##@ Daily work, against the running stack or the local registry

.PHONY: train
train: $(LOCAL) ## Train on the files in TOXIC_DATA_DIR/01_raw and register the version
	@$(TRAINING) run $(ARGS)

.PHONY: evaluate
evaluate: $(VENV)/.installed ## Measure the shipped baseline, or BUNDLE=folder, or VERSION=3 (or an alias)
	@$(WITH_REGISTRY) $(RUN) toxic_training run $(ARGS) $(EVALUATED)

.PHONY: score
score: $(VENV)/.installed ## Score a table: IN=comments.csv OUT=scored.parquet, by the champion, VERSION=3 or BUNDLE=folder; TEXT_COLUMN=, ENCODING=, DELIMITER=
	@test -n "$(IN)" -a -n "$(OUT)" || { echo 'Name a table and its result: make score IN=comments.csv OUT=scored.csv.' >&2; exit 2; }
	@$(WITH_REGISTRY) $(RUN) toxic_training run $(ARGS) --pipelines batch_scoring --params \
		"in=$(call absolute,$(IN)),out=$(call absolute,$(OUT)),$(if $(TEXT_COLUMN),text_column=$(TEXT_COLUMN)$(comma))$(if $(ENCODING),encoding=$(ENCODING)$(comma))$(if $(DELIMITER),delimiter=$(DELIMITER)$(comma))$(if $(BUNDLE),bundle=$(call absolute,$(BUNDLE)),version=$(or $(VERSION),champion))"

.PHONY: batch
batch: $(VENV)/.installed-dev ## Score files on Ray: IN=comments/ OUT=scored/, by the champion, VERSION=3 or BUNDLE=folder; TEXT_COLUMN=, ENCODING=, DELIMITER=
	@test -n "$(IN)" -a -n "$(OUT)" || { echo 'Name the files and a folder for the scores: make batch IN=comments/ OUT=scored/.' >&2; exit 2; }
	@$(WITH_REGISTRY) $(RUN) toxic_batch $(IN) --out "$(OUT)" $(ARGS) \
		$(if $(BUNDLE),--bundle "$(BUNDLE)",--version "$(or $(VERSION),champion)") \
		$(if $(TEXT_COLUMN),--text-column "$(TEXT_COLUMN)") \
		$(if $(ENCODING),--encoding "$(ENCODING)") $(if $(DELIMITER),--delimiter "$(DELIMITER)")

.PHONY: training-server
training-server: $(VENV)/.installed ## Run pipelines on request over HTTP on 8002; ARGS="--env demo" for the sample
	@$(WITH_REGISTRY) $(RUN) toxic_training server start $(ARGS)

.PHONY: promote
promote: $(LOCAL) ## Make a version the champion: VERSION=3 (or an alias), REASON="…"
	@test -n "$(VERSION)" || { echo 'Name a version: make promote VERSION=3. make versions lists them.' >&2; exit 2; }
	@$(REGISTRY) promote "$(VERSION)" --reason "$(REASON)" $(ACTOR)

.PHONY: adopt-baseline
adopt-baseline: $(LOCAL) ## Register the shipped model, and make it the champion after one of an older release
	@$(TRAINING) run --pipelines baseline
	@$(REGISTRY) adopt-baseline --reason "$(REASON)" $(ACTOR)

.PHONY: rollback
rollback: $(LOCAL) ## Make the previous champion champion again
	@$(REGISTRY) rollback --reason "$(REASON)" $(ACTOR)

.PHONY: history
history: $(LOCAL) ## List every change of the champion, accepted or refused
	@$(REGISTRY) history

.PHONY: verify
verify: $(LOCAL) ## Verify the ledger: its hash chain, its head, and that it agrees with the aliases
	@$(REGISTRY) verify

.PHONY: versions
versions: $(LOCAL) ## List every version
	@$(REGISTRY) versions

.PHONY: ui
ui: $(VENV)/.installed ## Open the local registry's MLflow page, on 5000; it needs no champion; Ctrl-C ends it
	@$(RUN) toxic_local ui

.PHONY: viz
viz: $(VENV)/.installed-dev ## Show the pipelines in Kedro-Viz on 4141
	@$(RUN) toxic_training viz run $(ARGS)

##@ The whole stack in containers

.PHONY: up
up: ## Build, start and serve everything, or SERVICES="registry inference"; writes .env if there is none
	@$(STACK) up $(SERVICES)

.PHONY: rotate
rotate: ## Make new passwords, or NAMES="REGISTRY_PASSWORD", in .env and the running stack
	@$(STACK) rotate $(NAMES)

.PHONY: down
down: ## Stop the containers; data stays
	@$(STACK) down

.PHONY: ps
ps: ## List the containers
	@$(STACK) ps

.PHONY: logs
logs: ## Follow the containers' logs, or those of SERVICES="inference"
	@$(STACK) logs $(SERVICES)

.PHONY: backup
backup: ## Write the stack's data to a new folder: TO=folder, or else backups/<time>; KEEP=14 removes older ones
	@KEEP="$(KEEP)" $(STACK) backup "$(TO)"

.PHONY: restore
restore: ## Replace registry, models and corrections by the backup FROM=folder; asks, unless YES=1
	@test -n "$(FROM)" || { echo 'Name a backup: make restore FROM=backups/….' >&2; exit 2; }
	@$(STACK) restore "$(FROM)"

.PHONY: e2e
e2e: $(VENV)/.installed-dev ## Run the container stack from end to end, with faults, in a project of its own
	@$(PYTEST) tests/stack -m stack -s --no-header $(ARGS)

##@ Development

.PHONY: test
test: tools $(VENV)/.installed-dev ## Run every test that needs no Docker, in parallel; ARGS=tests/e2e for a part
	@$(PYTEST) $(PARALLEL) $(ARGS)

.PHONY: test-fast
test-fast: $(VENV)/.installed-dev ## Run the quick tests, which start no server, in parallel
	@$(PYTEST) $(PARALLEL) -m "not stack and not server and not slow" $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.installed-dev ## Try EXAMPLES=100000 generated inputs per property of the parsers and routes; takes hours
	@FUZZ_EXAMPLES=$(EXAMPLES) $(PYTEST) $(PARALLEL) --timeout=0 -m "hypothesis or fuzz" \
		libs/toxic_core services/inference services/registry $(ARGS)

.PHONY: check
check: tools lint types imports test ## Run what CI runs

.PHONY: lint
lint: $(VENV)/.installed-dev ## Check format and style
	@$(RUN) ruff format --check
	@$(RUN) ruff check

.PHONY: types
types: $(VENV)/.installed-dev ## Check types
	@$(RUN) mypy $(SOURCES)

.PHONY: imports
imports: $(VENV)/.installed-dev ## Check that imports run one way
	@$(VENV)/bin/lint-imports

.PHONY: bench
bench: $(VENV)/.installed-dev ## Measure serving against its peers, into docs/benchmarks.md; ARGS='--scale full' for all of it
	@$(UNPACKED)
	@$(RUN) benchmarks.peers --bundle "$(BENCHED)/06_models/baseline/bundle" $(ARGS)

.PHONY: bench-serving
bench-serving: $(VENV)/.installed-dev ## Measure the inference service under load and faults, into docs/benchmarks-serving.md; ARGS='--scale full' for all of it
	@$(RUN) benchmarks.serving $(ARGS)

.PHONY: bench-batch
bench-batch: $(VENV)/.installed-dev ## Measure toxic-batch beside the bare model and over workers, into docs/benchmarks-batch.md
	@$(UNPACKED)
	@$(RUN) benchmarks.batch_scoring --bundle "$(BENCHED)/06_models/baseline/bundle" $(ARGS)

.PHONY: bench-training
bench-training: $(VENV)/.installed ## Measure training speed on TOXIC_DATA_DIR, into docs/benchmarks-training.md
	@$(RUN) benchmarks.training_speed $(ARGS)

.PHONY: wheels
wheels: $(VENV)/.installed-dev ## Build the wheel of every package into dist/, for pip install --find-links dist
	@for package in $(WHEELS); do (cd $$package && \
		"$(CURDIR)/$(VENV)/bin/python" -m hatchling build -t wheel -d "$(CURDIR)/dist") || exit 1; done

.PHONY: lock
lock: $(VENV)/.installed-dev ## Resolve dependencies into constraints.txt; ARGS=--upgrade takes the newest
	@$(RUN) uv pip compile --universal --python-version 3.11 --no-header --no-annotate --quiet $(ARGS) \
		--no-emit-package toxic-core --no-emit-package toxic-model --no-emit-package toxic-model-weights \
		--no-emit-package toxic-training --no-emit-package toxic-registry \
		--no-emit-package toxic-inference --no-emit-package toxic-local \
		--no-emit-package toxic-dashboards --no-emit-package toxic-batch --no-emit-package toxic-migrate --no-emit-package toxic-testing \
		requirements-dev.in -o constraints.txt
	@$(RUN) uv pip compile --universal --python-version 3.11 --no-header --no-annotate --quiet $(ARGS) \
		infra/airflow/requirements.in -o infra/airflow/requirements.txt

.PHONY: arm64
arm64: $(VENV)/.installed-dev ## Check that every pinned wheel of the images exists for arm64
	@infra/containers/resolve-arm64.sh $(VENV)/bin/python

.PHONY: metrics
metrics: $(VENV)/.installed ## Write docs/metrics.md, the table of the inference service's metrics
	@$(RUN) toxic_inference.metrics.catalogue > docs/metrics.md

.PHONY: settings
settings: $(VENV)/.installed-dev ## Write docs/settings.md, the environment variables of the services
	@$(RUN) toxic_testing.settings_document docs/settings.md

.PHONY: doors
doors: $(VENV)/.installed ## Write docs/doors.md, the table of the inference service's doors
	@$(RUN) toxic_inference.doors > docs/doors.md

.PHONY: descriptors
descriptors: $(VENV)/.installed-dev ## Write the descriptors of the gRPC doors' messages, from the packages that publish them
	@$(RUN) toxic_testing.inference.descriptors services/inference/src/toxic_inference/rpc/descriptors.binpb

.PHONY: clients
clients: $(VENV)/.installed-dev ## Call every client of the Perspective API and of OpenAI's, and write docs/perspective-clients.md; takes minutes
	@infra/local/tools.sh "$(NEW_FROM)" clients
	@$(PYTEST) services/inference/tests/clients/perspective services/inference/tests/clients/test_openai_programs.py -m "not stack" \
		--clients-document=docs/perspective-clients.md $(ARGS)

.PHONY: baseline-digests
baseline-digests: ## Write the digests of models/baseline, by which the gate knows the shipped model
	@cd models/baseline && sha256sum contract.json evaluation.json \
		>../../services/registry/src/toxic_registry/baseline.sha256

.PHONY: dashboards
dashboards: $(VENV)/.installed-dev ## Export Grafana's dashboards from the YAML in infra/grafana/src
	@$(RUN) toxic_dashboards infra/grafana/dashboards

.PHONY: manifests
manifests: $(VENV)/.installed-dev ## Write the rules of infra/prometheus as a manifest for Kubernetes
	@$(VENV)/bin/python infra/kubernetes/make-rules.py > infra/kubernetes/monitoring/rules.yaml

.PHONY: rules
rules: tools $(VENV)/.installed-dev ## Check and test the rules and configuration of Prometheus and Alertmanager
	@$(PYTEST) tests/watching/test_configuration.py $(ARGS)

.PHONY: dag
dag: $(VENV)/.installed-dev ## Write Airflow's DAG again, from the pipelines and infra/airflow/dag.py.j2
	@MLFLOW_TRACKING_URI=sqlite:///:memory: $(RUN) toxic_training airflow create --group-by namespace --jinja-file "$(CURDIR)/infra/airflow/dag.py.j2" \
		--target-dir "$(CURDIR)/infra/airflow/dags"

.PHONY: sample
sample: $(VENV)/.installed ## Generate data/sample again
	@$(RUN) toxic_training.data.sample --out data/sample

.PHONY: behaviour
behaviour: $(VENV)/.installed ## Expand the templates of data/behaviour again
	@$(VENV)/bin/python data/behaviour/expand.py

.PHONY: screenshots
screenshots: tools $(VENV)/.installed-dev ## Take the pictures in docs/images of a running make demo or make serve
	@$(RUN) toxic_testing.inference.screenshots --address "http://127.0.0.1:$${INFERENCE_PORT:-8001}" --out docs/images

.PHONY: tools
tools: ## Install the servers, browser and clients that tests use, as Debian packages (root or passwordless sudo)
	@infra/local/tools.sh "$(NEW_FROM)" tests

.PHONY: install
install: $(VENV)/.installed ## Install the packages into .venv
	@echo "$(VENV) is up to date."

.PHONY: install-dev
install-dev: $(VENV)/.installed-dev ## Install what tests and checks need as well
	@echo "$(VENV) is up to date."

.PHONY: clean
clean: ## Remove .venv and caches; asks before it removes var/, the local registries, and the containers' data
	@infra/local/clean.sh
	@$(STACK) clean

# A virtual environment holds its own path, so a copy of the tree makes a new one.
ifneq ($(shell cat $(VENV)/.home 2>/dev/null),$(CURDIR))
$(VENV)/.installed $(VENV)/.installed-dev: moved
.PHONY: moved
moved:
endif

# The interpreter that a first run makes .venv from.
NEW_FROM = $(if $(wildcard $(VENV)/bin/python),,$(PYTHON))

.PHONY: python
python:
	@infra/local/tools.sh "$(NEW_FROM)"

$(VENV)/.installed: requirements.in constraints.txt $(PACKAGES) $(WEIGHTS) | python
	@infra/local/install.sh "$(PYTHON)" $(VENV) requirements.in
	@touch $@

$(VENV)/.installed-dev: requirements-dev.in requirements.in constraints.txt $(PACKAGES) $(WEIGHTS) | python
	@UV_COMPILE_BYTECODE=1 infra/local/install.sh "$(PYTHON)" $(VENV) requirements-dev.in
	@touch $(VENV)/.installed $@
