# SPDX-License-Identifier: MIT
"""Programs that write files, and how many profiles each must leave behind.

A row: name, pattern, command, profiles, whether it succeeds ('ok', 'fail', 'any'), the programs that it needs. The command
runs in /SERVICE/ with $S and $S2 (different pprofs), $T (folded lines), $BIG (folded, some MB), $W (a scratch directory) and
$M (the mount). The patterns are orders of operations as the filesystem sees them; a quick run tries the first of each.
"""

PY = 'python3 -c "import os,sys,mmap,shutil,subprocess,time; S=os.environ[\'S\']; d=open(S,\'rb\').read(); %s"'


def py(code):
    return PY % code.replace('"', '\\"')


WRITERS = [
    # create, write, flush, release
    ('cp', 'plain', 'cp $S f', 1, 'ok', 'cp'),
    ('cp big', 'plain', 'cp $BIG f', 1, 'ok', 'cp'),
    ('cp overwrite', 'overwrite', 'cp $S f; cp $S2 f', 2, 'ok', 'cp'),
    ('cp -f', 'plain', 'cp -f $S f', 1, 'ok', 'cp'),
    ('tee', 'plain', 'cat $S | tee f >/dev/null', 1, 'ok', 'tee'),
    ('tee -a', 'plain', 'cat $S | tee -a f >/dev/null', 1, 'ok', 'tee'),
    ('busybox cp', 'plain', 'busybox cp $S f', 1, 'ok', 'busybox'),
    ('python', 'plain', py("f=open('f','wb');f.write(d);f.close()"), 1, 'ok', 'python3'),
    ('node writeFileSync', 'plain', "node -e 'fs.writeFileSync(\"f\",fs.readFileSync(process.env.S))'", 1, 'ok', 'node'),
    ('node stream', 'plain', "node -e 'fs.createReadStream(process.env.S).pipe(fs.createWriteStream(\"f\"))'", 1, 'ok', 'node'),
    ('curl -o', 'plain', 'curl -s -o f file://$S', 1, 'ok', 'curl'),
    ('curl -o, an error page', 'junk', 'curl -s -o f file://$W/page.html', 0, 'fail', 'curl'),
    ('sponge', 'plain', 'cat $S | sponge f', 1, 'ok', 'sponge'),
    ('openssl -out', 'junk', 'openssl dgst -sha256 -out f $S', 0, 'any', 'openssl'),
    ('zstd -o', 'metadata after', 'zstd -q $S -o f', None, 'any', 'zstd'),
    ('go tool pprof -output', 'plain', 'go tool pprof -proto -output=f $S >/dev/null 2>&1', 1, 'ok', 'go'),
    ('go runtime/pprof', 'many writes', '$W/goprof f', 1, 'ok', 'go'),
    # a redirection: the shell flushes before anything is written
    ('cat > f', 'redirect', 'cat $S > f', 1, 'ok', 'cat'),
    ('echo > f', 'redirect', "echo 'main;work 3' > f", 1, 'ok', 'bash'),
    ('gzip -c > f', 'redirect', 'gzip -c $BIG > f', 1, 'ok', 'gzip'),
    ('curl > f', 'redirect', 'curl -s file://$S > f', 1, 'ok', 'curl'),
    ('pv > f', 'redirect', 'pv -q $S > f', 1, 'ok', 'pv'),
    ('dash echo > f', 'redirect', "dash -c 'echo \"main;work 3\" > f'", 1, 'ok', 'dash'),
    ('zsh echo > f', 'redirect', "zsh -fc 'echo \"main;work 3\" > f'", 1, 'ok', 'zsh'),
    ('zsh cat > f', 'redirect', "zsh -fc 'cat $S > f'", 1, 'ok', 'zsh'),
    ('fish echo > f', 'redirect', "fish -c 'echo \"main;work 3\" > f'", 1, 'ok', 'fish'),
    ('fish cat > f', 'redirect', "fish -c 'cat $S > f'", 1, 'ok', 'fish'),
    ('>> f', 'append', 'cat $S >> f; cat $S2 >> f', 2, 'ok', 'cat'),
    ('rsync --append', 'append', 'head -c 1000 $S > f; rsync --append $S f', 1, 'ok', 'rsync'),
    # dup2 and close before the first write
    ('dd', 'dup', 'dd if=$S of=f bs=1k status=none', 1, 'ok', 'dd'),
    ('dd conv=fsync', 'fsync', 'dd if=$S of=f bs=64k conv=fsync status=none', 1, 'ok', 'dd'),
    ('dd oflag=direct', 'dup', 'dd if=$S of=f bs=4096 oflag=direct status=none', 1, 'any', 'dd'),
    ('dd conv=notrunc', 'in place', 'cp $S f; dd if=/dev/zero of=f bs=1 seek=10 count=5 conv=notrunc status=none', 1, 'fail', 'dd'),
    ('sort -o', 'dup', 'sort -o f $BIG', 1, 'ok', 'sort'),
    ('python subprocess', 'dup', py("f=open('f','wb');subprocess.run(['cat',S],stdout=f);f.close()"), 1, 'ok', 'python3'),
    ('flock', 'dup', 'flock f true', 0, 'ok', 'flock'),
    # several processes with one open file
    ('(cat; cat) > f', 'group', '(cat $S; cat $S2) > f', 2, 'ok', 'cat'),
    ('{ cat; sleep; cat; } > f', 'group', '{ cat $S; sleep 0.2; cat $S2; } > f', 2, 'ok', 'cat'),
    ('for > f', 'group', 'for s in $S $S2; do cat $s; done > f', 2, 'ok', 'cat'),
    ('halves in a group', 'group', '(head -c 700 $S; tail -c +701 $S) > f', 1, 'ok', 'head'),
    ('exec 3>', 'exec', "exec 3>f; echo 'main;a 1' >&3; echo 'main;b 2' >&3; exec 3>&-", 2, 'ok', 'bash'),
    ('background pipeline', 'late', "(sleep 0.2; cat $S) > f & wait", 1, 'ok', 'bash'),
    ('outlives its shell', 'late', 'bash -c "(sleep 0.3; cat $S) > f & exit"; sleep 0.8', 1, 'ok', 'bash'),
    ('fork while writing', 'fork', py("f=os.open('f',os.O_CREAT|os.O_WRONLY);os.write(f,d[:900]);p=os.fork();"
                                      "p or os._exit(0);os.waitpid(p,0);os.write(f,d[900:]);os.close(f)"), 1, 'ok', 'python3'),
    # attributes around the data
    ('cp -p', 'metadata before', 'cp -p $S f', 1, 'ok', 'cp'),
    ('cp -a', 'metadata before', 'cp -a $S f', 1, 'ok', 'cp'),
    ('mv from elsewhere', 'metadata before', 'cp $S $W/x.pb.gz; mv $W/x.pb.gz f; ! [ -e $W/x.pb.gz ]', 1, 'ok', 'mv'),
    ('tar x', 'metadata before', 'tar cf $W/x.tar -C $W s.pb.gz; tar xf $W/x.tar', 1, 'ok', 'tar'),
    ('tar xp', 'metadata before', 'tar cf $W/x.tar -C $W s.pb.gz; tar xpf $W/x.tar', 1, 'ok', 'tar'),
    ('cpio -i', 'metadata before', 'd=$PWD; cd $W; echo s.pb.gz | cpio -o --quiet > x.cpio; cd $d; cpio -i --quiet < $W/x.cpio',
     1, 'ok', 'cpio'),
    ('install', 'metadata after', 'install -m 644 $S f', 1, 'ok', 'install'),
    ('shutil.copy', 'metadata after', py("shutil.copy(S,'f')"), 1, 'ok', 'python3'),
    ('shutil.copy2', 'metadata after', py("shutil.copy2(S,'f')"), 1, 'ok', 'python3'),
    ('unzip', 'metadata after', 'zip -q -j $W/x.zip $S; unzip -q $W/x.zip', 1, 'ok', 'zip unzip'),
    ('xz -k', 'metadata before', 'cp $S f; xz -k f', 1, 'fail', 'xz'),
    ('gzip in place', 'metadata before', 'cp $BIG f; gzip f', 2, 'ok', 'gzip'),
    # a temporary name, then a rename
    ('rsync', 'rename', 'rsync $S f', 1, 'ok', 'rsync'),
    ('rsync -a', 'rename', 'rsync -a $S f', 1, 'ok', 'rsync'),
    ('rsync -a a directory', 'rename', 'mkdir $W/d; cp $S $W/d/p1.pb.gz; cp $S2 $W/d/p2.pb.gz; rsync -a $W/d/ ./', 2, 'ok', 'rsync'),
    ('rsync --delay-updates', 'staging folder', 'rsync --partial --delay-updates $S .', 1, 'ok', 'rsync'),
    ('rsync again', 'rename', 'rsync -a $S f; rsync -a $S f; rsync -ac $S f', 1, 'ok', 'rsync'),
    ('sed -i', 'rename visible', "echo 'main;a 1' > f; sed -i s/1/2/ f", 2, 'ok', 'sed'),
    ('perl -i', 'rename visible', "echo 'main;a 1' > f; perl -pi -e s/1/2/ f", 2, 'ok', 'perl'),
    ('mv within', 'move', 'cp $S a; mv a b; cmp b $S', 1, 'ok', 'mv'),
    ('a browser\'s download', 'rename', 'cp $S f.crdownload; mv f.crdownload f', 1, 'ok', 'mv'),
    # in place
    ('rsync --inplace', 'in place', 'rsync --inplace $S f', 1, 'ok', 'rsync'),
    ('vim :w', 'editor', "vim -es -u NONE -i NONE -n -c 'e f' -c 'normal imain;work 3' -c w -c 'q!'", 1, 'ok', 'vim'),
    ('vim edits', 'editor', "cp $T f; vim -es -u NONE -i NONE -c 'e f' -c 'normal ix' -c 'w!' -c 'q!'", 2, 'ok', 'vim'),
    ('vim with swap and backup', 'editor',
     "cp $T f; vim -N -u NONE -i NONE -es -c 'set swapfile backup writebackup' -c 'e f' -c 'normal ix' -c 'w!' -c 'q!'",
     2, 'any', 'vim'),
    ('emacs', 'editor', "cp $T f; emacs -Q --batch f --eval '(progn (insert \"x\") (save-buffer))' 2>/dev/null", 2, 'ok', 'emacs'),
    ('nano', 'editor', 'nano --version >/dev/null', 0, 'ok', 'nano'),
    # no data
    ('touch', 'no data', 'touch f', 0, 'ok', 'touch'),
    ('touch what was written', 'no data', 'cp $S f; touch f', 1, 'ok', 'touch'),
    ('> f', 'no data', '> f', 0, 'ok', 'bash'),
    ('truncate -s', 'no data', 'truncate -s 100 f', 0, 'ok', 'truncate'),
    ('fallocate', 'no data', 'fallocate -l 4096 f', 0, 'fail', 'fallocate'),
    ('ln', 'refused', 'cp $S f; ln f g', 1, 'fail', 'ln'),
    ('ln -s', 'refused', 'ln -s $S l', 0, 'fail', 'ln'),
    ('editor litter', 'litter', 'for n in ._x .DS_Store 4913 x~ .x.swp x.tmp "#x#"; do echo litter > "$n" && rm "$n" || exit 1; done;'
     'ln -s me@host .#x; rm .#x', 0, 'ok', 'rm'),
    ('shared memory', 'mmap', py("f=os.open('f',os.O_CREAT|os.O_RDWR);os.ftruncate(f,len(d));m=mmap.mmap(f,len(d));m[:]=d"),
     0, 'fail', 'python3'),
    # writers that end otherwise
    ('exit without close', 'exit', py("f=os.open('f',os.O_CREAT|os.O_WRONLY);os.write(f,d);os._exit(0)"), 1, 'ok', 'python3'),
    ('exit with threads', 'exit of threads', py("import threading;[threading.Thread(target=time.sleep,args=(9,)).start() for i in range(6)];"
                                                "f=os.open('f',os.O_CREAT|os.O_WRONLY);os.write(f,d);os._exit(0)"), 1, 'ok', 'python3'),
    ('SIGTERM with threads', 'killed threads', py("import threading;[threading.Thread(target=time.sleep,args=(9,)).start() for i in range(6)];"
                                                  "f=os.open('f',os.O_CREAT|os.O_WRONLY);os.write(f,d);os.kill(os.getpid(),15)"), 0, 'fail',
     'python3'),
    ('kill -9', 'killed', py("f=os.open('f',os.O_CREAT|os.O_WRONLY);os.write(f,d);os.kill(os.getpid(),9)"), 0, 'fail', 'python3'),
    ('SIGTERM', 'killed', py("f=os.open('f',os.O_CREAT|os.O_WRONLY);os.write(f,d);os.kill(os.getpid(),15)"), 0, 'fail', 'python3'),
    ('SIGSEGV', 'killed', py("f=os.open('f',os.O_CREAT|os.O_WRONLY);os.write(f,d);os.kill(os.getpid(),11)"), 0, 'fail', 'python3'),
    ('killed after a part', 'killed', "bash -c '(cat $S; exec sleep 5) > f' & sleep 0.3; pkill -9 -P $!; kill -9 $!; wait", 1, 'any', 'pkill'),
]

# Every writer that looks at the status of close() fails on these: what is written, and what is said of it.
JUDGED = [
    ('cp', 'cp $X f'), ('cp -p', 'cp -p $X f'), ('mv', 'cp $X $W/x2; mv $W/x2 f'), ('install', 'install -m 644 $X f'),
    ('rsync', 'rsync $X f'), ('rsync --inplace', 'rsync --inplace $X f'), ('cat > f', 'cat $X > f'),
    ('>> f', 'cat $X >> f'), ('tee', 'cat $X | tee f >/dev/null; exit ${PIPESTATUS[1]}'),
    ('dd', 'dd if=$X of=f status=none'), ('dd conv=fsync', 'dd if=$X of=f conv=fsync status=none'),
    ('python', "python3 -c \"f=open('f','wb');f.write(open('$X','rb').read());f.close()\""),
    ('shutil.copy', "python3 -c \"import shutil;shutil.copy('$X','f')\""), ('curl -o', 'curl -s -o f file://$X'),
    ('busybox cp', 'busybox cp $X f'), ('sort -o', 'sort -o f $X'),
    ('node', "node -e 'fs.writeFileSync(\"f\",fs.readFileSync(process.env.X))'"),
    ('zsh cat > f', "zsh -fc 'cat $X > f'"), ('fish cat > f', "fish -c 'cat $X > f'"),
    ('tar x', 'cp $X $W/y; tar cf $W/y.tar -C $W y; tar xf $W/y.tar'),
]
