# `make run` and `make test` need make, Rust and apt (Debian 12 or later, Ubuntu 22.04 or later); the rest they get.

# Rust's installer puts cargo here, and into PATH only of later logins.
export PATH := $(PATH):$(HOME)/.cargo/bin
# The queries are checked against .sqlx, whatever DATABASE_URL says.
export SQLX_OFFLINE := true
target := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help run test bench fuzz lint sqlx fmt clean setup rust

help:
	@echo 'make run    install what is missing, build, and run everything here, with one real task of each type'
	@echo 'make test   install what is missing and run all tests'
	@echo 'make bench  measure tasks a second beside the database, a metagraph beside the Python SDKs, a large dev chain'
	@echo 'make fuzz   run each fuzz target for TIME seconds (60)'
	@echo 'make lint   format, lints, documentation, unused dependencies, licences'
	@echo 'make sqlx   refresh .sqlx after a query or a migration changed'
	@echo 'make fmt    format the code'
	@echo 'make clean  remove what was built, and the state of violet dev'

run: setup
	cargo build --release --locked
	$(target)/release/violet dev --demo

test: setup
	scripts/with-postgres cargo test --workspace --locked

bench: setup
	cargo run --release --locked --example bench -- "$$(scripts/with-postgres --find)/pgbench"
	cargo run --release --locked -p violet-chain --example snapshot -- \
		"$$(scripts/python-sdk bittensor-11.3.0)" "$$(scripts/python-sdk bittensor-10.5.0)"
	cargo run --release --locked -p violet-devchain --example size

fuzz: setup
	scripts/fuzz $(or $(TIME),60)

sqlx: setup
	scripts/sqlx-prepare

lint: rust
	.ci/run lint

fmt: rust
	cargo fmt --all

clean: rust
	cargo clean
	rm -rf .violet

setup: rust
	@scripts/setup

rust:
	@command -v cargo >/dev/null || \
		{ echo 'Rust is missing: install it from https://rustup.rs, then run make again' >&2; exit 1; }
