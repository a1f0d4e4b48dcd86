# SPDX-License-Identifier: MIT
"""Credentials that are handed out: by a container's endpoint, an instance's, a token service and a command. The gateway's
own temporary keys, with a session token, come from a small server that answers as those of AWS do."""

import datetime
import json
import os
import stat
import subprocess
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from program import BUCKET, PROGRAM, Mount, Skip, environment, failed, ingest_folded, need_fuse, ok, run

NONE = {'AWS_ACCESS_KEY_ID': None, 'AWS_SECRET_ACCESS_KEY': None}
ROLE = 'arn:aws:iam::123456789012:role/writer'
STS = '''<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
<SubjectFromWebIdentityToken>pod</SubjectFromWebIdentityToken><Credentials><SessionToken>{Token}</SessionToken>
<SecretAccessKey>{SecretAccessKey}</SecretAccessKey><Expiration>{Expiration}</Expiration><AccessKeyId>{AccessKeyId}</AccessKeyId>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>'''
DENIED = '''<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>no such pod</Message></Error>
<RequestId>1</RequestId></ErrorResponse>'''


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def answer(self, text, status=200):
        self.send_response(status)
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def note(self):
        self.server.asked.append(f'{self.command} {self.path}')
        if self.server.failures:
            self.answer('', self.server.failures.pop(0))
            return True
        return False

    def do_PUT(self):
        if self.note():
            return
        life = self.headers.get('X-aws-ec2-metadata-token-ttl-seconds')
        good = self.path == '/latest/api/token' and life and 1 <= int(life) <= 21600
        self.answer('session-1', 200 if good else 400)

    def do_GET(self):
        roles = '/latest/meta-data/iam/security-credentials/'
        if self.note():
            return
        if self.path == '/container/credentials':
            good = self.headers.get('Authorization') == self.server.authorization
            self.answer(*(self.issue() if good else ('{"code":"AccessDenied"}', 403)))
        elif self.headers.get('X-aws-ec2-metadata-token') != 'session-1':
            self.answer('', 401)
        elif self.path == roles:
            self.answer('writer\n')
        else:
            self.answer(*(self.issue(Code='Success', Type='AWS-HMAC') if self.path == roles + 'writer' else ('', 404)))

    def do_POST(self):
        form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers['Content-Length'])).decode()))
        if self.note():
            return
        wanted = {'Action': 'AssumeRoleWithWebIdentity', 'Version': '2011-06-15', 'RoleArn': ROLE,
                  'RoleSessionName': 'profilefs', 'WebIdentityToken': 'a.b/c+d=='}
        good = form == wanted and self.headers['Content-Type'] == 'application/x-www-form-urlencoded'
        self.answer(*((STS.format(**self.server.keys()), 200) if good else (DENIED, 400)))

    def issue(self, **more):
        return json.dumps({**more, **self.server.keys()}), 200

    def log_message(self, *_):
        pass


class Metadata(ThreadingHTTPServer):
    """Hands out `pairs` in turn, each for `life` seconds; answers with `failures` first, where there are any."""
    daemon_threads = True

    def __init__(self, pairs, life=3600, address=('127.0.0.1', 0)):
        super().__init__(address, Handler)
        self.endpoint = f'http://127.0.0.1:{self.server_address[1]}'
        self.pairs, self.life, self.asked, self.failures, self.authorization = pairs, life, [], [], None
        self.issued = 0

    def keys(self):
        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.life)
        self.issued += 1
        return {**self.pairs[(self.issued - 1) % len(self.pairs)], 'Expiration': end.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def take(self):
        taken, self.asked[:] = self.asked[:], []
        return taken


def temporary_keys(place, n=1):
    if not hasattr(place.server, 'temporary_keys'):
        raise Skip('only where the server hands out temporary keys')
    return [place.server.temporary_keys() for _ in range(n)]


def assert_used(url, env, source, pair):
    """-v says where the credentials are of, and shows none of them."""
    said = ok('ls', '-v', url, env={**NONE, **env}).err
    assert f'credentials of {source}' in said and 'with a session token, until 2' in said, said
    assert f'...{pair["AccessKeyId"][-4:]} ' in said and not any(secret in said for secret in pair.values()), said


def check_credentials_of_a_container(place):
    pairs, url = temporary_keys(place), place.url()
    with Metadata(pairs) as server:
        env = {**NONE, 'AWS_CONTAINER_CREDENTIALS_FULL_URI': server.endpoint + '/container/credentials'}
        assert ingest_folded(url, 'web', '00:00:00', env=env).code == 0
        assert_used(url, env, f"the container's endpoint {server.endpoint}/container/credentials", pairs[0])
        server.authorization = 'Bearer of/pod'
        assert 'the answer is 403' in failed('ls', url, env=env).err
        Path('token').write_text('Bearer of/pod\n')
        ok('ls', url, env={**env, 'AWS_CONTAINER_AUTHORIZATION_TOKEN': 'Bearer of/pod'})
        ok('ls', url, env={**env, 'AWS_CONTAINER_AUTHORIZATION_TOKEN': 'old', 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE': 'token'})
        server.take()
        server.failures = [500, 429]
        ok('ls', url, env={**env, 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE': 'token'})
        assert len(server.take()) == 3
        # What is named first is used: the environment's keys, then files, then the container, then the instance.
        ok('ls', url, env={'AWS_CONTAINER_CREDENTIALS_FULL_URI': 'http://127.0.0.1:1/'})
    for away in ('http://192.0.2.1/x', 'http://localhost@192.0.2.1/x', 'http://127.0.0.1.example/x', 'ftp://127.0.0.1/x'):
        assert 'over http only' in failed('ls', url, env={**env, 'AWS_CONTAINER_CREDENTIALS_FULL_URI': away}).err, away
    begin = time.monotonic()
    said = failed('ls', url, env={**env, 'AWS_CONTAINER_CREDENTIALS_FULL_URI': 'http://127.0.0.1:1/x'}).err
    assert '127.0.0.1:1/x' in said and 'onnect' in said and time.monotonic() - begin < 5, said


def check_credentials_of_an_instance(place):
    pairs, url = temporary_keys(place), place.url()
    with Metadata(pairs) as server:
        env = {**NONE, 'AWS_EC2_METADATA_DISABLED': None, 'AWS_EC2_METADATA_SERVICE_ENDPOINT': server.endpoint + '/',
               'http_proxy': 'http://127.0.0.1:1', 'no_proxy': place.endpoint.split('//')[1].split(':')[0]}
        assert ingest_folded(url, 'web', '00:00:00', env=env).code == 0
        assert [a.split('/')[-1] for a in server.take()] == ['token', '', 'writer']
        assert_used(url, env, "the instance's role writer", pairs[0])
        server.failures = [404]
        assert 'no container and no instance' in failed('ls', url, env=env).err
        server.take()
        assert 'no credentials' in failed('ls', url, env={**env, 'AWS_EC2_METADATA_DISABLED': 'true'}).err
        assert not server.take()
    begin = time.monotonic()
    assert 'no container and no instance' in failed('ls', url, env=env).err and time.monotonic() - begin < 3


def check_credentials_of_the_usual_addresses(place):
    """Those that AWS has, in a network of the test's own, where there is no store: what -v says is enough."""
    alone = ['unshare', '--net', sys.executable, __file__]
    if subprocess.run(['unshare', '--net', 'ip', 'link', 'set', 'lo', 'up'], capture_output=True).returncode:
        raise Skip('no network namespace can be made, or there is no ip')
    for env, source in (({'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI': '/container/credentials'},
                         "the container's endpoint http://169.254.170.2/container/credentials"),
                        ({'AWS_EC2_METADATA_DISABLED': None}, "the instance's role writer")):
        r = subprocess.run(alone, env=environment(**NONE, **env), capture_output=True, text=True, timeout=60)
        assert f'credentials of {source}, key ...1234 ' in r.stderr and 'onnect' in r.stderr, r


def in_a_network_of_its_own():
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    for address in ('169.254.170.2', '169.254.169.254'):
        subprocess.run(['ip', 'address', 'add', address + '/32', 'dev', 'lo'], check=True)
        Metadata([{'AccessKeyId': 'ASIAX1234', 'SecretAccessKey': 's', 'Token': 't'}], address=(address, 80)).__enter__()
    run_here = subprocess.run([PROGRAM, 'ls', '-v', f's3://{BUCKET}?endpoint=http://127.0.0.1:1&timeout=1'])
    sys.exit(run_here.returncode)


def check_credentials_by_web_identity(place):
    pairs, url = temporary_keys(place), place.url()
    Path('token').write_text('a.b/c+d==\n')
    with Metadata(pairs) as server:
        env = {**NONE, 'AWS_ROLE_ARN': ROLE, 'AWS_WEB_IDENTITY_TOKEN_FILE': 'token', 'AWS_ENDPOINT_URL_STS': server.endpoint}
        assert ingest_folded(url, 'web', '00:00:00', env=env).code == 0
        assert_used(url, env, f'{ROLE} by the web identity in token', pairs[0])
        assert 'set AWS_ROLE_ARN' in failed('ls', url, env={**env, 'AWS_ROLE_ARN': None}).err
        os.mkdir('.aws')
        Path('.aws/config').write_text(f'[profile pod]\nrole_arn = {ROLE}\nweb_identity_token_file = token\nservices = here\n'
                                       f'[services here]\nsts =\n  endpoint_url = {server.endpoint}/\n')
        assert_used(url + '&profile=pod', {}, f'{ROLE} by', pairs[0])
        Path('token').write_text('other')
        assert 'the answer is 400 InvalidIdentityToken: no such pod' in failed('ls', url, env=env).err
        assert 'has no token' in failed('ls', url, env={**env, 'AWS_WEB_IDENTITY_TOKEN_FILE': 'absent'}).err


def check_credentials_of_a_process(place):
    pair, url = temporary_keys(place)[0], place.url()
    said = {'Version': 1, 'AccessKeyId': pair['AccessKeyId'], 'SecretAccessKey': pair['SecretAccessKey'],
            'SessionToken': pair['Token'], 'Expiration': '2100-01-01T00:00:00+00:00'}
    Path('keys').write_text(json.dumps(said))
    Path('give').write_text('#!/bin/sh\necho asking >&2\ncat "$1"\nexit "$2"\n')
    os.chmod('give', stat.S_IRWXU)
    os.mkdir('.aws')
    Path('.aws/config').write_text('[profile tool]\ncredential_process = ./give keys 0\n[profile bad]\ncredential_process = ./give keys 3\n'
                                   '[profile odd]\ncredential_process = echo no\n[profile none]\ncredential_process = ./absent\n'
                                   '[profile login]\nsso_session = x\n[profile role]\nrole_arn = y\nsource_profile = tool\n')
    assert ingest_folded(url + '&profile=tool', 'web', '00:00:00', env=NONE).code == 0
    assert_used(url + '&profile=tool', {}, 'the credential_process of [tool]', pair)
    for name, word in (('bad', 'failed (exit 3)'), ('odd', 'no JSON'), ('none', 'failed (exit 127)'),
                       ('login', 'has sso_session, which'), ('role', 'has role_arn, which')):
        r = run('ls', f'{url}&profile={name}', env=NONE)
        assert r.code == 1 and word in r.err, r


def check_credentials_are_renewed(place):
    """A mount outlives its keys: others come before the old ones expire, once for all threads, also where asking fails."""
    need_fuse()
    pairs, url, begin = temporary_keys(place, 2), place.url(), time.monotonic()
    with Metadata(pairs, life=2) as server:
        env = {**NONE, 'AWS_CONTAINER_CREDENTIALS_FULL_URI': server.endpoint + '/container/credentials'}
        with Mount(url, env=env) as m:
            (m / 'web').mkdir()
            for i in range(40):
                (m / 'web' / f'{i}.folded').write_bytes(b'main;work %d\n' % (i + 1))
                time.sleep(0.1)
        # At three quarters of each life, not for every request; two more were the program's that mounts.
        assert 3 <= server.issued <= 4 + (time.monotonic() - begin) / 1.5, server.issued
    assert 'no damage' in ok('check', url).out
    assert len(ok('ls', url, 'web/all/profiles').out.splitlines()) == 40


def check_credentials_that_cannot_be_renewed(place):
    need_fuse()
    url = place.url()
    with Metadata(temporary_keys(place), life=2) as server:
        env = {**NONE, 'AWS_CONTAINER_CREDENTIALS_FULL_URI': server.endpoint + '/container/credentials'}
        with Mount(url, env=env) as m:
            (m / 'web').mkdir()
            (m / 'web' / 'a.folded').write_bytes(b'main 1\n')
            server.failures = [403] * 100
            time.sleep(2.2)
            try:
                (m / 'web' / 'b.folded').write_bytes(b'main 2\n')
                raise AssertionError('written without keys')
            except OSError as e:
                assert e.strerror == 'Permission denied', e
            said = (m / '.profilefs' / 'errors').read_text()
            assert 'have expired, and new ones did not come' in said and 'the answer is 403' in said, said
            server.failures = []
            time.sleep(4.2)
            (m / 'web' / 'b.folded').write_bytes(b'main 2\n')
    assert len(ok('ls', url, 'web/all/profiles').out.splitlines()) == 2


if __name__ == '__main__':
    in_a_network_of_its_own()
