#!/usr/bin/env python3
"""Parts of cores, shares of GPUs, and nodes that are asked for by what they are: from the command line
to the tasks, and over kills of agent and scheduler."""
import os
import signal
import struct
import subprocess
import sys
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import BIN, Cluster, Tap, eventually

tap = Tap()

# Writes what it found and waits for a file; one line as it comes, one as it goes.
TASK = ("echo + $MUSTER_JOB_ID $MUSTER_NODE/${{CUDA_VISIBLE_DEVICES:--}} ${{MUSTER_GPU_MILLI:-0}}"
        " >> {log}; while [ ! -e {go} ]; do sleep 0.03; done;"
        "echo - $MUSTER_JOB_ID $MUSTER_NODE/${{CUDA_VISIBLE_DEVICES:--}} ${{MUSTER_GPU_MILLI:-0}}"
        " >> {log}")


def task(c, *flags, go="go"):
    return c.submit(*flags, "--", "sh", "-c", TASK.format(log=c.file("log"), go=c.file(go)))


def touch(c, name):
    open(c.file(name), "w").close()


def running(c, *jobs):
    return eventually(lambda: all(c.state(j) == "running" for j in jobs))


def pending(c, job):
    """It waits, and a pass has said why."""
    return eventually(lambda: c.state(job) == "pending" and
                      c.api("GET", f"/v1/jobs/{job}/why")[1]["reason"]["code"] != "priority")


def parts(c, job):
    return c.job(job)["placements"]


def cores(text):
    return {i for part in text.split(",") if part
            for i in range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1)}


def over(c):
    """What the nodes' placements hold beyond the whole of it."""
    for name in c.nodes:
        whole, pool, cpus, gpus = set(), set(), 0, {}
        for p in c.node(name)["placements"]:
            if whole & cores(p["cores"]):
                return f"{name}: cores twice"
            whole |= cores(p["cores"])
            pool |= cores(p["shared_cores"])
            cpus += p["shared_cpus"]
            for g in p["gpus"]:
                gpus[g] = gpus.get(g, 0) + p["gpu_shares"].get(str(g), 1)
        if whole & pool or cpus > len(pool) + 1e-6 or any(v > 1 + 1e-6 for v in gpus.values()):
            return f"{name}: {whole} {pool} {cpus} {gpus}"
    return None


def never_over(c):
    """From what the tasks wrote: no GPU was ever more than given out."""
    held = {}
    for line in c.read("log").splitlines():
        sign, _, gpu, milli = line.split()
        if gpu.endswith("/-") or gpu.endswith("/"):
            continue
        held[gpu] = held.get(gpu, 0) + (int(milli) if sign == "+" else -int(milli))
        if held[gpu] > 1000 or held[gpu] < 0:
            return False
    return bool(held) and not any(held.values())


def shares_of_gpus():
    with Cluster(nodes=1, cpus=8, flags=["--gpus", "2"]) as c:
        halves = [task(c, "--gpus", "0.5") for _ in range(2)]
        tap.ok(running(c, *halves), "two half-GPU jobs run")
        tap.equal([(p["gpus"], p["gpu_shares"]) for j in halves for p in parts(c, j)],
                  [([0], {"0": 0.5})] * 2, "both on GPU 0")
        third = task(c, "--gpus", "0.3", go="third")
        tap.ok(running(c, third), "a third runs")
        tap.equal(parts(c, third)[0]["gpus"], [1], "on GPU 1")
        whole = task(c, "--gpus", "1")
        tap.ok(pending(c, whole), "a whole-GPU job waits", c.job(whole))
        why = c.ctl("job", "why", str(whole)).stdout
        tap.ok(f"job {third} " in why and " 0.3 " in why and " 0.5 " in why,
               "and is told who holds which share", why)
        tap.equal((c.node("n1")["gpus_used"], c.node("n1")["gpus"]), (1.3, 2),
                  "the node shows what is in use")
        tap.ok("1.3/2" in c.ctl("nodes").stdout, "so does the list", c.ctl("nodes").stdout)
        touch(c, "third")
        tap.ok(running(c, whole), "it starts when a GPU is whole again")
        lines = c.read("log").splitlines()
        tap.ok(f"+ {halves[0]} n1/0 500" in lines and f"+ {third} n1/1 300" in lines and
               f"+ {whole} n1/1 1000" in lines, "each task is told its GPU and its share", lines)
        touch(c, "go")
        tap.equal(c.wait(*halves, third, whole), 0, "all complete")
        tap.ok(never_over(c) and eventually(c.all_free), "no GPU was given out over the whole of it")
        gang = c.submit("-n", "4", "--mpi", "none", "--gpus", "0.5", "--", "sh", "-c",
                        "echo $MUSTER_TASK $CUDA_VISIBLE_DEVICES $CUDA_MPS_ACTIVE_THREAD_PERCENTAGE")
        c.wait(gang)
        told = sorted(c.ctl("logs", str(gang), "--task", str(i)).stdout.strip() for i in range(4))
        tap.equal(told, ["0 0 50", "1 0 50", "2 1 50", "3 1 50"], "a gang's tasks fill one GPU after the other")


def parts_of_cores():
    with Cluster(nodes=1, cpus=2) as c:
        show = "echo $MUSTER_CPU_MILLI $MUSTER_CPUS $(grep Cpus_allowed_list /proc/self/status);"
        wait = f"while [ ! -e {c.file('go')} ]; do sleep 0.03; done"
        halves = [c.submit("-c", "0.5", "--", "sh", "-c", show + wait) for _ in range(2)]
        whole = c.submit("-c", "1", "--", "sh", "-c", show + wait)
        more = c.submit("-c", "0.25", "--", "sh", "-c", show + wait)
        tap.ok(running(c, *halves, whole), "two half-core jobs and a whole-core job run on two cores")
        tap.ok(pending(c, more), "and no quarter of a core is left")
        tap.equal([(p["cores"], p["shared_cores"], p["shared_cpus"])
                   for j in (*halves, whole) for p in parts(c, j)],
                  [("", "0", 0.5), ("", "0", 0.5), ("1", "", 0)], "the halves share a core")
        if c.node("n1")["inventory"]["bound"]:
            allowed = lambda j: c.ctl("logs", str(j)).stdout.split()[-1]
            tap.ok(eventually(lambda: allowed(whole)) and allowed(halves[0]) == allowed(halves[1]) and
                   not cores(allowed(whole)) & cores(allowed(halves[0])),
                   "tasks are bound so", [allowed(j) for j in (*halves, whole)])
        else:
            tap.skip("tasks are bound so", "this machine has one core")
        groups = [g for g in c.groups()() if "/cpu/" in g or os.path.exists(g + "/cpu.weight")]
        weights = sorted(int(open(f).read()) for g in groups for f in (g + "/cpu.shares", g + "/cpu.weight")
                         if os.path.exists(f) and ".1" in os.path.basename(g))
        if groups:
            tap.ok(weights[:2] in ([512, 512], [50, 50]), "and weighed by their part", weights)
        else:
            tap.skip("and weighed by their part", "no cpu controller here")
        touch(c, "go")
        tap.equal(c.wait(*halves, whole, more), 0, "all complete")
        tap.ok(eventually(c.all_free), "and leave nothing")
        if c.node("n1")["inventory"]["bound"]:
            alone = c.submit("--exclusive", "--", "sh", "-c", show)
            c.wait(alone)
            tap.equal(len(cores(allowed(alone))), len(cores(allowed(whole)) | cores(allowed(halves[0]))),
                      "an exclusive job's task has all the cores")
        one = c.submit("-c", "1.5", "--", "sh", "-c", show)
        c.wait(one)
        tap.equal(c.ctl("logs", str(one)).stdout.split()[:2], ["1500", "2"], "a core and a half")
    with Cluster(nodes=1, cpus=4) as c:
        halves = [task(c, "-c", "0.5") for _ in range(4)]
        wholes = [task(c, "-c", "1") for _ in range(3)]
        tap.ok(running(c, *halves, *wholes[:2]) and pending(c, wholes[2]),
               "four half-core jobs take two of four cores")
        tap.equal(sorted(p["shared_cores"] for j in halves for p in parts(c, j)),
                  ["0", "0", "0-1", "0-1"], "which grow together")
        tap.ok(not over(c), "and whole-core jobs are never on them", over(c))
        touch(c, "go")
        tap.equal(c.wait(*halves, *wholes), 0, "all complete")


def what_nodes_are():
    with Cluster(nodes=3, cpus=4, flags=["--label", "zone=a", "--label", "spot", "--gpus", "1",
                                         "--gpu-model", "V100M16"]) as c:
        tap.equal({c.node(n)["labels"] for n in c.nodes}, {"zone=a,spot"}, "agents tell labels")
        tap.equal(c.ctl("node", "label", "n2", "zone=b", "!spot").returncode, 0, "an operator sets others")
        tap.equal(c.node("n2")["labels"], "zone=b", "which lie over them")
        where = lambda j: c.job(j)["nodes"]
        job = lambda *f: (lambda j: (c.wait(j), where(j))[1])(c.submit(*f, "--", "true"))
        tap.equal(job("--constraint", "zone=b"), "n2", "a constraint on a label")
        tap.equal(job("-n", "2", "-N", "2", "--constraint", "spot & zone=a|c"), "n[1,3]", "terms and values")
        tap.equal(job("--prefer", "!spot"), "n2", "a preference")
        tap.equal(job("--constraint", "node=n3"), "n3", "a node by its name")
        tap.ok(job("--constraint", "gpu.model=V100M16|A100"), "a model of GPU")
        hold = task(c, "-c", "4", "--constraint", "zone=b", go="zone")
        tap.ok(running(c, hold), "the zone is full")
        tap.ok(job("--prefer", "zone=b") in ("n1", "n3"), "a preference binds nobody")
        waits = c.submit("--constraint", "zone=b & !spot", "--", "true")
        tap.ok(pending(c, waits), "a constraint waits")
        why = c.api("GET", f"/v1/jobs/{waits}/why")[1]
        tap.ok(any(r["text"] == "with zone=b & !spot" and r["nodes"] == 1 for r in why["conditions"]),
               "and says how many nodes meet it", why["conditions"])
        text = c.ctl("job", "why", str(waits)).stdout
        tap.ok('--constraint "!spot" instead of "zone=b & !spot"' not in text and
               '--constraint "zone=b"' not in text and "without --constraint" in text,
               "and that it would start without", text)
        both = c.submit("--constraint", "zone=b & gpu.model=V100M16", "-p", "1", "--", "true")
        pending(c, both)
        text = c.ctl("job", "why", str(both)).stdout
        tap.ok('with --constraint "gpu.model=V100M16" instead of "zone=b & gpu.model=V100M16"' in text and
               '--constraint "zone=b"' not in text, "the term that stands in the way is named", text)
        c.ctl("job", "cancel", str(both))
        c.kill_agent("n2")
        c.up()
        tap.ok(eventually(c.nodes_up), "the agent is back")
        tap.equal(c.node("n2")["labels"], "zone=b", "and the operator's labels hold")
        tap.equal(c.ctl("node", "label", "n1", "zone=b").returncode, 0, "another node comes into the zone")
        c.ctl("node", "label", "n1", "!spot")
        tap.equal((c.wait(waits), where(waits)), (0, "n1"), "and the job starts there")
        c.ctl("node", "label", "n[1-2]", "--reset")
        tap.equal({c.node(n)["labels"] for n in c.nodes}, {"zone=a,spot"}, "labels go back to the agents'")
        touch(c, "zone")
        c.wait(hold)
        bad = c.ctl("submit", "--constraint", "zone=a & & spot", "--", "true")
        tap.ok(bad.returncode and 'at character 10, "& spot": a label is missing' in bad.stderr,
               "a wrong constraint is told where", bad.stderr)
        never = c.ctl("submit", "--constraint", "zone=q", "--", "true")
        tap.ok(never.returncode and "constraint" in never.stderr, "one that no node meets is refused", never.stderr)
        bad = c.ctl("node", "label", "n1", "gpu.model=H100")
        tap.ok(bad.returncode and "property" in bad.stderr, "a property is no label", bad.stderr)


def shapes():
    with Cluster(nodes=3, cpus=4) as c:
        spread = task(c, "-n", "3", "--mpi", "none", "--spread")
        packed = task(c, "-n", "3", "--mpi", "none")
        tap.ok(running(c, spread, packed), "two gangs run")
        tap.equal([p["tasks"] for p in parts(c, spread)], [1, 1, 1], "one spread over the nodes")
        tap.equal([p["tasks"] for p in parts(c, packed)], [3], "one on a single node")
        touch(c, "go")
        c.wait(spread, packed)
        two = task(c, "-n", "4", "--mpi", "none", "--tasks-per-node", "2", go="two")
        tap.ok(running(c, two), "a gang of two a node runs")
        tap.equal([p["tasks"] for p in parts(c, two)], [2, 2], "so")
        alone = task(c, "--exclusive", go="alone")
        tap.ok(running(c, alone), "an exclusive job runs")
        tap.ok([p["cores"] for p in parts(c, alone)] == ["0-3"] and
               parts(c, alone)[0]["node"] not in [p["node"] for p in parts(c, two)],
               "on a whole node that is its own", parts(c, alone))
        other = task(c, "--exclusive", go="alone")
        tap.ok(pending(c, other), "another one waits, though cores are free")
        text = c.ctl("job", "why", str(other)).stdout
        tap.ok("no other job has a part of" in text and "without --exclusive" in text, "and says so", text)
        touch(c, "two")
        tap.ok(running(c, other), "until a node is empty")
        touch(c, "alone")
        tap.equal(c.wait(two, alone, other), 0, "all complete")
        bad = c.ctl("submit", "-n", "4", "-N", "1", "--tasks-per-node", "2", "--", "true")
        tap.ok(bad.returncode, "shapes that contradict themselves are refused", bad.stderr)


def killed():
    with Cluster(nodes=2, cpus=4, flags=["--gpus", "2"]) as c:
        jobs = [task(c, "-c", "0.5", "--gpus", "0.4") for _ in range(8)]
        tap.ok(running(c, *jobs), "eight shares are held")
        before = {j: parts(c, j) for j in jobs}
        waits = task(c, "--gpus", "0.7")
        tap.ok(pending(c, waits), "and leave no room for 0.7")
        for what in ("agent", "scheduler", "both"):
            if what != "scheduler":
                for node in c.nodes:
                    c.kill_agent(node)
            if what != "agent":
                c.kill_scheduler()
            c.up()
            tap.ok(eventually(c.nodes_up) and {j: parts(c, j) for j in jobs} == before and
                   c.state(waits) == "pending" and not over(c), f"kill -9 of {what}: all is as before", over(c))
        small = task(c, "--gpus", "0.2", "-p", "1", go="small")
        tap.ok(running(c, small), "what is left is given out, and taken by the agent")
        c.kill(c.shepherd_pids()[0], signal.SIGKILL)
        touch(c, "small")
        touch(c, "go")
        eventually(lambda: all(c.state(j) in ("completed", "lost") for j in (*jobs, waits, small)), 30)
        states = sorted(c.state(j) for j in (*jobs, waits, small))
        tap.equal(states, ["completed"] * 9 + ["lost"], "one shepherd's death ends one job")
        tap.ok(eventually(c.all_free), "and nothing stays taken")


def aged(path):
    """The journal as an agent from before shares wrote it: its header has no version."""
    with open(path, "rb") as f:
        data = f.read()
    n = struct.unpack_from("<I", data, 0)[0]
    record = data[8:8 + n]
    assert record[0] == 0x0a and record[-2:] == b"\x30\x01", record
    body = record[2:-2]
    record = bytes([0x0a, len(body)]) + body
    out = struct.pack("<II", len(record), zlib.crc32(record)) + record + data[8 + n:]
    with open(path, "r+b") as f:
        f.write(out)


def older_journal():
    with Cluster(nodes=1, cpus=4, flags=["--gpus", "2"]) as c:
        job = task(c, "-c", "2", "--gpus", "1")
        tap.ok(running(c, job), "a job runs")
        c.kill_agent("n1")
        aged(os.path.join(c.root, "nodes/n1/journal"))
        c.up()
        tap.ok(eventually(c.nodes_up) and c.state(job) == "running",
               "the agent takes over a journal from before shares")
        part = task(c, "-c", "0.5", "--gpus", "0.5")
        tap.ok(running(c, part), "and gives shares of what is left")
        tap.equal([parts(c, j)[0]["gpus"] for j in (job, part)], [[0], [1]], "of the other GPU")
        c.kill_agent("n1")
        path = os.path.join(c.root, "nodes/n1/journal")
        with open(path, "rb") as f:
            data = f.read()
        n = struct.unpack_from("<I", data, 0)[0]
        record = data[8:8 + n - 1] + b"\x63"
        with open(path, "r+b") as f:
            f.write(struct.pack("<II", n, zlib.crc32(record)) + record)
        run = subprocess.run([os.path.join(BIN, "muster-agent"), "--dir", c.root, "--name", "n1"],
                             capture_output=True, text=True, timeout=20)
        tap.ok(run.returncode == 1 and "newer agent" in run.stderr, "a newer journal is left alone", run.stderr)
        with open(path, "r+b") as f:
            f.write(data)
        c.up()
        touch(c, "go")
        tap.equal(c.wait(job, part), 0, "both complete")


STORIES = [shares_of_gpus, parts_of_cores, what_nodes_are, shapes, killed, older_journal]
for story in STORIES:
    if len(sys.argv) < 2 or story.__name__ in sys.argv[1:]:
        story()
tap.done()
