/* SPDX-License-Identifier: GPL-2.0 */
/* Tracepoint: which part of a VMM's memory a table has refused, and why. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM virtio_mem_xlate_user

#if !defined(_VIRTIO_MEM_XLATE_USER_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _VIRTIO_MEM_XLATE_USER_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(virtio_mem_xlate_user_refused,
	TP_PROTO(u64 gpa, u64 uaddr, u64 size, int err, const char *why),
	TP_ARGS(gpa, uaddr, size, err, why),
	TP_STRUCT__entry(
		__field(u64, gpa)
		__field(u64, uaddr)
		__field(u64, size)
		__field(int, err)
		__field(const char *, why)
	),
	TP_fast_assign(
		__entry->gpa = gpa;
		__entry->uaddr = uaddr;
		__entry->size = size;
		__entry->err = err;
		__entry->why = why;
	),
	TP_printk("gpa=0x%llx uaddr=0x%llx size=0x%llx error=%d: %s", __entry->gpa,
		  __entry->uaddr, __entry->size, __entry->err, __entry->why)
);

#endif /* _VIRTIO_MEM_XLATE_USER_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE user_trace
#include <trace/define_trace.h>
