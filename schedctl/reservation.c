#include "schedctl/rule_order.h"

const struct verb verb_reservation_list = {
    .name = "reservation list",
    .usage = "",
    .summary = "list reservations with what is used of them",
    .examples = {{"reservation list", "All of them."},
                 {"reservation list -o json", "For a script."}},
    .run = run_rule_list,
};

const struct verb verb_reservation_show = {
    .name = "reservation show",
    .usage = "NAME",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "everything about a reservation",
    .examples = {{"reservation show upgrade", "Its settings, and what is used."}},
    .run = run_rule_show,
};

const struct verb verb_reservation_create = {
    .name = "reservation create",
    .usage = "NAME [KEY=VALUE...]",
    .operands_min = 1,
    .operands_max = -1,
    .summary = "make a reservation",
    .text = "Settings: start (2027-01-04T08:00, now, +2h), duration or end, repeat (never, "
            "daily, weekly), nodes (n[1-4],login) or node_count, accounts and users who may "
            "use it (`schedctl submit --reservation NAME`), or maintenance=true: nothing runs. "
            "Other jobs run there only if they have ended before. It is refused if jobs run there "
            "that may not have; ignore_jobs=true lets them run on.",
    .examples = {{"reservation create fix start=+2h duration=4h nodes=n1 users=ann", "A new one."}},
    .run = run_rule_create,
};

const struct verb verb_reservation_set = {
    .name = "reservation set",
    .usage = "NAME KEY=VALUE...",
    .operands_min = 2,
    .operands_max = -1,
    .summary = "change a reservation",
    .text = "The keys are those of `schedctl reservation create --help`. What is not named stays.",
    .examples = {{"reservation set lecture repeat=weekly users=ann,ben", "Two settings."}},
    .run = run_rule_set,
};

const struct verb verb_reservation_remove = {
    .name = "reservation remove",
    .usage = "NAME",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "remove a reservation; refused while it is in use",
    .examples = {{"reservation remove upgrade", "Gone."}},
    .run = run_rule_remove,
};
