#!/usr/bin/env python3
"""A job that others preempt: it hears of it, writes where it is, waits again, and goes on from there
when the other one has ended."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import Cluster, Tap, eventually

tap = Tap()

# Counts; when it is told to stop it writes where it is and ends well.
COUNTER = r"""
import os, signal, sys, time
path = sys.argv[1]
step = int(open(path).read()) if os.path.exists(path) else 0
print("begins at", step, flush=True)
def stop(*_):
    with open(path + ".new", "w") as f:
        f.write(str(step))
    os.rename(path + ".new", path)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
while not os.path.exists(path + ".end"):
    step += 1
    time.sleep(0.01)
print("ends after", step, flush=True)
"""


def why(c, job):
    return c.ctl("job", "why", str(job)).stdout


def events(c, job):
    return "; ".join(e["text"] for e in c.api("GET", f"/v1/jobs/{job}/events")[1]["events"])


def checkpointed(c):
    path = c.file("counter")
    low = c.submit("-c", "4", "-n", "1", "--qos", "low", "--grace", "20s", "--", sys.executable, "-c",
                   COUNTER, path)
    tap.ok(eventually(lambda: "begins at 0" in c.ctl("logs", str(low)).stdout), "a job runs")
    plan = c.api("POST", "/v1/plan", {"changes": [{"submit": {"argv": ["true"], "cpus": 4,
                                                              "qos": "high"}}]})[1]
    tap.equal([(j["id"], j["effect"]) for j in plan["jobs"] if j["id"]], [(low, "preempted")],
              "a plan says that it would be preempted")
    tap.equal(c.state(low), "running", "and changes nothing")
    high = c.submit("-c", "4", "--qos", "high", "--", "sleep", "3")
    tap.ok(eventually(lambda: c.state(high) == "running"), "one that may preempt it starts")
    tap.ok(os.path.exists(path), "it has written a checkpoint")
    job = c.job(low)
    tap.equal(job["state"], "pending", "it waits again")
    for said, where in ((why(c, low), "why"), (events(c, low), "its events")):
        tap.ok(f"was preempted by job {high}" in said, f"{where} tell by whom it was preempted", said)
    tap.ok(f"job {high} preempts 1 job: {low}" in events(c, high), "as of the other one", events(c, high))
    tap.ok(eventually(lambda: c.state(low) == "running", 20), "it runs again when that has ended")
    step = int(c.read("counter"))
    tap.ok(eventually(lambda: f"begins at {step}" in c.ctl("logs", str(low)).stdout),
           "from where it was", step)
    tap.ok(step > 0, "which is not the beginning")
    open(path + ".end", "w", encoding="utf-8").close()
    tap.equal(c.wait(low), 0, "and succeeds")


def cancelled(c):
    c.ctl("qos", "set", "low", "preempt_mode=cancel")
    low = c.submit("-c", "4", "--qos", "low", "--grace", "20s", "--", "sh", "-c",
                   "trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done")
    tap.ok(eventually(lambda: c.state(low) == "running"), "a job whose QoS says cancel")
    eventually(lambda: False, 0.5)
    high = c.submit("-c", "4", "--qos", "high", "--", "true")
    tap.ok(eventually(lambda: "waits until 1 job that it preempts have stopped" in why(c, high)),
           "the one that preempts it waits until it has stopped", why(c, high))
    tap.ok(eventually(lambda: c.state(low) == "cancelled"), "it is cancelled")
    tap.ok(f"was preempted by job {high}" in c.ctl("job", "show", str(low)).stdout, "with the reason",
           c.ctl("job", "show", str(low)).stdout)
    tap.equal(c.wait(high), 0, "and the other one runs")


with Cluster(nodes=1, cpus=4) as cluster:
    cluster.ctl("qos", "create", "low")
    cluster.ctl("qos", "create", "high", "priority=10", "preempts=low")
    run = cluster.ctl("qos", "set", "low", "preempts=high")
    tap.ok(run.returncode != 0 and "preempt itself" in run.stderr, "no QoS preempt each other", run.stderr)
    checkpointed(cluster)
    cancelled(cluster)
tap.done()
