# SPDX-License-Identifier: MIT
"""S3 over TLS and through a proxy: whom the program trusts, what it signs, whom it asks."""

import os
import re
from pathlib import Path

import servers
from program import BUCKET, Place, Skip, assert_renderings, failed, ingest_folded, make_store, ok, run


def store_at(endpoint):
    return f's3://{BUCKET}/tls?endpoint={endpoint}&timeout=2'


def check_certificates(place):
    url = place.url()
    assert ingest_folded(url, 'web', '00:00:00').code == 0
    said = ok('ls', '-v', url).err
    assert 'certificates verified against /' in said, said
    stranger = failed('ls', url, env={'AWS_CA_BUNDLE': None}).err
    assert 'unable to get local issuer' in stranger and 'AWS_CA_BUNDLE' in stranger, stranger
    os.mkdir('.aws')
    Path('.aws/config').write_text(f'[default]\nca_bundle = {place.server.certificates.authority}\n')
    assert 'web' in ok('ls', url, env={'AWS_CA_BUNDLE': None}).out
    name = failed('ls', url.replace('127.0.0.1', 'localhost')).err
    assert "target host name 'localhost'" in name, name
    assert 'cannot read the certificates in /nowhere' in failed('ls', url, env={'AWS_CA_BUNDLE': '/nowhere'}).err
    assert 'trusted network' in failed('ls', url + '&signature=v2').err


def check_bad_certificates(place):
    """By a server of openssl's, since the gateway has one certificate."""
    pairs = place.server.certificates
    for name, word, more in (('late', 'certificate has expired', ()), ('stranger', 'self-signed certificate', ()),
                             ('good', 'protocol version', ('-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0'))):
        with servers.TlsServer(Path(name), pairs.pair(name), *more) as server:
            said = failed('ls', store_at(server.endpoint)).err
            assert word in said, (name, said)
    said = failed('ls', store_at(place.server.endpoint.replace('http:', 'https:'))).err
    assert 'wrong version number' in said, said


def check_bodies_are_signed_without_tls_only(place):
    for pair, signed in ((None, r'[0-9a-f]{64}'), (place.server.certificates.pair('good'), 'UNSIGNED-PAYLOAD')):
        relay = servers.Relay(place.server.endpoint, pair)
        assert ingest_folded(place.url('payload', relay.endpoint), 'web', '00:00:00').code == 0
        relay.close()
        assert relay.payloads and all(re.fullmatch(signed, p) for p in relay.payloads), (signed, relay.payloads)


def check_proxy(place):
    if not servers.Proxy.program:
        raise Skip('there is no tinyproxy; tests/setup s3 installs it')
    url, plain = place.url(), Place(place.server).url('proxied')
    host = place.endpoint.split('//')[1]
    with servers.Proxy('proxy') as proxy:
        through = {'HTTPS_PROXY': proxy.endpoint, 'HTTP_PROXY': proxy.endpoint}
        make_store(url, env=through)
        assert_renderings(url, env=through)
        asked = proxy.asked()
        assert asked and set(asked) == {f'CONNECT {host}'}, asked
        for env, words in ((through, 'GET http://'), ({'http_proxy': proxy.endpoint}, 'GET http://'),
                           ({'ALL_PROXY': proxy.endpoint}, 'GET http://'), ({'HTTPS_PROXY': proxy.endpoint}, None),
                           ({**through, 'NO_PROXY': '127.0.0.1'}, None), ({**through, 'no_proxy': '*'}, None)):
            assert ingest_folded(plain, 'web', '00:00:00', env=env).code == 0
            asked = proxy.asked()
            assert bool(asked) == bool(words) and all(a.startswith((words or '', 'PUT http')) for a in asked), (env, asked)
        proxied_by_libs3(plain + '&signature=v2', proxy)
    said = failed('ls', url + '&timeout=2', env=through).err
    assert f'port {proxy.port}' in said and 'onnect' in said, said
    with servers.Proxy('other', connect_port=1) as proxy:
        said = failed('ls', url + '&timeout=2', env={'HTTPS_PROXY': proxy.endpoint}).err
        assert 'CONNECT tunnel failed, response 403' in said, said


def proxied_by_libs3(url, proxy):
    r = run('ls', url, env={'http_proxy': proxy.endpoint})
    if 'needs libs3' not in r.err:
        asked = proxy.asked()
        assert r.code == 0 and 'web' in r.out and asked and all('http://' in a for a in asked), (r, asked)
