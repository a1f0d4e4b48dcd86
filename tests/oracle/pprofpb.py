# SPDX-License-Identifier: MIT
"""Reads pprof (profile.proto), written from the specification alone: shares no code with the program under test."""
import collections
import gzip
import os
import struct
import zlib

Label = collections.namedtuple('Label', 'key str num unit')
Mapping = collections.namedtuple('Mapping', 'start limit offset filename build_id flags')
Function = collections.namedtuple('Function', 'name system_name filename start_line')
Line = collections.namedtuple('Line', 'function line column')
Location = collections.namedtuple('Location', 'mapping address lines folded')
Sample = collections.namedtuple('Sample', 'locations values labels')


class Malformed(Exception):
    pass


def varint(b, i):
    shift = value = 0
    while True:
        if i >= len(b):
            raise Malformed('varint past the end')
        value |= (b[i] & 0x7f) << shift
        i += 1
        if b[i - 1] < 0x80:
            return value & (1 << 64) - 1, i
        shift += 7
        if shift > 63:
            raise Malformed('long varint')


def signed(v):
    return v - (1 << 64) if v >> 63 else v


def fields(b):
    """(number, value) pairs: an int, or bytes."""
    i = 0
    while i < len(b):
        key, i = varint(b, i)
        wire = key & 7
        if wire == 0:
            value, i = varint(b, i)
        elif wire == 2:
            n, i = varint(b, i)
            value, i = b[i:i + n], i + n
            if i > len(b):
                raise Malformed('field past the end')
        elif wire in (1, 5):
            n = 8 if wire == 1 else 4
            if i + n > len(b):
                raise Malformed('fixed past the end')
            value, i = struct.unpack_from('<Q' if n == 8 else '<I', b, i)[0], i + n
        else:
            raise Malformed('wire type %d' % wire)
        yield key >> 3, value


def repeated(value):
    """A repeated varint: packed or one by one."""
    if isinstance(value, int):
        return [value]
    out, i = [], 0
    while i < len(value):
        v, i = varint(value, i)
        out.append(v)
    return out


def message(b):
    """{number: [values]}"""
    out = collections.defaultdict(list)
    for number, value in fields(b):
        out[number].append(value)
    return out


def last(m, number, default=0):
    return m[number][-1] if m[number] else default


class Profile:
    """Everything a pprof says, with names in place of ids."""

    def __init__(self, data):
        while data[:2] == b'\x1f\x8b':
            data = gzip.decompress(data)
        m = message(data)
        self.strings = [s.decode('utf-8', 'surrogateescape') for s in m[6]] or ['']
        text = lambda i: self.strings[i]
        pair = lambda b: tuple(text(last(b, i)) for i in (1, 2))
        self.types = [pair(message(b)) for b in m[1]]

        mappings, functions, locations = {0: None}, {0: None}, {0: None}
        for f in map(message, m[3]):
            flags = tuple(bool(last(f, n)) for n in (7, 8, 9, 10))
            mappings[last(f, 1)] = Mapping(last(f, 2), last(f, 3), last(f, 4), text(last(f, 5)), text(last(f, 6)), flags)
        for f in map(message, m[5]):
            functions[last(f, 1)] = Function(text(last(f, 2)), text(last(f, 3)), text(last(f, 4)), signed(last(f, 5)))
        for f in map(message, m[4]):
            lines = []
            for ln in map(message, f[4]):
                lines.append(Line(functions[last(ln, 1)], signed(last(ln, 2)), signed(last(ln, 3))))
            locations[last(f, 1)] = Location(mappings[last(f, 2)], last(f, 3), tuple(lines), bool(last(f, 5)))
        self.mappings = [v for k, v in mappings.items() if v]
        self.functions = [v for v in functions.values() if v]
        self.samples = []
        for s in map(message, m[2]):
            locs = tuple(locations[i] for v in s[1] for i in repeated(v))
            values = tuple(signed(i) for v in s[2] for i in repeated(v))
            labels = []
            for f in map(message, s[3]):
                labels.append(Label(text(last(f, 1)), text(last(f, 2)), signed(last(f, 3)), text(last(f, 4))))
            self.samples.append(Sample(locs, values, tuple(labels)))
        self.header = {
            'drop_frames': text(last(m, 7)), 'keep_frames': text(last(m, 8)),
            'time_nanos': signed(last(m, 9)), 'duration_nanos': signed(last(m, 10)),
            'period_type': pair(message(b''.join(m[11]))), 'period': signed(last(m, 12)),
            'comments': [text(i) for v in m[13] for i in repeated(v)],
            'default_sample_type': text(last(m, 14)), 'doc_url': text(last(m, 15)),
            'types': self.types,
        }

    def total(self, t):
        return sum(s.values[t] for s in self.samples)


def load(path):
    with open(path, 'rb') as f:
        return Profile(f.read())


def is_single(data):
    """Whether these bytes are one pprof and not several gzip members."""
    if data[:2] == b'\x1f\x8b':
        z = zlib.decompressobj(wbits=31)
        data = z.decompress(data, 256 << 20)
        if not z.eof or z.unused_data:
            return False
    p = Profile(data)
    return bool(p.types) and all(len(s.values) == len(p.types) for s in p.samples)


def is_pprof(path):
    """Whether this file is one whole pprof."""
    with open(path, 'rb') as f:
        data = f.read()
    try:
        return is_single(data)
    except (Malformed, EOFError, OSError, IndexError, KeyError, zlib.error, AttributeError, TypeError):
        return False


def frame_names(location):
    """Names of one location, outermost call first."""
    if not location.lines:
        m = location.mapping
        if m and m.filename:
            return ['[%s+0x%x]' % (os.path.basename(m.filename), location.address - m.start + m.offset)]
        return ['0x%x' % location.address]
    return [(ln.function.name or ln.function.system_name) if ln.function else '' for ln in reversed(location.lines)]


def stack(sample):
    """Function names, root first."""
    return tuple(n for loc in reversed(sample.locations) for n in frame_names(loc))


def by_stack(profile, t):
    """{stack: sum of type t}, without stacks that come to nothing."""
    sums = collections.Counter()
    for s in profile.samples:
        if s.values[t]:
            sums[stack(s)] += s.values[t]
    return {k: v for k, v in sums.items() if v}


def flat_and_cum(stacks):
    """{function: [flat, cum]}; a function counts once per stack."""
    out = {}
    for names, value in stacks.items():
        if names:
            out.setdefault(names[-1], [0, 0])[0] += value
        for n in set(names):
            out.setdefault(n, [0, 0])[1] += value
    return out
