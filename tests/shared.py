# SPDX-License-Identifier: MIT
"""What the tests of several suites share: the program under test, reasons not to run, waiting, protobuf."""

import os
import re
import shutil
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
BASE = SOURCE / 'tests' / 'data' / 'base'
ALL = bool(os.environ.get('PROFILEFS_ALL'))
BAD_LOG = re.compile(r'AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|Assertion .* failed|stack smashing')


class Skip(Exception):
    pass


def program():
    name = os.environ.get('PROFILEFS')
    if not name:
        found = sorted(SOURCE.glob('build*/**/tools/profilefs'))
        name = str(found[0]) if found else ''
    return str(Path(name).resolve()) if name and os.access(name, os.X_OK) else None


PROGRAM = program()
SANITIZED = bool(PROGRAM) and bool(re.search(b'__[at]san_init', Path(PROGRAM).read_bytes()))  # its memory and speed say little


def need(*tools):
    missing = [t for t in tools if not shutil.which(t)]
    if missing:
        raise Skip('there is no ' + ' or '.join(missing))


def eventually(what, seconds=5.0, step=0.02):
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < end, f'not within {seconds} s'
        time.sleep(step)


# ---- protobuf ----

def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value
