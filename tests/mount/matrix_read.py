# SPDX-License-Identifier: MIT
"""Programs that read files, and what each must see.

A row: name, command, file, what is compared, the programs it needs. $I is the file in the mount, $R the same bytes elsewhere, $O where
the output goes, $D and $N the file's directory and name, $W a scratch directory. Compared is 'file' ($O equals $R), 'same'
(the command prints on $I what it prints on $R) or a text that it prints. STAT_FIRST believe the size that stat() tells, so
that they are wrong where it is told as 0 before the first open.
"""

CFILES = {'statread': r'''
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
/* statread HOW IN OUT: reads as many bytes as stat (before the open), fstat, or a mapping of fstat's size tells. */
int main(int c, char **v)
{
	struct stat st;
	if (!strcmp(v[1], "stat"))
		stat(v[2], &st);
	int in = open(v[2], O_RDONLY), out = open(v[3], O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (strcmp(v[1], "stat"))
		fstat(in, &st);
	char *b;
	if (!strncmp(v[1], "mmap", 4)) {
		b = mmap(0, st.st_size, PROT_READ, strcmp(v[1], "mmaps") ? MAP_PRIVATE : MAP_SHARED, in, 0);
		if (b == MAP_FAILED)
			return 1;
	} else {
		b = malloc(st.st_size + 1);
		for (off_t n = 0, r; n < st.st_size && (r = read(in, b + n, st.st_size - n)) > 0; n += r)
			;
	}
	return write(out, b, st.st_size) != st.st_size;
}
''', 'splicecat': r'''
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>
/* splicecat HOW IN OUT: copies without asking for the size. */
int main(int c, char **v)
{
	int in = open(v[2], O_RDONLY), out = open(v[3], O_WRONLY | O_CREAT | O_TRUNC, 0644), p[2];
	ssize_t n;
	if (!strcmp(v[1], "sendfile")) {
		while ((n = sendfile(out, in, 0, 1 << 20)) > 0)
			;
		return n < 0;
	}
	if (pipe(p))
		return 1;
	while ((n = splice(in, 0, p[1], 0, 65536, 0)) > 0)
		while (n > 0) {
			ssize_t m = splice(p[0], 0, out, 0, n, 0);
			if (m <= 0)
				return 1;
			n -= m;
		}
	return n < 0;
}
'''}

GO = '''package main
import ("io"; "net/http"; "net/http/httptest"; "os")
func check(err error) { if err != nil { panic(err) } }
func main() {
	how, in, out := os.Args[1], os.Args[2], os.Args[3]
	switch how {
	case "readfile":
		b, err := os.ReadFile(in); check(err); check(os.WriteFile(out, b, 0644))
	case "iocopy":
		f, err := os.Open(in); check(err); o, err := os.Create(out); check(err)
		_, err = io.Copy(o, f); check(err); check(o.Close())
	case "serve":
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, in) }))
		r, err := http.Get(s.URL); check(err); b, err := io.ReadAll(r.Body); check(err); check(os.WriteFile(out, b, 0644))
	}
}
'''

PYREAD = "python3 -c \"import mmap,shutil,sys; i,o=sys.argv[1:3]; %s\" $I $O"

STAT_FIRST = {'file', '[ -s ]', 'find -size', 'tar', 'bsdtar', 'cpio', 'stat and read', 'git add', 'chromium'}

READERS = [
    ('cat', 'cat $I > $O', 'big', 'file', 'cat'),
    ('cp', 'cp $I $O', 'text', 'file', 'cp'),
    ('cp big', 'cp $I $O', 'big', 'file', 'cp'),
    ('cp --sparse', 'cp --sparse=always $I $O', 'text', 'file', 'cp'),
    ('install', 'install -m644 $I $O', 'text', 'file', 'install'),
    ('dd', 'dd if=$I of=$O bs=64k status=none', 'text', 'file', 'dd'),
    ('head -n', 'head -n 1000000 $I > $O', 'text', 'file', 'head'),
    ('head -c', 'head -c 1000000000 $I > $O', 'text', 'file', 'head'),
    ('tail -n +1', 'tail -n +1 $I > $O', 'text', 'file', 'tail'),
    ('tail -n 5', 'tail -n 5 $I', 'text', 'same', 'tail'),
    ('tail -c 100', 'tail -c 100 $I', 'text', 'same', 'tail'),
    ('tail -c 100 big', 'tail -c 100 $I', 'big', 'same', 'tail'),
    ('tail -f', 'timeout 1 tail -n 2 -f $I; true', 'text', 'same', 'tail'),
    ('tac', 'tac $I | tac > $O', 'text', 'file', 'tac'),
    ('wc -c', 'wc -c < $I', 'text', 'same', 'wc'),
    ('wc -l', 'wc -l < $I', 'text', 'same', 'wc'),
    ('sort', 'sort $I', 'text', 'same', 'sort'),
    ('grep -c', 'grep -c leaf $I', 'text', 'same', 'grep'),
    ('grep last', 'tail -n 1 $R | grep -c -F -f - $I', 'text', '1\n', 'grep'),
    ('rg', 'rg -c leaf $I', 'text', 'same', 'rg'),
    ('rg --no-mmap', 'rg --no-mmap -c leaf $I', 'text', 'same', 'rg'),
    ('zgrep', 'zgrep -c leaf $I', 'text', 'same', 'zgrep'),
    ('sha256sum', 'sha256sum < $I', 'text', 'same', 'sha256sum'),
    ('cmp', 'cmp $I $R && echo same', 'text', 'same\n', 'cmp'),
    ('diff', 'diff -q $I $R && echo same', 'text', 'same\n', 'diff'),
    ('file', 'file -b $I', 'svg', 'same', 'file'),
    ('[ -s ]', '[ -s $I ] && echo more', 'text', 'more\n', 'bash'),
    ('find -size', 'find $I -size +0 | wc -l', 'text', '1\n', 'find'),
    ('less', 'less -F $I | cat > $O', 'text', 'file', 'less'),
    ('less in a terminal', '@less', 'text', '', 'less'),
    ('sed', "sed '' $I > $O", 'text', 'file', 'sed'),
    ('awk', 'awk 1 $I > $O', 'text', 'file', 'awk'),
    ('gzip -c', 'gzip -c $I | gunzip > $O', 'text', 'file', 'gzip'),
    ('zcat', 'zcat < $I | sha256sum', 'pprof', 'same', 'zcat'),
    ('zstd', 'zstd -q -c $I | zstd -dc > $O', 'text', 'file', 'zstd'),
    ('xz', 'xz -0 -c $I | xz -dc > $O', 'text', 'file', 'xz'),
    ('zip', 'zip -q -j $W/z.zip $I && unzip -p $W/z.zip > $O', 'text', 'file', 'zip unzip'),
    ('tar', 'tar -C $D -cf - $N 2>/dev/null | tar -xOf - > $O', 'text', 'file', 'tar'),
    ('bsdtar', 'bsdtar -C $D -cf - $N 2>/dev/null | tar -xOf - > $O', 'text', 'file', 'bsdtar'),
    ('cpio', 'cd $D; echo $N | cpio -o --quiet 2>/dev/null > $W/x.cpio; cd $W; rm -f $N; cpio -i --quiet < x.cpio; mv $N $O', 'text',
     'file', 'cpio'),
    ('rsync', 'rsync $I $O', 'text', 'file', 'rsync'),
    ('rsync --inplace', 'rsync -W --inplace $I $O', 'text', 'file', 'rsync'),
    ('shutil.copyfile', PYREAD % 'shutil.copyfile(i,o)', 'text', 'file', 'python3'),
    ('python read', PYREAD % "open(o,'wb').write(open(i,'rb').read())", 'text', 'file', 'python3'),
    ('python mmap', PYREAD % "f=open(i,'rb');m=mmap.mmap(f.fileno(),0,access=mmap.ACCESS_READ);open(o,'wb').write(m[:])", 'text',
     'file', 'python3'),
    ('python seek', "python3 -c \"print(open('$I','rb').seek(0,2))\"", 'text', 'same', 'python3'),
    ('perl slurp', "perl -e 'undef $/;open F,\"<\",$ENV{I};print <F>' > $O", 'text', 'file', 'perl'),
    ('perl copy', "perl -MFile::Copy -e 'copy($ENV{I},$ENV{O})'", 'text', 'file', 'perl'),
    ('node readFileSync', "node -e 'fs.writeFileSync(process.env.O,fs.readFileSync(process.env.I))'", 'text', 'file', 'node'),
    ('node copyFileSync', "node -e 'fs.copyFileSync(process.env.I,process.env.O)'", 'text', 'file', 'node'),
    ('node stream', "node -e 'fs.createReadStream(process.env.I).pipe(fs.createWriteStream(process.env.O))'", 'text', 'file', 'node'),
    ('go ReadFile', '$W/goread readfile $I $O', 'text', 'file', 'go'),
    ('go io.Copy', '$W/goread iocopy $I $O', 'text', 'file', 'go'),
    ('go ServeFile', '$W/goread serve $I $O', 'text', 'file', 'go'),
    ('stat and read', '$W/statread stat $I $O', 'text', 'file', 'cc'),
    ('fstat and read', '$W/statread fstat $I $O', 'text', 'file', 'cc'),
    ('mmap private', '$W/statread mmapp $I $O', 'text', 'file', 'cc'),
    ('mmap shared', '$W/statread mmaps $I $O', 'text', 'file', 'cc'),
    ('splice', '$W/splicecat splice $I $O', 'text', 'file', 'cc'),
    ('sendfile', '$W/splicecat sendfile $I $O', 'text', 'file', 'cc'),
    ('busybox cat', 'busybox cat $I > $O', 'text', 'file', 'busybox'),
    ('curl file://', 'curl -s -o $O file://$I', 'text', 'file', 'curl'),
    ('curl -T', '@upload', 'text', 'file', 'curl'),
    ('nginx', '@nginx', 'text', 'file', 'nginx curl'),
    ('python http.server', '@http', 'text', 'file', 'python3 curl'),
    ('git hash-object', 'git hash-object --no-filters $I', 'text', 'same', 'git'),
    ('git add', 'git init -q $W/g; cd $W/g; git --work-tree=$D add $N; git cat-file -p :$N > $O', 'text', 'file', 'git'),
    ('vim', 'vim -es -u NONE -i NONE -n $I -c "w! $O" -c "q!"', 'text', 'file', 'vim'),
    ('emacs', "emacs -Q --batch --eval '(with-temp-buffer (set-buffer-multibyte nil) (insert-file-contents-literally (getenv \"I\"))"
     " (let ((coding-system-for-write (quote no-conversion))) (write-region nil nil (getenv \"O\"))))' 2>/dev/null", 'text', 'file',
     'emacs'),
    ('jq', 'jq -c . $I', 'json', 'same', 'jq'),
    ('xmllint', 'xmllint --noout $I && echo good', 'svg', 'good\n', 'xmllint'),
    ('go tool pprof', 'go tool pprof -top $I 2>/dev/null', 'pprof', 'same', 'go'),
    ('bash $(<f)', "bash -c 'printf \"%s\\n\" \"$(<$I)\"' > $O", 'text', 'file', 'bash'),
    ('bash mapfile', "bash -c 'mapfile a < $I; printf \"%s\" \"${a[@]}\"' > $O", 'text', 'file', 'bash'),
    ('zsh $(<f)', "zsh -c 'print -r -- \"$(<$I)\"' > $O", 'text', 'file', 'zsh'),
    ('openssl', 'openssl dgst -sha256 -r < $I', 'text', 'same', 'openssl'),
    ('chromium', '@chromium', 'svg', '', 'chromium'),
]

# A quick run: one of each way to find out where a file ends.
QUICK = {'cat', 'cp', 'tail -c 100', 'wc -c', 'diff', 'file', '[ -s ]', 'tar', 'rsync', 'python mmap', 'node readFileSync', 'less',
         'stat and read', 'mmap shared', 'splice', 'busybox cat', 'git add', 'go tool pprof', 'jq', 'xmllint', 'bash mapfile'}
