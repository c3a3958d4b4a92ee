/* SPDX-License-Identifier: GPL-2.0 */
#include_next <linux/eventfd.h>
#include <linux/version.h>

/* Until 6.7 the caller passed the increment; all callers passed 1. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#define eventfd_signal(ctx)	eventfd_signal(ctx, 1)
#endif
