#!/usr/bin/env bash
# Runs the quickstart over the given files, or over its own samples without any. The first
# run compiles it, and shows how far that is.
set -euo pipefail
start=$PWD
cd "$(dirname "$0")"

command -v go >/dev/null || {
	echo "run.sh: Go $(sed -n 's/^go //p' go.mod) or newer is needed; see https://go.dev/dl/" >&2
	exit 1
}

# compile compiles what the quickstart imports. With -v, go prints the name of each package
# that it compiles, and nothing for those in its cache.
compile() {
	local total imports
	imports=$(go list -f '{{join .Imports " "}}' ./examples/quickstart)
	total=$(go list -deps ./examples/quickstart | wc -l)
	# shellcheck disable=SC2086 # the names have no spaces
	go build -v $imports 2>&1 | progress "$((total))"
}

# progress counts the lines that are names of packages, and prints all others. On a terminal
# the count stays on one line.
progress() {
	local n=0 line begun=$SECONDS end='\n' every=50
	[ ! -t 2 ] || { end='\r' every=1; }
	while read -r line; do
		case $line in
		*[[:space:]]* | '#'*)
			printf '%s\n' "$line" >&2
			continue
			;;
		esac
		n=$((n + 1))
		[ "$n" -gt 1 ] || echo "the first run compiles up to $1 packages: about half a minute on two idle cores" >&2
		[ "$((n % every))" -ne 0 ] || printf "compiled %d packages, %d s$end" "$n" "$((SECONDS - begun))" >&2
	done
	[ "$n" -eq 0 ] || printf 'compiled %d packages in %d s\n' "$n" "$((SECONDS - begun))" >&2
}

files=()
for f in "$@"; do
	case $f in
	/*) files+=("$f") ;;
	*) files+=("$start/$f") ;;
	esac
done
compile
# Older shells call an empty list unset.
exec go run ./examples/quickstart ${files[@]+"${files[@]}"}
