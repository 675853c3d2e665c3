/* Polls: every long operation polls often, gives the same bits wherever it was left and
 * gone on with, and can be left for good at any of its polls.
 *
 * With slices of no length every look at the clock ends the slice, and so nothing here
 * depends on time. An operation is run in slices of the usual length on one thread; then
 * in such short ones on 1, 2 and 3 threads, with other bits in fresh memory, and must give
 * the same bytes; then its polls, one in each run, leave it by longjmp, as an interrupt
 * does, after which it must give these bytes again. What an interrupted call
 * leaves behind would be a leak to the sanitizer.
 * Usage: test_interrupts [jumps [sets [polls]]]: from how many polls of an operation it is left,
 * with how many of the instruction sets, and only operations with at most so many polls; 5 and
 * all. */
#include <limits.h>
#include <setjmp.h>
#include <string.h>

#include "interrupted_ops.h"
#include "kernels.h"

/* polls of an operation that are jumped from: all, or so many of them or some more */
static int most_jumps = 5;

struct interruption {
    jmp_buf out;
    int polls, jump_at; /* the poll to jump from, from 1; 0: none */
};

static void poll(void* data) {
    struct interruption* interruption = data;
    if (++interruption->polls == interruption->jump_at) {
        longjmp(interruption->out, 1);
    }
}

static struct attn_workspace scratch, inputs;
static struct trial trial;

static void begin_trial(int threads, struct interruption* interruption, enum attn_dtype dtype) {
    interruption->polls = 0;
    memset(&trial, 0, sizeof trial);
    trial.context = (struct attn_context){
        .workspace = &scratch, .threads = threads, .poll = poll, .poll_data = interruption};
    trial.inputs = &inputs;
    trial.dtype = dtype;
}

/* what the owner of a call does after it, however it ended */
static void end_trial(void) {
    attn_workspace_reset(&scratch, 0);
    attn_workspace_reset(&inputs, 0);
    trial_give_up(&trial);
}

/* Runs the operation; returns whether it came to its end. */
static int attempt(const struct interrupted_op* op, int threads, enum attn_dtype dtype,
                   struct interruption* interruption) {
    begin_trial(threads, interruption, dtype);
    if (setjmp(interruption->out) != 0) {
        end_trial();
        return 0;
    }
    op->run(&trial);
    return 1;
}

static int same_result(const unsigned char* expected, size_t size) {
    return trial.size == size && memcmp(trial.result, expected, size) == 0;
}

static void jump_from_polls(const struct interrupted_op* op, int threads, enum attn_dtype dtype,
                            int polls, const unsigned char* expected, size_t size) {
    static struct interruption interruption;
    static int k, step; /* a longjmp leaves static ones alone */
    step = polls <= most_jumps ? 1 : polls / most_jumps;
    int jumped = 0, right = 1, wanted = 0;
    for (k = 1; k <= polls; k += step) {
        wanted++;
        interruption.jump_at = k;
        attn_parallel_set_slice(-1);
        jumped += !attempt(op, threads, dtype, &interruption);
        end_trial();
        /* the next call, which is not interrupted */
        interruption.jump_at = 0;
        attn_parallel_set_slice(0.025);
        if (k == 1) {
            right = right && attempt(op, threads, dtype, &interruption) &&
                    same_result(expected, size);
            end_trial();
        }
    }
    CHECK(jumped == wanted, "%s: left at %d of %d polls", op->name, jumped, wanted);
    CHECK(right, "%s: another result after an interrupt", op->name);
}

static void check_op(const struct interrupted_op* op, enum attn_dtype dtype) {
    static struct interruption interruption;
    interruption.jump_at = 0;
    attn_parallel_set_slice(0.025);
    CHECK(attempt(op, 1, dtype, &interruption), "%s is interrupted by nobody", op->name);
    const size_t size = trial.size;
    unsigned char* expected = malloc(size);
    memcpy(expected, trial.result, size);
    end_trial();
    for (int threads = 1; threads <= 3; threads++) {
        attn_parallel_set_slice(-1);
        interruption.jump_at = 0;
        CHECK(attempt(op, threads, dtype, &interruption), "%s is interrupted", op->name);
        CHECK(same_result(expected, size), "%s (%s, %s, %d threads): other bits in slices",
              op->name, attn_kernels()->isa, name_of(dtype), threads);
        end_trial();
        /* threads work on items side by side between two polls */
        const int polls = interruption.polls;
        CHECK(polls >= op->least_polls / threads, "%s (%s, %s, %d threads): %d polls", op->name,
              attn_kernels()->isa, name_of(dtype), threads, polls);
        if (threads == (dtype == ATTN_FLOAT32 ? 1 : 2)) {
            jump_from_polls(op, threads, dtype, polls, expected, size);
        }
    }
    free(expected);
}

/* ---- what the operations are made of ---- */

/* Items of many parts of which each counts itself; some look, some do not. */
enum { ITEMS = 7, PARTS = 11 };
static int part_runs[ITEMS][PARTS], slot_of[ITEMS], moves[ITEMS];

static int counted_item(void* work, ptrdiff_t item, int slot, struct attn_progress* progress) {
    (void)work;
    if (progress->at == 0) {
        slot_of[item] = slot;
    }
    moves[item] += slot_of[item] != slot; /* several threads are here: CHECK counts for one */
    do {
        part_runs[item][progress->at++]++;
        if (progress->at < PARTS && attn_progress_must_pause(progress)) {
            return 0;
        }
    } while (progress->at < PARTS);
    return 1;
}

static void count_poll(void* polls) { ++*(int*)polls; }

static void parts_run_once(int width) {
    int polls = 0, once = 1;
    const struct attn_context context = {
        .threads = width, .poll = count_poll, .poll_data = &polls};
    memset(part_runs, 0, sizeof part_runs);
    memset(moves, 0, sizeof moves);
    attn_parallel_set_slice(-1);
    attn_parallel_run_long(&context, width, ITEMS, counted_item, NULL);
    for (int item = 0; item < ITEMS; item++) {
        CHECK(moves[item] == 0, "an item has moved to another slot");
        for (int part = 0; part < PARTS; part++) {
            once = once && part_runs[item][part] == 1;
        }
    }
    CHECK(once, "a part was left out or done twice by %d threads", width);
    CHECK(polls >= ITEMS * PARTS / width, "%d polls for %d parts on %d threads", polls,
          ITEMS * PARTS, width);
}

/* A slice goes on over several runs: short ones are polled after as well. */
static void slices_outlast_runs(void) {
    static struct interruption interruption;
    const struct attn_context context = {
        .threads = 1, .poll = poll, .poll_data = &interruption};
    attn_parallel_set_slice(0);
    for (int run = 0; run < 1000; run++) {
        attn_parallel_run_long(&context, 1, 2, counted_item, memset(part_runs, 0, sizeof part_runs));
    }
    CHECK(interruption.polls > 0, "1000 runs were never polled");
}

static void copies_are_polled(void) {
    enum { BYTES = 9 << 20 };
    int polls = 0, same = 1;
    const struct attn_context context = {.threads = 1, .poll = count_poll, .poll_data = &polls};
    unsigned char *from = malloc(BYTES), *to = malloc(BYTES);
    for (int i = 0; i < BYTES; i++) {
        from[i] = (unsigned char)(i % 251);
    }
    attn_parallel_set_slice(-1);
    attn_parallel_copy(&context, to, from, BYTES);
    CHECK(polls == 2 && memcmp(from, to, BYTES) == 0, "a copy with %d polls", polls);
    attn_parallel_zero(&context, to, BYTES);
    for (int i = 0; i < BYTES; i++) {
        same = same && to[i] == 0;
    }
    CHECK(polls == 4 && same, "zeros with %d polls", polls);
    free(from);
    free(to);
}

int main(int argc, char** argv) {
    most_jumps = argc > 1 ? atoi(argv[1]) : most_jumps;
    const int sets = argc > 2 ? atoi(argv[2]) : 99;
    const int most_polls = argc > 3 ? atoi(argv[3]) : INT_MAX;
    for (int width = 1; width <= 4; width++) {
        parts_run_once(width);
    }
    slices_outlast_runs();
    copies_are_polled();
    for (int set = 0; set < sets && attn_kernels_available(set) != NULL; set++) {
        CHECK(attn_kernels_choose(attn_kernels_available(set)), "an available set is refused");
        for (const struct interrupted_op* op = interrupted_ops; op->name != NULL; op++) {
            if (op->least_polls <= most_polls) {
                check_op(op, ATTN_FLOAT32);
                check_op(op, ATTN_FLOAT64);
            }
        }
    }
    return checks_end();
}
