#!/usr/bin/env bash
# Runs the quickstart over the given files, or over its own samples without any.
set -euo pipefail
start=$PWD
cd "$(dirname "$0")"

command -v go >/dev/null || {
	echo "run.sh: Go $(sed -n 's/^go //p' go.mod) or newer is needed; see https://go.dev/dl/" >&2
	exit 1
}

files=()
for f in "$@"; do
	case $f in
	/*) files+=("$f") ;;
	*) files+=("$start/$f") ;;
	esac
done
# Older shells call an empty list unset.
exec go run ./examples/quickstart ${files[@]+"${files[@]}"}
