#!/usr/bin/env python3
"""100 crashes of an MPI job in a row on two nodes: no shepherd hangs, everything is free, nothing
stays in /dev/shm nor in /tmp. Some ranks never come, some die with a window open."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from muster import Cluster, Tap, compile_mpi, eventually, mpi_files, processes

COUNT = int(os.environ.get("CRASHES", "100"))
# What the program does, and the exit code of its job.
WAYS = (("crash", 139), ("abort 7", 7), ("window", 139), ("exit", 3), ("early", 1), ("spawn", 1))

tap = Tap()
with Cluster(nodes=2, cpus=2) as c:
    mpi = compile_mpi(c)
    wrong, slowest = [], 0
    for i in range(COUNT):
        what, code = WAYS[i % len(WAYS)]
        begin = time.monotonic()
        run = c.ctl("run", "-n", "4", "-N", "2", "--grace", "1s", "--", mpi, *what.split(), timeout=60)
        slowest = max(slowest, time.monotonic() - begin)
        if run.returncode != code:
            wrong.append((i, what, run.returncode, run.stderr[-300:]))
    tap.equal(wrong, [], f"{COUNT} crashes, each with its exit code")
    tap.ok(slowest < 5, f"none takes long: the slowest {slowest:.1f} s")
    tap.ok(eventually(c.all_free), "everything is free")
    tap.equal(c.shepherd_pids(), [], "no shepherd hangs")
    tap.equal(processes(mpi), [], "no task is left")
    tap.equal(mpi_files(c), [], "nothing of the jobs is left in /dev/shm nor in /tmp")
    run = c.ctl("run", "-n", "4", "-N", "2", "--", mpi, "good", "2", c.file("file"))
    tap.equal(run.returncode, 0, "the next MPI job runs well")
tap.done()
