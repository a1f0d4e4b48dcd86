# SPDX-License-Identifier: MIT
"""OTLP over HTTP and gRPC; by python's grpcio where it is there."""

import gzip
import json
import threading

from harness import ACCEPT, Receiver, Skip, cat, field, listed, profiles, services, sound

PATH = '/v1development/profiles'
METHOD = '/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export'
CPU = gzip.decompress((ACCEPT / 'cpu-labels.otlp.pb.gz').read_bytes())
EBPF = (ACCEPT / 'ebpf-unsymbolized-timestamps.otlp.pb.gz').read_bytes()
EBPF_JSON = (ACCEPT / 'ebpf-unsymbolized-timestamps.otlp.json').read_bytes()
EMPTY_JSON = (ACCEPT / 'empty.otlp.json').read_bytes()
PB, JSON = {'Content-Type': 'application/x-protobuf'}, {'Content-Type': 'application/json'}


def test_over_http():
    with Receiver() as r:
        a = r.post(PATH, CPU, PB)
        assert a.body == b'' and a.headers['content-type'] == 'application/x-protobuf'
        r.post(PATH, gzip.compress(CPU), {**PB, 'Content-Encoding': 'gzip'})
        r.post(PATH, EBPF, {**PB, 'Content-Encoding': 'gzip'})
        assert json.loads(r.post(PATH, EBPF_JSON, JSON).text) == {}
        assert json.loads(r.post(PATH, EMPTY_JSON, JSON).text) == {}
        m = r.metrics()
        assert m['profilefs_receive_profiles_accepted_total'] >= 2, m
        assert m['profilefs_receive_profiles_duplicate_total'] >= 1, m
    assert services() == ['gowork'] and 'by-host.name' in listed('gowork/all')
    assert '159' in cat('gowork/all/samples/info.json') or 'cpu' in listed('gowork/all')
    sound()


def test_the_port_of_its_own():
    with Receiver() as r:
        host, _, port = r.otlp_http.rpartition(':')
        r.host, r.port = host, int(port)
        r.post(PATH, CPU, PB)
        assert r.ask('GET', '/ready').status == 200
    assert services() == ['gowork']


def test_errors_over_http():
    with Receiver() as r:
        for bad in (b'\xff\xff', CPU[:-7], b'\x0a\x05hello'):
            a = r.ask('POST', PATH, bad, PB)
            assert a.status == 400 and a.headers['content-type'] == 'application/x-protobuf' and a.body[:2] == b'\x08\x03', a
        a = r.post(PATH, b'{"resourceProfiles":', JSON, status=400)
        assert json.loads(a.text)['code'] == 3 and json.loads(a.text)['message'], a
    assert services() == []


def one_profile(stack, value=1, time=1795348076 * 10**9):
    """A request of one profile of the 1.10 layout, whose sample has that stack; and a second profile that is sound."""
    sample = field(1, stack) + field(4, b'\x01')
    good = field(1, 1) + field(4, b'\x01')
    def profile(s, n):
        return field(1, field(1, 1) + field(2, 2)) + field(2, s) + b'\x19' + (time + n).to_bytes(8, 'little') + field(4, 1000)
    scope = field(2, profile(sample, 0)) + field(2, profile(good, 1))
    resource = field(1, field(1, field(1, 'service.name') + field(2, field(1, 'part'))))
    strings = ['', 'samples', 'count', 'work']
    dictionary = field(1, b'') + field(2, b'') + field(2, field(3, field(1, 1))) + field(3, b'') + field(3, field(1, 3))
    dictionary += field(4, b'') + b''.join(field(5, s) for s in strings) + field(6, b'') + field(7, b'') + field(7, field(1, b'\x01'))
    return field(1, resource + field(2, scope)) + field(2, dictionary)


def test_partial_success():
    with Receiver() as r:
        assert r.post(PATH, one_profile(1), PB).body == b''
        a = r.post(PATH, one_profile(77), PB)
        assert a.body[:1] == b'\x0a' and b'\x08\x01\x12' in a.body, a.body
        assert r.metrics()['profilefs_receive_profiles_duplicate_total'] == 1
    assert profiles('part') == 2


def client(r, **options):
    try:
        import grpc
    except ImportError:
        raise Skip("there is no grpc for this python (Debian's python3-grpcio)") from None
    channel = grpc.insecure_channel(r.grpc, options=list(options.items()))
    call = channel.unary_unary(METHOD, request_serializer=lambda b: b, response_deserializer=lambda b: b)
    return grpc, channel, call


def test_over_grpc():
    with Receiver() as r:
        grpc, channel, call = client(r)
        assert call(CPU) == b''
        assert call(CPU, compression=grpc.Compression.Gzip) == b''
        assert call(gzip.decompress(EBPF)) == b'' and call(b'') == b''
        assert b'\x08\x01\x12' in call(one_profile(77))
        futures = [call.future(one_profile(1, time=10**18 + i * 10**9)) for i in range(200)]
        assert all(f.result() == b'' for f in futures)
        m = r.metrics()
        assert m['profilefs_receive_requests_total{endpoint="otlp_grpc",outcome="ok"}'] == 205, m
        channel.close()
    assert services() == ['gowork', 'part'] and profiles('part') == 401
    sound()


def test_grpc_codes():
    with Receiver('--max-body', '64K', '--max-in-flight', '1') as r:
        grpc, channel, call = client(r)
        other = channel.unary_unary('/a.B/C', request_serializer=lambda b: b, response_deserializer=lambda b: b)

        def failure(call, body, **kw):
            try:
                call(body, **kw)
            except grpc.RpcError as e:
                return e
            raise AssertionError('no error')
        assert failure(other, b'').code() == grpc.StatusCode.UNIMPLEMENTED
        e = failure(call, b'\xff\xff')
        assert e.code() == grpc.StatusCode.INVALID_ARGUMENT and e.details()
        e = failure(call, b'\0' * (100 << 10))
        assert e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and 'body' in e.details()
        assert b'RetryInfo' not in dict(e.trailing_metadata())['grpc-status-details-bin']
        codes = []
        def send(i):
            try:
                call(one_profile(1, time=10**18 + i * 10**9))
            except grpc.RpcError as e:
                codes.append(e)
        threads = [threading.Thread(target=send, args=(i,)) for i in range(40)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for e in codes:
            assert e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, e
            assert b'RetryInfo' in dict(e.trailing_metadata())['grpc-status-details-bin']
        channel.close()
    return f'{len(codes)} of 40 at once were told to come back'


def test_grpc_tokens_and_tenants():
    open('tokens', 'w').write('secret\n')
    with Receiver('--token-file', 'tokens', '--tenants') as r:
        grpc, channel, call = client(r)
        for metadata, code in (((), grpc.StatusCode.UNAUTHENTICATED), ((('authorization', 'Bearer no'),), grpc.StatusCode.UNAUTHENTICATED),
                               ((('authorization', 'Bearer secret'),), grpc.StatusCode.INVALID_ARGUMENT)):
            try:
                call(CPU, metadata=metadata)
                raise AssertionError('no error')
            except grpc.RpcError as e:
                assert e.code() == code, e
        call(CPU, metadata=(('authorization', 'Bearer secret'), ('x-scope-orgid', 'red')))
        channel.close()
    assert services() == []
