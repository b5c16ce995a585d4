#include "schedctl/statusline.h"

#include "common/alloc.h"
#include "schedctl/table.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

void statusline_again(struct statusline *s)
{
    struct winsize size;
    AUTO(text) struct text t = {0};
    if (s->shown || !s->text.len || !isatty(STDERR_FILENO) ||
        ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 20)
        return;
    text_add_cut(&t, text_str(&s->text), size.ws_col - 1u);
    fprintf(stderr, "\r\033[K%s", text_str(&t));
    s->shown = true;
}

void statusline_show(struct statusline *s, const char *text)
{
    text_clear(&s->text);
    text_add_clean(&s->text, text);
    s->shown = false;
    statusline_again(s);
}

void statusline_clear(struct statusline *s)
{
    if (s->shown)
        fputs("\r\033[K", stderr);
    s->shown = false;
}

void statusline_free(struct statusline *s)
{
    statusline_clear(s);
    text_free(&s->text);
}
