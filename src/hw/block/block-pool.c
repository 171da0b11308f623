/* SPDX-License-Identifier: MIT */
/*
 * The threads that wait for the disk so that nobody else has to. The idea to hold: a worker knows
 * nothing of devices or of the machine lock; it moves a request from one list to another. What a
 * completion means is decided on the main loop, by the source that finds the list not empty.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "hw/block/internal.h"

void block_queue_push(BlockQueue *queue, BlockRequest *request)
{
    request->next = NULL;
    if (queue->tail) {
        queue->tail->next = request;
    } else {
        queue->head = request;
    }
    queue->tail = request;
}

BlockRequest *block_queue_pop(BlockQueue *queue)
{
    BlockRequest *request = queue->head;

    if (request) {
        queue->head = request->next;
        if (!queue->head) {
            queue->tail = NULL;
        }
    }
    return request;
}

static void *worker_main(void *opaque)
{
    BlockDev *blk = opaque;
    BlockRequest *request;

    pthread_setname_np(pthread_self(), "block worker");
    orr_mutex_lock(&blk->lock);
    for (;;) {
        request = block_queue_pop(&blk->todo);
        if (request) {
            orr_mutex_unlock(&blk->lock);
            if (!request->error) {
                request->error = block_perform(blk, request);
            }
            orr_mutex_lock(&blk->lock);
            block_queue_push(&blk->done, request);
            orr_cond_signal(&blk->finished);
            g_source_set_ready_time(blk->completion, 0);
        } else if (blk->ending) {
            break;
        } else {
            blk->idle_count++;
            orr_cond_wait(&blk->wake, &blk->lock);
            blk->idle_count--;
        }
    }
    orr_mutex_unlock(&blk->lock);
    return NULL;
}

/* Runs done of what has been done so far. Machine lock. */
static void run_completions(BlockDev *blk)
{
    BlockQueue done;
    BlockRequest *request;

    orr_mutex_lock(&blk->lock);
    done = blk->done;
    blk->done = (BlockQueue){ NULL, NULL };
    orr_mutex_unlock(&blk->lock);
    while ((request = block_queue_pop(&done))) {
        blk->in_flight--;
        request->done(request->opaque, request->error);
        g_free(request);
    }
}

static gboolean completion_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    g_source_set_ready_time(source, -1); /* before looking: what comes later sets it again */
    run_completions(data);
    return G_SOURCE_CONTINUE;
}

static gboolean completion_callback(gpointer data)
{
    return G_SOURCE_CONTINUE; /* dispatch does it all; it is here to carry `data` */
}

void block_pool_init(BlockDev *blk)
{
    static GSourceFuncs funcs = { .dispatch = completion_dispatch };

    orr_mutex_init(&blk->lock, "block pool");
    orr_cond_init(&blk->wake);
    orr_cond_init(&blk->finished);
    blk->completion = g_source_new(&funcs, sizeof(GSource));
    g_source_set_callback(blk->completion, completion_callback, blk, NULL);
    g_source_set_static_name(blk->completion, "block completion");
    g_source_attach(blk->completion, main_loop_context(blk->cpus));
}

void block_pool_finish(BlockDev *blk)
{
    orr_mutex_lock(&blk->lock);
    blk->ending = true;
    orr_cond_broadcast(&blk->wake);
    orr_mutex_unlock(&blk->lock);
    for (unsigned i = 0; i < blk->worker_count; i++) {
        pthread_join(blk->worker[i], NULL);
    }
    g_source_destroy(blk->completion);
    g_source_unref(blk->completion);
    orr_cond_finish(&blk->finished);
    orr_cond_finish(&blk->wake);
    orr_mutex_finish(&blk->lock);
}

/* Signals are for the main thread and the vCPUs. */
static bool start_worker(BlockDev *blk)
{
    sigset_t all, before;
    int err;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    err = pthread_create(&blk->worker[blk->worker_count], NULL, worker_main, blk);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err == 0) {
        blk->worker_count++;
    }
    return err == 0;
}

void block_pool_submit(BlockDev *blk, BlockRequest *request)
{
    orr_mutex_lock(&blk->lock);
    if (blk->idle_count == 0 && blk->worker_count < BLOCK_MAX_WORKERS && !start_worker(blk) &&
        blk->worker_count == 0) {
        request->error = request->error ? request->error : EAGAIN;
        block_queue_push(&blk->done, request);
        g_source_set_ready_time(blk->completion, 0);
    } else {
        block_queue_push(&blk->todo, request);
        orr_cond_signal(&blk->wake);
    }
    orr_mutex_unlock(&blk->lock);
}

void blockdev_drain(BlockDev *blk)
{
    while (blk->in_flight) {
        orr_mutex_lock(&blk->lock);
        while (!blk->done.head) {
            orr_cond_wait(&blk->finished, &blk->lock);
        }
        orr_mutex_unlock(&blk->lock);
        run_completions(blk);
    }
}
