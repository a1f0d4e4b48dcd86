# SPDX-License-Identifier: MIT
"""Metrics by rule: scraped here, and sent to a Prometheus."""

import json
import shutil
import subprocess
import time

from harness import SOURCE, Receiver, Skip, pprof, run


def tool(name):
    """Of Debian's prometheus package, as tests/setup fetches it or as it is installed."""
    own = SOURCE / 'build' / 'tools-ext' / name
    found = str(own) if own.exists() else shutil.which(name)
    if not found:
        raise Skip(f'there is no {name}: tests/setup prometheus')
    return found


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
        check = subprocess.run([tool('promtool'), 'check', 'metrics'], input=answer.text, capture_output=True, text=True)
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
