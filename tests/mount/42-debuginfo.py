#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Programs that are copied into .profilefs/debuginfo/ name the frames of profiles that were there before."""

import errno
import os
import sys

from harness import DAY, NOON, SOURCE, Mount, Skip, add_service, error_of, main, ok, write

sys.path.insert(0, str(SOURCE / 'tests'))
import native  # noqa: E402


def fill(m):
    if native.missing():
        raise Skip('there is no ' + ' or '.join(native.missing()))
    native.compile_program('server')
    stacks = [((a,), 10 + i) for i, a in enumerate(native.addresses('server', 'outer'))]
    write(f'{add_service(m)}/p.pb.gz', native.profile(stacks, native.build_id('server'), NOON))
    return stacks, m.sub('web', DAY, 'cpu', 'folded.txt')


def test_copied_programs_name_frames():
    with Mount() as m:
        stacks, path = fill(m)
        assert '[native+0x' in open(path).read()
        old = os.open(path, os.O_RDONLY)
        before = os.fstat(old)
        ok(f'objcopy --only-keep-debug server server.debug && cp server.debug {m.sub(".profilefs", "debuginfo")}/')
        assert sorted(open(path).read().splitlines()) == native.folded('server', stacks)
        assert os.stat(path).st_ino != before.st_ino
        assert b'[native+0x' in os.pread(old, 1 << 20, 0)  # a file that is open stays what it was
        os.close(old)
    with Mount() as again:
        assert sorted(open(again.sub('web', DAY, 'cpu', 'folded.txt')).read().splitlines()) == native.folded('server', stacks)


def test_refused_at_close():
    with Mount() as m:
        fill(m)
        folder = m.sub('.profilefs', 'debuginfo')
        ok('strip -o stripped server')
        for name, word in (('native.c', 'no ELF file'), ('stripped', 'no symbols')):
            data = open(name, 'rb').read()
            assert error_of(lambda name=name, data=data: write(f'{folder}/{name}', data)) == errno.EINVAL, name
            assert f'/.profilefs/debuginfo/{name}: it' in m.errors() and word in m.errors()


def test_symbols_are_removed_by_build_id():
    with Mount() as m:
        stacks, path = fill(m)
        bare = open(path).read()
        ok(f'cp server {m.sub(".profilefs", "debuginfo")}/')
        symbols = m.sub('.profilefs', 'debuginfo', native.build_id('server'))
        assert open(symbols).read().startswith('lines\t') and os.listdir(os.path.dirname(symbols)) == []
        assert error_of(lambda: os.unlink(symbols)) == errno.EPERM
        assert not os.path.exists(symbols[:-2]) and not os.path.exists(symbols + 'x')
    with Mount(options='delete') as m:
        assert open(path).read() != bare
        os.unlink(symbols)
        assert not os.path.exists(symbols) and open(path).read() == bare
        assert error_of(lambda: os.unlink(symbols)) == errno.ENOENT
        ok(f'cp server {m.sub(".profilefs", "debuginfo")}/')
        assert sorted(open(path).read().splitlines()) == native.folded('server', stacks)


def test_read_only():
    with Mount() as m:
        fill(m)
    with Mount(options='ro') as m:
        assert os.listdir(m.sub('.profilefs', 'debuginfo')) == []
        assert error_of(lambda: write(m.sub('.profilefs', 'debuginfo', 'x'), b'x')) == errno.EROFS


main(globals(), 90)
