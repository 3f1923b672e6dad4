#!/bin/sh
# Runs every fuzz target of the module for a short time, one after another.
#
# usage: tools/fuzz.sh TIME    (10s, 2m, …)
set -eu

time=${1:?usage: tools/fuzz.sh TIME}
go=${GO:-go}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
ran=0
for package in $("$go" list ./...); do
    dir=$("$go" list -f '{{.Dir}}' "$package")
    targets=$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | sed 's/^func //')
    for target in $targets; do
        echo "fuzz: $target in $package for $time"
        ran=$((ran + 1))
        "$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" >"$log" 2>&1 && continue
        # The Go fuzzer at times calls its own end of time a failure; then there is no failing input.
        if grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"; then
            continue
        fi
        cat "$log"
        exit 1
    done
done
echo "fuzz: $ran targets ran, none failed"
