#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# htmldocs.sh: renders docs/*.rst and the kernel-doc of all public symbols to one HTML page.
# A warning is a failure.
. "$(dirname "$0")/common.sh"

need perl python3-sphinx
source=$(KSRC='' kernel_source 6.12) || exit
out=$CACHE/htmldocs
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
warnings=$tmp/warnings
files=("$TOP"/virtio_mem_xlate{,_user}.h "$TOP"/virtio_mem_xlate.c $(grep -l "^/\*\*$" "$TOP"/user/*.[ch]))

opening "htmldocs: docs/ and kernel-doc as one page; 1 minute"
cp "$TOP"/docs/*.rst "$tmp"
{
	printf '%s\n' 'The API' =======
	for part in virtio_mem_xlate virtio_mem_xlate_user; do
		printf '%s\n' '' "$part.ko" ------------------------
		for file in "${files[@]}"; do
			[[ $file == "$TOP/$part".* || $part == *_user && $file == "$TOP"/user/* ]] || continue
			perl "$source/scripts/kernel-doc" -rst -Wall "$file"
		done
	done
} >"$tmp/api.rst" 2>"$warnings"
{
	printf '%s\n' virtio_mem_xlate ================ '' '.. toctree::' '   :maxdepth: 2' ''
	# In the order of the README.
	printf '   %s\n' choose design table user-memory testing performance porting api
} >"$tmp/contents.rst"
rm -rf "$out"
sphinx-build -q -C -b singlehtml -d "$tmp/doctrees" -D project=virtio_mem_xlate \
	-D highlight_language=c -D c_id_attributes=__user -D html_theme=classic -D html_theme_options.nosidebar=true \
	-D master_doc=contents -D html_copy_source=0 "$tmp" "$out" >>"$warnings" 2>&1 || echo "sphinx-build failed" >>"$warnings"

# What is exported or inline has an entry.
names=$(sed -nE 's/^EXPORT_SYMBOL_GPL\((.*)\);/\1/p; s/^static inline .*[ *](virtio_\w+)\(.*/\1/p
	s/^#define (virtio_\w+)\(.*/\1/p; s/^struct (virtio_\w+) \{/\1/p' \
	"${files[@]}" | grep -vE '_(cold|search|table|log)$' | sort -u)
for name in $names; do
	grep -q "id=\"c\.$name\"" "$out/contents.html" || echo "$name has no entry" >>"$warnings"
done

# Sphinx has one name space for structs and functions; C has two.
sed -i -E '/WARNING: Duplicate C declaration/{N;/virtio_mem_xlate_hold /d}' "$warnings"
rc=0
[ ! -s "$warnings" ] || rc=1
result "$rc" "docs/ and $(wc -w <<<"$names") symbols: file://$out/contents.html" "$(cat "$warnings")"
closing htmldocs
