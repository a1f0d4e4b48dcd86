#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every program reads every file right, on the first try, also where its size was not known before. PROFILEFS_ALL=1: all."""

import contextlib
import os
import pty
import select
import shutil
import socket
import subprocess
import time
from pathlib import Path

import matrix_read
from harness import ALL, DAY, NOON, PROGRAM, Mount, Skip, Slow, add_service, eventually, main, ok, pprof, read, sh, write

FILES = {'text': 'folded.txt', 'big': 'folded.txt', 'svg': 'flamegraph.svg', 'pprof': 'profile.pb.gz', 'json': 'info.json'}


def stacks(n, deep):
    return {f'main;run{i % 37};' + ';'.join(f'step{j}_{i * 7919 % 1009}' for j in range(deep)) + f';leaf{i}': 1000 + i
            for i in range(n)}


def fill_store():
    with Mount() as m:
        write(os.path.join(add_service(m, 'text'), 'p.pb.gz'), pprof(stacks(5000, 1), NOON))
        write(os.path.join(add_service(m, 'big'), 'p.pb.gz'), pprof(stacks(30000, 6), NOON))


def helpers(work):
    for name, text in matrix_read.CFILES.items():
        (work / f'{name}.c').write_text(text)
        if shutil.which('cc'):
            ok(f'cc -w -O1 -o {work}/{name} {work}/{name}.c')
    if shutil.which('go') and ALL:
        (work / 'main.go').write_text(matrix_read.GO)
        ok(f'cd {work} && go build -o goread main.go', env={'GO111MODULE': 'off'}, timeout=180)


def prepare():
    work = Path('work').resolve()
    work.mkdir()
    fill_store()
    helpers(work)
    for service in ('text', 'big'):
        (work / service).mkdir()
        for name in set(FILES.values()):
            ok(f'{PROGRAM} cat db {service}/{DAY}/cpu/{name} > {work}/{service}/{name}')
    return work


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def wait_port(port):
    def answers():
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 1):
            return True
        return False
    eventually(answers, 10)


def less(env):
    """`G` in a terminal shows the last line."""
    last = read(env['R']).splitlines()[-1].split(b' ')[0][-20:]
    pid, fd = pty.fork()
    if pid == 0:
        os.environ['TERM'] = 'xterm'
        os.execvp('less', ['less', '-X', env['I']])
    seen, begin, sent = b'', time.monotonic(), 0
    while time.monotonic() - begin < 5 and last not in seen:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                seen += os.read(fd, 65536).replace(b'\r\n', b'')
            except OSError:
                break
        if not sent and time.monotonic() - begin > 0.4:
            sent = os.write(fd, b'G')
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    os.close(fd)
    return last in seen, repr(seen[-200:])


def served(command, port, url, env):
    p = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_port(port)
        r = sh(f'curl -sf -o $O {url}', env=env)
    finally:
        p.terminate()
        p.wait()
    return r


def http(env):
    port = free_port()
    return served(['python3', '-m', 'http.server', '-d', env['D'], '-b', '127.0.0.1', str(port)], port,
                  f'http://127.0.0.1:{port}/{env["N"]}', env)


def nginx(env):
    port = free_port()
    conf = Path(env['W'], 'nginx.conf')
    conf.write_text(f'daemon off; pid {env["W"]}/nginx.pid; error_log {env["W"]}/nginx.log; user root; events {{}}\n'
                    f'http {{ access_log off; sendfile on; server {{ listen 127.0.0.1:{port}; root {env["D"]}; }} }}\n')
    return served(['nginx', '-c', str(conf), '-p', env['W']], port, f'http://127.0.0.1:{port}/{env["N"]}', env)


TAKE = '''
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        open(sys.argv[2], 'wb').write(self.rfile.read(int(self.headers['Content-Length'])))
        self.send_response(200)
        self.end_headers()
    def log_message(self, *a):
        pass
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()
'''


def upload(env):
    port = free_port()
    p = subprocess.Popen(['python3', '-c', TAKE, str(port), env['O']])
    try:
        wait_port(port)
        return sh(f'curl -s --max-time 20 --upload-file $I http://127.0.0.1:{port}/', env=env)
    finally:
        p.kill()
        p.wait()


def picture(path, out, env):
    sh(f'chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir={env["W"]}/chromium '
       f'--hide-scrollbars --window-size=800,600 --screenshot={out} file://{path}', timeout=80)
    return read(out) if os.path.exists(out) else b''


def chromium(env):
    want, got = picture(env['R'], env['O'] + '.r.png', env), picture(env['I'], env['O'] + '.i.png', env)
    return bool(want) and want == got, f'{len(got)} bytes of picture, not {len(want)}'


SPECIAL = {'@upload': upload, '@http': http, '@nginx': nginx}


def tried(row, m, work):
    """Whether it read right, and what it saw."""
    name, command, kind, compare, _ = row
    service = 'big' if kind == 'big' else 'text'
    file = FILES[kind]
    directory = m.sub(service, DAY, 'cpu')
    env = {'I': f'{directory}/{file}', 'R': f'{work}/{service}/{file}', 'O': f'{work}/out', 'D': directory, 'N': file,
           'W': str(work)}
    sh(f'rm -rf {work}/out {work}/z.zip {work}/g')
    if command == '@less':
        return less(env)
    if command == '@chromium':
        return chromium(env)
    r = SPECIAL[command](env) if command in SPECIAL else sh(command, env=env)
    if compare == 'file':
        out = Path(env['O'])
        got, want = out.read_bytes() if out.exists() else b'', read(env['R'])
        return got == want, f'{len(got)} of {len(want)} bytes, exit {r.code}, {r.err[-150:]}'
    want = sh(command, env={**env, 'I': env['R'], 'D': os.path.dirname(env['R'])}).out if compare == 'same' else compare
    return r.out == want, f'{r.out[:80]!r}, not {want[:80]!r}, exit {r.code}, {r.err[-150:]}'


def rows():
    for row in matrix_read.READERS:
        gone = [t for t in row[4].split() if not shutil.which(t)]
        if gone and ALL:
            print(f'skip 30-read.py {row[0]}: there is no {gone[0]}')
        elif not gone and (ALL or row[0] in matrix_read.QUICK):
            yield row


def matrix(options, may_fail=frozenset(), env=None):
    """Each program on a mount of its own, so that nothing is known of the file."""
    work = prepare()
    wrong = []
    for row in rows():
        with Mount(options=options, env=env, path='m') as m:
            good, text = tried(row, m, work)
            if not good and row[0] in may_fail:
                eventually(lambda m=m: not m.status()['renderings_under_way'])
                good, text = tried(row, m, work)
            if not good:
                wrong.append(f'{row[0]}: {text}')
    assert not wrong, '\n'.join(wrong)


def test_sizes_are_told_at_once():
    matrix('')


def test_sizes_are_not_known_before_the_open():
    """Those that stat first, and believe it, are right on the second try."""
    matrix('stat_wait=0', matrix_read.STAT_FIRST)


def test_slow_renderings():
    if not ALL:
        raise Skip('only with PROFILEFS_ALL=1')
    slow = Slow()
    slow.set(100)
    matrix('', matrix_read.STAT_FIRST, env=slow.env)


def test_two_readers_of_one_file_see_the_same():
    work = prepare()
    with Mount(options='stat_wait=0') as m:
        path = m.sub('big', DAY, 'cpu', 'folded.txt')
        want = read(work / 'big' / 'folded.txt')
        readers = [subprocess.Popen(['cat', path], stdout=open(work / f'r{i}', 'wb')) for i in range(12)]
        for i, r in enumerate(readers):
            assert r.wait(30) == 0
            assert read(work / f'r{i}') == want, f'reader {i}: {os.path.getsize(work / f"r{i}")} of {len(want)} bytes'
        assert os.path.getsize(path) == len(want)


main(globals(), 590)
