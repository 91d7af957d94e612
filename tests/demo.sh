#!/bin/bash
# Shows spx at work on this machine: a web service, an agent that may reach nothing else, a relay, a
# client; what each of them and the wires between them could see; how fast it is. `make demo` runs
# it. Everything is in a temporary directory and everything that is started is stopped.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
spx=${SPX:-$here/../spx}
python=/usr/bin/python3
file_mib=256
wait_s=15
export LC_ALL=C
unset JOURNAL_STREAM

# ---- How it looks. ----

bold='' dim='' green='' red='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$'\033[1m' dim=$'\033[2m' green=$'\033[32m' red=$'\033[31m' plain=$'\033[0m'
fi

say()   { printf '  %s\n' "$*"; }
title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
quote() { sed -e "s/^/    $dim| /" -e "s/\$/$plain/"; }

checks=0 failures=0

# check WHAT COMMAND...: one thing that must hold.
check() {
    local what=$1
    shift
    checks=$((checks + 1))
    if "$@"; then
        printf '  %sok%s      %s\n' "$green" "$plain" "$what"
    else
        failures=$((failures + 1))
        printf '  %sFAILED%s  %s\n' "$red" "$plain" "$what"
    fi
}

# ---- Programs. ----

dir=$(mktemp -d "${TMPDIR:-/tmp}/spx-demo.XXXXXX") || exit 1
running=()

# start NAME COMMAND...: in the background, its output in NAME.log; its process id becomes $started.
start() {
    local name=$1
    shift
    : >"$dir/$name.log" # at once: what one of the same name said before must not be waited for
    "$@" >>"$dir/$name.log" 2>&1 </dev/null &
    started=$!
    running+=("$started")
}

stop() {
    local pid=$1 other left=()
    kill -TERM "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    for other in "${running[@]}"; do
        [ "$other" = "$pid" ] || left+=("$other")
    done
    running=("${left[@]}")
}

clean_up() {
    local pid
    for pid in "${running[@]}"; do
        kill -TERM "$pid" 2>/dev/null
    done
    for pid in "${running[@]}"; do
        for _ in $(seq 150); do
            kill -0 "$pid" 2>/dev/null || continue 2
            sleep 0.02
        done
        kill -KILL "$pid"
    done
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

give_up() {
    printf '\n%s%s%s\n' "$red" "$1" "$plain" >&2
    for log in "$dir"/*.log; do
        [ -e "$log" ] || continue
        printf -- '--- %s\n' "${log##*/}" >&2
        tail -n 20 "$log" >&2
    done
    exit 1
}

# await NAME PATTERN: until NAME.log has a line with the pattern; what the pattern's group matched
# becomes $found.
await() {
    local deadline=$((SECONDS + wait_s))
    until found=$(sed -nE "s/.*$2.*/\\1/p" "$dir/$1.log" | tail -n 1) && [ -n "$found" ]; do
        [ "$SECONDS" -lt "$deadline" ] || give_up "$1 did not say '$2' within $wait_s s"
        sleep 0.02
    done
}

fetch() { curl -q --noproxy '*' --fail --silent --max-time 40 "$@"; }

milliseconds() { awk -v s="$1" 'BEGIN { printf "%.2f ms", s * 1000 }'; }

# times COUNT FETCH...: so many fetches, of which the numbers that curl writes are sorted.
times() {
    local round rounds=$1
    shift
    for ((round = 0; round < rounds; round++)); do
        fetch -o /dev/null "$@" || give_up "it could not be fetched: $*"
    done | sort -n
}

# Of one service: megabytes (10^6) a second, the best of three, into $speed; time to the first byte,
# the median of eleven, into $first.
measure() {
    speed=$(times 3 -w '%{speed_download}\n' "$1/random.bin" | awk '{ b = $1 } END { printf "%.0f", b / 1e6 }') || exit 1
    first=$(times 11 -w '%{time_starttransfer}\n' "$1/page.html" | sed -n 6p) || exit 1
}

cpu_ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }
cpu_of() { awk -v t="$1" -v hz="$(getconf CLK_TCK)" -v mib=$((3 * file_mib)) \
    'BEGIN { printf "%.2f s", t / hz / (mib * 1.048576 / 1000) }'; }
memory_of() { awk '/^VmHWM/ { printf "%.1f MB", $2 / 1024 }' "/proc/$1/status"; }

# ---- What is shown. ----

[ -x "$spx" ] || give_up "there is no program $spx: run 'make' first"
began=$(date +%s%N)

title "spx: an engineer reaches a storage system's service, end to end encrypted"
say "  engineer's computer       vendor's network      storage system's site"
say ""
say "  curl --> spx client  ====>   spx relay   ====>  spx agent --> web service"
say ""
say "Here all of it runs on this machine, over loopback, in $dir"

title "1  Keys and configurations"
alice=$("$spx" key new "$dir/alice.key")
relay=$("$spx" key new "$dir/relay.key")
agent=$("$spx" key new "$dir/agent.key")
mkdir "$dir/www" "$dir/other"
marker="marker-$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')"
for line in $(seq 1000); do
    printf '<p>line %s: what only the engineer and the storage system may read: %s</p>\n' "$line" "$marker"
done >"$dir/www/page.html"
head -c "${file_mib}M" /dev/urandom >"$dir/www/random.bin" || give_up "there is no room for $file_mib MiB in $dir"
echo "not for everybody" >"$dir/other/page.html"

start service "$python" "$here/demo_http.py" "$dir/www"
await service '^([0-9]+)$'
service_port=$found
start other "$python" "$here/demo_http.py" "$dir/other"
await other '^([0-9]+)$'
other_port=$found

cat >"$dir/relay.conf" <<END
[Relay]
Listen = 127.0.0.1:0
KeyFile = relay.key

[User]
Name = alice
PublicKey = $alice
Agents = boston-*

[Agent]
Name = boston-vmax-01
PublicKey = $agent
END

# Where agent and client find the relay: first through a recorder each, later directly.
write_configurations() {
    cat >"$dir/agent.conf" <<END
[Agent]
Name = boston-vmax-01
KeyFile = agent.key

[Relay]
Address = 127.0.0.1:$1
PublicKey = $relay

[User]
Name = alice
PublicKey = $alice
Allow = tcp:127.0.0.1:$service_port
END
    cat >"$dir/client.conf" <<END
[Client]
KeyFile = alice.key

[Relay]
Address = 127.0.0.1:$2
PublicKey = $relay

[Agent]
Name = boston-vmax-01
PublicKey = $agent
END
}

start relay "$spx" relay -c "$dir/relay.conf"
relay_pid=$started
await relay 'listening on 127\.0\.0\.1:([0-9]+)'
relay_port=$found

# A recorder in front of the relay for each side keeps every byte that passes.
start agent-recorder "$python" "$here/demo_wire.py" record "127.0.0.1:$relay_port" "$dir/relay-agent.bytes"
agent_recorder=$started
await agent-recorder '^([0-9]+)$'
agent_side=$found
start client-recorder "$python" "$here/demo_wire.py" record "127.0.0.1:$relay_port" "$dir/client-relay.bytes"
client_recorder=$started
await client-recorder '^([0-9]+)$'
write_configurations "$agent_side" "$found"

say "the relay knows alice and the agent boston-vmax-01 by their keys, and nothing else"
say "the agent lets alice reach one service and nothing else:"
grep '^Allow' "$dir/agent.conf" | quote
say "agent and client reach the relay through a recorder that keeps every byte"

title "2  Start"
start_agent() {
    start agent "$spx" agent -c "$dir/agent.conf"
    agent_pid=$started
    await agent 'online at relay (.*) as '
}
start_client() {
    start client "$spx" client -c "$dir/client.conf" boston-vmax-01 \
        -L "0:127.0.0.1:$service_port" -L "0:127.0.0.1:$other_port"
    client_pid=$started
    await client 'connected to agent .*, circuit ([0-9a-f]+)'
    circuit=$found
    await client "forwarding 127\\.0\\.0\\.1:([0-9]+) to tcp:127\\.0\\.0\\.1:$service_port"
    tunnel=http://127.0.0.1:$found
    await client "forwarding 127\\.0\\.0\\.1:([0-9]+) to tcp:127\\.0\\.0\\.1:$other_port"
    refused=http://127.0.0.1:$found
}
start_agent
start_client
say "the client says"
grep -E 'forwarding|connected' "$dir/client.log" | quote
say "the same circuit, $circuit, in the relay's and the agent's log"
grep -h "circuit $circuit: \(joined\|accepted\)" "$dir/relay.log" "$dir/agent.log" | quote

title "3  A page through the tunnel"
fetch -o "$dir/page.got" "$tunnel/page.html"
check "curl got the page, $(stat -c %s "$dir/www/page.html") bytes, the same as the service has" \
    cmp -s "$dir/page.got" "$dir/www/page.html"

title "4  The agent's policy"
say "on this machine anyone can fetch from a second service:"
check "curl to port $other_port directly: $(fetch "http://127.0.0.1:$other_port/page.html")" \
    grep -q 'GET /page.html' "$dir/other.log"
seen_before=$(grep -c connected "$dir/other.log")
fetch -o /dev/null "$refused/page.html"
code=$?
await agent "(tcp:127\\.0\\.0\\.1:$other_port: not permitted)"
# Reset as soon as connected, while sending, or while receiving; 52 would be an end without an answer.
is_reset() { [[ $1 = 7 || $1 = 55 || $1 = 56 ]]; }
check "through the tunnel curl's connection is reset (curl's exit code $code)" is_reset "$code"
check "the second service was not even connected to" \
    [ "$(grep -c connected "$dir/other.log")" -eq "$seen_before" ]
say "the agent says"
grep 'not permitted' "$dir/agent.log" | quote

title "5  What each party and each wire could see"
stop "$client_pid"
await relay "(circuit $circuit: ended)"
stop "$agent_pid"
stop "$client_recorder"
stop "$agent_recorder"

sum() { awk '{ n += $1 } END { print n }'; }

# How often each of the page's marker, the names and the request, and each public key is there.
seen() { # seen WHERE FILE
    local counts keys
    counts=$("$python" "$here/demo_wire.py" count "$2" "$marker" boston-vmax-01 alice "GET /")
    keys=$("$python" "$here/demo_wire.py" count "$2" --key "$alice" "$relay" "$agent" | sum)
    # shellcheck disable=SC2086  # four numbers
    printf '    %-23s %8s %8s %11s %10s %9s %6s\n' "$1" "$(stat -c %s "$2")" $counts "$keys"
    seen_sum=$(printf '%s\n' "$counts" "$keys" | sum)
}
say "how often each thing is there:"
printf '    %s%-23s %8s %8s %11s %10s %9s %6s%s\n' "$dim" '' bytes \
    marker "agent name" "user name" "GET /" keys "$plain"
seen "the page that curl got" "$dir/page.got"
check "the marker is found where it must be: 1000 times in curl's page" [ "$seen_sum" -eq 1000 ]
seen "the wire client - relay" "$dir/client-relay.bytes"
client_wire=$seen_sum
seen "the wire relay - agent" "$dir/relay-agent.bytes"
agent_wire=$seen_sum
larger_than() { # larger_than BYTES FILE FILE
    [ "$(stat -c %s "$2")" -gt "$1" ] && [ "$(stat -c %s "$3")" -gt "$1" ]
}
check "the page passed both wires: each carried more bytes than it has" \
    larger_than "$(stat -c %s "$dir/page.got")" "$dir/client-relay.bytes" "$dir/relay-agent.bytes"
check "nothing of it, no name, no request and no public key on the wire client - relay" [ "$client_wire" -eq 0 ]
check "nor on the wire relay - agent" [ "$agent_wire" -eq 0 ]
say "the relay knows who reached whom, when, and how many bytes:"
quote <"$dir/relay.log"
check "and no content: the marker is not in its log" [ "$(grep -c "$marker" "$dir/relay.log")" -eq 0 ]
say "the agent knows the user, by the key that the user proved, and the targets:"
grep -h "circuit $circuit" "$dir/agent.log" | quote
say "the service saw plain requests from the agent's machine:"
grep GET "$dir/service.log" | head -n 1 | quote

title "6  A file of $file_mib MiB, and the speed (without the recorders)"
write_configurations "$relay_port" "$relay_port"
start_agent
start_client
sent=$(sha256sum <"$dir/www/random.bin")
got=$(fetch "$tunnel/random.bin" | sha256sum)
check "the file's SHA-256 is the same at both ends: ${got%% *}" [ "$got" = "$sent" ]
relay_before=$(cpu_ticks "$relay_pid")
measure "$tunnel"
relay_ticks=$(($(cpu_ticks "$relay_pid") - relay_before))
tunnel_speed=$speed tunnel_first=$first
measure "http://127.0.0.1:$service_port"
printf '    %s%-26s %18s %18s%s\n' "$dim" '' 'through spx' 'directly' "$plain"
printf '    %-26s %13s MB/s %13s MB/s\n' "$file_mib MiB with curl" "$tunnel_speed" "$speed"
printf '    %-26s %18s %18s\n' 'time to the first byte' \
    "$(milliseconds "$tunnel_first")" "$(milliseconds "$first")"
say "the relay, which only joins two sockets in the kernel: $(cpu_of "$relay_ticks") of processor time a GB"
say "memory at most: client $(memory_of "$client_pid"), relay $(memory_of "$relay_pid"), agent $(memory_of "$agent_pid")"
say "the program, all roles in one static file: $(stat -c %s "$spx") bytes"

title "7  The end"
kill -INT "$client_pid"
wait "$client_pid"
check "the client interrupted with Ctrl-C ends with 130 and says what it carried" [ $? -eq 130 ]
grep 'ended:' "$dir/client.log" | quote
stop "$client_pid"

seconds=$(awk -v t=$(($(date +%s%N) - began)) 'BEGIN { printf "%.1f", t / 1e9 }')
if [ "$failures" -eq 0 ]; then
    printf '\n%sdemonstration: %s checks, all hold; %s s%s\n' "$bold$green" "$checks" "$seconds" "$plain"
else
    printf '\n%sdemonstration: %s of %s checks FAILED; %s s%s\n' "$bold$red" "$failures" "$checks" "$seconds" "$plain"
    exit 1
fi
