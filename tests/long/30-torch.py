#!/usr/bin/env python3
"""A real PyTorch over Gloo on two nodes: it finds its peers by what Muster puts in its environment."""
import os
import sys

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path[:0] = [TESTS, os.path.join(TESTS, "system")]
from muster import Cluster, Tap
from torch_env import python

PROGRAM = r"""
import os
import torch
import torch.distributed as dist

dist.init_process_group("gloo")  # RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT
rank, size = dist.get_rank(), dist.get_world_size()
t = torch.arange(100000, dtype=torch.float64) * (rank + 1)
dist.all_reduce(t)
good = torch.equal(t, torch.arange(100000, dtype=torch.float64) * (size * (size + 1) // 2))
print(f"{rank}/{size} {'sum' if good else 'wrong'} {os.environ['MUSTER_NODE']}", flush=True)
dist.destroy_process_group()
"""

tap = Tap()
interpreter = python()
if not interpreter:
    print("1..0 # SKIP there is no PyTorch")
    sys.exit(0)


def said(c, job):
    return sorted(c.ctl("logs", "-a", "--stdout", str(job)).stdout.splitlines())


with Cluster(nodes=2, cpus=4) as c:
    with open(c.file("all_reduce.py"), "w", encoding="utf-8") as f:
        f.write(PROGRAM)
    program = (interpreter, c.file("all_reduce.py"))
    run = c.ctl("run", "-n", "2", "-N", "2", "--time", "120s", "--", *program, timeout=150)
    tap.equal((run.returncode, sorted(run.stdout.splitlines())), (0, ["0/2 sum n1", "1/2 sum n2"]),
              "an all-reduce over two nodes has the right sum")
    run = c.ctl("run", "--time", "120s", "--", *program, timeout=150)
    tap.equal((run.returncode, run.stdout.split()[:2]), (0, ["0/1", "sum"]), "one task alone works too")
    jobs = [c.submit("-n", "4", "-N", "2", "--time", "120s", "--mpi", "none", "--", *program)
            for _ in range(2)]
    tap.equal(c.wait(*jobs, timeout=150), 0, "two trainings at once on the same nodes")
    tap.equal([[line[:7] for line in said(c, j)] for j in jobs],
              [[f"{r}/4 sum" for r in range(4)]] * 2, "don't meet each other")
tap.done()
