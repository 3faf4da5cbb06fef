# `make` alone lists the targets.

# Without a login shell, rustup's installation is not found, nor are the administrator's programs for other users.
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/sbin:/sbin

TARGET := $(or $(CARGO_TARGET_DIR),target)/debug
RELEASE := $(or $(CARGO_TARGET_DIR),target)/release
# The root file system of the container image, and what it packs to.
IMAGE := $(or $(CARGO_TARGET_DIR),target)/image

.DEFAULT_GOAL := help
.PHONY: help demo test fmt clippy doc unit soak bench image deps

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: deps ## build svcnat and show it at work on real packets, in network namespaces
	@cargo build --locked --package svcnat --package svcnat-lab --bins
	@$(TARGET)/svcnat-demo --svcnat $(TARGET)/svcnat

# One after the other even with -j, and the tests last, so that the output ends with their results.
test: deps ## check everything: formatting, lints, documentation, all tests
	$(MAKE) fmt
	$(MAKE) clippy
	$(MAKE) doc
	$(MAKE) unit

fmt: ## check the formatting
	cargo fmt --all --check

clippy: deps ## run the lints; warnings are errors
	cargo clippy --locked --workspace --all-targets -- -D warnings

doc: deps ## build the documentation; warnings are errors
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

unit: deps ## run all tests, those with real packets too
	cargo test --locked --workspace

soak: deps ## change a cluster of 2,000 Services for SOAK_SECONDS (600), with faults, while clients connect
	SOAK_SECONDS=$${SOAK_SECONDS:-600} SOAK_SERVICES=$${SOAK_SERVICES:-2000} cargo test --locked --test soak -- --nocapture

bench: deps ## measure, beside kube-proxy's rules, and write docs/benchmarks.md (under an hour, with building)
	cargo bench --locked --bench pure
	cargo bench --locked --bench kernel -- --page $(CURDIR)/docs/benchmarks.md
	cargo bench --locked --bench agent -- --page $(CURDIR)/docs/benchmarks.md

image: deps ## build the root file system of the container image, check it, pack it and say its size
	cargo build --locked --release --package svcnat --bin svcnat
	@rm -rf $(IMAGE) && mkdir -p $(IMAGE)
	deploy/image/rootfs $(RELEASE)/svcnat $(IMAGE)/rootfs
	deploy/image/check $(IMAGE)/rootfs
	@tar --create --directory=$(IMAGE)/rootfs --sort=name --owner=0 --group=0 --numeric-owner . | gzip -9n >$(IMAGE)/rootfs.tar.gz
	@ls -l --block-size=kB $(IMAGE)/rootfs.tar.gz | awk '{ print $$NF ": " $$5; if ($$5 + 0 > 20000) { print "That is too much: 20 MB are allowed."; exit 1 } }'

deps: ## install the Debian packages that are missing
	@.ci/deps
