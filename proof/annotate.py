#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""annotate.py TREE OUT FILE...: copies FILEs of TREE to OUT, with the contracts of contracts.acsl.

A contract names a function, a loop or a return by number, and no line of the source.  Prints
"FUNCTION GOAL N" for each kind of goal that a contract must lead to, and at least how many.
"""
import os
import re
import sys

from source import functions

CONTRACTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'contracts.acsl')
HEADER = re.compile(r'(?:((?:assumed )?contract) of|(predicates) before|(?:(before) )?(loop|return) (\d+) of) (\w+)$')


def contracts():
    """Yields (kind, whether it stands before, number, function, text)."""
    header, text = None, []
    for line in [*open(CONTRACTS), 'end']:
        if line.startswith('#') or not line.strip():
            continue
        if line[0] == '\t':
            text.append(line)
            continue
        if header:
            yield (*header, ''.join(text))
        text = []
        m = HEADER.match(line)
        if not m and line != 'end':
            sys.exit(f'contracts.acsl: what is "{line.strip()}"?')
        header = m and (m.group(1) or m.group(2) or m.group(4), m.group(3), m.group(5), m.group(6))


def place(function, kind, before, number):
    """Where in its file the text is inserted."""
    if kind.endswith(('contract', 'predicates')):
        return function.start
    places = function.loops() if kind == 'loop' else function.returns()
    if int(number) > len(places):
        sys.exit(f'contracts.acsl: {function.name}() has no {kind} {number}')
    return places[int(number) - 1]


def main(tree, out, *files):
    sources = {f: open(f'{tree}/{f}').read() for f in files}
    defined = {f: functions(text) for f, text in sources.items()}
    inserts, goals = {f: [] for f in files}, {}
    for order, (kind, before, number, name, text) in enumerate(contracts()):
        homes = [f for f in files if name in defined[f]]
        if len(homes) != 1:
            sys.exit(f'contracts.acsl: {len(homes)} functions are called {name}()')
        at = place(defined[homes[0]][name], kind, before, number)
        if kind != 'assumed contract' and kind != 'predicates':
            # An invariant is established and preserved.
            for clause, n in ('ensures', 1), ('assert', 1), ('loop invariant', 2):
                goal = (name, clause.replace(' ', '_'))
                goals[goal] = goals.get(goal, 0) + n * len(re.findall(rf'^\t{clause}\b', text, re.M))
        inserts[homes[0]].append((at, order, f'/*@\n{text}*/\n'))
    for f in files:
        text = sources[f]
        # From the end on; of two at one place the first in contracts.acsl comes first.
        for at, _, annotation in sorted(inserts[f], reverse=True):
            text = text[:at] + annotation + text[at:]
        open(f'{out}/{f}', 'w').write(text)
    for (name, goal), n in goals.items():
        print(name, goal, n)


main(*sys.argv[1:])
