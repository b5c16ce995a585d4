// A look at the port that the attempt was given. It can't be held for the program, which binds it
// itself; what is found here is a listener that has nothing to do with Muster.
#include "agent/shepherd/run.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static bool refused(int family, const struct sockaddr *address, socklen_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    if (fd < 0)
        return false;
    // Remains of ended connections are no obstacle, listeners are.
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    bool taken = bind(fd, address, len) && errno == EADDRINUSE;
    close(fd);
    return taken;
}

bool port_taken(uint32_t port)
{
    in_port_t net = htons((uint16_t)port);
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = net};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = net};
    return refused(AF_INET, (struct sockaddr *)&v4, sizeof v4) ||
           refused(AF_INET6, (struct sockaddr *)&v6, sizeof v6);
}
