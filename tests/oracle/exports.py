# SPDX-License-Identifier: MIT
"""Exports: each read by its viewer's importer where that is at hand, and taken apart here."""
import collections
import json
import os
import re
import shutil
import subprocess

import pprofpb
import singles
from oracle import SOURCE, Skip, assert_same, pprof, tool


def save(program, path, directory, name):
    to = os.path.join(directory, name)
    with open(to, 'wb') as f:
        f.write(program.cat(path))
    return to


def text_of(name):
    """As formats of Unicode have it: what is no UTF-8 is replaced."""
    return name.encode('utf-8', 'surrogateescape').decode('utf-8', 'replace')


def folded(program, path):
    return {text_of(k): v for k, v in singles.parse_folded(program.cat(path + '/folded.txt')).items() if v}


def assert_near(path, expected, got, what='stack'):
    """Averages are rounded for each line or address, and add up to a little less or more by function."""
    if not path.split('/')[2].startswith('inuse_'):
        assert_same(expected, got, what)
        return
    off = [(k, expected.get(k, 0), got.get(k, 0)) for k in set(expected) | set(got) if abs(expected.get(k, 0) - got.get(k, 0)) > 50]
    assert not off, '%d of %d differ, as %s' % (len(off), len(expected), off[:3])


# ---- speedscope ----

def sampled_stacks(document):
    """{folded stack: weight} of all profiles, sampled or evented."""
    frames, out = document['shared']['frames'], collections.Counter()
    line = lambda stack: singles.folded_line([frames[i]['name'] for i in stack])
    for p in document['profiles']:
        if p['type'] == 'sampled':
            assert len(p['samples']) == len(p['weights']) and sum(p['weights']) == p['endValue'] - p['startValue']
            for stack, weight in zip(p['samples'], p['weights']):
                out[line(stack)] += weight
        else:
            open_frames, at = [], p['startValue']
            for e in p['events']:
                assert e['at'] >= at, 'events go back'
                if open_frames:
                    out[line(open_frames)] += e['at'] - at
                at = e['at']
                if e['type'] == 'O':
                    open_frames.append(e['frame'])
                else:
                    assert open_frames.pop() == e['frame'], 'frames are closed out of order'
            assert not open_frames and at <= p['endValue']
    return {k: v for k, v in out.items() if v}


def check_speedscope(program, path):
    document = json.loads(program.cat(path + '/speedscope.json'))
    assert document['$schema'] == 'https://www.speedscope.app/file-format-schema.json'
    expected = {k: v for k, v in folded(program, path).items() if v > 0}
    assert_same(expected, sampled_stacks(document))


def check_speedscope_viewer(program, path, directory):
    """The viewer opens it: its title is then the profile's name."""
    release = os.path.join(SOURCE, 'build/tools-ext/node_modules/speedscope/dist/release/index.html')
    browser = shutil.which('chromium')
    if not browser or not os.path.exists(release):
        raise Skip('chromium or npm\'s speedscope is not installed')
    data = program.cat(path + '/speedscope.json').decode()
    script = os.path.join(directory, 'load.js')
    with open(script, 'w') as f:
        f.write('speedscope.loadFileFromBase64("p.speedscope.json", btoa(unescape(encodeURIComponent(%s))))' % json.dumps(data))
    done = subprocess.run([browser, '--headless', '--no-sandbox', '--disable-gpu', '--allow-file-access-from-files',
                           '--virtual-time-budget=20000', '--dump-dom', 'file://%s#localProfilePath=%s' % (release, script)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    title = re.search(r'<title>(.*?)</title>', done.stdout.decode(errors='replace'), re.S)
    name = json.loads(data)['name']
    assert title and name.split()[0] in title.group(1), 'speedscope shows "%s", not "%s"' % (title and title.group(1), name)


def check_evented(program, directory):
    """Samples that say when they were taken come in that order, each thread by itself."""
    source = os.path.join(directory, 'timed.pb')
    with open(source, 'wb') as f:
        f.write(timed_pprof())
    code, said = program.ingest('timed', [source])
    assert code == 0, said
    name = program.ls('timed/all/profiles')[0]
    path = 'timed/all/cpu/@id=%s' % name.split('_')[1].split('.')[0]
    document = json.loads(program.cat(path + '/speedscope.json'))
    assert [p['type'] for p in document['profiles']] == ['evented', 'evented'], document['profiles']
    assert [p['name'] for p in document['profiles']] == ['io', 'main']
    assert_same(folded(program, path), sampled_stacks(document))
    events = [(e['type'], e['at'], document['shared']['frames'][e['frame']]['name']) for e in document['profiles'][1]['events']]
    # the second of a thread begins where the first ends at the earliest
    assert events == [('O', 0, 'root'), ('O', 0, 'b'), ('C', 10, 'b'), ('O', 10, 'a'), ('C', 20, 'a'), ('C', 20, 'root'),
                      ('O', 100, 'root'), ('O', 100, 'a'), ('C', 110, 'a'), ('C', 110, 'root')], events
    document = json.loads(program.cat(path.replace('/cpu/', '/samples/') + '/speedscope.json'))
    assert [(p['type'], p['name']) for p in document['profiles']] == [('sampled', 'io'), ('sampled', 'main')]
    frames = [f['name'] for f in document['shared']['frames']]
    main = document['profiles'][1]
    order = [([frames[i] for i in stack], weight) for stack, weight in zip(main['samples'], main['weights'])]
    assert order == [(['root', 'b'], 1), (['root', 'a'], 1), (['root', 'a'], 1)], order
    document = json.loads(program.cat('timed/all/cpu/@focus=b/speedscope.json'))
    assert [p['type'] for p in document['profiles']] == ['sampled'], 'what a filter took away has no order'


def put(number, value):
    if isinstance(value, bytes):
        return bytes(enc(number << 3 | 2)) + bytes(enc(len(value))) + value
    return bytes(enc(number << 3)) + bytes(enc(value))


def enc(v):
    while v > 0x7f:
        yield v & 0x7f | 0x80
        v >>= 7
    yield v


def timed_pprof():
    strings = ['', 'cpu', 'nanoseconds', 'root', 'a', 'b', 'timestamp', 'thread', 'main', 'io', 'samples', 'count']
    out = put(1, put(1, 10) + put(2, 11)) + put(1, put(1, 1) + put(2, 2))
    start = 1795356330 * 10**9
    for function, at, thread in ((2, 8, 8), (3, 0, 8), (2, 100, 8), (2, 5, 9)):
        labels = put(3, put(1, 6) + put(3, start + at) + put(4, 2)) + put(3, put(1, 7) + put(2, thread))
        out += put(2, put(1, function) + put(1, 1) + put(2, 1) + put(2, 10) + labels)
    for i in (1, 2, 3):
        out += put(4, put(1, i) + put(4, put(1, i) + put(2, i)))
        out += put(5, put(1, i) + put(2, i + 2))
    for s in strings:
        out += put(6, s.encode())
    return out + put(9, start) + put(10, 10**9)


# ---- Graphviz ----

def dot_graph(text):
    """({name: values}, {(from, to): weight}): both print full names as tooltips."""
    nodes, edges = {}, {}
    for m in re.finditer(r'^N\d+ \[label="((?:[^"\\]|\\.)*)" id="node\d+".* tooltip="((?:[^"\\]|\\.)*) \((\S+)\)"', text, re.M):
        flat = re.search(r'(-?[\d.]+\w*)(?: \([\d.]+%\))?(?:(?:\\n| )of \S+ \([\d.]+%\))?$', m.group(1))
        nodes[m.group(2)] = (flat.group(1) if flat else None, m.group(3))
    for m in re.finditer(r'^N\d+ -> N\d+ \[.*? tooltip="((?:[^"\\]|\\.)*) \((\S+)\)"(?! labeltooltip=""$)', text, re.M):
        edges[m.group(1)] = m.group(2)
    return nodes, edges


def check_dot(program, path, directory):
    """The nodes and edges are those of `pprof -dot`, but for its choice among nodes of like weight, which varies."""
    profile = save(program, path + '/profile.pb.gz', directory, 'dot.pb.gz')
    expected, got = dot_graph(pprof('-dot', profile)), dot_graph(program.cat(path + '/callgraph.dot').decode())
    for what, e, g in zip(('nodes', 'edges'), expected, got):
        assert e or not g, 'pprof draws no %s' % what
        off = [k for k in set(e) | set(g) if e.get(k) != g.get(k)]
        assert len(off) <= len(e) // 20, '%s: %d of %d differ, as %s' % (what, len(off), len(e), [(k, e.get(k), g.get(k)) for k in off[:3]])


def check_graphviz(program, path, directory):
    graph = save(program, path + '/callgraph.dot', directory, 'callgraph.dot')
    done = tool('dot', '-Tsvg', graph)
    assert done.returncode == 0 and not done.stderr, done.stderr.decode(errors='replace')[:300]


# ---- callgrind ----

def check_callgrind(program, path, directory):
    """callgrind_annotate comes to the total, and to the same cost of every function itself and in all."""
    out = save(program, path + '/callgrind.out', directory, 'callgrind.out')
    rows = singles.parse_tsv(program.cat(path + '/top.tsv'))
    if any(int(r['flat']) < 0 for r in rows):
        raise Skip('values below zero')
    done = tool('callgrind_annotate', '--threshold=100', '--auto=no', out)
    assert done.returncode == 0, done.stderr.decode(errors='replace')[:300]
    text = done.stdout.decode('utf-8', 'surrogateescape')
    expected = {r['name'].strip(): int(r['flat']) for r in rows if int(r['flat'])}
    got = collections.Counter()
    for m in re.finditer(r'^ *([\d,]+)(?: \([\d. ]+%\))?  (\S.*?)(?: \[\])?$', text.split('file:function', 1)[-1], re.M):
        # `file:function`, of which each may have colons
        parts = m.group(2).split(':')
        tails = [':'.join(parts[i:]).strip() for i in range(1, len(parts))]
        got[next((t for t in tails if t in expected), tails[0])] += int(m.group(1).replace(',', ''))
    known = {k: v for k, v in expected.items() if not k.startswith(('[', '<'))}
    assert_near(path, known, {k: v for k, v in got.items() if k in known}, 'function')


# ---- Firefox ----

def check_firefox(program, path):
    p = json.loads(program.cat(path + '/firefox.json'))
    strings, out = p['shared']['stringArray'], collections.Counter()
    thread, = p['threads']
    stacks, frames, functions = thread['stackTable'], thread['frameTable'], thread['funcTable']
    for table in (stacks, frames, functions, thread['samples']):
        wrong = [k for k, v in table.items() if isinstance(v, list) and len(v) != table['length']]
        assert not wrong, 'columns %s have not %d rows' % (wrong, table['length'])

    def line(at):
        names = []
        while at is not None:
            names.append(strings[functions['name'][frames['func'][stacks['frame'][at]]]])
            at = stacks['prefix'][at]
        return singles.folded_line(reversed(names))

    samples = thread['samples']
    scale = 10**6 if samples['weightType'] == 'tracing-ms' else 1
    for stack, weight in zip(samples['stack'], samples['weight']):
        out[line(stack)] += round(weight * scale)
    assert_near(path, folded(program, path), {k: v for k, v in out.items() if v})
    assert samples['time'] == sorted(samples['time'])


def check_firefox_importer(program, path, directory):
    """Upgraded by the profiler's own code: FIREFOX_PROFILER_UPGRADE is a node script that takes a file and prints its version."""
    script = os.environ.get('FIREFOX_PROFILER_UPGRADE')
    if not script or not shutil.which('node'):
        raise Skip('no FIREFOX_PROFILER_UPGRADE')
    done = tool('node', script, save(program, path + '/firefox.json', directory, 'firefox.json'))
    assert done.returncode == 0, done.stderr.decode(errors='replace')[-300:]


# ---- OTLP ----

def otlp_stacks(data, name):
    """{folded stack: value} of the type of this name, written from the specification (opentelemetry-proto 1.10)."""
    request = pprofpb.message(data)
    dictionary = pprofpb.message(request[2][0])
    text = [s.decode() for s in dictionary[5]]
    assert all(not bytes(dictionary[n][0]) for n in (1, 2, 3, 4, 5, 6, 7)), 'the first of each table is none'
    functions = [text[pprofpb.last(f, 1)] or text[pprofpb.last(f, 2)] for f in map(pprofpb.message, dictionary[3])]
    mappings = [(pprofpb.last(m, 1), pprofpb.last(m, 3), text[pprofpb.last(m, 4)]) for m in map(pprofpb.message, dictionary[1])]
    locations = []
    for loc in map(pprofpb.message, dictionary[2]):
        names = [functions[pprofpb.last(pprofpb.message(ln), 1)] for ln in loc[3]]
        if not names:
            start, offset, file = mappings[pprofpb.last(loc, 1)]
            at = pprofpb.last(loc, 2) - start + offset
            names = ['[%s+0x%x]' % (os.path.basename(file), at) if file else '0x%x' % at]
        locations.append(list(reversed(names)))
    stacks = [[i for v in pprofpb.message(s)[1] for i in pprofpb.repeated(v)] for s in dictionary[7]]
    out = collections.Counter()
    for resource in map(pprofpb.message, request[1]):
        for scope in map(pprofpb.message, resource[2]):
            of_name = [p for p in map(pprofpb.message, scope[2]) if text[pprofpb.last(pprofpb.message(p[1][0]), 1)] == name]
            for profile in of_name:
                for sample in map(pprofpb.message, profile[2]):
                    names = [n for i in reversed(stacks[pprofpb.last(sample, 1)]) for n in locations[i]]
                    out[singles.folded_line(names)] += sum(pprofpb.signed(i) for v in sample[4] for i in pprofpb.repeated(v))
    return {k: v for k, v in out.items() if v}


def check_otlp(program, path, name=None):
    """name: the type's own, where it is listed under another."""
    assert_near(path, folded(program, path), otlp_stacks(program.cat(path + '/otlp.pb'), name or path.split('/')[2]))


def check_otlp_proto(program, path):
    """protoc decodes it by the published files: OTLP_PROTO is their root."""
    root = os.environ.get('OTLP_PROTO') or os.path.join(os.environ.get('PROFILEFS_CORPUS', '/nowhere'), '../specs/otlp/v1.10.0')
    if not os.path.isdir(root):
        raise Skip('no OTLP_PROTO')
    at = 'opentelemetry/proto/collector/profiles/v1development/profiles_service.proto'
    done = tool('protoc', '-I', root, '--decode=opentelemetry.proto.collector.profiles.v1development.ExportProfilesServiceRequest',
                at, stdin=program.cat(path + '/otlp.pb'))
    assert done.returncode == 0, done.stderr.decode(errors='replace')[:300]
    unknown = re.search(rb'^ *\d+: ', done.stdout, re.M)
    assert not unknown, 'fields that the specification does not know'


# ---- Go ----

PGO_MODULE = {
    'go.mod': 'module example.test/hot\n\ngo 1.21\n',
    'main.go': '''package main

import (
	"os"
	"runtime/pprof"
	"time"
)

//go:noinline
func hot(n int) (sum int) {
	for i := 0; i < n; i++ {
		sum += mix(i)
	}
	return
}

func mix(i int) int { return i*31 ^ i>>3 }

func main() {
	if len(os.Args) > 1 {
		f, _ := os.Create(os.Args[1])
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); {
		hot(1 << 20)
	}
}
''',
}


def check_pgo(program, directory):
    """`go build -pgo` takes it, and finds what is hot in it."""
    if not shutil.which('go'):
        raise Skip('go is not installed')
    module = os.path.join(directory, 'hot')
    os.makedirs(module, exist_ok=True)
    for name, text in PGO_MODULE.items():
        with open(os.path.join(module, name), 'w') as f:
            f.write(text)
    env = dict(os.environ, GOFLAGS='-mod=mod', GOPROXY='off', GOTOOLCHAIN='local')
    run = lambda *args: subprocess.run(args, cwd=module, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
    for step in (('go', 'build', '-o', 'hot', '.'), ('./hot', 'cpu.pprof')):
        done = run(*step)
        assert done.returncode == 0, done.stdout.decode(errors='replace')[-300:]
    code, said = program.ingest('hot', [os.path.join(module, 'cpu.pprof')])
    assert code == 0, said
    save(program, 'hot/all/cpu/default.pgo', module, 'default.pgo')
    done = run('go', 'build', '-pgo=default.pgo', '-gcflags=-d=pgodebug=3', '-o', 'hot2', '.')
    said = done.stdout.decode(errors='replace')
    assert done.returncode == 0, said[-300:]
    assert re.search(r'hot.*main\.(hot|main|mix)', said), 'the compiler finds nothing hot: %s' % said[-300:]
    save(program, 'caddy/all/inuse_space/default.pgo', module, 'empty.pgo')
    done = run('go', 'build', '-pgo=empty.pgo', '-o', 'hot3', '.')
    assert done.returncode == 0, 'of another type: %s' % done.stdout.decode(errors='replace')[-300:]


# ---- back into a store ----

def check_round_trip(program, path, name, listed, directory):
    """What goes out as one of these formats and comes in again has the same stacks."""
    service = 'back-' + re.sub(r'\W', '-', path + name)
    code, said = program.ingest(service, [save(program, '%s/%s' % (path, name), directory, 'back-' + name)])
    assert code == 0, said[:300]
    types = program.ls('%s/all' % service)
    assert listed in types, '%s became %s' % (path, types)
    assert_near(path, folded(program, path), folded(program, '%s/all/%s' % (service, listed)))


def check_each(report, program, path, directory):
    at = 'exports/' + path
    report.check(at + '/speedscope', check_speedscope, program, path)
    report.check(at + '/dot', check_dot, program, path, directory)
    report.check(at + '/graphviz', check_graphviz, program, path, directory)
    report.check(at + '/callgrind', check_callgrind, program, path, directory)
    report.check(at + '/firefox', check_firefox, program, path)
    report.check(at + '/otlp', check_otlp, program, path)
    report.check(at + '/otlp-proto', check_otlp_proto, program, path)
    report.check(at + '/otlp-back', check_round_trip, program, path, 'otlp.pb', path.split('/')[2], directory)


def check_functions(program, path):
    """functions.tsv has what top.tsv has."""
    both = [{r['name']: (r[self], r[total]) for r in singles.parse_tsv(program.cat(path + name))}
            for name, self, total in (('/top.tsv', 'flat', 'cum'), ('/functions.tsv', 'self', 'total'))]
    assert_same(*both, 'function')


def check_one(report, program, one, directory):
    """On a single profile, of its first type; graphs, which take Graphviz seconds, where everything is wanted."""
    for listed in singles.exact_types(one)[:1]:
        at, path = 'export/' + one.name, '%s/all/%s' % (one.service, listed)
        report.check(at + '/speedscope', check_speedscope, program, path)
        is_text = all(f.name == text_of(f.name) for f in one.profile.functions)
        if os.environ.get('PROFILEFS_ALL') and is_text:
            report.check(at + '/dot', check_dot, program, path, directory)
            report.check(at + '/graphviz', check_graphviz, program, path, directory)
        report.check(at + '/callgrind', check_callgrind, program, path, directory)
        report.check(at + '/firefox', check_firefox, program, path)
        report.check(at + '/otlp', check_otlp, program, path, one.profile.types[one.types[listed][0]][0])
        report.check(at + '/functions', check_functions, program, path)


def check_all(report, program, directory):
    """On the merges of the base profiles, which are in the store."""
    paths = ['%s/all/%s' % (s, t) for s in ('caddy', 'etcd', 'compile') for t in ('cpu', 'inuse_space', 'alloc_objects')
             if t in program.ls('%s/all' % s)]
    for path in paths + ['caddy/all/cpu/@focus=flate']:
        check_each(report, program, path, directory)
    report.check('exports/speedscope-viewer', check_speedscope_viewer, program, 'caddy/all/cpu', directory)
    report.check('exports/firefox-importer', check_firefox_importer, program, 'caddy/all/cpu', directory)
    report.check('exports/evented', check_evented, program, directory)
    report.check('exports/pgo', check_pgo, program, directory)
