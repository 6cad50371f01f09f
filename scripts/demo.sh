#!/usr/bin/env bash
# Shows the main job with real traffic: HAProxy v1 is replaced by v2, v2 is reloaded, no connection is lost.
#
#   scripts/demo.sh                gets what is missing, builds dist/multibinder, runs scripts/demo/demo.ts
#   scripts/demo.sh --svg FILE     and draws a timeline of it
set -euo pipefail
[[ ${1:-} != --svg || -z ${2:-} ]] || set -- --svg "$(realpath -m "$2")"
cd "$(dirname "$0")/.."
. scripts/toolchain.sh
need_tools haproxy
scripts/build.sh

exec "$DENO" run --quiet --no-prompt --allow-net=127.0.0.1 --allow-read --allow-write --allow-env --allow-run \
  scripts/demo/demo.ts dist/multibinder "$@"
