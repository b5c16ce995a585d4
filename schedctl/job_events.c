#include "common/alloc.h"
#include "schedctl/ctl.h"
#include "schedctl/jobname.h"
#include "schedctl/present.h"
#include "schedctl/table.h"

#include <inttypes.h>

static void print(const json_t *events)
{
    static const struct column COLUMNS[] = {{"TIME", COLUMN_LEFT},
                                            {"ATTEMPT", COLUMN_RIGHT},
                                            {"NODE", COLUMN_LEFT},
                                            {"EVENT", COLUMN_LEFT}};
    AUTO(table) struct table t = table_begin(COLUMNS, COUNT(COLUMNS));
    size_t i;
    json_t *e;
    json_array_foreach(events, i, e)
    {
        AUTO(text) struct text at = {0};
        add_full_time(&at, get_int(e, "at"));
        text_addf(&at, ".%03" PRId64, get_int(e, "at") % 1000);
        table_cell(&t, "%s", text_str(&at));
        if (get_int(e, "attempt"))
            table_cell(&t, "%" PRId64, get_int(e, "attempt"));
        else
            table_cell(&t, "%s", "");
        table_cell(&t, "%s", get_str(e, "node"));
        table_cell(&t, "%s", *get_str(e, "text") ? get_str(e, "text") : get_str(e, "kind"));
    }
    table_print(&t);
}

static int run_job_events(struct ctl *ctl)
{
    struct err err;
    json_t *answer = NULL;
    const char *name = ctl->args.operands[0];
    if (job_name_check(name, &err) || ctl_connect(ctl, &err))
        return report(&err);
    AUTO_FREE char *path = job_path(name, "/events");
    if (client_get(ctl->client, path, &answer, &err))
        return report(&err);
    const json_t *events = json_object_get(answer, "events");
    if (ctl->json)
        ctl_print_json(events);
    else
        print(events);
    json_decref(answer);
    return CTL_OK;
}

const struct verb verb_job_events = {
    .name = "job events",
    .usage = "JOB",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "the history of a job, with times",
    .examples = {{"job events 17", "Every decision about job 17 in the scheduler's words."}},
    .run = run_job_events,
};
