# SPDX-License-Identifier: MIT
"""What happens to writes when parts of the store die, or stop answering: nothing acknowledged is lost, errors are clear."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

from program import (
    BUCKET, PROGRAM, Mount, Skip, assert_acknowledged, environment, failed, ingest_folded, need_fuse, ok)

# What a writer may say when the store is away: what failed, in words of the network or the server.
CLEAR = re.compile(r'(onnect|closed|reset|reply|timed out|time-out|Operation too slow|the store answers 5\d\d)', re.I)


def need_daemons(place):
    if not hasattr(place.server, 'kill'):
        raise Skip('only where the daemons can be killed one by one')


class Writers:
    """Processes that write profiles, one each at a time, until they are told to stop; what was acknowledged, and what not."""

    def __init__(self, url, n=4):
        self.url, self.acknowledged, self.errors, self.ending = url, [], [], threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(hour + 1,)) for hour in range(n)]

    def write(self, hour):
        for i in range(3600):
            if self.ending.is_set():
                return
            moment = f'{hour:02d}:{i // 60:02d}:{i % 60:02d}'
            r = ingest_folded(self.url, 'web', moment, b'main;work %d\n' % (3600 * hour + i), timeout=90)
            if r.code == 0:
                self.acknowledged.append(moment)
            else:
                self.errors.append((moment, r.code, r.err))

    def wait(self, more=8, seconds=60):
        """Until so many more have been acknowledged."""
        wanted, end = len(self.acknowledged) + more, time.monotonic() + seconds
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < end, (len(self.acknowledged), wanted, self.errors[-3:])
            time.sleep(0.05)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for t in self.threads:
            t.join()


def check_every_daemon_killed_during_writes(place):
    need_daemons(place)
    url = place.url() + '&timeout=5'
    assert ingest_folded(url, 'web', '00:00:00').code == 0
    with Writers(url) as writers:
        writers.wait()
        for names in (['client.rgw'], ['osd.0'], ['mon.a'], ['client.rgw', 'osd.0', 'mon.a']):
            for name in names:
                place.server.kill(name)
            time.sleep(0.5)
            for name in reversed(names):
                place.server.restart(name)
            writers.wait()
    print(f'     {len(writers.acknowledged)} writes acknowledged, {len(writers.errors)} failed')
    for _, code, said in writers.errors:
        assert code == 1 and CLEAR.search(said), said
    assert_acknowledged(url, 'web', writers.acknowledged)
    for moment, _, _ in writers.errors[:3]:
        assert ingest_folded(url, 'web', moment).code == 0
    assert_acknowledged(url, 'web', [moment for moment, _, _ in writers.errors[:3]])


def peak_memory(pid):
    with open(f'/proc/{pid}/status') as f:
        return int(re.search(r'VmHWM:\s+(\d+) kB', f.read()).group(1)) << 10


# Eight threads that write files into a directory until stdin ends; says when each was acknowledged. A process of its own:
# one that forks while files of the mount are open closes them in the child, and waits there as long as a writer does.
WRITE = """
import os, pathlib, sys, threading, time
where, ending = pathlib.Path(sys.argv[1]), threading.Event()
def write(n):
    i = 0
    while not ending.is_set():
        i += 1
        (where / f'{n}-{i}.folded').write_bytes(b'main;work%d %d\\n' % (n, i))
        os.write(1, b'%.6f\\n' % time.monotonic())
threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
for t in threads:
    t.start()
sys.stdin.read()
ending.set()
for t in threads:
    t.join()
"""


def times_in(name):
    with open(name) as f:
        return [float(line) for line in f if line.endswith('\n')]


def check_partition_of_20_seconds(place):
    """The gateway stops and goes on. A mount waits it out: its writers block, and none is told what is not so."""
    need_daemons(place)
    need_fuse()
    url = place.url()
    with Mount(url, '-o', 'compact=no') as m, open('done', 'w') as out:
        (m / 'web').mkdir()
        (m / 'web' / 'first.folded').write_bytes(b'main 1\n')
        pid = mount_process(url)
        writer = subprocess.Popen([sys.executable, '-c', WRITE, str(m / 'web')], stdin=subprocess.PIPE, stdout=out)
        time.sleep(1)
        stopped = time.monotonic()
        os.kill(place.server.pid('client.rgw'), signal.SIGSTOP)
        try:
            impatient(place)
            retries_grow_and_differ()
            time.sleep(max(0, stopped + 20 - time.monotonic()))
        finally:
            went_on = time.monotonic()
            os.kill(place.server.pid('client.rgw'), signal.SIGCONT)
        while time.monotonic() < went_on + 30 and max(times_in('done'), default=0) <= went_on:
            time.sleep(0.05)
        writer.communicate(timeout=60)
        assert writer.returncode == 0
        assert peak_memory(pid) < 200 << 20, peak_memory(pid)
    done = sorted(times_in('done'))
    assert not [t for t in done if stopped + 3 < t < went_on], 'acknowledged by nobody'
    assert any(t > went_on for t in done)
    print(f'     {len(done)} writes by 8 threads; the last was acknowledged {done[-1] - went_on:.1f} s after the end')
    assert 'no damage' in ok('check', url).out
    assert len(ok('ls', url, 'web/all/profiles').out.splitlines()) == len(done) + 1


def mount_process(url):
    found = subprocess.run(['pgrep', '-f', '-x', '.*profilefs mount ' + re.escape(url) + ' .*'], capture_output=True, text=True)
    return int(found.stdout.split()[0])


def impatient(place):
    begin = time.monotonic()
    r = ingest_folded(place.url() + '&timeout=3', 'web', '00:00:00')
    took = time.monotonic() - begin
    assert r.code == 1 and CLEAR.search(r.err) and took < 9, (r, took)


class Hangup:
    """Takes requests, hangs up, and keeps the times."""

    def __init__(self):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.endpoint = f'http://127.0.0.1:{self.listener.getsockname()[1]}'
        self.times = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            if s.recv(65536):
                self.times.append(time.monotonic())
            s.close()


def retries_grow_and_differ():
    """Two processes ask a server that hangs up: each less often with each attempt, and not at the same moments."""
    servers, processes = [Hangup(), Hangup()], []
    for s in servers:
        processes.append(subprocess.Popen([PROGRAM, 'ls', f's3://{BUCKET}/x?endpoint={s.endpoint}&timeout=5'], env=environment(),
                                          stderr=subprocess.PIPE, text=True))
    for p in processes:
        said = p.communicate(timeout=30)[1]
        assert p.returncode == 1 and CLEAR.search(said), said
    gaps = [[b - a for a, b in zip(s.times, s.times[1:])] for s in servers]
    for s, g in zip(servers, gaps):
        s.listener.close()
        assert 4 <= len(g) <= 9 and g[-1] > 2 * g[0] and max(g) < 5, g
    assert any(abs(a - b) > 0.001 for a, b in zip(*gaps)), gaps
