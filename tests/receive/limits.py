# SPDX-License-Identifier: MIT
"""Limits: what is over one is refused with 413 or 429 and a reason, and the rest goes on."""

import gzip
import json
import socket
import threading
import time

from harness import PROTO, PUSH, Receiver, pprof, profiles, push, services


def refused(answer, status, reason):
    assert answer.status == status and reason in answer.text, answer
    assert ('retry-after' in answer.headers) == (status in (429, 503)), answer


def test_body_bytes():
    with Receiver('--max-body', '10K') as r:
        refused(r.ask('POST', '/ingest?name=a', pprof(pad=20000)), 413, 'body_bytes')
        # chunks, whose length nobody knows before
        chunks = (pprof(pad=20000)[i:i + 1000] for i in range(0, 20000, 1000))
        refused(r.ask('POST', '/ingest?name=a', chunks), 413, 'body_bytes')
        code = json.loads(r.post(PUSH, push({'service_name': 'a'}, pprof(pad=20000)), PROTO, status=413).text)['code']
        assert code == 'resource_exhausted'
        r.post('/ingest?name=b', pprof())
        assert r.metrics()['profilefs_receive_refused_total{reason="body_bytes"}'] == 3
    assert services() == ['b']


def test_a_sender_that_waits_for_100_is_not_made_to_send():
    with Receiver('--max-body', '10K') as r, socket.create_connection((r.host, r.port), 10) as s:
        s.sendall(b'POST /ingest?name=a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n')
        assert b'413' in s.recv(4096).split(b'\r\n')[0]


def test_decompressed_bytes():
    bomb = gzip.compress(pprof(pad=3 << 20))
    with Receiver('--max-profile', '1M') as r:
        refused(r.ask('POST', '/ingest?name=a', bomb), 413, 'profile_bytes')
        refused(r.ask('POST', '/ingest?name=a', gzip.compress(bomb), {'Content-Encoding': 'gzip'}), 413, 'profile_bytes')
        r.post(PUSH, gzip.compress(b'\0' * (8 << 20)), {**PROTO, 'Content-Encoding': 'gzip'}, status=413)
        # larger than the first share of memory, and within the limit
        r.post('/ingest?name=b', gzip.compress(pprof(pad=900 << 10)))
        assert r.metrics()['profilefs_receive_decode_bytes'] == 0
    assert services() == ['b']


def test_labels():
    with Receiver('--max-labels', '4') as r:
        many = ','.join(f'k{i}=v' for i in range(5))
        refused(r.ask('POST', f'/ingest?name=a%7B{many}%7D', pprof()), 413, 'labels')
        refused(r.ask('POST', f'/ingest?name=a%7Bk={"v" * 5000}%7D', pprof()), 413, 'labels')
        r.post('/ingest?name=a%7Ba=1,b=2,c=3,d=4%7D', pprof())


def test_series():
    with Receiver('--max-series', '3') as r:
        for i in range(3):
            r.post(f'/ingest?name=a%7Bpod={i}%7D', pprof(i))
        refused(r.ask('POST', '/ingest?name=a%7Bpod=3%7D', pprof(3)), 429, 'series')
        r.post('/ingest?name=a%7Bpod=1%7D', pprof(4))
        r.post('/ingest?name=b%7Bpod=3%7D', pprof(5))


def test_rate():
    with Receiver('--max-rate', '1K') as r:
        statuses = [r.ask('POST', '/ingest?name=a', pprof(i, pad=3000)).status for i in range(8)]
        assert statuses[0] == 200 and statuses[-1] == 429, statuses
        refused(r.ask('POST', '/ingest?name=a', pprof(9, pad=3000)), 429, 'rate')


def test_in_flight():
    with Receiver('--max-in-flight', '2') as r:
        held = [socket.create_connection((r.host, r.port), 10) for _ in range(2)]
        for s in held:
            s.sendall(b'POST /ingest?name=a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx')
        time.sleep(0.2)
        refused(r.ask('POST', '/ingest?name=a', pprof()), 429, 'in_flight')
        for s in held:
            s.close()
        time.sleep(0.2)
        r.post('/ingest?name=a', pprof())


def test_load_is_shed_where_memory_ends_and_nothing_acknowledged_is_lost():
    body = pprof(99, pad=2 << 20)
    acknowledged, statuses = [], []
    with Receiver('--mem', '16M') as r:
        def send(n):
            answer = r.ask('POST', '/ingest?name=a', pprof(n, pad=2 << 20))
            statuses.append(answer.status)
            if answer.status == 200:
                acknowledged.append(n)
            else:
                assert answer.status == 429 and 'memory' in answer.text, answer
        threads = [threading.Thread(target=send, args=(i + 1,)) for i in range(24)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert 429 in statuses and 200 in statuses, statuses
        r.post('/ingest?name=a', body, {'Connection': 'close'})
        peak = peak_memory(r.p.pid)
    assert profiles('a') == len(acknowledged) + 1
    return f'{statuses.count(200)} taken, {statuses.count(429)} shed, {peak >> 20} MiB at most'


def peak_memory(pid):
    for line in open(f'/proc/{pid}/status'):
        if line.startswith('VmHWM'):
            return int(line.split()[1]) << 10
    return 0
