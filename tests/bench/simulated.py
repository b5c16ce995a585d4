"""The parts `traces`, `openb` and `growth`: recorded and made workloads through `schedctl simulate`.

They start no cluster: the scheduler's core runs in one thread of schedctl. The recorded workloads
are looked for in ../shared/data; what is not there is left out.
"""
import csv
import json
import os
import random
import resource
import statistics
import sys

from bench import HERE, SCHEDCTL
from figures import Figure
from plot import Plot

sys.path.insert(0, os.path.join(os.path.dirname(HERE), "trace"))
from traces import LCG, NASA, OPENB, OPENB_NODES, PHILLY  # noqa: E402

QUEUES = ("fcfs", "easy")
ORDER = {"fcfs": "first come first served", "easy": "EASY", "conservative": "conservative",
         "las": "least attained service"}
# And by the name that the published figures give them.
PLACEMENTS = {"fgd": "FGD", "best_fit": "BestFit", "gpu_packing": "GpuPacking",
              "gpu_clustering": "GpuClustering", "dot_product": "DotProd", "random": "Random"}


def processor_s(run):
    """Processor seconds that it and its children took, and what it returned."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, result


def simulate(bench, *args, timeout=600):
    return json.loads(bench.finish([SCHEDCTL, "simulate", "-o", "json", *args], timeout=timeout))


def columns_summed(bench, path):
    """The least that can be done with such a file: unpacked, two columns multiplied."""
    bench.finish(["sh", "-c", f"zcat -f '{path}' | awk -F'[ ,]+' '{{n += $4 * $5}} END {{print n}}'"])


def workload(bench, part, name, path, policies, options):
    """Processor time beside awk; wait, slowdown and completion time of each policy beside the
    first's."""
    awk = Figure(part, f"{name}: unpacked, two columns summed by awk", "s")
    figures, first = [awk], {}
    for policy in policies:
        took = Figure(part, f"{name}, {ORDER[policy]}: simulated", "s", awk)
        spreads = {"wait_s": ("mean wait", "s"), "bounded_slowdown": ("mean bounded slowdown", ""),
                   "completion_s": ("mean completion time", "s")}
        made = {key: Figure(part, f"{name}, {ORDER[policy]}: {what}", unit, first.get(key))
                for key, (what, unit) in spreads.items()}
        for _ in range(bench.size(3, 1) if policy == policies[0] else 1):
            if policy == policies[0]:
                awk.add(processor_s(lambda: columns_summed(bench, path))[0])
            seconds, m = processor_s(lambda: simulate(bench, "--trace", path, "--policy", policy,
                                                      *options))
            took.add(seconds)
        for key, figure in made.items():
            figure.add(m[key]["mean"])
        first = first or made
        figures += [took, *made.values()]
    return figures


def traces(bench):
    """Recorded workloads: how long they take, and what each policy makes of them."""
    part = "traces: recorded workloads through the core, processor time; policies beside the first"
    figures = []
    cases = (("NASA iPSC", NASA, (*QUEUES, "conservative"), ()),
             ("NASA iPSC at 1.6 x load", NASA, QUEUES, ("--load", "1.6")),
             ("LCG", LCG, (*QUEUES, "conservative"), ()),
             ("LCG at 40 x load", LCG, QUEUES, ("--load", "40")),
             ("Philly at 5 x load", PHILLY, (*QUEUES, "las"), ("--load", "5")),
             ("Philly at 10 x load", PHILLY, ("fcfs", "las"), ("--load", "10")))
    for name, path, policies, options in cases:
        if not os.path.exists(path):
            print(f"  {name} is left out: {path} is not there", file=sys.stderr)
        elif not bench.quick or path == NASA:
            figures += workload(bench, part, name, path, policies, options)
    return figures


def published(path, workload_name, policy):
    """GPU allocation in percent at 130 % arrived demand, mean over the published seeds."""
    with open(path, newline="", encoding="utf-8") as f:
        rows = [r for r in csv.DictReader(f) if r["workload"] == workload_name and
                r["sc_policy"].endswith(policy)]
    return [float(r["130"]) for r in rows if r["130"]]


def openb(bench):
    """GPU allocation at 130 % arrived demand, beside the FGD paper's own figures."""
    part = "openb: GPU allocation at 130 % arrived demand, seeds 42-51, beside the published mean"
    figures = []
    if not os.path.exists(OPENB_NODES):
        print("  openb is left out: its data is not there", file=sys.stderr)
        return figures
    lists = sorted(f[:-4] for f in os.listdir(OPENB) if f.startswith("openb_pod_list_"))
    for name in lists[:1] if bench.quick else lists:
        short = name.removeprefix("openb_pod_list_")
        took = Figure(part, f"{short}, fgd: one experiment, processor time", "s")
        for policy, known_as in PLACEMENTS.items():
            theirs = Figure(part, f"{short}: {known_as}, published", "%")
            ours = Figure(part, f"{short}: {policy}", "%", theirs)
            for value in published(os.path.join(OPENB, "published_gpu_allocation.csv"), name,
                                   known_as):
                theirs.add(value)
            for seed in range(42, 44 if bench.quick else 52):
                m = simulate(bench, "--trace", os.path.join(OPENB, name + ".csv"), "--nodes",
                             OPENB_NODES, "--arrive", "1.3", "--seed", str(seed), "--policy", policy)
                ours.add(m["gpu_allocation_pct"])
                if policy == "fgd":
                    took.add(m["cpu_s"])
            figures += [theirs, ours]
        figures.append(took)
    return figures


# ---- growth ----

def write_swf(path, processors, jobs):
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"; MaxProcs: {processors}\n")
        for i, (submit, run, procs, limit) in enumerate(jobs):
            owner = (procs * 31 + limit // 60) % 100  # of a shape, so that there are 1,000 classes
            f.write(f"{i + 1} {submit} -1 {run} {procs} -1 -1 -1 {limit} -1 1 {owner} 1 -1 1 -1 -1 "
                    "-1\n")


def churn(nodes, rng):
    """Four jobs for each node of 4 cores, arriving so that about nine tenths are in use."""
    count, run = 4 * nodes, 10000
    rate = 0.9 * nodes * 4 / 2.5 / run
    at = 0.0
    for _ in range(count):
        at += rng.expovariate(rate)
        yield int(at), rng.randint(run // 2, run * 3 // 2), rng.randint(1, 4), 2 * run


def burst(count, rng):
    """Jobs of 1,000 shapes that are all submitted within a second."""
    shapes = [(rng.randint(1, 50), 60 * rng.randint(1, 20)) for _ in range(1000)]
    for _ in range(count):
        procs, limit = rng.choice(shapes)
        yield 0, rng.randint(1, limit), procs, limit


def equal_nodes(count, cores):
    """As `--nodes` takes them: a host list has at most 65,536 names."""
    return "; ".join(f"n{k}-[1-{min(50000, count - k)}] cores={cores}"
                     for k in range(0, count, 50000))


def growth(bench):
    """Time for a job as nodes and pending jobs grow, and a plot of it."""
    part = "growth: microseconds of a processor a job, submission to end, beside the smallest size"
    path, figures = os.path.join(bench.scratch, "growth.swf"), []
    plot = Plot("Time for a job as the cluster and the queue grow", "nodes or pending jobs",
                "microseconds a job")
    for name, sizes, nodes_of, jobs_of in (
            ("nodes, nine tenths in use", (1000, 10000, 100000), lambda n: n, churn),
            ("jobs pending at once, 16 nodes", (1000, 10000, 100000, 1000000), lambda n: 16, burst)):
        first, points = None, []
        for size in sizes[:2] if bench.quick else sizes:
            nodes = nodes_of(size)
            cores = 4 if jobs_of is churn else 64
            jobs = list(jobs_of(size, random.Random(1)))
            write_swf(path, nodes * cores, jobs)
            figure = Figure(part, f"{size:,} {name}", "us", first)
            for _ in range(bench.size(3, 1) if size < 1000000 else 1):
                m = simulate(bench, "--trace", path, "--nodes", equal_nodes(nodes, cores),
                             "--policy", QUEUES[0], "--limits", "trace")
                figure.add(m["cpu_s"] * 1e6 / len(jobs))
            first = first or figure
            figures.append(figure)
            points.append((size, statistics.median(figure.values)))
        plot.line(name, points)
    os.remove(path)
    plot.write(os.path.join(bench.build, "growth.svg"))
    return figures
