#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# deb.sh: packs the source of both modules for dkms, which then builds them for
# each kernel that is installed, as virtio-mem-xlate-dkms_VERSION_all.deb.
. "$(dirname "$0")/common.sh"

# shellcheck disable=SC2034 # dkms.conf asks for it
kernel_source_dir=
# shellcheck source=dkms.conf
. "$TOP/dkms.conf"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
deb=$TOP/virtio-mem-xlate-dkms_${PACKAGE_VERSION}_all.deb

chmod 755 "$tmp"
install -d "$tmp/DEBIAN" "$tmp/usr/src/$PACKAGE_NAME-$PACKAGE_VERSION"
install -m 644 -t "$tmp/usr/src/$PACKAGE_NAME-$PACKAGE_VERSION" \
	"$TOP"/{Kbuild,Makefile,README,LICENSE,dkms.conf} "$TOP"/virtio_mem_xlate*.[ch]
rm -f "$tmp/usr/src/"*/*.mod.c
install -d "$tmp/usr/src/$PACKAGE_NAME-$PACKAGE_VERSION/user"
install -m 644 -t "$tmp/usr/src/$PACKAGE_NAME-$PACKAGE_VERSION/user" "$TOP"/user/*.[ch]
cat >"$tmp/DEBIAN/control" <<END
Package: virtio-mem-xlate-dkms
Version: $PACKAGE_VERSION
Architecture: all
Maintainer: $(git -C "$TOP" log -1 --format='%cn <%ce>' 2>/dev/null || echo "root <root@localhost>")
Depends: dkms
Recommends: linux-headers-amd64 | linux-headers-generic
Section: kernel
Priority: optional
Description: translation of virtio driver memory ranges (kernel modules)
 virtio_mem_xlate lets a virtio device back end in the kernel turn the
 guest-physical ranges that a driver publishes into memory that it may touch;
 virtio_mem_xlate_user does so for the user memory of a VMM.
END
cat >"$tmp/DEBIAN/postinst" <<END
#!/bin/sh
set -e
if [ "\$1" = configure ]; then
	/usr/lib/dkms/common.postinst $PACKAGE_NAME $PACKAGE_VERSION "" "" "\$2"
fi
END
cat >"$tmp/DEBIAN/prerm" <<END
#!/bin/sh
set -e
if [ -e /var/lib/dkms/$PACKAGE_NAME/$PACKAGE_VERSION ]; then
	dkms remove -m $PACKAGE_NAME -v $PACKAGE_VERSION --all
fi
END
chmod 755 "$tmp"/DEBIAN/p*
dpkg-deb --root-owner-group --build "$tmp" "$deb" >/dev/null
echo "$deb: install it with apt-get install $deb"
