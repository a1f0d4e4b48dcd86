#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes text files, one after the other, as a struct embedded: embed.py OUTPUT NAME INPUT...

The text stands in XML as CDATA and in HTML as it is, so it is ASCII and holds neither "]]>" nor the end of a script.
Its hash is for the content security policy: of the text between the tags, byte by byte.
"""
import base64
import hashlib
import sys

target, name, sources = sys.argv[1], sys.argv[2], sys.argv[3:]
data = b'\n' + b''.join(open(s, 'rb').read() for s in sources)
if sources[0].endswith('.js'):
    data = b'\n"use strict";\n(function () {' + data + b'})();\n'
assert all(b < 128 for b in data), sources
assert not any(word in data for word in (b']]>', b'</script', b'</style', b'<!--', b'\r')), sources
digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
with open(target, 'w') as out:
    out.write('#include "core/render/picture.h"\n\nstatic const char text[] = {\n')
    for at in range(0, len(data), 20):
        out.write('\t' + ' '.join('%d,' % b for b in data[at:at + 20]) + '\n')
    out.write('};\n\nconst struct embedded web_%s = { text, sizeof text, "%s" };\n' % (name, digest))
