// Where a training reports: the channel it was given, nothing else that has its number.
#include "kernels/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void report_to(int fd)
{
    struct report r;
    char word[16];
    snprintf(word, sizeof word, "%d", fd);
    setenv("MUSTER_REPORT_FD", word, 1);
    report_init(&r, 1, 2, false);
    struct report_step step = {
        .epoch = 1, .epochs = 1, .step = 1, .steps = 1, .loss = 0.5, .samples = 1};
    report_step(&r, &step);
}

static void only_a_pipe(void **state)
{
    char bytes[512] = "";
    int ends[2];
    FILE *file = tmpfile();
    (void)state;
    assert_non_null(file);
    report_to(fileno(file));
    assert_int_equal(lseek(fileno(file), 0, SEEK_END), 0);
    fclose(file);
    assert_int_equal(pipe(ends), 0);
    report_to(ends[1]);
    assert_true(read(ends[0], bytes, sizeof bytes - 1) > 0);
    assert_non_null(strstr(bytes, "\"loss\":0.5"));
    close(ends[0]);
    close(ends[1]);
}

static void a_pipe_that_nobody_reads_does_not_end_the_training(void **state)
{
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    report_to(ends[1]); // not killed by SIGPIPE
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_pipe),
        cmocka_unit_test(a_pipe_that_nobody_reads_does_not_end_the_training),
    };
    return cmocka_run_group_tests_name("ml_report", tests, NULL, NULL);
}
