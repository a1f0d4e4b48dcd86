# SPDX-License-Identifier: MIT
"""Real servers on loopback, each with its state in a directory: Ceph RGW, versitygw, s3proxy, a proxy; a relay that counts."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
KEY, SECRET = 'testkey-0001', 'test/secret+0001'


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def answers(endpoint):
    return subprocess.run(['curl', '-sk', '--noproxy', '*', '-o', '/dev/null', endpoint + '/']).returncode == 0


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(('127.0.0.1', port)) == 0


def wait_for(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f'{what} did not come up in {seconds} s')
        time.sleep(0.1)


def make_bucket(endpoint, name):
    r = subprocess.run(['curl', '-s', '--noproxy', '*', '-o', '/dev/null', '-w', '%{http_code}', '-X', 'PUT',
                        '--aws-sigv4', 'aws:amz:us-east-1:s3', '-u', f'{KEY}:{SECRET}',
                        '-H', 'x-amz-content-sha256: UNSIGNED-PAYLOAD', f'{endpoint}/{name}'], capture_output=True, text=True)
    if r.stdout not in ('200', '409'):
        raise RuntimeError(f'no bucket at {endpoint}: HTTP {r.stdout}')


class Certificates:
    """An authority and what it signs for 127.0.0.1: `good`, `late` (expired); `stranger` signed itself."""

    def __init__(self, dir):
        self.dir = Path(dir)
        self.dir.mkdir(parents=True)
        self.authority = self.dir / 'ca.pem'
        self.make('ca', '-x509')
        self.make('stranger', '-x509')
        self.sign('good', '30')
        self.sign('late', '-1')

    def openssl(self, *words):
        subprocess.run(['openssl', *map(str, words)], check=True, capture_output=True)

    def make(self, name, *more):
        out = self.dir / f'{name}.{"pem" if more else "csr"}'
        self.openssl('req', *more, '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout',
                     self.dir / f'{name}.key', '-out', out, '-subj', f'/CN={name}', '-addext', 'subjectAltName=IP:127.0.0.1')

    def sign(self, name, days):
        self.make(name)
        self.openssl('x509', '-req', '-in', self.dir / f'{name}.csr', '-CA', self.authority, '-CAkey', self.dir / 'ca.key',
                     '-days', days, '-copy_extensions', 'copy', '-out', self.dir / f'{name}.pem')

    def pair(self, name):
        return str(self.dir / f'{name}.pem'), str(self.dir / f'{name}.key')


class Daemon:
    """One process in the foreground, for servers that are no more than that."""

    def __init__(self, name, dir, scheme='http'):
        self.name, self.dir, self.port, self.process = name, Path(dir), free_port(), None
        self.endpoint = f'{scheme}://127.0.0.1:{self.port}'
        self.dir.mkdir(parents=True, exist_ok=True)

    def spawn(self, command, env=None):
        log = open(self.dir / 'log', 'ab')
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        env={**os.environ, **(env or {})})
        try:
            wait_for(self.name, self.is_up)
        except RuntimeError:
            self.stop()
            raise
        return self

    def is_up(self):
        return answers(self.endpoint)

    def stop(self, sig=signal.SIGTERM):
        if self.process:
            self.process.send_signal(sig)
            self.process.wait(30)
            self.process = None


class Versitygw(Daemon):
    def __init__(self, dir, program):
        super().__init__('versitygw', dir)
        self.program = program

    def start(self):
        (self.dir / 'data').mkdir(exist_ok=True)
        return self.spawn([self.program, '--port', f'127.0.0.1:{self.port}', '--keep-alive', '--quiet', 'posix',
                           str(self.dir / 'data')], {'ROOT_ACCESS_KEY': KEY, 'ROOT_SECRET_KEY': SECRET})


class S3proxy(Daemon):
    lacks = 'test_body_that_fails_leaves_nothing'  # it lists its own temporary file of an upload that broke off

    def __init__(self, dir, jar):
        super().__init__('s3proxy', dir)
        self.jar = jar

    def start(self):
        (self.dir / 'data').mkdir(exist_ok=True)
        conf = self.dir / 's3proxy.conf'
        conf.write_text('s3proxy.authorization=aws-v2-or-v4\n'
                        f's3proxy.endpoint={self.endpoint}\ns3proxy.identity={KEY}\ns3proxy.credential={SECRET}\n'
                        f'jclouds.provider=transient-nio2\njclouds.filesystem.basedir={self.dir / "data"}\n')
        return self.spawn(['java', '-XX:+UseSerialGC', '-Xmx512m', '-jar', str(self.jar), '--properties', str(conf)])


class TlsServer(Daemon):
    """Shakes hands with a certificate of one's choice; whoever gets further is no S3 client."""

    def __init__(self, dir, pair, *more):
        super().__init__('openssl', dir, 'https')
        self.command = ['openssl', 's_server', '-quiet', '-www', '-accept', f'127.0.0.1:{self.port}', '-cert', pair[0],
                        '-key', pair[1], *more]

    def is_up(self):
        return listens(self.port)

    def __enter__(self):
        return self.spawn(self.command)

    def __exit__(self, *_):
        self.stop()


class Proxy(Daemon):
    """A forward proxy; asked() is what its log has since the last call: ["CONNECT host:port", "GET http://..."]."""
    program = shutil.which('tinyproxy')

    def __init__(self, dir, connect_port=None):
        super().__init__('tinyproxy', dir)
        self.log, self.seen = self.dir / 'proxy.log', 0
        self.conf = self.dir / 'tinyproxy.conf'
        self.conf.write_text(f'Port {self.port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 60\nMaxClients 100\n'
                             f'LogFile "{self.log}"\nLogLevel Connect\n'
                             + (f'ConnectPort {connect_port}\n' if connect_port else ''))

    def is_up(self):
        return listens(self.port)

    def __enter__(self):
        return self.spawn([self.program, '-d', '-c', str(self.conf)])

    def __exit__(self, *_):
        self.stop()

    def asked(self):
        lines = re.findall(r'Request \(file descriptor \d+\): (\S+ \S+)', self.log.read_text())
        new, self.seen = lines[self.seen:], len(lines)
        return new


CEPH_CONF = '''[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{mon}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms bind port min = {osd}
ms bind port max = {osd_end}
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail warn = 1
mon data avail crit = 1
mon max pg per osd = 1000
run dir = {dir}/run
keyring = {dir}/keyring
log file = {dir}/log/$name.log
admin socket = {dir}/run/$name.asok
pid file = {dir}/run/$name.pid
bluestore block size = 4294967296
bluestore block create = true
osd memory target = 939524096
[mon.a]
mon data = {dir}/mon
[osd.0]
osd data = {dir}/osd
osd objectstore = bluestore
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port} ssl_endpoint=127.0.0.1:{tls} ssl_certificate={pair[0]} ssl_private_key={pair[1]} tcp_nodelay=1
rgw data = {dir}/rgw
rgw thread pool size = 64
rgw sts key = 0123456789abcdef
rgw s3 auth use sts = true
rgw enable usage log = false
rgw enable ops log = false
'''


def policy(statement):
    return json.dumps({'Version': '2012-10-17', 'Statement': [statement]})


class Ceph:
    """A monitor, an OSD on a sparse file, and a gateway. cephx stays on: without it the gateway of Debian 12 hangs."""
    name = 'ceph-rgw'
    programs = ['ceph-mon', 'ceph-osd', 'radosgw', 'ceph', 'ceph-authtool', 'monmaptool', 'radosgw-admin']

    def __init__(self, dir, certificates):
        self.dir, self.port, self.tls_port, self.certificates = Path(dir), free_port(), free_port(), certificates
        self.endpoint, self.tls_endpoint = f'http://127.0.0.1:{self.port}', f'https://127.0.0.1:{self.tls_port}'
        self.conf = str(self.dir / 'ceph.conf')
        self.made = self.has_role = False

    def do(self, *words, check=True, timeout=90):
        with open(self.dir / 'log' / 'commands', 'ab') as log:
            return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, check=check,
                                  timeout=timeout, text=True).stdout

    def make(self):
        for d in ('mon', 'osd', 'rgw', 'run', 'log'):
            (self.dir / d).mkdir(parents=True)
        fsid = Path('/proc/sys/kernel/random/uuid').read_text().strip()
        mon, osd, ring = free_port(), 20000 + os.getpid() % 9000, str(self.dir / 'keyring')
        Path(self.conf).write_text(CEPH_CONF.format(fsid=fsid, mon=mon, osd=osd, osd_end=osd + 20, dir=self.dir,
                                                    port=self.port, tls=self.tls_port, pair=self.certificates.pair('good')))
        caps = {'mon.': ['mon', 'allow *'],
                'client.admin': ['mon', 'allow *', 'osd', 'allow *', 'mgr', 'allow *', 'mds', 'allow *'],
                'osd.0': ['mon', 'allow profile osd', 'osd', 'allow *', 'mgr', 'allow profile osd'],
                'client.rgw': ['mon', 'allow *', 'osd', 'allow *', 'mgr', 'allow *']}
        for i, (name, words) in enumerate(caps.items()):
            pairs = [w for j in range(0, len(words), 2) for w in ('--cap', words[j], words[j + 1])]
            self.do('ceph-authtool', *(['-C'] if i == 0 else []), ring, '--gen-key', '-n', name, *pairs)
        self.do('monmaptool', '--create', '--fsid', fsid, '--addv', 'a', f'[v2:127.0.0.1:{mon}]', str(self.dir / 'monmap'))
        self.do('ceph-mon', '-c', self.conf, '--mkfs', '-i', 'a', '--monmap', str(self.dir / 'monmap'), '--keyring', ring,
                '--setuser', 'root', '--setgroup', 'root')

    def ceph(self, *words, check=True):
        return self.do('ceph', '-c', self.conf, *words, check=check, timeout=20)

    def mon_answers(self):
        try:
            self.ceph('osd', 'stat')
            return True
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return False

    def add_osd(self):
        uuid = Path('/proc/sys/kernel/random/uuid').read_text().strip()
        self.ceph('osd', 'new', uuid, '0')
        self.ceph('osd', 'crush', 'add', 'osd.0', '1.0', 'root=default', 'host=local', check=False)
        self.do('ceph-osd', '-c', self.conf, '-i', '0', '--mkfs', '--osd-uuid', uuid, '--setuser', 'root', '--setgroup', 'root')

    def start_gateway(self):
        self.do('radosgw', '-c', self.conf, '-n', 'client.rgw', '--setuser', 'root', '--setgroup', 'root')
        wait_for('radosgw', lambda: answers(self.endpoint))

    def start_monitor(self):
        self.do('ceph-mon', '-c', self.conf, '-i', 'a', '--setuser', 'root', '--setgroup', 'root')

    def start_osd(self):
        self.do('ceph-osd', '-c', self.conf, '-i', '0', '--setuser', 'root', '--setgroup', 'root')

    def restart(self, name):
        {'client.rgw': self.start_gateway, 'osd.0': self.start_osd, 'mon.a': self.start_monitor}[name]()

    def start(self):
        if not self.made:
            self.make()
        self.start_monitor()
        wait_for('the monitor', self.mon_answers)
        if not self.made:
            self.add_osd()
        self.start_osd()
        wait_for('the OSD', lambda: '1 up' in (self.ceph('osd', 'stat', check=False) or ''))
        self.start_gateway()
        if not self.made:
            self.admin('user', 'create', '--uid=test', '--display-name=test', f'--access-key={KEY}', f'--secret-key={SECRET}')
        self.made = True
        return self

    def admin(self, *words, check=True):
        return self.do('radosgw-admin', '-c', self.conf, '-n', 'client.rgw', *words, check=check)

    def make_role(self):
        trust = {'Effect': 'Allow', 'Principal': {'AWS': ['arn:aws:iam:::user/test']}, 'Action': ['sts:AssumeRole']}
        may = {'Effect': 'Allow', 'Action': ['s3:*'], 'Resource': 'arn:aws:s3:::*'}
        self.admin('caps', 'add', '--uid=test', '--caps=roles=*')
        self.admin('role', 'create', '--role-name=writer', '--assume-role-policy-doc=' + policy(trust), check=False)  # or it is there
        self.admin('role-policy', 'put', '--role-name=writer', '--policy-name=all', '--policy-doc=' + policy(may))
        self.has_role = True

    def temporary_keys(self):
        """Of the gateway's token service, for an hour, in the words that AWS's metadata has for them."""
        if not self.has_role:
            self.make_role()
        r = subprocess.run(['curl', '-s', '--noproxy', '*', '--aws-sigv4', 'aws:amz:us-east-1:sts', '-u', f'{KEY}:{SECRET}', '-d',
                            'Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A%3Arole%2Fwriter&RoleSessionName=test&Version=2011-06-15',
                            self.endpoint + '/'], capture_output=True, text=True, check=True)
        got = dict(re.findall('<(AccessKeyId|SecretAccessKey|SessionToken)>([^<]+)<', r.stdout))
        return {'AccessKeyId': got['AccessKeyId'], 'SecretAccessKey': got['SecretAccessKey'], 'Token': got['SessionToken']}

    def end(self, name, sig):
        try:
            pid = self.pid(name)
            os.kill(pid, sig)
        except (OSError, ValueError):
            return
        wait_for(f'the end of {name}', lambda: not alive(pid), 30)

    def pid(self, name):
        return int((self.dir / 'run' / f'{name}.pid').read_text())

    def kill(self, name):
        self.end(name, signal.SIGKILL)

    def stop(self, sig=signal.SIGTERM):
        for name in ('client.rgw', 'osd.0', 'mon.a'):
            self.end(name, sig)


def alive(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


def versitygw_program():
    for place in (shutil.which('versitygw'), SOURCE / 'build' / 'tools-ext' / 'versitygw'):
        if place and os.access(place, os.X_OK):
            return str(place)
    return None


def s3proxy_jar():
    jar = SOURCE / 'build' / 'tools-ext' / 's3proxy.jar'
    return jar if jar.exists() and shutil.which('java') else None


# ---- counting ----

class Relay:
    """Hands connections on to a server and counts the requests, by method; a request's head begins a segment. By TLS to
    its clients where it has a certificate. `payloads`: what the requests say that they have signed of their bodies."""
    HEAD = re.compile(rb'(GET|PUT|POST|DELETE|HEAD) (/\S*) HTTP/1\.1\r\n')
    PAYLOAD = re.compile(rb'\r\nx-amz-content-sha256: (\S+)\r\n')

    def __init__(self, endpoint, pair=None):
        self.target = ('127.0.0.1', int(endpoint.rsplit(':', 1)[1]))
        self.listener = socket.create_server(('127.0.0.1', 0))
        if pair:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*pair)
            self.listener = tls.wrap_socket(self.listener, server_side=True)
        self.endpoint = f'http{"s" if pair else ""}://127.0.0.1:{self.listener.getsockname()[1]}'
        self.requests, self.payloads, self.lock = [], set(), threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.pump, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, False), daemon=True).start()

    def pump(self, source, sink, counted):
        try:
            while data := source.recv(65536):
                m = counted and self.HEAD.match(data)
                if m:
                    with self.lock:
                        self.requests.append(f'{m.group(1).decode()} {m.group(2).decode()}')
                        self.payloads.update(p.decode() for p in self.PAYLOAD.findall(data))
                sink.sendall(data)
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def take(self):
        """What was asked since the last call."""
        with self.lock:
            taken, self.requests = self.requests, []
        return taken

    def close(self):
        self.listener.close()
