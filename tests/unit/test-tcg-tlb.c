/* SPDX-License-Identifier: MIT */
/*
 * Tables of the translator's TLB without guest or code: what flushes take, what stays, growth, the
 * victim table's place in it, and regions of large pages. A view is made by hand and belongs to no
 * vCPU.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "tcg/tb.h"

static TcgView *view_new(void)
{
    TcgView *view = mmap(NULL, sizeof(TcgView), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_ptr_not_equal(view, MAP_FAILED);
    view->fast.jumps[0].tag = TCG_JUMP_EMPTY(0);
    tcg_table_init(&view->load, view->fast.load, view->load_page, &view->fast.load_mask);
    return view;
}

static void enter(TcgTable *table, uint64_t page)
{
    uint64_t index = (page >> TCG_PAGE_BITS) & (*table->mask >> TCG_TLB_ENTRY_SHIFT);

    table->entries[index].tag = page;
    table->used[table->used_count++] = (uint16_t)index;
}

static unsigned entries(const TcgTable *table)
{
    unsigned n = 0;

    for (uint64_t i = 0; i <= *table->mask >> TCG_TLB_ENTRY_SHIFT; i++) {
        n += table->entries[i].tag != TCG_TLB_EMPTY;
    }
    return n;
}

static void test_fresh_table_never_hits(void **state)
{
    TcgView *view = view_new();

    assert_int_equal(view->load.bits, TCG_TLB_MIN_BITS);
    assert_int_equal(entries(&view->load), 0);
    for (unsigned i = 0; i < TCG_VICTIMS; i++) {
        assert_true(view->load.victim[i].entry.tag == TCG_TLB_EMPTY);
    }
    munmap(view, sizeof(*view));
}

static void test_drop_takes_one_page(void **state)
{
    TcgView *view = view_new();

    enter(&view->load, 0x1000);
    enter(&view->load, 0x2000 | TCG_TLB_SLOW);
    view->load.victim[3].entry.tag = 0x101000;
    tcg_table_drop(&view->load, 0x101000); /* same entry as 0x1000, another page */
    assert_int_equal(entries(&view->load), 2);
    assert_true(view->load.victim[3].entry.tag == TCG_TLB_EMPTY);
    tcg_table_drop(&view->load, 0x2000);
    assert_int_equal(entries(&view->load), 1);
    munmap(view, sizeof(*view));
}

static void test_empty_with_and_without_list(void **state)
{
    TcgCpu cpu = { 0 };
    TcgView *view = view_new();

    enter(&view->load, 0x5000);
    enter(&view->load, 0x9000);
    tcg_table_empty(&cpu, &view->load);
    assert_int_equal(entries(&view->load), 0);
    for (unsigned i = 0; i < 200; i++) {
        enter(&view->load, (uint64_t)i << TCG_PAGE_BITS);
    }
    view->load.used_count = TCG_USED_LIST + 1; /* more than the list holds: which is not known */
    tcg_table_empty(&cpu, &view->load);
    assert_int_equal(entries(&view->load), 0);
    assert_int_equal(view->load.used_count, 0);
    munmap(view, sizeof(*view));
}

static void test_jumps_are_by_flag(void **state)
{
    TcgView *view = view_new();
    int code;

    tcg_view_set_jump(view, 0x80000002, 1, &code);
    assert_true(view->fast.jumps[tcg_jump_index(0x80000002)].tag == 0x80000003);
    assert_int_equal(view->jump_count, 1);
    tcg_view_set_jump(view, 0x80000002, 0, &code);
    assert_true(view->fast.jumps[tcg_jump_index(0x80000002)].tag == 0x80000002);
    assert_int_equal(view->jump_count, 1);
    munmap(view, sizeof(*view));
}

static unsigned covering(const TcgView *view, uint64_t va)
{
    unsigned n = 0;

    for (unsigned i = 0; i < TCG_LARGE; i++) {
        n += view->large[i].mask != 0 && ((va ^ view->large[i].base) & view->large[i].mask) == 0;
    }
    return n;
}

static void test_large_regions_stay_apart(void **state)
{
    static const uint64_t bases[] = { UINT64_C(0xff60000000000000), UINT64_C(0xff1c000000000000),
                                      UINT64_C(0xffffffff80000000) };
    TcgView *view = view_new();

    tcg_view_note_large(view, 0x1000, 12);
    tcg_view_note_large(view, 0x1000, 64);
    assert_int_equal(covering(view, 0x1000), 0);
    for (unsigned page = 0; page < 64; page++) {
        for (unsigned b = 0; b < G_N_ELEMENTS(bases); b++) {
            tcg_view_note_large(view, bases[b] + ((uint64_t)page << 21), 21);
        }
    }
    for (unsigned page = 0; page < 64; page++) {
        for (unsigned b = 0; b < G_N_ELEMENTS(bases); b++) {
            assert_true(covering(view, bases[b] + ((uint64_t)page << 21) + 0x1234) > 0);
        }
    }
    assert_int_equal(covering(view, UINT64_C(0xff1bfffffebfa000)), 0);
    assert_int_equal(covering(view, 0x1000), 0);
    munmap(view, sizeof(*view));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fresh_table_never_hits),
        cmocka_unit_test(test_drop_takes_one_page),
        cmocka_unit_test(test_empty_with_and_without_list),
        cmocka_unit_test(test_jumps_are_by_flag),
        cmocka_unit_test(test_large_regions_stay_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
