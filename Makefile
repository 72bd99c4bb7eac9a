# The interface to the project: everything else calls these. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

DATA ?= data
TARGET := $(or $(CARGO_TARGET_DIR),target)
FOR ?= 10m
FUZZ_S ?= 60
HISTORY ?= bench/history.jsonl
TOOLS := $(CURDIR)/target/tools
DENY_VERSION := 0.20.2

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | column -t -s "$$(printf '\t')"

.PHONY: run
run: tool-chain ## Start everything in one process, on loopback, in development mode (data in DATA, default ./data)
	cargo build --release --package gpusher-control --package gpusher-client
	@exec $(TARGET)/release/gpusher-control dev --data $(DATA)

.PHONY: build
build: tool-chain ## Build all binaries, optimised
	cargo build --release --bins

.PHONY: test
test: check servers ## Everything that must hold: formatting, lints, documentation, licences, all tests
	cargo test --workspace --no-fail-fast

.PHONY: servers
servers: ## Install the servers that the tests start: PostgreSQL, MariaDB, Redis, etcd, Kafka
	testbed/install $(TOOLS)/kafka

.PHONY: check
check: tool-chain deny ## Formatting, lints, documentation, licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	cargo clippy --package gpusher-control --no-default-features -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps --quiet

.PHONY: deny
deny: tool-chain ## Licences, banned and doubled dependencies, sources
	@test -x $(TOOLS)/bin/cargo-deny || cargo install --quiet --locked --root $(TOOLS) cargo-deny@$(DENY_VERSION)
	$(TOOLS)/bin/cargo-deny --all-features check --hide-inclusion-graph bans licenses sources

.PHONY: load
load: build ## 10,000 connections: logins, broadcasts, single pushes; latency, loss, memory, CPU per message
	$(TARGET)/release/gpusher-loadtest --start $(TARGET)/release/gpusher-control --gateway-process $(TARGET)/release/gpusher-gateway --floor

.PHONY: compare
compare: build ## The same work against gpusher, NATS, mosquitto and goim in turn, where they are installed
	$(TARGET)/release/gpusher-loadtest compare

.PHONY: bench
bench: tool-chain ## The published comparison, in at most 15 minutes once built; LONG=1 goes to millions of connections
	cargo build --release --bins --workspace --exclude gpusher-sim
	$(TARGET)/release/gpusher-bench table $(if $(LONG),--long) --history $(HISTORY)

.PHONY: bench-core
bench-core: build ## What one core does: codec, session, mailbox, fan-out, outbox, and the floor; COUNT=1 counts instructions
	$(TARGET)/release/gpusher-bench core $(if $(COUNT),--instructions) --history $(HISTORY)

.PHONY: distribution
distribution: build servers ## What a push costs in one process, in four, and on Kafka, Redis and PostgreSQL: latency and CPU
	bench/distribution $(TARGET)/release

.PHONY: grid
grid: build servers ## 30,000 clients on three gateways and two of each other role, on Kafka, Redis, PostgreSQL; BACKENDS=kafka-etcd-mariadb
	bench/grid $(TARGET)/release 30000 $(if $(BACKENDS),--backends $(BACKENDS))

.PHONY: sim
sim: tool-chain ## The whole system under simulated faults, for FOR (default 10m); every seed can be repeated
	cargo run --profile sim -p gpusher-sim -- --for $(FOR)

.PHONY: faults
faults: build ## The real programs under every fault, and the books afterwards; LONG=1: a thousand kills and minutes of each
	$(TARGET)/release/gpusher-faults all --cycles $(if $(LONG),100 --clients 5000,3)
	$(if $(LONG),$(TARGET)/release/gpusher-faults run --fault kill-any --cycles 1000)

.PHONY: fuzz
fuzz: tool-chain ## What nobody honest sends or writes: frames, request bodies, batches, configurations; FUZZ_S seconds of each (default 60)
	@export FUZZ_S=$(FUZZ_S); { \
	cargo test --profile fuzz -p gpusher-proto -p gpusher-session -p gpusher-gateway -p gpusher-control \
		--lib --test never_panics --test million_random_inputs --test web -- --nocapture \
		on_random_bytes on_damaged_frames of_random_bytes of_damaged_conversations config::fuzz bad_bodies bad_batches; \
	cargo test --profile fuzz -p gpusher-sim --test simulation damaged -- --nocapture; \
	} | awk '{ print } match($$0, /INPUTS=[0-9]+/) { sum += substr($$0, RSTART + 7, RLENGTH - 7) } END { print sum " inputs tried" }'

.PHONY: miri
miri: tool-chain ## What makes no system call, under Miri; needs the nightly tool chain
	@cargo +nightly miri --version >/dev/null 2>&1 || { echo 'miri is missing: rustup toolchain install nightly --component miri --component rust-src' >&2; exit 1; }
	MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test -p gpusher-proto -p gpusher-session --lib -- --skip compress
	MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test -p gpusher-sys --lib -- accepted:: frames:: heap:: slots:: place:: scratch:: tag::

.PHONY: loom
loom: tool-chain ## The mailbox's wake-up in more of the orders in which two processors may see it than `make test` tries
	LOOM_MAX_PREEMPTIONS=4 cargo test --release -p gpusher-sys --test doorbell_under_loom

.PHONY: fmt
fmt: tool-chain ## Format the code
	cargo fmt --all

.PHONY: tool-chain
tool-chain:
	@command -v cargo >/dev/null || { echo 'cargo is missing: install Rust from https://rustup.rs' >&2; exit 1; }
	@command -v cc >/dev/null || { echo 'a C compiler is missing: install gcc or clang' >&2; exit 1; }
	@command -v c++ >/dev/null || { echo 'a C++ compiler is missing: install g++ or clang' >&2; exit 1; }
