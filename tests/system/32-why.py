#!/usr/bin/env python3
"""Why a job waits: conditions, holders and what would let it start, on a real cluster."""
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import Cluster, Tap, eventually

tap = Tap()


def why(c, job):
    status, answer = c.api("GET", f"/v1/jobs/{job}/why")
    assert status == 200, answer
    return answer


def rows(answer):
    return {r["text"]: (r["nodes"], r["tasks"], r["fails"]) for r in answer["conditions"]}


def held(c):
    running = [c.submit("-c", "3", "-t", "10m", "--", "sleep", "600") for _ in range(2)]
    tap.ok(eventually(lambda: all(c.state(j) == "running" for j in running)), "two nodes are held")
    gang = c.submit("-n", "2", "-c", "4", "--", "true")
    answer = why(c, gang)
    tap.equal(answer["verdict"], "resources", "what a gang needs is held by others")
    tap.equal(rows(answer),
              {"known to the cluster": (2, 4, False), "connected and heard of": (2, 4, False),
               "neither drained nor declared off": (2, 4, False), "with 4 cores in all": (2, 2, False),
               "with 4 cores free now": (0, 0, True)}, "how many nodes meet each condition")
    tap.equal([(h["job"], h["nodes"], h["cores"]) for h in answer["holders"]],
              [(j, 1, 3) for j in running], "who holds it")
    tap.ok(all(abs(h["until"] - c.job(h["job"])["started_at"] - 600000) < 1000
               for h in answer["holders"]), "and until when")
    first = min(h["until"] for h in answer["holders"])
    tap.ok(0 <= answer["expected_start"] - first < 2000, "and so its expected start",
           f'{answer["expected_start"]} {first}')
    tap.equal(answer["relaxations"],
              [{"first": False, "released": False, "change": {"cpus": 1}, "instead_of": {"cpus": 4}}],
              "the least change that would start it now")
    small = c.submit("--", "true")
    answer = why(c, small)
    text = c.ctl("job", "why", str(small)).stdout
    if c.state(small) == "pending":
        tap.equal((answer["verdict"], answer["ahead"]), ("turn", 1), "a job that only waits for its turn")
        tap.ok("first in the queue" in text, "is told so", text)
    else:
        tap.ok(True, "a job that delays nobody starts before the gang")
        tap.ok(True, "and has nothing to ask")
    text = c.ctl("job", "why", str(gang)).stdout
    tap.ok("with --cpus 1 instead of 4" in text and f"job {running[0]} " in text, "the same for people", text)
    return gang, running


def tried(c, gang, running):
    """What is said to start, starts; and asking changes nothing."""
    before = c.sql("SELECT count(*) FROM event")
    for _ in range(20):
        why(c, gang)
    tap.equal(c.sql("SELECT count(*) FROM event"), before, "asking changes nothing")
    c.ctl("job", "cancel", str(gang))
    again = c.submit("-n", "2", "-c", "1", "--", "true")
    tap.equal(c.wait(again), 0, "the job starts as it was told")
    for job in running:
        c.ctl("job", "cancel", str(job))


def many(c):
    held = c.submit("-n", "2", "-N", "2", "-c", "4", "--hold", "--", "true")
    answer = why(c, held)
    tap.equal(answer["verdict"], "held", "a held job")
    tap.ok(eventually(lambda: why(c, held)["relaxations"][:1] == [
        {"first": False, "released": True, "change": {}, "instead_of": {}}]),
        "would start if it were released")
    never = c.submit("-c", "5", "--allow-unsatisfiable", "--", "true")
    tap.equal(why(c, never)["verdict"], "never", "what no node could hold is told apart")
    c.ctl("node", "drain", "n2", "--reason", "test")
    gang = c.submit("-n", "2", "-c", "4", "--", "true")
    answer = why(c, gang)
    tap.equal((answer["verdict"], rows(answer)["with 4 cores in all"]), ("not_now", (1, 1, True)),
              "and what the drained node could")
    answers = []

    def ask():
        for _ in range(10):
            answers.append(c.api("GET", f"/v1/jobs/{gang}/why")[0])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    tap.equal(answers, [200] * 80, "eighty questions at once are answered")
    pid = c.scheduler_pid()
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        tap.equal(f.read().split(), [], "and leave no process")
    tap.equal(c.ctl("job", "cancel", str(gang), str(never), str(held)).returncode, 0, "the scheduler lives on")
    done = c.submit("--", "true")
    c.wait(done)
    tap.ok("completed" in c.ctl("job", "why", str(done)).stdout, "a job that has ended is asked as before")


def past(c):
    """Answers about the past come from what was recorded."""
    running = c.submit("-N", "1", "-c", "4", "--", "sleep", "1")
    waiting = [c.submit("-n", "2", "-N", "2", "-c", "4", "--", "true") for _ in range(2)]
    eventually(lambda: c.job(waiting[1])["reason"])
    then = c.job(running)["started_at"]
    for job in waiting:
        c.wait(job)
    for job in waiting:
        answer = c.api("GET", f"/v1/jobs/{job}/why?at={then + 600}")[1]
        tap.ok(answer["state"] == "pending" and answer["text"].startswith("waits for"), "what it waited for then",
               answer)
        answer = c.api("GET", f"/v1/jobs/{job}/why?at={then - 60000}")[1]
        tap.equal(answer["state"], "not_submitted", "before it was submitted")
        answer = c.api("GET", f"/v1/jobs/{job}/why?at={then + 3600000}")[1]
        tap.equal(answer["state"], "ended", "and after its end")
    for words, code in ((["--at", "tomorrow"], 2), (["--at", "now"], 0), (["--at", "-1h"], 0)):
        run = c.ctl("job", "why", str(running), *words)
        tap.ok(run.returncode == code and (run.stdout + run.stderr).count("\n") == 1, f"asked with {words}",
               run.stdout + run.stderr)


def main():
    with Cluster(nodes=2, cpus=4) as c:
        gang, running = held(c)
        tried(c, gang, running)
        many(c)
        c.ctl("node", "resume", "n2")
        past(c)
    tap.done()


main()
