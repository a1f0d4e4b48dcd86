# SPDX-License-Identifier: MIT
"""Tokens, TLS, tenants, and what tells how a receiver is."""

import os
import shutil
import socket
import ssl
import subprocess
import time

from harness import PROTO, PUSH, Receiver, eventually, need, pprof, push, run, services


def test_tokens():
    open('tokens', 'w').write('# of agents\nsecret-1\n\n  secret-2  \n')
    with Receiver('--token-file', 'tokens') as r:
        def status(token, path='/ingest?name=a', method='POST'):
            return r.ask(method, path, pprof() if method == 'POST' else None, {'Authorization': token} if token else {}).status
        assert status('Bearer secret-1') == status('bearer secret-2') == 200
        for bad in (None, 'Bearer', 'Bearer ', 'Bearer secret', 'Bearer secret-11', 'Basic secret-1', 'secret-1', 'Bearer # of'):
            assert status(bad) == 401, bad
        assert 'www-authenticate' in r.ask('POST', '/ingest?name=a', b'').headers
        assert status(None, '/metrics', 'GET') in (401, 405) and status('Bearer secret-1', '/metrics', 'GET') == 200
        assert status(None, '/ready', 'GET') == 200
        time.sleep(1.1)
        open('tokens', 'w').write('secret-3\n')
        assert status('Bearer secret-3') == 200 and status('Bearer secret-1') == 401
    run('receive', '--token-file', 'nowhere', 'db', code=1)
    open('none', 'w').write('# none\n')
    run('receive', '--token-file', 'none', 'db', code=1)


def make_certificate(name):
    done = subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'new.key', '-out', 'new.crt',
                           '-days', '2', '-subj', f'/CN={name}', '-addext', f'subjectAltName=DNS:{name},IP:127.0.0.1'],
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    os.rename('new.key', 'key.pem')
    os.rename('new.crt', 'cert.pem')


def served_certificate(port):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(['h2'])
    with socket.create_connection(('127.0.0.1', port), 10) as s, context.wrap_socket(s) as t:
        return ssl.DER_cert_to_PEM_cert(t.getpeercert(True)), t.selected_alpn_protocol()


def test_tls_and_its_renewal():
    need('openssl')
    make_certificate('one.example')
    with Receiver('--tls-cert', 'cert.pem', '--tls-key', 'key.pem') as r:
        grpc_port = int(r.grpc.split(':')[1])
        curl = ['curl', '-sS', '--cacert', 'cert.pem', '--data-binary', '@-', f'https://127.0.0.1:{r.port}/ingest?name=a']
        done = subprocess.run(curl, input=pprof(), capture_output=True)
        assert done.stdout == b'1 taken, 0 duplicate\n', done
        first = open('cert.pem').read()
        assert served_certificate(r.port)[0].split() == first.split()
        assert served_certificate(grpc_port) == (served_certificate(grpc_port)[0], 'h2')
        make_certificate('two.example')
        time.sleep(1.1)
        second = open('cert.pem').read()
        assert second != first
        for port in (r.port, grpc_port):
            assert served_certificate(port)[0].split() == second.split()
        open('cert.pem', 'w').write('no certificate')
        time.sleep(1.1)
        assert served_certificate(r.port)[0].split() == second.split()
        with socket.create_connection(('127.0.0.1', r.port), 10) as s: # in clear
            s.sendall(b'GET /ready HTTP/1.1\r\nHost: x\r\n\r\n')
            assert b'200' not in s.recv(100)
    run('receive', '--tls-cert', 'cert.pem', '--tls-key', 'key.pem', 'db', code=1)
    run('receive', '--tls-cert', 'cert.pem', 'db', code=2)


def test_tenants():
    with Receiver('--tenants', '--max-tenants', '2') as r:
        def status(tenant, n=1):
            headers = {**PROTO, **({'X-Scope-OrgID': tenant} if tenant is not None else {})}
            return r.ask('POST', PUSH, push({'service_name': f'of-{tenant}'}, pprof(n)), headers).status
        assert status('red') == status('blue') == status('red', 2) == 200
        for bad in (None, '', '.', '..', 'a/b', 'x' * 200, 'FORMAT', 'green'):
            assert status(bad) == 400, bad
    assert run('ls', '--tenant', 'red', 'db').split() == ['.profilefs', 'README.md', 'of-red']
    assert run('ls', '--tenant', 'blue', 'db').split() == ['.profilefs', 'README.md', 'of-blue']
    assert services() == []


def test_the_header_means_nothing_without_the_option():
    with Receiver() as r:
        r.post('/ingest?name=a', pprof(), {'X-Scope-OrgID': 'red'})
    assert services() == ['a']


def test_ready_and_metrics():
    with Receiver() as r:
        assert r.ask('GET', '/ready').text == 'ready\n'
        r.post('/ingest?name=a', pprof())
        r.post('/ingest?name=a', b'junk', status=400)
        m = r.metrics()
        assert m['profilefs_receive_requests_total{endpoint="ingest",outcome="ok"}'] == 1
        assert m['profilefs_receive_requests_total{endpoint="ingest",outcome="refused"}'] == 1
        assert m['profilefs_receive_seconds_count{endpoint="ingest"}'] == 2
        assert m['profilefs_receive_seconds_bucket{endpoint="ingest",le="+Inf"}'] == 2
        assert m['profilefs_store_requests_total{op="put"}'] >= 2
        eventually(lambda: r.metrics()['profilefs_receive_in_flight'] == 0)
        text = r.ask('GET', '/metrics').text
        if not shutil.which('promtool'):
            return 'promtool did not look: there is none'
        done = subprocess.run(['promtool', 'check', 'metrics'], input=text, capture_output=True, text=True)
        assert done.returncode == 0, done


def test_usage():
    for words in (['--http', 'nonsense'], ['--http', '127.0.0.1:x'], ['--mem', '1K'], ['--http', '203.0.113.1:1']):
        run('receive', *words, 'db', code=1)
    for words in (['--http', 'none', '--otlp-http', 'none', '--otlp-grpc', 'none'], ['--max-body', '-1'], ['--max-body', '1X'], ['--tenants', '--tenant', 'a']):
        run('receive', *words, 'db', code=2)
    with Receiver() as r:
        run('receive', '--http', r.http, '--otlp-http', 'none', '--otlp-grpc', 'none', 'db', code=1)  # taken
