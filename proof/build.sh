# SPDX-License-Identifier: GPL-2.0
# build.sh: sourced by the scripts that build the module's source in user space.
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

# What is built, and the logs; a folder for each checkout.
BUILD=$CACHE/proof-$(cksum <<<"$TOP" | cut -d' ' -f1)
# The compiler with the sanitizers and _BitInt, and the libraries for 32 bits.
CLANG=clang-$(row clang)
export CLANG
LIB_CLANG=libclang-rt-$(row clang)-dev
LIB_32="lib32gcc-$(row gcc)-dev libc6-dev-i386"
# The tree whose source is built: this one, or a mutant of it.
TREE=${TREE:-$TOP}

# empty_headers DIR: makes empty files of the kernel headers that the source asks for.
empty_headers() {
	local header

	for header in $(sed -n 's,^#include <\(.*\)>,\1,p' \
		"$TREE"/virtio_mem_xlate{.c,.h,_fast.h,_table.h,_index.h,_debug.h,_trace.h}); do
		mkdir -p "$(dirname "$1/$header")"
		: >"$1/$header"
	done
}

# compile CC OUT SOURCE FLAG...
compile() {
	local cc=$1 out=$2 source=$3
	shift 3

	empty_headers "$BUILD/include"
	"$cc" -std=gnu11 -fno-strict-aliasing -Wall -Wextra -Wno-unused-function -Wno-sign-compare \
		-Wno-unused-parameter -g -idirafter "$BUILD/include" \
		-idirafter /usr/include/x86_64-linux-gnu -I"$TREE" -include "$TOP/proof/user.h" \
		"$@" -o "$out" "$TOP/proof/$source" -lpthread
}

# runner_32: prints what runs 32-bit programs: nothing, or QEMU where the kernel does not.
runner_32() {
	echo 'int main(void) { return 0; }' | "$CLANG" -m32 -x c -o "$BUILD/runs-32" - &&
		"$BUILD/runs-32" 2>/dev/null && return
	need qemu-user
	echo qemu-i386
}

LOG=$BUILD/${0##*/}.log
mkdir -p "$BUILD"

# say: prints, and notes in the log.
say() {
	echo "$*" | tee -a "$LOG"
}

# check NAME COMMAND...: passes if COMMAND succeeds; prints the last line it wrote.
check() {
	local name=$1 start=$SECONDS rc=0
	shift

	echo "== $name: $*" >>"$LOG"
	"$@" >"$LOG.step" 2>&1 </dev/null || rc=$?
	cat "$LOG.step" >>"$LOG"
	if [ "$rc" = 0 ]; then
		figures+=("$name: $(tail -n 1 "$LOG.step")")
		result 0 "$name: $(tail -n 1 "$LOG.step") ($((SECONDS - start)) s)"
	else
		figures+=("$name: FAILED")
		result 1 "$name: exit status $rc ($((SECONDS - start)) s)" "$(tail -n 15 "$LOG.step")"
	fi
}

# record NAME: with RESULTS=1 in the environment, the figures of this run replace those of the
# last one of NAME in proof/RESULTS.
figures=()
record() {
	local results=$TOP/proof/RESULTS

	[ -n "${RESULTS:-}" ] || return 0
	touch "$results"
	awk -v name="$1:" '/^[^\t#]/ { skip = $1 == name } !skip' "$results" >"$LOG.results"
	{
		cat "$LOG.results"
		printf '%s: %s, %s, %s, %s CPUs\n' "$1" "$(git -C "$TOP" describe --always --dirty)" \
			"$(date -u +%F)" "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" \
			"$(nproc)"
		printf '\t%s\n' "${figures[@]}"
	} >"$results"
}

# verdict NAME: ends the results; the exit status.
verdict() {
	record "$1"
	closing "$1"
}
