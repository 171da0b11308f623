/* SPDX-License-Identifier: MIT */
/*
 * Disk back ends: options, locks, transfers with torn vectors, bounds, the odd end of a file,
 * discards and zeroes, completion on the main loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hw-fixture.h"
#include "orrery/impl/blockdev.h"

#define IMAGE_BYTES (64 * 1024)

typedef struct Disk {
    HwFixture *hw;
    char *dir, *path;
} Disk;

static int setup(void **state)
{
    Disk *d = g_new0(Disk, 1);
    uint8_t *content = g_malloc(IMAGE_BYTES);

    for (unsigned i = 0; i < IMAGE_BYTES; i++) {
        content[i] = (uint8_t)(i * 7 + i / 512);
    }
    d->hw = hw_fixture_new();
    d->dir = g_dir_make_tmp("orrery-blockdev-XXXXXX", NULL);
    d->path = g_build_filename(d->dir, "disk.img", NULL);
    assert_true(g_file_set_contents(d->path, (char *)content, IMAGE_BYTES, NULL));
    g_free(content);
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    Disk *d = *state;

    hw_fixture_free(d->hw);
    unlink(d->path);
    rmdir(d->dir);
    g_free(d->path);
    g_free(d->dir);
    g_free(d);
    return 0;
}

static BlockDev *try_open(Disk *d, const char *more, GError **error)
{
    char *text = g_strdup_printf("file=%s,if=none,id=d0%s", d->path, more);
    BlockDev *blk = blockdev_open(d->hw->cpus, text, error);

    g_free(text);
    return blk;
}

static BlockDev *open_disk(Disk *d, const char *more)
{
    GError *error = NULL;
    BlockDev *blk = try_open(d, more, &error);

    if (!blk) {
        fail_msg("%s", error->message);
    }
    return blk;
}

static void expect_refusal(Disk *d, const char *more, const char *part)
{
    GError *error = NULL;

    assert_null(try_open(d, more, &error));
    assert_non_null(strstr(error->message, "d0"));
    if (!strstr(error->message, part)) {
        fail_msg("'%s' does not hold '%s'", error->message, part);
    }
    assert_null(strchr(error->message, '\n'));
    g_error_free(error);
}

typedef struct Outcome {
    HwFixture *hw;
    unsigned pending;
    int error;
} Outcome;

static void on_done(void *opaque, int error)
{
    Outcome *outcome = opaque;

    assert_true(machine_locked(outcome->hw->cpus));
    outcome->pending--;
    outcome->error = error;
}

static bool all_done(void *opaque)
{
    return ((Outcome *)opaque)->pending == 0;
}

static int run(Disk *d, BlockDev *blk, BlockOp op, uint64_t offset, uint64_t length,
               const struct iovec *iov, unsigned count)
{
    Outcome outcome = { .hw = d->hw, .pending = 1, .error = -1 };

    blockdev_submit(blk, op, offset, length, iov, count, on_done, &outcome);
    assert_int_equal(outcome.pending, 1);
    hw_run_until(d->hw, all_done, &outcome);
    return outcome.error;
}

static int transfer(Disk *d, BlockDev *blk, BlockOp op, uint64_t offset, void *data, size_t length)
{
    struct iovec iov = { data, length };

    return run(d, blk, op, offset, length, &iov, 1);
}

static void expect_content(const uint8_t *data, unsigned offset, unsigned length)
{
    for (unsigned i = offset; i < offset + length; i++) {
        assert_int_equal(data[i - offset], (uint8_t)(i * 7 + i / 512));
    }
}

static void content_is_read(void **state)
{
    Disk *d = *state;
    BlockDev *blk = open_disk(d, ",format=raw");
    uint8_t data[3 * 512];

    assert_string_equal(blockdev_id(blk), "d0");
    assert_string_equal(blockdev_interface(blk), "none");
    assert_int_equal(blockdev_size_bytes(blk), IMAGE_BYTES);
    assert_false(blockdev_readonly(blk));
    assert_int_equal(transfer(d, blk, BLOCK_READ, 512, data, sizeof(data)), 0);
    expect_content(data, 512, sizeof(data));
    assert_int_equal(transfer(d, blk, BLOCK_READ, IMAGE_BYTES - 512, data, 512), 0);
    expect_content(data, IMAGE_BYTES - 512, 512);
    assert_int_equal(run(d, blk, BLOCK_READ, 0, 0, NULL, 0), 0);
    blockdev_close(blk);
}

/* More pieces than fit into one system call, of odd lengths, some empty, more than is needed. */
static void torn_vectors_are_filled(void **state)
{
    static const char *const caches[] = { "", ",cache=none", ",cache=unsafe", ",cache=directsync" };
    Disk *d = *state;

    for (unsigned c = 0; c < G_N_ELEMENTS(caches); c++) {
        BlockDev *blk = open_disk(d, caches[c]);
        uint8_t *data = g_malloc0(IMAGE_BYTES);
        struct iovec iov[400];
        size_t at = 0;
        unsigned count = 0;

        for (; at < 30000 && count < G_N_ELEMENTS(iov); count++) {
            iov[count] = (struct iovec){ data + at, count % 13 == 5 ? 0 : count % 200 + 1 };
            at += iov[count].iov_len;
        }
        assert_int_equal(run(d, blk, BLOCK_READ, 1024, 29696, iov, count), 0);
        expect_content(data, 1024, 29696);
        for (size_t i = 29696; i < IMAGE_BYTES; i++) {
            assert_int_equal(data[i], 0);
        }
        memset(data, 0xee, 29696);
        assert_int_equal(run(d, blk, BLOCK_WRITE, 1024, 29696, iov, count), 0);
        assert_int_equal(run(d, blk, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
        blockdev_close(blk);
        teardown(state);
        setup(state);
        d = *state;
        g_free(data);
    }
}

static void what_was_written_is_read(void **state)
{
    static const char *const caches[] = { "writeback", "none", "writethrough", "directsync",
                                          "unsafe" };
    Disk *d = *state;
    void *aligned = NULL, *back = NULL;

    assert_int_equal(posix_memalign(&aligned, 4096, 8192), 0);
    assert_int_equal(posix_memalign(&back, 4096, 8192), 0);
    for (unsigned c = 0; c < G_N_ELEMENTS(caches); c++) {
        char *more = g_strconcat(",cache=", caches[c], NULL);
        BlockDev *blk = open_disk(d, more);

        memset(aligned, 'a' + (int)c, 8192);
        assert_int_equal(transfer(d, blk, BLOCK_WRITE, 4096, aligned, 8192), 0);
        assert_int_equal(transfer(d, blk, BLOCK_WRITE, 512, (uint8_t *)aligned + 3, 512), 0);
        assert_int_equal(run(d, blk, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
        assert_int_equal(transfer(d, blk, BLOCK_READ, 4096, back, 8192), 0);
        assert_memory_equal(aligned, back, 8192);
        assert_int_equal(transfer(d, blk, BLOCK_READ, 512, back, 512), 0);
        assert_memory_equal(aligned, back, 512);
        blockdev_close(blk);
        g_free(more);
    }
    free(aligned);
    free(back);
}

static void requests_outside_fail(void **state)
{
    Disk *d = *state;
    BlockDev *blk = open_disk(d, "");
    uint8_t data[1024];
    struct iovec short_iov = { data, 100 };

    assert_int_equal(transfer(d, blk, BLOCK_READ, IMAGE_BYTES - 512, data, 1024), EINVAL);
    assert_int_equal(transfer(d, blk, BLOCK_WRITE, IMAGE_BYTES, data, 1), EINVAL);
    assert_int_equal(transfer(d, blk, BLOCK_READ, UINT64_MAX, data, 1024), EINVAL);
    assert_int_equal(transfer(d, blk, BLOCK_READ, UINT64_MAX - 511, data, 1024), EINVAL);
    assert_int_equal(run(d, blk, BLOCK_READ, 0, 512, &short_iov, 1), EINVAL);
    assert_int_equal(run(d, blk, BLOCK_READ, 0, 512, NULL, 0), EINVAL);
    assert_int_equal(run(d, blk, BLOCK_WRITE_ZEROES, 0, UINT64_MAX, NULL, 0), EINVAL);
    assert_int_equal(run(d, blk, BLOCK_DISCARD, 512, UINT64_MAX, NULL, 0), EINVAL);
    blockdev_close(blk);
}

static void a_readonly_drive_stays_as_it_is(void **state)
{
    Disk *d = *state;
    BlockDev *blk = open_disk(d, ",readonly=on");
    uint8_t data[512] = { 0 };

    assert_true(blockdev_readonly(blk));
    assert_int_equal(transfer(d, blk, BLOCK_WRITE, 0, data, 512), EROFS);
    assert_int_equal(run(d, blk, BLOCK_WRITE_ZEROES, 0, 512, NULL, 0), EROFS);
    assert_int_equal(run(d, blk, BLOCK_DISCARD, 0, 512, NULL, 0), EROFS);
    assert_int_equal(run(d, blk, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
    assert_int_equal(transfer(d, blk, BLOCK_READ, 0, data, 512), 0);
    expect_content(data, 0, 512);
    blockdev_close(blk);
}

static void a_partial_sector_reads_as_zeros(void **state)
{
    Disk *d = *state;
    BlockDev *blk;
    uint8_t data[1024];

    assert_int_equal(truncate(d->path, 700), 0);
    blk = open_disk(d, "");
    assert_int_equal(blockdev_size_bytes(blk), 1024);
    memset(data, 0xff, sizeof(data));
    assert_int_equal(transfer(d, blk, BLOCK_READ, 0, data, 1024), 0);
    expect_content(data, 0, 700);
    for (unsigned i = 700; i < 1024; i++) {
        assert_int_equal(data[i], 0);
    }
    assert_int_equal(transfer(d, blk, BLOCK_WRITE, 0, data, 1024), 0);
    blockdev_close(blk);
}

static void zeroes_and_discards(void **state)
{
    Disk *d = *state;
    BlockDev *blk = open_disk(d, "");
    uint8_t data[8192];

    assert_int_equal(run(d, blk, BLOCK_WRITE_ZEROES, 512, 4096, NULL, 0), 0);
    assert_int_equal(run(d, blk, BLOCK_WRITE_ZEROES, 512, 0, NULL, 0), 0);
    assert_int_equal(run(d, blk, BLOCK_DISCARD, 8192, 4096, NULL, 0), 0);
    assert_int_equal(transfer(d, blk, BLOCK_READ, 0, data, 8192), 0);
    expect_content(data, 0, 512);
    for (unsigned i = 512; i < 4608; i++) {
        assert_int_equal(data[i], 0);
    }
    expect_content(data + 4608, 4608, 8192 - 4608);
    assert_int_equal(transfer(d, blk, BLOCK_READ, 8192, data, 4096), 0);
    expect_content(data, 8192, 4096); /* discard=ignore */
    blockdev_close(blk);
    blk = open_disk(d, ",discard=unmap");
    assert_int_equal(run(d, blk, BLOCK_DISCARD, 8192, 4096, NULL, 0), 0);
    assert_int_equal(run(d, blk, BLOCK_DISCARD, 8192, 0, NULL, 0), 0);
    assert_int_equal(transfer(d, blk, BLOCK_READ, 8192, data, 4096), 0);
    assert_int_equal(blockdev_size_bytes(blk), IMAGE_BYTES);
    blockdev_close(blk);
}

static void many_requests_complete(void **state)
{
    Disk *d = *state;
    BlockDev *blk = open_disk(d, "");
    Outcome outcome = { .hw = d->hw };
    uint8_t *data = g_malloc(200 * 512);
    struct iovec iov[200];

    for (unsigned i = 0; i < 200; i++) {
        iov[i] = (struct iovec){ data + i * 512, 512 };
        outcome.pending++;
        blockdev_submit(blk, BLOCK_READ, i % 128 * 512, 512, &iov[i], 1, on_done, &outcome);
    }
    hw_run_until(d->hw, all_done, &outcome);
    for (unsigned i = 0; i < 200; i++) {
        expect_content(data + i * 512, i % 128 * 512, 512);
    }
    blockdev_close(blk);
    g_free(data);
}

static void drain_needs_no_main_loop(void **state)
{
    Disk *d = *state;
    BlockDev *blk = open_disk(d, "");
    Outcome outcome = { .hw = d->hw };
    uint8_t data[50][512];
    struct iovec iov[50];

    for (unsigned i = 0; i < 50; i++) {
        iov[i] = (struct iovec){ data[i], 512 };
        outcome.pending++;
        blockdev_submit(blk, i % 5 ? BLOCK_READ : BLOCK_FLUSH, 0, 512, &iov[i], 1, on_done,
                        &outcome);
    }
    blockdev_drain(blk);
    assert_int_equal(outcome.pending, 0);
    outcome.pending++;
    blockdev_submit(blk, BLOCK_READ, 0, 512, iov, 1, on_done, &outcome);
    blockdev_close(blk);
    assert_int_equal(outcome.pending, 0);
}

static void one_device_a_drive(void **state)
{
    Disk *d = *state;
    BlockDev *blk = open_disk(d, "");
    GError *error = NULL;

    assert_null(blockdev_user(blk));
    assert_true(blockdev_claim(blk, "vda", NULL));
    assert_string_equal(blockdev_user(blk), "vda");
    assert_false(blockdev_claim(blk, "vdb", &error));
    assert_non_null(strstr(error->message, "'vda'"));
    g_error_free(error);
    blockdev_release(blk);
    assert_true(blockdev_claim(blk, "vdb", NULL));
    blockdev_release(NULL);
    blockdev_close(blk);
    blockdev_close(NULL);
}

static void a_file_in_use_is_refused(void **state)
{
    Disk *d = *state;
    BlockDev *writer = open_disk(d, ""), *reader, *second;

    expect_refusal(d, "", "in use");
    expect_refusal(d, ",readonly=on", "in use");
    blockdev_close(open_disk(d, ",locking=off"));
    expect_refusal(d, "", "in use");
    blockdev_close(writer);
    reader = open_disk(d, ",readonly=on");
    second = open_disk(d, ",readonly=on");
    expect_refusal(d, "", "in use");
    blockdev_close(reader);
    blockdev_close(second);
    blockdev_close(open_disk(d, ""));
}

/* Bytes 100 and up say what is done to an image, 200 and up what others shall not do. */
static void qemu_understands_our_locks(void **state)
{
    Disk *d = *state;
    BlockDev *blk = open_disk(d, "");
    int fd = open(d->path, O_RDWR | O_CLOEXEC);
    struct flock lock = { .l_type = F_WRLCK, .l_start = 101, .l_len = 1 };

    assert_int_equal(fcntl(fd, F_OFD_GETLK, &lock), 0);
    assert_int_equal(lock.l_type, F_RDLCK);
    lock = (struct flock){ .l_type = F_WRLCK, .l_start = 201, .l_len = 1 };
    assert_int_equal(fcntl(fd, F_OFD_GETLK, &lock), 0);
    assert_int_equal(lock.l_type, F_RDLCK);
    blockdev_close(blk);
    lock = (struct flock){ .l_type = F_RDLCK, .l_start = 101, .l_len = 1 };
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    expect_refusal(d, "", "in use");
    close(fd);
}

static void wrong_options_are_refused(void **state)
{
    Disk *d = *state;
    GError *error = NULL;

    expect_refusal(d, ",format=qcow2", "qcow2");
    expect_refusal(d, ",snapshot=on", "snapshot=on");
    blockdev_close(open_disk(d, ",snapshot=off"));
    assert_null(try_open(d, ",cache=fast", &error));
    assert_non_null(strstr(error->message, "'cache'"));
    g_clear_error(&error);
    assert_null(try_open(d, ",redonly=on", &error));
    assert_non_null(strstr(error->message, "did you mean 'readonly'"));
    g_clear_error(&error);
    assert_null(blockdev_open(d->hw->cpus, "id=d0", &error));
    assert_non_null(strstr(error->message, "no file"));
    g_clear_error(&error);
    assert_null(blockdev_open(d->hw->cpus, "file=/nowhere", &error));
    assert_non_null(strstr(error->message, "no id"));
    g_clear_error(&error);
    assert_null(blockdev_open(d->hw->cpus, "", &error));
    g_clear_error(&error);
    assert_null(blockdev_open(d->hw->cpus, "id=d0,file=/nowhere/at,,all", &error));
    assert_non_null(strstr(error->message, "'/nowhere/at,all'"));
    g_clear_error(&error);
    assert_null(blockdev_open(d->hw->cpus, "id=d0,file=/tmp,readonly=on", &error));
    assert_non_null(strstr(error->message, "neither a file nor a block device"));
    g_clear_error(&error);
    assert_null(blockdev_open(d->hw->cpus, "id=d0,file=/dev/null", &error));
    g_clear_error(&error);
}

static void other_formats_are_noticed(void **state)
{
    Disk *d = *state;
    int fd = open(d->path, O_WRONLY | O_CLOEXEC);

    assert_int_equal(pwrite(fd, "QFI\xfb", 4, 0), 4);
    close(fd);
    expect_refusal(d, "", "qcow2 image");
    blockdev_close(open_disk(d, ",format=raw"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(content_is_read),
        TEST(torn_vectors_are_filled),
        TEST(what_was_written_is_read),
        TEST(requests_outside_fail),
        TEST(a_readonly_drive_stays_as_it_is),
        TEST(a_partial_sector_reads_as_zeros),
        TEST(zeroes_and_discards),
        TEST(many_requests_complete),
        TEST(drain_needs_no_main_loop),
        TEST(one_device_a_drive),
        TEST(a_file_in_use_is_refused),
        TEST(qemu_understands_our_locks),
        TEST(wrong_options_are_refused),
        TEST(other_formats_are_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
