#!/usr/bin/env bash
# Builds the program: scripts/build.sh [OUTPUT, by default dist/multibinder]
#
# MULTIBINDER_TARGET names another processor to build it for, x86_64 or aarch64. DENORT_BIN must then be of that
# one, if it is set.
set -euo pipefail
output=$(realpath -m "${1:-$(dirname "$0")/../dist/multibinder}")
cd "$(dirname "$0")/.."
. scripts/toolchain.sh

target=${MULTIBINDER_TARGET:-$(uname -m)} cross=()
[[ $target == "$(uname -m)" ]] || cross=(--target "$target-unknown-linux-gnu")

# Built beside the output, so that the rename is atomic and a running program keeps its file.
mkdir -p "$(dirname "$output")"
work=$(mktemp -d "$(dirname "$output")/.build.XXXXXX")
trap 'rm -rf "$work"' EXIT
built=$work/$(basename "$output")

# The dependencies are fetched and checked against the lock first: compiled with the lock, the program
# would carry every package that the lock names, those of the tests too.
frozen=()
[[ ! -f deno.lock ]] || frozen=(--frozen)
# shellcheck disable=SC2046 # names of modules
# Each subcommand is named: a package that cannot be had is no error behind a dynamic import.
"$DENO" cache --quiet --no-check "${frozen[@]}" src/main.ts $(find src/cli -name "*.ts" ! -name "*_test.ts")

# A program reads all that it carries at each start, 14 ms of CPU a MB. So it carries JavaScript without types,
# comments and source maps, in one file for each set of modules that are loaded together.
# The names of these files depend on the relative path from the sources to the packages. A copy of the sources in the
# folder of the packages makes it the same for every build.
sources=$(mktemp -d "$("$DENO" info --json | sed -n 's/^ *"denoDir": "\(.*\)",\?$/\1/p')/multibinder.XXXXXX")
trap 'rm -rf "$work" "$sources"' EXIT
cp -r deno.json src ffi "$sources"
[[ ! -f deno.lock ]] || cp deno.lock "$sources"
(cd "$sources" && "$DENO" bundle --quiet --no-check "${frozen[@]}" --packages external --code-splitting \
  --outdir "$work/bundle" src/main.ts)
# With the import map beside them: the program carries the path from there to its entry.
cp deno.json "$work/bundle"

# Of the standard library the program carries the folders whose modules it imports, and of each package no type
# declarations, source maps, documentation and CommonJS.
npm=$("$DENO" info --json | sed -n 's/^ *"npmCache": "\(.*\)",\?$/\1/p')
used=$(grep -rhoE --include='*.ts' --exclude='*_test.ts' '"@std/[a-z]+' src | sed 's/.*@std.//' | sort -u)
unused=()
for folder in "$npm"/*/deno-std/*/*/; do
  grep -qx "$(basename "$folder")" <<<"$used" || unused+=(--exclude "$folder")
done
while read -r file; do unused+=(--exclude "$file"); done < <(
  find "$npm"/*/{acorn,eta} -type f ! -name package.json ! -name '*.mjs' ! -name core.js
  find "$npm"/*/smol-toml -type f ! -name package.json ! -path '*/dist/*.js'
)

# What the program never uses is denied it, unless this Deno takes any denial for less than all permissions: with less,
# Deno opens nothing below /dev and /proc.
denied=(--deny-net --deny-run --deny-import)
"$DENO" run --quiet --no-config --allow-all "${denied[@]}" - <<<'Deno.openSync("/proc/self/exe")' 2>/dev/null ||
  denied=()

# --no-code-cache: a program that root runs must not load code from a file in /tmp that anyone can make.
# --max-semi-space-size: in MiB. V8's young generation would grow to some 90 MB under a flood of requests,
# and stay there.
"$DENO" compile --quiet --no-check --config "$work/bundle/deno.json" --no-lock --cached-only --no-code-cache --no-prompt \
  --v8-flags=--max-semi-space-size=1 \
  --allow-all "${denied[@]}" "${unused[@]}" --output "$built" "${cross[@]}" "$work/bundle/main.js"

# Two builds differ in the times of the source files alone, which the program carries: each gets the same time.
LC_ALL=C sed -E -i "s/(\"t\":)[0-9]{13}([,}])/\1${SOURCE_DATE_EPOCH:-1000000000}000\2/g" "$built"

# An upgrade in place compares this digest with the file before it executes it.
"$DENO" run --quiet --no-check "${frozen[@]}" --allow-read --allow-write scripts/record_digest.ts "$built"

if ((${#cross[@]})); then
  machine=$(od -An -t u2 -j 18 -N 2 "$built") # e_machine of the ELF header
  [[ $target:$machine =~ ^(x86_64:\ +62|aarch64:\ +183)$ ]] || fail "the program was built, but not for $target"
  version="for $target"
else
  version=$("$built" --version) || fail "the program was built, but does not start"
fi
mv -f "$built" "$output"
echo "built $output: $version, $(($(stat -c %s "$output") / 1000000)) MB, by $MULTIBINDER_TOOLCHAIN"
