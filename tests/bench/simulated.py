"""The parts `traces` and `openb`: recorded workloads through `schedctl simulate`.

They start no cluster: the scheduler's core runs in one thread of schedctl. The recorded workloads
are looked for in ../shared/data; what is not there is left out.
"""
import csv
import json
import os
import resource
import sys

from bench import HERE, SCHEDCTL
from figures import Figure

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
