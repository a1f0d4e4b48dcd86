#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Mounting: it answers when it returns, refuses what would hide data, and heals what a dead mount left."""

import os
import subprocess
import time

from harness import PROGRAM, Mount, add_service, eventually, fails, fill, main, mount_points, ok, profile, profiles, sh
from harness import unmount_all, write


def background(store, path, options=''):
    return sh(f'{PROGRAM} mount {store} {path}' + (f' -o {options}' if options else ''))


def test_the_mount_answers_when_the_command_returns():
    os.mkdir('m')
    begin = time.monotonic()
    r = background('db', 'm')
    assert r.code == 0 and r.out == '' and r.err == '', r
    assert time.monotonic() - begin < 2, r
    assert 'README.md' in os.listdir('m')
    ok('umount m' if os.geteuid() == 0 else 'fusermount3 -u m')
    assert not mount_points(os.path.abspath('m'))


def refused(words, *parts):
    r = fails(f'{PROGRAM} mount {words}')
    assert len(r.err.strip().splitlines()) == 1 and r.err.startswith('profilefs: '), r
    for part in parts:
        assert part in r.err, f'no {part!r}\n{r}'
    assert not mount_points(os.getcwd()), 'something is mounted'


def test_a_failure_is_one_line_and_mounts_nothing():
    os.mkdir('m')
    refused('db nothere', 'nothere')
    open('file', 'w').close()
    refused('db file', 'file')
    refused('file m', 'file')
    refused('-o ro none m', 'none')
    refused('-o ro /proc/1/nothing m')
    os.mkdir('full')
    open('full/x', 'w').close()
    refused('db full', 'full', 'not empty', 'nonempty')


def test_wrong_options_are_named():
    os.mkdir('m')
    for options, part in (('nonsense', 'nonsense'), ('stat_wait=soon', 'stat_wait'), ('cache_size=many', 'cache_size'),
                          ('umask=9', 'umask'), ('uid=root', 'uid'), ('ro=yes', 'ro'), ('log', 'log'), ('mem=-1', 'mem'),
                          ('compact=maybe', 'compact'), ('auto_unmount,allow_other', 'auto_unmount')):
        r = fails(f'{PROGRAM} mount db m -o {options}')
        assert part in r.err, r
        assert not mount_points(os.getcwd())


def test_options_of_fstab_are_taken():
    with Mount(options='rw,nodev,nosuid,noatime,_netdev,nofail,noauto,user,x-systemd.automount,x-systemd.idle-timeout=60,'
                       'defaults,relatime,compact=no,mem=64M,cache_size=16M,stat_wait=0.5s'):
        pass


def test_a_full_directory_can_be_hidden():
    os.mkdir('m')
    open('m/x', 'w').close()
    with Mount(options='nonempty') as m:
        assert 'x' not in os.listdir(m.path)
    assert os.listdir('m') == ['x']


def test_no_second_mount_over_the_first():
    with Mount() as m:
        r = fails(f'{PROGRAM} mount db2 {m.path}')
        assert 'mounted' in r.err, r
        assert mount_points(m.path) == [m.path]


def test_a_dead_mount_is_healed():
    m = Mount()
    add_service(m)
    write(m.sub('web', 'p.pb.gz'), profile(1))
    m.crash()
    r = fails(f'ls {m.path}')
    assert 'not connected' in r.err, r
    r = background('db', m.path)
    assert r.code == 0, r
    assert 'web' in os.listdir(m.path)
    assert mount_points(m.path) == [m.path]
    unmount_all(m.path)


def test_two_mounts_of_one_store():
    with Mount(path='a') as a, Mount(path='b') as b:
        fill(a, count=2)
        eventually(lambda: len(profiles(b)) == 2, 3)
        write(b.sub('web', 'q.pb.gz'), profile(7))
        eventually(lambda: len(profiles(a)) == 3, 3)


def test_what_the_mount_table_shows():
    with Mount() as m:
        line = [text for text in open('/proc/mounts') if text.split()[1] == m.path][0].split()
        assert line[2] == 'fuse.profilefs', line
        flags = line[3].split(',')
        assert {'nosuid', 'nodev', 'default_permissions'} <= set(flags), line
        st = os.statvfs(m.path)
        assert st.f_blocks > 0 and st.f_bavail > 0 and st.f_namemax == 255
        r = ok(f'df {m.path}')
        assert m.path in r.out, r


def test_describes_itself():
    with Mount() as m:
        assert 'profilefs' in open(m.sub('README.md')).read()
        here = set(os.listdir(m.sub('.profilefs')))
        assert {'version', 'config', 'status', 'errors', 'metrics.prom', 'mount'} <= here, here
        for name in here:
            if os.path.isdir(m.sub('.profilefs', name)):
                continue
            with open(m.sub('.profilefs', name), 'rb') as f:
                data = f.read()
                assert os.fstat(f.fileno()).st_size == len(data), name
        assert m.status()['lookups'] > 0


def test_a_store_cannot_be_read_only_and_absent():
    os.mkdir('m')
    fails(f'{PROGRAM} mount -o ro db m')
    assert not os.path.exists('db')


def test_foreground_with_no_terminal_ends_with_its_mount():
    m = Mount()
    m.unmount()
    assert subprocess.run(['pgrep', '-f', m.path], stdout=subprocess.DEVNULL).returncode != 0


main(globals())
