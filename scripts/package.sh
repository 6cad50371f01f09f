#!/usr/bin/env bash
# Makes packages: scripts/package.sh [REVISION, by default 1 [FOLDER, by default dist/]]
#
#   multibinder_VERSION-REVISION_ARCH.deb    for Debian 12, Ubuntu 22.04 and newer
#   multibinder-VERSION-linux-ARCH.tar.gz    the program, man pages, completions, units
#   multibinder-VERSION.cdx.json             what it is made of (a CycloneDX bill of materials)
#   SHA256SUMS
#
# It builds the program for the processor that MULTIBINDER_TARGET names (x86_64 or aarch64; by default this machine's),
# unless MULTIBINDER_BIN names a program. Two runs for one commit make the same bytes: all times are that of the commit,
# or SOURCE_DATE_EPOCH.
set -euo pipefail
output=$(realpath -m "${2:-$(dirname "$0")/../dist}") revision=${1:-1}
cd "$(dirname "$0")/.."
. scripts/toolchain.sh
need_tools dpkg-deb:dpkg gzip lowdown
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} LC_ALL=C TZ=UTC
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$output"
# By its source: the program itself may be for another processor.
run() { "$DENO" run --quiet --no-check --frozen --allow-all src/main.ts "$@"; }
version=$(run --version) version=${version#* }
target=${MULTIBINDER_TARGET:-$(uname -m)}
case $target in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) fail "no package for $target" ;;
esac
program=${MULTIBINDER_BIN:-$work/program}
[[ ${MULTIBINDER_BIN:-} ]] || scripts/build.sh "$program"

# What both packages have.
scripts/package/pages.sh "$work/man"
mkdir "$work/completions"
run completions bash >"$work/completions/multibinder"
run completions zsh >"$work/completions/_multibinder"
run completions fish >"$work/completions/multibinder.fish"
"$DENO" run --quiet --no-check --frozen --allow-read --allow-run --allow-env scripts/package/sbom.ts \
  >"$work/sbom.json"

# The tarball: to be unpacked anywhere.
name=multibinder-$version-linux-$arch
mkdir "$work/$name"
install -m 755 "$program" "$work/$name/multibinder"
cp -r LICENSE README.md CHANGELOG.md docs examples "$work/man" "$work/completions" "$work/$name"
tar --create --directory="$work" --sort=name --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw \
  --mtime="@$SOURCE_DATE_EPOCH" "$name" | gzip --no-name >"$output/$name.tar.gz"

# The Debian package.
root=$work/root doc=$work/root/usr/share/doc/multibinder
mkdir -p "$root/DEBIAN" "$root/usr/share/man"/man{1,5,7} "$root/usr/lib/sysusers.d" "$root/lib/systemd/system" "$doc"
install -D -m 755 "$program" "$root/usr/bin/multibinder"
for page in "$work"/man/*; do gzip -9 --no-name <"$page" >"$root/usr/share/man/man${page##*.}/${page##*/}.gz"; done
# The names of the Ruby gem's programs.
for link in multibinder-haproxy-wrapper multibinder-haproxy-erb; do
  ln -s multibinder "$root/usr/bin/$link"
  ln -s multibinder-exec.1.gz "$root/usr/share/man/man1/$link.1.gz"
done
install -D -m 644 "$work/completions/multibinder" "$root/usr/share/bash-completion/completions/multibinder"
install -D -m 644 "$work/completions/_multibinder" "$root/usr/share/zsh/vendor-completions/_multibinder"
install -D -m 644 "$work/completions/multibinder.fish" "$root/usr/share/fish/vendor_completions.d/multibinder.fish"
install -D -m 644 packaging/binder.toml "$root/etc/multibinder/binder.toml"
install -m 644 packaging/sysusers.conf "$root/usr/lib/sysusers.d/multibinder.conf"
# The units of examples/, for a program of a package, and a user and a group of its own.
for unit in examples/systemd/*; do
  sed -E -e 's#/usr/local/bin/#/usr/bin/#' -e 's/^DynamicUser=yes/User=multibinder\nGroup=multibinder/' \
    -e 's/^SocketGroup=haproxy/SocketGroup=multibinder/' -e '/^SupplementaryGroups=haproxy/d' \
    -e 's/^Group=haproxy/&\nSupplementaryGroups=multibinder/' \
    "$unit" >"$root/lib/systemd/system/${unit##*/}"
done
sed 's/^/ /; s/^ $/ ./' LICENSE | cat packaging/deb/copyright - >"$doc/copyright"
gzip -9 --no-name <CHANGELOG.md >"$doc/changelog.gz"
gzip -9 --no-name <"$work/sbom.json" >"$doc/sbom.cdx.json.gz"
gzip -9 --no-name >"$doc/changelog.Debian.gz" <<END
multibinder ($version-$revision) stable; urgency=medium

  * Version $version; changelog.gz says what is new in it.

 -- The multibinder authors <multibinder@users.noreply.github.com>  $(date --date="@$SOURCE_DATE_EPOCH" -R)
END
install -D -m 644 packaging/deb/lintian-overrides "$root/usr/share/lintian/overrides/multibinder"
install -m 755 packaging/deb/{postinst,prerm,postrm} "$root/DEBIAN"
echo /etc/multibinder/binder.toml >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<END
Package: multibinder
Version: $version-$revision
Architecture: $arch
Maintainer: The multibinder authors <multibinder@users.noreply.github.com>
Installed-Size: $(du -sk --apparent-size "$root" | cut -f1)
Depends: libc6 (>= 2.34), libgcc-s1 (>= 3.0), init-system-helpers (>= 1.54~), systemd | systemd-standalone-sysusers | systemd-sysusers
Recommends: haproxy
Section: net
Priority: optional
Homepage: https://github.com/multibinder/multibinder
Description: replace a server without losing a connection
 Holds listening sockets, and lends them to servers: to one after the other, or
 to several at once. Old and new accept from the same queue of the kernel, so
 that a reload, a stop, a crash or a new version loses no connection. A reload
 is checked and confirmed, or refused with the reason. No byte of traffic passes
 through it.
 .
 It succeeds the Ruby program of the same name, and speaks its protocol.
END
(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\n' | sort | xargs md5sum) >"$root/DEBIAN/md5sums"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
# The lowest level of xz: a quarter of the time, for a tenth more bytes.
dpkg-deb --root-owner-group -Zxz -z1 --build "$root" "$output/multibinder_$version-${revision}_$arch.deb" >/dev/null

cp "$work/sbom.json" "$output/multibinder-$version.cdx.json"
cd "$output"
sha256sum "multibinder_$version-${revision}_$arch.deb" "$name.tar.gz" "multibinder-$version.cdx.json" | tee SHA256SUMS
