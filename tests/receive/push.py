# SPDX-License-Identifier: MIT
"""What Pyroscope's SDKs and plain curl send, and what becomes of it."""

import base64
import gzip
import json
import re
import subprocess

from harness import (ACCEPT, BASE, DATA, PROGRAM, PROTO, PUSH, Receiver, cat, field, form, listed, pprof, profiles, push, run, services, sound, varint)

CPU = (BASE / 'caddy.cpu.1.pb.gz').read_bytes()
HEAP = (BASE / 'caddy.heap.1.pb.gz').read_bytes()


def captured(r, sdk, n):
    """Sends a captured request as it was captured."""
    folder = DATA / 'pyroscope-push' / sdk
    head = json.loads((folder / f'req{n}.json').read_text())
    headers = {k: v for k, v in head['headers'].items() if k.lower() not in ('host', 'content-length', 'connection')}
    return r.post(head['path'], (folder / f'req{n}.body').read_bytes(), headers)


def test_captured_requests_of_the_sdks():
    with Receiver() as r:
        for sdk, numbers in (('go', (0, 1, 5)), ('nodejs', (1, 2, 3, 4)), ('python', (0,))):
            for n in numbers:
                captured(r, sdk, n)
        for sdk, numbers in (('go', (0, 1, 5)), ('nodejs', (1, 2, 3, 4)), ('python', (0,))):
            for n in numbers:
                captured(r, sdk, n)
        m = r.metrics()
        assert m['profilefs_receive_profiles_accepted_total'] == 8, m
        assert m['profilefs_receive_profiles_duplicate_total'] == 8, m
    assert sorted(services()) == ['corpus.go', 'corpus.node', 'corpus.py']
    assert profiles('corpus.go') == 3 and profiles('corpus.node') == 4 and profiles('corpus.py') == 1
    types = set(listed('corpus.go/all'))
    assert {'cpu', 'goroutine', 'alloc_space', 'inuse_space', 'by-region', 'by-__session_id__'} <= types, types
    assert listed('corpus.go/all/cpu/by-region')[-1] == 'eu' or 'eu' in listed('corpus.go/all/cpu/by-region')
    assert 'cpu' in listed('corpus.py/all'), listed('corpus.py/all')
    sound()


def test_the_curl_line_of_the_documentation():
    with Receiver() as r:
        url = f'http://{r.http}/ingest?name=checkout{{region=eu}}'
        done = subprocess.run(['curl', '-sS', '-g', '--data-binary', f'@{BASE}/caddy.cpu.1.pb.gz', url], capture_output=True,
                              text=True)
        assert done.stdout == '1 taken, 0 duplicate\n', done
        done = subprocess.run(['curl', '-sS', '--data-binary', f'@{BASE}/caddy.cpu.1.pb.gz', url.replace('{', '%7B')
                               .replace('}', '%7D')], capture_output=True, text=True)
        assert done.stdout == '0 taken, 1 duplicate\n', done
        # without -g curl takes the braces away, and what is left names no service for certain
        done = subprocess.run(['curl', '-sS', '--data-binary', f'@{BASE}/caddy.cpu.1.pb.gz', url], capture_output=True, text=True)
        assert 'curl -g' in done.stdout, done
    assert services() == ['checkout'] and listed('checkout/all/cpu/by-region') .count('eu') == 1


def test_a_push_is_idempotent_and_survives():
    body = push({'service_name': 'web', '__name__': 'process_cpu', 'pod': 'a'}, pprof(5), pprof(6), ids=('i1', 'i2'))
    with Receiver() as r:
        assert r.post(PUSH, body, PROTO).body == b''
        assert r.post(PUSH, gzip.compress(body), {**PROTO, 'Content-Encoding': 'gzip'}).body == b''
        assert profiles('web') == 2
    with Receiver() as r:
        r.post(PUSH, body, PROTO)
        assert r.metrics()['profilefs_receive_profiles_duplicate_total'] == 2
    assert profiles('web') == 2
    sound()


def originals(service):
    """The files of profiles/, as they are given back."""
    for day in listed(service):
        for name in listed(f'{service}/{day}/profiles') if day.startswith('20') else ():
            yield gzip.decompress(subprocess.run([PROGRAM, 'cat', 'db', f'{service}/{day}/profiles/{name}'], check=True,
                                                 capture_output=True).stdout)


def test_the_senders_id_is_kept():
    labels = {'service_name': 'web', '__name__': 'process_cpu'}
    with Receiver() as r:
        r.post(PUSH, push(labels, pprof(5), pprof(6), pprof(7), ids=('0b5ee2b0-first', '', 'x' * 256)), PROTO)
        r.post(PUSH, push(labels, pprof(5), ids=('0b5ee2b0-retry',)), PROTO)
        assert r.metrics()['profilefs_receive_profiles_duplicate_total'] == 1
        answer = r.post(PUSH, push(labels, pprof(8), ids=('x' * 257,)), PROTO, status=413)
        assert 'longer than 256 bytes' in answer.text
    kept = sorted(re.findall(rb'push ID: ([-x0-9a-z]*)', b''.join(originals('web'))))
    assert kept == [b'0b5ee2b0-first', b'x' * 256], kept
    sound()


def test_push_of_json():
    request = {'series': [{'labels': [{'name': 'service_name', 'value': 'web'}, {'name': 'region', 'value': 'eu'}],
                           'samples': [{'rawProfile': base64.b64encode(gzip.compress(pprof(9))).decode(), 'ID': 'x'}]}]}
    with Receiver() as r:
        answer = r.post(PUSH, json.dumps(request), {'Content-Type': 'application/json'})
        assert json.loads(answer.text) == {} and answer.headers['content-type'] == 'application/json'
        for bad in ('{', '[]', '{"series":[{"samples":[{"rawProfile":"***"}]}]}'):
            answer = r.post(PUSH, bad, {'Content-Type': 'application/json'}, status=400)
            assert json.loads(answer.text)['code'] == 'invalid_argument', answer
    assert '9ns' in cat('web/all/cpu/region=eu/top.txt')


def test_errors_of_push_are_connects():
    with Receiver() as r:
        for body in (b'\xff', push({'service_name': 'web'}, b'junk'), push({}, pprof())):
            answer = r.post(PUSH, body, PROTO, status=400)
            assert answer.headers['content-type'] == 'application/json'
            assert json.loads(answer.text)['code'] == 'invalid_argument' and json.loads(answer.text)['message'], answer
        assert 'no service' in r.post(PUSH, push({}, pprof()), PROTO, status=400).text
        assert r.ask('GET', PUSH).status == 405
    assert services() == []


def test_times_of_any_magnitude():
    with Receiver() as r:
        for i, t in enumerate(('1795348076', '1795348076000', '1795348076000000', '1795348076000000000')):
            r.post(f'/ingest?name=t{i}&from={t}&until={t}', b'a;b 1\n')
    for i in range(4):
        assert [n for n in listed(f't{i}') if n[:2] == '20'] == ['2026-11-22'], listed(f't{i}')


def test_text_formats():
    def node(name, value, *children):
        return varint(len(name)) + name + varint(value) + varint(len(children)) + b''.join(children)

    tree = node(b'', 0, node(b'main', 1, node(b'a', 2), node(b'b', 3)), node(b'idle', 4))
    trie = node(b'', 0, node(b'main', 1, node(b';a', 2), node(b';b', 3)), node(b'idle', 4))
    want = 'idle 4\nmain 1\nmain;a 2\nmain;b 3\n'
    with Receiver() as r:
        r.post('/ingest?name=folded&format=folded', want.encode())
        r.post('/ingest?name=default', want.encode())
        r.post('/ingest?name=lines&format=lines', b'idle\nidle\nidle\nidle\nmain\nmain;a\nmain;a\nmain;b\r\nmain;b\nmain;b')
        r.post('/ingest?name=tree&format=tree', tree)
        r.post('/ingest?name=trie&format=trie', trie)
        r.post('/ingest?name=typed', trie, {'Content-Type': 'binary/octet-stream+trie'})
        for kind in ('tree', 'trie'):
            for bad in (trie[:-1], trie + b'x', b'\xff' * 12, b'\0\0\xff\xff\x03'):
                r.post(f'/ingest?name=bad&format={kind}', bad, status=400)
        r.post('/ingest?name=nothing', b'')
    for service in ('folded', 'default', 'lines', 'tree', 'trie', 'typed'):
        assert sorted(cat(f'{service}/all/samples/folded.txt').splitlines()) == want.splitlines(), service
    assert 'nothing' not in services() and 'bad' not in services()


def test_recordings_and_other_formats():
    jfr = (ACCEPT / 'native-wc.jfr').read_bytes()
    def entry(number, key, value):
        return field(number, field(1, key) + field(2, value))
    labels = entry(1, 7, entry(1, 1, 2)) + entry(2, 1, 'route') + entry(2, 2, '/cart')
    speedscope = json.dumps({
        '$schema': 'https://www.speedscope.app/file-format-schema.json', 'shared': {'frames': [{'name': 'a'}, {'name': 'b'}]},
        'profiles': [{'type': 'sampled', 'name': 'p', 'unit': 'none', 'startValue': 0, 'endValue': 5, 'samples': [[0, 1], [0]],
                      'weights': [3, 2]}]}).encode()
    with Receiver() as r:
        body, headers = form(jfr=jfr, labels=labels)
        r.post('/ingest?name=java&format=jfr&spyName=javaspy&from=1795348076&until=1795348086', body, headers)
        body, headers = form(jfr=gzip.compress(jfr), labels=b'\x0a\xff')
        assert 'LabelsSnapshot' in r.post('/ingest?name=java&format=jfr', body, headers, status=400).text
        r.post('/ingest?name=ss&format=speedscope&from=1795348076', speedscope)
        assert r.metrics()['profilefs_receive_profiles_accepted_total'] >= 2
    assert services() == ['java', 'ss'] and 'profiles' in listed('ss/all')


def test_samples_at_a_rate_are_time_too():
    with Receiver() as r:
        r.post('/ingest?name=app.cpu%7Bk%3Dv%7D&sampleRate=50&spyName=rbspy&units=samples&from=1795348076&until=1795348086',
               b'a;b 3\na 1\n')
        r.post('/ingest?name=app.alloc_space&units=bytes&from=1795348076&until=1795348086', b'a;b 3\n')
    names = listed('app/all')
    assert {'cpu', 'samples', 'alloc_space', 'by-k'} <= set(names), names
    assert '80ms' in cat('app/all/cpu/top.txt') and '4' in cat('app/all/samples/top.txt')
    assert 'Duration: 10s' in cat('app/all/cpu/top.txt')


def test_cumulative_profiles_with_their_predecessors():
    def heap(value, seconds):
        return pprof(value, 1795348076 * 10**9 + seconds * 10**9, type='alloc_space', unit='bytes', duration=0)

    config = json.dumps({'alloc_space': {'units': 'bytes', 'cumulative': True}}).encode()
    with Receiver() as r:
        for i in range(3):
            parts = {'profile': heap(100 + 10 * i, 10 * i), 'sample_type_config': config}
            if i:
                parts['prev_profile'] = heap(90 + 10 * i, 10 * i - 10)
            body, headers = form(**parts)
            r.post(f'/ingest?name=app&spyName=gospy&from={1795348066 + 10 * i}&until={1795348076 + 10 * i}', body, headers)
        assert profiles('app') == 3
        # increases are added up
        for i in range(2):
            body, headers = form(profile=heap(100, 10 * i), sample_type_config=b'{"alloc_space":{"units":"bytes"}}')
            r.post('/ingest?name=delta&spyName=gospy', body, headers)
        body, headers = form(profile=heap(1, 0), sample_type_config=b'{')
        assert 'sample_type_config' in r.post('/ingest?name=app', body, headers, status=400).text
        r.post('/ingest?name=app', body[:200], headers, status=400)
    assert '120B' in cat('app/all/alloc_space/top.txt'), cat('app/all/alloc_space/top.txt')
    assert '200B' in cat('delta/all/alloc_space/top.txt'), cat('delta/all/alloc_space/top.txt')


def test_delta_label_of_push():
    def heap(value, seconds):
        return pprof(value, 1795348076 * 10**9 + seconds * 10**9, type='alloc_space', unit='bytes', duration=0)

    with Receiver() as r:
        for service, delta in (('inc', 'false'), ('run', 'true'), ('unsaid', None)):
            labels = {'service_name': service, '__name__': 'memory', **({'__delta__': delta} if delta else {})}
            r.post(PUSH, push(labels, heap(100, 0), heap(130, 10)), PROTO)
        r.post(PUSH, push({'service_name': 'm', '__name__': 'mutex'}, pprof(type='delay')), PROTO)
    assert '230B' in cat('inc/all/alloc_space/top.txt')
    assert '130B' in cat('run/all/alloc_space/top.txt') and '130B' in cat('unsaid/all/alloc_space/top.txt')
    assert 'mutex.delay' in listed('m/all')
    assert 'by-__delta__' not in listed('inc/all') and 'by-__name__' in listed('inc/all')


def test_files_under_their_paths():
    with Receiver() as r:
        a = r.ask('PUT', '/cart/region=eu/pod=a%2Fb/cpu.pb.gz', CPU)
        assert (a.status, a.text) == (200, '1 taken, 0 duplicate\n'), a
        r.post('/cart/region=us/heap.pb.gz', HEAP)
        r.post('/cart/@type=wall/@unit=milliseconds/stacks.txt', b'a;b 12\n')
        assert r.ask('PUT', '/cart/x.mutex.pb', pprof(type='delay')).status == 200
        for path, why in (('/cart/today/cpu.pb.gz', 'LABEL=VALUE'), ('/cart/region=~eu/cpu.pb.gz', 'LABEL=VALUE'),
                          ('/cpu.pb.gz', '/SERVICE/'), ('/@all/cpu.pb.gz', 'one service'), ('/cart/', '/SERVICE/'),
                          ('/cart/region=eu', 'name it'), ('/cart/@nonsense=1/x.pb', 'nonsense'), ('/.hidden/x.pb', 'one service')):
            answer = r.ask('PUT', path, CPU)
            assert answer.status == 404 and why in answer.text, (path, answer)
        assert r.ask('DELETE', '/cart/x.pb', b'').status == 405
    assert services() == ['cart'] and {'cpu', 'inuse_space', 'wall', 'mutex.delay'} <= set(listed('cart/all'))
    assert 'a%2Fb' in listed('cart/all/cpu/by-pod')
    assert '12ms' in cat('cart/all/wall/top.txt')


def test_what_has_no_time_counts_once_when_repeated():
    body = pprof(time_ns=0)
    with Receiver() as r:
        assert r.post('/ingest?name=a', body).text == '1 taken, 0 duplicate\n'
        assert r.post('/ingest?name=a', body).text == '0 taken, 1 duplicate\n'
        assert r.post('/ingest?name=a&from=1795348076', body).text == '1 taken, 0 duplicate\n'
        assert r.post('/ingest?name=a&from=1795348076', body).text == '0 taken, 1 duplicate\n'
        assert r.ask('PUT', '/a/x.pb', body).text == '1 taken, 0 duplicate\n'


def test_several_profiles_in_one_body():
    with Receiver() as r:
        two = gzip.compress(pprof(1)) + gzip.compress(pprof(2))
        assert r.post('/ingest?name=a', two).text == '2 taken, 0 duplicate\n'
        bad = gzip.compress(pprof(3)) + gzip.compress(b'\x0a\xff')
        r.post('/ingest?name=b', bad, status=400)
        many = push({'service_name': 'c'}, *[pprof(i, 1795348076 * 10**9 + i * 86400 * 10**9) for i in range(80)])
        r.post(PUSH, many, PROTO)
    assert profiles('a') == 2 and 'b' not in services() and profiles('c') == 80


def test_relabelling():
    rules = [{'source_labels': ['pod'], 'regex': '(web)-.*', 'target_label': 'service_name'},
             {'action': 'labeldrop', 'regex': '__.*'}, {'source_labels': ['env'], 'regex': 'dev', 'action': 'drop'}]
    open('rules.json', 'w').write(json.dumps(rules))
    with Receiver('--relabel', 'rules.json') as r:
        for _ in range(2):
            r.post(PUSH, push({'service_name': 'x', 'pod': 'web-1', '__name__': 'process_cpu'}, pprof(1)), PROTO)
            r.post(PUSH, push({'service_name': 'x', 'env': 'dev'}, pprof(2)), PROTO)
        m = r.metrics()
        assert m['profilefs_receive_profiles_dropped_total'] == 2 and m['profilefs_receive_profiles_duplicate_total'] == 1, m
    assert services() == ['web'] and 'by-__name__' not in listed('web/all') and 'by-pod' in listed('web/all')
    open('cpu.pb', 'wb').write(pprof(1))
    run('ingest', '-s', 'x', '-l', 'pod=web-9', '--relabel', 'rules.json', 'db', 'cpu.pb')
    assert services() == ['web'] and profiles('web') == 2
    open('bad.json', 'w').write('[{"action":"explode"}]')
    # the store's own, for every writer
    run('relabel', 'kept', 'rules.json')
    assert json.loads(run('relabel', 'kept')) == rules
    run('ingest', '-s', 'x', '-l', 'pod=web-9', 'kept', 'cpu.pb')
    with Receiver(store='kept') as r:
        r.post(PUSH, push({'service_name': 'y', 'pod': 'web-2'}, pprof(3)), PROTO)
        r.post(PUSH, push({'service_name': 'y', 'env': 'dev'}, pprof(4)), PROTO)
    assert services('kept') == ['web'] and profiles('web', 'kept') == 2
    run('relabel', 'kept', 'bad.json', code=1)
    open('none.json', 'w').write('[]')
    run('relabel', 'kept', 'none.json')
    assert run('relabel', 'kept') == '[]\n'
    run('ingest', '-s', 'z', 'kept', 'cpu.pb')
    assert services('kept') == ['web', 'z']
    sound('kept')
    run('ingest', '-s', 'x', '--relabel', 'bad.json', 'db', 'cpu.pb', code=1)
    run('receive', '--relabel', 'bad.json', 'db', code=1)
