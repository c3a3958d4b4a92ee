#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs the commands of a new user on a new machine; see usage().
. "$(dirname "$0")/common.sh"

usage() {
	cat <<'END'
usage: fresh.sh [RELEASE] [COMMAND]...

Makes a clean root of RELEASE (a row of releases.sh; if not told, this machine's) by
debootstrap, with make and git in it, clones the HEAD of this work tree into it and runs
each COMMAND there, in a shell, with an empty cache.  Without COMMAND, the two of the
README: make demo and make check.  Prints the packages that they install, their times and
their last lines.  As root; 50 minutes for these two on 2 idle cores.
END
}

release=$RELEASE
case ${1:-} in
--help | -h) usage; exit ;;
-*) die "unknown option $1 (--help shows them)" ;;
?*) release=$1; shift ;;
esac
row release "$release" >/dev/null
[ $# -gt 0 ] || set -- "make demo" "make check"
[ "$(id -u)" = 0 ] || die "only root can make a root to change into"
need debootstrap git util-linux

root=$CACHE/fresh-$release
clone=/root/virtio_mem_xlate
suite=$(row archive "$release" | head -n 1)
# Two at once would share the root.
exec 8>"$root.lock"
flock -n 8 || die "another run is at $root"

# inside COMMAND...: runs COMMAND in the root, with devices of its own but no /dev/kvm, and
# ends all processes that it has left running.
inside() {
	# shellcheck disable=SC2016 # for the shell of the new namespace
	unshare --mount --pid --fork --kill-child sh -euc '
		root=$1
		shift
		mount -t proc proc "$root/proc"
		mount -t sysfs -o ro sys "$root/sys"
		mount -t tmpfs dev "$root/dev"
		for node in null:3 zero:5 full:7 random:8 urandom:9; do
			mknod -m 666 "$root/dev/${node%:*}" c 1 "${node#*:}"
		done
		mknod -m 666 "$root/dev/tty" c 5 0
		mkdir "$root/dev/shm" "$root/dev/pts"
		mount -t tmpfs shm "$root/dev/shm"
		mount -t devpts -o newinstance,ptmxmode=666 pts "$root/dev/pts"
		ln -s pts/ptmx "$root/dev/ptmx"
		ln -s /proc/self/fd "$root/dev/fd"
		cd "$root"
		exec chroot . "$@"' inside "$root" \
		env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin JOBS="$JOBS" \
		${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} "$@"
}

packages() {
	# shellcheck disable=SC2016 # for dpkg-query
	inside dpkg-query -W -f '${Package}\n' | sort
}

# The proxies that this machine's apt.conf names, as apt.conf has them.
proxies() {
	apt-config dump | grep -iE '^Acquire::https?::Proxy(::[^ ]+)? "[^"]' || :
}

new_root() {
	local proxy

	proxy=$(proxies | sed -nE 's/^Acquire::http::Proxy "(.*)";$/\1/Ip')
	rm -rf "$root" "$root".[0-9]*.log
	http_proxy=${http_proxy:-$proxy} debootstrap --variant=minbase "$release" "$root" "$(mirror "${suite%/*}")" &&
		cp /etc/resolv.conf "$root/etc/" &&
		proxies >"$root/etc/apt/apt.conf.d/00proxy" && inside apt-get update &&
		inside apt-get install -y --no-install-recommends make git &&
		git -c safe.directory='*' clone --quiet --no-hardlinks "$TOP" "$root$clone"
}

opening "fresh $release: a clean root, then ${*/#/ } (logs: $root.*)"
archive "$release" apt-get --version >/dev/null
new_root >"$root.new" 2>&1 </dev/null || die "no clean root of $release; see $root.new"
echo "# fresh $release: $(git -C "$TOP" log -1 --format='%h %s')"
n=0
for command; do
	start=$SECONDS rc=0 n=$((n + 1))
	log=$root.$n.log
	packages >"$root.before"
	inside bash -c "cd $clone && $command" >"$log" 2>&1 </dev/null || rc=$?
	packages | comm -13 "$root.before" - | paste -sd' ' >"$root.packages"
	echo "# $command: $(wc -w <"$root.packages") packages installed: $(fold -sw 90 <"$root.packages" | sed '2,$s/^/#	/')"
	[ "$rc" = 0 ] || grep -E '^(#	)?not ok|# SKIP' "$log" | sed 's/^/#	/' | head -n 20 || :
	result "$rc" "$command: $((SECONDS - start)) s: $(tac "$log" | grep -m 1 ' passed, ' || tail -n 1 "$log")"
done
closing "fresh $release" && rm -rf "$root"
