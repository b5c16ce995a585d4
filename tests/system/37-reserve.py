#!/usr/bin/env python3
"""Reservations on a real cluster: what runs before maintenance, what waits and is told so, members."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import Cluster, Tap, eventually

tap = Tap()


def node_reservations(c, name):
    return c.api("GET", f"/v1/nodes/{name}")[1]["reservations"]


def maintenance(c):
    begin = time.time()
    made = c.ctl("reservation", "create", "upgrade", "start=+20s", "duration=8s", "nodes=n1",
                 "maintenance=true")
    tap.equal((made.returncode, made.stdout + made.stderr), (0, ""), "maintenance in 20 s")
    long = c.submit("-c", "2", "-t", "60s", "--constraint", "node=n1", "--", "true")
    short = c.submit("-c", "2", "-t", "5s", "--grace", "1s", "--constraint", "node=n1", "--", "true")
    tap.equal(c.wait(short), 0, "a job of 5 s runs before it")
    tap.ok(time.time() - begin < 20, "at once")
    job = c.job(long)
    tap.equal((job["state"], job["reason"]["code"]), ("pending", "reserved"), "one of a minute waits")
    tap.ok('kept by reservation "upgrade" (maintenance) from 20' in job["reason"]["text"], "and is told so",
           job["reason"]["text"])
    why = c.api("GET", f"/v1/jobs/{long}/why")[1]
    fails = [r["text"] for r in why["conditions"] if r["fails"]]
    tap.equal((why["verdict"], fails), ("reserved", ["outside of reservations until it ends"]),
              "job why has a row for it")
    start = node_reservations(c, "n1")[0]["start_ms"] / 1000
    tap.ok(abs(why["expected_start"] / 1000 - (start + 8)) < 2, "it is expected to start at its end",
           f'{why["expected_start"] / 1000 - start}')
    tap.equal([(r["name"], r["maintenance"], r["active"]) for r in node_reservations(c, "n1")],
              [("upgrade", True, False)], "the node says what it is kept for")
    tap.equal(node_reservations(c, "n2"), [], "and the other one nothing")
    free = c.submit("-c", "2", "-t", "60s", "--", "true")
    tap.equal(c.wait(free), 0, "other nodes are free")
    tap.ok(eventually(lambda: node_reservations(c, "n1")[0]["active"], 25), "it begins")
    lines = c.ctl("nodes").stdout.splitlines()
    tap.ok(any(li.split()[:2] == ["n1", "maintenance"] for li in lines), "nodes shows it", lines)
    shown = c.ctl("reservation", "list").stdout
    tap.ok("active" in shown and "n1" in shown, "reservation list too", shown)
    tap.equal(c.wait(long, timeout=30), 0, "the long job runs")
    tap.ok(c.job(long)["started_at"] / 1000 >= start + 8, "when it is over")


def members(c):
    c.ctl("reservation", "create", "class", "start=+3s", "duration=1h", "node_count=1", "accounts=default")
    named = c.api("GET", "/v1/reservations/class")[1]["has_nodes"]
    tap.ok(named in ("n1", "n2"), "a node is chosen", named)
    c.kill_scheduler()
    c.start_scheduler()
    tap.ok(eventually(lambda: c.nodes_up()), "the scheduler is back")
    tap.equal(c.api("GET", "/v1/reservations/class")[1]["has_nodes"], named, "and it has the same node")
    inside = c.submit("--reservation", "class", "-t", "5m", "--", "sleep", "600")
    endless = c.submit("--reservation", "class", "--", "sleep", "600")
    tap.ok(eventually(lambda: c.state(inside) == "running" and c.state(endless) == "running"), "members run")
    tap.equal([c.job(j)["nodes"] for j in (inside, endless)], [named] * 2, "on its node")
    tap.equal(c.job(inside)["reservation"], "class", "and say so")
    wrong = c.ctl("reservation", "remove", "class")
    tap.ok(wrong.returncode != 0 and "2 jobs that live" in wrong.stderr, "it is in use", wrong.stderr)
    wrong = c.ctl("submit", "--reservation", "none", "--", "true")
    tap.ok(wrong.returncode != 0 and 'there is no reservation "none"' in wrong.stderr, "one must name what is there",
           wrong.stderr)
    busy = c.ctl("reservation", "create", "fix", "start=+1s", "duration=1h", "nodes=" + named, "maintenance=true")
    tap.ok(busy.returncode != 0 and f"{inside} on {named}" in busy.stderr, "running jobs are named", busy.stderr)
    c.ctl("reservation", "set", "class", "duration=5s")
    tap.ok(eventually(lambda: c.state(endless) == "timed_out", 20), "a member without a limit ends with it")
    tap.equal(c.job(endless)["reason"]["code"], "reservation_ended", "and is told why")
    tap.equal(c.state(inside), "running", "one with a limit runs on")
    c.ctl("job", "cancel", str(inside))
    tap.ok(eventually(lambda: c.state(inside) == "cancelled"), "it is cancelled")
    tap.equal(c.ctl("reservation", "remove", "class").returncode, 0, "and the reservation goes")


with Cluster(nodes=2, cpus=2) as cluster:
    maintenance(cluster)
    members(cluster)
tap.done()
