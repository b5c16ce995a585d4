// Each format's reader: what a line becomes, and what is said of one that cannot be read.
#include "common/alloc.h"
#include "common/text.h"
#include "simulate/fields.h"
#include "simulate/lines.h"
#include "simulate/nodes.h"
#include "simulate/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

static void parse(const char *text, struct trace *ret)
{
    struct err err;
    *ret = (struct trace){0};
    int rc = trace_parse("t", text, strlen(text), ret, &err);
    if (rc)
        fail_msg("%s", err.message);
}

// What is said of a text that is no trace.
static void refuse(const char *text, const char *said)
{
    struct err err;
    AUTO(trace) struct trace t = {0};
    assert_int_equal(trace_parse("t", text, strlen(text), &t, &err), E_INVALID);
    if (!strstr(err.message, said))
        fail_msg("\"%s\" is not in: %s", said, err.message);
}

static void fields(void **state)
{
    (void)state;
    static struct fields f;
    int column = 0;
    char plain[] = "a,,b", quoted[] = "\"x,\"\"y\"\"\",\"\",2", open[] = "1,\"2",
         after[] = "\"1\"2,3";
    assert_null(fields_split(plain, strlen(plain), ',', &f, &column));
    assert_int_equal(f.count, 3);
    assert_string_equal(f.items[1].text, "");
    assert_string_equal(f.items[2].text, "b");
    assert_int_equal(f.items[2].column, 4);
    assert_null(fields_split(quoted, strlen(quoted), ',', &f, &column));
    assert_int_equal(f.count, 3);
    assert_string_equal(f.items[0].text, "x,\"y\"");
    assert_string_equal(f.items[1].text, "");
    assert_string_equal(fields_split(open, strlen(open), ',', &f, &column),
                        "a quote that is not closed");
    assert_int_equal(column, 3);
    assert_string_equal(fields_split(after, strlen(after), ',', &f, &column),
                        "something behind a closing quote");
    char many[FIELDS_MAX + 8];
    memset(many, ',', sizeof many);
    many[sizeof many - 1] = 0;
    assert_string_equal(fields_split(many, sizeof many - 1, ',', &f, &column),
                        "more fields than a line may have");
    char nul[] = "1\0,2";
    assert_string_equal(fields_split(nul, 4, ',', &f, &column), "a NUL byte");
}

static void numbers(void **state)
{
    (void)state;
    int64_t v = 7;
    assert_true(parse_milli("66.05", 5, &v));
    assert_int_equal(v, 66050);
    assert_true(parse_milli("-1", 2, &v));
    assert_int_equal(v, -1000);
    assert_true(parse_milli(".5", 2, &v));
    assert_int_equal(v, 500);
    assert_true(parse_milli("1.23456", 7, &v));
    assert_int_equal(v, 1234);
    v = 7;
    static const char *const bad[] = {"", "-", ".", "1e3", "1 ", "--1", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(parse_milli(bad[i], strlen(bad[i]), &v));
    assert_int_equal(v, 7);
    assert_true(parse_timestamp("1970-01-02 00:00:01", &v));
    assert_int_equal(v, 86401);
    assert_true(parse_timestamp("2024-02-29T12:00:00", &v));
    assert_int_equal(v, 1709208000);
    assert_false(parse_timestamp("2024-13-01T12:00:00", &v));
    assert_false(parse_timestamp("Unknown", &v));
    assert_true(parse_elapsed("1-02:03:04", &v));
    assert_int_equal(v, 93784000);
    assert_true(parse_elapsed("03:04.500", &v));
    assert_int_equal(v, 184500);
    assert_false(parse_elapsed("UNLIMITED", &v));
    assert_false(parse_elapsed("12", &v));
}

static void swf(void **state)
{
    (void)state;
    AUTO(trace) struct trace t;
    parse("; Version: 2.2\n"
          ";  MaxProcs: 8\n"
          "; MaxNodes: 4 (of two)\n"
          "; UnixStartTime: 1000\n"
          "\n"
          "  2 30 -1  60.5 4 -1 -1 -1 120 2048 1 5 6 -1 2 -1 -1 -1\r\n"
          "  1 20 -1  10 -1 -1 -1 2 -1 -1 1 -1 -1 -1 -1 -1 -1 -1\n"
          "  3 40 -1  -1 4 -1 -1 -1 -1 -1 5 1 1 1 1 1 -1 -1\n"
          "  4 50 -1  10 x -1 -1 -1 -1 -1 1 1 1 1 1 1 -1 -1\n"
          "  5 50\n",
          &t);
    assert_string_equal(t.format, "swf");
    assert_int_equal(t.count, 2);
    assert_int_equal(t.max_procs, 8);
    assert_int_equal(t.max_nodes, 4);
    assert_int_equal(t.start_s, 1020);
    assert_int_equal(t.never_ran, 1);
    assert_int_equal(t.bad.count, 2);
    assert_string_equal(t.bad.first[0], "t:9:15: the processors \"x\" is no number");
    assert_string_equal(t.bad.first[1], "t:10: 2 of 18 numbers");
    // By submission; the second asked for its processors only.
    assert_int_equal(t.jobs[0].number, 1);
    assert_int_equal(t.jobs[0].tasks, 2);
    assert_int_equal(t.jobs[0].submit_ms, 0);
    assert_int_equal(t.jobs[0].limit_ms, 0);
    assert_int_equal(t.jobs[1].submit_ms, 10000);
    assert_int_equal(t.jobs[1].run_ms, 60500);
    assert_int_equal(t.jobs[1].limit_ms, 120000);
    assert_int_equal(t.jobs[1].memory_mib, 2);
    assert_int_equal(t.jobs[1].tasks, 4);
    assert_string_equal(interned_name(&t.names, t.jobs[1].user), "user5");
    assert_string_equal(interned_name(&t.names, t.jobs[1].queue), "queue2");
}

static void philly(void **state)
{
    (void)state;
    AUTO(trace) struct trace t;
    parse("timestamp,duration,num_gpus,gpu_time,cluster\n"
          "2020-01-01 00:01:00,5.5,2,11,\"a,b\"\n"
          "2020-01-01 00:00:00,7,1,7,c\n"
          "yesterday,7,1,7,c\n"
          "2020-01-01 00:00:00,7,0,7,c\n"
          "2020-01-01 00:00:00,,1,7,c\n",
          &t);
    assert_string_equal(t.format, "philly");
    assert_int_equal(t.count, 2);
    assert_int_equal(t.jobs[1].submit_ms, 60000);
    assert_int_equal(t.jobs[1].run_ms, 5500);
    assert_int_equal(t.jobs[1].tasks, 2);
    assert_int_equal(t.jobs[1].gpus, 1);
    assert_string_equal(interned_name(&t.names, t.jobs[1].queue), "a,b");
    assert_int_equal(t.start_s, 1577836800);
    assert_int_equal(t.bad.count, 3);
    assert_string_equal(t.bad.first[0],
                        "t:4:1: the time \"yesterday\" is not like 2017-10-09 07:01:55");
    assert_string_equal(t.bad.first[1], "t:5:23: the number of GPUs 0 is out of range");
    assert_string_equal(t.bad.first[2], "t:6: its duration or its number of GPUs is missing");
}

static void openb(void **state)
{
    (void)state;
    AUTO(trace) struct trace t;
    // Columns are found by name, in any order, others are passed over.
    parse("num_gpu,name,cpu_milli,extra,memory_mib,gpu_milli,gpu_spec,creation_time,deletion_time\n"
          "1,p0,2500,x,1024,300,A|B,10,25\n"
          "1,p1,500,x,1024,1000,,10,30\n"
          "4,p2,500,x,1024,1000,,12,30\n"
          "0,p3,500,x,1024,0,,12,30\n"
          "65,p4,500,x,1024,0,,12,30\n",
          &t);
    assert_string_equal(t.format, "openb");
    assert_true(t.timed);
    assert_int_equal(t.count, 4);
    assert_int_equal(t.jobs[0].gpus, 0);
    assert_int_equal(t.jobs[0].gpu_milli, 300);
    assert_int_equal(t.jobs[0].cpu_milli, 2500);
    assert_int_equal(t.jobs[0].run_ms, 15000);
    assert_string_equal(t.jobs[0].name, "p0");
    assert_string_equal(interned_name(&t.names, t.jobs[0].models), "A|B");
    assert_int_equal(t.jobs[1].gpus, 1);
    assert_int_equal(t.jobs[1].gpu_milli, 0);
    assert_int_equal(t.jobs[2].gpus, 4);
    assert_int_equal(t.jobs[3].gpus, 0);
    assert_string_equal(t.bad.first[0], "t:6:1: num_gpu 65 is out of range");
    AUTO(trace) struct trace bare;
    parse("name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1000,1,1,500\n", &bare);
    assert_false(bare.timed);
    assert_int_equal(bare.jobs[0].run_ms, -1);
}

static void pollux(void **state)
{
    (void)state;
    AUTO(trace) struct trace t;
    parse("name,time,application,num_replicas,batch_size\n"
          "a-0,5,cifar10,2,1\n"
          "b-1,6,chess,2,1\n",
          &t);
    assert_string_equal(t.format, "pollux");
    assert_int_equal(t.count, 1);
    assert_int_equal(t.jobs[0].tasks, 2);
    assert_int_equal(t.jobs[0].run_ms, 569210); // half of 0.316 hours
    assert_non_null(t.assumption);
    assert_string_equal(t.bad.first[0], "t:3:7: the run time of the application \"chess\" is "
                                        "unknown; a column \"duration\" can tell it");
    AUTO(trace) struct trace told;
    parse("name,time,application,num_replicas,duration\nb-1,6,chess,2,90\n", &told);
    assert_int_equal(told.jobs[0].run_ms, 90000);
    assert_null(told.assumption);
}

static void sacct(void **state)
{
    (void)state;
    AUTO(trace) struct trace t;
    parse("JobID|User|Account|Partition|Submit|Start|End|Elapsed|Timelimit|AllocCPUS|AllocTRES|"
          "State\n"
          "7|ann|ml|gpu|2024-03-01T10:00:00|2024-03-01T10:05:00|2024-03-01T11:05:00|01:00:00|"
          "1-00:00:00|12|billing=12,cpu=12,gres/gpu=8,mem=32G,node=2|COMPLETED\n"
          "7.batch||ml||2024-03-01T10:05:00|2024-03-01T10:05:00|2024-03-01T11:05:00|01:00:00||12||"
          "COMPLETED\n"
          "8_3|bob|ml|cpu|2024-03-01T09:59:00|2024-03-01T10:00:00|2024-03-01T10:00:30|00:30|"
          "UNLIMITED|3|cpu=3,mem=1.5G,node=1|FAILED\n"
          "9|bob|ml|cpu|2024-03-01T10:00:00|Unknown|Unknown|00:00:00|UNLIMITED|0||CANCELLED by 7\n"
          "10|bob|ml|cpu|sometime|Unknown|Unknown|00:00:00|UNLIMITED|0||PENDING\n",
          &t);
    assert_string_equal(t.format, "sacct");
    assert_int_equal(t.count, 2);
    assert_int_equal(t.never_ran, 1);
    const struct trace_job *cpu = &t.jobs[0], *gpu = &t.jobs[1];
    assert_string_equal(cpu->name, "8_3");
    assert_int_equal(cpu->tasks, 3);
    assert_int_equal(cpu->run_ms, 30000);
    assert_int_equal(cpu->limit_ms, 0);
    assert_int_equal(cpu->memory_mib, 512);
    assert_int_equal(gpu->submit_ms, 60000);
    assert_int_equal(gpu->tasks, 8);
    assert_int_equal(gpu->gpus, 1);
    assert_int_equal(gpu->cpu_milli, 1500);
    assert_int_equal(gpu->memory_mib, 4096);
    assert_int_equal(gpu->limit_ms, 86400000);
    assert_string_equal(interned_name(&t.names, gpu->user), "ann");
    assert_string_equal(t.bad.first[0],
                        "t:6:15: the time \"sometime\" is not like 2024-01-31T09:15:00");
}

static void unknown(void **state)
{
    (void)state;
    refuse("", "is empty");
    refuse("\n\n", "is empty");
    refuse("hello\n", "is of no known format");
    refuse("hello\n", "a Philly CSV (columns timestamp,duration,num_gpus)");
    refuse("timestamp,duration,num_gpus\nx,1,1\n", "holds no job that ran: t:2:1");
    refuse("; MaxProcs: 3\n", "holds no job that ran");
    // A list of nodes is no workload.
    refuse("sn,cpu_milli,memory_mib,gpu,model\nn,1000,1,0,\n", "is of no known format");
}

static void long_lines(void **state)
{
    (void)state;
    AUTO(text) struct text text = {0};
    AUTO(trace) struct trace t = {0};
    struct err err;
    text_add(&text, "\xef\xbb\xbftimestamp,duration,num_gpus\n2020-01-01 00:00:00,7,1,");
    for (int i = 0; i < LINE_BYTES_MAX; i++)
        text_addc(&text, 'x');
    text_add(&text, "\n2020-01-01 00:00:00,8,1"); // without a line end
    assert_int_equal(trace_parse("t", text_str(&text), text.len, &t, &err), 0);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.jobs[0].run_ms, 8000);
    assert_string_equal(t.bad.first[0], "t:2: longer than 65536 bytes");
}

static void write_gz(const char *path, const char *text, size_t cut)
{
    gzFile f = gzopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, text, (unsigned)strlen(text)), strlen(text));
    gzclose(f);
    if (cut)
        assert_int_equal(truncate(path, (off_t)cut), 0);
}

static void gzipped(void **state)
{
    (void)state;
    char path[] = "/tmp/muster-trace-XXXXXX";
    close(mkstemp(path));
    struct err err;
    AUTO(trace) struct trace t = {0};
    AUTO(trace) struct trace cut = {0};
    AUTO(trace) struct trace none = {0};
    const char *text = "timestamp,duration,num_gpus\n2020-01-01 00:00:00,8,1\n";
    write_gz(path, text, 0);
    assert_int_equal(trace_read(path, &t, &err), 0);
    assert_int_equal(t.count, 1);
    write_gz(path, text, 40);
    assert_int_equal(trace_read(path, &cut, &err), E_CORRUPT);
    assert_non_null(strstr(err.message, "is damaged or cut off"));
    unlink(path);
    assert_int_equal(trace_read(path, &none, &err), E_NOT_FOUND);
    assert_non_null(strstr(err.message, "Check the name given with --trace."));
}

static int nodes(const char *text, struct node_list *ret, struct err *err)
{
    *ret = (struct node_list){0};
    return nodes_of_memory("n", text, strlen(text), ret, err);
}

static void node_lists(void **state)
{
    (void)state;
    struct err err;
    AUTO(node_list) struct node_list openb = {0}, hosts = {0}, twice = {0}, none = {0}, spec = {0};
    assert_int_equal(nodes("sn,cpu_milli,memory_mib,gpu,model\na,64000,1024,2,P100\n"
                           "b,8000,512,0,\nc,500,1,0,\n",
                           &openb, &err),
                     0);
    assert_int_equal(openb.count, 2);
    assert_int_equal(openb.items[0].cores, 64);
    assert_string_equal(interned_name(&openb.names, openb.items[0].model), "P100");
    assert_int_equal(openb.items[1].model, 0);
    assert_string_equal(openb.bad.first[0], "n:4:3: cpu_milli 500 is out of range");
    assert_int_equal(nodes("# ours\nn[08-10] cores=4 memory=8GiB gpus=1 model=A rack=s/r # old\n"
                           "m cores=x\nm colour=red\nm gpus=1\n",
                           &hosts, &err),
                     0);
    assert_int_equal(hosts.count, 3);
    assert_string_equal(hosts.items[2].name, "n10");
    assert_string_equal(hosts.items[2].rack, "s/r");
    assert_int_equal(hosts.items[2].memory_mib, 8192);
    assert_int_equal(hosts.bad.count, 3);
    assert_non_null(strstr(hosts.bad.first[1], "\"colour\" is not known"));
    assert_string_equal(hosts.bad.first[2], "n:5: cores=N is missing");
    assert_int_equal(nodes("n1 cores=1\nn[1-2] cores=1\n", &twice, &err), E_INVALID);
    assert_string_equal(err.message, "\"n\" names the node n1 twice.");
    assert_int_equal(nodes("hello\n", &none, &err), E_INVALID);
    assert_int_equal(nodes_parse("a[1-2] cores=4; b cores=8", &spec, &err), 0);
    assert_int_equal(spec.count, 3);
    nodes_repeat(&spec, 2);
    assert_int_equal(spec.count, 6);
    assert_string_equal(spec.items[5].name, "b-2");
}

static void nodes_that_traces_tell(void **state)
{
    (void)state;
    struct err err;
    AUTO(node_list) struct node_list equal = {0}, last = {0}, none = {0};
    struct trace t = {.format = "swf", .max_procs = 8, .max_nodes = 4};
    assert_int_equal(nodes_of_trace(&t, &equal, &err), 0);
    assert_int_equal(equal.count, 4);
    assert_int_equal(equal.items[3].cores, 2);
    t = (struct trace){.format = "swf", .max_procs = 130};
    assert_int_equal(nodes_of_trace(&t, &last, &err), 0);
    assert_int_equal(last.count, 3);
    assert_int_equal(last.items[2].cores, 2);
    t = (struct trace){.format = "sacct"};
    assert_int_equal(nodes_of_trace(&t, &none, &err), E_INVALID);
    assert_non_null(strstr(err.message, "--nodes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),     cmocka_unit_test(numbers),
        cmocka_unit_test(swf),        cmocka_unit_test(philly),
        cmocka_unit_test(openb),      cmocka_unit_test(pollux),
        cmocka_unit_test(sacct),      cmocka_unit_test(unknown),
        cmocka_unit_test(long_lines), cmocka_unit_test(gzipped),
        cmocka_unit_test(node_lists), cmocka_unit_test(nodes_that_traces_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
