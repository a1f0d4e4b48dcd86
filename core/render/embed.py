#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a text file as a C array: embed.py INPUT OUTPUT NAME. For XML: the text must not hold "]]>"."""
import sys

source, target, name = sys.argv[1:4]
data = open(source, 'rb').read()
assert b']]>' not in data and all(b < 128 for b in data), source
with open(target, 'w') as out:
    out.write('#include "core/render/flamegraph.h"\n\nconst char %s[] = {\n' % name)
    for at in range(0, len(data), 20):
        out.write('\t' + ' '.join('%d,' % b for b in data[at:at + 20]) + '\n')
    out.write('};\nconst unsigned %s_len = sizeof %s;\n' % (name, name))
