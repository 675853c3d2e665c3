#include "team.h"

#if !defined(_OPENMP) || defined(_WIN32)

int attn_team_width(int width) {
#ifdef _OPENMP
    return width;
#else
    (void)width;
    return 1;
#endif
}

int attn_team_steady(int width, int most) {
    (void)most;
    return width;
}

int attn_team_has_worked(void) { return 0; }

void attn_team_join(int thread, int width) {
    (void)thread;
    (void)width;
}

#else

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* ---- the threads that are there ---- */

/* libgomp keeps the threads of a region for the next one, but lets those end that a
 * narrower one does not need. The region may be another package's: so each thread that took
 * part in one of ours is counted until it ends, which is when the system destroys its value
 * of this key. That takes a moment: of our own regions we know at once. */
static pthread_key_t worker_key;
static int workers = 0;    /* beside the thread that calls */
static int last_team = 1; /* width of our last region */
static int has_worked = 0; /* any of our regions was wider than one thread */

static void worker_ends(void* value) {
    (void)value;
#pragma omp atomic
    workers--;
}

/* whether there is the key, which is made by the first call */
static int can_count(void) {
    static int made = -1;
    if (made < 0) {
        made = pthread_key_create(&worker_key, worker_ends) == 0;
    }
    return made;
}

void attn_team_join(int thread, int width) {
    if (thread == 0) {
        last_team = width;
        has_worked = has_worked || width > 1;
    } else if (pthread_getspecific(worker_key) == NULL &&
               pthread_setspecific(worker_key, &workers) == 0) {
#pragma omp atomic
        workers++;
    }
}

/* even when a later region was narrow: threads may be ending yet */
int attn_team_has_worked(void) { return has_worked; }

/* threads that a region can have without a new one */
static int count_there(void) {
    int count;
#pragma omp atomic read
    count = workers;
    return 1 + count < last_team ? 1 + count : last_team;
}

/* ---- more of them ---- */

/* The size of stacks that the environment asks for; 0: it does not. libgomp reads the
 * same: a number of KiB, or one with a unit. */
static size_t wanted_stack(void) {
    static const char units[] = "BKMGbkmg";
    const char* names[] = {"OMP_STACKSIZE", "GOMP_STACKSIZE"};
    for (int i = 0; i < 2; i++) {
        const char* text = getenv(names[i]);
        char* end;
        const unsigned long number = text == NULL ? 0 : strtoul(text, &end, 10);
        if (number == 0) {
            continue;
        }
        end += strspn(end, " \t");
        const char* unit = *end == '\0' ? units + 1 : strchr(units, *end);
        if (unit != NULL) {
            const int shift = 10 * (int)((unit - units) % 4);
            return number > SIZE_MAX >> shift ? 0 : (size_t)number << shift;
        }
    }
    return 0;
}

static void* wait_for_gate(void* gate) {
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* How many of `wanted` more threads the system lets run at once: it is tried. */
static int try_threads(int wanted) {
    pthread_attr_t attributes;
    pthread_t* tried = malloc((size_t)wanted * sizeof *tried);
    if (tried == NULL || pthread_attr_init(&attributes) != 0) {
        free(tried);
        return 0;
    }
    const size_t stack = wanted_stack();
    if (stack > 0) { /* one that is too small is refused, and libgomp's threads have another */
        pthread_attr_setstacksize(&attributes, stack);
    }
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    int started = 0;
    pthread_mutex_lock(&gate);
    while (started < wanted &&
           pthread_create(&tried[started], &attributes, wait_for_gate, &gate) == 0) {
        started++;
    }
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < started; i++) {
        pthread_join(tried[i], NULL);
    }
    pthread_attr_destroy(&attributes);
    free(tried);
    return started;
}

/* ---- what is known from the last time ---- */

struct limits {
    rlim_t memory, data, processes; /* RLIM_INFINITY where the system has no such limit */
};

static struct limits read_limits(void) {
    struct limits limits = {RLIM_INFINITY, RLIM_INFINITY, RLIM_INFINITY};
    struct rlimit limit;
#ifdef RLIMIT_AS
    limits.memory = getrlimit(RLIMIT_AS, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
#endif
#ifdef RLIMIT_DATA
    limits.data = getrlimit(RLIMIT_DATA, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
#endif
#ifdef RLIMIT_NPROC
    limits.processes = getrlimit(RLIMIT_NPROC, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
#endif
    return limits;
}

static int same_limits(const struct limits* a, const struct limits* b) {
    return a->memory == b->memory && a->data == b->data && a->processes == b->processes;
}

static struct {
    struct limits limits;
    double at; /* seconds */
    int width; /* that could be had then */
    int refused;
} last = {{0, 0, 0}, 0, 1, 0};

/* A refusal is believed this long, where limits have not changed: it only costs speed. */
static const double REFUSED_SECONDS = 1;

/* More than are wanted: a thread that has ended counts for a moment longer where the system
 * limits their number. */
enum { SPARE = 4 };

static double seconds(void) {
    struct timespec now;
    if (timespec_get(&now, TIME_UTC) == 0) {
        return (double)NAN; /* nothing is less, or more, than this long ago */
    }
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The width that can be had where `there` threads are; at most half of what the system gave where
 * it gave too few: the rest of the process needs threads and memory as well. */
static int try_width(int width, int there) {
    const struct limits limits = read_limits();
    const double now = seconds(), age = now - last.at;
    const int is_known = last.refused && age >= 0 && age < REFUSED_SECONDS &&
                         same_limits(&limits, &last.limits);
    if (is_known && width > last.width) {
        width = last.width;
    }
    if (width <= there) {
        return width > 1 ? width : 1;
    }
    const int wanted = width - there, started = try_threads(wanted + SPARE);
    const int refused = started < wanted + SPARE;
    if (refused && started / 2 < wanted) {
        width = there + started / 2;
    }
    if (refused) { /* close to a limit: those that were tried must be gone */
        const struct timespec moment = {0, 2000000};
        nanosleep(&moment, NULL);
    }
    if (refused || !is_known) { /* that fewer were to be had does not end a refusal */
        last.limits = limits;
        last.at = now;
        last.width = width;
        last.refused = refused;
    }
    return width;
}

/* libgomp's notes about a team come from malloc() */
static int has_room(int width) {
    void* room = malloc(((size_t)width + 16) * 1024);
    free(room);
    return room != NULL;
}

int attn_team_steady(int width, int most) {
    const int there = count_there(), steady = there < most ? there : most;
    return steady > width ? steady : width;
}

int attn_team_width(int width) {
    if (width <= 1 || !can_count()) {
        return 1;
    }
    const int there = count_there();
    if (width > there) {
        width = try_width(width, there);
    }
    return width > 1 && has_room(width) ? width : 1;
}

#endif
