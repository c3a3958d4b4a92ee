#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# lint.sh: builds all that is for a kernel, with W=1, by gcc with sparse and by clang,
# against the headers of each kernel of this release, then checkpatch and kernel-doc.
# A warning is a failure.  About 2 minutes.
. "$(dirname "$0")/common.sh"

clang=$(row clang)
need gcc make sparse perl python3 git cpio flex bison bc libelf-dev libssl-dev pahole xz-utils "clang-$clang" "lld-$clang" "llvm-$clang"
# Here, so that what these say of installing is not taken for a warning.
source=$(KSRC='' kernel_source 6.12) || exit
mapfile -t versions < <(row kernels)
declare -A headers clangs
for version in "${versions[@]}"; do
	headers[$version]=$(kernel_headers "$version") || exit
	clangs[$version]=$(clang_tree "$version") || exit
done
LOG=$CACHE/lint.log
opening "lint: warnings of gcc, sparse, clang, checkpatch and kernel-doc; 2 minutes (log: $LOG)"
: >"$LOG"

# silent NAME COMMAND...: passes if COMMAND succeeds and prints nothing of note.
silent() {
	local name=$1 out
	shift

	if out=$("$@" 2>&1 </dev/null) && ! grep -q . <<<"$out"; then
		result 0 "$name"
	else
		result 1 "$name" "${out:-it failed and printed nothing}"
	fi
	printf '== %s\n%s\n' "$name" "$out" >>"$LOG"
}

# Copies of the tree, since builds for two kernels do not fit into one.
sources() {
	(cd "$TOP" && git ls-files -co --exclude-standard "$@")
}

# Where KBUILD_MODPOST_WARN is set: stock kernels export no function of KUnit or of user-mode
# Linux, and a tree that is only configured exports none.
elsewhere='^(Skipping BTF generation.*|WARNING: modpost: (.* undefined!|suppressed .*))$'

# build HEADERS MAKE-ARGUMENT...: builds both modules and, but for $only_modules, the rest.
only_modules=
build() {
	local kdir=$1 dir rc=0
	shift

	dir=$(mktemp -d)
	sources | (cd "$TOP" && cpio -pdm --quiet "$dir")
	echo 'long long os_nsecs(void);' >"$dir/bench/os.h"
	set -- -s -C "$kdir" -j"$JOBS" W=1 "$@" modules
	{
		make M="$dir" CONFIG_VIRTIO_MEM_XLATE_USER_TEST=m "$@" &&
			export KBUILD_EXTRA_SYMBOLS="$dir/Module.symvers" && if [ -z "$only_modules" ]; then
			make M="$dir/samples" "$@" &&
				make M="$dir/kunit" KBUILD_MODPOST_WARN=1 CONFIG_DEBUG_FS=y \
					CONFIG_VIRTIO_MEM_XLATE_KUNIT_TEST=m \
					CONFIG_VIRTIO_MEM_XLATE_CANARY=y "$@" &&
				make M="$dir/bench" KBUILD_MODPOST_WARN=1 CPATH="$dir/bench" \
					CF="-I$dir/bench" CONFIG_VIRTIO_MEM_XLATE_BENCH=m "$@"
		fi
	} 2>&1 | { grep -vE "$elsewhere" || :; } || rc=$?
	rm -rf "$dir"
	return "$rc"
}

checkpatch() {
	# Files, not patches: who maintains them and what they replace is not asked.
	# What runs in user space, in part or only, what older kernels lack and tracepoints have
	# other customs.
	# What yields here waits for nothing by that.
	(cd "$TOP" && sources '*.c' '*.h' ':!proof' ':!scripts/guest' ':!samples/compat' \
		':!virtio_mem_xlate_trace.h' ':!user/user_trace.h' ':!kunit/model.h' |
		xargs perl "$source/scripts/checkpatch.pl" \
		--no-tree --strict --terse --quiet --no-summary \
		--ignore FILE_PATH_CHANGES,CAMELCASE,YIELD -f)
}

kernel_doc() {
	(cd "$TOP" && sources '*.c' '*.h' | xargs perl "$source/scripts/kernel-doc" -none -Wall -Werror)
}

# The functions in the README are those that kunit/usage.c runs.
readme_examples() {
	python3 - "$TOP" <<'END'
import re, sys
words = lambda text: ' '.join(text.split())
readme = open(sys.argv[1] + '/README').read()
usage = open(sys.argv[1] + '/kunit/usage.c').read()
examples = re.findall(r'^   static int .*?^   }$', readme, re.M | re.S)
for example in examples:
    if words(example) not in words(usage):
        print('not in kunit/usage.c:', example.splitlines()[0].strip())
if len(examples) != 2:
    print(len(examples), 'examples, not 2')
END
}

undef=$(mktemp --suffix=.h)
trap 'rm -f "$undef"' EXIT
printf '#undef CONFIG_%s\n' DEBUG_FS TRACEPOINTS EVENT_TRACING >"$undef"
for version in "${versions[@]}"; do
	silent "$version headers, gcc W=1" build "${headers[$version]}"
	only_modules=1 silent "$version headers, no debugfs, no tracepoints" \
		build "${headers[$version]}" KCFLAGS="-include $undef"
	# From 7.2 on, a kernel says whether sparse is new enough for it.
	valid=$(readlink "${clangs[$version]}/source")/scripts/checker-valid.sh
	sparse=', sparse' check=(C=2)
	[ ! -e "$valid" ] || [ "$("$valid" sparse)" = 1 ] || sparse='' check=()
	silent "$version, clang-$clang W=1$sparse" \
		build "${clangs[$version]}" LLVM="-$clang" "${check[@]}" KBUILD_MODPOST_WARN=1
done
silent "checkpatch --strict" checkpatch
silent "kernel-doc -Wall" kernel_doc
silent "README's examples are what kunit/usage.c runs" readme_examples

closing lint
