#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tree manners: what is listed is finite, agrees with lookups, shows each datum once, and stays cheap to walk."""

import collections
import os
import re
import stat
import time

from harness import ALL, DAY, NOON, PROGRAM, SANITIZED, Mount, add_service, fill, main, ok, pprof, profile, profiles, sh, write

SAFE = re.compile(r'[A-Za-z0-9_+~%][A-Za-z0-9._+,%~-]*')


def store(services=10, days=3, labels=20):
    """Profiles of services x days x values of a label."""
    with Mount() as m:
        for s in range(services):
            service = add_service(m, f'svc{s}')
            for d in range(days):
                for v in range(labels):
                    at = NOON - d * 86400 + v
                    write(os.path.join(service, f'pod=p{v}', f'{d}.pb.gz'), pprof({f'main;f{v}': 1000 + v + s}, at))
    return services, days, labels


def walk(path):
    """(path, entry) of everything below that is listed; links are not followed."""
    todo = [path]
    while todo:
        here = todo.pop()
        with os.scandir(here) as entries:
            for e in entries:
                yield here, e
                if e.is_dir(follow_symlinks=False):
                    todo.append(e.path)


def test_listings_and_lookups_agree():
    store(2, 2, 3)
    with Mount() as m:
        seen = 0
        for here, e in walk(m.path):
            st = os.lstat(e.path)
            kinds = (e.is_dir(follow_symlinks=False), e.is_file(follow_symlinks=False), e.is_symlink())
            assert kinds == (stat.S_ISDIR(st.st_mode), stat.S_ISREG(st.st_mode), stat.S_ISLNK(st.st_mode)), e.path
            assert sum(kinds) == 1, e.path
            if e.is_symlink():
                os.stat(e.path)
            elif not kinds[0]:
                with open(e.path, 'rb') as f:
                    assert len(f.read()) == os.fstat(f.fileno()).st_size == os.stat(e.path).st_size, e.path
            assert not kinds[0] or st.st_nlink == 1, e.path
            assert 1 < st.st_ino < 1 << 53, e.path
            seen += 1
        assert seen > 100
        for here in {here for here, _ in walk(m.path)}:
            names = os.listdir(here)
            assert len(names) == len(set(names)), here
            assert names == os.listdir(here), f'{here}: the order changes'


def test_every_listed_name_is_safe():
    store(2, 2, 2)
    with Mount() as m:
        for here, e in walk(m.path):
            if here != m.path or e.name != '.profilefs':
                assert SAFE.fullmatch(e.name), e.path


def test_walks_end_and_read_each_datum_once():
    services, days, labels = store()
    with Mount() as m:
        found = collections.Counter(os.path.basename(here) + '/' + e.name for here, e in walk(m.path)
                                    if os.path.basename(here) == 'profiles' and e.is_file(follow_symlinks=False))
        assert len(found) == services * days * labels and set(found.values()) == {1}, len(found)
        every = sum(1 for _ in walk(m.path))
        for command in ('find . | wc -l', 'find . -type f -o -type d -o -type l | wc -l'):
            assert int(ok(command, cwd=m.path).out) == every + 1
        for command in ('du -s .', 'ls -lR . >/dev/null', 'grep -r nothing . ; true', 'tar cf - . | wc -c', 'rg --files . | wc -l',
                        'cp -r . ../copy', 'rsync -a ./ ../synced/'):
            r = sh(command, cwd=m.path, timeout=80)
            assert r.code == 0, f'{command}\n{r}'
        files = int(ok('find ../copy -type f | wc -l', cwd=m.path).out)
        assert files == int(ok('find ../synced -type f | wc -l', cwd=m.path).out)
        r = ok('rsync -ain --exclude=.profilefs ./ ../synced/', cwd=m.path)
        assert not [line for line in r.out.splitlines() if line.startswith('>f')], r.out[:1000]


def test_find_that_follows_links_ends():
    store(1, 2, 2)
    with Mount() as m:
        r = sh('timeout 60 find -L . 2>/dev/null | wc -l', cwd=m.path, timeout=80)
        assert 0 < int(r.out) < 200000, r
        assert r.seconds < 60, r


def test_du_shows_what_a_day_takes():
    store(1, 1, 5)
    with Mount() as m:
        blocks = sum(os.stat(m.sub('svc0', DAY, 'profiles', p)).st_blocks for p in profiles(m, 'svc0'))
        assert blocks >= 5
        for name in ('folded.txt', 'flamegraph.svg'):
            assert os.stat(m.sub('svc0', DAY, 'cpu', name)).st_blocks <= 1


def requests(m):
    numbers = {}
    time.sleep(1.1)  # the counts are kept for a second
    for line in open(m.sub('.profilefs', 'metrics.prom')):
        match = re.match(r'(?:\w+_)?store_(gets|lists|puts)\w* (\d+)', line)
        if match:
            numbers[match[1]] = int(match[2])
    return numbers


def test_listing_costs_few_requests():
    store(4, 3, 5)
    with Mount() as m:
        for path in ('', 'svc1'):
            os.listdir(m.sub(path))
            before = requests(m)
            assert before, 'no counts of requests'
            for _ in range(20):
                os.listdir(m.sub(path))
            after = requests(m)
            used = sum(after.values()) - sum(before.values())
            assert used <= 8, f'{path}: {before} {after}'


def test_an_idle_mount_asks_nothing():
    store(1, 1, 2)
    with Mount() as m:
        os.listdir(m.sub('svc0'))
        before = requests(m)
        time.sleep(2)
        after = requests(m)
        assert sum(after.values()) - sum(before.values()) <= 2, f'{before} {after}'


def test_links_are_relative_and_lead_on():
    store(1, 2, 3)
    with Mount() as m:
        assert os.readlink(m.sub('svc0', 'latest')) == DAY
        by = m.sub('svc0', DAY, 'cpu', 'by-pod')
        assert os.readlink(os.path.join(by, 'p1')) == '../pod=p1'
        one = open(os.path.join(by, 'p1', 'folded.txt')).read()
        assert one == open(m.sub('svc0', DAY, 'cpu', 'pod=p1', 'folded.txt')).read() and one.startswith('main;f1 ')
        for link in ('last-15m', 'last-1h', 'last-24h', 'today', 'yesterday', 'latest'):
            assert not os.readlink(m.sub('svc0', link)).startswith('/'), link
            assert os.path.isdir(m.sub('svc0', link)), link
        hour = m.sub('svc0', DAY, 'T12')
        assert os.readlink(hour) == f'../{DAY}T12' and os.path.isdir(hour)
        inside = m.sub('svc0', DAY, 'cpu', 'profiles')
        for name in os.listdir(inside):
            assert os.path.islink(os.path.join(inside, name))
            assert os.path.realpath(os.path.join(inside, name)) == m.sub('svc0', DAY, 'profiles', name)


def test_absent_names():
    store(1, 1, 1)
    with Mount() as m:
        for path in ('nothere', 'svc0/nothere', f'svc0/{DAY}/nothere', f'svc0/{DAY}/cpu/nothere', 'svc0/cpu', '.git', 'svc0/.git',
                     '.Trash-1000', 'svc0/.DS_Store', f'svc0/{DAY}/cpu/top.html', f'svc0/{DAY}/profiles/x'):
            assert not os.path.lexists(m.sub(path)), path
        for path in ('svc0/2015', 'svc0/2015-03-04', 'svc0/2015-03-04T05', f'svc0/{DAY}/pod=nothere', f'svc0/{DAY}/cpu/nolabel=x',
                     'svc0/2015/2016', f'svc0/{DAY}/cpu/@focus=nothing', f'svc0/{DAY}/T14', f'svc0/{DAY}T14:05'):
            assert os.path.isdir(m.sub(path)) or '2015/2016' in path, path
        for path in ('svc0/2026-13-01', f'svc0/{DAY}/cpu/@nothing=1', f'svc0/{DAY}/cpu/pod=~(', f'svc0/{DAY}/cpu/@step=soon'):
            try:
                os.lstat(m.sub(path))
            except OSError as x:
                assert x.errno == 22, f'{path}: {x}'
            else:
                raise AssertionError(f'{path} should be EINVAL')
            assert path.split('/')[-1] in m.errors(), f'{path}: no reason in .profilefs/errors'


def test_a_negative_answer_is_not_kept():
    with Mount() as m:
        service = add_service(m)
        assert not os.path.exists(os.path.join(service, 'p.pb.gz'))
        write(os.path.join(service, 'p.pb.gz'), profile(1))
        assert os.path.exists(os.path.join(service, 'p.pb.gz'))
        assert not os.path.exists(m.sub('other'))
        with Mount(path='b') as b:
            os.mkdir(b.sub('other'))
            write(b.sub('other', 'x.pb.gz'), profile(2))
        time.sleep(1.1)
        assert os.path.exists(m.sub('other'))


def test_the_same_tree_without_a_mount():
    store(1, 1, 3)
    with Mount() as m:
        for path in ('', 'svc0', f'svc0/{DAY}', f'svc0/{DAY}/cpu', f'svc0/{DAY}/cpu/by-pod'):
            here = sorted(n for n in os.listdir(m.sub(path)) if n != '.profilefs')
            there = sorted(n.rstrip('/@') for n in ok(f'{PROGRAM} ls db {path}').out.split('\n') if n and n != '.profilefs')
            assert [n.split(' -> ')[0] for n in there] == here, f'{path}: {there} {here}'
        for name in ('folded.txt', 'top.txt', 'flamegraph.svg', 'profile.pb.gz', 'metrics.prom', 'heatmap.svg', 'info.json'):
            path = f'svc0/{DAY}/cpu/{name}'
            assert open(m.sub(path), 'rb').read() == ok(f'{PROGRAM} cat db {path}').raw, path


def test_a_long_listing_is_a_stream():
    count = 20000 if ALL else 3000
    with Mount(options='compact=no') as m:
        service = add_service(m)
        half = b''.join(pprof({'main;work': 1 + i}, NOON + i // 10, duration=1) for i in range(count))
        step = 1500
        members = half.split(b'\x1f\x8b\x08\x00\x00\x00\x00\x00')[1:]
        for i in range(0, count, step):
            write(os.path.join(service, f'{i}.pb.gz'), b''.join(b'\x1f\x8b\x08\x00\x00\x00\x00\x00' + x
                                                                for x in members[i:i + step]))
        names = profiles(m)
        assert len(names) == count == len(set(names)), len(names)
        before = rss(m.pid)
        for _ in range(3):
            assert sum(1 for _ in os.scandir(m.sub('web', DAY, 'profiles'))) == count
        assert SANITIZED or rss(m.pid) < before + 32 * 1024, f'{before} to {rss(m.pid)} KiB'


def rss(pid):
    return int(re.search(r'VmRSS:\s+(\d+)', open(f'/proc/{pid}/status').read())[1])


def test_vs_and_options():
    store(1, 2, 2)
    with Mount() as m:
        cpu = m.sub('svc0', DAY, 'cpu')
        assert os.path.isdir(os.path.join(cpu, 'vs')) and os.path.isdir(os.path.join(cpu, 'vs', '2026-11-21'))
        limited = open(os.path.join(cpu, '@limit=1', 'top.txt')).read()
        assert limited
        focus = open(os.path.join(cpu, '@focus=f1', 'folded.txt')).read()
        assert 'f1' in focus and 'f0' not in focus
        assert open(m.sub('svc0', '2015-01-01', 'cpu', 'folded.txt')).read() == ''


def test_new_data_is_a_new_file():
    with Mount() as m:
        fill(m, count=1)
        path = m.sub('web', DAY, 'cpu', 'folded.txt')
        before = os.stat(path)
        assert os.stat(path).st_ino == before.st_ino
        with open(path) as f:
            old = f.read()
            write(m.sub('web', 'new.pb.gz'), pprof({'main;marker': 5}, NOON + 999))
            assert 'marker' in open(path).read(), 'a writer does not see its own profile'
            after = os.stat(path)
            assert after.st_ino != before.st_ino
            f.seek(0)
            assert f.read() == old, 'an open file changed'


def test_closed_ranges_are_the_same_after_a_remount():
    store(1, 2, 3)
    seen = []
    for _ in range(2):
        with Mount() as m:
            seen.append({p: (st.st_ino, st.st_size, st.st_mtime_ns) for p, st in
                         ((e.path, os.lstat(e.path)) for _, e in walk(m.sub('svc0', '2026-11-21')))})
    assert seen[0] == seen[1] and len(seen[0]) > 10, [(p, s, seen[1].get(p)) for p, s in seen[0].items() if seen[1].get(p) != s][:5]


def test_tools_that_are_often_used():
    store(1, 1, 2)
    with Mount() as m:
        for command in ('ls --color=always -F', 'ls -la', 'find . -maxdepth 2 -ls', 'du -a svc0 | tail -n 1', 'stat svc0/latest/cpu',
                        'grep -rc main svc0/latest/cpu/ | wc -l', 'tree -L 3 .'):
            if command.split()[0] == 'tree' and sh('command -v tree').code:
                continue
            ok(command, cwd=m.path)


main(globals(), 120)
