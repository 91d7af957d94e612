#!/bin/bash
# Runs every fuzz target (libFuzzer, under the address and undefined behaviour sanitizers) for so
# many seconds. What a target has learnt is kept in build/fuzz/corpus/NAME and used the next time;
# an input that fails stays in build/fuzz/failed, and running the target with it shows the failure.
#
#     run.sh SECONDS [TARGET...]      such as: run.sh 60 fuzz_wire
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

seconds=${1:-60}
shift
make --no-print-directory -j "$(nproc)" fuzz-targets || exit 1
if [ $# -eq 0 ]; then
    cd tests/fuzz || exit 1
    for source in fuzz_*.c; do
        set -- "$@" "${source%.c}"
    done
    cd ../..
fi

mkdir -p build/fuzz/failed
failed=
for target in "$@"; do
    mkdir -p "build/fuzz/corpus/$target"
    log=build/fuzz/$target.log
    if "build/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="build/fuzz/failed/$target-" \
        "build/fuzz/corpus/$target" >"$log" 2>&1; then
        printf '  ok      %-12s %s inputs, %s new ones kept\n' "$target" \
            "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
            "$(sed -n 's/^stat::new_units_added: *//p' "$log")"
    else
        printf '  FAILED  %s: %s\n' "$target" "$log"
        grep -v '# Uses:' "$log" | tail -n 60
        failed="$failed $target"
    fi
done
[ -z "$failed" ] && exit 0
echo "fuzz targets failed:$failed" >&2
exit 1
