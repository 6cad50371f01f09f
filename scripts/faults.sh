#!/usr/bin/env bash
# Makes every system call of the compiled binder fail in turn, and writes docs/faults.md. Some five minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/toolchain.sh
need_tools strace
scripts/build.sh
export MULTIBINDER_BIN=$PWD/dist/multibinder
"$DENO" run --allow-all --no-check scripts/trials/faults.ts
"$DENO" fmt --quiet docs/faults.md
