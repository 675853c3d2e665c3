# Threads, build information, and the session's choice of attention algorithm.

#' Number of threads
#'
#' How many threads the layers may use. Results are the same bits for every
#' number of threads; small calls use one thread whatever the setting.
#'
#' The start value is what OpenMP offers: all processors, or fewer where the
#' environment variables `OMP_NUM_THREADS` or `OMP_THREAD_LIMIT` say so, and at most
#' two where `_R_CHECK_LIMIT_CORES_` is set to anything but `false`, as in checks of
#' packages. In a child of a fork (such as a worker of [parallel::mclapply()]) it is 1
#' and stays 1, because OpenMP's threads do not survive a fork; on Linux also where only
#' the child loads the package. Without OpenMP it is 1.
#'
#' @param n A positive whole number, or `NULL` (the default) to only ask.
#'   A number above `OMP_THREAD_LIMIT`, or above four times the number of processors
#'   (but at least 64), is lowered to that.
#' @param ... Not used; anything here is an error.
#' @returns The number of threads in force: before the change, invisibly, when
#'   `n` is given; now, when it is not.
#' @section Errors: `attn_error_argument` when `n` is not a positive whole number, and
#'   for unknown arguments.
#' @examples
#' attn_threads()
#' before <- attn_threads(1)
#' attn_threads(before)
#' @references OpenMP Application Programming Interface, version 5.0, sections
#'   2.6 and 6: <https://www.openmp.org/specifications/>
#' @seealso [attn_info()]
#' @export
attn_threads <- function(n = NULL, ...) {
  check_no_dots("attn_threads()", ...)
  n <- check_positive_int(n, "attn_threads()", "n", null_ok = TRUE)
  before <- .Call(ffi_threads, n)
  if (is.null(n)) before else invisible(before)
}

#' What this build of attn is and uses
#'
#' @param ... Not used; anything here is an error.
#' @returns A list of class `attn_info`: `version` (of the package), `isa` (the
#'   instruction set in use), `isa_available` (those this processor can run, best
#'   first), `threads` (as [attn_threads()]), `openmp` (`TRUE` when built with
#'   OpenMP), `floatx` (as [config_floatx()]).
#'
#'   The environment variable `ATTN_ISA` (`scalar`, `avx2`, `avx512` or `neon`),
#'   set before the package is loaded, forces an instruction set; one that the
#'   processor cannot run is refused with a warning.
#' @section Errors: `attn_error_argument` for arguments, of which there are none.
#' @examples
#' attn_info()
#' @references Intel 64 and IA-32 Architectures Software Developer's Manual,
#'   volume 1, chapters 14 and 15 (detection of AVX and AVX-512).
#' @export
attn_info <- function(...) {
  check_no_dots("attn_info()", ...)
  native <- .Call(ffi_info)
  structure(
    list(
      version = as.character(utils::packageVersion("attn")),
      isa = native$isa,
      isa_available = native$isa_available,
      threads = native$threads,
      openmp = native$openmp,
      floatx = config_floatx()
    ),
    class = "attn_info"
  )
}

#' @export
format.attn_info <- function(x, ...) {
  # Not imported: as it loads, cli starts a thread and sets an option, and takes longer than
  # all the rest of library(attn).
  bullet <- cli::symbol$bullet
  c(
    sprintf("attn %s", x$version),
    sprintf(
      "%s instruction set: %s (available: %s)", bullet, x$isa,
      paste(x$isa_available, collapse = ", ")
    ),
    sprintf("%s threads: %d (%s OpenMP)", bullet, x$threads, if (x$openmp) "with" else "without"),
    sprintf("%s default dtype: %s", bullet, x$floatx)
  )
}

#' @export
print.attn_info <- function(x, ...) {
  writeLines(format(x))
  invisible(x)
}

session_settings <- new.env(parent = emptyenv())
session_settings$flash_attention <- TRUE

#' Tiled ("flash") attention, on or off for the session
#'
#' Layers and [op_dot_product_attention()] whose `flash_attention` is `NULL`
#' follow this setting. On (the default), attention runs tile by tile in memory
#' that grows with the sequence length; off, it runs row by row by the plain
#' definition, which is slower and there to compare with. Both give the same
#' numbers up to rounding.
#'
#' @param ... Not used; anything here is an error.
#' @returns `config_is_flash_attention_enabled()`: `TRUE` or `FALSE`. The other
#'   two: the setting before, invisibly.
#' @section Errors: `attn_error_argument` for arguments, of which there are none.
#' @examples
#' config_is_flash_attention_enabled()
#' config_disable_flash_attention()
#' config_enable_flash_attention()
#' @references Dao et al. (2022), FlashAttention,
#'   \doi{10.48550/arXiv.2205.14135};
#'   <https://keras.io/api/utils/config_utils/>
#' @name config_flash_attention
NULL

#' @rdname config_flash_attention
#' @export
config_enable_flash_attention <- function(...) {
  check_no_dots("config_enable_flash_attention()", ...)
  set_flash_attention(TRUE)
}

#' @rdname config_flash_attention
#' @export
config_disable_flash_attention <- function(...) {
  check_no_dots("config_disable_flash_attention()", ...)
  set_flash_attention(FALSE)
}

#' @rdname config_flash_attention
#' @export
config_is_flash_attention_enabled <- function(...) {
  check_no_dots("config_is_flash_attention_enabled()", ...)
  session_settings$flash_attention
}

set_flash_attention <- function(on) {
  before <- session_settings$flash_attention
  session_settings$flash_attention <- on
  invisible(before)
}
