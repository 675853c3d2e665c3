/* What the proofs of memory and interrupts need from the system: the bytes that are in use
 * of malloc's, pages given back, and an interrupt (SIGINT) after some milliseconds. */
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#define R_NO_REMAP
#include <R.h>
#include <Rinternals.h>

SEXP heap_in_use(void) {
    struct mallinfo2 heap = mallinfo2();
    return Rf_ScalarReal((double)heap.uordblks + (double)heap.hblkhd);
}

SEXP heap_trim(void) {
    malloc_trim(0);
    return R_NilValue;
}

static void interrupt_self(int signal_number) {
    (void)signal_number;
    kill(getpid(), SIGINT);
}

/* as if the user had pressed Ctrl-C then; 0: not at all */
SEXP interrupt_after(SEXP milliseconds) {
    const long wait = (long)(1000 * Rf_asReal(milliseconds));
    struct itimerval timer = {{0, 0}, {wait / 1000000, wait % 1000000}};
    struct sigaction action = {.sa_handler = interrupt_self, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    return R_NilValue;
}
