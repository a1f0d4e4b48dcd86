# SPDX-License-Identifier: MIT
"""The SDKs themselves, unchanged; with PROFILEFS_ALL, where their registries are reached."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from harness import ALL, DATA, SOURCE, Receiver, Skip, listed, services

TOOLS = SOURCE / 'build' / 'tools-ext'


def fetch(what, *command, cwd=None):
    if not ALL:
        raise Skip('runs with PROFILEFS_ALL=1')
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=cwd)
    if done.returncode:
        raise Skip(f'{what} cannot be fetched: {(done.stderr or done.stdout).strip().splitlines()[-1:]}')


PYTHON = """
import sys, time, hashlib, pyroscope
pyroscope.configure(application_name='sdk.py', server_address=sys.argv[1], sample_rate=100, tags={'region': 'eu'})
end = time.time() + 12
b = b'x'
with pyroscope.tag_wrapper({'controller': 'hash'}):
    while time.time() < end:
        b = hashlib.sha256(b * 10).digest()
pyroscope.shutdown()
"""


def test_python():
    packages = TOOLS / 'python'
    if not (packages / 'pyroscope').is_dir():
        fetch('pyroscope-io', sys.executable, '-m', 'pip', 'install', '--quiet', '--target', str(packages), 'pyroscope-io==1.4.0')
    if not ALL:
        raise Skip('runs with PROFILEFS_ALL=1')
    with Receiver() as r:
        subprocess.run([sys.executable, '-c', PYTHON, f'http://{r.http}'], env={**os.environ, 'PYTHONPATH': str(packages)}, check=True,
                       timeout=120)
    assert services() == ['sdk.py'] and 'cpu' in listed('sdk.py/all'), listed('sdk.py/all')
    assert 'by-region' in listed('sdk.py/all')


NODE = """
const Pyroscope = require('@pyroscope/nodejs');
Pyroscope.init({ serverAddress: process.argv[2], appName: 'sdk.node', tags: { region: 'eu' }, flushIntervalMs: 3000 });
Pyroscope.start();
const end = Date.now() + 8000;
function work() { let x = 0; for (let i = 0; i < 3e6; i++) x += Math.sqrt(i); return x; }
(function again() { work(); if (Date.now() < end) setTimeout(again, 1); else Pyroscope.stop().then(() => process.exit(0)); })();
"""


def test_node():
    if not shutil.which('npm'):
        raise Skip('there is no npm')
    folder = TOOLS / 'pyroscope-node'
    if not (folder / 'node_modules/@pyroscope/nodejs').is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        fetch('@pyroscope/nodejs', 'npm', 'install', '--silent', '--no-audit', '--no-fund', '--prefix', str(folder),
              '@pyroscope/nodejs@0.6.4')
    if not ALL:
        raise Skip('runs with PROFILEFS_ALL=1')
    (folder / 'app.js').write_text(NODE)
    with Receiver() as r:
        subprocess.run(['node', str(folder / 'app.js'), f'http://{r.http}'], check=True, timeout=120)
    assert services() == ['sdk.node'] and 'by-region' in listed('sdk.node/all'), services()


GO = """package main

import (
	"math"
	"os"
	"time"

	"github.com/grafana/pyroscope-go"
)

func main() {
	p, err := pyroscope.Start(pyroscope.Config{ApplicationName: "sdk.go", ServerAddress: os.Args[1], UploadRate: 3 * time.Second,
		Tags: map[string]string{"region": "eu"}})
	if err != nil {
		panic(err)
	}
	x := 0.0
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); {
		for i := 0; i < 1000000; i++ {
			x += math.Sqrt(float64(i))
		}
	}
	p.Flush(true)
	p.Stop()
	_ = x
}
"""


def test_go():
    if not shutil.which('go'):
        raise Skip('there is no go')
    folder = TOOLS / 'pyroscope-go'
    if not (folder / 'app').exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'main.go').write_text(GO)
        (folder / 'go.mod').write_text('module sdk\n\ngo 1.19\n')
        fetch('pyroscope-go', 'go', 'get', 'github.com/grafana/pyroscope-go@v1.2.8', cwd=folder)
        fetch('pyroscope-go', 'go', 'build', '-o', 'app', '.', cwd=folder)
    if not ALL:
        raise Skip('runs with PROFILEFS_ALL=1')
    with Receiver() as r:
        subprocess.run([str(folder / 'app'), f'http://{r.http}'], check=True, timeout=120)
    assert services() == ['sdk.go'] and 'cpu' in listed('sdk.go/all'), services()
