#include "schedctl/metrics_csv.h"

#include "common/alloc.h"
#include "schedctl/exits.h"
#include "schedctl/present.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_field(const char *s)
{
    if (!strpbrk(s, ",\"\n\r")) {
        fputs(s, stdout);
        return;
    }
    putchar('"');
    for (; *s; s++) {
        if (*s == '"')
            putchar('"');
        putchar(*s);
    }
    putchar('"');
}

static bool has(const struct metrics_csv *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->names[i], name) == 0)
            return true;
    return false;
}

void metrics_csv_header(struct metrics_csv *c, const json_t *samples)
{
    size_t i;
    const char *name;
    json_t *s, *v;
    if (c->begun)
        return;
    c->begun = true;
    json_array_foreach(samples, i, s) json_object_foreach(json_object_get(s, "values"), name, v)
    {
        if (has(c, name))
            continue;
        VEC_RESERVE(c->names, c->count, c->cap);
        c->names[c->count++] = xstrdup(name);
    }
    fputs("at_ms,attempt,task", stdout);
    for (i = 0; i < c->count; i++) {
        putchar(',');
        put_field(c->names[i]);
    }
    putchar('\n');
}

static void put_value(const json_t *v)
{
    if (json_is_string(v))
        put_field(json_string_value(v));
    else if (json_is_integer(v))
        printf("%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_number(v))
        printf("%.9g", json_number_value(v));
    else if (json_is_null(v))
        fputs("nan", stdout);
}

void metrics_csv_rows(struct metrics_csv *c, int64_t attempt, const json_t *samples)
{
    size_t i;
    const char *name;
    json_t *s, *v;
    json_array_foreach(samples, i, s)
    {
        const json_t *values = json_object_get(s, "values");
        printf("%" PRId64 ",%" PRId64 ",%" PRId64, get_int(s, "at"), attempt, get_int(s, "task"));
        for (size_t k = 0; k < c->count; k++) {
            putchar(',');
            put_value(json_object_get(values, c->names[k]));
        }
        putchar('\n');
        json_object_foreach((json_t *)values, name, v) if (!c->told && !has(c, name))
        {
            remark("\"%s\" came after the header and is left out; without -f there is a column "
                   "for each name",
                   name);
            c->told = true;
        }
    }
}

void metrics_csv_free(struct metrics_csv *c)
{
    for (size_t i = 0; i < c->count; i++)
        free(c->names[i]);
    free(c->names);
    *c = (struct metrics_csv){0};
}
