#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# reencode.sh REENCODE DIR: what `pprof -raw` prints of a profile is the same before and after decoding and encoding.
# Left out are files that pprof itself refuses, one that it takes minutes for (deep-1M), and those where the writer's choice
# shows: ids are rows (location-id-huge), a message that comes twice is merged (dup-singular). Skipped (77) without pprof and without go.
set -uo pipefail

if command -v pprof >/dev/null; then
	raw() { pprof -symbolize=none -raw "$1"; }
elif command -v go >/dev/null && go tool pprof -help >/dev/null 2>&1; then
	raw() { go tool pprof -symbolize=none -raw "$1"; }
else
	echo "skipped: neither pprof nor go is installed"
	exit 77
fi

reencode=$1 dir=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 refused=0
for file in "$dir"/*.pb*; do
	case $file in *deep-1M* | *location-id-huge* | *dup-singular*) continue ;; esac
	if ! raw "$file" >"$work/before" 2>/dev/null; then
		refused=$((refused + 1))
	elif "$reencode" <"$file" >"$work/again.pb" && raw "$work/again.pb" >"$work/after" 2>"$work/errors" &&
		cmp "$work/before" "$work/after"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "differs: $file"
		cat "$work/errors"
	fi
done
echo "$passed passed, $failed failed, $refused that pprof refuses"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
