#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Rules by which metrics are made from profiles are written into .profilefs/rules.json as a file anywhere would be."""

import errno
import json
import os
import subprocess
import time

from harness import Mount, add_service, error_of, fails, main, need, ok, pprof, program, read, write

GOOD = b'[\n  {"name": "web_cpu",\n   "select": "web/cpu"}\n]\n'
OTHER = b'[ {"select": "web/cpu", "name": "other_cpu"} ]'
BAD = b'[\n  {"name": "web_cpu", "selct": "web/cpu"}\n]\n'


def path(m, name='rules.json'):
    return m.sub('.profilefs', name)


def stored():
    """What another process finds in the store."""
    return subprocess.run([program(), 'rules', 'db'], check=True, capture_output=True).stdout


def holds(m, text):
    assert read(path(m)) == text, read(path(m))
    assert os.stat(path(m)).st_size == len(text)
    assert stored() == text, stored()


def test_what_is_written_is_read():
    with Mount() as m:
        holds(m, b'[]\n')
        for text in (GOOD, OTHER, b'[ ]', GOOD):
            write(path(m), text)
            holds(m, text)
    with Mount() as again:
        holds(again, GOOD)


def test_programs_that_write_files():
    need('rsync')
    with Mount() as m:
        for name, text in (('good.json', GOOD), ('other.json', OTHER)):
            with open(name, 'wb') as f:
                f.write(text)
        target = path(m)
        for command in ('cp {} %s', 'cat {} > %s', 'dd if={} of=%s status=none', 'cp {} x && mv x %s', 'install -m 644 {} %s',
                        'cp --remove-destination {} %s', 'tee %s < {} > tee.out', 'rsync {} %s', 'rsync --inplace {} %s',
                        'cp {} %s.new && mv %s.new %s', 'cat {} > $(dirname %s)/.stage && mv $(dirname %s)/.stage %s'):
            for name, text in (('other.json', OTHER), ('good.json', GOOD)):
                ok((command.replace('%s', target)).format(name))
                holds(m, text)
        ok(f'sed -i s/web_cpu/sed_cpu/ {target}')
        holds(m, GOOD.replace(b'web_cpu', b'sed_cpu'))


def test_editors():
    need('vim')
    with Mount() as m:
        write(path(m), GOOD)
        text = GOOD
        for n, options in enumerate(('set backupcopy=yes', 'set backupcopy=no', 'set backup backupcopy=no', 'set nowritebackup')):
            to = b'vim_%d' % n
            ok(f"vim -u NONE -i NONE -N -es -c '{options}' -c '%s/web_cpu/{to.decode()}/' -c wq {path(m)}")
            text = GOOD.replace(b'web_cpu', to)
            holds(m, text)
            write(path(m), GOOD)
        # Twice in one session: the file is the one that was written.
        ok(f"vim -u NONE -i NONE -N -es -c '%s/web_cpu/one/' -c w -c 'sleep 1200m' -c '%s/one/two/' -c w -c q {path(m)}")
        holds(m, GOOD.replace(b'web_cpu', b'two'))


def test_bad_ones_are_refused_at_close():
    with Mount() as m:
        write(path(m), GOOD)
        for text, why in ((BAD, 'line 2, column 23: unknown field "selct"'), (b'[\n{', 'line 2, column'), (b'hello', 'line 1, column'),
                          (b'[{"name": "a", "select": "web"}]', 'line 1, column 26: a selection is SERVICE/TYPE'),
                          (b'[{"name": "a", "name": "b", "select": "w/cpu"}]', 'line 1, column')):
            fd = os.open(path(m), os.O_WRONLY | os.O_TRUNC)
            os.write(fd, text)
            assert error_of(lambda fd=fd: os.close(fd)) == errno.EINVAL, text
            assert f'.profilefs/rules.json: rules, {why}' in m.errors(), m.errors()
            holds(m, GOOD)
        with open('bad.json', 'wb') as f:
            f.write(BAD)
        fails(f'cp bad.json {path(m)}')
        holds(m, GOOD)
        ok(f'cp bad.json {path(m)}.new')
        fails(f'mv {path(m)}.new {path(m)}')
        holds(m, GOOD)


def test_nothing_written_changes_nothing():
    with Mount() as m:
        write(path(m), GOOD)
        ok(f': > {path(m)}')
        holds(m, GOOD)
        ok(f'rm {path(m)}')
        time.sleep(2.1)
        holds(m, GOOD)
        ok(f'chmod 600 {path(m)} && touch {path(m)}')
        holds(m, GOOD)
        assert error_of(lambda: write(path(m), b' ' * (1 << 20) + GOOD)) == errno.EFBIG
        holds(m, GOOD)


def test_backups_come_back():
    with Mount() as m:
        write(path(m), GOOD)
        ok(f'mv {path(m)} {path(m)}.bak')
        write(path(m), OTHER)
        holds(m, OTHER)
        ok(f'mv {path(m)}.bak {path(m)}')
        holds(m, GOOD)


def test_others_are_seen():
    with Mount() as m, Mount(path='n') as n:
        write(path(m), GOOD)
        time.sleep(1.1)
        assert read(path(n)) == GOOD
        write(path(n), OTHER)
        time.sleep(1.1)
        holds(m, OTHER)
        subprocess.run([program(), 'rules', 'db', '-'], input=GOOD, check=True)
        time.sleep(1.1)
        holds(m, GOOD)


def test_no_other_name():
    with Mount() as m:
        for name in ('rule.json', 'x', 'rules.prom', 'README.md'):
            assert error_of(lambda name=name: write(path(m, name), GOOD)) == errno.EPERM, name
        assert '.profilefs/ takes rules.json alone' in m.errors()
        assert 'rules.json' in os.listdir(m.sub('.profilefs'))
    with Mount(options='ro') as m:
        assert os.stat(path(m)).st_mode & 0o222 == 0
        assert error_of(lambda: write(path(m), GOOD)) in (errno.EROFS, errno.EPERM)
        assert read(path(m)) == b'[]\n'


def test_the_values_follow():
    with Mount() as m:
        at = int(time.time()) // 60 * 60 - 90
        write(f'{add_service(m)}/p.pb.gz', pprof({'main;work': 3_000_000_000}, at))
        write(path(m), json.dumps([{'name': 'web_cpu', 'select': 'web/cpu'}]).encode())
        time.sleep(1.1)
        assert b'web_cpu_sum_per_step_seconds{service="web",type="cpu"} 3\n' in read(path(m, 'rules.prom'))
        write(path(m), b'[]')
        time.sleep(1.1)
        assert read(path(m, 'rules.prom')) == b''


main(globals(), 90)
