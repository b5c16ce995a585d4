#!/usr/bin/env python3
"""The scheduler and the agent killed right before their n-th outward system call while a job goes
through them: the job runs once, whatever n. CRASH_STEP=1 tries every n (make check-long), the
default some; CRASH_FROM skips."""
import http.client
import os
import subprocess
import sys
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import BIN, TOP, Cluster, Tap, eventually

tap = Tap()
STEP = int(os.environ.get("CRASH_STEP", "11"))
FROM = int(os.environ.get("CRASH_FROM", "1"))
HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = os.path.join(TOP, "build", "crash.so")


GONE = (OSError, http.client.HTTPException)  # the scheduler died within the request


def build():
    subprocess.run(["gcc", "-O1", "-w", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", LIBRARY,
                    os.path.join(HERE, "crash.c"), "-ldl"], check=True)


def start(c, program, pid, at):
    """The daemon again, with the same arguments, under the library."""
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        words = [w.decode() for w in f.read().split(b"\0") if w]
    c.kill(pid)
    env = dict(os.environ, LD_PRELOAD=LIBRARY, CRASH_PROGRAM=program, CRASH_WHEN=c.file("when"),
               CRASH_AT=str(at), CRASH_LOG=c.file("calls"))
    with open(os.path.join(c.root, "crash.log"), "ab") as log:
        return subprocess.Popen([os.path.join(BIN, program), *words[1:]], env=env, stdout=log,
                                stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)


def submit(c, request):
    """Asks for the job's number; 0 when there was no answer."""
    body = {"argv": ["/bin/sh", "-c", f"echo $MUSTER_JOB_ID.$MUSTER_TASK >> {c.file('log')}"],
            "request_id": request, "on_lost": "wait", "mpi": "none", "tasks": len(c.nodes),
            "nodes": len(c.nodes)}

    def once():
        try:
            status, answer = c.api("POST", "/v1/jobs", body, timeout=3)
        except GONE:
            return 0
        return answer.get("id", 0) if status in (200, 201) else 0
    return once


def round_of(c, program, at):
    """True: the daemon was killed. The job must have run once."""
    for name in ("when", "calls", "log"):
        if os.path.exists(c.file(name)):
            os.unlink(c.file(name))
    scheduler = program == "muster-scheduler"
    daemon = start(c, program, c.scheduler_pid() if scheduler else c.agent_pid("n1"), at)
    if not eventually(c.nodes_up, 20):
        tap.ok(False, f"{program} starts under the library")
        c.show_logs()
        return False
    open(c.file("when"), "w").close()
    ask = submit(c, uuid.uuid4().hex)
    job = ask()

    def over():
        try:
            return daemon.poll() is not None or (job and c.state(job) == "completed")
        except GONE:
            return False

    eventually(over, 15)
    os.unlink(c.file("when"))
    killed = daemon.poll() is not None
    if killed:
        c.up()
    job = job or eventually(ask, 15)
    state = c.wait(job, timeout=30)
    ran = sorted(c.read("log").split())
    calls = c.read("calls").splitlines()
    if state or ran != [f"{job}.{task}" for task in range(len(c.nodes))]:
        tap.ok(False, f"{program} killed before call {at}", f"calls {calls}\nstate {c.job(job)}\nran {ran}")
        c.show_logs()
    elif not eventually(c.all_free, 15):
        tap.ok(False, f"{program} killed before call {at}: everything is free", c.node("n1"))
    if not killed:
        c.kill(daemon.pid)
        daemon.wait()
        c.up()
    return killed


def sweep(program, nodes):
    with Cluster(nodes=nodes, cpus=2) as c:
        at, tried, failed = FROM, 0, tap.failed
        while round_of(c, program, at) and tap.failed == failed:
            tried += 1
            at += STEP
        tap.ok(tried > 1 and tap.failed == failed,
               f"{program} killed at {tried} points of a job's life on {nodes} node(s): it runs once")


build()
for program in ("muster-agent", "muster-scheduler"):
    if len(sys.argv) < 2 or program in sys.argv[1:]:
        sweep(program, 1)
        sweep(program, 2)
tap.done()
