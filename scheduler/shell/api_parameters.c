// What stands behind the "?" of a request's path.
#include "scheduler/shell/server.h"

#include "common/alloc.h"
#include "common/units.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>

static void decode(char *s)
{
    char *to = s;
    for (; *s; s++, to++) {
        unsigned v;
        if (*s == '%' && sscanf(s + 1, "%2x", &v) == 1 && s[1] && s[2]) {
            *to = (char)v;
            s += 2;
        } else {
            *to = *s == '+' ? ' ' : *s;
        }
    }
    *to = 0;
}

char *api_parameter(const struct http_req *r, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = r->query; p && *p;) {
        const char *end = strchrnul(p, '&');
        if (strncmp(p, name, len) == 0 && p[len] == '=') {
            char *value = xstrndup(p + len + 1, (size_t)(end - p) - len - 1);
            decode(value);
            return value;
        }
        p = *end ? end + 1 : end;
    }
    return NULL;
}

int api_parameter_int(const struct http_req *r, const char *name, int64_t least, int64_t most,
                      int64_t *ret, struct err *err)
{
    AUTO_FREE char *value = api_parameter(r, name);
    return value ? parse_int(value, name, least, most, ret, err) : 0;
}

int api_parameter_user(const struct http_req *r, const char *name, int64_t *ret, struct err *err)
{
    AUTO_FREE char *user = api_parameter(r, name);
    struct err unused;
    if (!user || parse_int(user, name, 0, UINT32_MAX, ret, &unused) == 0)
        return 0;
    const struct passwd *pw = getpwnam(user);
    if (!pw)
        return fail(err, E_INVALID, "there is no user \"%.64s\"", user);
    *ret = pw->pw_uid;
    return 0;
}
