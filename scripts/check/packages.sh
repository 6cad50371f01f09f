#!/usr/bin/env bash
# Makes the packages twice, which must give the same bytes, and shows the Debian one to lintian.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/toolchain.sh
# The program that is tested otherwise: these build their own.
unset MULTIBINDER_BIN
need_tools lintian

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for name in one two; do scripts/package.sh 1 "$work/$name"; done
diff -r "$work/one" "$work/two" || fail "two runs for one commit made different packages"
# Lintian warns root, and fails of that.
[[ -z $(lintian --allow-root --fail-on error,warning "$work"/one/*.deb | tee /dev/stderr) ]] ||
  fail "lintian has something to say of the package"
