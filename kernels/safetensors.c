#include "kernels/safetensors.h"

#include "common/alloc.h"
#include "common/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void add_tensor(void *arg, const char *name, const size_t *shape, size_t dims, size_t offset)
{
    struct text *t = arg;
    size_t count = 1;
    text_addf(t, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", t->len > 1 ? "," : "", name);
    for (size_t i = 0; i < dims; i++) {
        count *= shape[i];
        text_addf(t, "%s%zu", i ? "," : "", shape[i]);
    }
    text_addf(t, "],\"data_offsets\":[%zu,%zu]}", offset * 4, (offset + count) * 4);
}

int safetensors_save(const char *path, struct network *net, struct err *err)
{
    AUTO(text) struct text header = {0};
    AUTO_FREE char *temp = xasprintf("%s.new", path);
    unsigned char length[8];
    text_addc(&header, '{');
    network_tensors(net, add_tensor, &header);
    text_addc(&header, '}');
    while (header.len % 8)
        text_addc(&header, ' ');
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((unsigned long long)header.len >> (8 * i));
    FILE *f = fopen(temp, "wbe");
    if (!f)
        return fail(err, E_IO, "cannot make \"%s\": %m", temp);
    size_t count = network_params_count(net);
    bool good = fwrite(length, 1, 8, f) == 8 && fwrite(header.p, 1, header.len, f) == header.len &&
                fwrite(network_params(net), sizeof(float), count, f) == count && fflush(f) == 0 &&
                fsync(fileno(f)) == 0;
    good = fclose(f) == 0 && good;
    if (!good || rename(temp, path)) {
        unlink(temp);
        return fail(err, E_IO, "cannot write \"%s\": %m", path);
    }
    return 0;
}
