/* The threads of a parallel region, which OpenMP's library starts: it ends the process
 * where the system refuses one, so it is only asked for what can be had. */
#ifndef ATTN_CORE_TEAM_H
#define ATTN_CORE_TEAM_H

/* How many threads, of `width`, a region can have now; at least 1, which needs no region.
 * Costs next to nothing while the threads of the last region are still there. */
int attn_team_width(int width);

/* In a region, by each of its `width` threads: that there is such a thread. */
void attn_team_join(int thread, int width);

#endif
