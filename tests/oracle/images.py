# SPDX-License-Identifier: MIT
"""The pictures of the documentation are those that the program makes, but for their script."""
import glob
import os
import re
import subprocess

from oracle import SOURCE

IMAGES = os.path.join(SOURCE, 'docs/images')


def without_script(path):
    with open(path, encoding='utf-8') as f:
        text = re.sub('<script>.*?</script>', '', f.read(), flags=re.S)
    return re.sub("'sha256-[^']*'", '', text)


def check_images(binary, directory):
    made = os.path.join(directory, 'images')
    os.makedirs(made)
    subprocess.run([os.path.join(IMAGES, 'make'), os.path.abspath(binary), made], check=True, timeout=300)
    names = sorted(os.path.basename(p) for p in glob.glob(IMAGES + '/*.svg'))
    assert names and names == sorted(os.listdir(made)), '%s in the documentation, %s are made' % (names, os.listdir(made))
    for name in names:
        kept, new = (without_script(os.path.join(at, name)) for at in (IMAGES, made))
        assert kept == new, '%s is not what the program makes now: run docs/images/make' % name


def check_all(report, program, directory):
    report.check('images', check_images, program.binary, directory)
