# SPDX-License-Identifier: MIT
"""The SDKs themselves, unchanged; with PROFILEFS_ALL, where their registries are reached."""

import os
import shutil
import subprocess
import sys

from harness import ALL, SOURCE, Receiver, Skip, cat, listed, services

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


OTLP = """package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Stacks by name, leaf first.
func stack(d pprofile.ProfilesDictionary, names ...string) int32 {
	s := d.StackTable().AppendEmpty()
	for _, name := range names {
		d.StringTable().Append(name)
		d.FunctionTable().AppendEmpty().SetNameStrindex(int32(d.StringTable().Len() - 1))
		l := d.LocationTable().AppendEmpty()
		l.Lines().AppendEmpty().SetFunctionIndex(int32(d.FunctionTable().Len() - 1))
		s.LocationIndices().Append(int32(d.LocationTable().Len() - 1))
	}
	return int32(d.StackTable().Len() - 1)
}

func kind(d pprofile.ProfilesDictionary, v pprofile.ValueType, name, unit string) {
	d.StringTable().Append(name, unit)
	v.SetTypeStrindex(int32(d.StringTable().Len() - 2))
	v.SetUnitStrindex(int32(d.StringTable().Len() - 1))
}

func request(service string, at time.Time) pprofileotlp.ExportRequest {
	p := pprofile.NewProfiles()
	d := p.Dictionary()
	d.StringTable().Append("")
	d.MappingTable().AppendEmpty()
	d.FunctionTable().AppendEmpty()
	d.LocationTable().AppendEmpty()
	d.StackTable().AppendEmpty()
	d.LinkTable().AppendEmpty()
	d.AttributeTable().AppendEmpty()
	r := p.ResourceProfiles().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", service)
	r.Resource().Attributes().PutStr("region", "eu")
	profiles := r.ScopeProfiles().AppendEmpty().Profiles()
	stacks := []int32{stack(d, "work", "main"), stack(d, "leaf", "work", "main")}
	for _, t := range [][2]string{{"cpu", "nanoseconds"}, {"samples", "count"}} {
		one := profiles.AppendEmpty()
		one.SetTime(pcommon.NewTimestampFromTime(at))
		one.SetDurationNano(uint64(10 * time.Second))
		kind(d, one.SampleType(), t[0], t[1])
		for i, s := range stacks {
			sample := one.Samples().AppendEmpty()
			sample.SetStackIndex(s)
			if t[0] == "cpu" {
				sample.Values().Append(int64(3-2*i) * 1000000000)
				continue
			}
			for k := 0; k <= i; k++ {
				sample.TimestampsUnixNano().Append(uint64(at.UnixNano()) + uint64(k))
			}
		}
	}
	return pprofileotlp.NewExportRequestFromProfiles(p)
}

func post(address, kind string, body []byte, err error) {
	check(err)
	answer, err := http.Post("http://"+address+"/v1development/profiles", kind, bytes.NewReader(body))
	check(err)
	if answer.StatusCode != 200 {
		check(fmt.Errorf("%s: %s", kind, answer.Status))
	}
}

func main() {
	c, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	at := time.Now().Add(-time.Minute)
	for _, options := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
		answer, err := pprofileotlp.NewGRPCClient(c).Export(context.Background(), request("sdk.otlp", at), options...)
		check(err)
		if n := answer.PartialSuccess().RejectedProfiles(); n != 0 {
			check(fmt.Errorf("%d profiles rejected: %s", n, answer.PartialSuccess().ErrorMessage()))
		}
	}
	body, err := request("sdk.otlp", at).MarshalProto()
	post(os.Args[2], "application/x-protobuf", body, err)
	body, err = request("sdk.otlp", at).MarshalJSON()
	post(os.Args[2], "application/json", body, err)
}
"""


def test_otlp_of_go():
    """The collector's own messages and client, as exporters in Go use them: gRPC, with gzip, and HTTP of both kinds."""
    if not shutil.which('go'):
        raise Skip('there is no go')
    folder = TOOLS / 'otlp-go'
    if not (folder / 'app').exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'main.go').write_text(OTLP)
        (folder / 'go.mod').write_text('module sender\n\ngo 1.24\n')
        fetch('pdata', 'go', 'get', 'go.opentelemetry.io/collector/pdata/pprofile@v0.165.0', 'google.golang.org/grpc@v1.85.0', cwd=folder)
        fetch('pdata', 'go', 'build', '-o', 'app', '.', cwd=folder)
    if not ALL:
        raise Skip('runs with PROFILEFS_ALL=1')
    with Receiver() as r:
        subprocess.run([str(folder / 'app'), r.grpc, r.otlp_http], check=True, timeout=120)
        m = r.metrics()
        assert m['profilefs_receive_profiles_accepted_total'] == 2 and m['profilefs_receive_profiles_duplicate_total'] == 6, m
    assert services() == ['sdk.otlp'] and 'by-region' in listed('sdk.otlp/all'), listed('sdk.otlp/all')
    assert sorted(cat('sdk.otlp/all/cpu/folded.txt').split('\n')[:-1]) == ['main;work 3000000000', 'main;work;leaf 1000000000']
    assert sorted(cat('sdk.otlp/all/samples/region=eu/folded.txt').split('\n')[:-1]) == ['main;work 1', 'main;work;leaf 2']
