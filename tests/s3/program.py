# SPDX-License-Identifier: MIT
"""What the checks share: the program under test, where a server's stores are, and what a directory shows of the same profiles."""

import functools
import os
import re
import subprocess
from pathlib import Path

import servers

SOURCE = servers.SOURCE
BASE = SOURCE / 'tests' / 'data' / 'base'
PROGRAM = os.environ.get('PROFILEFS') or str(SOURCE / 'build' / 'test' / 'tools' / 'profilefs')
BUCKET = 'profiles'
DAY = '2026-11-22'
FOLDED = b'main;work;sort 30\nmain;work;hash 12\nmain;idle 1\n'


class Skip(Exception):
    pass


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith('AWS_') and not k.lower().endswith('_proxy')}
    env.update({'HOME': os.getcwd(), 'XDG_CACHE_HOME': os.getcwd() + '/cache', 'AWS_ACCESS_KEY_ID': servers.KEY,
                'AWS_SECRET_ACCESS_KEY': servers.SECRET, 'AWS_CA_BUNDLE': authority, 'AWS_EC2_METADATA_DISABLED': 'true', **more})
    return {k: v for k, v in env.items() if v is not None}


authority = None  # of the servers' certificates
scratch = None  # a folder that lives as long as the servers


class Ran:
    def __init__(self, done):
        self.code, self.raw = done.returncode, done.stdout
        self.out, self.err = done.stdout.decode(errors='replace'), done.stderr.decode(errors='replace')

    def __repr__(self):
        return f'exit {self.code}\nstdout: {self.out[:1500]}\nstderr: {self.err[:1500]}'


def run(*words, stdin=b'', env=None, timeout=60):
    return Ran(subprocess.run([PROGRAM, *map(str, words)], input=stdin, capture_output=True, timeout=timeout,
                              env=environment(**(env or {}))))


def ok(*words, **kw):
    r = run(*words, **kw)
    assert r.code == 0, f'{words}\n{r}'
    return r


def failed(*words, **kw):
    r = run(*words, **kw)
    assert r.code == 1 and r.err.startswith('profilefs: '), f'{words}\n{r}'
    return r


class Place:
    """A server, over TLS or not, and a prefix of its own for each check."""

    used = 0

    def __init__(self, server, query='', secure=False):
        self.server, self.query, self.secure = server, query, secure
        self.endpoint = server.tls_endpoint if secure else server.endpoint

    def url(self, prefix=None, endpoint=None):
        if prefix is None:
            Place.used += 1
            prefix = f'own-{os.getpid()}-{Place.used}'
        return f's3://{BUCKET}/{prefix}?endpoint={endpoint or self.endpoint}{self.query}'


def profiles():
    return [p for p in sorted(BASE.iterdir()) if p.name.endswith('.pb.gz')]


def make_store(url, **kw):
    ok('ingest', '-q', '-s', 'checkout', '-l', 'region=eu', url, *profiles()[::2], **kw)
    ok('ingest', '-q', '-s', 'cart', '-l', 'region=us', url, *profiles()[1::2], **kw)


def ingest_folded(url, service, moment, stdin=FOLDED, **kw):
    return run('ingest', '-s', service, url, '-', '--time', f'{DAY}T{moment}Z', '-t', 'cpu', stdin=stdin, **kw)


def names(store, path):
    return ok('ls', store, path).out.split()


def compared_paths(store):
    """Renderings of every type of a day, of a label and of a comparison; the originals; control files that do not differ."""
    day = names(store, 'checkout/latest')
    types = [t for t in day if t not in ('profiles', 'labels.json', 'info.json') and not t.startswith(('by-', 'T'))]
    yield from ('checkout/latest/labels.json', 'checkout/latest/info.json', 'README.md')
    for t in types:
        for f in names(store, f'checkout/latest/{t}'):
            if f != 'profiles' and not f.startswith('by-'):
                yield f'checkout/latest/{t}/{f}'
    for f in ('top.txt', 'folded.txt', 'flamegraph.svg', 'profile.pb.gz', 'metrics.prom'):
        yield f'@all/all/cpu/region=eu/{f}'
    for f in names(store, 'cart/all/profiles')[:10]:
        yield f'cart/all/profiles/{f}'


@functools.cache
def reference():
    """A directory with the profiles of make_store(), made once, and the bytes of its renderings by path."""
    db = scratch / f'reference-{os.getpid()}'
    make_store(db)
    return db, {path: ok('cat', db, path).raw for path in compared_paths(db)}


def reference_store():
    return reference()[0]


def assert_renderings(url, **kw):
    """The store at url shows what the directory does, byte for byte."""
    expected = reference()[1]
    assert len(expected) > 30, len(expected)
    if ok('cat', url, *expected, **kw).raw == b''.join(expected.values()):
        return
    for path, here in expected.items():
        there = ok('cat', url, path, **kw).raw
        assert here == there, f'{path}: {len(here)} bytes from the directory, {len(there)} from S3'
    raise AssertionError('they differ only where one process reads them all')


def assert_acknowledged(url, service, moments):
    """Every profile of these moments ('01:00:07') is there."""
    assert 'no damage' in ok('check', url).out
    listed = ok('ls', url, f'{service}/all/profiles').out
    lost = [m for m in moments if f'T{m.replace(":", "")}' not in listed]
    assert not lost, (lost, listed)


def need_fuse():
    if not os.access('/dev/fuse', os.R_OK | os.W_OK):
        raise Skip('there is no /dev/fuse')


class Mount:
    def __init__(self, url, *options, **kw):
        os.makedirs('m', exist_ok=True)
        ok('mount', url, 'm', *options, **kw)

    def __enter__(self):
        return Path('m')

    def __exit__(self, *_):
        if subprocess.run(['fusermount3', '-u', 'm'], stderr=subprocess.DEVNULL).returncode:
            subprocess.run(['umount', '-l', 'm'])


def checks_of(module):
    return [v for k, v in list(vars(module).items()) if k.startswith('check_') and v.__module__ == module.__name__]
