// Fences between nodes over a network that loses, doubles and reorders: everyone gets the data of
// all, once, in order of node, and not before all have come. WALK_SEED chooses the walk.
#include "agent/core/fence.h"
#include "common/alloc.h"
#include "common/rng.h"
#include "common/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES_MAX = 300, FENCES_MAX = 3 };

struct letter {
    uint32_t from, to;
    uint8_t *bytes;
    size_t len;
};

struct net {
    struct fences *nodes[NODES_MAX];
    size_t count;
    struct letter *letters;
    size_t letters_count, letters_cap;
    struct text done[NODES_MAX]; // "collective.sequence data;" as they come
    uint64_t sent;
};

static struct net *net_new(size_t count)
{
    struct net *n = xcalloc(1, sizeof *n);
    n->count = count;
    for (size_t i = 0; i < count; i++)
        n->nodes[i] = fences_new((uint32_t)i);
    return n;
}

static void net_free(struct net *n)
{
    for (size_t i = 0; i < n->count; i++) {
        fences_free(n->nodes[i]);
        text_free(&n->done[i]);
    }
    for (size_t i = 0; i < n->letters_count; i++)
        free(n->letters[i].bytes);
    free(n->letters);
    free(n);
}

// Takes the outputs of a node.
static void collect(struct net *n, uint32_t node)
{
    struct fence_output o;
    while (fences_next(n->nodes[node], &o)) {
        if (o.kind == FENCE_DONE) {
            text_addf(&n->done[node], "%" PRIu64 ".%u ", o.collective, o.sequence);
            text_add_bytes(&n->done[node], o.bytes, o.len);
            text_addc(&n->done[node], ';');
            continue;
        }
        assert_true(o.node < n->count && o.node != node);
        VEC_RESERVE(n->letters, n->letters_count, n->letters_cap);
        n->letters[n->letters_count++] =
            (struct letter){node, o.node, xmemdup(o.bytes, o.len), o.len};
        n->sent++;
    }
}

static void deliver(struct net *n, size_t at, int keep)
{
    struct letter l = n->letters[at];
    struct err err;
    assert_int_equal(fences_receive(n->nodes[l.to], l.from, l.bytes, l.len, &err), 0);
    if (!keep) {
        n->letters[at] = n->letters[--n->letters_count];
        free(l.bytes);
    }
    collect(n, l.to);
}

static void deliver_all(struct net *n)
{
    while (n->letters_count)
        deliver(n, 0, 0);
}

static void drop_all(struct net *n)
{
    while (n->letters_count)
        free(n->letters[--n->letters_count].bytes);
}

static uint32_t begin(struct net *n, uint32_t node, uint64_t collective, const uint32_t *nodes,
                      size_t count)
{
    char data[32];
    int len = snprintf(data, sizeof data, "<%u>", node);
    uint32_t sequence = fences_begin(n->nodes[node], collective, nodes, count, data, (size_t)len);
    collect(n, node);
    return sequence;
}

static void expect_done(struct net *n, uint32_t node, const char *want)
{
    assert_string_equal(text_str(&n->done[node]), want);
}

static void one_node_is_done_at_once(void **state)
{
    (void)state;
    struct net *n = net_new(1);
    const uint32_t all[] = {0};
    assert_int_equal(begin(n, 0, 5, all, 1), 1);
    expect_done(n, 0, "5.1 <0>;");
    assert_int_equal(begin(n, 0, 5, all, 1), 2);
    assert_int_equal(begin(n, 0, 6, all, 1), 1);
    expect_done(n, 0, "5.1 <0>;5.2 <0>;6.1 <0>;");
    assert_false(fences_waiting(n->nodes[0]));
    net_free(n);
}

static void nobody_is_done_before_the_last_has_come(void **state)
{
    (void)state;
    struct net *n = net_new(3);
    const uint32_t all[] = {0, 1, 2};
    begin(n, 0, 5, all, 3);
    begin(n, 2, 5, all, 3);
    deliver_all(n);
    for (uint32_t i = 0; i < 3; i++) {
        fences_resend(n->nodes[i]);
        collect(n, i);
        deliver_all(n);
        expect_done(n, i, "");
    }
    begin(n, 1, 5, all, 3);
    deliver_all(n);
    for (uint32_t i = 0; i < 3; i++) {
        expect_done(n, i, "5.1 <0><1><2>;");
        assert_false(fences_waiting(n->nodes[i]));
    }
    net_free(n);
}

static void some_nodes_may_fence_among_themselves(void **state)
{
    (void)state;
    struct net *n = net_new(10);
    const uint32_t some[] = {2, 5, 9}, others[] = {5, 9};
    for (size_t i = 0; i < 3; i++)
        begin(n, some[i], 5, some, 3);
    for (size_t i = 0; i < 2; i++)
        begin(n, others[i], 6, others, 2);
    deliver_all(n);
    expect_done(n, 2, "5.1 <2><5><9>;");
    for (size_t i = 0; i < 2; i++) {
        assert_non_null(strstr(text_str(&n->done[others[i]]), "5.1 <2><5><9>;"));
        assert_non_null(strstr(text_str(&n->done[others[i]]), "6.1 <5><9>;"));
    }
    expect_done(n, 0, "");
    net_free(n);
}

static void what_is_lost_is_sent_again_until_acknowledged(void **state)
{
    (void)state;
    struct net *n = net_new(2);
    const uint32_t all[] = {0, 1};
    begin(n, 0, 5, all, 2);
    begin(n, 1, 5, all, 2);
    for (int i = 0; i < 3; i++) {
        drop_all(n);
        assert_true(fences_waiting(n->nodes[1]));
        fences_resend(n->nodes[1]);
        collect(n, 1);
        assert_int_equal(n->letters_count, 1);
    }
    deliver(n, 0, 0); // up; the acknowledgement and the way down get lost
    assert_int_equal(n->letters_count, 2);
    expect_done(n, 0, "5.1 <0><1>;");
    drop_all(n);
    fences_resend(n->nodes[1]);
    collect(n, 1);
    deliver(n, 0, 0); // up again: the root is done and acknowledges it again
    deliver(n, 0, 0);
    assert_false(fences_waiting(n->nodes[1]));
    expect_done(n, 1, "");
    fences_resend(n->nodes[0]);
    collect(n, 0);
    deliver_all(n);
    expect_done(n, 0, "5.1 <0><1>;");
    expect_done(n, 1, "5.1 <0><1>;");
    assert_false(fences_waiting(n->nodes[0]));
    fences_resend(n->nodes[0]);
    fences_resend(n->nodes[1]);
    collect(n, 0);
    collect(n, 1);
    assert_int_equal(n->letters_count, 0);
    net_free(n);
}

static void data_that_comes_before_its_node_began_is_kept(void **state)
{
    (void)state;
    struct net *n = net_new(2);
    const uint32_t all[] = {0, 1};
    begin(n, 1, 5, all, 2);
    deliver(n, 0, 1); // twice
    deliver_all(n);
    assert_false(fences_waiting(n->nodes[1])); // acknowledged
    begin(n, 0, 5, all, 2);
    deliver_all(n);
    expect_done(n, 0, "5.1 <0><1>;");
    expect_done(n, 1, "5.1 <0><1>;");
    net_free(n);
}

static void a_node_may_give_nothing(void **state)
{
    (void)state;
    struct net *n = net_new(2);
    const uint32_t all[] = {0, 1};
    fences_begin(n->nodes[1], 5, all, 2, NULL, 0);
    fences_begin(n->nodes[0], 5, all, 2, NULL, 0);
    collect(n, 0);
    collect(n, 1);
    deliver_all(n);
    expect_done(n, 0, "5.1 ;");
    expect_done(n, 1, "5.1 ;");
    net_free(n);
}

static void what_does_not_decode_is_refused(void **state)
{
    (void)state;
    struct net *n = net_new(2);
    const uint32_t all[] = {0, 1};
    struct err err;
    begin(n, 1, 5, all, 2);
    struct letter l = n->letters[0];
    int refused = 0;
    for (size_t len = 0; len < l.len; len++) {
        AUTO_FREE uint8_t *cut = xmemdup(l.bytes, len + 1);
        struct fences *f = fences_new(0);
        int rc = fences_receive(f, 1, cut, len, &err);
        refused += rc == E_INVALID;
        assert_true(rc == 0 || rc == E_INVALID);
        fences_free(f);
    }
    assert_true(refused > (int)l.len / 2);
    const uint8_t noise[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    assert_int_equal(fences_receive(n->nodes[0], 1, noise, sizeof noise, &err), E_INVALID);
    assert_string_equal(err.message, "a fence of node 1 does not decode");
    net_free(n);
}

static void random_bytes_do_no_harm(void **state)
{
    (void)state;
    struct rng rng = {9};
    struct err err;
    const uint32_t all[] = {0, 1};
    struct net *n = net_new(2);
    begin(n, 1, 5, all, 2);
    for (int i = 0; i < 20000; i++) {
        struct letter *l = &n->letters[0];
        AUTO_FREE uint8_t *bytes = xmemdup(l->bytes, l->len);
        for (int k = 0; k < 3; k++)
            bytes[rng_below(&rng, l->len)] ^= (uint8_t)(1u << rng_below(&rng, 8));
        struct fences *f = fences_new(0);
        struct fence_output o;
        fences_begin(f, 5, all, 2, "x", 1);
        fences_receive(f, 1, bytes, l->len, &err);
        while (fences_next(f, &o))
            ;
        fences_free(f);
    }
    net_free(n);
}

// ---- the walk ----

struct plan {
    uint64_t collective;
    uint32_t nodes[NODES_MAX];
    size_t count, begun;
    uint32_t order[NODES_MAX]; // in which they come
};

static void make_plan(struct rng *rng, size_t nodes, uint64_t collective, struct plan *p)
{
    *p = (struct plan){.collective = collective};
    uint64_t skip = rng_below(rng, 3); // 0: all take part
    for (uint32_t i = 0; i < nodes; i++)
        if (!skip || rng_below(rng, 3) || (i + 1 == nodes && !p->count))
            p->nodes[p->count++] = i;
    memcpy(p->order, p->nodes, sizeof p->order);
    for (size_t i = p->count; i > 1; i--) {
        size_t k = (size_t)rng_below(rng, i);
        uint32_t t = p->order[i - 1];
        p->order[i - 1] = p->order[k];
        p->order[k] = t;
    }
}

static void check_plan(struct net *n, const struct plan *p, int want)
{
    AUTO(text) struct text line = {0};
    text_addf(&line, "%" PRIu64 ".1 ", p->collective);
    for (size_t i = 0; i < p->count; i++)
        text_addf(&line, "<%u>", p->nodes[i]);
    text_addc(&line, ';');
    for (size_t i = 0; i < p->count; i++) {
        char *at = strstr(text_str(&n->done[p->nodes[i]]), text_str(&line));
        assert_true(want ? at != NULL : p->begun == p->count || at == NULL);
        assert_true(!at || !strstr(at + 1, text_str(&line))); // once
    }
}

static void network_acts(struct net *n, struct rng *rng)
{
    uint64_t what = rng_below(rng, 10);
    if (!n->letters_count) {
        uint32_t node = (uint32_t)rng_below(rng, n->count);
        fences_resend(n->nodes[node]);
        collect(n, node);
        return;
    }
    size_t at = (size_t)rng_below(rng, n->letters_count);
    if (what < 2) { // lost
        free(n->letters[at].bytes);
        n->letters[at] = n->letters[--n->letters_count];
    } else {
        deliver(n, at, what == 2);
    }
}

static bool waiting(struct net *n)
{
    for (size_t i = 0; i < n->count; i++)
        if (fences_waiting(n->nodes[i]))
            return true;
    return n->letters_count > 0;
}

static uint64_t one_walk(struct rng *rng, size_t nodes)
{
    static struct plan plans[FENCES_MAX];
    struct net *n = net_new(nodes);
    size_t left = 0, done_len = 0;
    for (uint64_t i = 0; i < FENCES_MAX; i++) {
        make_plan(rng, nodes, i + 1, &plans[i]);
        left += plans[i].count;
    }
    while (left || waiting(n)) {
        struct plan *p = &plans[rng_below(rng, FENCES_MAX)];
        if (p->begun < p->count && rng_below(rng, 4) == 0) {
            // Counted before: the last to come may be done at once.
            uint32_t node = p->order[p->begun++];
            left--;
            assert_int_equal(begin(n, node, p->collective, p->nodes, p->count), 1);
        } else {
            network_acts(n, rng);
        }
        if (rng_below(rng, 50) == 0)
            for (int i = 0; i < FENCES_MAX; i++)
                check_plan(n, &plans[i], 0);
    }
    for (int i = 0; i < FENCES_MAX; i++)
        check_plan(n, &plans[i], 1);
    for (size_t i = 0; i < nodes; i++)
        done_len += n->done[i].len;
    assert_true(done_len > 0);
    uint64_t sent = n->sent;
    net_free(n);
    return sent;
}

static void random_walk(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 5, 16, 17, 18, 40};
    const char *seed_text = getenv("WALK_SEED");
    uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : 1, sent = 0;
    struct rng rng = {seed};
    for (int i = 0; i < 140; i++)
        sent += one_walk(&rng, sizes[i % 7]);
    sent += one_walk(&rng, NODES_MAX); // three levels
    printf("# seed %" PRIu64 ": %" PRIu64 " messages\n", seed, sent);
}

static void a_node_that_is_over_is_not_waited_for(void **state)
{
    (void)state;
    struct net *n = net_new(3);
    const uint32_t all[] = {0, 1, 2};
    for (uint32_t i = 3; i-- > 0;)
        begin(n, i, 5, all, 3);
    for (size_t i = 0; i < n->letters_count;) {
        if (n->letters[i].to == 0)
            deliver(n, i, 0); // only the root has it all
        else
            i++;
    }
    drop_all(n);
    expect_done(n, 0, "5.1 <0><1><2>;");
    fences_gone(n->nodes[0], 1);
    assert_true(fences_waiting(n->nodes[0]));
    fences_resend(n->nodes[0]);
    collect(n, 0);
    assert_true(n->letters_count == 1 && n->letters[0].to == 2);
    fences_gone(n->nodes[0], 2);
    assert_false(fences_waiting(n->nodes[0]));
    net_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_node_is_done_at_once),
        cmocka_unit_test(a_node_that_is_over_is_not_waited_for),
        cmocka_unit_test(nobody_is_done_before_the_last_has_come),
        cmocka_unit_test(some_nodes_may_fence_among_themselves),
        cmocka_unit_test(what_is_lost_is_sent_again_until_acknowledged),
        cmocka_unit_test(data_that_comes_before_its_node_began_is_kept),
        cmocka_unit_test(a_node_may_give_nothing),
        cmocka_unit_test(what_does_not_decode_is_refused),
        cmocka_unit_test(random_bytes_do_no_harm),
        cmocka_unit_test(random_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
