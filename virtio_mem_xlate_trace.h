/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: which guest address failed and why, and how long updates wait.
 *
 * Their symbols are global in a kernel that builds them in, so they have the module's
 * prefix.  An event's name is its symbol's; as it is unique, it can be typed without
 * the name of its system, and both events together by that: as root, one of
 *
 *	echo virtio_mem_xlate_fail >/sys/kernel/tracing/set_event
 *	echo 1 >/sys/kernel/tracing/events/virtio_mem_xlate/enable
 *	perf record -e 'virtio_mem_xlate:*'
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM virtio_mem_xlate

#if !defined(_VIRTIO_MEM_XLATE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _VIRTIO_MEM_XLATE_TRACE_H

#include <linux/tracepoint.h>

/* A table was published or changed, and no view sees the one before any more. */
TRACE_EVENT(virtio_mem_xlate_update,
	TP_PROTO(u32 context, u32 nr_slots, u64 waited_ns),
	TP_ARGS(context, nr_slots, waited_ns),
	TP_STRUCT__entry(
		__field(u32, context)
		__field(u32, nr_slots)
		__field(u64, waited_ns)
	),
	TP_fast_assign(
		__entry->context = context;
		__entry->nr_slots = nr_slots;
		__entry->waited_ns = waited_ns;
	),
	TP_printk("context=%u nr_slots=%u waited_ns=%llu",
		  __entry->context, __entry->nr_slots, __entry->waited_ns)
);

/* An update has waited for 10 s. */
TRACE_EVENT(virtio_mem_xlate_stall,
	TP_PROTO(u32 context, bool for_holds),
	TP_ARGS(context, for_holds),
	TP_STRUCT__entry(
		__field(u32, context)
		__field(bool, for_holds)
	),
	TP_fast_assign(
		__entry->context = context;
		__entry->for_holds = for_holds;
	),
	TP_printk("context=%u waits_for=%s", __entry->context,
		  __entry->for_holds ? "holds" : "views")
);

/* A lookup has failed; the range begins where the failed piece does. */
TRACE_EVENT(virtio_mem_xlate_fail,
	TP_PROTO(u32 context, u64 gpa, u64 len, u32 access, int err),
	TP_ARGS(context, gpa, len, access, err),
	TP_STRUCT__entry(
		__field(u32, context)
		__field(u32, access)
		__field(u64, gpa)
		__field(u64, len)
		__field(int, errno)
	),
	TP_fast_assign(
		__entry->context = context;
		__entry->access = access;
		__entry->gpa = gpa;
		__entry->len = len;
		__entry->errno = -err;
	),
	TP_printk("context=%u gpa=%#llx len=%#llx access=%s errno=%s",
		  __entry->context, __entry->gpa, __entry->len,
		  __print_symbolic(__entry->access, { 1, "r" }, { 2, "w" }, { 3, "rw" }),
		  __print_symbolic(__entry->errno, { EFAULT, "EFAULT" }, { EPERM, "EPERM" },
				   { EAGAIN, "EAGAIN" }, { EOPNOTSUPP, "EOPNOTSUPP" },
				   { ENOBUFS, "ENOBUFS" }, { EOVERFLOW, "EOVERFLOW" },
				   { EINVAL, "EINVAL" }))
);

#endif /* _VIRTIO_MEM_XLATE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE virtio_mem_xlate_trace
#include <trace/define_trace.h>
