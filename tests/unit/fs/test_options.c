/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../../fs/fs.h"

static void parses(struct mount_options *opts, const char *o)
{
	struct error err = { 0 };
	int e = fs_parse_options(opts, o, &err);
	if (e)
		fail_msg("%s: %s", o, err.text);
}

static void refuses(const char *o, const char *part)
{
	_mount_options_ struct mount_options opts;
	struct error err = { 0 };
	fs_options_init(&opts);
	assert_int_equal(fs_parse_options(&opts, o, &err), -EINVAL);
	if (!strstr(err.text, part))
		fail_msg("%s: no \"%s\" in \"%s\"", o, part, err.text);
}

static void the_zero_is_the_default(void **state)
{
	_mount_options_ struct mount_options opts;
	fs_options_init(&opts);
	assert_int_equal(opts.stat_wait_ns, 250 * NS_PER_MS);
	assert_false(opts.read_only || opts.may_delete || opts.no_compact || opts.allow_other);
	parses(&opts, "");
	parses(&opts, ",,");
}

static void each_option_is_taken(void **state)
{
	_mount_options_ struct mount_options opts;
	fs_options_init(&opts);
	parses(&opts, "ro,delete,allow_other,nonempty,tenant=team,compact=no,log=/tmp/x,fsname=s3://b/p");
	parses(&opts, "cache_size=64M,mem=1GiB,spool_size=4096,uid=1000,gid=100,umask=027");
	assert_true(opts.read_only && opts.may_delete && opts.allow_other && opts.nonempty && opts.no_compact);
	assert_string_equal(opts.tenant, "team");
	assert_string_equal(opts.log_file, "/tmp/x");
	assert_string_equal(opts.fsname, "s3://b/p");
	assert_int_equal(opts.cache_size, 64 << 20);
	assert_int_equal(opts.mem, 1 << 30);
	assert_int_equal(opts.spool_size, 4096);
	assert_true(opts.has_uid && opts.has_gid && opts.uid == 1000 && opts.gid == 100);
	assert_int_equal(opts.umask, 027);
}

static void later_ones_override(void **state)
{
	_mount_options_ struct mount_options opts;
	fs_options_init(&opts);
	parses(&opts, "ro,tenant=a,compact=no");
	parses(&opts, "rw,tenant=b,compact=yes");
	assert_false(opts.read_only || opts.no_compact);
	assert_string_equal(opts.tenant, "b");
}

static void durations(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} rows[] = { { "0", 0 }, { "-1", FS_STAT_WAIT_EVER }, { "1", NS_PER_S }, { "1s", NS_PER_S }, { "250ms", 250 * NS_PER_MS },
		     { "0.5", 500 * NS_PER_MS } };
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_mount_options_ struct mount_options opts;
		char o[64];
		fs_options_init(&opts);
		snprintf(o, sizeof o, "stat_wait=%s", rows[i].text);
		parses(&opts, o);
		assert_int_equal(opts.stat_wait_ns, rows[i].ns);
	}
}

static void generic_ones_are_passed_on_or_ignored(void **state)
{
	_mount_options_ struct mount_options opts;
	fs_options_init(&opts);
	parses(&opts, "defaults,_netdev,nofail,noauto,user,x-systemd.requires=a.mount,x-anything,comment=hello");
	assert_null(opts.fuse_opts);
	parses(&opts, "nodev,noexec,_netdev,noatime");
	assert_string_equal(opts.fuse_opts, "nodev,noexec,noatime");
}

static void what_is_wrong_is_named(void **state)
{
	refuses("nonsense", "stat_wait=");
	refuses("nonsense", "nonsense");
	refuses("ro=1", "ro");
	refuses("tenant", "tenant=");
	refuses("compact=maybe", "yes or no");
	refuses("cache_size=12X", "size");
	refuses("cache_size=99999999999999999999", "size");
	refuses("cache_size=99999999999G", "size");
	refuses("mem=-1", "size");
	refuses("stat_wait=", "duration");
	refuses("stat_wait=1h", "duration");
	refuses("stat_wait=nan", "duration");
	refuses("stat_wait=1e99", "duration");
	refuses("uid=root", "number");
	refuses("uid=4294967295", "number");
	refuses("umask=8", "octal");
	refuses("umask=10000", "octal");
}

static void an_endless_argument_is_refused(void **state)
{
	static char o[10000];
	memset(o, ',', sizeof o - 1);
	refuses(o, "longer");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_zero_is_the_default),
		cmocka_unit_test(each_option_is_taken),
		cmocka_unit_test(later_ones_override),
		cmocka_unit_test(durations),
		cmocka_unit_test(generic_ones_are_passed_on_or_ignored),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(an_endless_argument_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
