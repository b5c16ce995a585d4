#!/usr/bin/env python3
"""The inventory: of this machine, of recorded machines, of trees made by hand, with a stand-in for
NVIDIA's library; and GPUs as jobs get them."""
import glob
import json
import os
import struct
import subprocess
import sys
import tarfile
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from muster import BIN, TOP, Cluster, Tap, eventually

tap = Tap()
AGENT = os.path.join(BIN, "muster-agent")
MACHINES = os.path.join(TOP, "..", "shared", "data", "topologies")


def agent(*args, **env):
    return subprocess.run([AGENT, "--inventory", *args], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **env})


def inventory(*args, **env):
    run = agent(*args, **env)
    return json.loads(run.stdout) if run.returncode == 0 else {"failed": run.stderr}


def here():
    v = inventory()
    tap.equal(len(v["cores"]) > 0 and v["memory_mib"] > 0, True, "cores and memory of this machine")
    root = [x for x in v["volumes"] if x["mount"] == "/"]
    size = os.statvfs("/")
    tap.ok(root and root[0]["size_mib"] == size.f_blocks * size.f_frsize >> 20,
           "the root volume has the size that statvfs tells", v["volumes"])
    names = {n for n in os.listdir("/sys/class/net")
             if os.path.exists(f"/sys/class/net/{n}/device")}
    tap.ok({n["name"] for n in v["network"]} >= names, "every real interface is there", v["network"])
    run = agent("--resources", "cores=0,speed=3")
    tap.ok(run.returncode == 2 and '"speed" is unknown. Known are' in run.stderr,
           "an unknown resource is named", run.stderr)
    run = agent("--resources", "gpus=65")
    tap.ok(run.returncode == 2 and "gpus" in run.stderr, "65 GPUs are refused", run.stderr)
    run = agent("--sysroot", "/there/is/none")
    tap.ok(run.returncode == 1 and "/there/is/none" in run.stderr, "a tree that is not there",
           run.stderr)


# file: packages, NUMA nodes, cores, PUs, GPUs, other accelerators
XML = {
    "nvidiaDGX2.xml": (2, 2, 4, 4, 16, 0),
    "power8gpudistances.xml": (2, 2, 8, 16, 4, 0),
    "96em64t-4n4d3ca2co-pci.xml": (16, 4, 96, 96, 0, 0),
    "16intel64-manyVFs.xml": (2, 2, 16, 16, 0, 0),
    "24em64t-2n6c2t-pci.xml": (2, 2, 12, 24, 3, 0),
}
TREES = {
    "32em64t-2n8c+dax+nvme+mic+dimms.tar.bz2": (2, 2, 16, 16, 0, 1),
    "40intel64-2g2n4c+pcilocality.tar.bz2": (4, 4, 40, 40, 0, 0),
    "32intel64-2p8co2t+8ve.tar.bz2": (2, 2, 16, 32, 0, 8),
    "32amd64-4s2n4c-cgroup2.tar.bz2": (3, 6, 6, 6, 0, 0),
    "20em64t-hybrid-1p6c2t+2ca4co1t.tar.bz2": (1, 1, 14, 20, 0, 0),
    "nvidia-dgx-gb10.tar.bz2": (1, 1, 20, 20, 0, 0),
}


def pus(v):
    total = 0
    for core in v["cores"]:
        for part in core["pus"].split(","):
            first, _, last = part.partition("-")
            total += int(last or first) - int(first) + 1
    return total


def shape(v):
    if "failed" in v:
        return v
    return (len(v["packages"]), len(v["numa"]), len(v["cores"]), pus(v), len(v["gpus"]),
            len(v["accelerators"]))


def recorded(tmp):
    if not os.path.isdir(MACHINES):
        tap.skip("recorded machines", "../shared/data/topologies is not there")
        return None
    for name, want in XML.items():
        tap.equal(shape(inventory(HWLOC_XMLFILE=os.path.join(MACHINES, name))), want, name)
    roots = {}
    for name, want in TREES.items():
        at = os.path.join(tmp, name.split(".")[0])
        with tarfile.open(os.path.join(MACHINES, name)) as tar:
            tar.extractall(at)
        roots[name] = glob.glob(at + "/*")[0]
        tap.equal(shape(inventory("--sysroot", roots[name])), want, name)
    v = inventory("--sysroot", roots["20em64t-hybrid-1p6c2t+2ca4co1t.tar.bz2"])
    kinds = [c["efficiency"] for c in v["cores"]]
    tap.equal((kinds.count(1), kinds.count(0)), (6, 8), "performance and economical cores differ")
    v = inventory("--sysroot", roots["32em64t-2n8c+dax+nvme+mic+dimms.tar.bz2"])
    eth0 = next(n for n in v["network"] if n["name"] == "eth0")
    tap.equal((eth0["speed_mbit"], eth0["numa"], eth0["up"]), (1000, 0, 1), "a card's speed and place")
    return roots["40intel64-2g2n4c+pcilocality.tar.bz2"]


def add(root, path, text):
    path = root + path
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text + "\n")


def add_pci(root, address, kind, vendor, device, numa):
    at = f"/sys/bus/pci/devices/{address}"
    for name, text in (("class", kind), ("vendor", vendor), ("device", device),
                       ("subsystem_vendor", "0x0000"), ("subsystem_device", "0x0000"),
                       ("numa_node", str(numa)), ("local_cpus", "ff")):
        add(root, f"{at}/{name}", text)
    config = struct.pack("<HH", int(vendor, 16), int(device, 16)).ljust(256, b"\0")
    with open(f"{root}{at}/config", "wb") as f:
        f.write(config)
    return at


def by_hand(root):
    """GPUs of AMD as amdgpu publishes them, NVIDIA's /proc, TPUs of two drivers, and what is none."""
    amd = add_pci(root, "0000:c1:00.0", "0x120000", "0x1002", "0x74a1", 1)
    add(root, amd + "/mem_info_vram_total", str(192 << 30))
    add(root, amd + "/unique_id", "7b5f3c0e12345678")
    add(root, amd + "/product_name", "AMD Instinct MI300X")
    add(root, "/sys/module/amdgpu/version", "6.7.0")
    add_pci(root, "0000:c2:00.0", "0x030000", "0x1002", "0x515e", 0)  # a board's old Radeon
    add_pci(root, "0000:c3:00.0", "0x030000", "0x1a03", "0x2000", 0)  # its ASPEED
    add_pci(root, "0000:c4:00.0", "0x030200", "0x10de", "0x2330", 0)
    add(root, "/proc/driver/nvidia/gpus/0000:c4:00.0/information",
        "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 55\nGPU UUID: \t GPU-0a1b2c3d-0000-1111-2222-333344445555")
    v5e = add_pci(root, "0000:d0:00.0", "0x088000", "0x1ae0", "0x0063", 2)
    add_pci(root, "0000:d1:00.0", "0x088000", "0x1ae0", "0x006f", 3)
    add_pci(root, "0000:d2:00.0", "0x020000", "0x1ae0", "0x0042", -1)  # its maker's network card
    os.makedirs(root + "/sys/class/accel/accel0")
    os.symlink("../../../bus/pci/devices/0000:d0:00.0", root + "/sys/class/accel/accel0/device")
    os.makedirs(root + "/sys/kernel/iommu_groups/7")
    os.symlink("../../../../kernel/iommu_groups/7",
               root + "/sys/bus/pci/devices/0000:d1:00.0/iommu_group")
    add(root, "/dev/vfio/7", "")
    v = inventory("--sysroot", root)
    gpus = {g["pci"]: g for g in v["gpus"]}
    tap.equal(sorted(gpus), ["0000:c1:00.0", "0000:c4:00.0"], "GPUs, not the boards' graphics")
    g = gpus["0000:c1:00.0"]
    tap.equal((g["vendor"], g["model"], g["uuid"], g["memory_mib"], g["numa"]),
              ("amd", "AMD Instinct MI300X", "GPU-7b5f3c0e12345678", 192 << 10, 1), "AMD's by sysfs")
    g = gpus["0000:c4:00.0"]
    tap.equal((g["model"], g["uuid"], g["memory_mib"], g["health"]),
              ("NVIDIA H100 80GB HBM3", "GPU-0a1b2c3d-0000-1111-2222-333344445555", None, None),
              "NVIDIA's by /proc; what that does not tell is null")
    tap.equal([(t["model"], t["device"], t["numa"]) for t in v["tpus"]],
              [("v5e", "/dev/accel0", 2), ("v6e", "/dev/vfio/7", 3)], "TPUs of both drivers")


STAND_IN = r"""
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>
struct pci { char legacy[16]; unsigned domain, bus, device, id, sub; char bus_id[32]; };
struct memory { unsigned long long total, free, used; };
static const char *const at[] = {"00000000:34:00.0", "00000000:36:00.0", "00000000:39:00.0"};
static int mode(const char *m) { const char *e = getenv("STAND_IN"); return e && !strcmp(e, m); }
int nvmlInit_v2(void) { if (mode("crash")) abort(); return mode("broken") ? 999 : 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 3; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { *d = (void *)(long)(i + 1); return i == 2 ? 15 : 0; }
int nvmlDeviceGetName(void *d, char *s, unsigned n) { (void)d; snprintf(s, n, "Tesla \"V100\"-SXM3-32GB-H"); return 0; }
int nvmlDeviceGetUUID(void *d, char *s, unsigned n) { snprintf(s, n, "GPU-%ld", (long)d - 1); return 0; }
int nvmlDeviceGetMemoryInfo(void *d, struct memory *m) { (void)d; m->total = 32ull << 30; return 0; }
int nvmlDeviceGetPciInfo_v3(void *d, struct pci *p) { memset(p, 0, sizeof *p); strcpy(p->bus_id, at[(long)d - 1]); return 0; }
int nvmlDeviceGetTotalEccErrors(void *d, int t, int c, unsigned long long *n) { (void)t; (void)c; *n = (long)d == 2 ? 4 : 0; return 0; }
int nvmlDeviceGetNvLinkState(void *d, unsigned l, unsigned *a) { (void)d; *a = l == 0; return l < 6 ? 0 : 2; }
int nvmlDeviceGetNvLinkRemotePciInfo_v2(void *d, unsigned l, struct pci *p) { (void)l; memset(p, 0, sizeof *p); strcpy(p->bus_id, at[2 - (long)d]); return 0; }
"""


def nvml(tmp):
    machine = os.path.join(MACHINES, "nvidiaDGX2.xml")
    if not os.path.exists(machine):
        tap.skip("NVIDIA's library", "../shared/data/topologies is not there")
        return
    with open(tmp + "/nvml.c", "w") as f:
        f.write(STAND_IN)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp + "/libnvidia-ml.so.1", tmp + "/nvml.c"],
                   check=True)
    env = {"HWLOC_XMLFILE": machine, "LD_LIBRARY_PATH": tmp}
    v = inventory(**env)
    g = v["gpus"]
    tap.equal((g[0]["model"], g[0]["uuid"], g[0]["memory_mib"], g[0]["health"], g[0]["links"]),
              ('Tesla "V100"-SXM3-32GB-H', "GPU-0", 32768, "ok", "1"), "what the library tells")
    tap.ok("4 uncorrected ECC" in g[1]["health"], "a GPU with memory errors says so", g[1])
    tap.equal((g[2]["uuid"], g[2]["health"]), (None, None), "a GPU that does not answer is unknown")
    tap.ok(any("GPU 2 gives no answer" in n for n in v["notes"]), "and noted", v["notes"])
    tap.ok(any("does not answer" in n for n in inventory(STAND_IN="broken", **env)["notes"]),
           "a driver that fails is noted")
    v = inventory(STAND_IN="crash", **env)
    tap.ok(len(v["gpus"]) == 16 and v["notes"], "a library that crashes takes nothing with it",
           v["notes"])
    v = inventory("--resources", "gpu-list=1-2,cores=0-1", **env)
    tap.equal((v["given_gpus"], v["given_cores"]), ("1-2", "0-1"), "a part of it is given out")


def jobs():
    with Cluster(nodes=2, cpus=4, flags=("--gpus", "2")) as c:
        line = "echo $MUSTER_NODE $MUSTER_LOCAL_RANK ${CUDA_VISIBLE_DEVICES-none}; sleep 0.2"
        run = c.ctl("run", "-n", "4", "--gpus", "1", "--mpi", "none", "--", "sh", "-c", line)
        seen = sorted(l.split() for l in run.stdout.splitlines())
        tap.equal(seen, [["n1", "0", "0"], ["n1", "1", "1"], ["n2", "0", "2"], ["n2", "1", "3"]],
                  "every task has its own GPU")
        run = c.ctl("run", "--gpus", "2", "--", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES")
        tap.ok(run.stdout in ("0,1\n", "2,3\n"), "a task may have two", run.stdout)
        run = c.ctl("submit", "--gpus", "3", "--", "true")
        tap.ok(run.returncode == 4 and "GPU" in run.stderr, "three on a node of two are refused",
               run.stderr)
        first = c.submit("-n", "2", "-N", "2", "--gpus", "2", "--mpi", "none", "--", "sleep", "60")
        second = c.submit("--gpus", "1", "--", "true")
        eventually(lambda: c.state(first) == "running")
        tap.ok("GPU" in c.ctl("job", "why", str(second)).stdout, "a job that waits for a GPU says so",
               c.ctl("job", "why", str(second)).stdout)
        c.ctl("job", "cancel", str(first))
        tap.equal(c.wait(second), 0, "and gets it when it is free")


with tempfile.TemporaryDirectory(prefix="muster-inventory.") as tmp:
    here()
    tree = recorded(tmp)
    if tree:
        by_hand(tree)
    nvml(tmp)
jobs()
tap.done()
