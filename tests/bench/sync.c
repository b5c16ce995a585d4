// sync FILE SECONDS BYTES [again]: how often a second BYTES can be appended to FILE and be on disk.
//
// The limit for whoever acknowledges what is durable one by one. With "again" the file is written
// first and the loop overwrites it, as a write-ahead log does after its first round: no size
// changes. Prints one JSON object. FILE is removed.
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BYTES_MAX = 1 << 20, AGAIN_BYTES = 4 << 20 };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void write_all(int fd, const char *p, size_t len)
{
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0)
            err(1, "write");
        p += n;
        len -= (size_t)n;
    }
}

int main(int argc, char **argv)
{
    static char bytes[BYTES_MAX];
    if (argc < 4)
        errx(2, "usage: sync FILE SECONDS BYTES [again]");
    double most_s = strtod(argv[2], NULL);
    size_t len = strtoul(argv[3], NULL, 10);
    bool again = argc > 4;
    if (len < 1 || len > BYTES_MAX || most_s <= 0 || most_s > 60)
        errx(2, "SECONDS must be up to 60, BYTES 1 to %d", BYTES_MAX);
    int fd = open(argv[1], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        err(1, "%s", argv[1]);
    memset(bytes, 'x', sizeof bytes);
    for (size_t done = 0; again && done < AGAIN_BYTES; done += len)
        write_all(fd, bytes, len);
    if (fsync(fd) || lseek(fd, 0, SEEK_SET))
        err(1, "fsync");
    long count = 0;
    size_t at = 0;
    double start = now_s(), seconds;
    do {
        if (again && at + len > AGAIN_BYTES && lseek(fd, 0, SEEK_SET) == 0)
            at = 0;
        write_all(fd, bytes, len);
        at += len;
        if (fdatasync(fd))
            err(1, "fdatasync");
        count++;
        seconds = now_s() - start;
    } while (seconds < most_s);
    unlink(argv[1]);
    printf("{\"count\":%ld,\"seconds\":%.6f,\"per_s\":%.2f}\n", count, seconds,
           (double)count / seconds);
    return 0;
}
