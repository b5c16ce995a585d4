#include "simulate/svg.h"

#include "common/alloc.h"
#include "common/units.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEFT = 168, // of the rows: names stand before
    PLOT = 1008,
    WIDTH = LEFT + PLOT + 40,
    TOP = 96,
    ROWS_MAX = 64,
    ROWS_HEIGHT = 560,
    ROW_HEIGHT_MAX = 36,
    COLUMNS = 252, // of 4 pixels
    GAP = 54,      // between rows and queue
    QUEUE_HEIGHT = 130,
    BOTTOM = 58,
    SHADES = 20,
    LABEL_APART = 18,
    NAME_MAX = 18,
};

struct picture {
    const struct node_list *nodes;
    const struct sim_result *result;
    bool gpus, arrive;
    size_t rows, nodes_a_row;
    double row_height, end_ms;
    double *used;     // [rows][COLUMNS], milli x ms
    double *capacity; // [rows], milli
};

static int32_t amount(const struct picture *p, const struct sim_span *s)
{
    return p->gpus ? s->gpu_milli : s->core_milli;
}

static void add_span(struct picture *p, const struct sim_span *s)
{
    double width = p->end_ms / COLUMNS;
    double *row = p->used + s->node / p->nodes_a_row * COLUMNS;
    size_t first = (size_t)((double)s->from_ms / width);
    for (size_t k = first; k < COLUMNS && (double)k * width < (double)s->to_ms; k++) {
        double from = fmax((double)s->from_ms, (double)k * width);
        double to = fmin((double)s->to_ms, (double)(k + 1) * width);
        row[k] += amount(p, s) * fmax(to - from, 0);
    }
}

static void collect(struct picture *p)
{
    p->capacity = xcalloc(p->rows, sizeof *p->capacity);
    p->used = xcalloc(p->rows * COLUMNS, sizeof *p->used);
    for (size_t i = 0; i < p->nodes->count; i++)
        p->capacity[i / p->nodes_a_row] +=
            1000.0 * (p->gpus ? p->nodes->items[i].gpus : p->nodes->items[i].cores);
    for (size_t i = 0; i < p->result->spans_count; i++)
        add_span(p, &p->result->spans[i]);
}

static void put_escaped(struct text *t, const char *s)
{
    for (; *s; s++) {
        if (*s == '&')
            text_add(t, "&amp;");
        else if (*s == '<')
            text_add(t, "&lt;");
        else if ((unsigned char)*s >= ' ')
            text_addc(t, *s);
    }
}

static void put_label(struct text *t, double x, double y, const char *anchor, const char *what)
{
    text_addf(t, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    put_escaped(t, what);
    text_add(t, "</text>\n");
}

// White to dark blue.
static void put_colour(struct text *t, int shade)
{
    double k = (double)shade / SHADES;
    text_addf(t, "#%02x%02x%02x", (int)(247 - 239 * k), (int)(251 - 203 * k), (int)(255 - 148 * k));
}

static int shade_of(const struct picture *p, size_t row, size_t column)
{
    double full = p->capacity[row] * p->end_ms / COLUMNS;
    double share = full > 0 ? p->used[row * COLUMNS + column] / full : 0;
    return (int)lround(fmin(share, 1) * SHADES);
}

// A path a shade: neighbours of one shade become one rectangle.
static void put_rows(const struct picture *p, struct text *t)
{
    double column = (double)PLOT / COLUMNS;
    for (int shade = 1; shade <= SHADES; shade++) {
        text_add(t, "<path shape-rendering=\"crispEdges\" fill=\"");
        put_colour(t, shade);
        text_add(t, "\" d=\"");
        for (size_t r = 0; r < p->rows; r++)
            for (size_t k = 0, n; k < COLUMNS; k += n) {
                for (n = 1; k + n < COLUMNS && shade_of(p, r, k + n) == shade_of(p, r, k);)
                    n++;
                if (shade_of(p, r, k) == shade)
                    text_addf(t, "M%.1f %.1fh%.1fv%.1fh-%.1fz", LEFT + (double)k * column,
                              TOP + (double)r * p->row_height, (double)n * column,
                              p->row_height > 5 ? p->row_height - 1 : p->row_height,
                              (double)n * column);
            }
        text_add(t, "\"/>\n");
    }
}

static void put_names(const struct picture *p, struct text *t)
{
    double last = -LABEL_APART;
    for (size_t r = 0; r < p->rows; r++) {
        double y = ((double)r + 0.5) * p->row_height;
        const char *name = p->nodes->items[r * p->nodes_a_row].name;
        size_t len = strlen(name);
        if (y - last < LABEL_APART)
            continue;
        last = y;
        AUTO(text) struct text label = {0};
        if (len > NAME_MAX) // the end tells nodes apart
            text_addf(&label, "\u2026%s", name + len - NAME_MAX + 1);
        else
            text_add(&label, name);
        put_label(t, LEFT - 8, TOP + y + 5, "end", text_str(&label));
    }
}

// Steps that people count in: 1, 2, 5, 10 ... or of time.
static double nice_step(double range, int ticks)
{
    double power = pow(10, floor(log10(fmax(range / ticks, 1e-9))));
    for (const double *k = (const double[]){1, 2, 5, 10}; *k <= 10; k++)
        if (range / (power * *k) <= ticks || *k == 10)
            return power * *k;
    return power * 10;
}

static double time_unit(double end_ms, const char **ret_name)
{
    static const struct {
        double ms;
        const char *name;
    } units[] = {{86400e3, "days"}, {3600e3, "hours"}, {60e3, "minutes"}, {1e3, "seconds"}};
    size_t i = 0;
    while (i < 3 && end_ms < 3 * units[i].ms)
        i++;
    *ret_name = units[i].name;
    return units[i].ms;
}

static void put_time_axis(const struct picture *p, double y, struct text *t)
{
    const char *name = "tasks arrived";
    char label[80];
    double unit = p->arrive ? 1 : time_unit(p->end_ms, &name);
    double step = nice_step(p->end_ms / unit, 10);
    for (double v = 0; v * unit <= p->end_ms; v += step) {
        double x = LEFT + v * unit / p->end_ms * PLOT;
        snprintf(label, sizeof label, "%g", v);
        text_addf(t, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#444\"/>\n", x,
                  x, y, y + 5);
        put_label(t, x, y + 21, "middle", label);
    }
    snprintf(label, sizeof label, p->arrive ? "%s" : "%s since the first submission", name);
    put_label(t, LEFT + PLOT / 2.0, y + 44, "middle", label);
}

static void put_queue(const struct picture *p, double top, struct text *t)
{
    const struct sim_result *r = p->result;
    double bottom = top + QUEUE_HEIGHT, most[COLUMNS] = {0}, max = 1;
    char label[40];
    size_t k = 0;
    bool any = false;
    for (size_t i = 0; i < r->queue_count; i++) {
        any = any || r->queue[i].waiting;
        double until = i + 1 < r->queue_count ? (double)r->queue[i + 1].at_ms : p->end_ms;
        k = (size_t)((double)r->queue[i].at_ms / p->end_ms * COLUMNS);
        for (; k < COLUMNS && (double)k * p->end_ms / COLUMNS <= until; k++)
            most[k] = fmax(most[k], (double)r->queue[i].waiting);
        max = fmax(max, (double)r->queue[i].waiting);
    }
    double step = fmax(nice_step(max, 3), 1), high = ceil(max / step) * step;
    for (double v = 0; v <= high; v += step) {
        double y = bottom - v / high * QUEUE_HEIGHT;
        snprintf(label, sizeof label, "%.0f", v);
        text_addf(t, "<line x1=\"%d\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n",
                  LEFT, (double)LEFT + PLOT, y, y);
        put_label(t, LEFT - 8, y + 5, "end", label);
    }
    text_addf(t, "<path shape-rendering=\"crispEdges\" fill=\"#d95f0e\" d=\"M%d %.1f", LEFT,
              bottom);
    for (k = 0; k < COLUMNS; k++)
        text_addf(t, "V%.1fh%.2f", bottom - most[k] / high * QUEUE_HEIGHT, (double)PLOT / COLUMNS);
    text_addf(t, "V%.1fz\"/>\n", bottom);
    put_label(t, LEFT, top - 12, "start",
              any ? "jobs waiting (most at once)" : "jobs waiting: none at any time");
}

static void put_legend(const struct picture *p, struct text *t)
{
    enum { SWATCH = 12 };
    double x = LEFT + PLOT - (SHADES / 2 + 1) * SWATCH - 60;
    put_label(t, x - 8, TOP - 18, "end", p->gpus ? "GPUs given out: 0 %" : "cores given out: 0 %");
    for (int s = 0; s <= SHADES; s += 2, x += SWATCH) {
        text_addf(t, "<rect x=\"%.1f\" y=\"%d\" width=\"%d\" height=\"14\" fill=\"", x, TOP - 30,
                  SWATCH);
        put_colour(t, s);
        text_add(t, "\"/>\n");
    }
    put_label(t, x + 8, TOP - 18, "start", "100 %");
}

static void put_heading(const struct picture *p, const struct measures *m, const char *title,
                        struct text *t)
{
    AUTO(text) struct text line = {0};
    double share = p->gpus ? m->gpu_allocation : m->core_allocation;
    text_addf(t, "<text x=\"%d\" y=\"34\" font-size=\"21\" font-weight=\"bold\">", LEFT);
    put_escaped(t, title);
    text_add(t, "</text>\n");
    text_addf(&line, "policy %s, %zu nodes", m->policy, p->nodes->count);
    if (p->nodes_a_row > 1)
        text_addf(&line, " (%zu a row)", p->nodes_a_row);
    text_addf(&line, ", %.1f %% of the %s given out", 100 * share, p->gpus ? "GPUs" : "cores");
    if (m->arrive) {
        text_addf(&line, ", %" PRId64 " tasks placed, %" PRId64 " dropped", m->running, m->dropped);
    } else {
        text_add(&line, ", mean wait ");
        text_add_duration_ms(&line, (int64_t)(1000 * m->wait_s.mean));
        text_addf(&line, ", mean bounded slowdown %.2f", m->slowdown.mean);
    }
    put_label(t, LEFT, 56, "start", text_str(&line));
}

static void layout(struct picture *p)
{
    size_t count = p->nodes->count;
    p->nodes_a_row = (count + ROWS_MAX - 1) / ROWS_MAX;
    p->rows = (count + p->nodes_a_row - 1) / p->nodes_a_row;
    p->row_height = fmin(floor((double)ROWS_HEIGHT / (double)p->rows), ROW_HEIGHT_MAX);
    p->end_ms = fmax((double)p->result->end_ms, 1);
    for (size_t i = 0; i < p->result->spans_count && !p->gpus; i++)
        p->gpus = p->result->spans[i].gpu_milli > 0;
}

void svg_draw(const struct node_list *nodes, const struct sim_result *r, const struct measures *m,
              const char *title, struct text *ret)
{
    struct picture p = {.nodes = nodes, .result = r, .arrive = m->arrive};
    layout(&p);
    collect(&p);
    double rows = (double)p.rows * p.row_height;
    double axis = TOP + rows + (p.arrive ? 0 : GAP + QUEUE_HEIGHT);
    text_addf(ret,
              "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" "
              "font-family=\"sans-serif\" font-size=\"14\" fill=\"#222\">\n"
              "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
              "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%.1f\" fill=\"",
              WIDTH, axis + BOTTOM, WIDTH, LEFT, TOP, PLOT, rows);
    put_colour(ret, 0);
    text_add(ret, "\"/>\n");
    put_heading(&p, m, title, ret);
    put_legend(&p, ret);
    put_rows(&p, ret);
    put_names(&p, ret);
    if (!p.arrive)
        put_queue(&p, TOP + rows + GAP, ret);
    put_time_axis(&p, axis, ret);
    text_add(ret, "</svg>\n");
    free(p.capacity);
    free(p.used);
}
