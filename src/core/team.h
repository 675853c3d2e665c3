/* The threads of a parallel region, which OpenMP's library starts: it ends the process
 * where the system refuses one, so it is only asked for what can be had. */
#ifndef ATTN_CORE_TEAM_H
#define ATTN_CORE_TEAM_H

/* How many threads, of `width`, a region can have now; at least 1, which needs no region.
 * Costs next to nothing while the threads of the last region are still there. */
int attn_team_width(int width);

/* How wide to make a region that `width` threads work in: as wide as the last one, if that is
 * not more than `most`. Threads without work cost little; those that end, because a region
 * does not need them, have to be started again for the next. */
int attn_team_steady(int width, int most);

/* In a region, by each of its `width` threads: that there is such a thread. */
void attn_team_join(int thread, int width);

/* Whether there were ever threads that tell us when they end: from then on, this code has to
 * stay in memory. */
int attn_team_has_worked(void);

#endif
