#!/usr/bin/env python3
"""Whatever process is killed: nothing acknowledged is lost, nothing runs twice."""
import glob
import os
import shutil
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import Cluster, Tap, alive, eventually, processes

tap = Tap()

# Appends its attempt, waits for a file, ends well.
WAITER = "echo $MUSTER_JOB_ID $MUSTER_ATTEMPT_NUMBER $$ >> {log}; while [ ! -e {go} ]; do sleep 0.05; done"


def waiter(c, *flags, go="go"):
    return c.submit(*flags, "--", "sh", "-c", WAITER.format(log=c.file("log"), go=c.file(go)))


def runs(c):
    """job -> list of (attempt, pid), as the programs wrote it down."""
    seen = {}
    for line in c.read("log").splitlines():
        job, attempt, pid = map(int, line.split())
        seen.setdefault(job, []).append((attempt, pid))
    return seen


def scheduler_killed():
    with Cluster(nodes=2, cpus=2) as c:
        jobs = [waiter(c) for _ in range(24)]
        eventually(lambda: len(runs(c)) == 4)
        before = runs(c)
        last = max(set(jobs) - set(before))
        code = lambda job: c.api("GET", f"/v1/jobs/{job}/why")[1]["reason"]["code"]
        c.kill_scheduler()
        tap.ok(all(alive(p) for r in before.values() for _, p in r),
               "the tasks run on without the scheduler")
        c.up()
        tap.ok(eventually(c.nodes_up), "the nodes come back")
        tap.equal(runs(c), before, "the four are the same processes")
        tap.equal([c.state(j) for j in before], ["running"] * 4, "and are known as running")
        tap.ok(eventually(lambda: code(last) == "resources"),
               "the last one waits for what all that are like it wait for, as before")
        for node in c.nodes:
            c.ctl("node", "drain", node, "--reason", "test")
        tap.ok(eventually(lambda: code(last) == "no_nodes"),
               "without a usable node every job says so")
        for node in c.nodes:
            c.ctl("node", "resume", node)
        tap.ok(eventually(lambda: code(last) == "resources"), "and no longer when they are back")
        c.kill_scheduler()
        open(c.file("go"), "w").close()
        eventually(lambda: not any(alive(p) for r in before.values() for _, p in r))
        c.up()
        tap.equal(c.wait(*jobs, timeout=40), 0, "all 24 complete")
        tap.ok(all(len(r) == 1 for r in runs(c).values()) and len(runs(c)) == 24,
               "each exactly once", runs(c))


def agent_killed():
    with Cluster(nodes=1, cpus=4) as c:
        jobs = [waiter(c) for _ in range(6)]
        eventually(lambda: len(runs(c)) == 4)
        before = runs(c)
        c.kill_agent("n1")
        tap.ok(eventually(lambda: c.node("n1")["state"] == "unreachable"), "it is unreachable")
        tap.equal([c.state(j) for j in before], ["running"] * 4, "unreachable is not failed")
        c.up()
        tap.ok(eventually(c.nodes_up), "the agent comes back")
        tap.equal(runs(c), before, "to the same processes")
        c.kill_agent("n1")
        open(c.file("go"), "w").close()
        eventually(lambda: not any(alive(p) for r in before.values() for _, p in r))
        c.up()
        tap.equal(c.wait(*jobs, timeout=40), 0, "ends that it did not see are reported")
        tap.ok(all(len(r) == 1 for r in runs(c).values()), "each ran once", runs(c))
        tap.ok(eventually(c.all_free), "everything is free")
        groups = c.groups()
        c.down()
        tap.equal(groups(), [], "no cgroup is left")


def both_killed():
    with Cluster(nodes=1, cpus=4) as c:
        jobs = [waiter(c) for _ in range(6)]
        eventually(lambda: len(runs(c)) == 4)
        c.kill_agent("n1")
        c.kill_scheduler()
        c.up()
        open(c.file("go"), "w").close()
        tap.equal(c.wait(*jobs, timeout=40), 0, "agent and scheduler killed together: all complete")
        tap.ok(all(len(r) == 1 for r in runs(c).values()), "each once", runs(c))


def shepherd_killed():
    with Cluster(nodes=2, cpus=2) as c:
        once = waiter(c)
        again = waiter(c, "--on-lost", "requeue:10s")
        eventually(lambda: len(runs(c)) == 2)
        before = runs(c)
        for pid in c.shepherd_pids():
            c.kill(pid)
        tap.ok(eventually(lambda: c.state(once) == "lost"), "a shepherd killed: the job is lost",
               c.job(once))
        tap.ok("shepherd" in c.job(once)["reason"]["text"], "and says why")
        tap.ok(eventually(lambda: len(runs(c).get(again, [])) == 2),
               "a restartable one runs again", runs(c))
        tap.ok(not any(alive(p) for r in before.values() for _, p in r[:1]),
               "no task of the old attempts lives")
        open(c.file("go"), "w").close()
        tap.equal(c.wait(again), 0, "and completes")
        tap.equal([a for a, _ in runs(c)[again]], [1, 2], "as attempt 2")


def acknowledged():
    with Cluster(nodes=1, cpus=1) as c:
        ids = []
        for _ in range(int(os.environ.get("ACKNOWLEDGED", "200"))):
            status, answer = c.api("POST", "/v1/jobs", {"argv": ["true"], "hold": True})
            pid = c.scheduler_pid()
            os.kill(pid, signal.SIGKILL)
            if status == 201:
                ids.append(answer["id"])
            eventually(lambda p=pid: not alive(p), 5, 0.001)
            c.start_scheduler()
        tap.equal(sorted(j["id"] for j in c.jobs()), sorted(ids),
                  f"{len(ids)} acknowledged submissions are all there after kill -9, and no other")


def old_backup():
    with Cluster(nodes=1, cpus=2) as c:
        job = waiter(c)
        eventually(lambda: runs(c))
        pid = runs(c)[job][0][1]
        c.kill_scheduler()
        state = os.path.join(c.root, "scheduler")
        shutil.copytree(state, c.file("backup"))
        c.up()
        eventually(c.nodes_up)
        later = waiter(c)
        eventually(lambda: later in runs(c))
        c.kill_scheduler()
        shutil.rmtree(state)
        shutil.copytree(c.file("backup"), state)
        c.ctl("cluster", "up", *c.up_flags, timeout=60)
        tap.ok(eventually(lambda: c.api("GET", "/v1/cluster")[1]["state"] == "recovery_hold"),
               "an older backup of the database: recovery hold", c.api("GET", "/v1/cluster"))
        tap.ok(c.ctl("submit", "--", "true").returncode != 0, "nothing is accepted")
        tap.ok(alive(pid) and alive(runs(c)[later][0][1]), "nothing is killed")
        run = c.ctl("recover", "--accept")
        tap.equal(run.returncode, 0, "recover --accept")
        tap.ok(eventually(c.nodes_up), "goes on", c.node("n1"))
        tap.ok(alive(pid) and alive(runs(c)[later][0][1]), "and still nothing is killed")
        open(c.file("go"), "w").close()
        tap.equal(c.wait(job), 0, "the job that it knows completes")
        tap.equal(c.wait(c.submit("--", "true")), 0, "new jobs run")


def foreign_database():
    with Cluster(nodes=1, cpus=2) as c:
        job = waiter(c)
        eventually(lambda: runs(c))
        pid = runs(c)[job][0][1]
        c.kill_scheduler()
        state = os.path.join(c.root, "scheduler")
        os.rename(state, c.file("ours"))
        c.start_scheduler()
        tap.ok(eventually(lambda: "another cluster" in open(
            os.path.join(c.root, "scheduler.log"), errors="replace").read()),
            "a database of another cluster is not obeyed")
        tap.ok(alive(pid), "nothing is killed")
        c.kill_scheduler()
        shutil.rmtree(state)
        os.rename(c.file("ours"), state)
        c.up()
        open(c.file("go"), "w").close()
        tap.equal(c.wait(job), 0, "with its own database the job completes")


def journal_deleted():
    with Cluster(nodes=1, cpus=2) as c:
        job = waiter(c)
        eventually(lambda: runs(c))
        pid = runs(c)[job][0][1]
        c.kill_agent("n1")
        os.unlink(os.path.join(c.root, "nodes", "n1", "journal"))
        c.up()
        tap.ok(eventually(c.nodes_up), "an agent without its journal comes back")
        tap.ok(alive(pid) and c.state(job) == "running", "what ran still runs", c.job(job))
        open(c.file("go"), "w").close()
        tap.equal(c.wait(job), 0, "and its end is told")
        tap.ok(eventually(c.all_free), "everything is free")


def stopped_agent():
    with Cluster(nodes=3, cpus=2) as c:
        job = waiter(c, "--on-lost", "requeue:10s")
        eventually(lambda: runs(c))
        first = runs(c)[job][0][1]
        node = c.job(job)["nodes"]
        other, spare = [n for n in c.nodes if n != node]
        c.kill(c.agent_pid(node), signal.SIGSTOP)
        # An order that reaches its agent only after its lease.
        c.ctl("node", "drain", f"{node},{spare}", "--reason", "test")
        c.kill(c.agent_pid(other), signal.SIGSTOP)
        late = waiter(c, "--on-lost", "requeue:10s")
        tap.ok(eventually(lambda: c.job(late)["nodes"] == other), "a job is sent to a stopped agent",
               c.job(late))
        c.ctl("node", "resume", f"{node},{spare}")
        overlap = []

        def second():
            if len(runs(c).get(job, [])) < 2:
                return False
            overlap.append(alive(first))
            return True

        tap.ok(eventually(second, 60), "an agent stopped past the lease: the next attempt starts",
               c.job(job))
        tap.ok(overlap == [False], "after the shepherd has killed the first")
        tap.ok(eventually(lambda: late in runs(c), 60), "so does that of the other job", c.job(late))
        c.kill(c.agent_pid(other), signal.SIGCONT)
        tap.ok(eventually(lambda: c.node(other)["state"] == "up", 20), "its agent comes back")
        tap.equal([a for a, _ in runs(c)[late]], [2], "and refuses the order that came too late")
        c.kill(c.agent_pid(node), signal.SIGCONT)
        open(c.file("go"), "w").close()
        tap.equal(c.wait(job, late), 0, "both complete")
        tap.equal(len(runs(c)[late]), 1, "the late one ran once")
        tap.ok(eventually(c.nodes_up) and eventually(c.all_free, 15), "every node is free again")


def second_scheduler():
    with Cluster(nodes=1, cpus=1) as c:
        import subprocess
        from muster import BIN
        run = subprocess.run([os.path.join(BIN, "muster-scheduler"), "--dir", c.root],
                             capture_output=True, text=True, timeout=10)
        tap.ok(run.returncode == 3 and c.root in run.stderr, "a second scheduler is refused",
               run.stderr)
        c.kill_scheduler()
        path = os.path.join(c.root, "scheduler", "muster.db")
        good = open(path, "rb").read()
        with open(path, "r+b") as f:
            f.seek(0)
            f.write(os.urandom(8192))
        damaged = open(path, "rb").read()
        for extra in glob.glob(path + "-*"):
            os.unlink(extra)
        run = subprocess.run([os.path.join(BIN, "muster-scheduler"), "--dir", c.root],
                             capture_output=True, text=True, timeout=10)
        tap.ok(run.returncode == 4 and "muster.db" in run.stderr, "a damaged database is refused",
               f"{run.returncode} {run.stderr}")
        tap.ok(open(path, "rb").read() == damaged, "and not touched")
        del good


for test in (scheduler_killed, agent_killed, both_killed, shepherd_killed, acknowledged, old_backup,
             foreign_database, journal_deleted, second_scheduler, stopped_agent):
    if len(sys.argv) < 2 or test.__name__ in sys.argv[1:]:
        test()
tap.equal([p for root in Cluster.roots for p in processes(root)], [], "no process is left")
tap.done()
