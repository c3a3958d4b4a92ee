# SPDX-License-Identifier: GPL-2.0
# Sourced by the other scripts: where things are kept, and how what is missing
# on a fresh machine gets there.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${CACHE:-$HOME/.cache/virtio_mem_xlate}
JOBS=${JOBS:-$(nproc)}
mkdir -p "$CACHE" 2>/dev/null || :	# need() tells a user who has no home
# shellcheck source=scripts/releases.sh
. "$TOP/scripts/releases.sh"

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# Results are in KTAP (Documentation/dev-tools/ktap.rst of the kernel): opening(), a result()
# for each check, closing().  They are at the start of a line; scripts/check.sh counts them.
passed=0 failed=0 skipped=0

# opening TEXT...
opening() {
	echo "KTAP version 1"
	echo "# $*"
}

# result RC NAME [DETAIL]: one result, with lines of detail if it is a failure.
result() {
	if [ "$1" = 0 ]; then
		passed=$((passed + 1))
		echo "ok $((passed + failed + skipped)) $2"
	else
		failed=$((failed + 1))
		[ -z "${3:-}" ] || sed 's/^/#	/' <<<"$3"
		echo "not ok $((passed + failed + skipped)) $2"
	fi
}

# omit NAME REASON: a check that is skipped.
omit() {
	skipped=$((skipped + 1))
	echo "ok $((passed + failed + skipped)) $1 # SKIP $2"
}

# total: prints the three numbers.
total() {
	echo "$passed passed, $failed failed$([ "$skipped" = 0 ] || echo ", $skipped skipped")"
}

# closing NAME: ends the results; fails if one of them is a failure or there are none.
closing() {
	echo "1..$((passed + failed + skipped))"
	echo "# $1: $(total)"
	[ "$failed" = 0 ] && [ $((passed + skipped)) != 0 ]
}

# counts LOG: prints how many results of LOG passed, failed and were skipped.  A log without
# its plan, "1..N", or with another number of results than the plan says, has one failure more.
counts() {
	awk '/^ok [0-9]+ .*# SKIP/ { skipped++; next }
		/^ok [0-9]/ { passed++ }
		/^not ok [0-9]/ { failed++ }
		/^1\.\.[0-9]+$/ { plan = substr($0, 4); planned++ }
		END {
			if (planned != 1 || plan != passed + failed + skipped)
				failed++
			print passed + 0, failed + 0, skipped + 0
		}' "$1"
}

# retell [PREFIX]: counts the results on standard input as the script's own and prints them.
# Programs in a guest may print "ok NAME", "not ok NAME" and "skip NAME" without a number.
retell() {
	local line name
	local pattern='^(ok|not ok|skip) +([0-9]+ +)?(- )?(.*)$'

	while IFS= read -r line; do
		if ! [[ $line =~ $pattern ]]; then
			case $line in
			'KTAP version '* | 1..*) ;;
			*) echo "$line" ;;
			esac
			continue
		fi
		name=${1:+$1: }${BASH_REMATCH[4]}
		case ${BASH_REMATCH[1]}:$name in
		ok:*'# SKIP'*) omit "${name%% # SKIP*}" "${name#*# SKIP }" ;;
		ok:*) result 0 "$name" ;;
		not*) result 1 "$name" ;;
		skip*) omit "$name" "see above" ;;
		esac
	done
}

# adopt PREFIX LOG RC: retells LOG, of a script that ended with RC.  If the script died, that
# is a failure, too.
adopt() {
	local p f s

	retell "$1" <"$2"
	read -r p f s <<<"$(counts "$2")"
	if [ "$f" != "$(grep -c '^not ok [0-9]' "$2" || :)" ]; then
		result 1 "$1: exit status $3, and not all of its results" "$(tail -n 5 "$2")"
	elif [ "$3" != 0 ] && [ "$3" != "$SKIPPED" ] && [ "$f" = 0 ]; then
		result 1 "$1: exit status $3"
	fi
}

# A script that ends with this status is skipped.
SKIPPED=77
skip() {
	{
		omit "${0##*/}" "$*"
		echo "1..$((passed + failed + skipped))"
	} >&2
	exit "$SKIPPED"
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt_get() {
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 "$@"
}

# need PACKAGE...: installs what is missing, or says what to install.
need() {
	local missing=() p log=$CACHE/apt.log

	for p; do installed "$p" || missing+=("$p"); done
	[ ${#missing[@]} -eq 0 ] || [ "$(id -u)" = 0 ] ||
		die "missing packages; as root, run: apt-get install --no-install-recommends ${missing[*]}"
	[ -w "$CACHE" ] || die "$CACHE cannot be written: name another folder by CACHE="
	[ ${#missing[@]} -ne 0 ] || return 0
	echo "installing ${missing[*]} (log: $log)" >&2
	{ apt_get update && apt_get install -y --no-install-recommends "${missing[@]}"; } \
		>"$log" 2>&1 </dev/null || die "apt-get could not install ${missing[*]}; see $log"
}

# once DIR COMMAND...: runs COMMAND with the name of a new folder, which becomes
# DIR when the command is done; nothing if DIR is there.  Safe to run in parallel.
once() {
	local dir=$1 tmp
	shift

	(
		flock 9
		[ -d "$dir" ] && exit
		tmp=$(mktemp -d "$dir.XXXXXX")
		trap 'rm -rf "$tmp"' EXIT
		"$@" "$tmp" && mv -T "$tmp" "$dir"
	) 9>"$dir.lock" || {
		[ $? != "$SKIPPED" ] || exit "$SKIPPED"
		die "could not make $dir"
	}
}

# mirror ARCHIVE: prints where the machine's own apt finds ARCHIVE, such as debian.
mirror() {
	apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' "Origin: $ORIGIN" |
		awk -v name="/$1/" -v url="$MIRROR/$1/" '
			substr($0, length($0) - length(name) + 1) == name { url = $0 }
			END { print url }'
}

# Makes a state for apt in folder $2 that knows the archive of release $1 alone.
apt_state() {
	local suite url

	mkdir -p "$2"/{lists,cache/archives}/partial
	row archive "$1" | while read -r suite; do
		url=$(mirror "${suite%%/*}")
		echo "deb [signed-by=$KEYRING] $url ${suite#*/} main"
	done >"$2/sources.list"
}

# on_state FOLDER COMMAND ARG...: runs COMMAND, of apt, on such a state.
on_state() {
	"$2" -qq -o Dir::Etc::sourcelist="$1/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State::lists="$1/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$1/cache" \
		-o APT::Default-Release= -o APT::Sandbox::User= -o Debug::NoLocking=1 "${@:3}"
}

# unreachable RELEASE LOG: ends the script, as skipped if the archive is that of another
# release and LOG blames the network.
unreachable() {
	[ "$1" = "$RELEASE" ] ||
		! grep -qE 'Could not (resolve|connect)|Temporary failure|timed out|unreachable' "$2" ||
		skip "the archive of $1 cannot be reached; see $2"
	die "the archive of $1 does not answer as it should; see $2"
}

# archive RELEASE COMMAND ARG...: runs COMMAND, of apt, on the archive of RELEASE.  The
# machine's own sources stay as they are.  The lists of yesterday are renewed, if that works.
archive() {
	local state=$CACHE/apt-$1 release=$1
	shift

	(
		flock 9
		[ -z "$(find "$state/fetched" -mmin -1440 2>/dev/null)" ] || exit 0
		apt_state "$release" "$state"
		if on_state "$state" apt-get -o APT::Update::Error-Mode=any update >"$state/log" 2>&1; then
			touch "$state/fetched"
		else
			[ -e "$state/fetched" ] || exit
			echo "no answer of the archive of $release: older lists are used" >&2
		fi
	) 9>"$state.lock" || unreachable "$release" "$state/log"
	on_state "$state" "$@"
}

# unpack RELEASE PACKAGE... DIR: unpacks packages of RELEASE into DIR; none is installed.
unpack() {
	local release=$1 packages=("${@:2:$#-2}") dir=${*: -1} deb

	if [ ${#packages[@]} -le 4 ]; then
		echo "fetching ${packages[*]}" >&2
	else
		echo "fetching ${#packages[@]} packages: $2 and others" >&2
	fi
	cd "$dir"
	# Lists of some hours ago may name a version that has been superseded.
	archive "$release" apt-get download "${packages[@]}" >download.log 2>&1 || {
		rm "$CACHE/apt-$release/fetched"
		archive "$release" apt-get download "${packages[@]}" >download.log 2>&1
	} || {
		cp download.log "$CACHE/download.log"
		unreachable "$release" "$CACHE/download.log"
	}
	rm download.log
	for deb in ./*.deb; do
		dpkg-deb -x "$deb" . && rm "$deb" || return
	done
}

# needs RELEASE PACKAGE PATTERN: prints PACKAGE and those of its dependencies that match.
needs() {
	echo "$2"
	archive "$1" apt-cache depends "$2" | sed -nE "s/^ *Depends: ($3)\$/\1/p"
}

# home KERNEL: as home_of, or says that there is none.
home() {
	home_of "$1" || die "no release in scripts/releases.sh has the kernel $1"
}

unpack_source() {
	unpack "$1" "$2" "$3"
	echo "unpacking $2" >&2
	tar --strip-components=1 -xf usr/src/*.tar.xz && rm -r usr/src usr/share/doc && rmdir usr/share
}

# kernel_source VERSION: prints the unmodified source tree of the kernel VERSION, such
# as 6.12, or the one that KSRC= names.
kernel_source() {
	local pkg=linux-source-$1 release dir version

	if [ -n "${KSRC:-}" ]; then
		[ -f "$KSRC/Kconfig" ] || die "KSRC=$KSRC is no kernel source tree"
		readlink -f "$KSRC"
		return
	fi
	need xz-utils
	release=$(home "$1") || exit
	version=$(archive "$release" apt-cache show --no-all-versions "$pkg" |
		sed -n 's/^Version: //p') || exit
	dir=$CACHE/$pkg-${version//[~+]/-}
	once "$dir" unpack_source "$release" "$pkg"
	echo "$dir"
}

# kernel_release VERSION [FLAVOUR]: prints what uname -r says on the newest kernel
# VERSION of the archive.
kernel_release() {
	local release list

	release=$(home "$1") || exit
	list=$(archive "$release" apt-cache search --names-only \
		"^linux-headers-${1/./\\.}\\.[^-]*(-[0-9]+)?-${2:-amd64}\$") || exit
	[ -n "$list" ] || die "the archive of $release has no kernel $1"
	sed 's/^linux-headers-\([^ ]*\).*/\1/' <<<"$list" | sort -V | tail -n 1
}

# unpack_headers RELEASE DIR KERNEL-RELEASE... TMP: headers, as if they were installed,
# but in DIR, which TMP becomes.
unpack_headers() {
	local release=$1 dir=$2 kernels=("${@:3:$#-3}") tmp=${*: -1} kernel list='' packages

	need libelf-dev pahole	# for objtool and BTF, the tools that come along
	for kernel in "${kernels[@]}"; do
		list+=$(needs "$release" "linux-headers-$kernel" 'linux-(headers|kbuild)-.*')$'\n' || return
	done
	mapfile -t packages < <(sort -u <<<"${list%?}")
	unpack "$release" "${packages[@]}" "$tmp" &&
		sed -i -E "s,^(include |KBUILD_OUTPUT=)/usr/src/,\1$dir/usr/src/," usr/src/*/Makefile
}

# kernel_headers VERSION: prints the folder to build modules for VERSION in.
kernel_headers() {
	local kernel dir release

	release=$(home "$1") || exit
	kernel=$(kernel_release "$1") || exit
	dir=$CACHE/linux-headers-$kernel
	once "$dir" unpack_headers "$release" "$dir" "$kernel"
	echo "$dir/usr/src/linux-headers-$kernel"
}

# clang_config VERSION
clang_config() {
	# Debian's 6.1 has no vDPA.
	[ "$1" = 6.1 ] || echo CONFIG_VDPA=y
	cat <<'END'
CONFIG_64BIT=y
CONFIG_UNWINDER_FRAME_POINTER=y
CONFIG_MODULES=y
CONFIG_SMP=y
CONFIG_NET=y
CONFIG_BLOCK=y
CONFIG_EVENTFD=y
CONFIG_SHMEM=y
CONFIG_TMPFS=y
CONFIG_HUGETLBFS=y
CONFIG_DEBUG_KERNEL=y
CONFIG_DEBUG_FS=y
CONFIG_FTRACE=y
CONFIG_ENABLE_DEFAULT_TRACERS=y
CONFIG_KUNIT=y
CONFIG_HIGH_RES_TIMERS=y
CONFIG_VIRTUALIZATION=y
CONFIG_KVM=m
CONFIG_VHOST_MENU=y
CONFIG_VHOST_NET=y
END
}

# prepare_clang CLANG SOURCE VERSION DIR: a tree to build modules in by clang, which does not take the
# options of a kernel that gcc has built; and for sparse, as the packages of headers lack
# scripts/checker-valid.sh.
prepare_clang() {
	echo "configuring ${2##*/} for clang-$1" >&2
	clang_config "$3" >"$4.config"
	set -- "$4" make -s -C "$2" O="$4" ARCH=x86_64 LLVM="-$1" KCONFIG_ALLCONFIG="$4.config" -j"$JOBS"
	{ "${@:2}" allnoconfig && "${@:2}" modules_prepare; } >"$CACHE/clang.log" 2>&1 || {
		rm "$1.config"
		return 1
	}
	touch "$1/Module.symvers"
	rm "$1.config"
	# Its Makefile has the name of the folder, which once() changes.
	sed -i "s,$1,${1%.*},g" "$1/Makefile"
}

# clang_tree VERSION: prints such a tree for the kernel VERSION.
clang_tree() {
	local tree dir clang

	clang=$(row clang)
	tree=$(KSRC='' kernel_source "$1") || exit
	dir=$CACHE/clang-$clang-$(clang_config "$1" | cksum | cut -d' ' -f1)-${tree##*/}
	once "$dir" prepare_clang "$clang" "$tree" "$1"
	echo "$dir"
}

# From 7.2 on, the image is in parts, below /usr alone.
unpack_image() {
	local release=$1 kernel=$2 dir=$3 list packages

	list=$(needs "$release" "linux-image-$kernel" 'linux-(base|binary|modules)-[0-9].*') || return
	mapfile -t packages <<<"$list"
	unpack "$release" "${packages[@]}" "$dir" || return
	[ -d lib ] || ln -s usr/lib lib
	ln -s "$(find boot lib/ -name 'vmlinuz*' 2>/dev/null | head -n 1)" vmlinuz
	/sbin/depmod -b "$dir" "$kernel"
}

# kernel_image VERSION [FLAVOUR]: prints a folder with vmlinuz and lib/modules/* of the
# kernel VERSION, unpacked, not installed.
kernel_image() {
	local kernel dir release

	release=$(home "$1") || exit
	kernel=$(kernel_release "$@") || exit
	dir=$CACHE/linux-image-$kernel
	once "$dir" unpack_image "$release" "$kernel"
	echo "$dir"
}
