// Runs a fuzz target over its kept corpus, without a fuzzer, as a TAP program:
// build/MODE/tests/fuzz_NAME.
#include "common/alloc.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay(const char *path)
{
    uint8_t *bytes = xmalloc(1 << 20);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(bytes, 1, 1 << 20, f) : 0;
    if (f)
        fclose(f);
    uint8_t *exact = xmemdup(bytes, n ? n : 1); // so that a read beyond the end is seen
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    free(bytes);
}

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');
    AUTO_FREE char *dir = xasprintf("tests/fuzz/corpus/%s", (name ? name + 1 : argv[0]) + 5);
    struct dirent **entries;
    int count = 0, n = scandir(dir, &entries, NULL, alphasort);
    (void)argc;
    for (int i = 0; i < n; i++) {
        AUTO_FREE char *path = xasprintf("%s/%s", dir, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            fprintf(stderr, "# %s\n", path);
            replay(path);
            count++;
        }
        free(entries[i]);
    }
    if (n > 0)
        free(entries);
    printf("%s 1 - %d inputs of %s\n1..1\n", count ? "ok" : "not ok", count, dir);
    return count ? 0 : 1;
}
