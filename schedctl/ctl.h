// One run of schedctl: where the cluster is, what was asked, how to answer.
#pragma once

#include "schedctl/args.h"
#include "schedctl/client.h"
#include "schedctl/exits.h"

#include <jansson.h>

struct ctl {
    char *dir; // absolute unless it does not exist
    bool json; // -o json
    bool csv;  // -o csv, where the verb has it
    struct args args;
    struct client *client; // made by ctl_connect()
};

// The program; argv as main()'s. Returns the exit code.
int ctl_main(char **argv);

// Makes ctl->client; nothing is sent yet.
int ctl_connect(struct ctl *ctl, struct err *err);

// Prints a value as JSON and a newline.
void ctl_print_json(const json_t *value);
