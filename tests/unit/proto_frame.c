// Frames: the length prefix of streams, bounds, and that every message of the schema survives
// packing, cutting and strange input. The schema itself may only grow: see `schema`.
#include "common/alloc.h"
#include "common/rng.h"
#include "common/text.h"
#include "proto/frame.h"
#include "proto/muster.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- streams ----

static void the_prefix_is_big_endian(void **state)
{
    (void)state;
    uint8_t h[FRAME_HEADER];
    frame_header(h, 0x01020304);
    assert_memory_equal(h, "\1\2\3\4", 4);
    frame_header(h, 0);
    assert_memory_equal(h, "\0\0\0\0", 4);
    frame_header(h, UINT32_MAX);
    assert_memory_equal(h, "\377\377\377\377", 4);
}

static void a_frame_comes_whole_or_not_at_all(void **state)
{
    (void)state;
    struct frame_reader r = {.limit = 100};
    const uint8_t *p = NULL;
    size_t len = 99;
    static const char bytes[] = "\0\0\0\5hello\0\0\0\0\0\0\0\1x";
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        frame_reader_add(&r, bytes + i, 1);
        int rc = frame_reader_next(&r, &p, &len);
        assert_int_equal(rc, i == 8 || i == 12 || i == 17);
        if (i < 8) // nothing is said of what is not whole
            assert_true(p == NULL && len == 99);
        if (i == 8) {
            assert_int_equal(len, 5);
            assert_memory_equal(p, "hello", 5);
        }
        if (i == 12)
            assert_int_equal(len, 0);
    }
    assert_int_equal(len, 1);
    assert_int_equal(*p, 'x');
    assert_int_equal(frame_reader_next(&r, &p, &len), 0);
    frame_reader_add(&r, NULL, 0);
    assert_int_equal(frame_reader_next(&r, &p, &len), 0);
    frame_reader_free(&r);
    assert_int_equal(r.limit, 100); // it may be used again
    frame_reader_add(&r, "\0\0\0\1y", 5);
    assert_int_equal(frame_reader_next(&r, &p, &len), 1);
    frame_reader_free(&r);
}

static void too_long_a_frame_is_known_by_its_prefix(void **state)
{
    (void)state;
    static const size_t lengths[] = {101, 256, 65536, FRAME_MAX, 0x7fffffff, UINT32_MAX};
    const uint8_t *p;
    size_t len;
    uint8_t h[FRAME_HEADER];
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct frame_reader r = {.limit = 100};
        frame_reader_add(&r, "\0\0\0\1x", 5);
        frame_header(h, lengths[i]);
        frame_reader_add(&r, h, 3);
        assert_int_equal(frame_reader_next(&r, &p, &len), 1);
        assert_int_equal(frame_reader_next(&r, &p, &len), 0);
        frame_reader_add(&r, h + 3, 1);
        for (int again = 0; again < 3; again++)
            assert_int_equal(frame_reader_next(&r, &p, &len), E_TOO_LARGE);
        assert_true(r.cap < 1000); // nothing is set aside for it
        frame_reader_free(&r);
    }
    struct frame_reader r = {.limit = 100};
    char body[100] = "";
    frame_header(h, 100); // the limit itself is allowed
    frame_reader_add(&r, h, FRAME_HEADER);
    frame_reader_add(&r, body, 100);
    assert_int_equal(frame_reader_next(&r, &p, &len), 1);
    assert_int_equal(len, 100);
    frame_reader_free(&r);
}

static void any_cutting_of_a_stream_gives_the_same_frames(void **state)
{
    (void)state;
    struct rng rng = {3};
    AUTO(text) struct text stream = {0};
    AUTO(text) struct text want = {0};
    uint8_t h[FRAME_HEADER];
    for (int i = 0; i < 300; i++) {
        size_t len = (size_t)rng_below(&rng, rng_below(&rng, 4) ? 20 : 3000);
        frame_header(h, len);
        text_add_bytes(&stream, h, sizeof h);
        for (size_t k = 0; k < len; k++) {
            text_addc(&stream, (char)('a' + i % 26));
            text_addc(&want, (char)('a' + i % 26));
        }
        text_addc(&want, '.');
    }
    for (int round = 0; round < 50; round++) {
        AUTO(text) struct text got = {0};
        struct frame_reader r = {.limit = 3000};
        const uint8_t *p;
        size_t len;
        for (size_t at = 0; at < stream.len;) {
            size_t most = stream.len - at, part = (size_t)rng_below(&rng, 5000) + 1;
            part = part < most ? part : most;
            frame_reader_add(&r, stream.p + at, part);
            at += part;
            while (rng_below(&rng, 10) && frame_reader_next(&r, &p, &len) == 1) {
                text_add_bytes(&got, p, len);
                text_addc(&got, '.');
            }
        }
        while (frame_reader_next(&r, &p, &len) == 1) {
            text_add_bytes(&got, p, len);
            text_addc(&got, '.');
        }
        assert_int_equal(got.len, want.len);
        assert_memory_equal(got.p, want.p, want.len);
        frame_reader_free(&r);
    }
}

// ---- messages ----

static const ProtobufCMessageDescriptor *const roots[] = {
    &muster__to_agent__descriptor,       &muster__from_agent__descriptor,
    &muster__to_shepherd__descriptor,    &muster__from_shepherd__descriptor,
    &muster__fork__descriptor,           &muster__fence__descriptor,
    &muster__journal_record__descriptor, &muster__job_spec__descriptor,
};
enum { ROOTS = sizeof roots / sizeof *roots };

static size_t value_size(const ProtobufCFieldDescriptor *f)
{
    ProtobufCType t = f->type;
    if (t == PROTOBUF_C_TYPE_STRING || t == PROTOBUF_C_TYPE_MESSAGE)
        return sizeof(void *);
    if (t == PROTOBUF_C_TYPE_BYTES)
        return sizeof(ProtobufCBinaryData);
    bool wide =
        t == PROTOBUF_C_TYPE_INT64 || t == PROTOBUF_C_TYPE_UINT64 || t == PROTOBUF_C_TYPE_FIXED64;
    return wide ? 8 : 4;
}

static ProtobufCMessage *fill(const ProtobufCMessageDescriptor *d, uint64_t *counter,
                              unsigned choice);

static void fill_value(const ProtobufCFieldDescriptor *f, void *to, uint64_t *counter,
                       unsigned choice)
{
    uint64_t v = ++*counter * 0x0101010101u;
    uint32_t v32 = (uint32_t)*counter;
    size_t size = value_size(f);
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        char *s = xasprintf("s%u", v32);
        memcpy(to, &s, sizeof s);
    } else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        ProtobufCMessage *m = fill(f->descriptor, counter, choice);
        memcpy(to, &m, sizeof m);
    } else if (f->type == PROTOBUF_C_TYPE_BYTES) {
        ProtobufCBinaryData b = {8, xmemdup(&v, 8)};
        memcpy(to, &b, sizeof b);
    } else if (f->type == PROTOBUF_C_TYPE_BOOL) {
        v32 = 1;
        memcpy(to, &v32, size);
    } else if (f->type == PROTOBUF_C_TYPE_ENUM) {
        v32 = 1 + v32 % 4;
        memcpy(to, &v32, size);
    } else {
        memcpy(to, size == 8 ? (void *)&v : (void *)&v32, size);
    }
}

static bool in_oneof(const ProtobufCFieldDescriptor *f)
{
    return f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
}

// Every field is set to something of its own; of a oneof, member number `choice` is.
static ProtobufCMessage *fill(const ProtobufCMessageDescriptor *d, uint64_t *counter,
                              unsigned choice)
{
    ProtobufCMessage *m = xcalloc(1, d->sizeof_message);
    unsigned member = 0;
    protobuf_c_message_init(d, m);
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        char *at = (char *)m + f->offset, *quantity = (char *)m + f->quantifier_offset;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = 3;
            char *list = xcalloc(n, value_size(f));
            for (size_t k = 0; k < n; k++)
                fill_value(f, list + k * value_size(f), counter, choice);
            memcpy(quantity, &n, sizeof n);
            memcpy(at, &list, sizeof list);
        } else if (!in_oneof(f)) {
            fill_value(f, at, counter, choice);
        } else if (member++ == choice) {
            uint32_t which = f->id;
            memcpy(quantity, &which, sizeof which);
            fill_value(f, at, counter, choice);
        }
    }
    return m;
}

static unsigned choices(const ProtobufCMessageDescriptor *d)
{
    unsigned n = 0;
    for (unsigned i = 0; i < d->n_fields; i++)
        n += in_oneof(&d->fields[i]);
    return n ? n : 1;
}

// Field by field, as text.
static void describe(const ProtobufCMessage *m, struct text *t)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    text_addf(t, "%s{", d->short_name);
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[i];
        const char *at = (const char *)m + f->offset;
        size_t n = 1;
        uint32_t which;
        memcpy(&which, (const char *)m + f->quantifier_offset, sizeof which);
        if (in_oneof(f) && which != f->id)
            continue;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            memcpy(&n, (const char *)m + f->quantifier_offset, sizeof n);
            memcpy(&at, at, sizeof at);
        }
        text_addf(t, "%s:", f->name);
        for (size_t k = 0; k < n; k++, at += value_size(f)) {
            uint64_t v = 0;
            void *pointer = NULL;
            memcpy(&v, at, value_size(f) < 8 ? 4 : 8);
            memcpy(&pointer, at, value_size(f) < 8 ? 4 : 8);
            if (f->type == PROTOBUF_C_TYPE_MESSAGE && pointer)
                describe(pointer, t);
            else if (f->type == PROTOBUF_C_TYPE_STRING)
                text_addf(t, "\"%s\"", (const char *)pointer);
            else if (f->type == PROTOBUF_C_TYPE_BYTES)
                text_addf(t, "%zu bytes", ((const ProtobufCBinaryData *)(const void *)at)->len);
            else
                text_addf(t, "%llu", (unsigned long long)v);
            text_addc(t, ',');
        }
    }
    text_addc(t, '}');
}

static uint8_t *packed(const ProtobufCMessage *m, size_t *ret_len)
{
    *ret_len = protobuf_c_message_get_packed_size(m);
    uint8_t *bytes = xmalloc(*ret_len + 1);
    assert_int_equal(protobuf_c_message_pack(m, bytes), *ret_len);
    return bytes;
}

// Calls f for every root with every member of its oneof.
static void for_every_message(void (*f)(const ProtobufCMessage *m, const uint8_t *bytes,
                                        size_t len))
{
    for (size_t i = 0; i < ROOTS; i++)
        for (unsigned choice = 0; choice < choices(roots[i]); choice++) {
            uint64_t counter = 0;
            size_t len;
            ProtobufCMessage *m = fill(roots[i], &counter, choice);
            AUTO_FREE uint8_t *bytes = packed(m, &len);
            f(m, bytes, len);
            protobuf_c_message_free_unpacked(m, NULL);
        }
}

static void round_trip(const ProtobufCMessage *m, const uint8_t *bytes, size_t len)
{
    AUTO(text) struct text want = {0};
    AUTO(text) struct text got = {0};
    ProtobufCMessage *back = protobuf_c_message_unpack(m->descriptor, NULL, len, bytes);
    assert_non_null(back);
    assert_int_equal(back->n_unknown_fields, 0);
    describe(m, &want);
    describe(back, &got);
    assert_string_equal(text_str(&got), text_str(&want));
    protobuf_c_message_free_unpacked(back, NULL);
}

static void every_message_survives_a_round_trip(void **state)
{
    (void)state;
    for_every_message(round_trip);
}

// A cut message is refused, or is one of fewer fields; it is never read beyond its end (under
// AddressSanitizer the copy ends where the bytes do).
static void cut_everywhere(const ProtobufCMessage *m, const uint8_t *bytes, size_t len)
{
    size_t refused = 0;
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *copy = xmalloc(cut ? cut : 1);
        memcpy(copy, bytes, cut);
        ProtobufCMessage *back = protobuf_c_message_unpack(m->descriptor, NULL, cut, copy);
        free(copy);
        refused += back == NULL;
        if (!back)
            continue;
        assert_true(protobuf_c_message_check(back));
        assert_true(protobuf_c_message_get_packed_size(back) <= cut);
        protobuf_c_message_free_unpacked(back, NULL);
    }
    assert_true(len < 4 || refused > 0);
}

static void a_message_cut_at_any_length_does_no_harm(void **state)
{
    (void)state;
    for_every_message(cut_everywhere);
}

static void flip_bits(const ProtobufCMessage *m, const uint8_t *bytes, size_t len)
{
    struct rng rng = {len};
    for (int i = 0; len && i < 500; i++) {
        AUTO_FREE uint8_t *copy = xmemdup(bytes, len);
        for (uint64_t k = rng_below(&rng, 4) + 1; k; k--)
            copy[rng_below(&rng, len)] ^= (uint8_t)(1u << rng_below(&rng, 8));
        ProtobufCMessage *back = protobuf_c_message_unpack(m->descriptor, NULL, len, copy);
        if (back)
            protobuf_c_message_free_unpacked(back, NULL);
    }
}

static void flipped_bits_do_no_harm(void **state)
{
    (void)state;
    for_every_message(flip_bits);
}

static void an_unknown_kind_is_no_kind(void **state)
{
    (void)state;
    // session 5, and member 99 of the oneof with two bytes: from a newer program.
    static const uint8_t bytes[] = {0x08, 5, 0x9a, 0x06, 2, 0x08, 1};
    Muster__ToAgent *a = muster__to_agent__unpack(NULL, sizeof bytes, bytes);
    assert_non_null(a);
    assert_int_equal(a->session, 5);
    assert_int_equal(a->body_case, MUSTER__TO_AGENT__BODY__NOT_SET);
    assert_int_equal(a->base.n_unknown_fields, 1);
    muster__to_agent__free_unpacked(a, NULL);
    Muster__JournalRecord *j = muster__journal_record__unpack(NULL, 5, bytes + 2);
    assert_non_null(j);
    assert_int_equal(j->body_case, MUSTER__JOURNAL_RECORD__BODY__NOT_SET);
    muster__journal_record__free_unpacked(j, NULL);
    // A state that is not in the table is kept as its number.
    static const uint8_t status[] = {0x08, 77};
    Muster__ShepherdStatus *s = muster__shepherd_status__unpack(NULL, sizeof status, status);
    assert_non_null(s);
    assert_int_equal(s->state, 77);
    muster__shepherd_status__free_unpacked(s, NULL);
}

static void the_last_of_two_members_counts(void **state)
{
    (void)state;
    // An end_ack (6), then a kill (5): a sender that says both.
    static const uint8_t bytes[] = {0x3a, 0, 0x2a, 2, 0x10, 7};
    Muster__ToAgent *a = muster__to_agent__unpack(NULL, sizeof bytes, bytes);
    assert_non_null(a);
    assert_int_equal(a->body_case, MUSTER__TO_AGENT__BODY_KILL);
    assert_int_equal(a->kill->grace_ms, 7);
    muster__to_agent__free_unpacked(a, NULL);
}

// ---- the schema ----

// Name and number of every field as they were given out. Programs of two versions talk to each
// other, and journals outlive an upgrade: a line may grow at its end and never change.
static const char *const schema[] = {
    "AttemptId 1=cluster:9 2=job_uid:9 3=number:6",
    "Resources 1=cores:14 2=gpus:6* 3=memory_mib:3 4=port:6",
    "JobSpec 1=name:14 2=argv:14* 3=env:14* 4=cwd:14 5=output_limit:8 6=queue:14 7=no_bind:12",
    "NodePart 1=node:14 2=address:14 3=first_rank:6 4=tasks:6 5=port:6",
    "AttemptStatus 1=attempt:16 2=state:13 3=started:12 4=held:16",
    "Reason 1=word:14 2=a:3 3=b:3 4=c:3 5=detail:14",
    "TaskResult 1=rank:6 2=exit_code:0 3=signal:0 4=user_ms:3 5=system_ms:3 6=peak_kib:3 "
    "7=started_at_ms:3 8=ended_at_ms:3",
    "Welcome 1=cluster:9 2=term:8 3=nonce:9 4=session:8 5=heartbeat_ms:6",
    "Launch 1=attempt:16 2=request:8 3=lease_ms:3 4=prepare_lease_ms:3 5=prepare:12 6=job_id:8 "
    "7=uid:6 8=gid:6 9=spec:15 10=nodes:16* 11=node_index:6 12=resources:16 13=cpus_per_task:6 "
    "14=gpus_per_task:6 15=memory_mib_per_task:3 16=time_limit_ms:3 17=grace_ms:3 18=pmix:12 "
    "19=array_element:3 20=is_array:12 21=secret:9",
    "Go 1=attempt:16 2=request:8 3=lease_ms:3",
    "Kill 1=attempt:16 2=grace_ms:3 3=reason:16",
    "Grant 1=request:8 2=attempts:16*",
    "EndAck 1=attempt:16",
    "Refused 1=reason:16",
    "ReadOutput 1=query:8 2=job_uid:8 3=attempt:6 4=rank:6 5=stream:6 6=offset:3 7=limit:6",
    "ToAgent 1=session:8 2=welcome:16 3=launch:16 4=go:16 5=kill:16 6=grant:16 7=end_ack:16 "
    "8=refused:16 9=read_output:16",
    "Hello 1=cluster:9 2=machine_id:14 3=boot_id:14 4=state_id:9 5=term_seen:8 6=journal_intact:12 "
    "7=request:8 8=cores:6 9=gpus:6 10=memory_mib:3 11=peer_address:14 12=version:14 "
    "13=inventory:14 14=attempts:16* 15=nonce_seen:9",
    "Heartbeat 1=request:8 2=attempts:16*",
    "Report 1=status:16",
    "End 1=attempt:16 2=started:12 3=reason:16 4=tasks:16*",
    "OutputData 1=query:8 2=data:15 3=offset:3 4=size:3 5=dropped:3 6=ended:12 7=error:14",
    "FromAgent 1=session:8 2=hello:16 3=heartbeat:16 4=report:16 5=end:16 6=output_data:16",
    "Fork 1=attempt:16 2=run_dir:14 3=spool_dir:14 4=node:14",
    "ToShepherd 1=order:16 2=go:16 3=kill:16 4=end_ack:16 5=peer:16",
    "ShepherdOrder 1=launch:16 2=task_cpus:14* 3=gpu_devices:14* 4=cgroup:14 5=token:14 "
    "6=shared_host:12",
    "ShepherdGo",
    "ShepherdKill 1=grace_ms:3 2=reason:16",
    "FromShepherd 1=status:16 2=end:16 3=peer:16",
    "ShepherdStatus 1=state:13 2=started:12 3=pid:6 4=launch:16",
    "PeerFrame 1=attempt:16 2=from:6 3=to:6 4=payload:15 5=left:6",
    "Fence 1=collective:8 2=sequence:6 3=down:12 4=parts:16* 5=failed:12 6=ack:12",
    "FencePart 1=node_index:6 2=data:15",
    "JournalRecord 1=header:16 2=term:16 3=order:16 4=refusal:16 5=end:16 6=end_ack:16",
    "JournalHeader 1=state_id:9 2=boot_id:14 3=cluster:9 4=machine_id:14",
    "JournalTerm 1=cluster:9 2=term:8 3=nonce:9",
};

static void schema_line(const ProtobufCMessageDescriptor *d, struct text *t)
{
    // In order of declaration, which is that of the numbers but for what was appended late.
    text_addf(t, "%s", d->short_name);
    for (unsigned id = 1; id <= 200; id++) {
        const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(d, id);
        if (f)
            text_addf(t, " %u=%s:%d%s", id, f->name, (int)f->type,
                      f->label == PROTOBUF_C_LABEL_REPEATED ? "*" : "");
    }
}

static void check_schema(const ProtobufCMessageDescriptor *d, bool *seen, size_t count)
{
    AUTO(text) struct text line = {0};
    size_t name = strlen(d->short_name);
    schema_line(d, &line);
    size_t i = 0;
    while (i < count && (strncmp(schema[i], d->short_name, name) != 0 ||
                         (schema[i][name] && schema[i][name] != ' ')))
        i++;
    if (i == count || seen[i])
        return; // a new message, or done
    seen[i] = true;
    if (strncmp(text_str(&line), schema[i], strlen(schema[i])) != 0)
        fail_msg("the schema was changed:\n  was %s\n  is  %s", schema[i], text_str(&line));
    for (unsigned k = 0; k < d->n_fields; k++)
        if (d->fields[k].type == PROTOBUF_C_TYPE_MESSAGE)
            check_schema(d->fields[k].descriptor, seen, count);
}

static void the_schema_only_grows(void **state)
{
    (void)state;
    enum { COUNT = sizeof schema / sizeof *schema };
    bool seen[COUNT] = {0};
    for (size_t i = 0; i < ROOTS; i++)
        check_schema(roots[i], seen, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        if (!seen[i])
            fail_msg("gone: %s", schema[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prefix_is_big_endian),
        cmocka_unit_test(a_frame_comes_whole_or_not_at_all),
        cmocka_unit_test(too_long_a_frame_is_known_by_its_prefix),
        cmocka_unit_test(any_cutting_of_a_stream_gives_the_same_frames),
        cmocka_unit_test(every_message_survives_a_round_trip),
        cmocka_unit_test(a_message_cut_at_any_length_does_no_harm),
        cmocka_unit_test(flipped_bits_do_no_harm),
        cmocka_unit_test(an_unknown_kind_is_no_kind),
        cmocka_unit_test(the_last_of_two_members_counts),
        cmocka_unit_test(the_schema_only_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
