# SPDX-License-Identifier: MIT
"""Requests that mean no good end in errors; the others go on being served."""

import gzip
import os
import random
import socket
import struct
import time

from harness import ACCEPT, DATA, PROTO, PUSH, Receiver, pprof, services

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'


def frame(kind, flags, stream, body=b''):
    return struct.pack('>I', len(body))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + body


def alive(r):
    r.post('/ingest?name=alive', pprof(random.randrange(1 << 30)))
    assert r.p.poll() is None


def talk(address, *parts, wait=2.0):
    """Sends what the peer takes, and reads until it closes or is silent."""
    out = b''
    host, _, port = address.rpartition(':')
    with socket.create_connection((host, int(port)), 5) as s:
        s.settimeout(wait)
        try:
            for p in parts:
                s.sendall(p)
            while True:
                got = s.recv(65536)
                if not got:
                    break
                out += got
                if len(out) > 1 << 22:
                    break
        except OSError:
            pass
    return out


def test_http_that_is_none():
    head = b'POST /ingest?name=a HTTP/1.1\r\nHost: x\r\n'
    with Receiver() as r:
        for parts in ((b'\0' * 1000,), (b'GET\r\n\r\n',), (b'POST / HTTP/9.9\r\n\r\n',), (os.urandom(5000),),
                      (head + b'Content-Length: -1\r\n\r\n',), (head + b'Content-Length: 99999999999999999999\r\n\r\nx',),
                      (head + b'Transfer-Encoding: chunked\r\n\r\nzz\r\n',),
                      (head + b'Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx',),
                      (head + b'Transfer-Encoding: chunked\r\n\r\n5\r\nab',), (head + b'Content-Encoding: br\r\nContent-Length: 1\r\n\r\nx',),
                      (head + b'Content-Type: multipart/form-data\r\nContent-Length: 4\r\n\r\nabcd',),
                      (head + b'Content-Type: multipart/form-data; boundary=\r\nContent-Length: 4\r\n\r\nabcd',),
                      (b'POST /ingest?name=%00&a=%&b&=c&&& HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx',)):
            answer = talk(r.http, *parts, wait=0.5)
            assert b' 200 ' not in answer.split(b'\r\n')[0], (parts, answer)
            alive(r)
    assert services() == ['alive']


def test_giant_headers():
    with Receiver() as r:
        for line in (b'POST /' + b'a' * (1 << 20), b'POST / HTTP/1.1\r\nX: ' + b'a' * (1 << 20),
                     b'POST / HTTP/1.1\r\n' + b'X: y\r\n' * 100000):
            answer = talk(r.http, line, wait=1)
            assert b' 200 ' not in answer.split(b'\r\n')[0]
            alive(r)


def test_many_that_say_little():
    """Slow senders hold their connections, and nobody else up."""
    with Receiver() as r:
        slow = []
        for i in range(300):
            s = socket.create_connection((r.host, r.port), 5)
            s.sendall(b'POST /ingest?name=a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx' if i % 2 else b'POST /ing')
            slow.append(s)
        for _ in range(5):
            began = time.monotonic()
            alive(r)
            assert time.monotonic() - began < 5
        for s in slow:
            s.close()


def test_bombs():
    with Receiver() as r:
        bomb = gzip.compress(b'\0' * (400 << 20), 1)
        for _ in range(3):
            assert r.ask('POST', '/ingest?name=a', bomb).status == 413
            r.post(PUSH, bomb, {**PROTO, 'Content-Encoding': 'gzip'}, status=413)
        nested = bomb
        for _ in range(3):
            nested = gzip.compress(nested)
        assert r.ask('POST', '/ingest?name=a', nested).status in (400, 413)
        peak = next(int(line.split()[1]) >> 10 for line in open(f'/proc/{r.p.pid}/status') if line.startswith('VmHWM'))
        alive(r)
    return f'{peak} MiB at most'


def test_damaged_bodies():
    rng = random.Random(4)
    good = gzip.decompress((ACCEPT / 'cpu-labels.otlp.pb.gz').read_bytes())
    with Receiver() as r:
        c = r.connection()
        for i in range(150):
            body = bytearray(good if i % 2 else gzip.decompress((DATA / 'pyroscope-push/python/req0.body').read_bytes()))
            for _ in range(rng.randrange(1, 8)):
                body[rng.randrange(len(body))] = rng.randrange(256)
            path, headers = ('/v1development/profiles', {}) if i % 2 else (PUSH, PROTO)
            assert r.ask('POST', path, bytes(body[:rng.randrange(1, len(body) + 1)]), headers, connection=c).status in (200, 400, 413)
        c.close()
        alive(r)


def test_h2_that_is_none():
    with Receiver() as r:
        for parts in ((os.urandom(3000),), (b'GET / HTTP/1.1\r\nHost: x\r\n\r\n',), (PREFACE,), (PREFACE + os.urandom(2000),),
                      (PREFACE + frame(4, 0, 0, b'x'),), (PREFACE + frame(4, 0, 0) + frame(0, 1, 1, b'data'),),
                      (PREFACE + frame(4, 0, 0) + frame(1, 4, 1, b'\xff' * 100),),
                      (PREFACE + frame(4, 0, 0) + frame(1, 0, 1, b'\x82') + b''.join(frame(9, 0, 1, b'\x82' * 4000) for _ in range(200)),)):
            talk(r.grpc, *parts, wait=0.3)
            alive(r)


def grpc_headers(stream, end=True, path=b'/x'):
    def text(name, value):
        return b'\x00' + bytes([len(name)]) + name + bytes([len(value)]) + value
    block = b'\x83\x86' + text(b':path', path) + text(b':authority', b'x')
    return frame(1, 5 if end else 4, stream, block)


def test_h2_floods():
    with Receiver() as r:
        start = PREFACE + frame(4, 0, 0)
        pings = b''.join(frame(6, 0, 0, b'12345678') for _ in range(20000))
        settings = frame(4, 0, 0, struct.pack('>HI', 3, 100)) * 20000
        resets = b''.join(grpc_headers(1 + 2 * i, False) + frame(3, 0, 1 + 2 * i, struct.pack('>I', 8)) for i in range(20000))
        streams = b''.join(grpc_headers(1 + 2 * i) for i in range(20000))
        for flood in (pings, settings, resets, streams):
            talk(r.grpc, start, flood, wait=0.5)
            alive(r)
        peak = next(int(line.split()[1]) >> 10 for line in open(f'/proc/{r.p.pid}/status') if line.startswith('VmHWM'))
    return f'{peak} MiB at most'


def test_calls_that_end_early():
    """Streams and connections that go away while a worker has their request."""
    path = b'/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export'
    body = gzip.decompress((ACCEPT / 'cpu-labels.otlp.pb.gz').read_bytes())[:16000]
    with Receiver() as r:
        host, _, port = r.grpc.rpartition(':')
        for i in range(100):
            with socket.create_connection((host, int(port)), 5) as s:
                message = b'\0' + struct.pack('>I', len(body)) + body
                s.sendall(PREFACE + frame(4, 0, 0) + grpc_headers(1, False, path) + frame(0, 1, 1, message))
                if i % 2:
                    s.sendall(frame(3, 0, 1, struct.pack('>I', 8)))
        alive(r)
