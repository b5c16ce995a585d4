#include "schedctl/program.h"

#include "common/alloc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *wrong_with(const char *path)
{
    struct stat st;
    if (stat(path, &st))
        return strerror(errno);
    if (S_ISDIR(st.st_mode))
        return "it is a directory";
    if (!S_ISREG(st.st_mode) || access(path, X_OK))
        return "it is not executable: chmod +x it";
    return NULL;
}

// A name without a slash is looked for as execvp() does.
static bool in_path(const char *name, const char *path)
{
    while (*path) {
        size_t len = strcspn(path, ":");
        AUTO_FREE char *full =
            len ? xasprintf("%.*s/%s", (int)len, path, name) : xasprintf("./%s", name);
        if (!wrong_with(full))
            return true;
        path += len;
        path += *path == ':';
    }
    return false;
}

int program_check(const json_t *request, struct err *err)
{
    const char *name = json_string_value(json_array_get(json_object_get(request, "argv"), 0));
    const char *cwd = json_string_value(json_object_get(request, "cwd"));
    const char *path = json_string_value(json_object_get(json_object_get(request, "env"), "PATH"));
    struct stat st;
    if (!name || !*name)
        return fail(err, E_INVALID, "the program's name is empty");
    if (stat(cwd, &st) || !S_ISDIR(st.st_mode))
        return fail(err, E_INVALID,
                    "directory \"%.200s\" does not exist here. If it does on the nodes, add "
                    "--no-check.",
                    cwd);
    if (!strchr(name, '/')) {
        if (!path)
            path = getenv("PATH");
        if (!in_path(name, path ? path : "/usr/local/bin:/usr/bin:/bin"))
            return fail(err, E_INVALID,
                        "program \"%.64s\" is not in PATH. Name it with its path, or add "
                        "--no-check if only the nodes have it.",
                        name);
        return 0;
    }
    AUTO_FREE char *full = name[0] == '/' ? xstrdup(name) : xasprintf("%s/%s", cwd, name);
    const char *wrong = wrong_with(full);
    if (wrong)
        return fail(err, E_INVALID,
                    "program \"%.200s\" cannot be run: %s. If the nodes have another one, add "
                    "--no-check.",
                    full, wrong);
    return 0;
}
