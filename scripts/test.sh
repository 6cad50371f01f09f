#!/usr/bin/env bash
# Runs checks and tests; the last line is the sum: N passed, N failed, N skipped.
#
#   scripts/test.sh                          what every change must pass
#   scripts/test.sh quick                    its checks, unit tests, and the main promises: under two minutes
#   scripts/test.sh nightly                  what takes too long for every run; writes docs/nightly.md
#   scripts/test.sh checks                   format, lint, types, documentation, architecture
#   scripts/test.sh unit [ARG...]            tests that run in one process; ARG goes to `deno test`
#   scripts/test.sh system [ARG...]          tests of the compiled program with real servers
#
# As many steps run side by side as there are processors; each is told of when it has ended.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
part=${1:-all}
shift || true
case $part in
  all | quick | nightly | checks | unit | system) ;;
  *) echo "usage: scripts/test.sh [quick | nightly | checks | unit [ARG...] | system [ARG...]]" >&2; exit 2 ;;
esac

# Folders whose tests share what takes long to set up, images of containers: each runs in one process. They take
# longest, and come first.
TOGETHER=(tests/systemd tests/container)
# These want the machine for themselves: they measure what a generation that drains costs the others, and flood a
# binder, which takes all of a processor that others could use.
ALONE=(tests/wrapper/drain_test.ts tests/binder/crowd_test.ts)
# The part of the system tests that `quick` runs: what README promises first.
PROMISES=(tests/cli/command_line_test.ts tests/wrapper/reload_test.ts tests/binder/bind_test.ts)
# How long a nightly soak lasts, if the environment does not say.
SOAK_MINUTES=${SOAK_MINUTES:-10}

. scripts/toolchain.sh
need_tools haproxy wrk curl python3 strace gcc tmux promtool:prometheus podman runc debootstrap iptables \
  zsh fish mandoc lowdown lexgrog:man-db \
  systemd-socket-activate:systemd nsenter:util-linux script:bsdutils \
  /usr/lib/libnss_extrausers.so.2:libnss-extrausers \
  /usr/lib/podman/netavark:netavark /usr/lib/podman/aardvark-dns:aardvark-dns /usr/include/stdio.h:libc6-dev \
  aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu /usr/aarch64-linux-gnu/include/stdio.h:libc6-dev-arm64-cross
# Tests of a server that cannot be had are skipped, and say so.
(need_tools nginx:nginx-light lighttpd gunicorn uvicorn puma unicorn node:nodejs pgbouncer \
  start_server:libserver-starter-perl) || true
(need_tools php-fpm8.2:php8.2-fpm) || true
# The same of Docker's engine, beside podman.
(need_tools dockerd:docker.io) || true
# What surrounds this run must not reach the programs under test.
unset MULTIBINDER_SOCK NOTIFY_SOCKET LISTEN_FDS LISTEN_PID LISTEN_FDNAMES WATCHDOG_USEC WATCHDOG_PID JOURNAL_STREAM
export NO_COLOR=1 MULTIBINDER_BIN=$PWD/dist/multibinder

passed=0 failed=0 skipped=0
at_once=$(nproc)
limit=30m
titles=() kinds=() begun=() outcomes=()
declare -A running=() # the number of the step that each process runs
work=$(mktemp -d) || exit 1
trap 'kill "${!running[@]}" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
green='' red='' plain=''
[[ ! -t 1 ]] || green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'

# start KIND TITLE COMMAND...   Begins a step once there is room. The KIND `tests` is a run of `deno test`,
# whose tests are counted; any other `step` counts as one.
start() {
  while ((${#running[@]} >= at_once)); do finish; done
  local number=${#titles[@]}
  kinds+=("$1") titles+=("$2") begun+=("${EPOCHREALTIME/[.,]/}")
  # A limit, so that a test that hangs ends with its output shown.
  timeout "$limit" "${@:3}" >"$work/$number" 2>&1 </dev/null &
  running[$!]=$number
}

# finish   Waits until a step ends, counts it and tells of it; its output is shown if it failed.
finish() {
  local pid status number output fine=0 bad=0 ignored=0 detail='' duration
  wait -n -p pid "${!running[@]}"
  status=$?
  number=${running[$pid]}
  unset "running[$pid]"
  output=$work/$number
  duration=$(((${EPOCHREALTIME/[.,]/} - begun[number]) / 100000))
  duration=$((duration / 10)).$((duration % 10))s
  ((status != 124)) || echo "stopped after $limit" >>"$output"
  if [[ ${kinds[number]} == tests ]]; then
    count "$output"
    detail="$fine passed, $bad failed, $ignored skipped "
  elif ((status == 0)); then
    fine=1
  else
    bad=1
  fi
  passed=$((passed + fine)) failed=$((failed + bad)) skipped=$((skipped + ignored))
  printf '%-40s ' "${titles[number]}"
  if ((bad == 0)); then
    echo "${green}ok${plain} $detail($duration)"
    # What was skipped and why.
    grep -E 'SKIP |\.\.\. ignored' "$output" | sed 's/^ */  /'
    outcomes+=("| ${titles[number]} | ${detail:-ok} | $duration |")
  else
    echo "${red}FAILED${plain} $detail($duration)"
    cat "$output"
    outcomes+=("| ${titles[number]} | **failed** | $duration |")
  fi
}

# count OUTPUT   Adds up what `deno test` says: ok | 12 passed (3 steps) | 0 failed | 2 ignored (5s)
count() {
  local steps='( \([0-9]+ steps?\))?'
  local summary="^(ok|FAILED) \| ([0-9]+) passed$steps \| ([0-9]+) failed$steps( \| ([0-9]+) ignored)?"
  if [[ $(grep -E "$summary" "$1" | tail -n 1) =~ $summary ]]; then
    fine=${BASH_REMATCH[2]} bad=${BASH_REMATCH[4]} ignored=${BASH_REMATCH[7]:-0}
  fi
  # A crash prints no summary, and a run without a test proves nothing.
  if ((status != 0 && bad == 0)) || ((fine + bad + ignored == 0)); then
    bad=$((bad + 1))
    echo "the run itself failed (exit status $status), or no test ran" >>"$1"
  fi
}

finish_all() { while ((${#running[@]})); do finish; done; }

# tests TITLE ARG...
tests() { start tests "$1" "$DENO" test --allow-all --no-check "${@:2}"; }

checks() {
  start step "types" "$DENO" check .
  start step "format" "$DENO" fmt --check
  start step "lint" "$DENO" lint
  start step "documentation of mod.ts" "$DENO" doc --lint mod.ts
  start step "examples in mod.ts" "$DENO" check --doc mod.ts
  start step "layers" "$DENO" run --allow-read=. scripts/check/layers.ts
  start step "options in the documentation" "$DENO" run --allow-read scripts/check/options.ts
  start step "GitHub workflows" scripts/check/workflows.sh
  start step "struct layouts" "$DENO" run --allow-all scripts/check/layouts.ts
}

# Each folder in a process of its own: what one changes in its process, another one's tests must not see. The
# folders with the most tests come first, so that no long one runs by itself at the end.
# @param what precedes their titles
unit_tests() {
  local folder brief=()
  [[ $part != quick ]] || brief=(--preload=tests/support/brief_properties.ts)
  for folder in $(find . -path ./tests -prune -o -name '*_test.ts' -printf '%s %h\n' |
    awk '{ size[$2] += $1 } END { for (folder in size) print size[folder], folder }' |
    sort -rn | cut -d ' ' -f 2); do
    tests "${1:-}unit tests in ${folder#./}" "${brief[@]}" "$folder"/*_test.ts
  done
}

# build   @returns whether there is a program to test
build() {
  # Other steps end meanwhile, and may fail.
  # shellcheck disable=SC2016 # for the inner shell
  start step "build" bash -c 'scripts/build.sh && touch "$0"' "$work/built"
  finish_all
  [[ -e $work/built ]]
}

# The biggest files first, which take longest as a rule: a long one at the end would run by itself.
system_tests() {
  local path
  # All that is done on a Docker engine, and three of them, is for the nights.
  for path in "${TOGETHER[@]}" $(find tests -path tests/docker -prune -o -name '*_test.ts' -print0 | xargs -0 ls -S); do
    [[ " ${TOGETHER[*]} " == *" ${path%/*} "* || " ${ALONE[*]} " == *" $path "* ]] || tests "$path" "$path"
  done
  finish_all
  local at_once=1
  for path in "${ALONE[@]}"; do tests "$path" "$path"; done
  finish_all
}

# What differs between processors, in an emulator: the calls that hand over structs, stacks and descriptors, and a
# conversation with a binder; of a nightly run more calls. Layouts and constants are compiled for both among the
# checks. The program for the other processor is not built here.
arm64_tests() {
  local DENO calls=(ffi/{fd_passing,sockaddr,spawn}_test.ts)
  DENO=$(scripts/check/arm64_deno.sh) || fail "no Deno for arm64"
  [[ $part != nightly ]] || calls+=(ffi/{discard,memory,pidfd,process,socket}_test.ts)
  tests "arm64: system calls" --frozen --preload=tests/support/brief_properties.ts "${calls[@]}"
  tests "arm64: a conversation" --frozen --filter "several sockets" mod_test.ts
}

# Without a path among the ARGs, `deno test` gets the part's own.
paths() {
  local arg
  for arg in "${@:2}"; do [[ ! -e $arg ]] || return 0; done
  echo "$1"
}

# On the newest Deno, since the program is compiled with an older one: what another runtime breaks first, calls of
# libc and the library; of a nightly run all unit tests.
newest_tests() {
  local DENO
  DENO=$(scripts/check/newest_deno.sh) || fail "the newest Deno cannot be had"
  export DENO
  local title
  title="$("$DENO" --version | sed -n '1s/ (.*//p'): "
  if [[ $part == nightly ]]; then
    unit_tests "$title"
  else
    tests "${title}system calls, the library" ffi/*_test.ts mod_test.ts
  fi
}

# The other Denos that tests run on: both are got for x86_64 alone.
other_runtimes() {
  [[ $(uname -m) != x86_64 ]] || { arm64_tests; newest_tests; }
}

# The wrapper's tests on each HAProxy that Debian has, but for the one that every run has: first those that may run
# side by side.
haproxy_tests() {
  local release haproxy path files=(tests/servers/haproxy_test.ts) alone=() haproxys=()
  for path in tests/wrapper/*_test.ts; do
    if [[ " ${ALONE[*]} " == *" $path "* ]]; then alone+=("$path"); else files+=("$path"); fi
  done
  for release in bookworm trixie sid; do
    if haproxy=$(scripts/check/debian_program.sh "$release" haproxy 2>"$work/why"); then
      [[ $(version_of "$haproxy") == "$(version_of haproxy)" ]] || haproxys+=("$haproxy")
    else
      skipped=$((skipped + 1))
      sed 's/^/  SKIP /' "$work/why"
    fi
  done
  for haproxy in "${haproxys[@]}"; do with_haproxy "the wrapper" "$haproxy" "${files[@]}"; done
  finish_all
  local at_once=1
  for haproxy in "${haproxys[@]}"; do with_haproxy "drains and reloads" "$haproxy" "${alone[@]}"; done
  finish_all
}

version_of() { "$1" -v | sed -n '1s/^HAProxy version \([0-9.]*\).*/\1/p'; }

# with_haproxy TITLE HAPROXY FILE...
with_haproxy() {
  start tests "$1 with HAProxy $(version_of "$2")" env PATH="${2%/*}:$PATH" "$DENO" test --allow-all --no-check "${@:3}"
}

# The main promises, by a program with a newer runtime.
newer_runtime_tests() {
  local DENO=$DENO DENORT_BIN=${DENORT_BIN:-} MULTIBINDER_TOOLCHAIN=$MULTIBINDER_TOOLCHAIN file
  local MULTIBINDER_BIN=$work/newer/multibinder
  export MULTIBINDER_BIN
  eval "$(scripts/check/newer_toolchain.sh)"
  start step "build: $MULTIBINDER_TOOLCHAIN" scripts/build.sh "$MULTIBINDER_BIN"
  finish_all
  for file in "${PROMISES[@]}" tests/wrapper/upgrade_test.ts; do tests "with it: $file" "$file"; done
  finish_all
}

nightly() {
  # Before the run writes its own pages.
  local version
  version=$(git describe --always --dirty 2>/dev/null) || version=unknown
  build || return
  limit=3h
  other_runtimes
  haproxy_tests
  start step "a soak of $SOAK_MINUTES minutes" scripts/soak.sh "$SOAK_MINUTES"
  start step "an operator's mistakes on a host, for $SOAK_MINUTES minutes" scripts/soak.sh --host "$SOAK_MINUTES"
  # What of these cannot be had is skipped, and said.
  (need_tools docker-compose) || true
  for file in tests/docker/*_test.ts tests/{container,systemd}/night.ts; do tests "$file" "$file"; done
  start step "100,000 conversations, twice" scripts/fuzz.sh 100000
  start tests "200 upgrades" env MULTIBINDER_UPGRADES=200 "$DENO" test --allow-all --no-check \
    --filter "upgrades under binds" tests/wrapper/upgrade_test.ts
  start tests "25 reloads of HAProxy in many ways" env MULTIBINDER_RELOADS=25 "$DENO" test --allow-all --no-check \
    tests/wrapper/loss_test.ts
  start tests "20 reloads of every server" env MULTIBINDER_RELOADS=20 "$DENO" test --allow-all --no-check \
    tests/servers/loss_test.ts
  start tests "README's example, pasted 50 times" env MULTIBINDER_PASTES=50 "$DENO" test --allow-all --no-check \
    tests/examples/readme_test.ts
  start step "packages twice, and lintian's word" scripts/check/packages.sh
  start step "packages for arm64" scripts/check/arm64_package.sh
  start step "every system call fails in turn" scripts/faults.sh
  newer_runtime_tests
  # It has the machine for itself. Its numbers are kept in dist/benchmarks; it fails of a lost connection alone.
  start step "the benchmark, quickly" scripts/bench.sh --quick
  finish_all
  cat >docs/nightly.md <<END
# The last nightly run

_For whoever wants to know what the long tests found last._

What takes too long for every run, \`scripts/test.sh nightly\` does and writes down here: on $(date -u +%F), of
version $version, Linux $(uname -r) on $(uname -m),
$(nproc) processors.

| what | outcome | took |
| --- | --- | --- |
$(printf '%s\n' "${outcomes[@]}")
END
  "$DENO" fmt --quiet docs/nightly.md
}

case $part in
  checks) checks ;;
  unit)
    if (($#)); then tests "unit tests" --ignore=tests "$@"; else unit_tests; fi
    ;;
  system)
    # shellcheck disable=SC2046 # one word or none
    if build; then
      if (($#)); then tests "system tests" $(paths tests "$@") "$@"; else system_tests; fi
    fi
    ;;
  quick)
    export MULTIBINDER_FUZZ_CASES=500
    # Most of these wait for something at times, which leaves room for one more.
    at_once=$((at_once + 1))
    if build; then for file in "${PROMISES[@]}"; do tests "$file" "$file"; done; fi
    unit_tests
    checks
    ;;
  all)
    checks
    other_runtimes
    unit_tests
    if build; then system_tests; fi
    ;;
  nightly) nightly ;;
esac
finish_all

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
