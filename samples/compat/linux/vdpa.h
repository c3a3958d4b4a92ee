/* SPDX-License-Identifier: GPL-2.0 */
#include_next <linux/vdpa.h>
#include <linux/version.h>

/* Until 6.18 a vDPA device had a device for DMA, and no operations of its own to map. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
#define vdpa_alloc(type, member, parent, ops, name)	\
	vdpa_alloc_device(type, member, parent, ops, 1, 1, name, false)
#define vdpa_set_dma_dev(vdpa, dev)	((vdpa)->dma_dev = (dev))
#else
#define vdpa_alloc(type, member, parent, ops, name)	\
	vdpa_alloc_device(type, member, parent, ops, NULL, 1, 1, name, false)
#define vdpa_set_dma_dev(vdpa, dev)	((vdpa)->vmap.dma_dev = (dev))
#endif
