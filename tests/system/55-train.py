#!/usr/bin/env python3
"""Training that goes on: a node lost in the middle, a stop request, a checkpoint of another."""
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import BIN, Cluster, Tap, cmdline, eventually, processes

tap = Tap()
ML = os.path.join(BIN, "muster-ml")
if not os.path.isdir("/usr/share/datasets/fashion-mnist"):
    print("1..0 # SKIP dataset-fashion-mnist is not installed")
    sys.exit(0)
EPOCH_STEPS = -(-60_000 // 32)
TRAIN = (ML, "train", "--hidden", "64", "--epochs", "4", "--checkpoint-every", "100ms")


def last(text):
    """What the training ended with: its parameters' checksum."""
    found = re.findall(r"parameters ([0-9a-f]{8})", text)
    return found[-1] if found else ""


def environ(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as f:
            return f.read().split(b"\0")
    except OSError:
        return []


def power_off(c, node):
    """Everything of the node at once, as when its machine loses power. Tasks of other clusters, which
    may run beside this one, keep their checkpoints elsewhere."""
    daemons = [p for p in processes(c.root) if f" {node} " in cmdline(p) + " "]
    mark = f"MUSTER_NODE={node}".encode()
    tasks = [p for p in processes(ML, c.dir) if mark in environ(p)]
    for pid in daemons + tasks:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    return len(tasks)


def step(where):
    try:
        with open(os.path.join(where, "claim"), encoding="utf-8") as f:
            return int(f.read().split()[2])
    except (OSError, IndexError, ValueError):
        return -1


def node_lost(c):
    run = c.ctl("run", "-n", "2", "--", *TRAIN, timeout=120)
    unbroken = last(run.stdout)
    tap.ok(run.returncode == 0 and unbroken, "a training without a fault", run.stderr)
    where = c.file("run")
    job = c.submit("-n", "2", "--on-lost", "requeue:10s", "--", *TRAIN, "--checkpoint", where)
    tap.ok(eventually(lambda: step(where) > 200, 60), "the same with checkpoints")
    node = c.job(job)["nodes"]
    tap.equal(power_off(c, node), 2, f"both tasks die with {node}")
    tap.equal(c.wait(job, timeout=90), 0, "the job completes all the same")
    shown = c.job(job)
    tap.ok(shown["attempt"] == 2 and shown["nodes"] != node, "as attempt 2 on the other node", shown)
    out = c.ctl("logs", str(job)).stdout
    resumed = re.search(r"resumed from the checkpoint of step (\d+)", out)
    tap.ok(resumed and int(resumed.group(1)) > 200, "from its checkpoint, by itself", out[-2000:])
    tap.equal(last(out), unbroken, "to the same parameters, bit for bit")
    reported = [c.api("GET", f"/v1/jobs/{job}/metrics?task=0&attempt={n}")[1] for n in (1, 2)]
    tap.ok(all(r["samples"] for r in reported) and reported[1]["series"][0]["progress"] == 1
           and reported[0]["series"][0]["progress"] < 1,
           "what both attempts reported is kept apart", reported)
    c.up()


def stopped(c):
    where = c.file("stopped")
    job = c.submit("-n", "2", "--grace", "10s", "--", *TRAIN, "--checkpoint", where)
    eventually(lambda: step(where) > 50, 60)
    c.ctl("job", "cancel", str(job))
    c.wait(job)
    at = step(where)
    logs = c.ctl("logs", str(job))
    tap.ok(f"stopped as asked after step {at}, with a checkpoint" in logs.stderr,
           "a stop request ends with a checkpoint of that step", logs.stdout[-500:] + logs.stderr)
    tap.ok(f"epoch {at // EPOCH_STEPS + 1}/4  train loss" not in logs.stdout,
           "at once: the epoch is not judged first", logs.stdout[-500:])
    run = c.ctl("run", "-n", "2", "--", *TRAIN, "--checkpoint", where, timeout=60)
    tap.ok(run.returncode == 2 and "--resume" in run.stderr, "another job does not take it by itself",
           run.stderr)
    run = c.ctl("run", "-n", "2", "--", *TRAIN, "--checkpoint", where, "--resume", timeout=60)
    tap.ok(run.returncode == 0 and f"step {at}" in run.stdout, "but on request", run.stdout[-500:])
    run = c.ctl("run", "--", *TRAIN, "--hidden", "32", "--checkpoint", where, "--resume", timeout=60)
    tap.ok(run.returncode == 3 and "[64][784] there, [32][784] here" in run.stderr,
           "and only for the same network", run.stderr)


def evaluated(c):
    model = c.file("model.safetensors")
    run = c.ctl("run", "-n", "2", "--", ML, "train", "--steps", "200", "--save", model, timeout=60)
    trained = run.stdout.strip().splitlines()[-1:]
    for tasks in (1, 2, 3):
        run = c.ctl("run", "-n", str(tasks), "--mpi", "pmix", "--", ML, "eval", model, timeout=60)
        tap.equal(run.stdout.strip().splitlines()[-1:], trained,
                  f"eval with {tasks} tasks says what train said")
    run = subprocess.run([ML, "eval", model, "--data", c.dir], capture_output=True, text=True)
    tap.ok(run.returncode == 3 and c.dir in run.stderr, "a directory without data is named",
           run.stderr)


with Cluster(nodes=2, cpus=3) as cluster:
    node_lost(cluster)
    stopped(cluster)
    evaluated(cluster)
tap.equal([p for root in Cluster.roots for p in processes(root)], [], "no process is left")
tap.done()
