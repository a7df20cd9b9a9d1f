# The commands of the README; CI calls the same ones. `make` alone lists them.

cargo = cargo
peers = target/peers/bin

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' Makefile

demo: ## Deliver the example repository, change a secret, see it arrive
	@contrib/setup build
	@$(cargo) build --locked --bins
	@contrib/example/demo

test: ## Everything that CI checks
	contrib/setup test
	$(cargo) fmt --all --check
	$(cargo) clippy --quiet --locked --workspace --all-targets -- -D warnings
	$(cargo) clippy --quiet --locked --all-targets --no-default-features -- -D warnings
	$(peers)/cargo-deny --locked check --hide-inclusion-graph bans licenses sources
	RUSTDOCFLAGS='-D warnings' $(cargo) doc --quiet --locked --workspace --no-deps --document-private-items
	$(cargo) test --quiet --locked --workspace

differential: ## 10,000 random documents, rules and orders of rules, compared with real sops and Go
	contrib/setup test
	CARGO_PROFILE_DEV_OPT_LEVEL=2 SECRETSD_CASES=10000 SECRETSD_DIFFERENTIAL_PATTERNS=10000 \
		SECRETSD_DIFFERENTIAL_CONFIGS=10000 SECRETSD_DIFFERENTIAL_ORDERS=10000 SECRETSD_REKEY_CASES=5000 \
		SECRETSD_AUTHORING_CASES=2000 \
		$(cargo) test --locked --test tests -- --nocapture differential

bench: ## Measure against the bare cryptography and real sops
	contrib/setup test
	$(cargo) bench --quiet --locked --bench check --bench delivery --bench rekey --bench yubikey

generate: ## Write the manual pages and completions that are made from the command line's definition
	SECRETSD_GENERATE=1 $(cargo) test --quiet --locked --test tests docs::generated

.PHONY: help demo test differential bench generate
