#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Names that are no shell-safe word: they are found as typed and as listed, and complete with TAB."""

import os
import pty
import re
import select
import shutil
import time

from harness import DAY, Mount, Skip, add_service, all_profiles, error_of, fails, fill, main, ok, pprof, NOON, write

VALUES = ['a b', 'a/b', 'ünïcode', 'zwei\nzeilen', '.hidden', '-dash', '100%', '%41', 'a=b', 'x!=y', '2026', 'last-1h', 'cpu', 'by-x',
          '@focus=x', 'vs', 'v' * 199, 'v' * 200, 'v' * 255, 'w' * 255, 'tab\tx', "quo'te", '$HOME', '*', '~', 'a:b', 'a,b', '日本']


def typed(value):
    """A value as one would type it: what cannot stand in a name is percent-encoded."""
    return re.sub(r'[%/]|^~', lambda c: '%%%02X' % ord(c[0]), value)


def test_label_values_round_trip():
    with Mount() as m:
        service = add_service(m)
        short = [v for v in VALUES if len(('k=' + typed(v)).encode()) <= 255]
        for i, value in enumerate(short):
            write(os.path.join(service, 'k=' + typed(value), 'p.pb.gz'), pprof({f'main;v{i}': 10 + i}, NOON + i))
        cpu = m.sub('web', DAY, 'cpu')
        for i, value in enumerate(short):
            text = open(os.path.join(cpu, 'k=' + typed(value), 'folded.txt')).read()
            assert text == f'main;v{i} {10 + i}\n', f'{value!r}: {text!r}'
        by = os.path.join(cpu, 'by-k')
        links = [n for n in os.listdir(by) if os.path.islink(os.path.join(by, n))]
        assert len([n for n in links if n != '%none']) == len(short), f'{sorted(links)}'
        seen = {open(os.path.join(by, n, 'folded.txt')).read() for n in links if n != '%none'}
        assert seen == {f'main;v{i} {10 + i}\n' for i in range(len(short))}
        for n in links:
            assert re.fullmatch(r'[^\s/:=@!$*\'"\\|&;<>()`{}\[\]?#.-][^\s/:=@!$*\'"\\|&;<>()`{}\[\]?#]*', n), n
            assert len(n.encode()) <= 255


def test_services_round_trip():
    with Mount() as m:
        names = [v for v in VALUES if len(v.encode()) <= 200 and not v.startswith(('.', '@'))]
        for i, name in enumerate(names):
            path = m.sub(typed(name))
            try:
                os.mkdir(path)
            except FileExistsError:
                continue
            write(os.path.join(path, 'p.pb.gz'), pprof({f'main;s{i}': 10 + i}, NOON + i))
            assert open(os.path.join(path, DAY, 'cpu', 'folded.txt')).read() == f'main;s{i} {10 + i}\n', name
        listed = [n for n in os.listdir(m.path) if n not in ('.profilefs', 'README.md')]
        assert len(listed) == len(names), f'{listed} {names}'
        for n in listed:
            assert os.path.isdir(m.sub(n)) and len(os.listdir(m.sub(n, DAY, 'profiles'))) == 1, n


def test_names_that_are_too_long():
    with Mount() as m:
        fill(m, count=1)
        for path in ('x' * 255, 'web/' + 'x' * 255, f'web/{DAY}/cpu/' + 'x' * 255):
            assert error_of(lambda path=path: os.lstat(m.sub(path))) in (2, 36), path
        assert error_of(lambda: os.lstat(m.sub('x' * 300))) in (2, 36)


def test_names_that_read_as_components_are_no_files():
    with Mount() as m:
        service = add_service(m)
        for name in (DAY, 'last-1h', 'region=eu', 'today'):
            assert error_of(lambda name=name: write(os.path.join(service, name), b'x')) == 21, name
        r = fails('cp /etc/hostname ' + os.path.join(service, '@nothing=1'))
        assert r.code == 1
        assert all_profiles(m) == []


def test_a_typo_makes_no_service():
    with Mount() as m:
        add_service(m)
        fails(f'cp /etc/hostname {m.sub("wbe")}/')
        fails(f'cp /etc/hostname {m.sub("wbe")}')
        assert 'wbe' not in os.listdir(m.path)
        assert 'web' in os.listdir(m.path)
        os.rmdir(m.sub('web'))
        assert 'web' not in os.listdir(m.path)


# ---- TAB ----

SHELLS = {
    'bash': ['bash', '--norc', '--noprofile', '-i'],
    'zsh': ['zsh', '-f', '-i'],
    'fish': ['fish', '--no-config', '-i'],
}
PREPARE = {'bash': "PS1='> '; bind 'set completion-ignore-case off'; bind 'set enable-bracketed-paste off'",
           'zsh': "PS1='> '; autoload -Uz compinit; compinit -D -u; zstyle ':completion:*' menu no", 'fish': 'function fish_prompt; echo "> "; end'}


class Terminal:
    def __init__(self, shell, cwd):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.environ.update(TERM='dumb' if shell != 'fish' else 'xterm', HOME=os.environ.get('TMPDIR', '/tmp'), HISTFILE='')
            os.execvp(SHELLS[shell][0], SHELLS[shell])
        self.seen = b''
        self.read(1.5 if shell == 'fish' else 0.4)
        self.send(PREPARE[shell] + '\n', 0.8)

    def read(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    return

    def send(self, text, seconds):
        os.write(self.fd, text.encode())
        self.read(seconds)

    def close(self):
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def completes(shell, directory, typed_part, out, patience):
    """Types a part of a path and TAB; what the shell then passes to a command."""
    if os.path.exists(out):
        os.unlink(out)
    t = Terminal(shell, directory)
    try:
        t.send(f'echo {typed_part}\t', patience)
        t.send(f' > {out}\n', patience)
    finally:
        t.close()
    return open(out).read().strip() if os.path.exists(out) else repr(t.seen[-300:])


def tab(shell):
    if not shutil.which(shell):
        raise Skip(f'there is no {shell}')
    with Mount() as m:
        fill(m, services=('checkout',), count=1, labels=('region=eu-west',))
        out = os.path.abspath('out')
        for part, want in (('che', 'checkout/'), (f'checkout/{DAY[:9]}', f'checkout/{DAY}/'), ('checkout/late', 'checkout/latest'),
                           (f'checkout/{DAY}/cp', f'checkout/{DAY}/cpu/'), (f'checkout/{DAY}/cpu/tree', f'checkout/{DAY}/cpu/tree.txt'),
                           (f'checkout/{DAY}/cpu/by-r', f'checkout/{DAY}/cpu/by-region/'),
                           (f'checkout/{DAY}/cpu/by-region/eu', f'checkout/{DAY}/cpu/by-region/eu-west'),
                           (f'checkout/{DAY}/profiles/{DAY}', f'checkout/{DAY}/profiles/{os.listdir(m.sub("checkout", DAY, "profiles"))[0]}')):
            for patience in (1, 4, 10):  # seconds: a shell on a busy machine may be slow to complete
                got = completes(shell, m.path, part, out, patience)
                if got.rstrip('/') == want.rstrip('/'):
                    break
            assert got.rstrip('/') == want.rstrip('/'), f'{part}: {got}, not {want}'


def test_tab_in_bash():
    tab('bash')


def test_tab_in_zsh():
    tab('zsh')


def test_tab_in_fish():
    tab('fish')


def test_listed_names_need_no_quotes():
    with Mount() as m:
        fill(m, services=('a b', '$(x)'), count=1, labels=('k=a b',))
        for here, dirs, files in os.walk(m.path):
            for n in dirs + files:
                assert ok(f'echo {os.path.join(here, n)}', cwd='/').out == os.path.join(here, n) + '\n'


main(globals(), 120)
