#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What real programs write is taken in exactly once, or refused where they notice. PROFILEFS_ALL=1 tries them all."""

import os
import shutil
from pathlib import Path

import matrix_write
from harness import ALL, NOON, Mount, add_service, all_profiles, main, ok, pprof, read, sh

GO = '''package main
import ("os"; "runtime/pprof"; "time")
func main() {
	f, err := os.Create(os.Args[1])
	if err != nil { panic(err) }
	if err := pprof.StartCPUProfile(f); err != nil { panic(err) }
	for end := time.Now().Add(300*time.Millisecond); time.Now().Before(end); {}
	pprof.StopCPUProfile()
	if err := f.Close(); err != nil { panic(err) }
}
'''


def stacks(n, seed):
    return {f'main;run{i % 37};step{i * 7919 % 1009}_{seed};leaf{i}': 1000 + i * seed for i in range(n)}


def inputs():
    work = Path('work').resolve()
    work.mkdir()
    (work / 's.pb.gz').write_bytes(pprof(stacks(400, 3), NOON))
    (work / 's2.pb.gz').write_bytes(pprof(stacks(400, 5), NOON + 60))
    (work / 't.folded').write_text('main;work 3\nmain;idle 1\n')
    (work / 'big.folded').write_text(''.join(f'{k} {v}\n' for k, v in stacks(90000, 1).items()))
    (work / 'page.html').write_text('<html><body>404</body></html>\n')
    return work, {'S': f'{work}/s.pb.gz', 'S2': f'{work}/s2.pb.gz', 'T': f'{work}/t.folded', 'BIG': f'{work}/big.folded',
                  'W': str(work)}


def missing(tools):
    return [t for t in tools.split() if not shutil.which(t)]


def rows():
    """All of them, or the first of each pattern whose programs are here."""
    seen = set()
    for row in matrix_write.WRITERS:
        name, pattern, tools = row[0], row[1], row[5]
        gone = missing(tools)
        if gone and ALL:
            print(f'skip 40-write.py {name}: there is no {gone[0]}')
        elif not gone and (ALL or pattern not in seen):
            seen.add(pattern)
            yield row


def needs_go(work):
    (work / 'main.go').write_text(GO)
    return ok(f'cd {work} && go build -o goprof main.go', env={'GOFLAGS': '-mod=mod', 'GO111MODULE': 'off'}, timeout=120)


def one(m, row, env):
    name, _, command, count, status, _ = row
    service = add_service(m, 'w-' + ''.join(c if c.isalnum() else '-' for c in name))
    r = sh(command, cwd=service, env={**env, 'M': m.path}, timeout=30)
    found = len(all_profiles(m, os.path.basename(service)))
    wrong = []
    if count is not None and found != count:
        wrong.append(f'{found} profiles, not {count}')
    if r.code == 'timeout' or (status == 'ok' and r.code) or (status == 'fail' and not r.code):
        wrong.append(f'exit {r.code}, not {status}')
    return f'{name}: {"; ".join(wrong)}: {r.err.strip()[-300:]}' if wrong else None


def test_writers():
    work, env = inputs()
    with Mount() as m:
        wrong = []
        for row in rows():
            if '$W/goprof' in row[2]:
                needs_go(work)
            wrong.append(one(m, row, env))
        wrong = [w for w in wrong if w]
        assert not wrong, '\n'.join(wrong) + '\n' + m.errors()[-3000:]


def judged(name, data):
    """Each writer fails; nothing is taken; the reason can be read."""
    work, env = inputs()
    (work / name).write_bytes(data)
    env['X'] = str(work / name)
    wrong = []
    with Mount() as m:
        for i, (writer, command) in enumerate(matrix_write.JUDGED if ALL else matrix_write.JUDGED[:9:2]):
            if missing(command.split()[0] if command[0].isalpha() else ''):
                continue
            service = add_service(m, f'j{i}')
            r = sh(command, cwd=service, env=env, timeout=30)
            if not r.code or all_profiles(m, f'j{i}') or f'j{i}/' not in m.errors():
                wrong.append(f'{writer}: {r}')
        assert not wrong, '\n'.join(wrong) + m.errors()[-2000:]


def test_junk_fails():
    judged('junk', b'this is not a profile at all\n\n<html>' * 40)


def test_a_truncated_profile_fails():
    judged('cut.pb.gz', pprof(stacks(400, 3), NOON)[:-200])


def test_profiles_run_together_without_a_boundary_fail():
    judged('together.pb', pprof(stacks(4, 3), NOON, compress=False) + pprof(stacks(4, 5), NOON, compress=False))


def test_what_was_written_reads_back():
    work, env = inputs()
    with Mount() as m:
        os.chdir(add_service(m))
        ok('cp $S f.pb.gz; cmp $S f.pb.gz; chmod 600 f.pb.gz; touch -d 2020-01-02 f.pb.gz', env=env)
        st = os.stat('f.pb.gz')
        assert st.st_mode & 0o777 == 0o600 and st.st_size == os.path.getsize(env['S'])
        assert st.st_mtime == 1577923200
        assert 'f.pb.gz' not in os.listdir('.'), 'written names are not listed'
        assert read('f.pb.gz') == read(env['S'])
        os.unlink('f.pb.gz')
        assert not os.path.exists('f.pb.gz')
        assert len(all_profiles(m)) == 1
        os.chdir('/')


def test_a_profile_twice_counts_once():
    work, env = inputs()
    with Mount() as m:
        service = add_service(m)
        ok('cp $S a; cp $S a; cp $S b; cat $S > c; (cat $S; cat $S) > d', cwd=service, env=env)
        assert len(all_profiles(m)) == 1
        ok('cp $T t.folded; cp $T t.folded', cwd=service, env=env)
        assert len(all_profiles(m)) == 2, all_profiles(m)
        ok('cp -p $T u.folded; cp -p $T u.folded', cwd=service, env=env)
        assert len(all_profiles(m)) == 3, all_profiles(m)


def test_requests_and_recordings():
    accept = Path(__file__).resolve().parents[1] / 'data/format/accept'
    with Mount() as m:
        service = add_service(m)
        ok(f'cp {accept}/cpu-labels.otlp.pb.gz {accept}/native-wc.jfr {accept}/empty.otlp.json .', cwd=service)
        assert len(all_profiles(m)) == 3, all_profiles(m)
        assert os.listdir(m.path) and not os.path.exists(f'{m.path}/gowork')
        types = os.listdir(f'{service}/2026-11-22/service.name=gowork')
        assert 'cpu' in types and 'samples' in types, types
        top = Path(f'{service}/2026-11-22/cpu/service.name=/top.txt').read_text()
        assert 'hash_loop' in top, top


main(globals(), 400)
