# SPDX-License-Identifier: MIT
"""Native programs without symbols in their profiles: compiled here, profiled by hand, named by addr2line."""

import gzip
import re
import shutil
import subprocess

from shared import field, varint

SOURCE = '''\
volatile int sink;
__attribute__((always_inline)) static inline int inner(int x)
{
	sink = x;
	return sink * 3;
}
__attribute__((always_inline)) static inline int middle(int x)
{
	return inner(x) + inner(x + 2);
}
__attribute__((noinline)) int outer(int x)
{
	for (int i = 0; i < x; i++)
		sink += middle(i);
	return sink;
}
int main(int argc, char **argv)
{
	(void)argv;
	return outer(argc) + inner(argc);
}
'''
START = 0x400000


def missing():
    """Programs that this needs and that are not here."""
    return [t for t in ('gcc', 'nm', 'objcopy', 'addr2line', 'readelf', 'strip') if not shutil.which(t)]


def output(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def compile_program(name, *options):
    with open('native.c', 'w') as f:
        f.write(SOURCE)
    subprocess.run(['gcc', '-g', '-O2', '-pie', '-fPIE', '-Wl,--build-id', *options, 'native.c', '-o', name], check=True)


def build_id(name):
    return re.search(r'Build ID: (\w+)', output('readelf', '-n', name))[1]


def addresses(name, function, step=4):
    for line in output('nm', '-S', name).splitlines():
        words = line.split()
        if len(words) == 4 and words[3] == function:
            start, size = int(words[0], 16), int(words[1], 16)
            return list(range(start, start + size, step))
    raise AssertionError(f'{name} has no {function}')


def frames(name, address):
    """[(function, line)], innermost first."""
    lines = output('addr2line', '-i', '-f', '-e', name, hex(address)).splitlines()
    return [(f, int(re.sub(r' .*', '', at).rpartition(':')[2])) for f, at in zip(lines[::2], lines[1::2])]


def profile(stacks, ids, at, path='/usr/bin/native'):
    """A pprof of [(addresses, leaf first; value)] that knows nothing but addresses in one file."""
    strings = ['', 'cpu', 'nanoseconds', path, ids]
    out = field(1, field(1, 1) + field(2, 2))
    known = sorted({a for stack, _ in stacks for a in stack})
    for stack, value in stacks:
        out += field(2, field(1, b''.join(varint(known.index(a) + 1) for a in stack)) + field(2, varint(value)))
    out += field(3, field(1, 1) + field(2, START) + field(3, START + 0x100000) + field(5, 3) + field(6, 4))
    for i, a in enumerate(known):
        out += field(4, field(1, i + 1) + field(2, 1) + field(3, START + a))
    out += b''.join(field(6, s.encode()) for s in strings)
    return gzip.compress(out + field(9, at * 10**9) + field(10, 10**9))


def folded(name, stacks):
    """What folded.txt says of such a profile once the program is known."""
    sums = {}
    for stack, value in stacks:
        path = ';'.join(f for a in reversed(stack) for f, _ in reversed(frames(name, a)))
        sums[path] = sums.get(path, 0) + value
    return sorted(f'{path} {value}' for path, value in sums.items())
