#!/usr/bin/env bash
# Measures multibinder beside what one would use instead, in the same run; ends with 1 if it lost a connection.
#
#   scripts/bench.sh                   all of it, in some eight minutes: docs/benchmarks.md, its plot, README's table
#   scripts/bench.sh --quick           less of each, in under two minutes: dist/benchmarks/
#   scripts/bench.sh --only NAME...    the experiments of these names (scripts/bench/experiments.ts), to the terminal
#
# Let nothing else run meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh
need_tools haproxy wrk s6-fdholder-daemon:s6 start_server:libserver-starter-perl systemd-socket-activate:systemd \
  ruby python3 gcc /usr/include/stdio.h:libc6-dev unshare:util-linux ip:iproute2
scripts/build.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gcc -O2 -pthread -o "$work/passing" scripts/bench/passing.c
cat >"$work/hello.ts" <<'END'
console.log("hello");
if (Deno.args.length > 0) setInterval(() => {}, 1_000_000);
END
"$DENO" compile --quiet --no-check --no-code-cache --output "$work/hello" "$work/hello.ts"

# Drains are measured with newer ones as well, where they can be had.
haproxys=haproxy
if [[ $* == "" ]]; then
  for release in trixie sid; do
    if other=$(scripts/check/debian_program.sh "$release" haproxy); then haproxys+=:$other; fi
  done
fi

# As clients have it: what surrounds this run must not reach the programs.
unset MULTIBINDER_SOCK NOTIFY_SOCKET LISTEN_FDS LISTEN_PID LISTEN_FDNAMES
export MULTIBINDER_BIN=$PWD/dist/multibinder BENCH_PASSING=$work/passing BENCH_HELLO=$work/hello \
  BENCH_HAPROXYS=$haproxys NO_COLOR=1
# A connection that has ended keeps its client's port for a second, and at 15,000 requests a second those that a
# machine has by default are soon all taken: then connect() searches for milliseconds. A network namespace has its own.
within=()
if unshare --net true 2>/dev/null; then
  # shellcheck disable=SC2016 # for the inner shell
  within=(unshare --net bash -c
    'ip link set lo up && echo 1024 60999 >/proc/sys/net/ipv4/ip_local_port_range && exec "$@"' within)
fi
status=0
"${within[@]}" "$DENO" run --quiet --no-prompt --allow-all scripts/bench/bench.ts "$@" || status=$?
[[ $* ]] || "$DENO" fmt --quiet docs/benchmarks.md README.md
exit "$status"
