# SPDX-License-Identifier: MIT
"""One profile at a time: what comes back of it, and what each rendering says of it."""
import collections
import html.parser
import os
import re

import pprofpb
from oracle import Skip, assert_same, canonical_unit, pprof, tool, type_class


class One:
    """One file, its service in the store and what our reader says of it."""

    def __init__(self, number, name, path):
        self.service, self.name, self.path = 's%04d' % number, name, path
        self.profile = pprofpb.load(path)
        self.stacks = {}  # of expected_stacks()
        self.types = {}  # listed name -> (index, unit, factor)


# ---- nothing is lost ----

def normal(p):
    """Everything a profile says, without ids and orders that mean nothing."""
    return dict(p.header, mappings=sorted(p.mappings), main=p.mappings[:1])


def samples_of(p):
    """Samples as multiset: equal ones stay apart. Labels have no order."""
    return collections.Counter((s.locations, s.values, tuple(sorted(s.labels))) for s in p.samples)


def check_lossless(program, one):
    files = program.ls('%s/all/profiles' % one.service)
    assert len(files) == 1, 'profiles/ lists %s' % files
    data = program.cat('%s/all/profiles/%s' % (one.service, files[0]))
    back = pprofpb.Profile(data)
    assert_same(normal(one.profile), normal(back), 'field')
    assert_same(samples_of(one.profile), samples_of(back), 'sample')


def raw_text(path):
    """`pprof -raw` with locations in place of their ids, samples and mappings in an order of their own."""
    text = pprof('-raw', path)
    head, _, rest = text.partition('\nSamples:\n')
    samples, _, rest = rest.partition('\nLocations\n')
    locations, _, mappings = rest.partition('\nMappings\n')
    where, mapping_names = {}, {}
    for line in mappings.splitlines():
        number, _, what = line.partition(': ')
        mapping_names[number.strip()] = what
    for block in re.split(r'\n(?= *\d+: 0x)', locations):
        number, _, what = block.strip().partition(': ')
        where[number] = re.sub(r'\bM=(\d+)', lambda m: 'M=' + mapping_names.get(m.group(1), '?'), what)
    lines = samples.split('\n')
    rows = []
    for line in lines[1:]:
        values, colon, ids = line.partition(': ')
        if colon and re.fullmatch(r'[-\d ]+', values) and re.fullmatch(r'[\d ]*', ids):
            rows.append([values] + [where[i] for i in ids.split()])
        elif rows:
            rows[-1].append(' '.join(sorted(line.split())))
    return head, lines[0], sorted(rows), sorted(set(mapping_names.values()))


def check_raw(program, one, directory):
    restored = os.path.join(directory, one.service + '.pb.gz')
    expected = raw_text(one.path)
    files = program.ls('%s/all/profiles' % one.service)
    with open(restored, 'wb') as f:
        f.write(program.cat('%s/all/profiles/%s' % (one.service, files[0])))
    got = raw_text(restored)
    for what, e, g in zip(('header', 'types', 'samples', 'mappings'), expected, got):
        assert e == g, '`pprof -raw` differs in its %s: %s' % (what, first_difference(e, g))


def first_difference(expected, got):
    if isinstance(expected, str):
        expected, got = expected.splitlines(), got.splitlines()
    for e, g in zip(expected, got):
        if e != g:
            return 'expected %.300s, got %.300s' % (e, g)
    return '%d and %d entries' % (len(expected), len(got))


# ---- types ----

def find_types(program, one):
    """Which listed type each of the profile's types is, by name and unit."""
    listed = [e for e in program.ls('%s/all' % one.service)]
    found = {}
    for i, (name, unit) in enumerate(one.profile.types):
        canonical, factor = canonical_unit(unit)
        names = [e for e in listed if e in (name, '%s.%s' % (name, canonical)) or e.endswith('.' + name)]
        assert names or not name, 'type %s/%s is not listed among %s' % (name, unit, listed)
        for n in names:
            if n not in found:
                found[n] = (i, canonical, factor)
                break
    return found


def is_difference(one, index):
    """Instantaneous types with negative values are left out of every selection."""
    return type_class(one.profile.types[index][0]) == 'instant' and any(s.values[index] < 0 for s in one.profile.samples)


def expected_stacks(one, index, factor):
    if index not in one.stacks:
        one.stacks[index] = {}
        if not is_difference(one, index):
            one.stacks[index] = {k: v * factor for k, v in pprofpb.by_stack(one.profile, index).items()}
    return one.stacks[index]


def overflows(one, index, factor):
    """Sums beyond 64 bits saturate here and wrap around in pprof."""
    return sum(abs(s.values[index]) for s in one.profile.samples) * factor >= 1 << 63


# ---- renderings ----

def printable(names):
    """Code that is known by address alone is gathered by its mapping, as pprof does."""
    out = []
    for n in names:
        if n.startswith('[') and '+0x' in n:
            n = n[:n.rindex('+0x')] + ']'
        elif re.fullmatch('0x[0-9a-f]+', n):
            n = '<unknown>'
        out.append(n)
    return tuple(out)


def field(name):
    return re.sub('[\t\n\r]', ' ', name)


def parse_tsv(data):
    rows = [line.split('\t') for line in data.decode('utf-8', 'surrogateescape').rstrip('\n').split('\n')]
    return [dict(zip(rows[0], r)) for r in rows[1:]]


def check_top_tsv(program, one, listed):
    index, unit, factor = one.types[listed]
    sums = collections.Counter()
    for names, value in expected_stacks(one, index, factor).items():
        sums[printable(names)] += value
    expected = collections.Counter()
    for name, (flat, cum) in pprofpb.flat_and_cum(sums).items():
        if flat or cum:
            expected[field(name)] = (flat, cum)
    rows = parse_tsv(program.cat('%s/all/%s/top.tsv' % (one.service, listed)))
    got = {r['name']: (int(r['flat']), int(r['cum'])) for r in rows if int(r['flat']) or int(r['cum'])}
    assert_same(dict(expected), got, 'function')
    assert all(r['unit'] == unit for r in rows), 'units %s' % {r['unit'] for r in rows}


def top_rows(text):
    """{name: (flat, cum)} of `pprof -top`, as printed."""
    rows = {}
    for line in text.split('\n'):
        m = re.match(r' *(\S+) +(\S+%) +(\S+%) +(\S+) +(\S+%) {2}(.*)$', line)
        if m:
            name = re.sub(r' \((partial-)?inline\)$', '', m.group(6))
            rows.setdefault(name, []).append((m.group(1), m.group(4), m.group(2), m.group(5)))
    return {k: sorted(v) for k, v in rows.items()}


def check_top_txt(program, one, listed):
    """The same rows as pprof prints: names, values in their units, shares."""
    index, _, _ = one.types[listed]
    if is_difference(one, index):
        raise Skip('a difference of states')
    if any('\n' in f.name for f in one.profile.functions):
        raise Skip('names of several lines')
    expected = pprof('-top', '-sample_index=%d' % index, one.path)
    got = program.cat('%s/all/%s/top.txt' % (one.service, listed)).decode('utf-8', 'surrogateescape')
    assert_same(top_rows(expected), top_rows(got), 'row')
    said = [re.search(r'^Showing nodes accounting for .*', t, re.M) for t in (expected, got)]
    said = [m.group(0) if m else '' for m in said]
    assert said[0] == said[1], 'expected "%s", got "%s"' % tuple(said)


def folded_line(names):
    return ';'.join(re.sub('[\n\r]', ' ', n).replace(';', ':') for n in names) or '[no stack]'


def parse_folded(data):
    out = collections.Counter()
    for line in data.decode('utf-8', 'surrogateescape').rstrip('\n').split('\n') if data else []:
        stack, _, value = line.rpartition(' ')
        out[stack] += int(value)
    return dict(out)


def check_folded(program, one, listed):
    index, _, factor = one.types[listed]
    expected = collections.Counter()
    for names, value in expected_stacks(one, index, factor).items():
        expected[folded_line(names)] += value
    expected = {k: v for k, v in expected.items() if v}
    assert_same(expected, parse_folded(program.cat('%s/all/%s/folded.txt' % (one.service, listed))))


def stacks_of_type(profile, name):
    """Of a merged profile, in canonical units."""
    if not profile.samples and not profile.types:
        return {}
    index = [t for t, _ in profile.types].index(name)
    factor = canonical_unit(profile.types[index][1])[1]
    return {k: v * factor for k, v in pprofpb.by_stack(profile, index).items()}


def check_merged(program, one, listed):
    """profile.pb.gz of a selection of one profile: its stacks, and pprof reads it."""
    index, _, factor = one.types[listed]
    data = program.cat('%s/all/%s/profile.pb.gz' % (one.service, listed))
    got = pprofpb.Profile(data)
    assert_same(expected_stacks(one, index, factor), stacks_of_type(got, one.profile.types[index][0]))


def check_xml(program, one, listed, rendering, directory):
    path = os.path.join(directory, 'rendering.svg')
    with open(path, 'wb') as f:
        f.write(program.cat('%s/all/%s/%s' % (one.service, listed, rendering)))
    done = tool('xmllint', '--noout', '--nonet', path)
    assert done.returncode == 0, done.stderr.decode(errors='replace')[:300]


def openmetrics_parser():
    try:
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
    except ImportError:
        raise Skip('python3-prometheus-client is not installed')
    return text_string_to_metric_families


class Html(html.parser.HTMLParser):
    """Whether elements are balanced, and what the document holds."""

    VOID = {'meta', 'br', 'input', 'link', 'img'}

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes = [], collections.Counter(), set()

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, 'end of %s within %s' % (tag, self.open[-3:])
        self.open.pop()


def check_html(program, one, listed):
    data = program.cat('%s/all/%s/flamegraph.html' % (one.service, listed))
    page = Html()
    page.feed(data.decode())
    page.close()
    assert not page.open, page.open
    assert page.tags['script'] <= 1 and page.tags['style'] == 1 and not page.tags['img'], page.tags
    assert not {a for a in page.attributes if a.startswith('on') or a in ('src', 'href', 'style')}, page.attributes


def check_root_widths(program, one, listed):
    """What stands on the root is as wide as it together, where all that costs something is above zero."""
    values = [s.values[one.types[listed][0]] for s in one.profile.samples]
    if min(values, default=0) < 0 or not sum(values) or not all(s.locations for s in one.profile.samples):
        return
    svg = program.cat('%s/all/%s/flamegraph.svg' % (one.service, listed)).decode()
    rows = collections.defaultdict(float)
    frames = svg[svg.index('<g class="frames">'):svg.index('<g class="bar">')]
    for y, width in re.findall(r'<rect class="[^"]*" x="[^"]*" y="(\d+)" width="([\d.]+)"', frames):
        rows[int(y)] += float(width)
    bottom = sorted(rows, reverse=True)
    assert abs(rows[bottom[0]] - 1180) < 0.02, rows[bottom[0]]
    assert abs(rows[bottom[1]] - 1180) < 1, rows[bottom[1]]


def check_openmetrics(program, one, listed):
    parse = openmetrics_parser()
    text = program.cat('%s/all/%s/metrics.prom' % (one.service, listed)).decode()
    try:
        list(parse(text))
    except ValueError as e:
        raise AssertionError('prometheus_client: %s' % str(e)[:300])


def check_promtool(program, one, listed, directory):
    """promtool imports it, as one would to look at history in Prometheus."""
    if one.profile.header['duration_nanos'] > 30 * 86400 * 10**9:
        raise Skip('it makes a block per two hours of a duration of more than 30 days')
    path = os.path.join(directory, 'metrics.prom')
    with open(path, 'wb') as f:
        f.write(program.cat('%s/all/%s/metrics.prom' % (one.service, listed)))
    done = tool('promtool', 'tsdb', 'create-blocks-from', 'openmetrics', path, os.path.join(directory, 'tsdb'))
    assert done.returncode == 0, done.stderr.decode(errors='replace')[-300:]


# ---- all of them ----

def ingest(program, one):
    code, said = program.ingest(one.service, [one.path], '-l', 'file=' + os.path.basename(one.path))
    assert code == 0, said[:300]


def list_types(program, one):
    one.types = find_types(program, one)


def exact_types(one):
    """Those whose sums stay within 64 bits."""
    return [listed for listed, (index, _, factor) in one.types.items() if not overflows(one, index, factor)]


def check_renderings(report, program, one, directory):
    for listed in exact_types(one):
        at = '%s/%s' % (one.name, listed)
        report.check('top-tsv/' + at, check_top_tsv, program, one, listed)
        report.check('top-txt/' + at, check_top_txt, program, one, listed)
        report.check('folded/' + at, check_folded, program, one, listed)
        report.check('merged/' + at, check_merged, program, one, listed)
    for listed in list(one.types)[:1]:
        report.check('html/' + one.name, check_html, program, one, listed)
        report.check('root-widths/' + one.name, check_root_widths, program, one, listed)
        for rendering in ('flamegraph.svg', 'heatmap.svg', 'timeline.svg', 'subsecond.svg'):
            report.check('xml/%s/%s' % (one.name, rendering), check_xml, program, one, listed, rendering, directory)
        report.check('openmetrics/' + one.name, check_openmetrics, program, one, listed)
        report.check('promtool/' + one.name, check_promtool, program, one, listed, directory)


def check_all(report, program, files, directory):
    """Those that were taken."""
    ones = []
    for number, (name, path) in enumerate(files):
        one = One(number, name, path)
        if not report.need('ingest/' + name, ingest, program, one):
            continue
        report.check('lossless/' + name, check_lossless, program, one)
        if name.startswith('base/'):
            report.check('raw/' + name, check_raw, program, one, directory)
        if report.need('types/' + name, list_types, program, one):
            check_renderings(report, program, one, directory)
            ones.append(one)
    return ones
