#include "common/log.h"

#include "common/alloc.h"
#include "common/json.h"
#include "common/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
    const char *program;
    enum log_level least;
    bool json;
} settings = {"muster", LOG_LEVEL_INFO, false};

static const char *const level_words[] = {"debug", "info", "warning", "error"};

void log_init(const char *program, enum log_level least, bool json)
{
    settings.program = program;
    settings.least = least;
    settings.json = json;
}

bool log_level_parse(const char *word, enum log_level *ret)
{
    for (unsigned i = 0; i < 4; i++)
        if (strcmp(word, level_words[i]) == 0) {
            *ret = (enum log_level)i;
            return true;
        }
    return false;
}

// What users wrote may stand in it: it stays one line of printable text.
static void make_plain(struct text *t)
{
    for (size_t i = 0; i < t->len; i++)
        if ((unsigned char)t->p[i] < ' ' || t->p[i] == 0x7f)
            t->p[i] = '?';
}

void log_event(enum log_level level, const char *area, const char *event, const char *fmt, ...)
{
    if (level < settings.least)
        return;
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    struct tm tm;
    gmtime_r(&ts.tv_sec, &tm);
    char when[40];
    size_t n = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(when + n, sizeof when - n, ".%03ldZ", ts.tv_nsec / 1000000);

    AUTO(text) struct text detail = {0};
    va_list ap;
    va_start(ap, fmt);
    text_vaddf(&detail, fmt, ap);
    va_end(ap);

    AUTO(text) struct text line = {0};
    if (settings.json) {
        text_addc(&line, '{');
        put_str(&line, "time", when);
        put_str(&line, "level", level_words[level]);
        put_str(&line, "program", settings.program);
        put_str(&line, "area", area);
        put_str(&line, "event", event);
        put_str(&line, "detail", text_str(&detail));
        text_add(&line, "}\n");
    } else {
        make_plain(&detail);
        text_addf(&line, "%s %-7s %s %s: %s%s%s\n", when, level_words[level], settings.program,
                  area, event, detail.len ? " " : "", text_str(&detail));
    }
    ssize_t ignored = write(STDERR_FILENO, line.p, line.len);
    (void)ignored;
}
