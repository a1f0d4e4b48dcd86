#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who may see and do what: the mounting user alone, others by allow_other; uid, gid and umask; mounts of users."""

import errno
import os
import pwd
import shutil
import signal
import subprocess

from harness import DAY, PROGRAM, Mount, Skip, add_service, error_of, fill, main, mount_points, need, need_root, profile, profiles, read
from harness import write


def nobody():
    need_root()
    return pwd.getpwnam('nobody')


def as_user(user, call):
    """What a call does to another user: its result or errno."""
    r, w = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            os.write(w, repr(call()).encode())
        except OSError as x:
            os.write(w, b'errno %d' % x.errno)
        finally:
            os._exit(0)
    os.close(w)
    with os.fdopen(r, 'rb') as f:
        text = f.read().decode()
    os.waitpid(pid, 0)
    return text


def open_to_all():
    os.chmod('.', 0o755)


def test_only_the_mounting_user():
    user = nobody()
    open_to_all()
    with Mount() as m:
        fill(m, count=1)
        assert as_user(user, lambda: os.listdir(m.path)) == f'errno {errno.EACCES}'
        assert 'allow_other' in m.text(), 'no hint in the log'


def test_allow_other():
    user = nobody()
    open_to_all()
    with Mount(options='allow_other') as m:
        fill(m, count=1)
        assert 'web' in as_user(user, lambda: os.listdir(m.path))
        assert 'sort' in as_user(user, lambda: read(m.sub('web', DAY, 'cpu', 'top.txt')))
        assert as_user(user, lambda: write(m.sub('web', 'x.pb.gz'), profile(2))) == f'errno {errno.EACCES}'
        assert as_user(user, lambda: os.mkdir(m.sub('new'))) == f'errno {errno.EACCES}'
        assert 'allow_other' not in m.text()


def test_uid_gid_umask():
    user = nobody()
    open_to_all()
    with Mount(options=f'allow_other,uid={user.pw_uid},gid={user.pw_gid},umask=027') as m:
        fill(m, count=1)
        st = os.stat(m.sub('web'))
        assert (st.st_uid, st.st_gid, st.st_mode & 0o777) == (user.pw_uid, user.pw_gid, 0o750)
        st = os.stat(m.sub('web', DAY, 'cpu', 'top.txt'))
        assert (st.st_uid, st.st_mode & 0o777) == (user.pw_uid, 0o440)
        assert as_user(user, lambda: write(m.sub('web', 'x.pb.gz'), profile(5))) == 'None'
        assert len(profiles(m)) == 2


def test_modes():
    with Mount() as m:
        fill(m, count=1)
        for path, mode in (('', 0o755), ('web', 0o755), ('web/a=b', 0o755), (f'web/{DAY}', 0o555), (f'web/{DAY}/cpu', 0o555),
                           ('.profilefs', 0o755), ('README.md', 0o444), (f'web/{DAY}/cpu/top.txt', 0o444)):
            assert os.stat(m.sub(path)).st_mode & 0o777 == mode, path


def test_a_user_mounts_through_fusermount3():
    user = nobody()
    need('fusermount3')
    open_to_all()
    os.mkdir('home')
    os.chown('home', user.pw_uid, user.pw_gid)
    program = shutil.copy(PROGRAM, 'program')
    os.chmod(program, 0o755)
    os.chmod('/dev/fuse', 0o666)

    def as_nobody(words):
        return subprocess.run(words, user=user.pw_uid, group=user.pw_gid, extra_groups=[], capture_output=True, text=True, timeout=30,
                              env={**os.environ, 'TMPDIR': os.path.abspath('home')})

    home = os.path.abspath('home')
    os.makedirs(f'{home}/m')
    os.chown(f'{home}/m', user.pw_uid, user.pw_gid)
    r = as_nobody([os.path.abspath(program), 'mount', f'{home}/db', f'{home}/m'])
    if r.returncode and 'fusermount3' in r.stderr:
        raise Skip('fusermount3 does not mount here: ' + r.stderr.strip()[:200])
    assert r.returncode == 0, r
    r = as_nobody(['sh', '-c', f'mkdir {home}/m/web && echo "main;work 3" > {home}/m/web/t.folded && cat {home}/m/web/today/samples/folded.txt'])
    assert r.returncode == 0 and r.stdout == 'main;work 3\n', r
    assert error_of(lambda: os.listdir(f'{home}/m')) == errno.EACCES, 'root sees it'
    r = as_nobody(['fusermount3', '-u', f'{home}/m'])
    assert r.returncode == 0, r
    assert not mount_points(f'{home}/m')
    p = subprocess.Popen([os.path.abspath(program), 'mount', '-f', f'{home}/db', f'{home}/m'], user=user.pw_uid, group=user.pw_gid,
                         stderr=subprocess.DEVNULL)
    while f'{home}/m' not in mount_points() and p.poll() is None:
        pass
    p.send_signal(signal.SIGTERM)
    assert p.wait(10) == 0 and not mount_points(f'{home}/m')


def test_a_user_may_not_allow_others_unasked():
    user = nobody()
    need('fusermount3')
    if os.path.exists('/etc/fuse.conf') and 'user_allow_other' in [x.strip() for x in open('/etc/fuse.conf')]:
        raise Skip('/etc/fuse.conf allows it')
    open_to_all()
    os.makedirs('home/m')
    for d in ('home', 'home/m'):
        os.chown(d, user.pw_uid, user.pw_gid)
    program = shutil.copy(PROGRAM, 'program')
    os.chmod(program, 0o755)
    r = subprocess.run([os.path.abspath(program), 'mount', os.path.abspath('home/db'), os.path.abspath('home/m'), '-o', 'allow_other'],
                       user=user.pw_uid, group=user.pw_gid, extra_groups=[], capture_output=True, text=True, timeout=30)
    assert r.returncode == 1 and r.stderr.startswith('profilefs: '), r
    assert not mount_points(os.path.abspath('home/m'))


def test_as_a_mount_helper():
    """As mount(8) and fstab call it."""
    need_root()
    helper = '/sbin/mount.fuse3'
    if not os.path.exists(helper):
        raise Skip('there is no ' + helper)
    os.mkdir('m')
    r = subprocess.run([helper, PROGRAM + '#' + os.path.abspath('db'), os.path.abspath('m'), '-o', 'noatime,_netdev,x-systemd.automount'],
                       capture_output=True, text=True, timeout=30)
    assert r.returncode == 0, r
    with open('m/README.md') as f:
        assert 'profilefs' in f.read()
    subprocess.run(['umount', 'm'], check=True)


def test_services_of_a_user_with_a_small_umask_can_be_written():
    old = os.umask(0o077)
    try:
        with Mount() as m:
            write(os.path.join(add_service(m), 'p.pb.gz'), profile(1))
            assert os.stat(m.sub('web', 'p.pb.gz')).st_mode & 0o777 == 0o600
            assert len(profiles(m)) == 1
    finally:
        os.umask(old)


main(globals(), 60)
