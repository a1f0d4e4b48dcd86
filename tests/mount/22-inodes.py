#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Inodes: directories keep theirs under every shell's feet, two names share none, nothing is leaked."""

import os
import re
import subprocess
import threading
import time

from harness import ALL, DAY, NOON, SANITIZED, Mount, add_service, fill, main, need_root, ok, pprof, profile, read, write


def test_a_directory_keeps_its_inode():
    with Mount() as m:
        fill(m, count=2)
        paths = ['', 'web', f'web/{DAY}', f'web/{DAY}/cpu', f'web/{DAY}/profiles', f'web/{DAY}/cpu/by-x', 'web/region=eu', 'web/all']
        paths = [p for p in paths if os.path.isdir(m.sub(p))]
        before = {p: os.stat(m.sub(p)).st_ino for p in paths}
        assert len(set(before.values())) == len(paths)
        for n in range(5):
            write(m.sub('web', f'more{n}.pb.gz'), profile(100 + n))
            assert {p: os.stat(m.sub(p)).st_ino for p in paths} == before


def test_a_shell_can_stand_anywhere_while_data_comes():
    with Mount() as m:
        fill(m, count=2)
        shells = []
        for where in ('web', f'web/{DAY}', f'web/{DAY}/cpu', 'web/last-1h', 'web/latest', f'web/{DAY}/profiles', '.profilefs'):
            script = 'cd -P "$1" && a=$(/bin/pwd) && for i in 1 2 3 4 5 6; do sleep 0.2; [ "$(/bin/pwd)" = "$a" ] && ls >/dev/null || exit 1; done'
            shells.append((where, subprocess.Popen(['bash', '-c', script, 'x', m.sub(where)])))
        for n in range(10):
            write(m.sub('web', f'more{n}.pb.gz'), profile(100 + n))
            time.sleep(0.1)
        for where, s in shells:
            assert s.wait(10) == 0, where


def test_a_relative_time_stays_after_cd():
    with Mount() as m:
        add_service(m)
        at = int(time.time()) - 30
        write(m.sub('web', 'p.pb.gz'), pprof({'main;now': 5}, at))
        r = ok('cd -P last-15m && pwd -P && cat cpu/folded.txt && cd cpu && pwd -P', cwd=m.sub('web'))
        assert 'main;now 5' in r.out and r.out.count('--') == 2, r
        assert ok('cd last-15m && cat cpu/folded.txt', cwd=m.sub('web')).out == 'main;now 5\n'


def test_two_names_of_one_place_are_two_inodes():
    with Mount() as m:
        fill(m, count=1, labels=('region=eu',))
        names = [f'web/{DAY}/cpu/region=eu', f'web/{DAY}/region=eu/cpu', f'web/region=eu/{DAY}/cpu', f'web/{DAY}/cpu/region=%65u']
        inodes = [os.stat(m.sub(n)).st_ino for n in names]
        assert len(set(inodes)) == len(names), inodes
        texts = {read(m.sub(n, 'folded.txt')) for n in names}
        assert len(texts) == 1
        shells = [subprocess.Popen(['bash', '-c', 'for i in 1 2 3 4 5 6 7 8; do [ "$(/bin/pwd)" = "$1" ] || exit 1; sleep 0.05; done', 'x',
                                    m.sub(n)], cwd=m.sub(n)) for n in names]
        assert [s.wait(10) for s in shells] == [0] * len(names)


def rss(pid):
    return int(re.search(r'VmRSS:\s+(\d+)', open(f'/proc/{pid}/status').read())[1])


def test_what_the_kernel_forgets_is_freed():
    need_root()
    with Mount() as m:
        fill(m, count=1)
        base = m.sub('web', DAY, 'cpu')
        for i in range(1000):
            os.path.isdir(f'{base}/warm=v{i}')
        known = m.status()['inodes_known']
        rounds = 200000 if ALL else 20000
        before = rss(m.pid)
        for i in range(rounds):
            os.path.isdir(f'{base}/k=v{i}')
        time.sleep(1.1)
        assert m.status()['inodes_known'] > known
        with open('/proc/sys/vm/drop_caches', 'w') as f:
            f.write('2\n')
        time.sleep(1.1)
        after = m.status()['inodes_known']
        assert after < 1000, f'{known} before, {after} after'
        assert SANITIZED or rss(m.pid) < before + 64 * 1024, f'{before} KiB to {rss(m.pid)} KiB'


def test_many_at_once():
    """Lookups, listings, reads and writes from many threads: no error, no torn content."""
    with Mount() as m:
        fill(m, services=('web', 'api'), count=3)
        wrong, over = [], threading.Event()

        def guard(f):
            while not over.is_set():
                try:
                    f()
                except Exception as x:  # noqa: BLE001
                    wrong.append(repr(x))
                    return

        def reader():
            with open(m.sub('web', DAY, 'cpu', 'folded.txt')) as f:
                one = f.read()
                f.seek(0)
                assert f.read() == one and one.endswith('\n'), 'torn'

        def lister():
            for name in os.listdir(m.sub('web', DAY, 'cpu')):
                os.lstat(m.sub('web', DAY, 'cpu', name))

        n = [0]

        def writer():
            n[0] += 1
            write(m.sub('web', f'w{n[0]}.pb.gz'), pprof({f'main;x{n[0]}': 5}, NOON + 5000 + n[0]))

        threads = [threading.Thread(target=guard, args=(f,)) for f in (reader, reader, reader, lister, lister, writer)]
        for t in threads:
            t.start()
        time.sleep(10 if ALL else 3)
        over.set()
        for t in threads:
            t.join()
        assert not wrong, wrong[:5]
        assert len(os.listdir(m.sub('web', DAY, 'profiles'))) == 3 + n[0]


def test_a_file_that_is_open_outlives_its_view():
    with Mount() as m:
        fill(m, count=1)
        path = m.sub('web', DAY, 'cpu', 'folded.txt')
        with open(path) as f:
            first = f.read()
            for n in range(20):
                write(m.sub('web', f'more{n}.pb.gz'), profile(200 + n))
                os.stat(path)
            f.seek(0)
            assert f.read() == first


main(globals(), 90)
