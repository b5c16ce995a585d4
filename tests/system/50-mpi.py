#!/usr/bin/env python3
"""MPI programs launched by the shepherds: right size and ranks, right ends, nothing left."""
import glob
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import BIN, Cluster, Tap, eventually, processes

PROGRAM = r"""
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int rank, size, sum = 0;
    if (strcmp(what, "early") == 0 && getenv("RANK")[0] == '1')
        return 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    printf("%d/%d:%d\n", rank, size, sum);
    fflush(stdout);
    if (strcmp(what, "abort") == 0 && rank == size - 1)
        MPI_Abort(MPI_COMM_WORLD, 7);
    if (strcmp(what, "crash") == 0 && rank == 0)
        raise(11);
    if (strcmp(what, "exit") == 0 && rank == 0)
        exit(3);
    if (*what)
        MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
    return 0;
}
"""

tap = Tap()
if not shutil.which("mpicc"):
    print("1..0 # SKIP there is no mpicc")
    sys.exit(0)


def lines(size):
    total = size * (size - 1) // 2
    return sorted(f"{r}/{size}:{total}" for r in range(size))


def ends(c, hello, what, code, words):
    begin = time.monotonic()
    run = c.ctl("run", "-n", "4", "-N", "2", "--grace", "1s", "--", hello, what)
    took = time.monotonic() - begin
    tap.equal(run.returncode, code, f"{what}: the exit code")
    tap.ok(words in run.stderr, f"{what}: why", run.stderr)
    tap.ok(took < 4, f"{what}: it does not hang", took)


with Cluster(nodes=4, cpus=2) as c:
    source, hello = c.file("hello.c"), c.file("hello")
    with open(source, "w", encoding="utf-8") as f:
        f.write("#include <signal.h>\n" + PROGRAM)
    subprocess.run(["mpicc", "-w", "-o", hello, source], check=True)
    for nodes, tasks in ((1, 2), (2, 2), (2, 4), (4, 4), (4, 8)):
        run = c.ctl("run", "-n", str(tasks), "-N", str(nodes), "--", hello)
        tap.equal((run.returncode, sorted(run.stdout.split())), (0, lines(tasks)),
                  f"{tasks} tasks on {nodes} nodes: size, ranks and sum")
    ends(c, hello, "abort", 7, "MPI_Abort with code 7")
    ends(c, hello, "crash", 139, "signal 11")
    ends(c, hello, "exit", 3, "exit code 3")
    ends(c, hello, "early", 1, "without MPI_Init")
    for _ in range(10):
        c.ctl("run", "-n", "4", "-N", "2", "--grace", "1s", "--", hello, "crash")
    tap.ok(eventually(c.all_free), "after ten crashes in a row everything is free")
    tap.equal(c.shepherd_pids(), [], "and no shepherd hangs")
    left = [p for uid in c.sql("select printf('%016x', uid) from job").split()
            for p in glob.glob(f"/dev/shm/muster-{uid}.*") + glob.glob(f"/tmp/muster-*/{uid}.*")]
    tap.equal(left, [], "nothing is left in /dev/shm nor in /tmp")

    data = "/usr/share/datasets/fashion-mnist"
    if os.path.isdir(data):
        run = c.ctl("run", "-n", "2", "-N", "2", "--", os.path.join(BIN, "muster-ml"), "train",
                    "--epochs", "1", timeout=120)
        last = run.stdout.strip().splitlines()[-1:] or [""]
        accuracy = float(last[0].split()[2]) if last[0].startswith("test accuracy") else 0
        tap.ok(run.returncode == 0 and accuracy >= 82,
               "2 tasks on 2 nodes train Fashion-MNIST to at least 82 %", run.stdout + run.stderr)
        losses = []
        for tasks in (1, 2):
            run = c.ctl("run", "-n", str(tasks), "-N", str(tasks), "--mpi", "pmix", "--",
                        os.path.join(BIN, "muster-ml"), "train", "--steps", "50", "--log", "json",
                        timeout=120)
            losses.append([float(x.split('"loss":')[1].rstrip("}")) for x in run.stdout.splitlines()
                           if x.startswith('{"step"')])
        worst = max((abs(a - b) / a for a, b in zip(*losses)), default=1)
        tap.ok(len(losses[0]) == len(losses[1]) == 50 and worst < 1e-4,
               f"1 and 2 tasks follow the same loss for 50 steps ({worst:.1e})", losses)
    else:
        tap.skip("training", "dataset-fashion-mnist is not installed")

    # A gang of which one node cannot prepare.
    blocked = os.path.join(c.root, "nodes", "n3", "spool")
    os.rename(blocked, blocked + ".away")
    with open(blocked, "w", encoding="utf-8"):
        pass
    c.ctl("node", "drain", "n4", "--reason", "test")
    job = c.submit("-n", "3", "-N", "3", "--", "sh", "-c", f"echo ran >> {c.file('ran')}")
    c.wait(job)
    shown = c.job(job)
    tap.ok(shown["state"] == "failed" and "n3" in shown["reason"]["text"],
           "one preparation fails: the reason names the node", shown["reason"])
    tap.equal(c.read("ran"), "", "and nothing ran")
    os.unlink(blocked)
    os.rename(blocked + ".away", blocked)
tap.equal([p for root in Cluster.roots for p in processes(root)], [], "no process is left")
tap.done()
