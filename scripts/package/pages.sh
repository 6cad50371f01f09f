#!/usr/bin/env bash
# Writes all man pages into a folder: scripts/package/pages.sh FOLDER
#
# Section 1 comes from the table of commands; the others are pages of docs/, by lowdown.
set -euo pipefail
folder=$(realpath -m "$1")
cd "$(dirname "$0")/../.."
. scripts/toolchain.sh
need_tools lowdown
mkdir -p "$folder"

"$DENO" run --quiet --no-check --allow-read --allow-write --allow-env scripts/package/man.ts "$folder"

# doc_page FILE SECTION WHAT   A page of docs/ as a man page. Links to other pages of docs/ lead nowhere there.
doc_page() {
  local name
  name=multibinder-$(basename "$1" .md)
  {
    printf '# NAME\n\n%s - %s\n\n# DESCRIPTION\n\n' "$name" "$3"
    sed -E '1{/^# /d}; s/^##/#/; s/\[([^]]*)\]\([^)]*\.md[^)]*\)/\1/g' "$1"
  } | lowdown -s -tman -M "title=$name" -M "section=$2" -M "date=$date" |
    # Code is bold, as everywhere in man pages; a heading begins a paragraph by itself.
    sed -zE "s/\\\\fC/\\\\fB/g; s/(\n\.S[HS]\n[^\n]+\n)\.[LP]P\n/\1/g; s/^/'\\\\\" t\n/" >"$folder/$name.$2"
}

date=$(date --utc --date="@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%F)
doc_page docs/templates.md 5 "config templates of multibinder"
doc_page docs/protocol.md 7 "how multibinder is asked for listening sockets"
