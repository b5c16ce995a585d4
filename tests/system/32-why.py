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
              [{"first": False, "released": False, "limits": [], "change": {"cpus": 1}, "instead_of": {"cpus": 4}}],
              "the least change that would start it now")
    small = c.submit("--", "true")
    answer = why(c, small)
    text = c.ctl("job", "why", str(small)).stdout
    if c.state(small) == "pending":
        tap.equal((answer["verdict"], answer["position"], answer["waiting"]), ("turn", 2, 2), "a job that only waits for its turn")
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
        {"first": False, "released": True, "limits": [], "change": {}, "instead_of": {}}]),
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


def priority(c):
    """Weight x factor = part, and the parts sum to the number; the position is the queue's own."""
    c.ctl("cluster", "set", "weight_size=1000000", "weight_fair_share=500")
    holder = c.submit("-N", "2", "-n", "2", "-c", "4", "-t", "10m", "--", "sleep", "600")
    eventually(lambda: c.state(holder) == "running")
    jobs = [c.submit("-c", cpus, *more, "--", "true") for cpus, more in (
        ("4", []), ("2", ["--priority", "3"]), ("2", ["--nice", "100000"]), ("1", []))]
    array = c.submit("--array", "0-4", "-c", "1", "--", "true")
    answers = [why(c, j) for j in jobs + [array]]
    for a in answers:
        tap.equal(sum(f["part"] for f in a["factors"]), a["priority"], "the parts sum to the number")
        tap.ok(all(abs(f["weight"] * f["factor"] - f["part"]) < 1 for f in a["factors"]),
               "each is its weight times its factor", a["factors"])
    order = sorted(range(5), key=lambda i: (-answers[i]["priority"], i))
    before = 0
    for i in order:
        tap.equal((answers[i]["position"], answers[i]["waiting"]), (before + 1, 9), "a place in the queue")
        before += 5 if i == 4 else 1
    text = c.ctl("job", "why", str(jobs[1])).stdout
    tap.ok("Position in the queue: 1 of 9." in text and "\npriority " in text and "\nsum " in text,
           "told to people", text)
    late = why(c, jobs[3])
    tap.ok(any(r["text"].startswith("not kept") for r in late["conditions"]) or late["verdict"] != "turn",
           "what is kept for others is a condition")
    c.ctl("cluster", "set", "weight_size=0", "weight_fair_share=0")
    c.ctl("job", "cancel", str(array), str(holder), *map(str, jobs))


def limits(c):
    """Not under the present limits, and later, are told apart; what would have to be lifted is told."""
    c.ctl("account", "create", "small", "max_cores=2")
    c.ctl("user", "create", "root", "account=small", "uid=%d" % os.getuid())
    never = c.submit("-c", "3", "--account", "small", "--", "true")
    answer = why(c, never)
    tap.equal((answer["verdict"], answer["lift"]),
              ("limits", {"kind": "account", "name": "small", "key": "max_cores", "from": "2", "to": "3"}),
              "not under the present limits")
    tap.equal(answer["relaxations"][0]["limits"], [answer["lift"]], "tried: it starts with the limit lifted")
    text = c.ctl("job", "why", str(never)).stdout
    tap.ok("Not under the present limits" in text and "`schedctl account set small max_cores=3`" in text,
           "for people", text)
    c.ctl("account", "set", "small", "max_cores=3")
    tap.equal(c.wait(never), 0, "and starts when it is")
    run = c.submit("-c", "3", "-t", "5m", "--account", "small", "--", "sleep", "300")
    eventually(lambda: c.state(run) == "running")
    later = c.submit("-c", "1", "--account", "small", "--", "true")
    answer = eventually(lambda: why(c, later)["reason"]["code"] == "limit_wait" and why(c, later))
    tap.equal((answer["verdict"], answer["limit"], answer["relaxations"][0]["limits"][0]["to"]),
              ("turn", None, "4"), "while others use it up, it is for later")
    tap.ok(answer["expected_start"] > 0, "with an expected start")
    c.ctl("job", "cancel", str(run), str(later))
    c.ctl("queue", "create", "slow")
    c.ctl("queue", "set", "slow", "state=draining")
    drained = c.submit("--queue", "slow", "--", "true")
    answer = why(c, drained)
    tap.equal((answer["verdict"], answer["lift"]["to"]), ("limits", "open"), "a draining queue")
    c.ctl("job", "cancel", str(drained))
    big = c.submit("--memory", "900GiB", "--allow-unsatisfiable", "--", "true")
    code = eventually(lambda: why(c, big)["reason"]["code"].startswith("unsatisfiable") and why(c, big))
    tap.ok(code and code["reason"]["code"] == "unsatisfiable_wait_memory", "memory that nobody has is named",
           code)
    c.ctl("job", "cancel", str(big))


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
    answer = c.api("GET", f"/v1/jobs/{waiting[1]}/why")[1]
    job = c.job(waiting[1])
    tap.ok(answer["state"] == "completed" and answer["waits"] and
           all(w["text"].startswith("waits") for w in answer["waits"]) and
           abs(sum(w["ms"] for w in answer["waits"]) - (job["started_at"] - job["submitted_at"])) < 500,
           "one that has ended tells what it waited for, and how long", answer)
    text = c.ctl("job", "why", str(waiting[1])).stdout
    tap.ok("It waited " in text and "ran " in text and "WAITED" in text, "for people", text)
    array = c.submit("--array", "0-3", "-N", "1", "-c", "4", "--", "sleep", "0.5")
    last = f"{array}_3"
    c.wait(array)
    answer = c.api("GET", f"/v1/jobs/{last}/why?at={c.job(last)['started_at'] - 400}")[1]
    tap.ok(answer["state"] == "pending" and answer["text"].startswith("waits"), "an element waited with its array",
           answer)
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
        priority(c)
        limits(c)
        past(c)
    tap.done()


main()
