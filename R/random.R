# Random numbers. Everything random in the package is a pure function of a key
# of two 32-bit words (Philox4x32-10; Salmon et al. 2011). A key comes from R's
# generator, so that set.seed() governs it, or from an integer seed.

# The second word of every key made from a seed: any constant will do, this one
# has no pattern (it is the fractional part of the golden ratio, times 2^32).
seed_key_word <- 2654435769

# Two whole numbers in [0, 2^32). Without a seed, R's generator moves on by two
# numbers; with one, the key depends on the seed alone and R's generator is
# neither read nor changed. Negative seeds wrap around, so no two seeds share a key.
draw_key <- function(seed = NULL) {
  if (is.null(seed)) {
    return(floor(stats::runif(2L) * 2^32))
  }
  c(as.double(seed) %% 2^32, seed_key_word)
}

# Where R's generator is; NULL before its first number.
random_state <- function() globalenv()[[".Random.seed"]]

restore_random_state <- function(state) {
  session <- globalenv()
  if (!is.null(state) && !identical(random_state(), state)) {
    session$.Random.seed <- state
  }
}

# What leaves numbers as they are: a shift and a scale.
unmoved <- c(0, 1)

# n numbers strictly between 0 and 1, or their normal quantiles. Numbers are moved in the
# same pass, `inner` before quantiles are taken and `outer` after: a pass of R's own over
# many numbers could not be left.
philox_numbers <- function(n, key, inner, is_normal, outer) {
  .Call(ffi_random_numbers, as.double(n), key, inner, is_normal, outer)
}

philox_uniform <- function(n, key, inner = unmoved, outer = unmoved) {
  philox_numbers(n, key, inner, FALSE, outer)
}

philox_normal <- function(n, key, outer = unmoved) {
  philox_numbers(n, key, unmoved, TRUE, outer)
}

# Standard normal numbers conditional on lying within two standard deviations.
# Drawing by the inverse of the distribution function gives the same numbers of
# the stream to the same elements, which drawing again for rejects would not.
philox_truncated_normal <- function(n, key, outer = unmoved) {
  below <- stats::pnorm(-2)
  philox_numbers(n, key, c(below, 1 - 2 * below), TRUE, outer)
}

#' Make everything random reproducible
#'
#' Sets the seed of R's random number generator. All randomness in the package
#' starts from there: an initializer without a seed draws its numbers from a key
#' that R's generator supplies, and a layer without a seed takes its dropout key
#' from it when the layer is made. So the same seed followed by the same calls
#' gives the same weights and the same dropout, whatever the number of threads.
#' [base::set.seed()] has the same effect; this function exists because Keras
#' has one of that name.
#'
#' Objects that were given an integer `seed` of their own do not depend on it.
#'
#' @param seed A whole number.
#' @param ... Not used; anything here is an error.
#' @return `seed` as an integer, invisibly.
#' @section Errors: An error of class `attn_error_argument` when `seed` is not a
#'   single whole number in the range of R's integers.
#' @references <https://keras.io/api/utils/python_utils/#set_random_seed-function>
#' @examples
#' set_random_seed(1)
#' a <- initializer_random_normal()(c(2, 3))
#' set_random_seed(1)
#' b <- initializer_random_normal()(c(2, 3))
#' identical(a, b)
#' @export
set_random_seed <- function(seed, ...) {
  check_no_dots("set_random_seed()", ...)
  if (missing(seed) || !is_whole_number(seed)) {
    abort_argument("set_random_seed()", "seed", "a whole number", seed)
  }
  seed <- as.integer(seed)
  set.seed(seed)
  invisible(seed)
}
