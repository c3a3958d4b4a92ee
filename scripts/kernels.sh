#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# kernels.sh [--all-releases] [PATTERN]: builds both modules, a warning being a failure,
# for every kernel of this release's archive that releases.sh names, of all flavours and
# updates, or those that match PATTERN, such as '*rt*'.  With --all-releases, those of the
# other releases, too, each in a clean root, where their tools run.  No kernel is run.
. "$(dirname "$0")/common.sh"

# Kernels that are known to fail, and why: known[6.12.1+deb12-amd64]="what it lacks".
# There are none.
declare -A known=()

others=()
if [ "${1:-}" = --all-releases ]; then
	shift
	mapfile -t others < <(releases | grep -vx "$RELEASE")
fi
need gcc make kmod libelf-dev pahole
LOG=$CACHE/kernels.log
: >"$LOG"

kernels=$(row kernels | paste -sd'|')
packages=$(archive "$RELEASE" apt-cache search --names-only \
	"^linux-headers-(${kernels//./\\.})\\.[0-9].*-amd64\$") || exit
mapfile -t releases < <(sed 's/^linux-headers-\([^ ]*\).*/\1/' <<<"$packages" | sort -V)
[ -n "$packages" ] || die "the archive of $RELEASE has no kernel headers"
headers=$CACHE/headers-$(cksum <<<"${releases[*]}" | cut -d' ' -f1)
once "$headers" unpack_headers "$RELEASE" "$headers" "${releases[@]}"

# build RELEASE: prints what the build has to say, if anything.
build() {
	local dir

	dir=$(mktemp -d)
	(cd "$TOP" && cp -r Kbuild virtio_mem_xlate*.[ch] user "$dir")
	{
		make -s -j"$JOBS" -C "$headers/usr/src/linux-headers-$1" M="$dir" W=1 \
			modules 2>&1 || echo "make failed"
		[ -e "$dir/virtio_mem_xlate_user.ko" ] || echo "no module"
	} | { grep -v '^Skipping BTF generation' || :; }
	rm -rf "$dir"
}

opening "kernels: building for the ${#releases[@]} kernels ${kernels//|/, } of $RELEASE (log: $LOG)"
for release in "${releases[@]}"; do
	# shellcheck disable=SC2254 # a pattern
	case $release in ${1:-*}) ;; *) continue ;; esac
	start=$SECONDS
	said=$(build "$release")
	printf '== %s\n%s\n' "$release" "$said" >>"$LOG"
	if [ -z "$said" ] && [ -z "${known[$release]:-}" ]; then
		result 0 "$release ($((SECONDS - start)) s)"
	elif [ -n "$said" ] && [ -n "${known[$release]:-}" ]; then
		omit "$release" "known: ${known[$release]}"
	else
		result 1 "$release" "${said:-builds, but is on the list of known failures}"
	fi
done
for release in "${others[@]}"; do
	rc=0 log=$CACHE/fresh-$release.1.log
	rm -f "$log"
	"$TOP/scripts/fresh.sh" "$release" "scripts/kernels.sh ${1:+'$1'}" >"$CACHE/kernels.fresh" 2>&1 ||
		rc=$?
	if [ "$rc" = "$SKIPPED" ] || [ ! -e "$log" ]; then
		log=$CACHE/kernels.fresh
	fi
	adopt "$release" "$log" "$rc"
done

closing kernels
