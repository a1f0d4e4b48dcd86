# SPDX-License-Identifier: MIT
"""What the tests of receivers share: a receiver of one's own, requests to it, and a look into its store."""

import http.client
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from shared import ALL, BAD_LOG, BASE, PROGRAM, SANITIZED, SOURCE, Skip, eventually, field, need, program, varint  # noqa: E402, F401

DATA = SOURCE / 'tests' / 'data' / 'receive'
ACCEPT = SOURCE / 'tests' / 'data' / 'format' / 'accept'
os.environ['PATH'] += f':{SOURCE / "build" / "tools-ext"}'  # where tests/setup puts programs that it takes out of packages


def run(*words, code=0):
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, f'{words}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}'
    return done.stdout


class Answer:
    def __init__(self, response):
        self.status, self.body = response.status, response.read()
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.text = self.body.decode(errors='replace')

    def __repr__(self):
        return f'{self.status} {self.headers}\n{self.text[:1000]}'


class Receiver:
    """A receiver of the store ./db on ports that the system chooses; ended, and its log looked at, by `with`."""

    def __init__(self, *options, store='db', code=0):
        self.store, self.code = store, code
        self.log = open('receive.log', 'ab+')
        self.p = subprocess.Popen([PROGRAM, 'receive', '--http', '127.0.0.1:0', '--otlp-http', '127.0.0.1:0', '--otlp-grpc', '127.0.0.1:0', *options,
                                   store],
                                  stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.http = self.grpc = self.otlp_http = None
        for line in self.p.stdout:
            word, _, address = line.strip().partition(' ')
            if word == 'ready':
                break
            setattr(self, {'http': 'http', 'otlp-grpc': 'grpc'}.get(word, 'otlp_http'), address)
        assert self.http, f'did not start: {self.logged()}'
        self.host, self.port = self.http.split(':')[0], int(self.http.split(':')[1])

    def logged(self):
        self.log.seek(0)
        return self.log.read().decode(errors='replace')

    def connection(self, timeout=30):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def ask(self, method, path, body=None, headers=None, connection=None):
        c = connection or self.connection()
        c.request(method, path, body=body, headers=headers or {})
        answer = Answer(c.getresponse())
        if not connection:
            c.close()
        return answer

    def post(self, path, body, headers=None, status=200, **kw):
        answer = self.ask('POST', path, body, headers, **kw)
        assert answer.status == status, f'POST {path}: wanted {status}\n{answer}'
        return answer

    def metrics(self):
        lines = self.ask('GET', '/metrics').text.splitlines()
        return {k: float(v) for k, v in (line.rsplit(' ', 1) for line in lines if line and line[0] != '#')}

    def kill(self):
        self.p.kill()
        self.p.wait()
        self.code = -signal.SIGKILL

    def stop(self):
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
        try:
            return self.p.wait(60)
        except subprocess.TimeoutExpired:
            self.p.kill()
            raise AssertionError('does not stop') from None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        status = self.stop()
        self.p.stdout.close()
        log = self.logged()
        self.log.close()
        if kind is None:
            assert status == self.code, f'exit {status}\n{log[-3000:]}'
            assert not BAD_LOG.search(log), log[-5000:]


# ---- the store ----

def services(store='db'):
    return [s for s in run('ls', store).split() if s not in ('README.md', '.profilefs')]


def listed(path, store='db'):
    return run('ls', store, path).split()


def cat(path, store='db'):
    return run('cat', store, path)


def profiles(service, store='db'):
    """How many profiles a service has."""
    total = 0
    for day in listed(service, store):
        if re.fullmatch(r'\d{4}-\d\d-\d\d', day):
            total += len(listed(f'{service}/{day}/profiles', store))
    return total


def sound(store='db'):
    run('check', store)


# ---- profiles ----

def pprof(value=1, time_ns=1795348076000000000, name='work', type='cpu', unit='nanoseconds', duration=10**10, pad=0):
    """A pprof of one sample, with `pad` bytes of comment."""
    strings = ['', type, unit, name] + (['x' * pad] if pad else [])
    out = field(1, field(1, 1) + field(2, 2))
    out += field(2, field(1, 1) + field(2, value))
    out += field(4, field(1, 1) + field(4, field(1, 1)))
    out += field(5, field(1, 1) + field(2, 3))
    out += b''.join(field(6, s) for s in strings)
    if time_ns:
        out += field(9, time_ns)
    if duration:
        out += field(10, duration)
    return out + (field(13, 4) if pad else b'')


def push(labels, *raw, ids=()):
    """A PushRequest of one series."""
    series = b''.join(field(1, field(1, k) + field(2, v)) for k, v in labels.items())
    series += b''.join(field(2, field(1, r) + (field(2, ids[i]) if i < len(ids) else b'')) for i, r in enumerate(raw))
    return field(1, series)


PROTO = {'Content-Type': 'application/proto'}
PUSH = '/push.v1.PusherService/Push'


def form(**parts):
    boundary = 'b0undary'
    body = b''
    for name, data in parts.items():
        body += (f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.bin"\r\n'
                 'Content-Type: application/octet-stream\r\n\r\n').encode() + data + b'\r\n'
    return body + f'--{boundary}--\r\n'.encode(), {'Content-Type': f'multipart/form-data; boundary={boundary}'}
