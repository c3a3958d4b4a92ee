#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""mutants.py BUILD: breaks the source in one place at a time and runs the fast checks.

Mutants are made by rule from each line of the table and the glue, and bugs of
concurrency and lifetime are planted by hand (proof/planted.py).  A mutant that no
check kills must stand in proof/equivalent-mutants, with the reason why no check can.
"""
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from planted import PLANTED, USER

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = sys.argv[1]
JOBS = int(os.environ.get('JOBS', os.cpu_count()))
ONLY = os.environ.get('ONLY', '')	# a kind, such as planted
CLANG = os.environ['CLANG']
RUNNER_32 = os.environ.get('RUNNER_32', '').split()	# what runs 32-bit programs, if not the kernel
FILES = ('virtio_mem_xlate_table.h', 'virtio_mem_xlate.h', 'virtio_mem_xlate.c')

RULES = (
    ('relation', r' < ', ' <= '), ('relation', r' <= ', ' < '),
    ('relation', r' > ', ' >= '), ('relation', r' >= ', ' > '),
    ('relation', r' == ', ' != '), ('relation', r' != ', ' == '),
    ('off by one', r' \+ 1\b', ''), ('off by one', r' - 1\b', ''),
    ('off by one', r'\b= 0\b', '= 1'), ('off by one', r' \+ NR_ENDS', ''),
    ('logic', r' \|\| ', ' && '), ('logic', r' && ', ' || '),
    ('bits', r' \| ', ' & '), ('bits', r' & ', ' | '),
    ('arithmetic', r' << ', ' >> '), ('arithmetic', r' >> ', ' << '),
    ('arithmetic', r'(?<=\w) - (?=\w)', ' + '), ('arithmetic', r'(?<=\w) \+ (?=\w)', ' - '),
    ('swapped', r'\bmin\(', 'max('), ('swapped', r'\bmax\(', 'min('),
    ('swapped', r'\b(?!min\b|max\b)(\w+)\((\w+), (\w+)\)', r'\1(\3, \2)'),
)


def body_lines(text):
    """The numbers of lines that are code of functions; but what only people see is KUnit's to
    test, preemption points are points.c's."""
    inside = comment = False
    for i, line in enumerate(text):
        if line == '{':
            inside = True
        elif line == '}':
            inside = False
        elif re.match(r'\s*/\*', line) or comment:
            comment = '*/' not in line
        elif inside and line.strip() and not re.match(
                r'\s+(debug_|trace_|step\(|cond_resched\(|pause = |BUILD_BUG_ON)', line):
            yield i


def function(text, i):
    """Whose body line @i is in."""
    while text[i] != '{':
        i -= 1
    while not re.match(r'\w.*\(', text[i]):
        i -= 1
    return re.search(r'(\w+)\(', text[i]).group(1)


def mutants():
    for name in FILES:
        text = open(f'{TOP}/{name}').read().split('\n')
        for i in body_lines(text):
            line, new, where = text[i], [], f'{name} {function(text, i)}'
            for kind, pattern, to in RULES:
                for m in re.finditer(pattern, line):
                    new.append((kind, line[:m.start()] + m.expand(to) + line[m.end():]))
            if re.match(r'\s+(?!return|break|continue|goto|case|default|struct|u64|u32|void|int|unsigned|const|bool|size_t|for|long)[\w*>\-.\[\]&]+.*;$', line):
                new.append(('dropped statement', re.match(r'\s*', line).group() + ';'))
            if m := re.match(r'(\s+if \()(.*)\)( \{)?$', line):
                if line.count('(') == line.count(')'):
                    new.append(('dropped check', f'{m.group(1)}0 && ({m.group(2)})){m.group(3) or ""}'))
            for kind, changed in new:
                if changed != line:
                    yield where, i, kind, line.strip(), changed.strip(), '\n'.join(
                        text[:i] + [changed] + text[i + 1:])
    for what, name, old, to in PLANTED:
        text = open(f'{TOP}/{name}').read()
        if text.count(old) != 1:
            sys.exit(f'planted bug "{what}": {text.count(old)} places to plant it in {name}')
        yield name, text[:text.index(old)].count('\n'), 'planted', what, what, text.replace(old, to)


def run(log, seconds, command, **kwargs):
    try:
        return subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                              timeout=seconds, **kwargs).returncode
    except subprocess.TimeoutExpired:
        return 'no end'


CC = ['-std=gnu11', '-fno-strict-aliasing', '-w', '-g', f'-idirafter{BUILD}/include',
      '-idirafter/usr/include/x86_64-linux-gnu', '-include', f'{TOP}/proof/user.h']
# gcc takes an offset above PTRDIFF_MAX for a negative one; proof/fuzz.sh has clang judge pointers.
SANITIZE = ['-fsanitize=address,undefined', '-fno-sanitize=pointer-overflow',
            '-fno-sanitize-recover=all']
CHECKS = (
    ('pairs', None, [f'{TOP}/proof/pairs.py', '.']),
    # What looks at the table alone is quicker, and finds most of what is wrong there.
    ('oracle', ['gcc', '-O1', 'oracle.c'], ['./oracle', '1', '0', '1000', '400']),
    ('ops', ['gcc', '-O1', *SANITIZE, '-DRANDOM', 'ops.c'], ['./ops', '1', '10000']),
    ('oracle', None, ['./oracle', '1', '1000', '4000', '400']),
    # Pages as large as some table.
    ('oracle, 32 bits', [CLANG, '-m32', '-O1', '-DPAGE_SIZE=32768UL', 'oracle.c'],
     [*RUNNER_32, './oracle', '1', '0', '3000', '400']),
    ('exhaustive', [CLANG, '-O1', '-DNARROW=5', '-DRANGE_SHIFT=0U', 'exhaustive.c'], ['./exhaustive', '1', '0', '1']),
    ('exhaustive', [CLANG, '-O1', '-DNARROW=4', '-DRANGE_SHIFT=0U', 'exhaustive.c'], ['./exhaustive', '2', '0', '1']),
    ('entries', ['gcc', '-O1', 'entries.c'], ['./entries']),
    ('race', [CLANG, '-O1', '-DTHREADS', '-fsanitize=thread', 'race.c'], ['./race', '1500']),
)


def kill(mutant, number):
    """What killed it: a check's name, 'no build', or None."""
    name, *_, text = mutant
    name = name.split(' ')[0]
    folder = f'{BUILD}/mutant-{number}'
    os.makedirs(folder, exist_ok=True)
    for f in (*FILES, 'virtio_mem_xlate_debug.h', 'virtio_mem_xlate_trace.h'):
        shutil.copy(f'{TOP}/{f}', folder)
    open(f'{folder}/{name}', 'w').write(text)
    killer = None
    with open(f'{folder}/log', 'w') as log:
        for check, cc, command in CHECKS:
            if cc:
                source = f'{TOP}/proof/{cc[-1]}'
                if run(log, 300, [*cc[:-1], *CC, '-I.', '-o', cc[-1][:-2], source, '-lpthread'], cwd=folder):
                    killer = 'no build'
                    break
            if run(log, 100 if command[:1] == RUNNER_32 else 10, command, cwd=folder, preexec_fn=lambda: __import__('resource').setrlimit(
                    __import__('resource').RLIMIT_CORE, (0, 0))):
                killer = check
                break
    if killer:
        shutil.rmtree(folder)
    return killer


def equivalents():
    """{(file and function, old, new): reason}"""
    known, key = {}, None
    for line in open(f'{TOP}/proof/equivalent-mutants'):
        line = line.rstrip('\n')
        if m := re.match(r'(virtio\S+ \w+): (.*)$', line):
            key = [m.group(1), m.group(2)]
        elif m := re.match(r'\t-> (.*)$', line):
            key = key[:2] + [m.group(1)]
        elif line.startswith('\t') and key and len(key) == 3:
            known[tuple(key)] = line.strip()
    return known


def planted_user():
    """Each bug of user/ fails the test that is named with it."""
    tree = f'{BUILD}/user-tree'
    shutil.rmtree(tree, ignore_errors=True)
    files = subprocess.check_output(['git', '-C', TOP, 'ls-files', '-co', '--exclude-standard'], text=True)
    for f in files.split('\n')[:-1]:
        os.makedirs(os.path.dirname(f'{tree}/{f}'), exist_ok=True)
        shutil.copy(f'{TOP}/{f}', f'{tree}/{f}')
    # The kernels of the real cache, but builds of its own.
    cache = os.path.dirname(BUILD)
    os.makedirs(f'{tree}/cache')
    for f in os.listdir(cache):
        if f.startswith(('linux-image-', 'linux-headers-', 'apt-')):
            os.symlink(f'{cache}/{f}', f'{tree}/cache/{f}')
    sources = {f: open(f).read() for f in sorted(glob.glob(f'{tree}/user/*.c'))}

    def passes(tests):
        out = subprocess.run([f'{tree}/scripts/user.sh', '--quick', '6.12', *tests],
                             env={**os.environ, 'CACHE': f'{tree}/cache', 'LIMIT': '120'}, text=True,
                             stdin=subprocess.DEVNULL, capture_output=True)
        print(textwrap.indent(out.stdout, '\t'), flush=True)
        # A kernel that went down or hangs with our modules in it is as good as a "not ok".
        if 'ok ' not in out.stdout and 'virtio_mem_xlate: loading' not in open(
                f'{tree}/cache/user-qemu-6.12.log', errors='replace').read():
            sys.exit('no test ran')
        return out.returncode == 0

    if not passes(sorted({test for _, test, _, _ in USER})):
        sys.exit('a test fails on the source as it is')
    alive = 0
    for what, test, old, new in USER:
        places = [f for f, text in sources.items() for _ in range(text.count(old))]
        if len(places) != 1:
            sys.exit(f'planted bug "{what}": {len(places)} places to plant it')
        text = sources[places[0]]
        open(places[0], 'w').write(text.replace(old, new))
        killed = not passes([test])
        open(places[0], 'w').write(text)
        print(f'planted: {what}: {test if killed else "found by nothing"}', flush=True)
        alive += not killed
    print(f'{len(USER)} bugs of user memory: {len(USER) - alive} found')
    sys.exit(alive > 0)


def main():
    if ONLY == 'user':
        planted_user()
    known = equivalents()
    todo = [m for m in mutants() if ONLY in m[2]]
    counts, killers, alive, used = {}, {}, 0, set()
    # A check that fails anyway would kill them all.
    if killer := kill((FILES[0], open(f'{TOP}/{FILES[0]}').read()), 'none'):
        sys.exit(f'{killer} fails on the source as it is')
    start, tenth = time.monotonic(), len(todo) // 10 + 1
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for i, (mutant, killer) in enumerate(zip(todo, pool.map(kill, todo, range(len(todo))))):
            if i and i % tenth == 0:
                print(f'{i} of {len(todo)} mutants, {alive} alive, '
                      f'{time.monotonic() - start:.0f} s', flush=True)
            name, line, kind, old, new, _ = mutant
            equivalent = known.get((name, old, new))
            used.add((name, old, new))
            if killer == 'no build':
                result = 'no build'
            elif killer:
                result = 'killed'
                killers[killer] = killers.get(killer, 0) + 1
                if kind == 'planted':
                    print(f'planted: {new}: {killer}', flush=True)
                if equivalent:
                    print(f'not equivalent after all, {killer}: {name}: {old}\n\t-> {new}',
                          flush=True)
                    alive += 1
            elif equivalent:
                result = 'equivalent'
            else:
                result = 'alive'
                alive += 1
                print(f'{name}: {old}\n\t-> {new}\n\t{kind}, line {line + 1}', flush=True)
            counts[result] = counts.get(result, 0) + 1
    for name, old, new in () if ONLY else known.keys() - used:
        alive += 1
        print(f'equivalent, but no mutant any more: {name}: {old}\n\t-> {new}')
    made = len(todo) - counts.get('no build', 0)
    print(', '.join(f'{k}: {n}' for k, n in sorted(killers.items())))
    print(f'{made} mutants: {counts.get("killed", 0)} killed, {counts.get("equivalent", 0)} '
          f'equivalent, {alive} alive ({counts.get("no build", 0)} more did not build)')
    sys.exit(alive > 0 or made < (12 if ONLY else 150))


main()
