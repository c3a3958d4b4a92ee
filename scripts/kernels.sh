#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# kernels.sh [PATTERN]: builds both modules, a warning being a failure, for every
# kernel 6.1 and 6.12 that Debian's release has headers of, or those that match
# PATTERN, such as '*rt*'.  Nothing is installed or run.
. "$(dirname "$0")/common.sh"

# Kernels that are known to fail, and why: known[6.12.1+deb12-amd64]="what it lacks".
# There are none.
declare -A known=()

need gcc make kmod
LOG=$CACHE/kernels.log
: >"$LOG"

# The packages need not be installed, only lie as if they were.
unpack_headers() {
	local dir=$1 deb

	echo "fetching all kernel headers, 300 MB" >&2
	# shellcheck disable=SC2086
	(cd "$dir" && apt-get -qq download $packages $depends) >>"$LOG" 2>&1 || return
	for deb in "$dir"/*.deb; do
		dpkg-deb -x "$deb" "$dir" || return
		rm "$deb"
	done
	sed -i "s,^include /usr/src/,include ${headers:?}/usr/src/," \
		"$dir"/usr/src/*/Makefile
}

packages=$(apt-cache search --names-only '^linux-headers-6\.(1|12)\.[0-9].*-amd64$' |
	cut -d' ' -f1 | sort -V)
[ -n "$packages" ] || die "apt knows of no kernel headers; run apt-get update"
# shellcheck disable=SC2086 # a list of names
depends=$(apt-cache depends $packages |
	sed -nE 's/.*Depends: (linux-(headers|kbuild)-.*)/\1/p' | sort -u)
headers=$CACHE/headers-$(cksum <<<"$packages" | cut -d' ' -f1)
once "$headers" unpack_headers

# build RELEASE: prints what the build has to say, if anything.
build() {
	local dir

	dir=$(mktemp -d)
	(cd "$TOP" && cp Kbuild virtio_mem_xlate*.[ch] "$dir")
	{
		make -s -j"$JOBS" -C "$headers/usr/src/linux-headers-$1" M="$dir" W=1 \
			modules 2>&1 || echo "make failed"
		[ -e "$dir/virtio_mem_xlate_user.ko" ] || echo "no module"
	} | { grep -v '^Skipping BTF generation' || :; }
	rm -rf "$dir"
}

passed=0 failed=0
# shellcheck disable=SC2254 # a pattern
releases=$(for p in $packages; do
	case ${p#linux-headers-} in ${1:-*}) echo "${p#linux-headers-}" ;; esac
done)
echo "kernels: building for $(wc -w <<<"$releases") kernels of Debian's release (log: $LOG)"
for release in $releases; do
	start=$SECONDS
	said=$(build "$release")
	printf '== %s\n%s\n' "$release" "$said" >>"$LOG"
	if [ -z "$said" ] && [ -z "${known[$release]:-}" ]; then
		echo "ok      $release ($((SECONDS - start)) s)"
		passed=$((passed + 1))
	elif [ -n "$said" ] && [ -n "${known[$release]:-}" ]; then
		echo "known   $release: ${known[$release]}"
	else
		echo "not ok  $release: ${said:-builds, but is on the list of known failures}"
		failed=$((failed + 1))
	fi
done

echo "kernels: $passed passed, $failed failed"
[ "$failed" = 0 ]
