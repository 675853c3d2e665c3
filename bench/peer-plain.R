# Plain R as a peer: what a user without a package would write (plain.R). Its
# matrix products are those of the BLAS that this R was started with.

folder <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1L]))
source(file.path(folder, "peer.R"))
source(file.path(folder, "plain.R"))

# Beyond this many operations a call takes too long to wait for.
limit <- as.numeric(Sys.getenv("BENCH_LIMIT_GFLOP", "2"))

answer <- function(case) {
  if (case$kind == "hello") {
    n <- 300L
    x <- random_array(n, n)
    seconds <- fastest_call(function() x %*% x, 0.1)
    speed <- 2e-9 * n^3 / seconds
    return(c("0", sprintf("R %s, dgemm of %d x %d at %.1f GFLOP/s", getRversion(), n, n, speed)))
  }
  if (case$variant == "dropout") stop("not written")
  x <- random_array(case$B, case$T, case$D)
  if (case$kind %in% c("additive", "concat")) {
    if (case$B * case$T^2 * case$D > 1e8) stop("too slow")
    weights <- random_array(case$D)
    return(fastest_call(function() plain_additive(x, weights), case$seconds))
  }
  if (4e-9 * case$B * case$T * case$D * (2 * case$D + case$T) > limit) stop("too slow")
  weights <- random_weights(case)
  fastest_call(function() plain_layer(x, weights, case), case$seconds)
}

serve(answer)
