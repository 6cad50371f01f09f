#!/usr/bin/env bash
# Measures what the program costs, as ratios within one run:
#   its start against a compiled hello world;
#   a check of a config with 1,000 bind lines against its own start;
#   requests served beside a HAProxy that drains against those with nobody draining.
# Quiet machines give steady figures: look at the ratios, not at the milliseconds.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh
need_tools haproxy hyperfine python3 wrk
scripts/build.sh
root=$PWD
program=$root/dist/multibinder

work=$(mktemp -d)
binder=
# shellcheck disable=SC2317 # the trap calls it
clean() {
  [[ ! $binder ]] || kill "$binder"
  rm -rf "$work"
}
trap clean EXIT
cd "$work"

echo 'console.log("hello");' >hello.ts
"$DENO" compile --quiet --no-check --no-code-cache --output hello hello.ts

export MULTIBINDER_SOCK=$work/control.sock
# Below the ports that the kernel gives to clients.
first=$((20000 + RANDOM % 11000))
{
  printf 'global\n  maxconn 4000\ndefaults\n  mode http\n  timeout connect 1s\n'
  printf '  timeout client 1s\n  timeout server 1s\nfrontend many\n'
  for ((i = 0; i < 1000; i++)); do
    echo "  bind <%= bind_tcp('127.0.0.1', $((first + i))) %>"
  done
} >many.cfg.eta
"$program" bind 2>/dev/null &
binder=$!
until "$program" healthcheck 2>/dev/null; do kill -0 "$binder"; done

hyperfine --shell=none --warmup 3 --runs 30 --export-json result.json \
  ./hello "$program --version" "$program exec -- haproxy -c -f many.cfg.eta" >/dev/null 2>&1

"$DENO" eval '
  const [hello, start, check] = JSON.parse(Deno.readTextFileSync("result.json")).results;
  const ms = ({ median }) => `${(median * 1000).toFixed(1)} ms`;
  const ratio = (a, b) => (a.median / b.median).toFixed(2);
  console.log(`a compiled hello world            ${ms(hello)}`);
  console.log(`multibinder --version             ${ms(start)}   ${ratio(start, hello)} times hello world`);
  console.log(`check of 1,000 bind lines         ${ms(check)}   ${ratio(check, start)} times --version`);
'

echo
haproxies=(haproxy)
for release in bookworm trixie sid; do
  if haproxy=$("$root/scripts/check/debian_program.sh" "$release" haproxy); then haproxies+=("$haproxy"); fi
done
"$root/scripts/bench/draining.py" "$program" "${haproxies[@]}"
