#!/usr/bin/env bash
# Prints the path of a program as a Debian release has it: of HAProxy bookworm has 2.6, trixie 3.0, sid a newer one.
# It gets the program first, if need be, from the mirror that this machine's own packages come from.
#
#   scripts/check/debian_program.sh RELEASE PROGRAM     the package must have the program's name
#
# Exit status 3: this machine has no such mirror, or cannot reach it; stderr says why.
set -euo pipefail
release=${1:?usage: scripts/check/debian_program.sh RELEASE PROGRAM}
program=${2:?which program?}
. "$(dirname "$0")/../toolchain.sh"
need_tools patchelf

folder=$TOOLCHAIN_CACHE/$program-$release
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

cannot() {
  echo "no $program of Debian $release: $*" >&2
  exit 3
}

# Packages of another release are looked up with lists of our own, as if nothing were installed, and
# unpacked into a folder: nothing of this machine changes.
get() {
  local mirror apt package binary loader libraries
  # shellcheck disable=SC2016 # apt-get fills it in
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' |
    head -n 1) || cannot "there is no apt-get"
  [[ $mirror && -e $keyring ]] || cannot "this machine's packages do not come from Debian"
  mkdir -p {lists,archives}/partial
  echo "deb [signed-by=$keyring] $mirror $release main" >sources
  apt=(apt-get -qq -y --no-install-recommends -oDir::Etc::sourcelist="$PWD/sources" -oDir::Etc::sourceparts=/dev/null
    -oDir::State::Lists="$PWD/lists" -oDir::State::status=/dev/null -oDir::Cache::archives="$PWD/archives"
    -oDir::Cache::pkgcache= -oDir::Cache::srcpkgcache= -oAPT::Sandbox::User=root)
  { "${apt[@]}" update && "${apt[@]}" --download-only install "$program"; } || cannot "apt-get could not get it"
  for package in archives/*.deb; do dpkg -x "$package" root; done
  rm -r lists archives sources root/usr/share

  binary=$(find root/usr -path "*bin/$program" -type f -print -quit)
  if ! patchelf --print-interpreter "$binary" >/dev/null 2>&1; then
    # It needs no libraries.
    mv "$binary" .
    rm -r root
    chmod 755 .
    return
  fi
  # It finds its own loader and libraries, so that it is run, and runs itself again, like any program.
  loader=$(find root -name 'ld-linux-*.so.*' -type f -printf "$folder/%p\n" -quit)
  libraries=$(find root -path 'root/*lib/*' -name 'lib*.so.*' -printf "$folder/%h\n" | sort -u | paste -sd :)
  patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" --output "$program" "$binary"
  chmod 755 .
}

if [[ ! -x $folder/$program ]]; then
  work=$(mktemp -d "$TOOLCHAIN_CACHE/download.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && get) >&2
  mv -T "$work" "$folder" 2>/dev/null || [[ -x $folder/$program ]] || fail "cannot make $folder"
fi
echo "$folder/$program"
