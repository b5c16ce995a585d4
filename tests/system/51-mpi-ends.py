#!/usr/bin/env python3
"""MPI programs that end badly, on one, two and four nodes: every rank ends, soon, with the right code
and reason; nothing stays."""
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import Cluster, Tap, compile_mpi, eventually, mpi_files, processes

GRACE_S = 1
WITHIN_S = 2  # the grace time included
tap = Tap()
if not shutil.which("mpicc"):
    print("1..0 # SKIP there is no mpicc")
    sys.exit(0)

# What the program does, its exit code, the reason; flags, and how long it may run by itself.
ENDS = [
    ("abort 7", 7, "task 3 called MPI_Abort with code 7"),
    ("abort 0", 1, "task 3 called MPI_Abort with code 0"),
    ("abort 300", 44, "task 3 called MPI_Abort with code 300"),
    ("exit", 3, "task 0 ended with exit code 3"),
    ("crash", 139, "task 0 was killed by signal 11"),
    ("window", 139, "task 0 was killed by signal 11"),
    ("unfinished", 1, "task 3 ended without MPI_Finalize"),
    ("early", 1, "task 1 ended without MPI_Init"),
    ("spawn", 1, "task 0 called MPI_Comm_spawn, which is not supported"),
    ("stop", 1, "reached its time limit of 1 s", ["--time", "1s"], 1),
]


def ends(c, mpi, shape, what, code, words, flags=(), by_itself_s=0):
    on = f"{what}, {shape[1]} tasks on {shape[3]} nodes"
    begin = time.monotonic()
    run = c.ctl("run", *shape, "--grace", f"{GRACE_S}s", *flags, "--", mpi, *what.split())
    took = time.monotonic() - begin
    job = max(c.jobs(), key=lambda j: j["id"])
    tap.equal((run.returncode, job["exit_code"]), (code, code), f"{on}: the exit code")
    tap.ok(words in run.stderr and words in job["reason"]["text"], f"{on}: why", run.stderr)
    tap.ok(took < by_itself_s + WITHIN_S, f"{on}: it does not hang", took)
    tap.equal((processes(mpi), c.wait(job["id"])), ([], 1), f"{on}: no task is left")


def mpirun_inside(c, mpi):
    """The way that the refusal of MPI_Comm_spawn names."""
    allow = ["--env", "OMPI_ALLOW_RUN_AS_ROOT=1", "--env", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"]
    run = c.ctl("run", "--mpi", "none", "--time", "30s", *allow, "--", "mpirun", "--oversubscribe",
                "-np", "2", mpi, "good", "2", c.file("file"), timeout=60)
    tap.equal((run.returncode, sorted(run.stdout.splitlines())),
              (0, [f"{r}/2 reduce ring split shared put file" for r in range(2)]),
              "mpirun works in a job of one task")


with Cluster(nodes=4, cpus=4) as c:
    mpi = compile_mpi(c)
    for nodes in ("1", "2", "4"):
        for end in ENDS:
            ends(c, mpi, ("-n", "4", "-N", nodes), *end)
    ends(c, mpi, ("-n", "2", "-N", "2"), "early", 1, "task 1 ended without MPI_Init")
    mpirun_inside(c, mpi)
    for _ in range(10):
        c.ctl("run", "-n", "4", "-N", "2", "--grace", "1s", "--", mpi, "crash")
    tap.ok(eventually(c.all_free), "after ten crashes in a row everything is free")
    tap.equal(c.shepherd_pids(), [], "and no shepherd hangs")
    tap.equal(mpi_files(c), [], "nothing is left in /dev/shm nor in /tmp")
tap.equal([p for root in Cluster.roots for p in processes(root)], [], "no process is left")
tap.done()
