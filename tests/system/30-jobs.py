#!/usr/bin/env python3
"""Plain jobs on real processes: what a user sees, and that nothing is left."""
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import Cluster, Tap, eventually, processes, select_pause

tap = Tap()


def simple(c):
    run = c.ctl("run", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    tap.equal((run.returncode, run.stdout), (3, "out\n"), "run gives output and exit code")
    tap.ok("err\n" in run.stderr, "run gives standard error", run.stderr)
    run = c.ctl("run", "--", "sh", "-c", "kill -9 $$")
    tap.equal(run.returncode, 137, "run gives 128 + signal")
    run = c.ctl("run", "--", "./there-is-no-such-program")
    tap.ok(run.returncode == 2 and "there-is-no-such-program" in run.stderr,
           "a program that does not exist is named", run.stderr)
    run = c.ctl("run", "--no-check", "--", "/there/is/none")
    tap.ok(run.returncode == 1 and "/there/is/none" in run.stderr,
           "the same when only the node finds out", f"{run.returncode} {run.stderr}")
    run = c.ctl("submit", "-n", "3", "-N", "3", "-c", "2", "--", "true")
    tap.ok(run.returncode == 4 and "needs 3 nodes with 2 cores; the cluster has 2" in run.stderr,
           "what can never run is refused with numbers", f"{run.returncode} {run.stderr}")
    job = c.submit("-n", "3", "-N", "3", "--allow-unsatisfiable", "--", "true")
    tap.equal(c.state(job), "pending", "unless that is allowed")
    tap.ok("3 nodes" in c.ctl("job", "why", str(job)).stdout, "and why says it")
    tap.equal(c.ctl("job", "cancel", str(job)).returncode, 0, "a pending job is cancelled")
    tap.equal(c.state(job), "cancelled", "at once")


def environment(c):
    run = c.ctl("run", "-n", "2", "-N", "2", "--mpi", "none", "--env", "MINE=7", "--", "sh", "-c",
                "echo $MUSTER_TASK/$MUSTER_TASKS $MUSTER_NODE $MINE $RANK $WORLD_SIZE")
    tap.equal(sorted(run.stdout.split("\n")),
              ["", "0/2 n1 7 0 2", "1/2 n2 7 1 2"], "tasks know their place")
    run = c.ctl("run", "--", "env", env={"OF_THE_SUBMITTER": "1"})
    tap.ok("OF_THE_SUBMITTER" not in run.stdout, "the submitter's environment stays with him")
    run = c.ctl("run", "--env-all", "--", "env", env={"OF_THE_SUBMITTER": "1"})
    tap.ok("OF_THE_SUBMITTER=1" in run.stdout, "unless he asks for it")


def spared():
    """An agent that the kernel shall spare: its tasks are not spared with it."""
    own = "/proc/self/oom_score_adj"
    with open(own, encoding="utf-8") as f:
        before = f.read()
    try:
        with open(own, "w", encoding="utf-8") as f:
            f.write("-900")
    except OSError:
        tap.skip("an agent that is spared", "the score cannot be lowered here")
        return
    try:
        with Cluster(nodes=1, cpus=1) as c:
            run = c.ctl("run", "--", "cat", own)
            tap.equal(run.stdout, "0\n", "no task is spared when memory runs out")
    finally:
        with open(own, "w", encoding="utf-8") as f:
            f.write(before)


def time_limit(c):
    run = c.ctl("run", "--time", "500ms", "--grace", "300ms", "--", "sh", "-c",
                "trap '' TERM; sleep 100 & while :; do wait; done")
    tap.ok("time limit" in run.stderr, "a time limit ends what ignores SIGTERM", run.stderr)


def hostile(c):
    mark = f"sleep {1000000 + os.getpid()}"
    job = c.submit("--time", "1s", "--grace", "200ms", "--", "sh", "-c",
                   f"trap '' TERM; setsid setsid sh -c 'trap \"\" TERM; exec {mark}' & "
                   "while :; do sleep 1; done")
    c.wait(job, timeout=10)
    tap.equal(c.state(job), "timed_out", "daemons that ignore SIGTERM do not hold the job up")
    tap.equal(processes(mark), [], "and none is left")
    job = c.submit("--output-limit", "1MiB", "--", "sh", "-c", "head -c 30000000 /dev/zero")
    c.wait(job)
    tap.equal(c.state(job), "completed", "a flood of output does not block")
    kept = c.ctl("logs", str(job)).stdout
    tap.ok(len(kept) == 1 << 20, "and is bounded", len(kept))
    job = c.submit("--memory", "64MiB", "--", "python3", "-c",
                   "x = bytearray(300 << 20)\nimport time\ntime.sleep(20)")
    c.wait(job, timeout=15)
    shown = c.job(job)
    tap.ok(shown["state"] == "failed" and "MiB of 64 MiB" in shown["reason"]["text"],
           "memory beyond the limit ends the task and says so", shown["reason"])
    job = c.submit("--memory", "64MiB", "--", "sh", "-c",
                   "python3 -c 'x = bytearray(300 << 20); import time; time.sleep(20)'; exit 3")
    c.wait(job, timeout=15)
    tap.ok("MiB of 64 MiB" in c.job(job)["reason"]["text"], "so does that of a task's child",
           c.job(job)["reason"])


def cancelled_at_once(c):
    """However early the cancel comes: also between the order and the start of the shepherd."""
    slowest = 0
    for i in range(150):
        job = c.api("POST", "/v1/jobs", {"argv": ["sleep", "100"]})[1]["id"]
        select_pause(i % 50 * 0.0001)
        begun = time.monotonic()
        c.api("POST", f"/v1/jobs/{job}/cancel", {})
        ended = c.api("GET", f"/v1/jobs/{job}?wait=30", timeout=40)[1]
        slowest = max(slowest, time.monotonic() - begun)
        if ended["state"] != "cancelled" or slowest > 3:
            break
    tap.equal(ended["state"], "cancelled", "a job that is cancelled at once is cancelled")
    tap.ok(slowest < 3, "without waiting for its grace time", f"{slowest} s")


def arrays(c):
    job = c.submit("--array", "0-199", "--", "sh", "-c", f"echo $MUSTER_ARRAY_INDEX >> {c.file('a')}")
    tap.equal(c.wait(job, timeout=60), 0, "an array of 200 completes")
    tap.equal(sorted(map(int, c.read("a").split())), list(range(200)), "each element once")
    run = c.ctl("logs", str(job))
    tap.ok(run.returncode == 2 and f"{job}_0" in run.stderr, "logs of an array names its elements",
           run.stderr)
    job = c.submit("--array", "0-9", "-c", "2", "--", "sleep", "0.2")
    begun = time.monotonic()
    tap.equal(c.wait(f"{job}_5"), 0, "an element is waited for before it is placed")
    tap.ok(time.monotonic() - begun < 10 and c.state(job) == "running",
           "and not longer than it runs", c.job(job))
    c.wait(job)


def many(c):
    def shell(i):
        for k in range(25):
            c.submit("--", "sh", "-c", f"echo {i}.{k} >> {c.file('m')}")
    threads = [threading.Thread(target=shell, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    eventually(lambda: not [j for j in c.jobs() if j["state"] in
                            ("pending", "starting", "running", "stopping")], 60)
    tap.equal(len(set(c.read("m").split())), 200, "200 jobs from 8 shells at once all ran")
    tap.equal(len(c.read("m").split()), 200, "each once")
    tap.ok(c.never_over(), "no core was given out twice, by the events")
    tap.ok(eventually(c.all_free, 5), "everything is free again")


def requests(c):
    again = lambda: c.ctl("submit", "--request-id", "same", "--", "true").stdout
    first = again()
    tap.equal(again(), first, "a repeated request id gives the same job")
    c.wait(int(first))
    tap.equal(again(), first, "also when it has ended")
    listed = [j for j in json.loads(c.ctl("jobs", "-o", "json").stdout) if j["id"] == int(first)]
    keys = ("id name user queue state attempt tasks nodes submitted_at started_at ended_at exit_code "
            "reason").split()
    tap.ok(listed and all(k in listed[0] for k in keys) and listed[0]["exit_code"] == 0,
           "jobs -o json lists it, ended as it is", listed)
    c.kill_scheduler()
    c.start_scheduler()
    tap.equal(again(), first, "and after a restart of the scheduler")
    before = c.sql("select count(*) from spec")
    refused = c.ctl("submit", "-N", "9", "-n", "9", "--", "echo", "a request of its own")
    tap.equal((refused.returncode, c.sql("select count(*) from spec")), (4, before),
              "a refused submission leaves nothing in the database")
    status, answer = c.api("POST", "/v1/jobs", {"argv": ["true"], "memmory": 1})
    tap.ok(status == 400 and "memmory" in answer["error"]["message"], "an unknown key is named",
           answer)
    status, answer = c.api("POST", "/v1/jobs", b"{\"argv\": [}")
    tap.ok(status == 400 and "line 1" in answer["error"]["message"], "broken JSON: where", answer)
    status, answer = c.api("POST", "/v1/jobs", b"x" * (7 << 20), timeout=20)
    tap.equal(status, 413, "a body beyond the bound is refused")
    for path in ("jobs?limit=ten", "jobs?limit=0", "jobs?array=x", "jobs?user=nobody-here",
                 "jobs?state=new", f"jobs/{first.strip()}?wait=long", "events?after=now",
                 f"jobs/{first.strip()}/logs?stream=stdlog",
                 f"jobs/{first.strip()}/logs?offset=end"):
        tap.equal(c.api("GET", f"/v1/{path}")[0], 400, f"{path.split('?')[1]} is refused")
    tap.equal(c.api("GET", f"/v1/jobs?name={'x' * 3000}"), (200, {"jobs": []}),
              "a long name is looked for")
    tap.equal(c.api("GET", "/v1/nothing")[0], 404, "an unknown path is 404")
    tap.equal(c.api("DELETE", "/v1/jobs")[0], 405, "a wrong method is 405")
    status, answer = c.api("POST", "/v1/jobs", {"argv": ["true"] + ["y" * 100000] * 50})
    tap.ok(status == 413 and "at most" in answer["error"]["message"],
           "arguments beyond the bound are refused", answer)


def drain(c):
    c.ctl("node", "drain", "n1", "--reason", "a new\ndisk")
    with open(os.path.join(c.root, "scheduler.log")) as log:
        tap.ok("a new?disk\n" in log.read(), "a line of the log is one line")
    run = c.ctl("run", "--", "sh", "-c", "echo $MUSTER_NODE")
    tap.equal(run.stdout, "n2\n", "a drained node gets no work")
    job = c.submit("-n", "2", "-N", "2", "--mpi", "none", "--", "true")
    tap.ok("usable" in c.ctl("job", "why", str(job)).stdout, "a job that needs it says so",
           c.ctl("job", "why", str(job)).stdout)
    c.ctl("node", "resume", "n1")
    tap.equal(c.wait(job), 0, "and runs when the node is back")


spared()
with Cluster(nodes=2, cpus=2) as cluster:
    simple(cluster)
    environment(cluster)
    time_limit(cluster)
    hostile(cluster)
    cancelled_at_once(cluster)
    arrays(cluster)
    many(cluster)
    requests(cluster)
    drain(cluster)
    groups = cluster.groups()
    tap.equal(cluster.down().returncode, 0, "the cluster goes down")
    tap.equal(cluster.left_over(), [], "and leaves no process")
    tap.equal(groups(), [], "and no cgroup")
tap.done()
