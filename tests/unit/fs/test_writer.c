/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../../fs/upload.h"
#include "../../../fs/writer.h"

static void *thread_id(void *arg)
{
	*(pid_t *)arg = writer_process((pid_t)syscall(SYS_gettid));
	return NULL;
}

static void a_thread_belongs_to_its_process(void **state)
{
	pthread_t t;
	pid_t process = 0;
	assert_int_equal(pthread_create(&t, NULL, thread_id, &process), 0);
	pthread_join(t, NULL);
	assert_int_equal(process, getpid());
	assert_int_equal(writer_process(0), 0);
	assert_int_equal(writer_process(-5), 0);
}

static void we_are_alive(void **state)
{
	assert_false(writer_was_killed(getpid()));
	assert_false(writer_was_killed(0));
}

static void a_signal_that_waits_is_judged(void **state)
{
	pid_t me = (pid_t)syscall(SYS_gettid);
	assert_false(writer_wants_out(me));
	assert_true(writer_wants_out(0)); /* not seen: better free than stuck */
	sigset_t set, old;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	raise(SIGUSR2);
	assert_false(writer_wants_out(me)); /* it is blocked */
	int got;
	sigwait(&set, &got);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void a_descriptor_is_found_by_its_name(void **state)
{
	char path[] = "/tmp/writer-test-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_true(writer_holds(getpid(), path));
	assert_true(writer_holds(getpid(), path + 4)); /* as seen from another mount */
	close(fd);
	unlink(path);
	assert_false(writer_holds(getpid(), path));
	assert_false(writer_holds(0x7ffffffe, path)); /* gone */
}

static void temporary_names(void **state)
{
	static const char *const temporary[] = { ".f.Ab12Cd", "f~", "f.swp", "f.swx", "f.tmp", "f.part", "f.crdownload", "4913",
		                                 "._f", ".DS_Store", ".goutputstream-X", "#f#" };
	static const char *const visible[] = { "f", "cpu.pb.gz", "seduA3SJa", "XX2cIqpH", "f.save", "tmp", "part.gz", "#f", "~",
		                               "49130" };
	for (size_t i = 0; i < ARRAY_SIZE(temporary); i++)
		assert_true(upload_name_temporary(temporary[i]));
	for (size_t i = 0; i < ARRAY_SIZE(visible); i++)
		assert_false(upload_name_temporary(visible[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_belongs_to_its_process),
		cmocka_unit_test(we_are_alive),
		cmocka_unit_test(a_signal_that_waits_is_judged),
		cmocka_unit_test(a_descriptor_is_found_by_its_name),
		cmocka_unit_test(temporary_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
