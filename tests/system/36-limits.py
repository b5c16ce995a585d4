#!/usr/bin/env python3
"""Two users under limits, as docs/scheduling.md tells it: every command of its section on queues and
limits is run, and every answer compared. "#" is the operator, "ann$" and "ben$" are users; "..."
stands for any lines."""
import os
import re
import shlex
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import SCHEDCTL, TOP, Cluster, Tap, eventually

tap = Tap()
UIDS = {"ann": 12345, "ben": 65534}
SECTION = "## Queues, accounts, users, QoS and limits"


def blocks():
    """[(who, command, expected output)] of the section's console blocks."""
    with open(os.path.join(TOP, "docs", "scheduling.md"), encoding="utf-8") as f:
        text = f.read().split(SECTION + "\n")[1].split("\n## ")[0]
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, re.S):
        for line in block.splitlines():
            start = re.match(r"(#|\w+\$) (schedctl .*)", line)
            if start:
                found.append([start.group(1).rstrip("$"), start.group(2), ""])
            else:
                found[-1][2] += line + "\n"
    return found


def command(c, who, line):
    words = shlex.split(line)[1:]
    for name, uid, told in (("ann", UIDS["ann"], "1001"), ("ben", UIDS["ben"], "1002")):
        words = [f"uid={uid}" if w == f"uid={told}" else w for w in words]
    user = {} if who == "#" else {"user": UIDS[who], "group": UIDS[who], "extra_groups": []}
    return subprocess.run([SCHEDCTL, *words], capture_output=True, text=True, timeout=60, cwd="/",
                          env=dict(os.environ, MUSTER_HOME=c.root, HOME="/"), **user)


def matches(got, want):
    pattern = "".join("(?:.*\n)*" if line == "..." else re.escape(line) + "\n"
                      for line in want.splitlines())
    return re.fullmatch(pattern, got)


def as_documented(c):
    for who, line, want in blocks():
        def answer():
            run = command(c, who, line)
            return re.sub(r" +$", "", run.stdout + run.stderr, flags=re.M)
        # What waits does so after the next pass: asked again for a moment.
        reads = line.split()[1] in ("queue", "job", "limit") and line.split()[2] in ("why", "show")
        good = eventually(lambda: matches(answer(), want), 5 if reads else 0)
        tap.ok(good, f"{who} {line}", "" if good else f"got\n{answer()}want\n{want}")


def outlives_the_scheduler(c):
    before = c.api("GET", "/v1/limits")[1], c.api("GET", "/v1/accounts")[1]
    c.kill_scheduler()
    c.start_scheduler()
    eventually(c.nodes_up)
    after = c.api("GET", "/v1/limits")[1], c.api("GET", "/v1/accounts")[1]
    tap.equal(after[0], before[0], "limits and what is used of them outlive the scheduler")
    tap.equal([a["use"]["cores"] for a in after[1]["accounts"]],
              [a["use"]["cores"] for a in before[1]["accounts"]], "and so do counts")
    hours = [a["use"]["core_hours"] for a in before[1]["accounts"]]
    tap.ok(all(a["use"]["core_hours"] >= h for a, h in zip(after[1]["accounts"], hours)),
           "and usage")


def changes_are_events(c):
    told = [e["text"] for e in c.api("GET", "/v1/events")[1]["events"]
            if e["kind"].startswith("rule_")]
    tap.ok('account "physics" created by user 0: shares=3, max_cores=3' in told, "creations are told",
           told)
    tap.ok('account "physics" changed by user 0: max_cores 3 -> 4' in told, "and changes", told)


def api(c):
    for method, path, body, status in (
            ("POST", "/v1/queues", {"name": "x", "priority": 5}, 200),
            ("POST", "/v1/queues", {"name": "x"}, 409),
            ("PUT", "/v1/queues/x", {"max_cores": 5}, 200),
            ("PATCH", "/v1/queues/x", {"max_gpus": 0}, 200),
            ("PATCH", "/v1/queues/y", {"max_gpus": 0}, 404),
            ("PATCH", "/v1/queues/x", {"max_gpus": -2}, 400),
            ("PATCH", "/v1/queues/x", {"max_gpus": "many"}, 400),
            ("PATCH", "/v1/queues/x", {"colour": "red"}, 400),
            ("PATCH", "/v1/queues/x", {"name": "y"}, 400),
            ("PATCH", "/v1/queues/x", {"qos": ["nice"]}, 400),
            ("POST", "/v1/queues", {"name": "a/b"}, 400),
            ("POST", "/v1/queues", {}, 400),
            ("POST", "/v1/queues/x", {}, 405),
            ("PUT", "/v1/users/ann/physics", {"uid": 4}, 400),
            ("PATCH", "/v1/settings", {"half_life_ms": 86400000}, 200),
            ("PATCH", "/v1/settings", {"half_life_ms": 1}, 400),
            ("PATCH", "/v1/settings", {"weight_age": 7, "backfill_depth": 0}, 400),
            ("PATCH", "/v1/settings", {"weight_age": 1 << 31}, 400),
            ("PATCH", "/v1/settings", {"age_full_ms": None}, 400),
            ("PATCH", "/v1/settings", {"age_full_ms": 59999}, 400),
            ("PATCH", "/v1/settings", {"weight_size": 9, "backfill_reservations": 0}, 200)):
        got = c.api(method, path, body)
        tap.equal(got[0], status, f"{method} {path} {body}: {status}")
    x = c.api("GET", "/v1/queues/x")[1]
    tap.equal([x["priority"], x["max_cores"], x["max_gpus"], x["max_job_time_ms"]], [0, 5, 0, None],
              "PUT sets all, PATCH what it names")
    tap.equal(c.api("DELETE", "/v1/queues/x")[0], 200, "removed")
    settings(c)
    tap.equal(c.api("GET", "/v1/queues/x")[0], 404, "gone")
    tap.equal(c.api("DELETE", "/v1/queues/x")[0], 404, "once")
    job = c.job(1)
    tap.equal([job["account"], job["queue"], job["qos"]], ["physics", "default", "normal"],
              "a job says to what it belongs")


def settings(c):
    """How the queue is ordered and filled, by the verbs, over a restart."""
    set_ = c.api("GET", "/v1/settings")[1]
    tap.equal([set_[k] for k in ("weight_age", "weight_size", "backfill_reservations", "age_full_ms")],
              [1048512, 9, 0, 604800000], "a refused setting leaves the old ones")
    wrong = c.ctl("cluster", "set", "weight_size=1", "age_full=1s")
    tap.equal((wrong.returncode, wrong.stderr), (2, "schedctl: age_full must be 1 m to 90 d.\n"),
              "bounds are said")
    done = c.ctl("cluster", "set", "backfill_reservations=5", "age_full=1d")
    tap.equal((done.returncode, done.stdout + done.stderr), (0, ""), "and set as people write them")
    told = c.api("GET", "/v1/events")[1]["events"][-1]["text"]
    tap.equal(told, "settings changed by user 0: age_full 7 d -> 1 d, backfill_reservations 0 -> 5",
              "a change is told")
    c.kill_scheduler()
    c.start_scheduler()
    eventually(c.nodes_up)
    shown = c.ctl("cluster", "settings").stdout
    tap.ok(re.search(r"^age_full +1 d$", shown, re.M) and re.search(r"^weight_size +9$", shown, re.M),
           "and outlives the scheduler", shown)
    c.ctl("cluster", "set", "weight_size=0", "backfill_reservations=1", "age_full=7d")


def reservations(c):
    made = c.ctl("reservation", "create", "lecture", "start=2027-01-04T08:00", "end=2027-01-04T10:00",
                 "repeat=weekly", "nodes=n1", "users=ann", "ignore_jobs=true")
    tap.equal((made.returncode, made.stdout + made.stderr), (0, ""), "a reservation is made")
    shown = c.api("GET", "/v1/reservations/lecture")[1]
    tap.equal([shown["duration_ms"], shown["repeat"], shown["users"]], [7200000, "weekly", ["ann"]],
              "with its duration")
    tap.ok(shown["next_start_ms"] >= shown["start_ms"], "and its next time")
    wrong = c.ctl("reservation", "set", "lecture", "nodes=n7")
    tap.ok(wrong.returncode == 2 and 'there is no node "n7"' in wrong.stderr, "nodes must exist",
           wrong.stderr)
    tap.equal(c.ctl("reservation", "remove", "lecture").returncode, 0, "and removed")


if os.geteuid():
    tap.skip("two users under limits", "only root becomes others")
    tap.done()
with Cluster(nodes=1, cpus=8, start=False) as cluster:
    os.mkdir(cluster.root, 0o755)
    cluster.up()
    as_documented(cluster)
    outlives_the_scheduler(cluster)
    changes_are_events(cluster)
    api(cluster)
    reservations(cluster)
tap.done()
