"""The parts: each measures its figures and their limits in turn, some repetitions of both."""
import os
import time

from bench import CONNECTIONS, SCHEDCTL
from figures import Figure
from growth import growth
from placing import placing
from simulated import openb, traces
from training import training
from waiting import waiting


def submit(bench):
    """Durable submissions, held so that nothing runs; the limit is a bare loop of fdatasync."""
    part = "submit: durable submissions of held jobs, beside 4 KiB appended and fdatasync"
    sync = Figure(part, "fdatasync of an append, bare loop", "/s")
    again = Figure(part, "fdatasync of an overwrite, bare loop", "/s")
    client = Figure(part, "`schedctl version` one after another", "/s")
    one = Figure(part, "`schedctl submit` one after another", "/s", sync)
    eight = Figure(part, "`schedctl submit`, 8 shells at once", "/s", sync)
    kept = Figure(part, "1 kept connection", "/s", sync)
    many = Figure(part, f"{CONNECTIONS} kept connections", "/s", sync)
    array = Figure(part, "elements of an array of 100,000", "/s", sync)
    for _ in range(bench.repetitions):
        with bench.cluster() as c:
            sync.add(bench.syncs_per_s())
            again.add(bench.syncs_per_s("again"))
            count = bench.size(200, 40)
            client.add(bench.tool("spawn", 1, count, SCHEDCTL, "version")["per_s"])
            one.add(bench.tool("spawn", 1, count, SCHEDCTL, "submit", "--hold", "--", "true",
                               env=c.env)["per_s"])
            eight.add(shells(bench, c, 8, bench.size(50, 10)))
            kept.add(c.load(bench.size(2000, 500), 1, hold=True)["per_s"])
            many.add(c.load(bench.size(20000, 2000), CONNECTIONS, hold=True)["per_s"])
            start = time.monotonic()
            c.ctl_out("submit", "--hold", "--array", "0-99999", "--", "true")
            array.add(100000 / (time.monotonic() - start))
    return [sync, again, client, one, eight, kept, many, array]


def shells(bench, cluster, shells_count, each):
    """Submissions a second of several shells at once."""
    loop = (f"i=0; while [ $i -lt {each} ]; do {SCHEDCTL} submit --hold -- true >/dev/null || "
            "exit 1; i=$((i+1)); done")
    all_of_them = (f"for n in $(seq {shells_count}); do (set -e; {loop}) & pids=\"$pids $!\"; done;"
                   " for p in $pids; do wait $p || exit 1; done")
    start = time.monotonic()
    bench.finish(["sh", "-c", all_of_them], env=cluster.env)
    return shells_count * each / (time.monotonic() - start)


def noop(bench):
    """Jobs that do nothing, from the first submission to the last end."""
    part = "noop: jobs of `true` from first submission to last end, 4 cores in 2 nodes"
    spawn = Figure(part, "posix_spawn and wait, 4 at a time, bare loop", "/s")
    array = Figure(part, f"array of {bench.size(500, 100)}", "/s", spawn)
    single = Figure(part, f"{bench.size(200, 50)} single jobs", "/s", spawn)
    for _ in range(bench.repetitions):
        with bench.cluster() as c:
            c.ctl_out("run", "--", "true")
            count = bench.size(500, 100)
            spawn.add(bench.tool("spawn", c.cores, count, "true")["per_s"])
            array.add(run_array(c, count))
            count = bench.size(200, 50)
            single.add(run_singles(c, count))
    return [spawn, array, single]


def ended(cluster, number):
    """The job when it has ended, by long polls."""
    job = cluster.need(lambda: live_out(cluster, number), f"job {number} ends", 120)
    if job["state"] != "completed":
        raise RuntimeError(f"job {number} did not complete: {job}")
    return job


def live_out(cluster, number):
    job = cluster.api("GET", f"/v1/jobs/{number}?wait=30", timeout=60)[1]
    return job if job.get("ended_at") else None


def run_array(cluster, count):
    start = time.time()
    answer = cluster.api("POST", "/v1/jobs", {"argv": ["true"], "cwd": "/",
                                              "array": f"0-{count - 1}"})[1]
    job = ended(cluster, answer["id"])
    if job["array"]["failed"]:
        raise RuntimeError(f"elements failed: {job}")
    return count / (job["ended_at"] / 1000 - start)


def run_singles(cluster, count):
    start = time.time()
    numbers = cluster.load(count, CONNECTIONS)
    last = max(ended(cluster, n)["ended_at"]
               for n in range(numbers["last"], numbers["first"] - 1, -1))
    return count / (last / 1000 - start)


def latency(bench):
    """How long a user waits for `schedctl run -- true` on an idle cluster."""
    part = "latency: one run after another on an idle cluster, beside posix_spawn and wait"
    names = {"true": ("posix_spawn of `true`", ["true"]),
             "client": ("`schedctl version`", [SCHEDCTL, "version"]),
             "run": ("`schedctl run -- true`", [SCHEDCTL, "run", "--", "true"])}
    figures = {}
    for key, (name, _) in names.items():
        for p in ("p50", "p99"):
            limit = figures.get(("true", p))
            figures[key, p] = Figure(part, f"{name}, {p}", "ms", limit)
    count = bench.size(200, 50)
    with bench.cluster() as c:
        c.ctl_out("run", "--", "true")
        for _ in range(bench.repetitions):
            for key, (_, command) in names.items():
                took = bench.tool("spawn", 1, count, *command, env=c.env)
                for p in ("p50", "p99"):
                    figures[key, p].add(took[p + "_ms"])
    return list(figures.values())


def memory(bench):
    """The scheduler's memory with a long queue."""
    count = bench.size(100000, 5000)
    part = f"memory: the scheduler's, with {count:,} pending jobs or an array of 1,000,000"
    mib = 1 << 20
    rss = {"idle": Figure(part, "idle, resident", "MiB"),
           "jobs": Figure(part, "pending jobs, resident", "MiB"),
           "array": Figure(part, "pending array, resident", "MiB")}
    pss = {"idle": Figure(part, "idle, proportional", "MiB"),
           "jobs": Figure(part, "pending jobs, proportional", "MiB"),
           "array": Figure(part, "pending array, proportional", "MiB")}
    each = Figure(part, "a pending job (growth of the proportional)", "bytes")
    rate = Figure(part, f"submissions meanwhile, {CONNECTIONS} kept connections", "/s")

    def note(c, key):
        resident, proportional = c.memory()
        rss[key].add(resident / mib)
        pss[key].add(proportional / mib)
        return proportional

    for _ in range(bench.repetitions):
        with bench.cluster() as c:
            c.fill()
            idle = note(c, "idle")
            rate.add(c.load(count, CONNECTIONS)["per_s"])
            each.add((note(c, "jobs") - idle) / count)
        with bench.cluster() as c:
            c.fill()
            c.ctl_out("submit", "--array", "0-999999", "--", "true")
            note(c, "array")
    return [f for key in rss for f in (rss[key], pss[key])] + [each, rate]


def restart(bench):
    """From the start of a scheduler that was killed to its first answers."""
    count = bench.size(100000, 5000)
    part = f"restart: kill -9 with {count:,} pending jobs, beside `cat` of the database"
    cat = Figure(part, "`cat` of the database and its log", "ms")
    size = Figure(part, "database and its log", "MiB")
    first = Figure(part, "until 20 jobs are listed", "ms", cat)
    up = Figure(part, "until both nodes are heard and up", "ms", cat)
    whole = Figure(part, "list of all jobs, one request", "ms", cat)
    for _ in range(bench.repetitions):
        with bench.cluster() as c:
            c.fill()
            c.load(count, CONNECTIONS)
            c.kill_scheduler()
            c.wait_for_lock()
            files = [os.path.join(c.root, "scheduler", "muster.db" + end) for end in ("", "-wal")]
            files = [f for f in files if os.path.exists(f)]
            size.add(sum(map(os.path.getsize, files)) / (1 << 20))
            cat.add(bench.tool("spawn", 1, 1, "cat", *files)["p50_ms"])
            start = time.monotonic()
            c.restart_scheduler()
            c.need(lambda: len(listed(c, "?limit=20")) == 20, "the list is answered")
            first.add((time.monotonic() - start) * 1000)
            c.need(c.nodes_heard, "the nodes are up again")
            up.add((time.monotonic() - start) * 1000)
            start = time.monotonic()
            answer = c.get_bytes("/v1/jobs")
            whole.add((time.monotonic() - start) * 1000)
            if answer.count(b'"job_uid":') != count + 1:
                raise RuntimeError("jobs are missing after the restart")
    return [cat, size, first, up, whole]


def listed(cluster, query):
    try:
        status, answer = cluster.api("GET", "/v1/jobs" + query, timeout=60)
    except OSError:
        return []
    return answer["jobs"] if status == 200 else []


SHAPES = ((2, 1), (2, 2), (2, 4), (2, 8), (4, 4))  # nodes, ranks on each


def mpi(bench):
    """Start-up of MPI programs, beside mpirun."""
    part = "mpi: an MPI program that does nothing, on nodes x ranks, beside mpirun -np on the host"
    allow = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    hello = os.path.join(bench.build, "hello")
    figures = []
    with bench.cluster(nodes=4, cpus=8) as c:
        c.ctl_out("run", "-n", "4", "-N", "4", "--", hello)
        for nodes, each in SHAPES:
            count = str(nodes * each)
            mpirun = ["mpirun", "--oversubscribe", "-np", count]
            commands = {"mpirun": [*mpirun, hello],
                        "mpirun, pml=ob1": [*mpirun, "--mca", "pml", "ob1", hello],
                        "schedctl run": [SCHEDCTL, "run", "-n", count, "-N", str(nodes), "--", hello]}
            out, end = {}, {}
            for name in commands:
                limit = name == "schedctl run"
                out[name] = Figure(part, f"{nodes}x{each} {name}: out of MPI_Init", "ms",
                                   out["mpirun"] if limit else None)
                end[name] = Figure(part, f"{nodes}x{each} {name}: whole command", "ms",
                                   end["mpirun"] if limit else None)
            for _ in range(2 * bench.repetitions):
                for name, command in commands.items():
                    init_ms, whole_ms = start_up(bench, command, int(count), {**c.env, **allow})
                    out[name].add(init_ms)
                    end[name].add(whole_ms)
            figures += [f for name in commands for f in (out[name], end[name])]
    return figures


def start_up(bench, command, ranks, env):
    """From the order to the last rank's leaving MPI_Init, and to the command's end; in ms."""
    start = time.monotonic()
    said = bench.finish(command, env=env, timeout=60).splitlines()
    whole = time.monotonic() - start
    times = [int(line.split()[1]) for line in said if line.startswith("init ")]
    if len(times) != ranks:
        raise RuntimeError(f"{' '.join(command)}: {len(times)} of {ranks} ranks: {said[-5:]}")
    return (max(times) / 1e9 - start) * 1000, whole * 1000


PARTS = {"submit": submit, "noop": noop, "latency": latency, "memory": memory, "restart": restart,
         "mpi": mpi, "training": training, "traces": traces, "openb": openb, "growth": growth,
         "placing": placing, "waiting": waiting}
