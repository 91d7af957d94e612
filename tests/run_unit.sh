#!/bin/sh
# Runs every unit test program, all of them also when one fails; the exit code tells whether all passed.
set -u
failed=
for test in "$@"; do
    echo "---- ${test##*/}"
    "$test" || failed="$failed ${test##*/}"
done
[ -z "$failed" ] && exit 0
echo "unit tests failed:$failed" >&2
exit 1
