# SPDX-License-Identifier: GPL-2.0
# releases.sh: sourced by common.sh.  The one place that knows what a release of a
# distribution has.  Another release, such as Debian 14, is one more row.
#
#   release     VERSION_CODENAME in /etc/os-release
#   kernels     in its archive: modules are built for all of them
#   stock       those to boot with all tests, the one for demos first
#   gcc, clang  versions: they are in the names of lib32gcc-*-dev, clang-*, lld-*, llvm-*
#               and libclang-rt-*-dev
#   frama-c     package of Frama-C; - where there is none: that proof is skipped
#   s390x       package of QEMU for that architecture
#   archive     suites that have its kernels, each as archive/suite
RELEASES='
release   kernels       stock     gcc  clang  frama-c       s390x             archive
bookworm  6.1,6.12      6.12,6.1  12   14     frama-c-base  qemu-system-misc  debian/bookworm,debian/bookworm-backports,debian-security/bookworm-security
trixie    6.12,7.2,7.3  6.12,7.3  14   19     -             qemu-system-s390x debian/trixie,debian/trixie-backports,debian-security/trixie-security
'
# Where these archives are if the machine does not say, how apt names their origin, and the
# key that signs them.
ORIGIN=Debian
MIRROR=http://deb.debian.org
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# KUnit in user-mode Linux runs on all of these, whatever the release: what its own
# archive lacks comes from that of another.
UML_KERNELS='6.1 6.12 7.3'

RELEASE=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}") || RELEASE=unknown

# releases: prints all of the table's, a line each.
releases() {
	awk '$1 && $1 != "release" { print $1 }' <<<"$RELEASES"
}

# row COLUMN [RELEASE]: prints what the table says, a word a line; fails for "-".
row() {
	releases | grep -qx "${2:-$RELEASE}" ||
		die "scripts/releases.sh has no row for the release ${2:-$RELEASE}: add one"
	awk -v column="$1" -v release="${2:-$RELEASE}" '
		$1 == "release" { for (i = 1; i <= NF; i++) if ($i == column) n = i }
		$1 == release && n { gsub(",", "\n", $n); print $n; found = $n != "-" }
		END { exit !found }' <<<"$RELEASES"
}

# home_of KERNEL: prints the release whose archive has KERNEL, this one if it can.
home_of() {
	local release

	for release in "$RELEASE" $(releases); do
		row kernels "$release" | grep -qx "$1" && echo "$release" && return
	done
	return 1
}
