"""Figures, the limits they are held against, and the table of both."""
import datetime
import json
import os
import platform
import statistics
import subprocess


class Figure:
    """One thing measured several times; `limit` is the Figure of what bounds it, in the same runs."""

    def __init__(self, part, name, unit, limit=None):
        self.part, self.name, self.unit, self.limit = part, name, unit, limit
        self.values = []

    def add(self, value):
        self.values.append(float(value))

    def median(self):
        return statistics.median(self.values)

    def ratio(self):
        """Median of the ratios to the limit, repetition by repetition; None without a limit."""
        if not self.limit or not self.values or not self.limit.values:
            return None
        ratios = [v / limit for v, limit in zip(self.values, self.limit.values) if limit]
        return statistics.median(ratios) if ratios else None

    def as_dict(self):
        return {"part": self.part, "name": self.name, "unit": self.unit, "values": self.values,
                "median": self.median(), "min": min(self.values), "max": max(self.values),
                "limit": self.limit.name if self.limit else None, "ratio": self.ratio()}


def number(value):
    """Three significant digits, thousands apart."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100:
        digits = 0 if size < 1000 else -(len(str(int(size))) - 3)
        return f"{round(value, digits):,.0f}"
    return f"{value:.2f}" if size < 10 else f"{value:.1f}"


def table(figures):
    rows = [("what", "median", "min", "max", "", "to limit")]
    for f in figures:
        if not f.values:
            continue
        ratio = f.ratio()
        rows.append((f.name, number(f.median()), number(min(f.values)), number(max(f.values)),
                     f.unit, "" if ratio is None else f"{ratio:.3g}"))
    width = [max(len(row[i]) for row in rows) for i in range(6)]
    lines, part = [], None
    by_name = {f.name: f.part for f in figures}
    for row in rows:
        if by_name.get(row[0]) != part:
            part = by_name.get(row[0])
            lines.append(f"\n{part}")
        lines.append("  ".join((row[0].ljust(width[0]), row[1].rjust(width[1]),
                                row[2].rjust(width[2]), row[3].rjust(width[3]),
                                row[4].ljust(width[4]), row[5].rjust(width[5]))).rstrip())
    return "\n".join(lines)


def file_system(path):
    """Type and device of the mount that holds `path`."""
    best, found = -1, "unknown"
    path = os.path.realpath(path)
    with open("/proc/self/mounts", encoding="utf-8") as f:
        for line in f:
            device, point, kind = line.split()[:3]
            inside = point == "/" or path == point or path.startswith(point + "/")
            if inside and len(point) >= best:
                best, found = len(point), f"{kind} on {device}"
    return found


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def revision(top):
    run = subprocess.run(["git", "-C", top, "describe", "--always", "--dirty"],
                         capture_output=True, text=True)
    return run.stdout.strip() or "unknown"


def machine(scratch, top):
    return {"cores": len(os.sched_getaffinity(0)), "processor": processor(),
            "memory_mib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20,
            "kernel": platform.release(), "file_system": file_system(scratch),
            "load_before": os.getloadavg()[0], "revision": revision(top),
            "date": datetime.date.today().isoformat()}


def machine_line(m):
    return (f"{m['cores']} cores ({m['processor']}), {m['memory_mib']} MiB, Linux {m['kernel']}, "
            f"{m['file_system']}; load before {m['load_before']:.2f}, after {m['load_after']:.2f}; "
            f"revision {m['revision']}, {m['date']}")


def note_lines(notes):
    """What is installed beside the machine's own: the first lines say enough."""
    torch = notes.get("pytorch")
    if not torch:
        return ""
    wanted = ("Math Kernel", "oneAPI", "MKL-DNN", "OpenMP", "CPU capability")
    lines = [x.strip(" -") for x in torch["config"].splitlines() if any(w in x for w in wanted)]
    return f"PyTorch {torch['version']}: " + "; ".join(lines)


def write_json(path, figures, about):
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"machine": about, "figures": [x.as_dict() for x in figures if x.values]}, f,
                  indent=2)
        f.write("\n")
