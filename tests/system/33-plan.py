#!/usr/bin/env python3
"""What a change would do: foretold on a copy, and refused when the cluster has moved on."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import Cluster, Tap, eventually

tap = Tap()


def plan(c, *changes, **more):
    return c.api("POST", "/v1/plan", {"changes": list(changes), **more})


def effects(answer):
    return {j["id"]: j["effect"] for j in answer["jobs"]}


def foretold(c, running, waiting):
    before = c.sql("SELECT count(*) FROM event")
    _, answer = plan(c, {"submit": {"argv": ["true"], "cpus": 4}})
    tap.equal(effects(answer), {None: "starts"}, "a new job of a full cluster starts later")
    start = answer["jobs"][0]["after"] - time.time() * 1000
    tap.ok(840000 < start < 900000, "when those that run and wait have reached their limits", start)
    _, answer = plan(c, {"drain": "n2", "reason": "t"})
    tap.equal(effects(answer), {waiting[1]: "later"}, "draining a node delays one job")
    late = answer["jobs"][0]["after"] - answer["jobs"][0]["before"]
    tap.ok(290000 < late < 310000, "by the time limit of the other", late)
    there = [j for j in running if c.job(j)["nodes"] == "n2"]
    _, answer = plan(c, {"remove": "n2", "reason": "t"})
    tap.equal(effects(answer), {there[0]: "ends", waiting[1]: "later"}, "losing it also ends one")
    _, answer = plan(c, {"add": 1, "cores": 4})
    tap.equal(set(effects(answer).values()), {"earlier"}, "one more node makes jobs start earlier")
    tap.equal(c.sql("SELECT count(*) FROM event"), before, "planning changes nothing")
    tap.equal([c.state(j) for j in running + waiting], ["running"] * 2 + ["pending"] * 2, "for no job")


def applied(c):
    text = c.ctl("plan", "drain", "n2", "--reason", "it's broken").stdout
    words = re.search(r"schedctl (plan drain --apply ([0-9a-f]{16}) .*)", text)
    tap.ok(words and "'it'\\''s broken'" in words.group(1), "the plan ends with the command that does it", text)
    token = words.group(2)
    other = c.submit("-c", "3", "-t", "5m", "--", "true")
    run = c.ctl("plan", "drain", "n2", "--reason", "it's broken", "--apply", token)
    tap.ok(run.returncode == 4 and "has changed" in run.stderr, "which is refused when its effects moved",
           f"{run.returncode} {run.stderr}")
    tap.equal(c.node("n2")["state"], "up", "and does nothing then")
    c.ctl("job", "cancel", str(other))
    eventually(lambda: c.state(other) == "cancelled")
    run = c.ctl("plan", "drain", "n2", "--reason", "it's broken", "--apply", token)
    tap.equal((run.returncode, c.node("n2")["state"]), (0, "draining"), "else it is done")
    text = c.ctl("plan", "submit", "-o", "json", "--", "true").stdout
    token = re.search(r'"token": "([0-9a-f]{16})"', text).group(1)
    run = c.ctl("plan", "submit", "--apply", token, "--", "true")
    tap.ok(run.returncode == 0 and c.job(int(run.stdout))["id"] == int(run.stdout),
           "a planned submission gives its id", run.stdout + run.stderr)


def rules(c, running):
    """Changes of what operators set: limits, settings, reservations."""
    def events():
        return c.sql("SELECT count(*) FROM event")

    c.ctl("account", "create", "phys")
    c.ctl("user", "create", "root", "account=phys", f"uid={os.getuid()}")
    mine = c.submit("-c", "4", "-t", "5m", "--account", "phys", "--", "true")
    eventually(lambda: c.job(mine)["reason"])
    before = events()
    _, answer = plan(c, {"rule": {"do": "change", "kind": "account", "name": "phys", "set": {"max_cores": 3}}})
    tap.equal([(j["id"], j["effect"], j["after"]) for j in answer["jobs"]], [(mine, "never_starts", None)],
              "a limit that keeps a job for ever is told")
    tap.ok("max_cores of account \"phys\" is 3" in answer["jobs"][0]["waits_for"], "with what it would wait for",
           answer)
    tap.equal([(b["kind"], b["job"]) for b in answer["breaches"]], [("limit", mine)], "and as a breach")
    _, answer = plan(c, {"rule": {"do": "change", "kind": "queue", "name": "default", "set": {"max_cores": 2}}})
    over = [b["text"] for b in answer["breaches"] if b["kind"] == "over"]
    tap.equal(over, [f'max_cores of queue "default" would be 2, and 6 are used; jobs {running[0]}, {running[1]}'],
              "and what is held beyond it, by whom")
    run = c.ctl("plan", "limit", "account", "phys", "max_cores=3")
    words = re.search(r"  schedctl (plan limit --apply [0-9a-f]{16} account phys max_cores=3)\n", run.stdout)
    tap.ok(words and "breach: " in run.stdout and "would not start in sight" in run.stdout,
           "people are told, and how to do it", run.stdout)
    tap.equal((events(), c.api("GET", "/v1/accounts/phys")[1]["max_cores"]), (before, None), "nothing was changed")
    c.ctl("job", "cancel", str(mine))
    eventually(lambda: c.state(mine) == "cancelled")
    run = c.ctl(*words.group(1).split())
    tap.equal((run.returncode, c.api("GET", "/v1/accounts/phys")[1]["max_cores"]), (4, None),
              "a limit is not set when it would meet others by now")
    run = c.ctl("plan", "limit", "account", "phys", "max_cores=3")
    c.ctl(*re.search(r"  schedctl (plan limit .*)\n", run.stdout).group(1).split())
    tap.equal(c.api("GET", "/v1/accounts/phys")[1]["max_cores"], 3, "else it is")
    run = c.ctl("plan", "reserve", "fix", "start=+2h", "end=+3h", "nodes=n1", "maintenance=true")
    words = re.search(r"  schedctl (plan reserve --apply [0-9a-f]{16} fix start=2\d\d\d-\S* duration=3600s .*)\n",
                      run.stdout)
    tap.ok(words, "a reservation is planned for the time that was meant", run.stdout)
    tap.ok("breach" not in run.stdout, "when all will have ended by then", run.stdout)
    early = c.ctl("plan", "reserve", "fix", "start=+1m", "duration=1h", "nodes=n[1-2]", "maintenance=true",
                  "ignore_jobs=true").stdout
    tap.equal(len(re.findall(r"breach: job \d+ on node n\d may run past the beginning of reservation \"fix\"", early)),
              2, "jobs that may run into it are told")
    tap.equal(c.api("GET", "/v1/reservations")[1]["reservations"], [], "and not made")
    run = c.ctl(*words.group(1).split())
    made = c.api("GET", "/v1/reservations/fix")[1]
    tap.equal((run.returncode, made["duration_ms"], made["nodes"]), (0, 3600000, "n1"), "until it is")
    c.ctl("reservation", "remove", "fix")
    run = c.ctl("plan", "limit", "cluster", "backfill_reservations=0", "-o", "json")
    tap.ok('"token"' in run.stdout, "the cluster's settings can be planned", run.stdout)
    _, answer = plan(c, {"rule": {"do": "remove", "kind": "account", "name": "phys"}})
    tap.ok("names it" in answer["error"]["message"], "what would be refused is refused", answer)


def bad(c):
    cases = [
        ({}, 400, "changes"), ({"changes": []}, 400, "changes"), ({"changes": [5]}, 400, "object"),
        ({"changes": [{"burn": "n1"}]}, 400, "submit, drain"),
        ({"changes": [{"drain": 5}]}, 400, "drain"),
        ({"changes": [{"drain": "n9"}]}, 404, "no such node"),
        ({"changes": [{"add": 1}]}, 400, "cores"), ({"changes": [{"add": 10**9, "cores": 1}]}, 400, "add"),
        ({"changes": [{"submit": {"argv": ["x"], "cpus": 99}}]}, 409, "can never run"),
        ({"changes": [{"submit": {"argv": []}}]}, 400, "argv"),
        ({"changes": [{"add": 1, "cores": 1}], "apply": "0" * 16}, 400, "agents"),
        ({"changes": [{"drain": "n1"}], "apply": "0" * 60}, 400, "token"),
        ({"changes": [{"drain": "n1"}], "apply": "nonsense"}, 409, "changed"),
        ({"changes": [{"rule": {}}]}, 400, "create, change"),
        ({"changes": [{"rule": {"do": "change", "kind": "cat", "name": "x"}}]}, 400, "create, change"),
        ({"changes": [{"rule": {"do": "change", "kind": "queue", "name": "x"}}]}, 404, "no queue"),
        ({"changes": [{"rule": {"do": "create", "kind": "queue", "name": "default"}}]}, 409, "already"),
        ({"changes": [{"rule": {"do": "change", "kind": "settings", "set": {"weight_age": -1}}}]}, 400,
         "below 0"),
        ({"changes": [{"rule": {"do": "change", "kind": "queue", "name": "default", "set": 5}}]}, 400,
         "create, change"),
    ]
    for body, status, words in cases:
        got, answer = c.api("POST", "/v1/plan", body)
        tap.ok(got == status and words in answer["error"]["message"], f"refused: {body}", f"{got} {answer}")
    for words in (["plan", "drain", "n1"], ["plan", "add-nodes", "2"], ["plan", "add-nodes", "x", "-c", "1"],
                  ["plan"], ["plan", "burn"], ["plan", "limit", "cat", "x", "y=1"],
                  ["plan", "limit", "queue", "default"], ["plan", "limit", "queue", "default", "stat=open"],
                  ["plan", "reserve", "fix", "start=tomorrow"]):
        run = c.ctl(*words)
        tap.equal((run.returncode, run.stderr.count("\n")), (2, 1), f"one line for: {' '.join(words)}")
    tap.equal(c.node("n1")["state"], "up", "nothing of it was done")


def main():
    with Cluster(nodes=2, cpus=4) as c:
        running = [c.submit("-c", "3", "-t", "10m", "--", "sleep", "600") for _ in range(2)]
        tap.ok(eventually(lambda: all(c.state(j) == "running" for j in running)), "two nodes are held")
        waiting = [c.submit("-c", "3", "-t", "5m", "--", "true") for _ in range(2)]
        foretold(c, running, waiting)
        rules(c, running)
        applied(c)
        bad(c)
    tap.done()


main()
