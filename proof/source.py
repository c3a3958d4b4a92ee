# SPDX-License-Identifier: GPL-2.0
"""Finds functions in the source by name, and loops and returns in them by number."""
import re

# What is built in user space, by the order in which it is included.
FILES = ('virtio_mem_xlate.h', 'virtio_mem_xlate_fast.h', 'virtio_mem_xlate_table.h',
         'virtio_mem_xlate_index.h', 'virtio_mem_xlate.c')


def blank(text):
    """@text with spaces for comments and strings: each place stays where it is."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"',
                  lambda m: re.sub(r'[^\n]', ' ', m.group()), text, flags=re.S)


class Function:
    """A definition: text[start:body] is its declarator, text[body:end] what is in its braces."""

    def __init__(self, name, code, start, body, end):
        self.name, self.start, self.body, self.end = name, start, body, end
        self.code = code[body:end]
        # Of all declarators, the parameters of the function come first.
        declared = code[start:body]
        opened = declared.index(name + '(') + len(name) + 1
        self.parameters = re.findall(r'(\w+)(?=,|$)', declared[opened:declared.index(')', opened)])

    def places(self, pattern, flags=0):
        return [self.body + m.start() for m in re.finditer(pattern, self.code, flags)]

    def loops(self):
        """Where each loop starts.  The while of a do-while is the end of one."""
        return self.places(r'\bfor \(|\bdo \{|(?<!\} )\bwhile \(')

    def returns(self):
        return self.places(r'\breturn\b')


def functions(text):
    """{name: Function} of the definitions in @text."""
    code, found = blank(text), {}
    for m in re.finditer(r'^\{\n(.*?)^\}', code, re.M | re.S):
        start = m.start()
        while start:
            line = code.rfind('\n', 0, start - 1) + 1
            above = code[line:start].strip()
            if not above or above[-1] in ';}\\' or above[0] == '#':
                break
            start = line
        name = re.search(r'(\w+)\(', code[start:m.start()])
        # Of two forms of a function, under an #ifdef, the last is the usual one.
        if name:
            found[name.group(1)] = Function(name.group(1), code, start, m.start(1), m.end(1))
    return found


def find(tree, name):
    """The file of TREE that defines the function @name, its text, and the Function."""
    for file in FILES:
        text = open(f'{tree}/{file}').read()
        if name in (known := functions(text)):
            return file, text, known[name]
    raise LookupError(f'no function {name}()')


def statement(function, call, n=0):
    """Where the n-th statement of @function that matches @call starts and ends."""
    at = function.places(call)[n]
    start = function.code.rfind('\n', 0, at - function.body) + 1
    while start and not re.search(r'[;{}):]\s*$', function.code[:start]):
        start = function.code.rfind('\n', 0, start - 1) + 1
    return function.body + start, function.code.index(';', at - function.body) + 1 + function.body
