#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""report.py [--short] CSV PLOT: the figures of a run as ratios, the goals, and a plot.

Exits with 1 if a goal is missed; with --short there are none.  PLOT is the name
of the picture without .png and .svg.
"""
import collections
import csv
import subprocess
import sys

short = '--short' in sys.argv
source, plot = sys.argv[-2:]

HOSTILE = 'rand', 'adv', 'heavytail'
LAYOUTS = 'eq2m', 'pc', *HOSTILE
PEERS = {
    'vhost_iotlb': "vhost_iotlb, the kernel's own",
    'maple': "maple tree, the kernel's own",
    'kvm': "KVM's search, after search_memslots()",
    'kvm_last': 'the same behind the last used slot, after ____gfn_to_memslot()',
    'linear': 'linear scan, after rte_vhost_va_from_guest_pa() of DPDK',
    'sorted': 'binary search without branches, after find_region() of rust-vmm',
}

Figure = collections.namedtuple('Figure', 'median least clean rounds')
figures = {}
with open(source) as file:
    for layout, n, pattern, length, mode, who, *values in csv.reader(file):
        figures[layout, int(n), pattern, length, mode, who] = Figure(*map(int, values))
NS = sorted({key[1] for key in figures if key[4] == 'throughput'})


def get(layout, n, who, pattern='uniform', length='1-1514', mode='throughput'):
    return figures.get((layout, n, pattern, length, mode, who))


def ratio(layout, n, who, than='ours', **what):
    ours, theirs = get(layout, n, than, **what), get(layout, n, who, **what)
    return theirs.median / ours.median if ours and theirs else None


def row(name, cells):
    print(f'{name:>16}' + ''.join(f'{cell:>10}' for cell in cells))


def doubt(figure):
    return ' ' if 2 * figure.clean > figure.rounds else '?'


def table(layout, **what):
    cells = [n for n in NS if get(layout, n, 'ours', **what)]
    if not cells:
        return
    print(f'\n{layout}: ' + ', '.join(what.values()))
    row('slots', [f'{n} ' for n in cells])
    for who in 'ours', 'ours_call', 'cursor':
        row(who + ' ns', [f'{f.median / 1000:.2f}' + doubt(f)
                          for f in (get(layout, n, who, **what) for n in cells)])
    for who in PEERS:
        row(who, [f'{ratio(layout, n, who, **what):.2f}x' + doubt(get(layout, n, who, **what))
                  for n in cells])


def tables():
    print('Medians: what a translation costs here, in ns, inline, as a call, and by one cursor,')
    print("and the cost in each peer as a multiple of ours.  '?': disturbed in half of the rounds or more.")
    for who, text in PEERS.items():
        row(who, ['  ' + text])
    for layout in LAYOUTS:
        for what in sorted({key[2:5] for key in figures if key[4] in ('throughput', 'chain')},
                           key=lambda what: (what[2], what[1], what[0]), reverse=True):
            table(layout, mode=what[2], pattern=what[0], length=what[1])

    print('\nA view for each translation, or for 32, against one for all (eq2m, uniform), ns:')
    row('slots', NS)
    for who in 'ours', 'view_32', 'view_each':
        row(who, [f'{get("eq2m", n, who, mode="view").median / 1000:.2f}' for n in NS])
    print('\nTranslate and read a descriptor of 16 bytes (eq2m, uniform), ns; translate_desc is')
    print("vhost's way, after drivers/vhost/vhost.c, with memcpy() for the access to user space:")
    row('slots', NS)
    for who in 'ours', 'vhost_iotlb', 'translate_desc':
        row(who, [f'{get("eq2m", n, who, length="16", mode="descriptor").median / 1000:.2f}'
                  for n in NS])

    print('\nLoading, ms, and memory held, bytes a slot:')
    for layout, n in sorted({key[:2] for key in figures if key[4] == 'load_ns'},
                            key=lambda key: (LAYOUTS.index(key[0]), key[1])):
        def of(mode):
            return {key[5]: value.median for key, value in figures.items()
                    if key[:2] == (layout, n) and key[4] == mode}
        load, held = of('load_ns'), of('millibytes_a_slot')
        print(f'{layout:>10} {n:>8}: ' + ', '.join(
            f'{who} {load[who] / 1e6:.2f} ms {held[who] / 1000:.1f} B' for who in load))
    add, grace = add_ns()
    print(f'\nAdding a slot to 32: {add / 1000:.2f} us, {grace / 1000:.2f} us of them a grace period')


def add_ns():
    return [figures['eq2m', 32, '-', '-', 'add_ns', who].median for who in ('ours', 'grace_period')]


def lost():
    """The cells in which a peer is faster."""
    cells = collections.defaultdict(lambda: collections.defaultdict(list))
    total = collections.Counter()
    for layout, n, pattern, length, mode, who in figures:
        if who not in PEERS or mode not in ('throughput', 'chain', 'descriptor'):
            continue
        total[who, mode, layout] += 1
        if ratio(layout, n, who, pattern=pattern, length=length, mode=mode) < 1:
            cells[who, mode, layout][f'{pattern} {length}'].append(str(n))
    print('\nLost: who is faster than ours, where, at how many slots')
    for key, patterns in cells.items():
        count = sum(map(len, patterns.values()))
        print(f'  {" ".join(key)}, {count} of {total[key]}: ' +
              '; '.join(f'{name}: {" ".join(numbers)}' for name, numbers in patterns.items()))


GOAL_NS = 1, 4, 8, 32, 128, 512, 4096, 32764
GOALS = [
    ('vhost_iotlb, eq2m', (1.2, 5, 7, 10, 15, 22, 38, 70),
     lambda n: ratio('eq2m', n, 'vhost_iotlb')),
    ('vhost_iotlb, pc by bytes', (1.2, 2.2, 1.3, 7, 13, 21, 38, 70),
     lambda n: ratio('pc', n, 'vhost_iotlb', pattern='bytes')),
    ("KVM's search, eq2m", (1.15, 5, 6.5, 10, 15, 22, 42, 80),
     lambda n: ratio('eq2m', n, 'kvm')),
    ('maple tree, eq2m', (1.8, 5, 6, 10, 12, 17, 24, 30),
     lambda n: ratio('eq2m', n, 'maple')),
    ('vhost_iotlb, worst hostile', (None, 1.5, 1.7, 2.7, 2.7, 3.2, 5.3, 7),
     lambda n: min(ratio(layout, n, 'vhost_iotlb') for layout in HOSTILE)),
    ('vhost_iotlb, eq2m chain', (0.6, 2.2, 3, 4.5, 6.5, 9, 15, 20),
     lambda n: ratio('eq2m', n, 'vhost_iotlb', mode='chain')),
    ("KVM's last / cursor, hot", (1,) * 8,
     lambda n: min(ratio(layout, n, 'kvm_last', 'cursor', pattern='hot') for layout in LAYOUTS)),
    ("the same, chain", (1,) * 8,
     lambda n: min(ratio(layout, n, 'kvm_last', 'cursor', pattern='hot', mode='chain')
                   for layout in LAYOUTS)),
]


def goals():
    missed = 0

    def judge(name, value, goal, met):
        nonlocal missed
        missed += not met
        print(f'{"met" if met else "MISSED":>8}  {name}: {value:.2f}, goal {goal}')

    print('\nGoals: peer / ours')
    if not set(GOAL_NS) <= set(NS):
        print('not measured: they need all of', *GOAL_NS)
        return 1
    row('slots', [''] + list(GOAL_NS))
    for name, goal, measure in GOALS:
        values = [goal[i] and measure(n) for i, n in enumerate(GOAL_NS)]
        print(f'{name:>26}' + ''.join(f'{v:9.2f}{" " if v >= g else "!"}' if g else f'{"-":>9} '
                                      for v, g in zip(values, goal)))
        row('goal', [''] + [f'{g or "-"} ' for g in goal])
        missed += sum(v < g for v, g in zip(values, goal) if g)
    few, many = get('eq2m', 1, 'ours').median, get('eq2m', 32764, 'ours').median
    judge('32764 slots cost, of one slot, at most', many / few, 1.25, many <= 1.25 * few)
    one = get('eq2m', 1, 'vhost_iotlb').median
    judge('32764 slots cost, of one in vhost_iotlb, less than', many / one, 1, many < one)
    held = max(f.median for key, f in figures.items()
               if key[4] == 'millibytes_a_slot' and key[5] == 'ours' and key[1] < 1 << 20) / 1000
    judge('bytes a slot at most', held, 53, held <= 53)
    load = min(figures[layout, 32764, '-', '-', 'load_ns', 'vhost_iotlb'].median /
               figures[layout, 32764, '-', '-', 'load_ns', 'ours'].median for layout in LAYOUTS)
    judge('loading 32764 slots is faster than vhost_iotlb at least', load, 5, load >= 5)
    add, grace = add_ns()
    judge('one add at 32 slots costs us at most', (add - grace) / 1000, 5, add - grace <= 5000)
    print(f'goals: {missed} missed')
    return missed


def draw():
    script = ['set logscale xy', 'set key left top', 'set grid', 'set xlabel "slots"',
              'set ylabel "ns per translation"', 'set format x "%.0f"', 'set format y "%g"']
    for layout in 'eq2m', 'rand':
        script.append(f'${layout} << END')
        for n in NS:
            script.append(f'{n} ' + ' '.join(str(get(layout, n, who).median / 1000)
                                             for who in ('ours', *PEERS)))
        script.append('END')
    for terminal, name in (('pngcairo size 1400,600', plot + '.png'),
                           ('svg size 1400,600', plot + '.svg')):
        script += [f'set terminal {terminal}', f'set output "{name}"', 'set multiplot layout 1,2']
        for layout, title in (('eq2m', 'equal slots of 2 MiB'), ('rand', 'random sizes and gaps')):
            lines = [f'${layout} using 1:{i} with linespoints title "{who}" noenhanced' +
                     (' linewidth 3' if who == 'ours' else '')
                     for i, who in enumerate(('ours', *PEERS), 2)]
            script += [f'set title "{title}, random accesses"', 'plot ' + ', '.join(lines)]
        script.append('unset multiplot')
    subprocess.run(['gnuplot'], input='\n'.join(script) + '\n', text=True, check=True)
    print(f'\nPlot: {plot}.png, {plot}.svg')


tables()
lost()
draw()
sys.exit(not short and goals() > 0)
