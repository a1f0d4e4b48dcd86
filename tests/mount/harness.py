# SPDX-License-Identifier: MIT
"""What the mount tests share.

A drop-in script NN-name.py holds functions test_*; harness.main() gives each a private directory (the working directory), a
time limit, and unmounts whatever it left mounted. A log with a sanitizer's report, or a mount that does not end with
status 0, fails the test that made it.
"""

import contextlib
import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from shared import ALL, BAD_LOG, BASE, PROGRAM, SANITIZED, SOURCE, Skip, eventually, field, need, program, varint  # noqa: E402, F401

DAY = '2026-11-22'


def need_root():
    if os.geteuid():
        raise Skip('needs root')


# ---- running ----

class Ran:
    def __init__(self, code, out, err, seconds):
        self.code, self.raw, self.seconds = code, out, seconds
        self.out, self.err = out.decode(errors='replace'), err.decode(errors='replace')

    def __repr__(self):
        return f'exit {self.code} after {self.seconds:.2f} s\nstdout: {self.out[:1500]}\nstderr: {self.err[:1500]}'


def sh(command, timeout=60, cwd=None, env=None, check=False):
    """A bash command with its own process group, killed as a whole when it takes too long (code 'timeout')."""
    begin = time.monotonic()
    p = subprocess.Popen(['bash', '-c', command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         cwd=cwd, env={**os.environ, **(env or {})}, start_new_session=True)
    try:
        out, err = p.communicate(timeout=timeout)
        code = p.returncode
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        out, err = p.communicate()
        code = 'timeout'
    r = Ran(code, out, err, time.monotonic() - begin)
    if check and code != 0:
        raise AssertionError(f'{command}\n{r}')
    return r


def ok(command, **kw):
    return sh(command, check=True, **kw)


def fails(command, **kw):
    r = sh(command, **kw)
    assert r.code not in (0, 'timeout'), f'{command} should fail\n{r}'
    return r


def error_of(call):
    """The errno with which a call fails; None where it does not."""
    try:
        call()
    except OSError as x:
        return x.errno
    return None


# ---- mounts ----

def mount_points(under=None):
    points = [re.sub(r'\\(\d{3})', lambda m: chr(int(m[1], 8)), line.split()[1]) for line in open('/proc/mounts')]
    return [p for p in points if under is None or p == under or p.startswith(under + '/')]


def unmount_all(under):
    for point in reversed(mount_points(under)):
        for tool in (['umount', '-l'], ['fusermount3', '-u', '-z']):
            if shutil.which(tool[0]) and not subprocess.run(tool + [point], stderr=subprocess.DEVNULL).returncode:
                break


def mounted_elsewhere(path):
    """Whether a process in another mount namespace still sees it."""
    for mountinfo in Path('/proc').glob('[0-9]*/mountinfo'):
        with contextlib.suppress(OSError):
            if f' {path} ' in mountinfo.read_text(errors='replace'):
                return True
    return False


def stacks_of(pid):
    """Where the threads of a process are."""
    if not shutil.which('gdb'):
        return ''
    r = subprocess.run(['gdb', '-p', str(pid), '-batch', '-ex', 'thread apply all bt 16'], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors='replace')
    return '\n'.join(line for line in r.stdout.splitlines() if line.startswith(('#', 'Thread')))


class Mount:
    """One mount of a store, served in the foreground so that its process is known."""

    def __init__(self, store='db', options='', path='m', env=None, wait=True, user=None):
        self.store, self.path, self.log = os.path.abspath(store), os.path.abspath(path), os.path.abspath(path + '.log')
        os.makedirs(self.path, exist_ok=True)
        self.stopped = False
        words = [PROGRAM, 'mount', '-f', self.store, self.path] + (['-o', options] if options else [])
        out = open(self.log, 'ab')
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                                        env={**os.environ, **(env or {})}, user=user, group=user)
        out.close()
        self.pid = self.process.pid
        if wait:
            self.wait_ready()

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f'the mount ended with {self.process.returncode}: {self.text()}')
        try:
            os.statvfs(self.path)  # no cache answers it
        except OSError:
            return False
        return self.path in mount_points()

    def wait_ready(self):
        eventually(self.ready, 20)

    def text(self):
        return Path(self.log).read_text(errors='replace')

    def sub(self, *names):
        return os.path.join(self.path, *names)

    def ended(self, seconds=15):
        """Waits for the process's end: its status."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            where = stacks_of(self.pid)
            self.process.kill()
            self.process.wait()
            raise AssertionError(f'the mount does not end\n{self.text()[-3000:]}\n{where}') from None
        self.stopped = True
        assert not BAD_LOG.search(self.text()), self.text()[-6000:]
        return status

    def unmount(self):
        tool = ['umount'] if os.geteuid() == 0 else ['fusermount3', '-u']

        def gone():
            return not subprocess.run(tool + [self.path], stderr=subprocess.DEVNULL).returncode
        eventually(gone, 5, 0.05)
        try:
            self.process.wait(4)
        except subprocess.TimeoutExpired:
            if mounted_elsewhere(self.path):  # somebody's mount namespace holds a copy: the filesystem lives on there
                self.signal()
        status = self.ended()
        assert status == 0, f'exit {status}\n{self.text()[-3000:]}'

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def crash(self):
        self.process.kill()
        self.process.wait()
        self.stopped = True

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        if self.stopped:
            return
        if kind is None:
            self.unmount()
            return
        unmount_all(self.path)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process.kill()
        self.process.wait()
        tail = self.text()[-3000:]
        if tail:
            print('    the log ends:\n' + re.sub('^', '    | ', tail, flags=re.M))

    def status(self, name='mount'):
        """Numbers of a file of /.profilefs/."""
        numbers = {}
        for line in open(self.sub('.profilefs', name)):
            words = line.split()
            if len(words) == 2 and re.fullmatch(r'-?\d+(\.\d+)?', words[1]):
                numbers[words[0]] = float(words[1])
        return numbers

    def errors(self):
        return open(self.sub('.profilefs', 'errors')).read()


# ---- profiles ----

def pprof(stacks, at=None, types=(('cpu', 'nanoseconds'),), duration=10, period=10_000_000, compress=True):
    """A pprof of {'main;work': value or values}; `at` is a time in seconds."""
    strings, functions, parts = {'': 0}, {}, []

    def string(s):
        return strings.setdefault(s, len(strings))

    for name, unit in types:
        parts.append(field(1, field(1, string(name)) + field(2, string(unit))))
    for stack, values in stacks.items():
        values = values if isinstance(values, (tuple, list)) else [values]
        ids = b''.join(varint(functions.setdefault(f, len(functions) + 1)) for f in reversed(stack.split(';')))
        parts.append(field(2, field(1, ids) + field(2, b''.join(varint(v) for v in values))))
    for name, i in functions.items():
        parts.append(field(4, field(1, i) + field(4, field(1, i) + field(2, 7))))
    for name, i in functions.items():
        parts.append(field(5, field(1, i) + field(2, string(name)) + field(4, string('main.go'))))
    tail = field(9, at * 1_000_000_000) if at else b''
    tail += field(10, duration * 1_000_000_000) if duration else b''
    tail += field(11, field(1, string(types[0][0])) + field(2, string(types[0][1]))) + field(12, period)
    body = b''.join(parts) + b''.join(field(6, s.encode()) for s in strings) + tail
    return gzip.compress(body, mtime=0) if compress else body


def seconds_of(text):
    """'2026-11-22T14:05:30' in UTC."""
    import calendar
    return calendar.timegm(time.strptime(text, '%Y-%m-%dT%H:%M:%S'))


NOON = seconds_of(DAY + 'T12:00:00')


def profile(n, at=None):
    """The n-th of many different profiles, one a minute from noon on."""
    return pprof({'main;work;sort': 30_000_000 + n, 'main;work;hash': 12_000_000, 'main;idle': 1_000_000 + n * 7},
                 at if at is not None else NOON + 60 * n)


def write(path, data):
    """As a program would: one open, one write, one close whose error counts."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]
    except OSError:
        with contextlib.suppress(OSError):
            os.close(fd)
        raise
    os.close(fd)


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def add_service(m, name='web'):
    with contextlib.suppress(FileExistsError):
        os.mkdir(m.sub(name))
    return m.sub(name)


def profiles(m, service='web', day=DAY):
    """Names in /SERVICE/DAY/profiles/."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(os.listdir(m.sub(service, day, 'profiles')))
    return []


def all_profiles(m, service='web'):
    """Profiles of a service on any day."""
    days = [d for d in os.listdir(m.sub(service)) if re.fullmatch(r'\d{4}-\d\d-\d\d', d)]
    return sorted(p for d in days for p in profiles(m, service, d))


def fill(m, services=('web',), count=3, labels=('',)):
    """Profiles of each service, under each label folder."""
    n = 0
    for service in services:
        add_service(m, service)
        for label in labels:
            for _ in range(count):
                write(m.sub(service, label, f'p{n}.pb.gz') if label else m.sub(service, f'p{n}.pb.gz'), profile(n))
                n += 1
    return n


# ---- slow stores ----

SLOW_SOURCE = r'''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
/* Reads of the store's segments take as long as the file named by $SLOW_FILE says, in ms. */
static void slow(int fd)
{
	char link[64], path[4096], text[16] = "";
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof path - 1);
	if (n <= 0)
		return;
	path[n] = 0;
	if (!strstr(path, "/seg/"))
		return;
	int f = open(getenv("SLOW_FILE"), O_RDONLY);
	if (f < 0)
		return;
	n = read(f, text, sizeof text - 1);
	close(f);
	long ms = n > 0 ? atol(text) : 0;
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
	if (ms)
		nanosleep(&t, 0);
}
ssize_t pread(int fd, void *b, size_t n, off_t o)
{
	static ssize_t (*real)(int, void *, size_t, off_t);
	if (!real)
		real = dlsym(RTLD_NEXT, "pread");
	slow(fd);
	return real(fd, b, n, o);
}
ssize_t pread64(int fd, void *b, size_t n, off_t o) { return pread(fd, b, n, o); }
'''


class Slow:
    """Makes a mount's reads slow: Mount(env=slow.env); slow.set(ms)."""

    def __init__(self):
        need('cc')
        Path('slow.c').write_text('#include <stdio.h>\n' + SLOW_SOURCE)
        r = sh('cc -shared -fPIC -O1 -w -o slow.so slow.c -ldl')
        if r.code:
            raise Skip('the slow store cannot be compiled: ' + r.err[:200])
        self.file = os.path.abspath('slow.ms')
        self.env = {'LD_PRELOAD': os.path.abspath('slow.so'), 'SLOW_FILE': self.file,
                    'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'}
        self.set(0)

    def set(self, ms):
        Path(self.file + '.new').write_text(str(ms))
        os.rename(self.file + '.new', self.file)


# ---- running a script's tests ----

class TimeUp(Exception):
    pass


def on_alarm(number, frame):
    raise TimeUp('the time is up')


def run_test(function, limit):
    home = os.getcwd()
    directory = os.path.realpath(tempfile.mkdtemp(prefix='profilefs-test-'))
    os.chmod(directory, 0o755)
    os.chdir(directory)
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(limit)
    try:
        function()
        return 'ok', ''
    except Skip as x:
        return 'skip', str(x)
    except Exception:
        return 'FAIL', traceback.format_exc()
    finally:
        signal.alarm(0)
        os.chdir(home)
        unmount_all(directory)
        shutil.rmtree(directory, ignore_errors=True)


def main(names, limit=90):
    """Runs the test_* functions of a script, or those that contain sys.argv[1]; prints a line each."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else what a shell started behind `&` ignores it
    script = os.path.basename(sys.argv[0])
    wanted = sys.argv[1] if len(sys.argv) > 1 else ''
    failed = 0
    for name, function in list(names.items()):
        if not name.startswith('test_') or not callable(function) or wanted not in name:
            continue
        begin = time.monotonic()
        result, text = run_test(function, getattr(function, 'limit', limit))
        took = time.monotonic() - begin
        print(f'{result} {script} {name[5:]}' + (f': {text}' if result == 'skip' else f'  ({took:.1f} s)'), flush=True)
        if result == 'FAIL':
            failed += 1
            print(re.sub('^', '    ', text.rstrip(), flags=re.M))
            print(f'    again: PROFILEFS={PROGRAM} tests/mount/{script} {name[5:]}', flush=True)
    sys.exit(1 if failed else 0)
