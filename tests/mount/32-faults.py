#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A store that fails: the error says so, the reason can be read, the mount goes on, and nothing acknowledged is lost."""

import errno
import os
import time
from pathlib import Path

from harness import DAY, Mount, Slow, add_service, all_profiles, error_of, eventually, fill, main, profile, profiles, read, write


def segments():
    return sorted(p for p in Path('db').rglob('*') if p.is_file() and '/seg/' in str(p) and p.stat().st_size > 300)


class Broken:
    """A store that takes no segments: a file stands where their directory was."""

    def __enter__(self):
        self.seg = Path('db/default/seg')
        self.seg.parent.mkdir(parents=True, exist_ok=True)
        if self.seg.exists():
            os.rename(self.seg, 'seg.aside')
        self.seg.write_text('')

    def __exit__(self, *_):
        self.seg.unlink()
        if os.path.exists('seg.aside'):
            os.rename('seg.aside', self.seg)


def test_a_store_that_is_gone_and_comes_back():
    with Mount() as m:
        fill(m, count=2)
        with Broken():
            e = error_of(lambda: write(m.sub('web', 'x.pb.gz'), profile(50)))
            assert e in (errno.EIO, errno.EACCES, errno.ETIMEDOUT), e
            assert '/web/x.pb.gz' in m.errors()
        write(m.sub('web', 'x.pb.gz'), profile(50))
        eventually(lambda: len(all_profiles(m)) == 3, 3)  # a view of the empty store may be 1 s old


def test_the_same_file_again_after_a_failure():
    """A retry of the close's work by a second close: dup, fsync."""
    with Mount() as m:
        add_service(m)
        fd = os.open(m.sub('web', 'x.pb.gz'), os.O_WRONLY | os.O_CREAT)
        os.write(fd, profile(1))
        with Broken():
            assert error_of(lambda: os.fsync(fd)) is not None
        os.fsync(fd)
        os.close(fd)
        assert len(all_profiles(m)) == 1


def test_a_damaged_object_costs_its_own_data_only():
    with Mount() as m:
        fill(m, count=3)
    victim = segments()[0]
    data = bytearray(victim.read_bytes())
    for i in range(len(data) // 3, len(data) // 3 + 40):
        data[i] ^= 0x5a
    os.chmod(victim, 0o644)
    victim.write_bytes(data)
    with Mount() as m:
        for name in ('folded.txt', 'top.txt', 'flamegraph.svg', 'metrics.prom', 'info.json'):
            try:
                text = read(m.sub('web', DAY, 'cpu', name))
                assert text, name
            except OSError as x:
                assert x.errno == errno.EIO, x
                assert m.errors(), 'no reason'
        os.listdir(m.sub('web', DAY, 'profiles'))
        write(m.sub('web', 'new.pb.gz'), profile(9))
        assert os.listdir(m.path)


def test_a_cut_object():
    with Mount() as m:
        fill(m, count=2)
    for victim in segments():
        os.chmod(victim, 0o644)
        victim.write_bytes(victim.read_bytes()[:-20])
    with Mount() as m:
        for name in ('folded.txt', 'profiles'):
            e = error_of(lambda name=name: os.listdir(m.sub('web', DAY, name)) if name == 'profiles' else
                         read(m.sub('web', DAY, 'cpu', name)))
            assert e in (None, errno.EIO, errno.ENOENT), e
        assert os.listdir(m.path)


def test_a_query_that_would_take_too_much_memory():
    with Mount() as m:
        fill(m, count=3)
    with Mount(options='query_memory=64K') as m:
        path = m.sub('web', DAY, 'cpu', 'flamegraph.svg')
        for _ in range(2):
            assert error_of(lambda: read(path)) == errno.ENOMEM
        assert 'needs more than 64 KiB of memory' in m.errors(), m.errors()
        assert 'web' in os.listdir(m.path) and DAY in os.listdir(m.sub('web'))
        write(m.sub('web', 'x.pb.gz'), profile(50))
    with Mount(options='query_memory=256M') as m:
        assert read(m.sub('web', DAY, 'cpu', 'flamegraph.svg'))


def test_a_slow_store_at_a_close():
    slow = Slow()
    with Mount(env=slow.env) as m:
        add_service(m)
        slow.set(300)
        begin = time.monotonic()
        write(m.sub('web', 'p.pb.gz'), profile(1))
        assert time.monotonic() - begin < 5
        slow.set(0)
        eventually(lambda: len(profiles(m)) == 1, 5)


main(globals(), 60)
