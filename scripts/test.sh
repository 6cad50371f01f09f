#!/usr/bin/env bash
# Runs every check and test; the last line is the sum: N passed, N failed, N skipped.
#
#   scripts/test.sh                          everything
#   scripts/test.sh checks                   format, lint, types, documentation, architecture
#   scripts/test.sh unit [ARG...]            tests that run in one process; ARG goes to `deno test`
#   scripts/test.sh system [ARG...]          tests of the compiled program with real servers
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
part=${1:-all}
shift || true
case $part in
  all | checks | unit | system) ;;
  *) echo "usage: scripts/test.sh [checks | unit | system [ARG...]]" >&2; exit 2 ;;
esac

. scripts/toolchain.sh
need_tools haproxy wrk curl python3 strace gcc podman runc debootstrap iptables \
  systemd-socket-activate:systemd nsenter:util-linux \
  /usr/lib/podman/netavark:netavark /usr/lib/podman/aardvark-dns:aardvark-dns /usr/include/stdio.h:libc6-dev \
  aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu /usr/aarch64-linux-gnu/include/stdio.h:libc6-dev-arm64-cross
# What surrounds this run must not reach the programs under test.
unset MULTIBINDER_SOCK NOTIFY_SOCKET LISTEN_FDS LISTEN_PID LISTEN_FDNAMES WATCHDOG_USEC WATCHDOG_PID JOURNAL_STREAM
export NO_COLOR=1 MULTIBINDER_BIN=$PWD/dist/multibinder

passed=0 failed=0 skipped=0
output=$(mktemp) || exit 1
trap 'rm -f "$output"' EXIT
green='' red='' plain=''
[[ ! -t 1 ]] || green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'

# run TITLE COMMAND...   The output goes to a file, to be shown if the step fails.
run() {
  local start=${EPOCHREALTIME/[.,]/}
  printf '%-40s ' "$1"
  # A limit, so that a test that hangs ends with its output shown.
  timeout --foreground 1800 "${@:2}" >"$output" 2>&1 </dev/null
  status=$?
  ((status != 124)) || echo "stopped after 30 minutes" >>"$output"
  duration=$(((${EPOCHREALTIME/[.,]/} - start) / 100000))
  duration=$((duration / 10)).$((duration % 10))s
}

# report OK DETAIL   Ends the line that `run` began; OK is 0 for success.
report() {
  if (($1 == 0)); then
    echo "${green}ok${plain} $2($duration)"
  else
    echo "${red}FAILED${plain} $2($duration)"
    cat "$output"
  fi
}

step() {
  run "$@"
  if ((status == 0)); then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  report "$status" ""
}

# tests TITLE ARG...   Adds up what `deno test` says: ok | 12 passed (3 steps) | 0 failed | 2 ignored (5s)
tests() {
  run "$1" "$DENO" test --allow-all --no-check "${@:2}"
  local steps='( \([0-9]+ steps?\))?' ok=0 fine=0 bad=0 ignored=0
  local summary="^(ok|FAILED) \| ([0-9]+) passed$steps \| ([0-9]+) failed$steps( \| ([0-9]+) ignored)?"
  if [[ $(grep -E "$summary" "$output" | tail -n 1) =~ $summary ]]; then
    fine=${BASH_REMATCH[2]} bad=${BASH_REMATCH[4]} ignored=${BASH_REMATCH[7]:-0}
  fi
  # A crash prints no summary, and a run without a test proves nothing.
  if ((status != 0 && bad == 0)) || ((fine + bad + ignored == 0)); then
    bad=$((bad + 1))
    echo "the run itself failed (exit status $status), or no test ran" >>"$output"
  fi
  ((bad == 0)) || ok=1
  passed=$((passed + fine)) failed=$((failed + bad)) skipped=$((skipped + ignored))
  report "$ok" "$fine passed, $bad failed, $ignored skipped "
  # What was skipped and why, unless the whole output has just been shown.
  ((ok != 0)) || grep -E 'SKIP |\.\.\. ignored' "$output" | sed 's/^ */  /'
}

# has_tests FIND_ARG...
has_tests() { [[ $(find "$@" -name '*_test.ts' -print -quit) ]]; }

# Without a path among the ARGs, `deno test` gets the part's own.
paths() {
  local arg
  for arg in "${@:2}"; do [[ ! -e $arg ]] || return 0; done
  echo "$1"
}

if [[ $part == all || $part == checks ]]; then
  step "format" "$DENO" fmt --check
  step "lint" "$DENO" lint
  step "types" "$DENO" check .
  step "documentation of mod.ts" "$DENO" doc --lint mod.ts
  step "examples in mod.ts" "$DENO" check --doc mod.ts
  step "layers" "$DENO" run --allow-read=. scripts/check/layers.ts
  step "struct layouts" "$DENO" run --allow-all scripts/check/layouts.ts
fi
if [[ $part == all || $part == unit ]]; then
  if has_tests . -path ./tests -prune -o; then tests "unit tests" --ignore=tests "$@"; fi
fi
# What differs between processors, in an emulator; the program for the other one is not built here.
arm64_tests() {
  local DENO
  DENO=$(scripts/check/arm64_deno.sh) || fail "no Deno for arm64"
  tests "FFI and protocol tests, arm64" --frozen --preload=tests/support/brief_properties.ts ffi src/control
  echo "  not run: the compiled program for arm64"
}

if [[ $part == all || $part == system ]]; then
  step "build" scripts/build.sh
  # shellcheck disable=SC2046 # one word or none
  if ((status == 0)) && has_tests tests; then tests "system tests" $(paths tests "$@") "$@"; fi
  if (($# == 0)) && [[ $(uname -m) == x86_64 ]]; then arm64_tests; fi
fi

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
