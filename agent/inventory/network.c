// Network interfaces: everything but the loopback, virtual functions that are down, and interfaces
// inside of interfaces (VLANs, bridges' ports are shown as what they are: names with addresses).
#include "agent/inventory/parts.h"
#include "agent/inventory/sysfs.h"

#include "common/alloc.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_address(struct inventory_interface *n, const struct ifaddrs *a)
{
    char s[INET6_ADDRSTRLEN];
    const void *p = NULL;
    if (!a->ifa_addr || strcmp(a->ifa_name, n->name) != 0)
        return;
    if (a->ifa_addr->sa_family == AF_INET)
        p = &((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr;
    else if (a->ifa_addr->sa_family == AF_INET6)
        p = &((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr;
    if (!p || !inet_ntop(a->ifa_addr->sa_family, p, s, sizeof s))
        return;
    size_t used = strlen(n->addresses);
    if (used + strlen(s) + 2 <= sizeof n->addresses)
        snprintf(n->addresses + used, sizeof n->addresses - used, "%s%s", used ? "," : "", s);
}

static void read_rdma(const char *root, struct inventory_interface *n)
{
    char **names;
    size_t count = sysfs_list(root, &names, "/sys/class/net/%s/device/infiniband", n->name);
    if (count)
        snprintf(n->rdma, sizeof n->rdma, "%s", names[0]);
    sysfs_list_free(names, count);
}

static bool shown(const char *root, const char *name)
{
    char state[24];
    sysfs_text(root, state, sizeof state, "/sys/class/net/%s/operstate", name);
    bool up = strcmp(state, "up") == 0;
    return strcmp(name, "lo") != 0 && sysfs_exists(root, "/sys/class/net/%s/address", name) &&
           (up || (sysfs_exists(root, "/sys/class/net/%s/device", name) &&
                   !sysfs_exists(root, "/sys/class/net/%s/device/physfn", name)));
}

void network_read(const char *root, struct inventory *v)
{
    char **names, state[24];
    struct ifaddrs *addresses = NULL;
    size_t count = sysfs_list(root, &names, "/sys/class/net");
    if (!*root && getifaddrs(&addresses))
        addresses = NULL;
    for (size_t i = 0; i < count && v->network_count < INVENTORY_LIST_MAX; i++) {
        if (!shown(root, names[i]))
            continue;
        struct inventory_interface *n = INVENTORY_ADD(v, network);
        snprintf(n->name, sizeof n->name, "%s", names[i]);
        sysfs_text(root, n->mac, sizeof n->mac, "/sys/class/net/%s/address", n->name);
        n->speed_mbit = sysfs_number(root, -1, "/sys/class/net/%s/speed", n->name);
        if (n->speed_mbit <= 0 || n->speed_mbit >= UINT32_MAX) // unknown, as -1 or 4294967295
            n->speed_mbit = -1;
        n->numa = (int32_t)sysfs_number(root, -1, "/sys/class/net/%s/device/numa_node", n->name);
        n->up = -1;
        if (sysfs_text(root, state, sizeof state, "/sys/class/net/%s/operstate", n->name) &&
            strcmp(state, "unknown") != 0)
            n->up = strcmp(state, "up") == 0;
        read_rdma(root, n);
        for (const struct ifaddrs *a = addresses; a; a = a->ifa_next)
            add_address(n, a);
    }
    freeifaddrs(addresses);
    sysfs_list_free(names, count);
}
