# SPDX-License-Identifier: MIT
"""One profile, one span, one trace of many: each of their renderings is what it would be if the rest had never been."""
import json
import os
import re

import exports
import pprofpb
import singles
from oracle import Program, assert_same, type_class

START = 1795356330 * 10**9
LABELS = ('span_id', 'trace_id')
OF_STEPS = ('metrics.csv', 'metrics.prom', 'timeline.svg')
OF_ALL_TYPES = ('profile.pb.gz', 'otlp.pb')  # running totals too: what grew since the profile before

# stack, root first; nanoseconds; span and trace
SAMPLES = [
    [('main', 'serve', 'parse'), 30, '1111111111111111', 'a' * 32],
    [('main', 'serve', 'parse', 'scan'), 50, '1111111111111111', 'a' * 32],
    [('main', 'serve', 'write'), 20, '2222222222222222', 'a' * 32],
    [('main', 'serve', 'parse'), 70, '3333333333333333', 'b' * 32],
    [('main', 'gc'), 11, None, None],
]
NAMES = sorted({name for stack, *_ in SAMPLES for name in stack})


def make_pprof(samples, start):
    """A pprof of type cpu, a function for each name, labels as strings."""
    strings = ['', 'cpu', 'nanoseconds', 'main.go', *LABELS, *NAMES, *sorted({v for s in samples for v in s[2:] if v})]
    at = strings.index
    put = exports.put
    out = put(1, put(1, at('cpu')) + put(2, at('nanoseconds')))
    for stack, value, *labels in samples:
        said = b''.join(put(3, put(1, at(key)) + put(2, at(v))) for key, v in zip(LABELS, labels) if v)
        out += put(2, b''.join(put(1, NAMES.index(name) + 1) for name in reversed(stack)) + put(2, value) + said)
    for i, name in enumerate(NAMES, 1):
        out += put(4, put(1, i) + put(4, put(1, i) + put(2, i * 10)))
        out += put(5, put(1, i) + put(2, at(name)) + put(4, at('main.go')) + put(5, i))
    return out + b''.join(put(6, s.encode()) for s in strings) + put(9, start) + put(10, 10 * 10**9)


def files_of(program, path):
    return [name for name in program.ls(path) if '.' in name]


def normal(name, data):
    """
    Ids are hashes of all that a profile holds; info.json repeats the question, which differs, and tells how many samples
    were read to find those with a label. A state lives until its series' next one: how long, info.json says.
    """
    data = re.sub(rb'(?<![0-9A-Z])[0-9A-HJKMNP-TV-Z]{26}(?![0-9A-Z])', b'ID', data)
    if name != 'info.json':
        return data
    info = json.loads(data)
    del info['selection'], info['samples']
    if info['done']['averaged']:
        del info['done']['covered_seconds'], info['notes']
    return info


def check_same_files(several, path, alone, at, but=()):
    """Every file of a directory of one store is the same bytes as in one of another."""
    names = files_of(several, path)
    assert_same(dict.fromkeys(files_of(alone, at)), dict.fromkeys(names), 'file')
    assert {'flamegraph.svg', 'flamegraph.html', 'folded.txt', 'top.txt', 'metrics.prom', 'otlp.pb', 'info.json'} <= set(names)
    for name in sorted(set(names) - set(but)):
        expected, got = alone.cat('%s/%s' % (at, name)), several.cat('%s/%s' % (path, name))
        assert normal(name, expected) == normal(name, got), '%s/%s: %d bytes, alone %d' % (path, name, len(got), len(expected))


def check_id(several, directory, items, listed):
    """@id=ID/ of each profile of a service against a store with nothing but that profile."""
    for number, item in enumerate(items):
        alone = Program(several.binary, os.path.join(directory, 'alone-%s-%d' % (listed, number)))
        os.makedirs(os.path.dirname(alone.store))
        options = [o for pair in item.labels.items() for o in ('-l', '%s=%s' % pair)]
        code, said = alone.ingest('caddy', [item.path], *options)
        assert code == 0, said
        name, = alone.ls('caddy/all/%s/profiles' % listed)
        path = 'caddy/all/%s/@id=%s' % (listed, name.split('_')[1].split('.')[0])
        differ = OF_STEPS if type_class(listed) == 'instant' else ()
        if listed == 'inuse_space':
            differ += OF_ALL_TYPES
            expected, got = (pprofpb.Profile(p.cat(path + '/profile.pb.gz')) for p in (alone, several))
            assert_same(singles.stacks_of_type(expected, listed), singles.stacks_of_type(got, listed))
        check_same_files(several, path, alone, 'caddy/all/%s' % listed, differ)


def spans_store(binary, directory, keep):
    program = Program(binary, directory)
    os.makedirs(directory)
    for number in range(2):
        path = os.path.join(directory, 'spans-%d.pb' % number)
        with open(path, 'wb') as f:
            f.write(make_pprof([s for s in SAMPLES if keep(s)], START + number * 10 * 10**9))
        code, said = program.ingest('spans', [path])
        assert code == 0, said
    return program


def check_label(binary, directory, key, value):
    """KEY=VALUE of samples against a store in which no sample has another value."""
    column = 2 + LABELS.index(key)
    several = spans_store(binary, os.path.join(directory, key + '-several'), lambda s: True)
    alone = spans_store(binary, os.path.join(directory, key + '-alone'), lambda s: s[column] == value)
    path = 'spans/all/cpu/%s=%s' % (key, value)
    check_same_files(several, path, alone, path)
    for name in ('folded.txt', 'top.txt', 'top.tsv', 'tree.txt', 'functions.tsv', 'metrics.csv'):
        expected, got = alone.cat('spans/all/cpu/' + name), several.cat('%s/%s' % (path, name))
        assert expected == got, '%s/%s: %.300s, alone %.300s' % (path, name, got, expected)
    total = sum(2 * s[1] for s in SAMPLES if s[column] == value)
    assert sum(pprofpb.by_stack(pprofpb.Profile(several.cat(path + '/profile.pb.gz')), 0).values()) == total


def check_all(report, program, items, directory):
    """items: the profiles of the service caddy, which are in the program's store."""
    for listed in ('cpu', 'inuse_space', 'goroutine'):
        of_type = [i for i in items if listed in [t for t, _ in i.profile.types]]
        report.check('alone/id/' + listed, check_id, program, directory, of_type, listed)
    report.check('alone/span_id', check_label, program.binary, directory, 'span_id', '1' * 16)
    report.check('alone/trace_id', check_label, program.binary, directory, 'trace_id', 'a' * 32)
