#!/usr/bin/env bash
# Everything that must hold before a change lands. Installs with apt what the tests need
# and the machine lacks.
#
#   ./test.sh              all steps, in order
#   ./test.sh STEP...      some of them: lint build small s390x sdk measured race sequential disks tokens modules sm fips
#   ./test.sh PACKAGE...   the tests of packages, by folder, under the race detector: vault driver/tpm
set -euo pipefail
cd "$(dirname "$0")"

steps=(lint build small s390x sdk measured race sequential disks tokens modules sm fips)

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
	need jq jq
	need mkfs.ext4 e2fsprogs
	need mount mount
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
	go -C tools build -o "$scratch/$1" "$2" && printf '%s' "$scratch/$1"
}

# in_memory runs a command with its temporary files in memory, if there is a place for them, because
# tests that have them on a disk wait for it for half of their time.
in_memory() {
	if [ -n "$memory" ]; then
		TMPDIR=$memory "$@"
	else
		"$@"
	fi
}

# memory_folder makes a folder in memory and prints its name, if 4 GiB are free and programs run
# there. It has the mode of /tmp, because some tests run as another user.
memory_folder() {
	local dir
	dir=$(mktemp -d -p /dev/shm strongroom.XXXXXX 2>/dev/null) || return 0
	chmod 1777 "$dir"
	if [ "$(df --output=avail -k "$dir" | tail -n 1)" -ge $((4 << 20)) ] &&
		cp "$(type -P true)" "$dir/true" && "$dir/true" 2>/dev/null; then
		printf '%s' "$dir"
	else
		rm -rf "$dir"
	fi
}

# run_only_in fails for tests whose names have the pattern in other folders than those of which a
# step runs such tests: another step leaves them out everywhere.
run_only_in() {
	local folders=" ${*:2} " folder name
	while read -r folder name; do
		[[ ! $name =~ $1 || $folders == *" $folder "* ]] || fail "no step runs $name in $folder"
	done < <(grep -roE --include='*_test.go' '^func Test[A-Za-z0-9]*' . | sed 's#^\./\(.*\)/[^/]*:func #\1 #')
}

run_lint() {
	step "gofmt"
	local unformatted
	unformatted=$(gofmt -l .)
	[ -z "$unformatted" ] || fail "gofmt would change: $unformatted"
	run_only_in "$disks" "${disk_folders[@]}"
	run_only_in "$vectors|$computing" "${token_folders[@]}"
	run_only_in "$sessions" cmd/strongroom internal/testing/docs
	run_only_in "$measured" "${measured_folders[@]}"
	step "go vet"
	go vet ./...
	step "staticcheck"
	"$(built staticcheck honnef.co/go/tools/cmd/staticcheck)" ./...
	run_govulncheck
}

# Without its database govulncheck can find nothing, and the other steps can go on.
run_govulncheck() {
	step "govulncheck"
	local govulncheck out status=0
	govulncheck=$(built govulncheck golang.org/x/vuln/cmd/govulncheck) || fail "govulncheck does not build"
	out=$("$govulncheck" ./... 2>&1) || status=$?
	if [ "$status" -ne 0 ] && [[ $out == *"fetching vulnerabilities: "* ]]; then
		echo "left out, since the database of vulnerabilities cannot be reached: ${out##*fetching vulnerabilities: }"
		return
	fi
	printf '%s\n' "$out"
	[ "$status" -eq 0 ] || fail "govulncheck failed"
}

# The packages and their tests are type-checked for other systems and sizes of an int, because that
# is several times as fast as compiling them. STRONGROOM_BUILD=all compiles and links the command too.
run_build() {
	step "type check for other systems, without cgo"
	"$(built typecheck ./typecheck)" windows/amd64 darwin/arm64 linux/386 linux/s390x
	[ "${STRONGROOM_BUILD-}" = all ] || return 0
	local target
	for target in linux/arm64 linux/386 windows/amd64 darwin/arm64; do
		step "build for $target without cgo"
		CGO_ENABLED=0 GOOS=${target%/*} GOARCH=${target#*/} go build -o "$scratch/strongroom" ./cmd/strongroom
	done
}

# Code for 32 bits: not every 64-bit system runs its programs.
run_small() {
	if ! CGO_ENABLED=0 GOOS=linux GOARCH=386 go test ./internal/redact >/dev/null 2>&1; then
		step "left out, since this system runs no programs of 32 bits: the store and what parses"
		return
	fi
	step "the store and what parses, with 32 bits"
	local folders
	mapfile -t folders < <(grep -rlE --include='*_test.go' '^func (TestTables|Fuzz)' keystore driver/tpm internal/ciphertext vault/stream audit |
		xargs dirname | sort -u)
	CGO_ENABLED=0 GOOS=linux GOARCH=386 go test -count=1 -run '^(TestTables|Fuzz.*)$' "${folders[@]/#/./}"
}

# s390x has the other byte order, and ciphers of its own whose states share memory. The vault and its
# streams are compiled for it with STRONGROOM_BUILD=all only, because that takes longer than all else.
run_s390x() {
	step "cryptography and formats on s390x, emulated"
	local folders=(./internal/{suite,ciphertext,keywrap,selftest})
	[ "${STRONGROOM_BUILD-}" != all ] || folders+=(./vault/stream)
	CGO_ENABLED=0 GOARCH=s390x go test -short -count=1 -exec qemu-s390x "${folders[@]}"
	[ "${STRONGROOM_BUILD-}" = all ] || return 0
	CGO_ENABLED=0 GOARCH=s390x go test -count=1 -exec qemu-s390x -run '^(TestEncryptRotateReopen|TestDataKey)$' ./vault
}

# tests_in prints a pattern of the names of the tests in some files.
tests_in() { sed -n 's/^func \(Test[A-Za-z0-9]*\)(t \*testing.T) {$/\1/p' "$@" | sort -u | paste -sd '|'; }

# The tests that damage, fill or cut off the store's disk, exchange its files, kill its process,
# or open a vault hundreds of times. They spend their time in processes and files and not in
# concurrent code, and no edition differs in it.
disks='TestFailingCalls|TestFullDisk|TestKilled|TestEveryFile|TestDamageTable|TestPowerCut|TestFaultAtEveryCall'
disks+='|TestRepair(OneFile|TwoFiles|TenThousandKeys)|TestStoredBytes|TestTornBackup|TestModel|TestReEncryptAllKilled'
disks+='|TestDestructionKilled|TestImportKilled|TestCountsSurviveKill|TestGrantCountSurvivesKill|TestUsesSurviveKill'
disks+='|TestRepairOlderStores|TestOlderStores'
disks+='|TestChangedTwin|TestTwinOfAnotherTime|TestChangedFileDuringReplacement|TestEveryStoredByte'
disks+='|TestStoredRecordsWhileOpen|Test(File|Directory)ReplacedUnderOpenVault|TestLostLog|TestCutLogIsLost'
disks+='|TestCutAuditFreesTheDisk'
disks+="|$(tests_in vault/{directory,destroy,wrong_clock,clock_range,backup_schedule,export_audit}_test.go)"
disks+="|$(tests_in keystore/{repair,epochcrash,journal,shortage,cut}_test.go)"
disks+="|$(tests_in keystore/badger/{crash,damage,direct,full,killepoch,rollback,table,trim,update}_test.go)"
disks="^($disks)\$"
disk_folders=(vault keystore keystore/badger)

# The vectors and the table of unusual keys compute one result after another: the race detector
# finds nothing in them, and makes them ten times slower.
odd_keys='^TestSuite$/./^OddKeys$|^TestVault$/^OddKeys$|^TestVault$/./^OddKeys$'
vectors="^TestWycheproof|$odd_keys"

# So do these, of which the editions differ in some, and their steps run them too: what a token
# without an ability does, what its keys are for, and what openssl makes.
computing="$(tests_in vault/{import_openssl,openssl,openssl_sign,openssl_decrypt,asymmetric_decrypt,ciphertext,protection_level,state}_test.go)"
computing+="|$(tests_in driver/pkcs11/{limited_token,missing_mechanism,selftest,without,invalid_config,key_policy}_test.go)"
computing+="|$(tests_in driver/pkcs11/{protection_level,protector,protector_keys,tpm2pkcs11,unwrap_check,vault_import_key}_test.go)"
computing="^($computing)\$|^Test(Mutants|Control|EveryCheckFindsAMutant|ConformanceEnforced)\$|^TestConformance\$/^(FIPS|SM)\$"
token_folders=(driver/{pkcs11,tpm,soft,drivertest} internal/{pkcs1,suite,keywrap} vault)

# The tests that count or measure what the race detector adds to, or what other tests disturb.
measured='^(TestNoAllocationPerCall|TestFailedCallsDoNotGrow|TestNothingLeftInCHeap|TestPaddingTiming|TestTimeTells.*)$'
measured_folders=(internal/pkcs1 driver/pkcs11 vault)

# The search for keys in memory, which the step measured runs for each edition.
memory_search='^TestMemory$'

# The tests that run over each token run over SoftHSM under the race detector. The other tokens
# differ in the module, of which the race detector sees nothing.
other_tokens='^Test(Vault(Model|ImportLength|RefusesReplacedKey|Orphans|MovesIn)?|Attacks|Probe|ConcurrentWriters'
other_tokens+='|Lost(Private|Public)Half|MeasuredModules|Protector(Conformance|TakesNoPlantedKey)|SentinelDestroyed'
other_tokens+='|(ModuleFinalized|SessionsClosed)ByAnother|Conformance|Wycheproof(Unwrapped)?)$/^(NSS|p11-kit)$'

# The terminal sessions start a hundred processes, which the race detector makes slow. The
# tests of interrupted commands run under it. The commands of the documents are such sessions
# too.
sessions='^Test(TPM|Token)?Scripts$|^TestCommands$'

# The software engine's suite runs without the race detector, in the steps sm and fips. The race step
# runs the suite over the driver in memory, because the concurrent code of the vault is the same.
software='^TestSuite$/^soft'

# tested prints the folders of the packages that have tests.
tested() { go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' ./...; }

# sequential prints the packages of which no file, test files included, starts a goroutine or has
# a lock: the race detector has nothing to find in them, and makes them five to ten times slower.
sequential() {
	local folder
	while read -r folder; do
		grep -qsE '\bgo (func\b|[a-z][A-Za-z.]*\()|\.Go\(|\b(sync|atomic)\.' "$folder"/*.go || printf '%s\n' "$folder"
	done
}

run_race() {
	step "go test -race"
	local all concurrent
	all=$(tested)
	mapfile -t concurrent < <(grep -vxF "$(sequential <<<"$all")" <<<"$all")
	# The packages that take longest come first, so that both cores have work to the end.
	in_memory env CGO_ENABLED=1 go test -race -count=1 -p 4 -timeout 30m \
		-skip "$disks|$vectors|$computing|$measured|$sessions|$other_tokens|$software" \
		./driver/pkcs11 ./vault ./keystore/badger ./driver/tpm "${concurrent[@]}"
}

# The packages that the race step leaves out.
run_sequential() {
	step "go test of packages without goroutines"
	local all folders
	all=$(tested)
	mapfile -t folders < <(sequential <<<"$all")
	in_memory go test -count=1 -timeout 30m -skip "$disks|$vectors|$measured|$sessions" "${folders[@]}"
}

# The clients are dependencies of these tests only, and so each test is a module of its own.
run_sdk() {
	step "official clients of vault/tencentkms and vault/awskms"
	local module out
	for module in vault/tencentkms/sdktest vault/awskms/sdktest; do
		if ! out=$(go -C "$module" list -deps -test ./... 2>&1 >/dev/null); then
			[[ $out == *https://* ]] || fail "$module: $out"
			echo "left out, since the module proxy cannot be reached: $out"
			continue
		fi
		go -C "$module" vet ./...
		go -C "$module" test -count=1 -timeout 10m ./...
	done
}

run_disks() {
	step "damaged, full and lost disks, without the race detector"
	go test -count=1 -timeout 30m -run "$disks" "${disk_folders[@]/#/./}"
	step "the sessions of the command line, and the commands of the documents"
	go test -count=1 -timeout 30m -run "$sessions" ./cmd/strongroom ./internal/testing/docs
}

run_measured() {
	step "memory, allocations and times"
	go test -count=1 -p 1 -timeout 30m -run "$measured|^TestMemory" "${measured_folders[@]/#/./}"
	go test -count=1 -run "$memory_search" ./vault -edition SM
	go test -count=1 -run "$memory_search" -exec 'env GODEBUG=fips140=only' ./vault
}

# A vault over a token makes a wrapping key for each vector, and so it runs a sample of the files that
# the drivers run all of. The race step has the conformance of SoftHSM and the TPM; with
# STRONGROOM_CONFORMANCE=all this step repeats it with the large RSA keys, which take seconds to make.
# The step modules has the tests over other tokens than SoftHSM.
run_tokens() {
	step "the vectors, and the tests of tokens that compute"
	local run="$vectors|$computing"
	[ "${STRONGROOM_CONFORMANCE-}" != all ] || run+="|^TestConformance"
	in_memory go test -count=1 -timeout 30m -run "$run" -skip "$other_tokens" "${token_folders[@]/#/./}"
	in_memory env STRONGROOM_WYCHEPROOF=all go test -count=1 -timeout 30m -run '^TestWycheproof$' ./vault
}

run_modules() {
	step "the tests over NSS and p11-kit"
	in_memory go test -count=1 -timeout 30m -run "$other_tokens" ./driver/pkcs11
}

# The editions run without the race detector: the code is the same, and the race step has it.
# TestSuite has a part for each edition: that of FIPS runs in the step fips, the others in sm.
run_sm() {
	step "the vault's tests in the SM edition"
	in_memory go test -count=1 -timeout 30m -skip "$disks|$vectors|$memory_search|^TestSuite\$/^memory\$" ./vault -edition SM
}

run_fips() {
	step "the FIPS edition's tests, in processes that enforce FIPS 140"
	in_memory go test -count=1 -timeout 30m -skip "$disks|$memory_search" -exec 'env GODEBUG=fips140=only' \
		./audit ./keystore ./keystore/internal/... ./internal/suite ./internal/ciphertext ./internal/keywrap ./vault ./vault/stream
}

# at_once runs steps at the same time, because their tests wait for half of their time, and
# prints the output of each when it has ended.
at_once() {
	local name failed=()
	declare -A pid
	for name in "$@"; do
		"run_$name" >"$scratch/$name.out" 2>&1 &
		pid[$name]=$!
	done
	for name in "$@"; do
		wait "${pid[$name]}" || failed+=("$name")
		cat "$scratch/$name.out"
	done
	[ "${#failed[@]}" -eq 0 ] || fail "failed: ${failed[*]}"
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

scratch=$(mktemp -d)
memory=$(memory_folder)
trap 'rm -rf "$scratch" ${memory:+"$memory"}' EXIT
install_tools
# What a test needs is here now: a test that misses something fails, and is not skipped.
export CI=true
# The step lint vets all packages with their tests.
export GOFLAGS="${GOFLAGS-} -vet=off"
if [ $# -eq 0 ]; then
	at_once lint build small s390x sdk
	run measured # alone, because others disturb it
	run race
	at_once disks tokens sequential modules sm fips
fi
for name in "$@"; do
	run "$name"
done
printf '\ntest.sh: all passed\n'
