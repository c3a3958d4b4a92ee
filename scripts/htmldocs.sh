#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# htmldocs.sh: renders the kernel-doc of all public symbols to one HTML page.  A
# warning is a failure.
. "$(dirname "$0")/common.sh"

need perl python3-sphinx
source=$(KSRC='' kernel_source 6.12) || exit
out=$CACHE/htmldocs
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
warnings=$tmp/warnings
files=("$TOP"/virtio_mem_xlate{,_user}.h "$TOP"/virtio_mem_xlate.c "$TOP"/user/*.[ch])

{
	printf '%s\n' virtio_mem_xlate ================ '' '.. contents::' '   :local:' ''
	for part in virtio_mem_xlate virtio_mem_xlate_user; do
		printf '%s\n' "$part.ko" ------------------------ ''
		for file in "${files[@]}"; do
			[[ $file == "$TOP/$part".* || $part == *_user && $file == "$TOP"/user/* ]] || continue
			perl "$source/scripts/kernel-doc" -rst -Wall "$file"
		done
	done
} >"$tmp/index.rst" 2>"$warnings"
rm -rf "$out"
sphinx-build -q -C -b singlehtml -d "$tmp/doctrees" -D project=virtio_mem_xlate \
	-D highlight_language=c -D c_id_attributes=__user -D html_theme=classic -D html_theme_options.nosidebar=true \
	-D html_copy_source=0 "$tmp" "$out" >>"$warnings" 2>&1 || echo "sphinx-build failed" >>"$warnings"

# What is exported or inline has an entry.
names=$(sed -nE 's/^EXPORT_SYMBOL_GPL\((.*)\);/\1/p; s/^static inline .*[ *](virtio_\w+)\(.*/\1/p
	s/^#define (virtio_\w+)\(.*/\1/p; s/^struct (virtio_\w+) \{/\1/p' \
	"${files[@]}" | grep -vE '_(slow|table)$' | sort -u)
for name in $names; do
	grep -q "id=\"c\.$name\"" "$out/index.html" || echo "$name has no entry" >>"$warnings"
done

if grep . "$warnings"; then
	echo "htmldocs: 0 passed, 1 failed"
	exit 1
fi
echo "htmldocs: $(wc -w <<<"$names") symbols: file://$out/index.html"
echo "htmldocs: 1 passed, 0 failed"
