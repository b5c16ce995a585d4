#!/usr/bin/env python3
"""MASTER_PORT is a resource: on the node of rank 0, never given out twice, and really free."""
import os
import re
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import Cluster, Tap, eventually

FIRST, LAST = 20000, 29999
SHOW = "echo $MASTER_ADDR $MASTER_PORT"
tap = Tap()


def occupy(port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", port))
    s.listen()
    return s


def port_of(c, job):
    return [p["port"] for p in c.job(job)["placements"]]


def next_port(c):
    return FIRST + int(c.sql("select next_port from meta"))


with Cluster(nodes=2, cpus=4) as c:
    run = c.ctl("run", "--", "sh", "-c", SHOW)
    address, port = run.stdout.split()
    tap.ok(address == "127.0.0.1" and FIRST <= int(port) <= LAST, "a single task has one", run.stdout)
    run = c.ctl("run", "-n", "4", "-N", "2", "--", "sh", "-c", SHOW)
    said = set(run.stdout.split("\n")) - {""}
    tap.ok(len(said) == 1 and said != {f"{address} {port}"}, "all tasks of a gang have the same one", said)

    jobs = [c.submit("-n", "2", "-N", "2", "--", "sleep", "60") for _ in range(3)]
    held = [port_of(c, j) for j in jobs]
    tap.ok(all(len(h) == 2 and h[1] is None for h in held), "the first node holds it alone", held)
    tap.equal(len({h[0] for h in held}), 3, "jobs that run at once on one machine have others")
    tap.ok(str(held[0][0]) in c.ctl("job", "show", str(jobs[0])).stdout, "`job show` shows it")
    c.kill_scheduler()
    c.start_scheduler()
    tap.equal([port_of(c, j) for j in jobs], held, "a restart of the scheduler keeps them")
    late = c.submit("--", "sleep", "60")
    got = eventually(lambda: port_of(c, late), 20) or [None]
    tap.ok(got[0] and got[0] not in {h[0] for h in held}, "and gives out none of them again")
    c.ctl("job", "cancel", *map(str, [*jobs, late]))
    c.wait(*jobs, late)

    for what, how in (("one task", ["-n", "1"]), ("a gang", ["-n", "2", "-N", "2"])):
        wanted = next_port(c)
        with occupy(wanted):
            run = c.ctl("run", *how, "--", "sh", "-c", SHOW)
        job = max(j["id"] for j in c.jobs())
        tap.ok(run.returncode == 0 and f" {wanted + 1}" in run.stdout,
               f"{what}: the port of another program is left alone", run.stdout + run.stderr)
        events = c.ctl("job", "events", str(job)).stdout
        tap.ok(re.search(f"port {wanted} of node n[12] is in use by another program", events),
               f"{what}: the events say so", events)
        tap.equal(c.sql(f"select attempt, attempts_used from job where id = {job}").strip(), "2|1",
                  f"{what}: and no attempt is used up")
tap.done()
