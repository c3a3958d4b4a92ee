#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""mutants.py BUILD: breaks the source in one place at a time and runs the fast checks.

Mutants are made by rule from each line of the source, and bugs of concurrency and lifetime are
planted by hand (proof/planted.py).  A mutant has the name of its function, of what is changed,
and a number: "table_search: > to >= 1".  One that no check kills must stand in
proof/equivalent-mutants, by that name, with the reason why no check can.
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
from planted import PLANTED, USER, plant
from source import FILES, functions

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = sys.argv[1]
JOBS = int(os.environ.get('JOBS', os.cpu_count()))
ONLY = os.environ.get('ONLY', '')	# kinds, such as planted, or functions, with commas
CLANG = os.environ['CLANG']
RUNNER_32 = os.environ.get('RUNNER_32', '').split()	# what runs 32-bit programs, if not the kernel

# Kind, what a mutant of it is called, what is replaced, and by what.
RULES = (
    *(('relation', f'{a} to {b}', f' {a} ', f' {b} ') for a, b in (
        ('<', '<='), ('<=', '<'), ('>', '>='), ('>=', '>'), ('==', '!='), ('!=', '=='))),
    ('off by one', '+ 1 to nothing', r' \+ 1\b', ''), ('off by one', '- 1 to nothing', r' - 1\b', ''),
    ('off by one', '= 0 to = 1', r'\b= 0\b', '= 1'),
    ('off by one', '+ NR_ENDS to nothing', r' \+ NR_ENDS', ''),
    ('logic', '|| to &&', r' \|\| ', ' && '), ('logic', '&& to ||', r' && ', ' || '),
    ('bits', '| to &', r' \| ', ' & '), ('bits', '& to |', r' & ', ' | '),
    ('arithmetic', '<< to >>', r' << ', ' >> '), ('arithmetic', '>> to <<', r' >> ', ' << '),
    ('arithmetic', '- to +', r'(?<=\w) - (?=\w)', ' + '),
    ('arithmetic', '+ to -', r'(?<=\w) \+ (?=\w)', ' - '),
    ('swapped', 'min to max', r'\bmin\(', 'max('), ('swapped', 'max to min', r'\bmax\(', 'min('),
    ('swapped', r'swapped arguments of \1', r'\b(?!min\b|max\b)(\w+)\((\w+), (\w+)\)', r'\1(\3, \2)'),
)

# Statements that only people see are KUnit's to test; preemption points are points.c's.
NO_MUTANT = re.compile(r'\s+(debug_|trace_|step\(|cond_resched\(|pause = |BUILD_BUG_ON)')
# What may be dropped: a statement on a line of its own that declares nothing and goes nowhere.
STATEMENT = re.compile(
    r'\s+(?!return|break|continue|goto|case|default|struct|u64|u32|void|int|unsigned|const|bool|'
    r'size_t|for|long)[\w*>\-.\[\]&]+.*;$')


def dropped(statement):
    """What the mutant without @statement lacks: a call, or an assignment to a field or variable."""
    if m := re.match(r'[\w>\-.&]*?(\w+)\(', statement):
        return f'no {m.group(1)}()'
    if m := re.match(r'[^=]*?(?:->|\.)(\w+) [^\w=]?=', statement):
        return f'no assignment to {m.group(1)}'
    return 'no assignment'


def changes(line):
    """(kind, name, changed line) of the mutants of @line."""
    for kind, name, pattern, to in RULES:
        for m in re.finditer(pattern, line):
            yield kind, m.expand(name) if 'swapped a' in name else name, \
                line[:m.start()] + m.expand(to) + line[m.end():]
    if STATEMENT.match(line):
        yield 'dropped statement', dropped(line.strip()), re.match(r'\s*', line).group() + ';'
    m = re.match(r'(\s+if \()(.*)\)( \{)?$', line)
    if m and line.count('(') == line.count(')'):
        yield 'dropped check', 'no check', f'{m.group(1)}0 && ({m.group(2)})){m.group(3) or ""}'


def mutants():
    """(name, file, line number, kind, old line, new line, changed text)"""
    for file in FILES:
        text = open(f'{TOP}/{file}').read()
        for f in functions(text).values():
            numbers = {}
            at = f.body
            for line in text[f.body:f.end].split('\n'):
                start, at = at, at + len(line) + 1
                code = f.code[start - f.body:at - f.body - 1]
                if not code.strip() or NO_MUTANT.match(line):
                    continue
                for kind, what, changed in changes(code.rstrip()):
                    if changed == code.rstrip():
                        continue
                    numbers[what] = numbers.get(what, 0) + 1
                    yield (f'{f.name}: {what} {numbers[what]}', file, text[:start].count('\n'), kind,
                           line.strip(), changed.strip(), text[:start] + changed + text[at - 1:])
    for what, *changed in PLANTED:
        try:
            file, new, line = plant(TOP, changed)
        except (LookupError, IndexError, ValueError) as error:
            sys.exit(f'planted bug "{what}": {error}')
        yield f'planted: {what}', file, line, 'planted', what, what, new


def run(log, seconds, command, **kwargs):
    try:
        return subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                              timeout=seconds, **kwargs).returncode
    except subprocess.TimeoutExpired:
        return 'no end'


CC = ['-std=gnu11', '-fno-strict-aliasing', '-w', '-g', f'-idirafter{BUILD}/include',
      f'-idirafter{TOP}', '-idirafter/usr/include/x86_64-linux-gnu', '-include', f'{TOP}/proof/user.h']
# gcc takes an offset above PTRDIFF_MAX for a negative one; proof/fuzz.sh has clang judge pointers.
SANITIZE = ['-fsanitize=address,undefined', '-fno-sanitize=pointer-overflow',
            '-fno-sanitize-recover=all']
CHECKS = (
    ('pairs', None, [f'{TOP}/proof/pairs.py', '.']),
    # Without sanitizers the build takes a fifth of the time, and finds most planted bugs.
    ('ops', ['gcc', '-O1', '-DRANDOM', 'ops.c'], ['./ops', '3', '2000']),
    # What looks at the table alone is quicker, and finds most of what is wrong there.
    ('oracle', ['gcc', '-O1', 'oracle.c'], ['./oracle', '1', '0', '1000', '400']),
    ('ops', ['gcc', '-O1', *SANITIZE, '-DRANDOM', 'ops.c'], ['./ops', '1', '2000']),
    ('oracle', None, ['./oracle', '1', '1000', '4000', '400']),
    # Pages as large as some table.
    ('oracle, 32 bits', [CLANG, '-m32', '-O1', '-DPAGE_SIZE=32768UL', 'oracle.c'],
     [*RUNNER_32, './oracle', '1', '0', '3000', '400']),
    ('exhaustive', [CLANG, '-O1', '-DNARROW=5', '-DRANGE_SHIFT=0U', 'exhaustive.c'], ['./exhaustive', '1', '0', '1']),
    ('exhaustive', [CLANG, '-O1', '-DNARROW=4', '-DRANGE_SHIFT=0U', 'exhaustive.c'], ['./exhaustive', '2', '0', '1']),
    ('entries', ['gcc', '-O1', 'entries.c'], ['./entries']),
    ('ops', None, ['./ops', '2', '8000']),
    ('race', [CLANG, '-O1', '-DTHREADS', '-fsanitize=thread', 'race.c'], ['./race', '1500']),
)


def kill(mutant, number):
    """What killed it: a check's name, 'no build', or None."""
    _, name, *_, text = mutant
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
            if run(log, 200, command, cwd=folder, preexec_fn=lambda: __import__('resource').setrlimit(
                    __import__('resource').RLIMIT_CORE, (0, 0))):
                killer = check
                break
    if killer:
        shutil.rmtree(folder)
    return killer


def wanted(mutant):
    name, _, _, kind, *_ = mutant
    return not ONLY or kind in ONLY.split(',') or name.split(':')[0] in ONLY.split(',')


def equivalents():
    """{name: reason}"""
    known, name = {}, None
    for line in open(f'{TOP}/proof/equivalent-mutants'):
        if re.match(r'\w+: ', line):
            name = line.strip()
        elif line.startswith('\t') and name:
            known[name] = line.strip()
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
                             env={**os.environ, 'CACHE': f'{tree}/cache', 'LIMIT': '300'}, text=True,
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
    todo = list(mutants())
    names = {mutant[0] for mutant in todo}
    todo = list(filter(wanted, todo))
    counts, killers, alive = {}, {}, 0
    # A check that fails anyway would kill them all.
    if killer := kill(('', FILES[0], open(f'{TOP}/{FILES[0]}').read()), 'none'):
        sys.exit(f'{killer} fails on the source as it is')
    start, tenth = time.monotonic(), len(todo) // 10 + 1
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for i, (mutant, killer) in enumerate(zip(todo, pool.map(kill, todo, range(len(todo))))):
            if i and i % tenth == 0:
                print(f'{i} of {len(todo)} mutants, {alive} alive, '
                      f'{time.monotonic() - start:.0f} s', flush=True)
            name, file, line, kind, old, new, _ = mutant
            where = f'{name}\n\t{file}:{line + 1}: {old}\n\t-> {new}'
            if killer == 'no build':
                result = 'no build'
            elif killer:
                result = 'killed'
                killers[killer] = killers.get(killer, 0) + 1
                if kind == 'planted':
                    print(f'{name}: {killer}', flush=True)
                if name in known:
                    print(f'not equivalent after all, {killer}: {where}', flush=True)
                    alive += 1
            elif name in known:
                result = 'equivalent'
            else:
                result = 'alive'
                alive += 1
                print(f'alive: {where}', flush=True)
            counts[result] = counts.get(result, 0) + 1
    for name in known.keys() - names:
        alive += 1
        print(f'equivalent, but no mutant any more: {name}')
    made = len(todo) - counts.get('no build', 0)
    print(', '.join(f'{k}: {n}' for k, n in sorted(killers.items())))
    print(f'{made} mutants: {counts.get("killed", 0)} killed, {counts.get("equivalent", 0)} '
          f'equivalent, {alive} alive ({counts.get("no build", 0)} more did not build)')
    sys.exit(alive > 0 or made < (12 if ONLY else 150))


main()
