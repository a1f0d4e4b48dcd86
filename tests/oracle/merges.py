# SPDX-License-Identifier: MIT
"""Many profiles at a time: merges, values over time, selections by label and hour, series."""
import collections
import csv
import glob
import io
import json
import os
import re
import subprocess
import time

import alone
import exports
import images
import pprofpb
import singles
from oracle import SOURCE, Skip, assert_same, canonical_unit, pprof, pprof_command, tool, type_class

BASE = os.path.join(SOURCE, 'tests/data/base')
LIVES_AT_MOST = 5 * 60 * 10**9

Item = collections.namedtuple('Item', 'path profile labels')


# ---- what a selection is worth, computed the slow way ----

def series_of(items):
    rows = collections.defaultdict(list)
    for item in items:
        rows[tuple(sorted(item.labels.items()))].append(item)
    for row in rows.values():
        row.sort(key=lambda item: item.profile.header['time_nanos'])
    return list(rows.values())


def type_index(profile, name):
    return [t for t, _ in profile.types].index(name)


def stacks_of(item, name):
    index = type_index(item.profile, name)
    factor = canonical_unit(item.profile.types[index][1])[1]
    return {k: v * factor for k, v in pprofpb.by_stack(item.profile, index).items()}


def added_up(items, name):
    sums = collections.Counter()
    for item in items:
        sums.update(stacks_of(item, name))
    return sums


def increases(items, name):
    """Running totals: the first of a series whole, then what grew since the one before."""
    sums = collections.Counter()
    for row in series_of(items):
        before = {}
        for item in row:
            now = stacks_of(item, name)
            for stack, value in now.items():
                grown = value - before.get(stack, 0)
                sums[stack] += grown if grown >= 0 else value
            before = now
    return sums


def averaged(items, name):
    """States: each lives until its series' next one, at most 5 minutes; the integral over the time that any lived."""
    integral, lives = collections.Counter(), []
    for row in series_of(items):
        times = [item.profile.header['time_nanos'] for item in row]
        for item, at, after in zip(row, times, times[1:] + [times[-1] + LIVES_AT_MOST]):
            life = min(after - at, LIVES_AT_MOST)
            lives.append((at, at + life))
            for stack, value in stacks_of(item, name).items():
                integral[stack] += value * life
    covered, end = 0, 0
    for begin, until in sorted(lives):
        covered += max(until - max(begin, end), 0)
        end = max(end, until)
    return {k: v / covered for k, v in integral.items()}


def worth(items, name):
    of_class = type_class(name)
    if of_class == 'instant':
        return averaged(items, name)
    if of_class == 'running' and not items[0].profile.header['duration_nanos']:
        return increases(items, name)
    return added_up(items, name)


def roundings(items):
    """{stack of names: how many stacks of addresses it stands for}: averages are rounded for each of them."""
    stacks = collections.defaultdict(set)
    for item in items:
        for s in item.profile.samples:
            stacks[pprofpb.stack(s)].add(s.locations)
    return {k: len(v) for k, v in stacks.items()}


def assert_close(expected, got, tolerance):
    """Averages are rounded; everything else is exact (no tolerance). The sum of all is rounded once."""
    off = {k: (expected.get(k, 0), got.get(k, 0)) for k in set(expected) | set(got)
           if abs(expected.get(k, 0) - got.get(k, 0)) > tolerance.get(k, 0)}
    assert not off, '%d of %d stacks differ, as %s' % (len(off), len(expected), [(str(k)[-120:], v) for k, v in off.items()][:3])
    total, expected_total = sum(got.values()), sum(expected.values())
    assert abs(total - expected_total) <= (1 if tolerance else 0), 'total %s, expected %s' % (total, expected_total)


# ---- the base profiles, as a user would keep them ----

def listed_name(program, service, name, items):
    names = [e for e in program.ls('%s/all' % service) if e == name or e.endswith('.' + name)]
    assert names, '%s/all lists no %s' % (service, name)
    return names[0]


def base_items(service):
    items = []
    for path in sorted(glob.glob(os.path.join(BASE, service + '.*.pb.gz'))):
        number = os.path.basename(path).split('.')[2]
        # what was profiled by "compile" is a process each; the servers ran on
        labels = {'process': number} if service == 'compile' else {'instance': service + '-0'}
        items.append(Item(path, pprofpb.load(path), labels))
    return items


def ingest_items(program, service, items):
    for labels in sorted({tuple(sorted(i.labels.items())) for i in items}):
        options = [o for k, v in labels for o in ('-l', '%s=%s' % (k, v))]
        code, said = program.ingest(service, [i.path for i in items if tuple(sorted(i.labels.items())) == labels], *options)
        assert code == 0, said[:300]


def check_worth(program, path, items, name):
    expected = worth(items, name)
    tolerance = roundings(items) if type_class(name) == 'instant' else {}
    profile = pprofpb.Profile(program.cat(path + '/profile.pb.gz'))
    assert_close(expected, singles.stacks_of_type(profile, name), tolerance)
    folded, folded_tolerance = collections.Counter(), collections.Counter()
    for stack, value in expected.items():
        folded[singles.folded_line(stack)] += value
    for stack, value in tolerance.items():
        folded_tolerance[singles.folded_line(stack)] += value
    assert_close(folded, singles.parse_folded(program.cat(path + '/folded.txt')), folded_tolerance)


def check_pprof_merge(program, path, items, name, directory):
    """Event types: what `pprof -proto` makes of the same files."""
    command = pprof_command()
    if not command:
        raise Skip('pprof is not installed')
    merged = os.path.join(directory, 'merged.pb.gz')
    done = subprocess.run([*command, '-symbolize=none', '-proto', '-output=' + merged, *[i.path for i in items]],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
    assert done.returncode == 0, done.stderr.decode(errors='replace')[-300:]
    expected = pprofpb.load(merged)
    got = pprofpb.Profile(program.cat(path + '/profile.pb.gz'))
    assert_same(singles.stacks_of_type(expected, name), singles.stacks_of_type(got, name))


def check_info(program, path, count):
    info = json.loads(program.cat(path + '/info.json'))
    assert info['profiles'] == count, 'info.json says %s profiles, there are %d' % (info['profiles'], count)


def check_base(report, program, directory):
    services = sorted({os.path.basename(p).split('.')[0] for p in glob.glob(os.path.join(BASE, '*.pb.gz'))})
    for service in services:
        items = base_items(service)
        if not report.need('merge/ingest/' + service, ingest_items, program, service, items):
            continue
        for name in sorted({t for i in items for t, _ in i.profile.types}):
            of_type = [i for i in items if name in [t for t, _ in i.profile.types]]
            at = 'merge/%s/%s' % (service, name)
            listed = None
            def listing():
                nonlocal listed
                listed = listed_name(program, service, name, of_type)
            if not report.need(at + '/listed', listing):
                continue
            path = '%s/all/%s' % (service, listed)
            report.check(at + '/worth', check_worth, program, path, of_type, name)
            report.check(at + '/info', check_info, program, path, len(of_type))
            if type_class(name) == 'event':
                report.check(at + '/pprof', check_pprof_merge, program, path, of_type, name, directory)


# A filter or option of a path, and pprof's flag for the same.
FLAGS = {
    '@focus=flate': '-focus=flate',
    '@focus=http.*ServeHTTP$': '-focus=http.*ServeHTTP$',
    '@ignore=runtime': '-ignore=runtime',
    '@focus=net%2Fhttp/@ignore=flate': '-focus=net/http -ignore=flate',
    '@root=ServeHTTP': '-show_from=ServeHTTP',
    '@granularity=lines': '-lines',
    '@sort=cum': '-cum',
    '@limit=20': '-nodecount=20',
    '@sort=cum/@limit=20': '-cum -nodecount=20',
    '@granularity=lines/@limit=30': '-lines -nodecount=30',
    '@unit=s': '-unit=s',
    '@unit=ms': '-unit=ms',
}


def check_flags(program, option, flags):
    """top.txt with a filter or option is what pprof prints with its flag; shares are of what is selected."""
    items = [i for i in base_items('caddy') if 'cpu' in [t for t, _ in i.profile.types]]
    done = tool('pprof', '-symbolize=none', '-top', '-sample_index=cpu', '-relative_percentages', *flags.split(), *[i.path for i in items])
    assert done.returncode == 0, done.stderr.decode(errors='replace')[-300:]
    got = program.cat('caddy/all/cpu/%s/top.txt' % option).decode('utf-8', 'surrogateescape')
    expected = singles.top_rows(done.stdout.decode())
    assert expected, 'pprof prints no rows'
    assert_same(expected, singles.top_rows(got), 'row')
    order = [[m.group(1) for m in re.finditer(r'^ *\S+ +\S+% +\S+% +\S+ +\S+%  (.*)$', text, re.M)]
             for text in (done.stdout.decode(), got)]
    assert order[0] == order[1], 'rows are in another order'


def check_addresses(program, directory):
    """By address: in the mapping's file, where pprof shows them in memory."""
    path = 'caddy/all/cpu'
    profile = exports.save(program, path + '/profile.pb.gz', directory, 'addresses.pb.gz')
    moves = {(m.start, m.limit): m.offset - m.start for m in pprofpb.load(profile).mappings}

    def in_file(name):
        at, _, rest = name.partition(' ')
        value = int(at, 16)
        move = [d for (start, limit), d in moves.items() if start <= value < limit]
        return '%016x %s' % (value + move[0] if move else value, rest)

    expected = singles.top_rows(pprof('-top', '-addresses', '-sample_index=cpu', '-nodefraction=0', profile))
    got = singles.parse_tsv(program.cat(path + '/@granularity=addresses/top.tsv'))
    rows = {r['name'] for r in got if int(r['flat']) or int(r['cum'])}
    names = {in_file(k) for k in expected}
    bare = lambda n: ' '.join(n.split()[:2])
    assert {bare(n) for n in names} == {bare(n) for n in rows}, sorted({bare(n) for n in names} ^ {bare(n) for n in rows})[:4]


def check_files(program, directory):
    """By file: pprof has a row for each first line of a function, so that of a file several rows add up."""
    path = 'caddy/all/cpu'
    profile = exports.save(program, path + '/profile.pb.gz', directory, 'files.pb.gz')
    expected = singles.top_rows(pprof('-top', '-files', '-unit=ns', '-sample_index=cpu', '-nodefraction=0', profile))
    value = lambda text: int(re.sub('ns$', '', text))
    rows = {r['name']: r for r in singles.parse_tsv(program.cat(path + '/@granularity=files/top.tsv'))}
    got = {k: int(r['flat']) for k, r in rows.items() if int(r['flat']) or int(r['cum'])}
    assert_same({k: sum(value(flat) for flat, *_ in v) for k, v in expected.items()}, got, 'file')
    for name, v in expected.items():
        cums = [value(cum) for _, cum, *_ in v]
        assert max(cums) <= int(rows[name]['cum']) <= sum(cums), name


def check_functions_tsv(program, path):
    """functions.tsv and top.tsv say the same of each function."""
    rows = singles.parse_tsv(program.cat(path + '/functions.tsv'))
    top = {r['name']: (r['flat'], r['cum'], r['cum%']) for r in singles.parse_tsv(program.cat(path + '/top.tsv'))}
    assert_same(top, {r['name']: (r['self'], r['total'], r['total%']) for r in rows}, 'function')
    assert rows == sorted(rows, key=lambda r: -int(r['total'])), 'the greatest total is not first'
    assert sum(1 for r in rows if r['file']) > len(rows) * 0.9, 'few functions have a file'


def check_function(program, path, name, directory):
    """callers.txt and callees.txt are what `pprof -peek` shows around a function; lines.tsv what our reader adds up."""
    at = '%s/functions/%s' % (path, name.replace('/', '%2F'))
    profile = exports.save(program, path + '/profile.pb.gz', directory, 'peek.pb.gz')
    flags = ['-sample_index=' + path.split('/')[2], '-unit=ns', '-nodefraction=0', '-edgefraction=0']
    peek = pprof('-peek', '^%s$' % re.escape(name), *flags, profile)
    block = [b for b in peek.split('-' * 58 + '+' + '-' * 13) if re.search(r'\| +%s(?: \((partial-)?inline\))?$' % re.escape(name), b, re.M)]
    sides = {'callers.txt': {}, 'callees.txt': {}}
    for b in block:
        side = 'callers.txt'
        for line in b.strip('\n').splitlines():
            m = re.match(r' *(\S+) +\S+% \|   (\S.*?)(?: \((?:partial-)?inline\))?$', line)
            if m:
                sides[side][m.group(2)] = m.group(1)
            elif re.match(r' *\S+ +\S+% +\S+% +\S+ +\S+%', line):
                side = 'callees.txt'
        if sides['callers.txt'] or sides['callees.txt']:
            break
    for side, expected in sides.items():
        text = program.cat('%s/@unit=ns/%s' % (at, side)).decode()
        got = {}
        for line in text.split('%  call', 1)[1].splitlines()[1:]:
            value, _, rest = line.split(None, 2)
            if rest not in ('(none)', '(itself)'):
                got[rest] = value
        assert expected or not got, 'pprof -peek shows nothing: %s' % peek[-300:]
        assert_same(expected, got, side)
    check_lines(program, at, profile, path.split('/')[2], name)


def check_lines(program, at, profile, type_name, name):
    p = pprofpb.load(profile)
    index = type_index(p, type_name)
    expected = collections.defaultdict(lambda: [0, 0])
    for s in p.samples:
        lines = [(ln.function.filename, ln.line, ln.function.name) for loc in s.locations for ln in loc.lines]
        for place in {(f, n) for f, n, called in lines if called == name}:
            expected[place][1] += s.values[index]
        if lines and lines[0][2] == name:
            expected[lines[0][:2]][0] += s.values[index]
    got = {(r['file'], int(r['line'])): [int(r['self']), int(r['total'])] for r in singles.parse_tsv(program.cat(at + '/lines.tsv'))}
    assert_same({k: v for k, v in expected.items() if any(v)}, got, 'line')


def check_function_metrics(program, path, name):
    """The series of a function come to its total."""
    total = {r['name']: int(r['total']) for r in singles.parse_tsv(program.cat(path + '/functions.tsv'))}[name]
    at = '%s/@function=%s' % (path, name.replace('/', '%2F'))
    rows = list(csv.DictReader(io.StringIO(program.cat(at + '/metrics.csv').decode())))
    assert abs(sum(float(r['sum']) for r in rows) * 1e9 - total) <= 1e-6 * total, 'metrics.csv of %s' % name
    text = program.cat(at + '/metrics.prom').decode()
    assert 'function="%s"' % name in text


def check_search(program):
    """Services of the store that call a function: those whose functions.tsv has it, with the same values."""
    name = 'runtime.mallocgc'
    found = {}
    for service in program.ls(''):
        days = [e for e in program.ls(service) if e[:2] == '20'] if not service.startswith('.') and service != 'README.md' else []
        for listed in program.ls('%s/all' % service) if days else []:
            if listed in ('cpu', 'alloc_space'):
                for r in singles.parse_tsv(program.cat('%s/all/%s/functions.tsv' % (service, listed))):
                    if r['name'] == name:
                        found[service, listed] = (int(r['self']), int(r['total']))
    rows = singles.parse_tsv(program.cat('.profilefs/search/%s.tsv' % name))
    got = {(r['service'], r['type']): (int(r['self']), int(r['total'])) for r in rows if r['type'] in ('cpu', 'alloc_space')}
    recent = {k: v for k, v in found.items() if k in got}
    if not got and found:
        raise Skip('the base profiles are not of the last seven days')
    assert_same(recent, got, 'service')


def check_exemplars(program, path, directory):
    """An OpenMetrics parser takes them, and their ids are profiles; Prometheus backfills from it."""
    text = program.cat(path + '/@exemplars=1/metrics.prom').decode()
    families = {f.name: f for f in singles.openmetrics_parser()(text)}
    counter = [f for n, f in families.items() if n.endswith('_profiles')]
    assert counter and counter[0].type == 'counter', list(families)
    ids = {s.exemplar.labels['profile_id'] for s in counter[0].samples if s.exemplar}
    listed = {e.split('_')[1].split('.')[0] for e in program.ls(path + '/profiles')}
    assert ids and ids <= listed, ids - listed
    saved = exports.save(program, path + '/@exemplars=1/metrics.prom', directory, 'exemplars.prom')
    done = tool('promtool', 'tsdb', 'create-blocks-from', 'openmetrics', saved, os.path.join(directory, 'tsdb2'))
    assert done.returncode == 0, done.stderr.decode(errors='replace')[-300:]


def check_promtool_metrics(program, path):
    """`promtool check metrics`, which takes no exemplars."""
    done = tool('promtool', 'check', 'metrics', stdin=program.cat(path + '/metrics.prom'))
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors='replace')[-300:]


def check_rates(program, path):
    """Rates do not change with the step, where the step divides what is covered: their integral stays the total."""
    sums = {}
    for step in ('1s', '5s', '15s'):
        rows = list(csv.DictReader(io.StringIO(program.cat('%s/@step=%s/metrics.csv' % (path, step)).decode())))
        sums[step] = sum(float(r['sum']) for r in rows)
        peak = max(float(r['rate'] or 0) for r in rows)
        sums[step] = round(sums[step], 6)
        assert peak > 0
    assert len(set(sums.values())) == 1, sums


# ---- differences ----

def difffolded(before, after):
    """What difffolded prints: each stack of either with both counts."""
    return {k: (before.get(k, 0), after.get(k, 0)) for k in set(before) | set(after)}


def parse_difffolded(data):
    out = {}
    for line in data.decode('utf-8', 'surrogateescape').rstrip('\n').split('\n'):
        stack, before, after = line.rsplit(' ', 2)
        out[stack] = (int(before), int(after))
    return out


def check_diff(program, service, after, before):
    """diff.* against the two sides, each as its own files tell it."""
    path, base = '%s/all/cpu/%s' % (service, after), '%s/all/cpu/%s' % (service, before)
    vs = '%s/vs/%s' % (path, before)
    folded = [singles.parse_folded(program.cat(p + '/folded.txt')) for p in (base, path)]
    assert_same(difffolded(*folded), parse_difffolded(program.cat(vs + '/diff.folded')))
    tops = [{r['name']: (int(r['flat']), int(r['cum'])) for r in singles.parse_tsv(program.cat(p + '/top.tsv'))} for p in (base, path)]
    rows = singles.parse_tsv(program.cat(vs + '/diff.tsv'))
    got = {r['name']: tuple(int(r[c]) for c in ('self_before', 'total_before', 'self_after', 'total_after')) for r in rows}
    expected = {k: tops[0].get(k, (0, 0)) + tops[1].get(k, (0, 0)) for k in set(tops[0]) | set(tops[1])}
    assert_same(expected, got, 'function')
    for i, r in enumerate(rows):
        assert int(r['rank']) == i + 1 and int(r['self_change']) == int(r['self_after']) - int(r['self_before'])
        assert (r['state'] == 'new') == (r['name'] not in tops[0]) and (r['state'] == 'gone') == (r['name'] not in tops[1]), r
    changes = [abs(int(r['self_change'])) for r in rows]
    assert changes == sorted(changes, reverse=True), 'ranks are not by change'
    document = json.loads(program.cat(vs + '/diff.json'))
    assert [(f['name'], f['self']['change'], f['state']) for f in document['functions']] == \
        [(r['name'], int(r['self_change']), r['state']) for r in rows]
    assert document['total']['change'] == sum(folded[1].values()) - sum(folded[0].values())
    text = program.cat(vs + '/diff.txt').decode()
    changed = [r for r in rows if r['state'] != 'same']
    assert [line.split(None, 4)[4] for line in text.split('function\n', 1)[1].splitlines()] == [r['name'] for r in changed[:100]]


def check_diff_base(program, service, after, before, directory):
    """profile.pb.gz under vs is what `pprof -diff_base` makes of both sides."""
    path, base = '%s/all/cpu/%s' % (service, after), '%s/all/cpu/%s' % (service, before)
    files = [exports.save(program, p + '/profile.pb.gz', directory, n) for p, n in ((base, 'base.pb.gz'), (path, 'after.pb.gz'))]
    ours = exports.save(program, '%s/vs/%s/profile.pb.gz' % (path, before), directory, 'diff.pb.gz')
    for flags in (('-top',), ('-top', '-cum'), ('-top', '-lines')):
        expected = pprof(*flags, '-sample_index=cpu', '-nodefraction=0', '-diff_base=' + files[0], files[1])
        assert_same(singles.top_rows(expected), singles.top_rows(pprof(*flags, '-nodefraction=0', ours)), 'row')


def check_normalized(program, service, after, before):
    vs = '%s/all/cpu/%s/@normalize=1/vs/%s' % (service, after, before)
    total = json.loads(program.cat(vs + '/diff.json'))['total']
    assert abs(total['change']) <= 1000, 'normalised totals differ by %s' % total


def check_diffs(report, program, directory):
    for service, after, before in (('compile', 'process=1', 'process=2'), ('compile', 'process=2', 'process=1'),
                                   ('compile', 'process=1', 'process=1'), ('compile', 'process=1', 'process=none')):
        at = '%s/%s-%s' % (service, after, before)
        report.check('diff/' + at, check_diff, program, service, after, before)
        if before != 'process=none':  # of nothing, pprof takes no difference
            report.check('diff-base/' + at, check_diff_base, program, service, after, before, directory)
    report.check('diff-normalized', check_normalized, program, 'compile', 'process=1', 'process=2')


def check_rules(program, directory):
    """`promtool check metrics` takes what rules make of a profile that ended two minutes ago."""
    stacks, rules = os.path.join(directory, 'ruled.folded'), os.path.join(directory, 'rules.json')
    with open(stacks, 'w', encoding='utf-8') as f:
        f.write('main;work 30\nmain;idle 5\n')
    os.utime(stacks, (time.time() - 120,) * 2)
    code, said = program.ingest('ruled', [stacks], '-l', 'pod=a"\\b')
    assert code == 0, said
    with open(rules, 'w', encoding='utf-8') as f:
        json.dump([{'name': 'all', 'select': 'ruled/samples', 'by': 'pod'},
                   {'name': 'work', 'select': 'ruled/samples', 'function': 'work', 'self': True}], f)
    done = program.run('rules', program.store, rules)
    assert done.returncode == 0, done.stderr
    text = program.cat('.profilefs/rules.prom')
    assert b'all_sum_per_step{service="ruled",type="samples",pod="a\\"\\\\b"} 35\n' in text, text
    assert b'work_sum_per_step{service="ruled",type="samples",function="work"} 30\n' in text, text
    done = tool('promtool', 'check', 'metrics', stdin=text)
    assert done.returncode == 0, done.stderr


def check_numbers(report, program, directory):
    for path in ('caddy/all/cpu', 'etcd/all/cpu', 'caddy/all/inuse_space'):
        report.check('numbers/functions/' + path, check_functions_tsv, program, path)
        report.check('numbers/promtool/' + path, check_promtool_metrics, program, path)
        report.check('numbers/exemplars/' + path, check_exemplars, program, path, directory)
    report.check('numbers/promtool-by', check_promtool_metrics, program, 'caddy/all/cpu/by-instance')
    report.check('numbers/rules', check_rules, program, directory)
    report.check('numbers/rates', check_rates, program, 'caddy/all/cpu')
    for name in ('runtime.mallocgc', 'net/http.(*conn).serve', 'runtime.scanObject'):
        report.check('numbers/function/' + name, check_function, program, 'caddy/all/cpu', name, directory)
        report.check('numbers/function-metrics/' + name, check_function_metrics, program, 'caddy/all/cpu', name)
    report.check('numbers/addresses', check_addresses, program, directory)
    report.check('numbers/files', check_files, program, directory)
    report.check('numbers/search', check_search, program)


def check_twice(program):
    """What was ingested before counts once, and is told to be a duplicate."""
    before = program.cat('caddy/all/cpu/folded.txt')
    items = base_items('caddy')
    ingest_items(program, 'caddy', items)
    assert program.cat('caddy/all/cpu/folded.txt') == before, 'a second ingest changed the sums'


# ---- hundreds, made from the base ----

def generate(program, directory):
    bench = os.path.join(os.path.dirname(program.binary), 'bench')
    if not os.access(bench, os.X_OK):
        raise Skip('there is no bench beside the program, which generates profiles')
    done = subprocess.run([bench, 'gen', '--base', BASE, '--preset', 'small', '--seed', '7', '--end', '2026-11-22T11:58:00Z',
                           directory], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
    assert done.returncode == 0, done.stderr.decode(errors='replace')
    with open(os.path.join(directory, 'index.jsonl')) as f:
        return [json.loads(line) for line in f]


class Fleet:
    """A generated set of profiles: what index.jsonl says, and where the files are."""

    def __init__(self, program, directory):
        self.program, self.directory, self.rows = program, os.path.join(directory, 'fleet'), []
        self.profiles = {}

    def ingest(self):
        self.rows = generate(self.program, self.directory)
        groups = collections.defaultdict(list)
        for row in self.rows:
            labels = tuple(sorted((k, v) for k, v in row['labels'].items() if k != 'service_name'))
            groups[row['service'], labels].append(os.path.join(self.directory, row['path']))
        for (service, labels), files in groups.items():
            code, said = self.program.ingest(service, files, *[o for k, v in labels for o in ('-l', '%s=%s' % (k, v))])
            assert code == 0, said[:300]

    def items(self, service, type_of_file, **labels):
        out = []
        for row in self.rows:
            if row['service'] == service and row['type'] == type_of_file and \
                    all(row['labels'].get(k) == v for k, v in labels.items()):
                path = os.path.join(self.directory, row['path'])
                if path not in self.profiles:
                    self.profiles[path] = pprofpb.load(path)
                own = {k: v for k, v in row['labels'].items() if k != 'service_name'}
                out.append(Item(path, self.profiles[path], own))
        return out

    def total(self, name, **wanted):
        return sum(r['totals'].get(name, 0) for r in self.rows
                   if all(r['labels'].get(k, r.get(k)) == v for k, v in wanted.items()))


def total_of(program, path):
    return sum(singles.parse_folded(program.cat(path + '/folded.txt')).values())


def check_totals(program, fleet, service):
    """Every label's values come to what the generator counted."""
    assert total_of(program, '%s/all/cpu' % service) == fleet.total('cpu', service=service)
    for label in ('pod', 'region', 'version'):
        for value in sorted({r['labels'][label] for r in fleet.rows if r['service'] == service}):
            expected = fleet.total('cpu', service=service, **{label: value})
            for path in ('%s/all/cpu/%s=%s', '%s/%s=%s/all/cpu', '%s/all/%s=%s/cpu'):
                assert total_of(program, path % (service, label, value)) == expected, path % (service, label, value)


def check_everything(program, fleet):
    assert total_of(program, '@all/all/cpu') == fleet.total('cpu')
    for service in sorted({r['service'] for r in fleet.rows}):
        assert total_of(program, '@all/service=%s/all/cpu' % service) == fleet.total('cpu', service=service)


def check_hours(program, fleet, service):
    """The hours of a day come to the day; a profile belongs wholly to the hour of its start."""
    for day in [e for e in program.ls(service) if e[:2] == '20']:
        hours = [e for e in program.ls('%s/%s' % (service, day)) if e[0] == 'T']
        sums = sum(total_of(program, '%s/%s/%s/cpu' % (service, day, h)) for h in hours)
        assert sums == total_of(program, '%s/%s/cpu' % (service, day)), day
    for row in [r for r in fleet.rows if r['service'] == service and r['type'] == 'cpu'][:3]:
        second = row['start_ns'] // 10**9
        minute = subprocess.run(['date', '-u', '-d', '@%d' % second, '+%Y-%m-%dT%H%M'], stdout=subprocess.PIPE).stdout.decode().strip()
        expected = sum(r['totals']['cpu'] for r in fleet.rows if r['service'] == service and r['type'] == 'cpu' and
                       r['start_ns'] // (60 * 10**9) == second // 60)
        assert total_of(program, '%s/%s/cpu' % (service, minute)) == expected, minute


def check_labels(program, fleet, service):
    labels = json.loads(program.cat('%s/all/cpu/labels.json' % service))
    text = json.dumps(labels)
    for row in fleet.rows:
        if row['service'] == service:
            assert row['pod'] in text, 'labels.json does not know %s' % row['pod']


def check_top(program, fleet, service, directory):
    """top.txt of hundreds of files is what pprof prints of them."""
    items = fleet.items(service, 'cpu')
    done = tool('pprof', '-symbolize=none', '-top', '-sample_index=cpu', *[i.path for i in items])
    assert done.returncode == 0, done.stderr.decode(errors='replace')[-300:]
    got = program.cat('%s/all/cpu/top.txt' % service).decode('utf-8', 'surrogateescape')
    assert_same(singles.top_rows(done.stdout.decode()), singles.top_rows(got), 'row')


def check_csv(program, fleet, service):
    """The sums per step of metrics.csv come to the total."""
    rows = list(csv.DictReader(io.StringIO(program.cat('%s/all/cpu/metrics.csv' % service).decode())))
    assert rows, 'metrics.csv has no rows'
    column = [c for c in rows[0] if 'sum' in c or 'total' in c]
    assert column, 'metrics.csv has no sums: %s' % list(rows[0])
    total = sum(float(r[column[0]] or 0) for r in rows)
    expected = fleet.total('cpu', service=service)
    assert abs(total - expected) <= expected * 1e-6 or abs(total * 1e9 - expected) <= expected * 1e-6, \
        'metrics.csv sums up to %s, the profiles to %s' % (total, expected)


def check_fleet(report, program, directory):
    fleet = Fleet(program, directory)
    if not report.need('fleet/ingest', fleet.ingest):
        return
    for service in sorted({r['service'] for r in fleet.rows}):
        at = 'fleet/%s/' % service
        report.check(at + 'totals', check_totals, program, fleet, service)
        report.check(at + 'hours', check_hours, program, fleet, service)
        report.check(at + 'labels', check_labels, program, fleet, service)
        report.check(at + 'top', check_top, program, fleet, service, directory)
        report.check(at + 'csv', check_csv, program, fleet, service)
        for kind, name in (('cpu', 'cpu'), ('cpu', 'samples'), ('heap', 'inuse_space'), ('heap', 'alloc_space'),
                           ('goroutine', 'goroutine')):
            def of_type(kind=kind, name=name):
                items = fleet.items(service, kind)
                if not items:
                    raise Skip('no %s profiles' % kind)
                check_worth(program, '%s/all/%s' % (service, name), items, name)
            report.check(at + 'worth-' + name, of_type)
        report.check(at + 'pprof', lambda: check_pprof_merge(
            program, '%s/all/cpu' % service, fleet.items(service, 'cpu'), 'cpu', directory))
    report.check('fleet/everything', check_everything, program, fleet)


def check_all(report, program, directory):
    check_base(report, program, directory)
    for option, flags in FLAGS.items():
        report.check('flags/' + option, check_flags, program, option, flags)
    check_numbers(report, program, directory)
    check_diffs(report, program, directory)
    exports.check_all(report, program, directory)
    alone.check_all(report, program, base_items('caddy'), directory)
    images.check_all(report, program, directory)
    report.check('merge/twice', check_twice, program)
    fleet_directory = os.path.join(directory, 'second')
    os.mkdir(fleet_directory)
    program.store = os.path.join(fleet_directory, 'store')
    check_fleet(report, program, fleet_directory)
