# SPDX-License-Identifier: MIT
"""Metrics by rule: scraped here, and sent to a Prometheus."""

import contextlib
import datetime
import json
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import PROGRAM, Receiver, cat, eventually, need, pprof, run
from trust import make_certificate


def set_rules(*rules):
    with open('rules.json', 'w') as f:
        json.dump(rules, f)
    run('rules', 'db', 'rules.json')


RULES = ({'name': 'web_cpu', 'select': 'web/cpu', 'by': ['region', 'pod']}, {'name': 'no_cpu', 'select': 'nobody/cpu'},
         {'name': 'web_work', 'select': 'web/cpu', 'function': 'work', 'self': True})


def minute(back):
    return (int(time.time()) // 60 - back) * 60


def send(r, service, value, at, **labels):
    named = ''.join(f'{k}={v}/' for k, v in labels.items())
    r.post(f'/{service}/{named}cpu.pb.gz', pprof(value, at * 10**9))


def test_scraped():
    with Receiver() as r:
        empty = r.ask('GET', '/rules.prom')
        assert empty.status == 200 and empty.body == b''
        for n, (region, pod) in enumerate((('eu', 'a'), ('eu', 'b'), ('us', 'a'))):
            send(r, 'web', (n + 1) * 10**9, minute(2) + 20, region=region, pod=pod)
        set_rules(*RULES)
        time.sleep(1.1)
        answer = r.ask('GET', '/rules.prom')
        assert answer.status == 200 and answer.headers['content-type'].startswith('text/plain; version=0.0.4'), answer
        assert 'web_cpu_sum_per_step_seconds{service="web",type="cpu",region="eu",pod="b"} 2\n' in answer.text, answer
        assert 'web_work_sum_per_step_seconds{service="web",type="cpu",function="work"} 6\n' in answer.text, answer
        assert answer.text == run('cat', 'db', '.profilefs/rules.prom')
        assert r.ask('HEAD', '/rules.prom').status == 200
        refused = r.ask('POST', '/rules.prom', b'')
        assert refused.status == 405 and refused.headers['allow'] == 'GET, HEAD', refused
        assert r.metrics()['profilefs_receive_requests_total{endpoint="rules",outcome="ok"}'] == 3
        need('promtool')
        check = subprocess.run(['promtool', 'check', 'metrics'], input=answer.text, capture_output=True, text=True)
        assert check.returncode == 0 and not check.stderr, check


def test_scraped_again_reads_nothing():
    with Receiver('--no-compact') as r:
        send(r, 'web', 10**9, minute(2) + 20)
        set_rules({'name': 'web_work', 'select': 'web/cpu', 'function': 'work'})
        time.sleep(1.1)

        def gets():
            before, now = r.metrics()['profilefs_store_requests_total{op="get"}'], minute(0)
            text = r.ask('GET', '/rules.prom').text
            return text, r.metrics()['profilefs_store_requests_total{op="get"}'] - before, now
        first, _, since = gets()
        again, n, now = gets()
        if now == since:  # no step has ended meanwhile
            assert again == first and n == 0, (n, first)
        send(r, 'other', 10**9, minute(2) + 20)
        assert gets()[0] == first or minute(0) > since
        send(r, 'web', 10**9 // 2, minute(2) + 40)
        assert '} 1.5\n' in gets()[0]


def test_each_tenant_has_its_own():
    open('tokens', 'w').write('secret\n')
    with Receiver('--tenants', '--token-file', 'tokens') as r:
        def get(tenant, token='Bearer secret'):
            return r.ask('GET', '/rules.prom', None, {'Authorization': token, **({'X-Scope-OrgID': tenant} if tenant else {})})
        with open('rules.json', 'w') as f:
            json.dump([{'name': 'web_cpu', 'select': 'web/cpu'}], f)
        for tenant in ('a', 'b'):
            r.post('/web/cpu.pb.gz', pprof(10**9, (minute(2) + 20) * 10**9),
                   {'Authorization': 'Bearer secret', 'X-Scope-OrgID': tenant})
        run('rules', '--tenant', 'a', 'db', 'rules.json')
        time.sleep(1.1)
        assert 'web_cpu_sum_per_step_seconds{service="web",type="cpu"} 1\n' in get('a').text
        assert get('b').body == b'' and get('').status == 400 and get('a', 'Bearer no').status == 401


# ---- remote write: a server that answers as a script says ----

def unsnap(block):
    """A block of Snappy's, by the description of its format."""
    at = shift = size = 0
    while True:
        size |= (block[at] & 0x7f) << shift
        shift, at = shift + 7, at + 1
        if block[at - 1] < 0x80:
            break
    out = bytearray()
    while at < len(block):
        tag = block[at]
        at += 1
        if tag & 3 == 0:
            n = (tag >> 2) + 1
            if n > 60:
                extra = n - 60
                n = int.from_bytes(block[at:at + extra], 'little') + 1
                at += extra
            out += block[at:at + n]
            at += n
            continue
        width = (None, 1, 2, 4)[tag & 3]
        back = int.from_bytes(block[at:at + width], 'little')
        n = (tag >> 2) + 1
        if width == 1:
            back |= tag >> 5 << 8
            n = (tag >> 2 & 7) + 4
        at += width
        assert 0 < back <= len(out)
        for _ in range(n):
            out.append(out[-back])
    assert len(out) == size
    return bytes(out)


def fields(message):
    """Number and value of each field of a protobuf."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value
    while at < len(message):
        tag = number()
        if tag & 7 == 0:
            yield tag >> 3, number()
        elif tag & 7 == 1:
            at += 8
            yield tag >> 3, struct.unpack('<d', message[at - 8:at])[0]
        else:
            assert tag & 7 == 2
            n = number()
            at += n
            yield tag >> 3, message[at - n:at]


def samples_of(body):
    """[(labels, ms, value)] of a request, whose labels must be as the specification wants them."""
    out = []
    for _, series in fields(unsnap(body)):
        labels, samples = [], []
        for number, value in fields(series):
            f = dict(fields(value))
            if number == 1:
                labels.append((f[1].decode(), f[2].decode()))
            else:
                samples.append((f.get(2, 0), f.get(1, 0.0)))
        names = [k for k, _ in labels]
        assert names == sorted(set(names)) and '__name__' in names and all(v for _, v in labels), labels
        assert samples == sorted(samples)
        out += [(tuple(labels), t, v) for t, v in samples]
    return out


class Server:
    """Takes remote writes at `url`. answers: (status, headers, text) for the next requests, or a function of one's samples."""

    def __init__(self, answers=(), tls=None):
        self.answers, self.requests, self.taken = answers if callable(answers) else list(answers), [], {}
        self.accepted, self.changes, server = 0, False, self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                samples = samples_of(body)
                server.requests.append((self.path, dict(self.headers), samples))
                status, headers, text = server.answer(samples)
                self.send_response(status)
                for k, v in {**headers, 'Content-Length': str(len(text))}.items():
                    self.send_header(k, v)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *words):
                pass
        self.http = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        if tls:
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)
        self.url = f'http{"s" if tls else ""}://127.0.0.1:{self.http.server_port}/api/v1/write'
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, samples):
        if callable(self.answers):
            status, headers, text = self.answers(samples)
        else:
            status, headers, text = self.answers.pop(0) if self.answers else (204, {}, '')
        if status // 100 == 2:
            self.accepted += len(samples)
            for labels, t, v in samples:
                assert self.changes or self.taken.get((labels, t), v) == v
                self.taken[labels, t] = v
        return status, headers, text

    def sums(self):
        """By name of the metric."""
        out = {}
        for (labels, _), v in self.taken.items():
            name = dict(labels)['__name__']
            out[name] = out.get(name, 0) + v
        return out

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.http.shutdown()
        self.http.server_close()


def send_values(url, *options, code=0):
    done = subprocess.run([PROGRAM, 'rules', 'db', '--remote-write', url, *options], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, f'exit {done.returncode}\n{done.stdout}\n{done.stderr[-2000:]}'
    return done.stdout + done.stderr


def history(r, minutes=range(5, 125, 5), service='web'):
    """Profiles of a second each, at 20 s past these many minutes ago, in two regions."""
    for n in minutes:
        for region in ('eu', 'us'):
            send(r, service, 10**9, minute(n) + 20, region=region)


def test_what_is_sent():
    with Receiver() as r, Server() as server:
        history(r)
        set_rules({'name': 'web_cpu', 'select': 'web/cpu', 'by': 'region'}, {'name': 'all_cpu', 'select': '@all/cpu'})
        said = send_values(server.url, '--since', '3h')
        assert said == '144 samples sent, 0 refused, in 6 requests, 0 of them again\n' or ' 0 refused' in said, said
        sums = server.sums()
        assert set(sums) == {f'{n}_cpu_{k}' for n in ('web', 'all') for k in ('sum_per_step_seconds', 'rate_seconds_per_second')}
        assert abs(sums['web_cpu_sum_per_step_seconds'] - 48) < 1e-9 and abs(sums['all_cpu_sum_per_step_seconds'] - 48) < 1e-9
        path, headers, samples = server.requests[0]
        assert path == '/api/v1/write' and headers['Content-Encoding'] == 'snappy' and headers['User-Agent'].startswith('profilefs')
        assert headers['Content-Type'] == 'application/x-protobuf' and headers['X-Prometheus-Remote-Write-Version'] == '0.1.0'
        assert all(t % 60000 == 0 for _, t, _ in samples)
        assert {('region', 'eu'), ('service', 'web'), ('type', 'cpu')} < set(next(s[0] for s in samples if 'region' in dict(s[0])))
        # Nothing is sent that was sent before; where that is not known, the same again.
        state, before = ('--state', 'state.json', '--since', '3h'), len(server.taken)
        send_values(server.url, *state)
        assert len(server.taken) == before
        assert send_values(server.url, *state).startswith('0 samples sent')
        time.sleep(1.1)
        history(r, [200])
        assert send_values(server.url, *state).startswith('0 samples sent')  # what is late is not seen
        assert json.load(open('state.json'))['url'] == server.url
        with Server() as other:
            assert 'another address' in send_values(other.url, *state, code=1)


def test_a_server_in_trouble_loses_nothing():
    with Receiver() as r:
        history(r)
        set_rules({'name': 'web_cpu', 'select': 'web/cpu'})
        with Server([(503, {'Retry-After': '1'}, 'full'), (429, {}, 'slow'), (500, {}, '')]) as server:
            began = time.monotonic()
            said = send_values(server.url, '--since', '3h')
            assert time.monotonic() - began > 1.5 and '503: full; it is tried again' in said and ', 3 of them again' in said, said
            assert abs(server.sums()['web_cpu_sum_per_step_seconds'] - 48) < 1e-9
        # One that goes away in the middle: what it took is known, the rest is sent to it later.
        taken = []

        def falters(samples):
            taken.append(samples)
            return (204, {}, '') if len(taken) == 1 else (503, {}, 'gone')
        with Server(falters) as server:
            options = ('--since', '3h', '--state', 'state.json')
            assert 'not taken in time: 503: gone' in send_values(server.url, *options, '--patience', '1s', code=1)
            first = len(server.taken)
            assert 0 < first
            server.answers = lambda samples: (204, {}, '')
            send_values(server.url, *options)
            assert abs(server.sums()['web_cpu_sum_per_step_seconds'] - 48) < 1e-9
            assert server.accepted == len(server.taken)
    assert 'refused' in send_values('http://127.0.0.1:1/', '--patience', '1s', code=1).lower()


def test_what_a_server_refuses():
    with Receiver() as r:
        history(r)
        set_rules({'name': 'web_cpu', 'select': 'web/cpu'})
        bad = minute(15) * 1000

        def picky(samples):
            late = [s for s in samples if s[1] == bad]
            return (400, {}, 'out of order\nsample') if late else (204, {}, '')
        with Server(picky) as server:
            said = send_values(server.url, '--since', '3h', code=1)
            assert ', 2 refused' in said and '2 samples were refused, the first with 400: out of order sample' in said, said
            assert abs(server.sums()['web_cpu_sum_per_step_seconds'] - 46) < 1e-9
        for status, words in ((401, 'no token'), (404, 'not here'), (301, '')):
            with Server([(status, {}, words)]) as server:
                assert f'{status}: {words}'.strip() in send_values(server.url, '--since', '3h', code=1)
                assert len(server.requests) == 1


def test_who_sends():
    with Receiver() as r:
        history(r, [5])
        set_rules({'name': 'web_cpu', 'select': 'web/cpu'})
        for name, text in (('token', 's3cret\n'), ('user', 'me:pass word\n'), ('empty', ''), ('bad', 'a\x01b\n')):
            open(name, 'w').write(text)
        with Server() as server:
            send_values(server.url, '--token-file', 'token')
            send_values(server.url, '--user-file', 'user')
            assert [q[1].get('Authorization') for q in server.requests] == ['Bearer s3cret', 'Basic bWU6cGFzcyB3b3Jk']
            for options in (('--token-file', 'empty'), ('--token-file', 'nowhere'), ('--user-file', 'bad'), ('--state', '/nowhere/x')):
                send_values(server.url, *options, code=1)
            send_values(server.url, '--token-file', 'token', '--user-file', 'user', code=2)
            for url in ('http://me:secret@127.0.0.1/', 'ftp://127.0.0.1/', '127.0.0.1', server.url + '?token=secret'):
                send_values(url, code=2)
            for words in (('--since', 'then'), ('--delay', 'x'), ('rules.json',)):
                send_values(server.url, *words, code=2)
            assert len(server.requests) == 2
        run('rules', 'db', '--watch', code=2)


def test_tls():
    need('openssl')
    make_certificate('127.0.0.1')
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain('cert.pem', 'key.pem')
    with Receiver() as r, Server(tls=context) as server:
        history(r, [5])
        set_rules({'name': 'web_cpu', 'select': 'web/cpu'})
        assert 'certificate' in send_values(server.url, '--patience', '1s', code=1).lower()
        send_values(server.url, '--ca-file', 'cert.pem')
        assert server.taken


def sent_until(rule):
    """ms"""
    at = json.load(open('state.json'))['rules'].get(rule, '1970-01-01T00:00:00Z')
    return datetime.datetime.fromisoformat(at.replace('Z', '+00:00')).timestamp() * 1000


def test_for_ever():
    with Receiver() as r, Server([(503, {}, '')]) as server:
        set_rules({'name': 'web_cpu', 'select': 'web/cpu/@step=1s'})
        p = subprocess.Popen([PROGRAM, 'rules', 'db', '--remote-write', server.url, '--watch', '--delay', '2s', '--state', 'state.json'],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for n in range(1, 3):
                r.post('/web/cpu.pb.gz', pprof(10**9, int(time.time()) * 10**9, duration=10**9))
                eventually(lambda n=n: abs(server.sums().get('web_cpu_sum_per_step_seconds', 0) - n) < 1e-9, 20)
            assert p.poll() is None
            last = max(s[1] for q in server.requests for s in q[2])
            eventually(lambda: sent_until('web_cpu') >= last, 10)  # who is stopped before that sends once more
        finally:
            p.send_signal(signal.SIGTERM)
            assert p.wait(10) == -signal.SIGTERM
        before = len(server.requests)
        send_values(server.url, '--state', 'state.json', '--delay', '2s')
        assert not {s for q in server.requests[before:] for s in q[2]} & {s for q in server.requests[:before] for s in q[2]}


def test_what_comes_late():
    with Receiver() as r, Server() as server:
        set_rules({'name': 'web_cpu', 'select': 'web/cpu/@step=1s', 'by': 'region'})
        now = int(time.time())
        r.post('/web/region=eu/cpu.pb.gz', pprof(10**9, (now - 300) * 10**9, duration=10**9))
        p = subprocess.Popen([PROGRAM, 'rules', 'db', '--remote-write', server.url, '--watch', '--delay', '1s', '--late', '10m', '--since', '10m'],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def total():
            return server.sums().get('web_cpu_sum_per_step_seconds', 0)
        try:
            eventually(lambda: abs(total() - 1) < 1e-9, 20)
            r.post('/web/region=us/cpu.pb.gz', pprof(10**9, (now - 200) * 10**9, duration=10**9))
            eventually(lambda: abs(total() - 2) < 1e-9, 20)
            server.changes = True
            r.post('/web/region=us/pod=b/cpu.pb.gz', pprof(10**9, (now - 200) * 10**9, duration=10**9))
            eventually(lambda: abs(total() - 3) < 1e-9, 20)
            assert server.accepted == len(server.taken) + 2, (server.accepted, len(server.taken))  # a sum and a rate, once more
        finally:
            p.kill()
            p.wait()


# ---- remote write: Prometheus ----

class Prometheus:
    def __init__(self, out_of_order='', name='prometheus'):
        need('prometheus')
        with open(f'{name}.yml', 'w') as f:
            f.write(f'storage: {{tsdb: {{out_of_order_time_window: {out_of_order}}}}}\n' if out_of_order else 'global: {}\n')
        for _ in range(3):  # somebody else may have got the port
            with contextlib.closing(socket.create_server(('127.0.0.1', 0))) as s:
                self.port = s.getsockname()[1]
            self.log = open(f'{name}.log', 'ab')
            self.p = subprocess.Popen(['prometheus', f'--config.file={name}.yml', f'--storage.tsdb.path={name}.data', '--web.enable-remote-write-receiver',
                                       f'--web.listen-address=127.0.0.1:{self.port}', '--storage.tsdb.retention.time=10y'],
                                      stdout=self.log, stderr=self.log)
            if self.ready():
                break
        else:
            raise AssertionError(open(f'{name}.log').read()[-2000:])
        self.url = f'http://127.0.0.1:{self.port}/api/v1/write'

    def ready(self):
        end = time.monotonic() + 30
        while time.monotonic() < end and self.p.poll() is None:
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f'http://127.0.0.1:{self.port}/-/ready', timeout=5):
                    return True
            time.sleep(0.1)
        return False

    def values(self, selector, span='30d'):
        """{(labels, seconds): value} of what is stored."""
        query = urllib.parse.urlencode({'query': f'{selector}[{span}]'})
        with urllib.request.urlopen(f'http://127.0.0.1:{self.port}/api/v1/query?{query}', timeout=30) as f:
            series = json.load(f)['data']['result']
        return {(tuple(sorted(s['metric'].items())), int(t)): float(v) for s in series for t, v in s['values']}

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        self.p.terminate()
        self.p.wait(30)
        self.log.close()


def exported(path, old, new):
    """What metrics.prom has, with the rule's names, as Prometheus.values() has it."""
    out = {}
    for line in cat(path).splitlines():
        if line.startswith('#'):
            continue
        name, _, rest = line.partition('{')
        labels, _, rest = rest.partition('} ')
        value, seconds = rest.split()
        pairs = [pair.partition('=') for pair in labels.split(',')]
        named = {'__name__': name.replace(old, new, 1), **{k: v.strip('"') for k, _, v in pairs if v != '""'}}
        out[tuple(sorted(named.items())), int(seconds)] = float(value)
    return out


def stamp(t):
    return time.strftime('%Y-%m-%dT%H%M', time.gmtime(t))


def test_prometheus_has_what_metrics_prom_has():
    with Receiver() as r, Prometheus('60d') as prometheus:
        history(r, [*range(3, 60, 7), *range(600, 900, 11), *range(20000, 20100, 9)])
        history(r, range(4, 400, 13), service='api')
        set_rules({'name': 'web_cpu', 'select': 'web/cpu', 'by': 'region'}, {'name': 'api_cpu', 'select': 'api/cpu'},
                  {'name': 'api_work', 'select': 'api/cpu/region=eu', 'function': 'work'})
        end = minute(1)
        said = send_values(prometheus.url, '--since', '30d', '--state', 'state.json')
        assert ' 0 refused' in said, said
        span = f'{stamp(end - 30 * 86400)}--{stamp(end)}'
        for path, old, new in ((f'web/{span}/cpu/@step=1m/by-region/metrics.prom', 'profilefs_cpu', 'web_cpu'),
                               (f'api/{span}/cpu/@step=1m/metrics.prom', 'profilefs_cpu', 'api_cpu'),
                               (f'api/{span}/cpu/region=eu/functions/work/@step=1m/metrics.prom', 'profilefs_cpu', 'api_work')):
            want = exported(path, old, new)
            got = {k: v for k, v in prometheus.values('{__name__=~"%s_.*"}' % new).items() if k[1] < end}
            assert len(want) > 50 and want == got, f'{path}: {len(want)} {len(got)} {sorted(set(want.items()) ^ set(got.items()))[:4]}'
        # What comes late is sent late.
        at = minute(100)
        send(r, 'web', 10**9, at + 20, region='ap')
        time.sleep(1.1)
        assert ' 0 refused' in send_values(prometheus.url, '--state', 'state.json', '--late', '3h')
        late = prometheus.values('web_cpu_sum_per_step_seconds{region="ap"}')
        assert list(late.values()) == [1] and next(iter(late))[1] == at, late
        # Sent again, it is the same.
        before = prometheus.values('{service=~".+"}')
        assert ' 0 refused' in send_values(prometheus.url, '--since', '30d')
        again = prometheus.values('{service=~".+"}')
        assert {k: v for k, v in again.items() if k in before} == before


def test_prometheus_without_a_window_takes_history_in_order():
    with Receiver() as r, Prometheus() as prometheus:
        history(r, range(5, 400, 20))
        history(r, range(6, 400, 20), service='api')
        set_rules({'name': 'web_cpu', 'select': 'web/cpu'}, {'name': 'api_cpu', 'select': 'api/cpu'})
        said = send_values(prometheus.url, '--since', '12h', '--state', 'state.json')
        assert ' 0 refused' in said, said
        sums = {n: sum(prometheus.values(f'{n}_cpu_sum_per_step_seconds').values()) for n in ('web', 'api')}
        assert all(abs(v - 40) < 1e-9 for v in sums.values()), sums
        assert send_values(prometheus.url, '--state', 'state.json').startswith('0 samples sent')
        # Sent again from the start it says why it wants none of it, and has what it had.
        said = send_values(prometheus.url, '--since', '12h', code=1)
        assert '400: out of' in said, said  # bounds, or order
        assert sums == {n: sum(prometheus.values(f'{n}_cpu_sum_per_step_seconds').values()) for n in ('web', 'api')}
