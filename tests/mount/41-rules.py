#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rules of writing: what goes where, which error says what, what happens to names."""

import errno
import os
import subprocess
import threading
import time

from harness import BASE, DAY, NOON, Mount, add_service, all_profiles, error_of, eventually, fails, fill, main, ok, pprof
from harness import profile, profiles, read, sh, write


def test_the_path_gives_labels():
    with Mount() as m:
        service = add_service(m)
        ok(f'mkdir -p {service}/region=eu/pod=a')
        write(f'{service}/region=eu/pod=a/p.pb.gz', profile(1))
        write(f'{service}/region=us/p.pb.gz', profile(2))
        cpu = f'{service}/{DAY}/cpu'
        assert {'by-region', 'by-pod'} <= set(os.listdir(cpu))
        assert sorted(n for n in os.listdir(f'{cpu}/by-region') if os.path.islink(f'{cpu}/by-region/{n}')) == ['eu', 'us']
        assert 'sort 30000001' in open(f'{cpu}/region=eu/folded.txt').read()
        assert open(f'{cpu}/region=eu/pod=b/folded.txt').read() == ''


def test_text_takes_its_type_from_the_path():
    with Mount() as m:
        service = add_service(m)
        write(f'{service}/@type=cpu/@unit=nanoseconds/t.folded', b'main;work 3000000\n')
        write(f'{service}/u.folded', b'main;work 3\n')
        types = set(os.listdir(f'{service}/today'))
        assert {'cpu', 'samples'} <= types, types


def test_a_profile_without_time_takes_the_mtime():
    with Mount() as m:
        service = add_service(m)
        with open('t.folded', 'w') as f:
            f.write('main;work 3\n')
        os.utime('t.folded', (NOON, NOON))
        for i, command in enumerate(('cp -p t.folded', 'rsync -a t.folded')):
            os.mkdir(m.sub(f's{i}'))
            ok(f'{command} {m.sub(f"s{i}")}/')
            assert profiles(m, f's{i}'), command
            assert profiles(m, f's{i}')[0].startswith(DAY + 'T1200'), command
        ok(f'tar cf x.tar t.folded && tar xf x.tar -C {service}')
        assert profiles(m)[0].startswith(DAY + 'T1200')
        ok(f'cp t.folded {service}/now.folded')
        assert len(all_profiles(m)) == 2


def test_written_is_seen_at_once():
    with Mount() as m:
        service = add_service(m)
        for n in range(10):
            at = int(time.time()) - 5
            write(f'{service}/p{n}.pb.gz', pprof({f'main;marker{n}': 7}, at))
            assert f'marker{n}' in open(f'{service}/last-15m/cpu/folded.txt').read(), n
            assert len(os.listdir(f'{service}/last-15m/profiles')) == n + 1


def test_fsync_is_durable_before_the_close():
    m = Mount()
    service = add_service(m)
    fd = os.open(f'{service}/p.pb.gz', os.O_WRONLY | os.O_CREAT)
    os.write(fd, profile(1))
    os.fsync(fd)
    m.crash()
    assert error_of(lambda: os.close(fd)) == errno.ENOTCONN
    subprocess.run(['umount', '-l', m.path] if os.geteuid() == 0 else ['fusermount3', '-u', '-z', m.path], check=True)
    with Mount() as again:
        assert len(profiles(again)) == 1


def test_only_above_a_time():
    with Mount() as m:
        fill(m, count=1)
        for path in ('x', f'web/{DAY}/x', f'web/{DAY}/cpu/x', f'web/{DAY}/profiles/x', '.profilefs/x', 'web/pod=~a/x', 'web/pod!=a/x'):
            assert error_of(lambda path=path: write(m.sub(path), b'x')) == errno.EPERM, path
            assert '/' + path in m.errors(), path
        for path in (f'web/{DAY}/cpu/top.txt', 'README.md', '.profilefs/version', f'web/{DAY}/profiles/{profiles(m)[0]}'):
            for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
                e = error_of(lambda path=path, flags=flags: os.open(m.sub(path), flags))
                assert e in (errno.EPERM, errno.EACCES), f'{path} {flags}: {e}'


def poke(path, offset):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        os.pwrite(fd, b'x', offset)
    finally:
        os.close(fd)


def table(m):
    """What is not supported, and the error for it."""
    web, day, top = m.sub('web'), m.sub('web', DAY), m.sub('web', DAY, 'cpu', 'top.txt')
    one = m.sub('web', DAY, 'profiles', profiles(m)[0])
    put = f'{web}/put.pb.gz'
    write(put, profile(5))
    return [
        ('link', lambda: os.link(put, f'{web}/l'), errno.EPERM),
        ('link of a rendering', lambda: os.link(top, f'{web}/l'), errno.EPERM),
        ('symlink', lambda: os.symlink('x', f'{web}/l'), errno.EPERM),
        ('symlink below a time', lambda: os.symlink('x', f'{day}/.#l'), errno.EPERM),
        ('fifo', lambda: os.mkfifo(f'{web}/fifo'), errno.EPERM),
        ('folder', lambda: os.mkdir(f'{web}/folder'), errno.EPERM),
        ('folder below a time', lambda: os.mkdir(f'{day}/.folder'), errno.EPERM),
        ('a label folder', lambda: os.mkdir(f'{web}/a=b'), errno.EEXIST),
        ('setxattr', lambda: os.setxattr(put, 'user.x', b'1'), errno.EOPNOTSUPP),
        ('getxattr', lambda: os.getxattr(put, 'user.x'), errno.EOPNOTSUPP),
        ('rename a rendering', lambda: os.rename(top, f'{web}/top'), errno.EPERM),
        ('rename a service', lambda: os.rename(web, m.sub('bew')), errno.EPERM),
        ('rename elsewhere', lambda: os.rename(put, f'{web}/region=eu/put'), errno.EXDEV),
        ('rename below a time', lambda: os.rename(put, f'{day}/put'), errno.EXDEV),
        ('rename to a component', lambda: os.rename(put, f'{web}/2026-11-23'), errno.EISDIR),
        ('chmod a rendering', lambda: os.chmod(top, 0o600), errno.EPERM),
        ('truncate a rendering', lambda: os.truncate(top, 0), errno.EPERM),
        ('unlink a rendering', lambda: os.unlink(top), errno.EPERM),
        ('unlink a profile', lambda: os.unlink(one), errno.EPERM),
        ('rmdir a day', lambda: os.rmdir(day), errno.EPERM),
        ('rmdir a service', lambda: os.rmdir(web), errno.EPERM),
        ('overwrite what is taken', lambda: poke(put, 3), errno.EINVAL),
        ('cut what is taken', lambda: os.truncate(put, 10), errno.EINVAL),
        ('beyond the limit', lambda: poke(f'{web}/far', 1 << 40), errno.EFBIG),
        ('an exclusive second', lambda: os.open(put, os.O_WRONLY | os.O_CREAT | os.O_EXCL), errno.EEXIST),
        ('a bad expression', lambda: os.stat(f'{web}/pod=~('), errno.EINVAL),
        ('a long name', lambda: os.stat(f'{web}/' + 'x' * 2000), errno.ENAMETOOLONG),
    ]


def test_each_error_says_what():
    with Mount() as m:
        fill(m, count=1)
        wrong = []
        for name, call, want in table(m):
            got = error_of(call)
            if got != want:
                wrong.append(f'{name}: {errno.errorcode.get(got, got)}, not {errno.errorcode[want]}')
        assert not wrong, '\n'.join(wrong)
        assert len(all_profiles(m)) == 2


def test_attributes_of_directories_can_be_set_in_vain():
    with Mount() as m:
        service = add_service(m)
        os.chmod(service, 0o700)
        os.utime(service, (1, 1))
        os.utime(f'{service}/a=b', (1, 1))
        os.utime(m.path, (1, 1))
        ok(f'touch {service}')


def test_names_after_writing():
    with Mount() as m:
        service = add_service(m)
        os.chdir(service)
        write('a', profile(1))
        os.rename('a', 'b')
        assert not os.path.exists('a') and read('b') == profile(1)
        write('c', profile(2))
        os.replace('c', 'b')
        assert read('b') == profile(2)
        ok('mv -n b d; [ -e d ]')
        write('e', profile(3))
        assert sh('mv --no-clobber d e; [ -e d ]').code == 0
        os.unlink('d')
        assert error_of(lambda: os.unlink('d')) == errno.ENOENT
        with open('e', 'rb') as f:
            os.unlink('e')
            assert f.read() == profile(3)
        os.chdir('/')
        assert len(all_profiles(m)) == 3


def test_temporary_names():
    with Mount() as m:
        service = add_service(m)
        os.chdir(service)
        for name in ('.hidden', 'x~', 'x.swp', 'x.tmp', 'x.part', 'x.crdownload', '4913', '.goutputstream-XYZ', '._x', '#x#'):
            write(name, profile(1))
            assert read(name) == profile(1)
            assert all_profiles(m) == [], name
        write('.junk', b'not a profile')
        assert error_of(lambda: os.rename('.junk', 'junk')) == errno.EINVAL
        assert os.path.exists('.junk') and not os.path.exists('junk')
        os.rename('x.part', 'x')
        assert len(all_profiles(m)) == 1 and read('x') == profile(1)
        os.mkdir('.staging')
        write('.staging/y', profile(2))
        assert os.listdir('.staging') == ['y'] and len(all_profiles(m)) == 1
        assert error_of(lambda: os.rmdir('.staging')) == errno.ENOTEMPTY
        os.rename('.staging/y', 'y')
        assert len(all_profiles(m)) == 2
        os.rmdir('.staging')
        assert not os.path.exists('.staging')
        os.symlink('me@here.1', '.#y')
        assert os.readlink('.#y') == 'me@here.1'
        os.unlink('.#y')
        assert not [n for n in os.listdir('.') if n[0] in '.#x']
        os.chdir('/')


def test_appended_profiles_count_once_each():
    with Mount() as m:
        path = os.path.join(add_service(m), 'p.pb.gz')
        for n in range(5):
            with open(path, 'ab') as f:
                f.write(profile(n))
            assert len(all_profiles(m)) == n + 1
        assert read(path) == b''.join(profile(n) for n in range(5))
        with open(path, 'ab') as f:
            f.write(profile(9) + profile(10)[:40])
            assert error_of(f.close) == errno.EINVAL
        assert len(all_profiles(m)) == 5


def test_a_full_spool():
    with Mount(options='spool_size=1M') as m:
        service = add_service(m)
        big = b''.join(b'main;f%d 1\n' % i for i in range(100000))
        assert len(big) > 1 << 20
        assert error_of(lambda: write(f'{service}/big.folded', big)) == errno.ENOSPC
        assert 'big.folded' in m.errors()
        assert all_profiles(m) == [], 'a part was taken'
        for n in range(400):
            write(f'{service}/p{n}.pb.gz', profile(n))
        assert len(all_profiles(m)) == 400, len(all_profiles(m))
        assert m.status()['spool_bytes'] <= 1 << 20
        open(m.sub('README.md')).read()


def test_a_file_that_is_too_large():
    with Mount() as m:
        service = add_service(m)
        fd = os.open(f'{service}/big', os.O_WRONLY | os.O_CREAT)
        assert error_of(lambda: os.pwrite(fd, b'x', (256 << 20) + 1)) == errno.EFBIG
        os.close(fd)
        assert m.status()['spool_bytes'] == 0


def test_bombs_and_lies_are_refused_and_the_mount_stands():
    refuse = BASE.parent / 'format' / 'refuse'
    with Mount() as m:
        service = add_service(m)
        for path in sorted(refuse.iterdir()):
            if path.is_file():
                fails(f'cp {path} {service}/{path.name}')
        assert all_profiles(m) == []
        write(f'{service}/p.pb.gz', profile(1))
        assert len(all_profiles(m)) == 1


def test_real_profiles():
    with Mount() as m:
        service = add_service(m)
        files = sorted(BASE.glob('*.pb.gz'))
        for path in files:
            ok(f'cp {path} {service}/{path.name}')
        assert len(all_profiles(m)) == len({read(p) for p in files})


def test_many_writers():
    with Mount() as m:
        service = add_service(m)
        wrong = []

        def writer(first):
            for n in range(first, first + 25):
                try:
                    write(f'{service}/p{n}.pb.gz', profile(n))
                except OSError as x:
                    wrong.append(x)

        threads = [threading.Thread(target=writer, args=(i * 25,)) for i in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not wrong, wrong[:3]
        assert len(profiles(m)) == 400


def test_two_writers_of_one_name():
    with Mount() as m:
        path = os.path.join(add_service(m), 'p.pb.gz')
        writers = [subprocess.Popen(['python3', '-c', 'import sys,os\nfor i in range(30):\n try:\n  f=open(sys.argv[1],"wb"); '
                                     'f.write(open(sys.argv[2],"rb").read()); f.close()\n except OSError: pass', path, source])
                   for source in ('a', 'b') if not write(source, profile(ord(source)))]
        for w in writers:
            assert w.wait(30) == 0
        assert set(os.listdir(m.sub('web', DAY, 'profiles'))) and len(all_profiles(m)) <= 2


def test_a_deleted_file_is_not_taken():
    with Mount() as m:
        service = add_service(m)
        fd = os.open(f'{service}/p.pb.gz', os.O_WRONLY | os.O_CREAT)
        os.write(fd, profile(1))
        os.unlink(f'{service}/p.pb.gz')
        os.close(fd)
        assert all_profiles(m) == []


def test_read_only():
    with Mount() as m:
        fill(m, count=1)
    with Mount(options='ro') as m:
        for call in (lambda: write(m.sub('web', 'x'), b'x'), lambda: os.mkdir(m.sub('new')), lambda: os.unlink(m.sub('README.md')),
                     lambda: os.utime(m.sub('web'))):
            assert error_of(call) == errno.EROFS
        assert 'ro' in [x.split()[3].split(',')[0] for x in open('/proc/mounts') if x.split()[1] == m.path]
        assert len(profiles(m)) == 1 and os.stat(m.sub('web')).st_mode & 0o777 == 0o555


def test_removing_with_the_option():
    with Mount(options='delete') as m:
        fill(m, count=1, labels=('region=eu',))
        cpu = m.sub('web', DAY, 'cpu')
        os.unlink(f'{cpu}/top.txt')
        os.unlink(f'{cpu}/by-region/eu')
        os.rmdir(f'{cpu}/by-region')
        os.rmdir(m.sub('web', DAY, 'profiles'))
        assert len(profiles(m)) == 1
        assert error_of(lambda: os.rmdir(m.sub('web', 'region=eu'))) == errno.EPERM and 'a service, a day' in m.errors()


def test_deleting_with_the_option():
    with Mount(options='delete') as m:
        fill(m, count=4)
        fill(m, services=('shop',), count=2)
        os.unlink(m.sub('web', DAY, 'profiles', profiles(m)[0]))
        assert len(profiles(m)) == 3
        os.rmdir(m.sub('web', DAY, 'cpu'))
        assert profiles(m) == [] and len(all_profiles(m, 'shop')) == 2
        fill(m, count=4)
        assert len(profiles(m)) == 4  # ids of deleted profiles are no duplicates
        os.rmdir(m.sub('web', DAY))
        assert profiles(m) == []
        os.rmdir(m.sub('web'))
        os.rmdir(m.sub('shop'))
        assert not {'web', 'shop'} & set(os.listdir(m.path))


def test_the_reason_can_be_read():
    with Mount() as m:
        service = add_service(m)
        fails(f'echo this is no profile > {service}/note.txt')
        line = eventually(lambda: [x for x in m.errors().splitlines() if '/web/note.txt' in x], 2)[-1]
        assert 'pid' in line and line[:4].isdigit() and 'T' in line.split()[0], line
        fails(f'cp /bin/true {service}/true.pb.gz')
        assert '/web/true.pb.gz' in m.errors().splitlines()[-1]


main(globals(), 90)
