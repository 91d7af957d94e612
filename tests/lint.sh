#!/bin/bash
# Everything that can be said about the sources without running them. All checks run, also when one
# fails; the exit code tells whether all passed. `make lint` installs what it takes.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

flags=(-std=c11 -D_GNU_SOURCE -Imodules -Itests/unit -Itests/sim
       '-DSPX_COMMIT="lint"' '-DSPX_BEARSSL="lint"' '-DSPX_COMPILER="lint"' -DSPX_BUILT=0)
sources=(spx.c modules/*/*.c tests/unit/*.c tests/sim/*.c tests/machine/*.c tests/fuzz/*.c
         tests/bench/*.c)
headers=(modules/*/*.h)
formatted=("${sources[@]}" "${headers[@]}" tests/unit/*.h tests/sim/*.h tests/machine/*.h)
scripts=(tests/*.sh tests/fuzz/*.sh tests/bench/*.sh tests/mixed/*.sh .ci/run
         share/completion.bash)
cores=$(nproc)
failed=()

# run WHAT COMMAND...
run() {
    local what=$1 began=$SECONDS
    shift
    if "$@"; then
        printf '  ok      %-14s %3d s\n' "$what" $((SECONDS - began))
    else
        printf '  FAILED  %-14s\n' "$what"
        failed+=("$what")
    fi
}

format() { clang-format --dry-run -Werror "${formatted[@]}"; }

# One file a run: its check of va_lists carries what it thinks from file to file. What it says on
# standard error is only how much it left out.
# shellcheck disable=SC2016  # the inner shell's
tidy() {
    printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$cores" sh -c '
        flags=$1 && shift
        # The analyzer does not know that an assertion of cmocka never returns.
        case $1 in tests/unit/*) set -- --checks=-clang-analyzer-\* "$@" ;; esac
        eval "set -- \"\$@\" -- $flags"
        exec clang-tidy --quiet "$@" 2>/dev/null' tidy "${flags[*]@Q}"
}

check() {
    cppcheck -j "$cores" --quiet --error-exitcode=1 --std=c11 --inline-suppr \
        --enable=warning,performance,portability,style --suppressions-list=tests/cppcheck.txt \
        "${flags[@]:1}" spx.c modules tests/unit tests/sim tests/machine tests/fuzz tests/bench
}

# A header includes what it needs.
alone() {
    printf '%s\0' "${headers[@]}" | xargs -0 -n 1 -P "$cores" \
        gcc -fsyntax-only -Wall -Wextra -Werror "${flags[@]}" -x c
}

# Kinds of failure, codes on the wire and codes of RESET are types of their own: the compiler takes
# none for another.
kinds() {
    local warnings said bad=0
    # shellcheck disable=SC2016  # make's variable
    warnings=$(make -s --eval='warnings: ; @echo $(WARN)' warnings) || return 1
    while read -r expected statement; do
        # shellcheck disable=SC2086  # a list of options
        if said=$(gcc -fsyntax-only $warnings "${flags[@]}" -x c - 2>&1 <<END
#include "base/exits.h"
#include "session/stream.h"
#include "wire/frames.h"
#include "wire/messages.h"
#include "wire/wire_error.h"
int f(struct error *e, struct wire_error *w, struct stream *st, struct welcome *welcome);
int f(struct error *e, struct wire_error *w, struct stream *st, struct welcome *welcome)
{
    (void)e, (void)w, (void)st, (void)welcome;
    $statement
    return 0;
}
END
        ); then
            said=accepted
        elif [[ $said == *-Werror=enum-@(conversion|compare)* ]]; then
            said=refused
        fi
        [ "$said" = "$expected" ] || { printf '%s\n  %s\n' "$statement" "$said"; bad=1; }
    done <<'END'
accepted error_set(e, code_failure(w->code), "x");
accepted wire_error_set(w, CODE_DENIED, "x");
accepted stream_reset(st, RESET_LIMIT, "x");
refused error_set(e, CODE_DENIED, "x");
refused error_set(e, RESET_LIMIT, "x");
refused error_set(e, w->code, "x");
refused wire_error_set(w, FAILURE_DENIED, "x");
refused wire_error_set(w, RESET_LIMIT, "x");
refused wire_error_set(w, e->failure, "x");
refused stream_reset(st, FAILURE_DENIED, "x");
refused stream_reset(st, CODE_DENIED, "x");
refused e->failure = CODE_DENIED;
refused w->code = e->failure;
refused return e->failure == CODE_DENIED;
refused return exit_code(w->code);
accepted welcome->code = CODE_DENIED;
refused welcome->code = FAILURE_DENIED;
refused welcome->code = RESET_LIMIT;
refused return *code_text(FAILURE_DENIED);
refused return *reset_code_text(CODE_DENIED);
refused return (int)(struct refusal){.code = RESET_LIMIT}.retry_s;
refused return (int)(struct reset_frame){.code = CODE_DENIED}.text.len;
refused return (int)(struct close_frame){.code = RESET_LIMIT}.text.len;
END
    return "$bad"
}

# Includes go down the layers only: what each folder may include besides itself.
layers() {
    awk -v applets="$(make -s applets)" '
    BEGIN {
        allowed["base"]    = ""
        allowed["crypto"]  = "base"
        allowed["wire"]    = "base"
        allowed["net"]     = "base"
        allowed["policy"]  = "base"
        allowed["permit"]  = "base crypto wire policy"
        allowed["hop"]     = "base crypto wire net"
        allowed["session"] = "base crypto wire"
        allowed["audit"]   = "base crypto wire net"
        allowed["guard"]   = "base"
        allowed["config"]  = "base crypto wire net policy permit guard"
        allowed["forward"] = "base wire net config session audit"
        allowed["control"] = "base net"
        allowed["http"]    = "base net"
        allowed["web"]     = "base net control http guard"
        allowed["events"]  = "base net"
        allowed["cli"]     = "base config"
        for (n = split(applets, applet, " "); n > 0; n--)
            if (applet[n] != "audit" && applet[n] != "permit")
                allowed[applet[n]] = "base crypto wire net policy permit hop session config forward control http web cli audit events guard"
        allowed["auditor"] = "base crypto wire cli audit" # the applet audit
        allowed["authority"] = "base crypto wire policy permit config cli" # the applet permit
    }
    function may_include(file, folder, target, name) {
        if (name ~ /_carrier\.h$/)
            return folder == target # others have carrier.h, and carriers.h to get one
        if (file ~ /^modules\/session\/(driver|teardown)\.[ch]$/ && target == "net")
            return 1 # the thin parts between the engine and its socket and loop
        if (file ~ /^modules\/hop\/hop(_[a-z0-9]*)?\.[ch]$/ && target == "net")
            return 0 # an engine: no sockets
        return folder == target || index(" " allowed[folder] " ", " " target " ")
    }
    /^#include "/ {
        split(FILENAME, file, "/")
        split($0, quoted, "\"")
        if (split(quoted[2], target, "/") != 2) {
            printf "%s:%d: includes \"%s\"; expected \"folder/name.h\"\n", FILENAME, FNR, quoted[2]
            bad = 1
        } else if (!may_include(FILENAME, file[2], target[1], target[2])) {
            printf "%s:%d: %s may not include %s\n", FILENAME, FNR, file[2], quoted[2]
            bad = 1
        }
    }
    END { exit bad }' modules/*/*.[ch]
}

# Within a folder no files need each other in a circle; a file is here a .c with the .h of its name.
circles() {
    awk '/^#include "/ {
        split(FILENAME, file, /modules\/|\.[ch]$/)
        split($0, quoted, /"|\.h"/)
        split(file[2], own, "/")
        split(quoted[2], other, "/")
        if (own[1] == other[1])
            print file[2], quoted[2]
    }' modules/*/*.[ch] | tsort >/dev/null
}

# A session's insides are for its own folder: others have its functions, and of a circuit's fields
# they write none.
doors() {
    local written='circuit(\.|->)[a-z_.]+ ([-+|&]?=[^=]|\+\+|--)|wire_error_set\(&[^,]*(circuit|session)\b'
    ! grep -rnE --include='*.[ch]' --exclude-dir=session \
        "#include \"session/(state|internal)\.h\"|$written" spx.c modules
}

# One name, one thing: no two types of the modules have the same. And what a header declares is used,
# be it by a test.
names() {
    local twice unused
    twice=$(grep -ohE '^(struct|enum) \w+ \{' modules/*/*.[ch] | sed -E 's/^\w+ (\w+).*/\1/' | sort | uniq -d)
    unused=$(cat spx.c modules/*/*.[ch] tests/*/*.[ch] | grep -oE '\w+' | sort | uniq -c |
        awk '$1 < 3 { print $2 }' |
        grep -Fxf <(grep -hE '^[a-z][^(){;#]*\b\w+\(' modules/*/*.h | grep -vE '^(static inline|typedef)' |
            sed -E 's/^[^(]*\b(\w+)\(.*/\1/'))
    [ -z "$twice" ] || printf 'two of one name: %s\n' "$twice"
    [ -z "$unused" ] || printf 'only defined: %s\n' "$unused"
    [ -z "$twice$unused" ]
}

# As docs/GLOSSARY.md asks: each source begins by saying what it is, no comment begins with What or
# Whether, and errors of the system are told in the form of our own.
words() {
    local bad=0
    grep -rnE --include='*.[ch]' --include='*.py' '(/\*|"""|^ *#) *(What|Whether)\b' spx.c modules tests && bad=1
    grep -rnw --include='*.c' --exclude=error.c strerror spx.c modules && bad=1
    awk 'FNR == 1 && !/^\/\*/ { print FILENAME ": does not begin with a comment"; bad = 1 }
         END { exit bad }' "${sources[@]}" || bad=1
    return "$bad"
}

# Each function that a header declares has a comment above it, or stands under one with others, without
# an empty line between; a comment may also stand behind it. A body in the header speaks for itself.
contracts() {
    awk '
    FNR == 1 { told = depth = 0 }
    /^$/ && depth == 0 { told = 0 }
    /^\/\*/ { told = 1 }
    depth == 0 && /^[a-z][^=;]*[ *][a-z0-9_]+\(/ && !/^(static inline|typedef)/ && !told && !/\/\*/ {
        printf "%s:%d: no comment says what it promises: %s\n", FILENAME, FNR, $0
        bad = 1
    }
    { depth += gsub(/{/, "{") - gsub(/}/, "}") }
    END { exit bad }' "${headers[@]}"
}

scripts() { shellcheck -x "${scripts[@]}"; }

# Pages of other programs need not be installed where this runs.
pages() { (cd docs && mandoc -Tlint ./*.[1-8] 2> >(grep -v 'outdated mandoc.db' >&2)); }

# have PROGRAM: whether it is there; tells when it is not.
# In CI nothing may be skipped.
have() {
    command -v "$1" >/dev/null && return
    printf '  skipped %s: not installed\n' "$1"
    [ -n "${CI:-}" ] && failed+=("$1")
    return 1
}

run layers layers
run circles circles
run doors doors
run words words
run contracts contracts
run names names
run headers alone
run kinds kinds
run clang-format format
have shellcheck && run shellcheck scripts
have mandoc && run mandoc pages
run cppcheck check
run clang-tidy tidy

if [ ${#failed[@]} -gt 0 ]; then
    echo "lint: failed: ${failed[*]}" >&2
    exit 1
fi
echo "lint: nothing found"
