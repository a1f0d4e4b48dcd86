# SPDX-License-Identifier: MIT
"""What the oracle's checks share: the program under test, other people's tools, counting."""
import os
import re
import shutil
import subprocess
import tempfile
import traceback

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ['PATH'] += ':' + os.path.join(SOURCE, 'build/tools-ext')  # where tests/setup puts promtool
ENV = dict(os.environ, TZ='UTC', LC_ALL='C.UTF-8')


class Skip(Exception):
    pass


class Report:
    """Counts checks; a failed one says what differs, in a few lines."""

    def __init__(self, wanted):
        self.wanted, self.passed, self.failed, self.skipped = wanted, 0, 0, 0

    def wants(self, name):
        return not self.wanted or self.wanted in name

    def check(self, name, function, *args):
        """Whether it passed; True also where it is not wanted."""
        return not self.wants(name) or self.need(name, function, *args)

    def need(self, name, function, *args):
        """A check that others build on: done whatever the filter. Counts where it is wanted or does not pass."""
        try:
            function(*args)
            self.passed += self.wants(name)
            return True
        except Skip as e:
            self.skipped += 1
            print('skip oracle/%s: %s' % (name, e), flush=True)
        except AssertionError as e:
            self.failed += 1
            print('FAIL oracle/%s: %s' % (name, e), flush=True)
        except Exception:  # a broken check is a failed one
            self.failed += 1
            print('FAIL oracle/%s: %s' % (name, traceback.format_exc(limit=-4)), flush=True)
        return False


class Program:
    """profilefs on a store of its own."""

    def __init__(self, binary, directory):
        self.binary, self.store = binary, os.path.join(directory, 'store')

    def run(self, command, *args, stdin=None):
        return subprocess.run([self.binary, command, *args], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=300, env=ENV)

    def ingest(self, service, files, *options):
        """Exit code and what was said."""
        done = self.run('ingest', '-q', '-s', service, *options, self.store, *files)
        return done.returncode, done.stderr.decode(errors='replace').strip()

    def cat(self, path):
        done = self.run('cat', self.store, path)
        assert done.returncode == 0, 'cat %s: %s' % (path, done.stderr.decode(errors='replace').strip())
        return done.stdout

    def ls(self, path=''):
        done = self.run('ls', self.store, path)
        assert done.returncode == 0, 'ls %s: %s' % (path, done.stderr.decode(errors='replace').strip())
        return done.stdout.decode().splitlines()


def pprof_command():
    if shutil.which('pprof'):
        return ['pprof']
    if shutil.which('go'):
        return ['go', 'tool', 'pprof']
    return None


def tool(name, *args, stdin=None):
    """Runs another program: its output, or Skip where it is not there."""
    if name == 'pprof':
        command = pprof_command()
    else:
        command = [name] if shutil.which(name) else None
    if not command:
        raise Skip('%s is not installed' % name)
    return subprocess.run([*command, *args], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, env=ENV)


def pprof(*args):
    """Text that pprof prints; a profile that it does not take is no oracle's business: Skip."""
    done = tool('pprof', '-symbolize=none', *args)
    if done.returncode:
        raise Skip('pprof does not take it: %s' % done.stderr.decode(errors='replace').strip().splitlines()[-1][:120])
    return done.stdout.decode('utf-8', 'surrogateescape')


def difference(expected, got, what='stack'):
    """A few of the entries of two dicts that differ, or None."""
    if expected == got:
        return None
    keys = [k for k in expected if expected[k] != got.get(k)] + [k for k in got if k not in expected]
    lines = ['%d of %d differ' % (len(keys), len(expected))]
    for k in sorted(keys, key=str)[:4]:
        lines.append('     %s %s: expected %s, got %s' % (what, str(k)[-160:], expected.get(k), got.get(k)))
    return '\n'.join(lines)


def assert_same(expected, got, what='stack'):
    d = difference(expected, got, what)
    assert d is None, d


def scratch():
    return tempfile.TemporaryDirectory(prefix='profilefs-oracle-')


# Values are shown in nanoseconds, bytes and counts; pprof's own units in those.
TIME = {'nanosecond': 1, 'ns': 1, 'microsecond': 1000, 'us': 1000, 'millisecond': 10**6, 'ms': 10**6, 'second': 10**9, 's': 10**9,
        'minute': 60 * 10**9, 'hour': 3600 * 10**9}
BYTES = {'byte': 1, 'b': 1, 'kilobyte': 1 << 10, 'kb': 1 << 10, 'megabyte': 1 << 20, 'mb': 1 << 20}


def canonical_unit(unit):
    """(name, factor)"""
    folded = unit.lower()
    for table, name in ((TIME, 'nanoseconds'), (BYTES, 'bytes')):
        for word in (folded, re.sub('s$', '', folded)):
            if word in table:
                return name, table[word]
    return unit, 1


def type_class(name):
    if name.startswith('inuse_') or name in ('goroutine', 'goroutines', 'threadcreate'):
        return 'instant'
    if name.startswith('alloc_') or name in ('contentions', 'delay'):
        return 'running'
    return 'event'
