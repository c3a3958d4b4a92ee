#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# splat.sh LOG...: prints the lines that tell of a kernel bug and exits 1 if
# there are any.  A KUnit case passes whatever lockdep, atomic-sleep, KCSAN or
# (on 6.1) KASAN have to say, so every run's log goes through here.
set -u

[ $# -gt 0 ] || { echo "usage: splat.sh LOG..." >&2; exit 2; }
for log; do
	[ -s "$log" ] || { echo "splat.sh: $log is empty or missing" >&2; exit 2; }
done

splat='BUG:|WARNING:|UBSAN:|KASAN:|possible (circular|recursive)|suspicious RCU'
splat+='|INFO: .*(lock|key)|detected stall|Oops|Call Trace|general protection fault'
splat+='|Kernel panic|unreferenced object|refcount_t:'
! grep -aEn "$splat" "$@"
