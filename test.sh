#!/usr/bin/env bash
# Everything that must hold before a change lands. Installs with apt what the tests need
# and the machine lacks.
#
#   ./test.sh              all steps, in order
#   ./test.sh STEP...      some of them: lint build small s390x race tokens editions
#   ./test.sh PACKAGE...   the tests of packages, by folder, under the race detector: vault driver/tpm
set -euo pipefail
cd "$(dirname "$0")"

steps=(lint build small s390x race tokens editions)

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'test.sh: %s\n' "$*" >&2; exit 1; }

check_go() {
	local want have
	want=$(sed -n 's/^go //p' go.mod)
	command -v go >/dev/null || fail "Go $want or newer is needed; see https://go.dev/dl/"
	have=$(go env GOVERSION) || fail "Go $want or newer is needed; this go cannot provide it"
	have=${have#go}
	have=${have%%[^0-9.]*}
	[ "$(printf '%s\n' "$want" "$have" | sort -V | head -n 1)" = "$want" ] ||
		fail "Go $want or newer is needed; this is Go $have"
	echo "Go $have"
}

# need COMMAND PACKAGE... notes the packages if the command is missing.
missing=()
need() {
	command -v "$1" >/dev/null || missing+=("${@:2}")
}

install_missing() {
	[ "${#missing[@]}" -gt 0 ] || return 0
	command -v apt-get >/dev/null || fail "install these by hand, there is no apt here: ${missing[*]}"
	local root=()
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || fail "neither root nor sudo; install these first: ${missing[*]}"
		root=(sudo)
	fi
	local install=("${root[@]}" env DEBIAN_FRONTEND=noninteractive
		apt-get install -y --no-install-recommends "${missing[@]}")
	# Stale lists are no failure: only when the first try fails are they renewed.
	"${install[@]}" && return 0
	"${root[@]}" apt-get update || echo "apt lists could not be renewed; trying with those at hand"
	"${install[@]}" || fail "could not install: ${missing[*]}"
}

install_tools() {
	step "what the tests need"
	check_go
	need openssl openssl
	need gcc gcc libc6-dev
	need softhsm2-util softhsm2
	need certutil libnss3-tools libnss3
	need swtpm swtpm
	need strace strace
	need p11-kit p11-kit
	[ -n "$(find /usr/lib /usr/lib64 -name p11-kit-client.so -print -quit 2>/dev/null)" ] || missing+=(p11-kit-modules)
	[ -n "$(find /usr/lib /usr/lib64 -name libtpm2_pkcs11.so -print -quit 2>/dev/null)" ] || missing+=(libtpm2-pkcs11-1 libtss2-tcti-swtpm0)
	need qemu-s390x qemu-user
	# No command tells whether OpenSSL's tpm2 provider is there; its file does.
	[ -e "$(openssl version -m 2>/dev/null | cut -d'"' -f2)/tpm2.so" ] || missing+=(tpm2-openssl libtss2-tcti-swtpm0)
	install_missing
}

# built TOOL IMPORT_PATH builds a tool of tools/go.mod and prints its path.
built() {
	go -C tools build -o "$tools/$1" "$2" && printf '%s' "$tools/$1"
}

run_lint() {
	step "gofmt"
	local unformatted
	unformatted=$(gofmt -l .)
	[ -z "$unformatted" ] || fail "gofmt would change: $unformatted"
	step "go vet"
	go vet ./...
	step "staticcheck"
	"$(built staticcheck honnef.co/go/tools/cmd/staticcheck)" ./...
}

run_build() {
	local target
	for target in linux/arm64 linux/arm linux/386 linux/riscv64 windows/amd64 darwin/arm64; do
		step "build for $target without cgo"
		CGO_ENABLED=0 GOOS=${target%/*} GOARCH=${target#*/} go build ./...
	done
}

# Code for 32 bits: not every 64-bit system runs its programs.
run_small() {
	step "the tests too for 32 bits"
	CGO_ENABLED=0 GOOS=linux GOARCH=386 go vet ./...
	if ! CGO_ENABLED=0 GOOS=linux GOARCH=386 go test ./internal/redact >/dev/null 2>&1; then
		step "left out, since this system runs no programs of 32 bits: the store and what parses"
		return
	fi
	step "the store and what parses, with 32 bits"
	CGO_ENABLED=0 GOOS=linux GOARCH=386 go test -count=1 -run '^(TestTables|Fuzz.*)$' \
		./keystore ./keystore/badger ./driver/tpm ./internal/ciphertext ./vault/stream ./audit
}

# s390x has the other byte order, and ciphers of its own whose states share memory.
run_s390x() {
	step "cryptography and formats on s390x, emulated"
	CGO_ENABLED=0 GOARCH=s390x go test -short -count=1 -exec qemu-s390x \
		./internal/suite ./internal/ciphertext ./internal/keywrap ./internal/selftest ./vault/stream
	CGO_ENABLED=0 GOARCH=s390x go test -count=1 -exec qemu-s390x -run '^(TestEncryptRotateReopen|TestDataKey)$' ./vault
}

run_race() {
	step "go test -race"
	# The packages that take longest come first, so that both cores have work to the end.
	CGO_ENABLED=1 go test -race -count=1 -timeout 15m ./driver/pkcs11 ./vault ./keystore/badger ./...
	step "what the race detector would count too"
	go test -count=1 -run '^(TestNoAllocationPerCall|TestFailedDecryptsDoNotGrow|TestNothingLeftInCHeap)$' ./driver/pkcs11
	go test -count=1 -run '^TestMemory' ./vault
}

# The race step leaves out the keys that take long to make.
run_tokens() {
	step "the large RSA keys on the tokens"
	STRONGROOM_CONFORMANCE=all STRONGROOM_WYCHEPROOF=all go test -count=1 -timeout 10m -run '^(TestConformance|TestWycheproof)' ./driver/pkcs11
}

# Without -race: the code is the same, and the race step has it. TestSuite walks every
# edition by itself.
run_editions() {
	step "the vault's tests in the SM edition"
	go test -count=1 -timeout 10m -skip '^TestSuite$' ./vault -edition SM
	step "the FIPS edition's tests, in processes that enforce FIPS 140"
	go test -count=1 -timeout 10m -exec 'env GODEBUG=fips140=only' \
		./audit ./keystore ./internal/suite ./internal/ciphertext ./internal/keywrap ./vault ./vault/stream
}

# run NAME runs a step, or the tests of a folder's packages.
run() {
	local s
	for s in "${steps[@]}"; do
		if [ "$1" = "$s" ]; then
			"run_$s"
			return
		fi
	done
	[ -d "$1" ] || fail "'$1' is neither a step (${steps[*]}) nor a folder"
	step "go test -race $1"
	CGO_ENABLED=1 go test -race -count=1 -timeout 15m "./${1%/}/..."
}

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
install_tools
# What a test needs is here now: a test that misses something fails, and is not skipped.
export CI=true
[ $# -gt 0 ] || set -- "${steps[@]}"
for name in "$@"; do
	run "$name"
done
printf '\ntest.sh: all passed\n'
