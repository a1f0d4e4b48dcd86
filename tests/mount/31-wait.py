#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Waiting: a slow store holds nobody who does not need it; who gives up is free at once, and work that nobody waits for ends."""

import os
import signal
import subprocess
import threading
import time

from harness import DAY, NOON, Mount, Slow, add_service, eventually, main, need, ok, pprof, read, sh, write


def slow_mount(ms, options='', services=1, profiles=40):
    """A mount of a store whose reads take so long; nothing is in its memory yet."""
    slow = Slow()
    with Mount(options='compact=no') as m:
        for s in range(services):
            service = add_service(m, f's{s}')
            for n in range(profiles):
                write(os.path.join(service, f'{n}.pb.gz'), pprof({f'main;f{n}': 1 + n + s}, NOON + n))
    m = Mount(options=options, env=slow.env)
    m.slow = slow
    slow.set(ms)
    return m


def timed(call):
    begin = time.monotonic()
    try:
        return call(), time.monotonic() - begin
    except OSError as x:
        return x, time.monotonic() - begin


def blocked(m, service='s0', name='folded.txt'):
    """A reader of a file that is being rendered."""
    p = subprocess.Popen(['cat', m.sub(service, DAY, 'cpu', name)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return p


def ended_within(p, seconds):
    begin = time.monotonic()
    p.wait(seconds)
    return time.monotonic() - begin


def freed(number):
    """How long a reader stays after a signal."""
    with slow_mount(1500) as m:
        p = blocked(m)
        time.sleep(1)
        assert p.poll() is None
        p.send_signal(number)
        took = ended_within(p, 5)
        m.slow.set(0)
    return took


def test_ctrl_c_and_kill_free_a_reader():
    for number in (signal.SIGINT, signal.SIGKILL, signal.SIGTERM):
        took = freed(number)
        if took > 0.1:  # a machine that is busy otherwise
            took = min(took, freed(number))
        assert took < 0.15, f'signal {number}: {took:.3f} s'


def test_work_that_nobody_waits_for_ends():
    with slow_mount(300) as m:
        p = blocked(m)
        eventually(lambda: m.status()['renderings_under_way'] or p.poll() is not None, 20, 0.2)
        if p.poll() is None:
            p.kill()
            p.wait()
        m.slow.set(0)
        eventually(lambda: not m.status()['renderings_under_way'], 10, 0.2)


OPENER = r'''
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static void nothing(int s) { }
/* Opens a file with handlers for a few signals, and says how that went. */
int main(int c, char **v)
{
	int signals[] = { SIGCHLD, SIGURG, SIGWINCH, SIGALRM };
	for (int i = 0; i < 4; i++)
		sigaction(signals[i], &(struct sigaction){ .sa_handler = nothing }, 0);
	int fd = open(v[1], O_RDONLY);
	if (fd < 0)
		perror("open");
	return fd < 0;
}
'''


def test_a_signal_by_the_way_lets_a_reader_read():
    need('cc')
    with open('opener.c', 'w') as f:
        f.write(OPENER)
    ok('cc -w -o opener opener.c')
    with slow_mount(700, profiles=1) as m:
        path = m.sub('s0', DAY, 'cpu', 'folded.txt')
        p = subprocess.Popen(['./opener', path], stderr=subprocess.PIPE, text=True)
        time.sleep(0.3)
        for number in (signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH):
            assert p.poll() is None
            p.send_signal(number)
            time.sleep(0.05)
        assert p.wait(30) == 0, p.stderr.read()
    with slow_mount(1500, profiles=1) as m:
        path = m.sub('s0', DAY, 'cpu', 'folded.txt')
        for second in (signal.SIGALRM, signal.SIGKILL):
            p = subprocess.Popen(['./opener', path], stderr=subprocess.PIPE, text=True)
            time.sleep(0.4)
            p.send_signal(signal.SIGCHLD)
            time.sleep(0.2)
            assert p.poll() is None
            p.send_signal(second)
            assert ended_within(p, 5) < 0.2
        m.slow.set(0)


def test_slow_renderings_block_nobody():
    with slow_mount(500, services=8) as m:
        m.slow.set(0)
        os.stat(m.sub('README.md'))
        quick = m.sub('s0', DAY, 'cpu', 'top.txt')
        read(quick)
        m.slow.set(500)
        readers = [blocked(m, f's{1 + i % 7}', name) for i, name in
                   enumerate(['folded.txt', 'top.txt', 'tree.txt', 'flamegraph.svg', 'metrics.csv', 'heatmap.csv', 'top.tsv', 'profile.pb.gz',
                              'metrics.prom'] * 8)][:64]
        time.sleep(0.7)
        worst = 0
        for _ in range(40):
            for path in (m.sub('README.md'), m.sub(''), m.sub('.profilefs')):
                worst = max(worst, timed(lambda path=path: os.stat(path))[1])
            time.sleep(0.02)
        waiting = sum(p.poll() is None for p in readers)
        m.slow.set(0)
        for p in readers:
            p.communicate(timeout=60)
        assert waiting > 20, f'only {waiting} were waiting'
        assert worst < 0.25, f'{worst:.3f} s'


def test_a_stat_waits_a_little():
    with slow_mount(0) as m:
        read(m.sub('s0', DAY, 'cpu', 'info.json'))
        m.slow.set(600)
        for name in ('folded.txt', 'flamegraph.svg', 'top.txt'):
            _, took = timed(lambda name=name: os.stat(m.sub('s0', DAY, 'cpu', name)))
            assert took < 2.2, f'{name}: {took:.2f} s'
        m.slow.set(0)
        eventually(lambda: os.stat(m.sub('s0', DAY, 'cpu', 'folded.txt')).st_size > 0, 20)


def test_a_crawler_begins_a_bounded_amount_of_work():
    """ls -l of many directories, without an open, while renderings are slow."""
    with slow_mount(100, services=6) as m:
        r = sh(f'ls -lR {m.path} > /dev/null', timeout=80)
        assert r.code != 'timeout', r
        m.slow.set(0)
        eventually(lambda: not m.status()['renderings_under_way'], 15, 0.2)


def test_a_slow_store_and_a_listing():
    with slow_mount(100) as m:
        names, _ = timed(lambda: os.listdir(m.sub('s0', DAY, 'profiles')))
        assert len(names) == 40


def test_many_wait_for_one_rendering():
    with slow_mount(50) as m:
        before = m.status()['renderings']
        readers = [blocked(m) for _ in range(20)]
        texts = {p.communicate(timeout=40)[0] for p in readers}
        assert len(texts) == 1 and texts.pop().count(b'\n') == 40
        time.sleep(1.1)
        assert m.status()['renderings'] - before <= 2


def test_one_gives_up_and_the_others_read_on():
    with slow_mount(60) as m:
        readers = [blocked(m) for _ in range(6)]
        time.sleep(0.6)
        for p in readers[:3]:
            p.kill()
        for p in readers[3:]:
            assert p.communicate(timeout=40)[0].count(b'\n') == 40


def test_a_rendering_that_takes_long_is_not_starved_by_writes():
    with slow_mount(30) as m:
        over = threading.Event()

        def writer():
            n = 0
            while not over.is_set():
                n += 1
                write(m.sub('s0', f'w{n}.pb.gz'), pprof({'main;more': n}, NOON + 1000 + n))
                time.sleep(0.05)

        t = threading.Thread(target=writer)
        t.start()
        try:
            for _ in range(3):
                r = sh(f'cat {m.sub("s0", DAY, "cpu", "folded.txt")} | wc -l', timeout=30)
                assert r.code == 0 and int(r.out) >= 40, r
        finally:
            over.set()
            t.join()
            m.slow.set(0)


main(globals(), 100)
