#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stopping: what was written is finished, nothing dead is left behind; a crash loses nothing that was acknowledged."""

import os
import signal
import subprocess
import threading
import time

from harness import NOON, Mount, Slow, add_service, all_profiles, eventually, error_of, fill, main, mount_points, pprof, profile
from harness import profiles, read, write


def test_signals_unmount_with_status_0():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        m = Mount()
        begin = time.monotonic()
        m.signal(number)
        assert m.ended() == 0, m.text()
        assert time.monotonic() - begin < 3
        assert not mount_points(m.path)
        assert os.listdir(m.path) == []


def test_a_signal_while_somebody_stands_in_it():
    m = Mount()
    shell = subprocess.Popen(['sleep', '30'], cwd=m.path)
    m.signal()
    assert m.ended() == 0
    assert not mount_points(m.path)
    shell.kill()
    shell.wait()


def test_an_open_file_is_taken_in_at_a_stop():
    m = Mount()
    add_service(m)
    fd = os.open(m.sub('web', 'p.pb.gz'), os.O_WRONLY | os.O_CREAT)
    os.write(fd, profile(1))
    half = os.open(m.sub('web', 'half.pb.gz'), os.O_WRONLY | os.O_CREAT)
    os.write(half, profile(2)[:50])
    m.signal()
    assert m.ended() == 0
    for f in (fd, half):
        assert error_of(lambda f=f: os.close(f)) is not None
    with Mount() as again:
        assert len(profiles(again)) == 1
        write(again.sub('web', 'p.pb.gz'), profile(1))
        assert len(profiles(again)) == 1


def test_a_stop_does_not_wait_for_renderings():
    slow = Slow()
    m = Mount(env=slow.env)
    fill(m, count=20)
    m.unmount()
    m = Mount(env=slow.env)
    slow.set(2000)
    readers = [subprocess.Popen(['cat', m.sub('web', '2026-11-22', 'cpu', name)], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL) for name in ('top.txt', 'flamegraph.svg', 'folded.txt')]
    time.sleep(0.5)
    begin = time.monotonic()
    m.signal()
    assert m.ended() == 0
    assert time.monotonic() - begin < 7
    for r in readers:
        assert r.wait(5) != 0


def test_unmounting_while_a_file_is_open_is_refused():
    with Mount() as m:
        fill(m, count=1)
        with open(m.sub('README.md')):
            assert subprocess.run(['umount', m.path], stderr=subprocess.DEVNULL).returncode != 0
        assert os.listdir(m.path)


def test_a_lazy_unmount_finishes_what_is_open():
    m = Mount()
    add_service(m)
    fd = os.open(m.sub('web', 'p.pb.gz'), os.O_WRONLY | os.O_CREAT)
    os.write(fd, profile(1))
    subprocess.run(['umount', '-l', m.path] if os.geteuid() == 0 else ['fusermount3', '-u', '-z', m.path], check=True)
    os.close(fd)
    assert m.ended() == 0
    with Mount() as again:
        assert len(profiles(again)) == 1


def test_a_crash_loses_nothing_acknowledged():
    """kill -9 at random moments, many writers; then each retries what it is not sure of."""
    acked, sent = set(), 0
    for crash in range(4):
        m = Mount()
        add_service(m)
        unsure, lock = [], threading.Lock()

        def writer(first, m=m, unsure=unsure, lock=lock):
            for n in range(first, first + 40):
                try:
                    write(m.sub('web', f'p{n}.pb.gz'), profile(n))
                except OSError:
                    with lock:
                        unsure.append(n)
                    return
                with lock:
                    acked.add(n)

        threads = [threading.Thread(target=writer, args=(sent + i * 40,)) for i in range(4)]
        sent += 160
        for t in threads:
            t.start()
        time.sleep(0.03 + 0.04 * crash)
        m.crash()
        for t in threads:
            t.join()
        m = Mount()
        add_service(m)  # where the crash came before its first profile, it is gone
        for n in unsure:
            write(m.sub('web', f'p{n}.pb.gz'), profile(n))
            acked.add(n)
        m.unmount()
    with Mount() as m:
        names = profiles(m)
        assert len(names) == len(acked), f'{len(names)} of {len(acked)}'


def test_a_second_signal_stops_at_once():
    slow = Slow()
    m = Mount(env=slow.env)
    fill(m, count=3)
    m.unmount()
    m = Mount(env=slow.env)
    slow.set(60000)
    reader = subprocess.Popen(['cat', m.sub('web', '2026-11-22', 'cpu', 'top.txt')], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    m.signal()
    time.sleep(0.5)
    m.signal()
    status = m.ended(3)
    assert status in (0, 1), status
    assert not mount_points(m.path)
    reader.kill()
    reader.wait()


def test_stops_under_load():
    m = Mount()
    fill(m, count=5)
    over = threading.Event()
    acked = []

    def reader():
        while not over.is_set():
            try:
                read(m.sub('web', '2026-11-22', 'cpu', 'top.txt'))
            except OSError:
                return

    def writer(k):
        n = 0
        while not over.is_set():
            try:
                at = NOON + k * 10000 + n
                write(m.sub('web', f'w{k}-{n}.pb.gz'), pprof({'a;b': 1 + n}, at))
                acked.append(at)
                n += 1
            except OSError:
                return

    threads = [threading.Thread(target=reader) for _ in range(4)]
    threads += [threading.Thread(target=writer, args=(k,)) for k in range(2)]
    for t in threads:
        t.start()
    time.sleep(1)
    m.signal()
    assert m.ended() == 0, m.text()
    over.set()
    for t in threads:
        t.join()
    with Mount() as again:
        eventually(lambda: len(all_profiles(again)) >= 5 + len(acked), 2)


main(globals())
