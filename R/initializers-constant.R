# Initializers without randomness.

#' Initializers that give one value
#'
#' All zeros, all ones, or a value of your choice.
#'
#' @section Calling an initializer:
#' An initializer is a function:
#' `initializer(shape, dtype = NULL, input_axes = NULL, output_axes = NULL)`.
#'
#' * `shape`: the dims of the weight, a vector of whole numbers; `integer(0)`
#'   for a single number.
#' * `dtype`: `"float32"`, `"float64"` or `NULL` for [config_floatx()]. With
#'   `"float32"` the numbers are rounded to that precision.
#' * `input_axes`, `output_axes`: which axes of a kernel its inputs and outputs
#'   run along, counted from 0 as Keras counts them. Only initializers that
#'   scale with the size of the layer use them.
#'
#' It returns an array of dim `shape` (a plain number for `integer(0)`).
#' A layer takes an initializer as an object, by its name in Keras (such as
#' `"glorot_uniform"`), as a function of `shape` and `dtype`, or as an array of
#' the right shape.
#'
#' @param value A number, or an array (or vector) that is recycled by the rules
#'   of broadcasting: its dims are compared with the weight's from the last one
#'   backwards, and each must be equal or 1.
#' @param ... Not used; anything here is an error.
#' @return An initializer: a function of class `attn_initializer`.
#' @section Errors: `attn_error_argument` when an argument is not of the kind
#'   described; `attn_error_shape` when `value` cannot be broadcast to the shape
#'   asked for.
#' @references <https://keras.io/api/layers/initializers/>
#' @examples
#' initializer_zeros()(c(2, 3))
#' initializer_constant(0.5)(4)
#' initializer_constant(c(1, 2, 3))(c(2, 3))
#' @export
initializer_zeros <- function(...) {
  check_no_dots("initializer_zeros()", ...)
  new_initializer("Zeros", list(), "initializer_zeros()", function(shape, ...) {
    same_numbers(0, prod(shape))
  })
}

#' @rdname initializer_zeros
#' @export
initializer_ones <- function(...) {
  check_no_dots("initializer_ones()", ...)
  new_initializer("Ones", list(), "initializer_ones()", function(shape, ...) {
    same_numbers(1, prod(shape))
  })
}

#' @rdname initializer_zeros
#' @export
initializer_constant <- function(value = 0, ...) {
  owner <- "initializer_constant()"
  check_no_dots(owner, ...)
  plain <- !is.object(value) && is.numeric(value)
  if (!plain || !length(value) || !is.finite(min(value)) || !is.finite(max(value))) {
    abort_argument(owner, "value", "a finite number or an array of them", value)
  }
  force(value)
  new_initializer("Constant", list(value = constant_to_config(value)), owner,
    function(shape, ...) broadcast_constant(value, shape, owner)
  )
}

# rep(), which can be left on the way.
same_numbers <- function(value, times) .Call(ffi_same_numbers, as.double(value), as.double(times))

broadcast_constant <- function(value, shape, owner) {
  if (length(value) == 1L) {
    return(same_numbers(value, prod(shape)))
  }
  given <- dim_or_length(value)
  padded <- c(rep(1L, max(0L, length(shape) - length(given))), given)
  if (length(padded) != length(shape) || !all(padded == shape | padded == 1L)) {
    abort_shape(owner, "value",
      paste("an array that can be broadcast to", format_shape(shape)), format_shape(given)
    )
  }
  if (all(padded == shape)) {
    return(as.double(value))
  }
  dim(value) <- padded
  positions <- Map(function(size, wanted) rep_len(seq_len(size), wanted), padded, shape)
  as.double(do.call(`[`, c(list(value), positions, list(drop = FALSE))))
}

dim_or_length <- function(x) {
  if (is.null(dim(x))) length(x) else dim(x)
}

# Keras stores an array inside a config as nested lists under this class name.
constant_to_config <- function(value) {
  if (length(value) == 1L && is.null(dim(value))) {
    return(value)
  }
  list(
    class_name = "__numpy__",
    config = list(value = array(value, dim = dim_or_length(value)), dtype = "float64")
  )
}

constant_from_config <- function(value) {
  class_name <- if (!is.object(value) && is.list(value)) value[["class_name"]]
  if (is_string(class_name) && class_name %in% c("__numpy__", "__tensor__")) {
    config <- value[["config"]]
    value <- if (is.list(config)) nested_list_to_array(config[["value"]])
  }
  initializer_constant(value)
}

# Nested lists as JSON gives them (outermost = first axis) -> an array.
nested_list_to_array <- function(x) {
  if (is.object(x) || !is.list(x)) {
    return(x)
  }
  shape <- integer()
  level <- x
  while (!is.object(level) && is.list(level) && length(level)) {
    shape <- c(shape, length(level))
    level <- level[[1L]]
  }
  if (length(level) != 1L) {
    shape <- c(shape, length(level))
  }
  values <- unlist(x)
  if (!is.numeric(values) || length(values) != prod(shape)) {
    return(x)
  }
  array(from_row_major(values, shape), dim = shape)
}

#' Initializer that gives the identity matrix
#'
#' For weights with two axes: `gain` on the main diagonal and 0 elsewhere.
#' The matrix need not be square.
#'
#' @inheritSection initializer_zeros Calling an initializer
#' @param gain A number by which the identity matrix is multiplied.
#' @param ... Not used; anything here is an error.
#' @return An initializer: a function of class `attn_initializer`.
#' @section Errors: `attn_error_argument` when `gain` is not a finite number;
#'   `attn_error_shape` when it is called for a shape that has not two dims.
#' @references <https://keras.io/api/layers/initializers/#identity-class>
#' @examples
#' initializer_identity()(c(3, 3))
#' @export
initializer_identity <- function(gain = 1, ...) {
  owner <- "initializer_identity()"
  check_no_dots(owner, ...)
  gain <- check_number(gain, owner, "gain")
  # Keras leaves the gain out of the config. It is kept here when it matters, so
  # that an object made from the config is the same object.
  config <- if (gain == 1) list() else list(gain = gain)
  new_initializer("Identity", config, owner, function(shape, ...) {
    if (length(shape) != 2L) {
      abort_shape(owner, "shape", "the shape of a matrix (two dims)", format_shape(shape))
    }
    values <- same_numbers(0, prod(shape))
    diagonal <- seq.int(1, by = shape[1L] + 1, length.out = min(shape))
    values[diagonal] <- gain
    values
  })
}

#' Initializer for short-time Fourier transforms
#'
#' The real or the imaginary part of the Fourier matrix, with a window over time:
#' element `(t, 1, k)` is `w[t]` times the cosine (or sine) of
#' `-2 * pi * (t - 1) * (k - 1) / (2 * (F - 1))`, for shape `(T, 1, F)`
#' with `T` points in time and `F` frequencies.
#'
#' @inheritSection initializer_zeros Calling an initializer
#' @param side `"real"` or `"imag"`.
#' @param window One of `"hann"`, `"hamming"`, `"blackman"`, `"blackmanharris"`,
#'   `"nuttall"`, `"bartlett"`, `"cosine"`, `"boxcar"`; or the window itself, a
#'   vector of `T` numbers; or `NULL` for no window.
#' @param scaling What the window is divided by: `"density"`, the square root of
#'   the sum of its squares; `"spectrum"`, the sum of its absolute values; `NULL`,
#'   nothing.
#' @param periodic `TRUE` for the periodic form of a named window, `FALSE` for
#'   the symmetric one.
#' @param ... Not used; anything here is an error.
#' @return An initializer: a function of class `attn_initializer`.
#' @section Errors: `attn_error_argument` when an argument is not of the kind
#'   described; `attn_error_shape` when the shape asked for is not `(T, 1, F)`
#'   with `F` of at least 2, or does not fit the window.
#' @references <https://keras.io/api/layers/initializers/>. For the windows:
#'   F. J. Harris (1978), On the use of windows for harmonic analysis with the
#'   discrete Fourier transform, Proceedings of the IEEE 66(1).
#' @examples
#' initializer_stft("imag")(c(8, 1, 3))
#' @export
initializer_stft <- function(side = "real", window = "hann", scaling = "density",
                             periodic = FALSE, ...) {
  owner <- "initializer_stft()"
  check_no_dots(owner, ...)
  side <- check_string(side, owner, "side", choices = c("real", "imag"))
  scaling <- check_string(scaling, owner, "scaling", c("density", "spectrum"), null_ok = TRUE)
  periodic <- check_flag(periodic, owner, "periodic")
  if (!is.null(window) && !is_finite_vector(window)) {
    window <- check_string(window, owner, "window", choices = names(window_functions))
  }
  config <- list(side = side, window = window, periodic = periodic, scaling = scaling)
  new_initializer("STFT", config, owner, function(shape, ...) {
    if (length(shape) != 3L || shape[2L] != 1L || shape[3L] < 2L) {
      abort_shape(owner, "shape", "(T, 1, F) with F of at least 2", format_shape(shape))
    }
    weight <- stft_window(window, scaling, periodic, shape[1L], owner)
    turns <- outer(seq_len(shape[1L]) - 1, seq_len(shape[3L]) - 1) / (2 * (shape[3L] - 1))
    wave <- if (side == "real") cos(-2 * pi * turns) else sin(-2 * pi * turns)
    as.vector(wave * weight)
  })
}

is_finite_vector <- function(x) {
  !is.object(x) && is.numeric(x) && length(dim(x)) < 2L && length(x) > 0L &&
    is.finite(min(x)) && is.finite(max(x))
}

# The scaled window, a number for each of `n` points in time.
stft_window <- function(window, scaling, periodic, n, owner) {
  if (is.null(window)) {
    return(rep(1, n))
  }
  values <- if (is.character(window)) named_window(window, n, periodic) else as.vector(window)
  if (length(values) != n) {
    abort_shape(owner, "window",
      sprintf("a vector of length %d, the first dim of the shape", n), length(values)
    )
  }
  if (is.null(scaling)) {
    return(values)
  }
  total <- if (scaling == "density") sqrt(sum(values^2)) else sum(abs(values))
  if (n > 0L && total == 0) {
    abort_argument(owner, "window",
      sprintf("a window that is not zero at all %d points in time", n), window
    )
  }
  values / total
}

named_window <- function(name, n, periodic) {
  if (n <= 1L) {
    return(rep(1, n))
  }
  window_functions[[name]](n + periodic)[seq_len(n)]
}

# Windows that are sums of cosines, given by the weights of their terms.
cosine_sum_window <- function(weights) {
  force(weights)
  function(n) {
    angle <- seq(-pi, pi, length.out = n)
    terms <- vapply(seq_along(weights) - 1, function(k) cos(k * angle), numeric(n))
    as.vector(matrix(terms, nrow = n) %*% weights)
  }
}

window_functions <- list(
  hann = cosine_sum_window(c(0.5, 0.5)),
  hamming = cosine_sum_window(c(0.54, 0.46)),
  blackman = cosine_sum_window(c(0.42, 0.5, 0.08)),
  blackmanharris = cosine_sum_window(c(0.35875, 0.48829, 0.14128, 0.01168)),
  nuttall = cosine_sum_window(c(0.3635819, 0.4891775, 0.1365995, 0.0106411)),
  bartlett = function(n) 1 - abs(2 * (seq_len(n) - 1) / (n - 1) - 1),
  cosine = function(n) sin(pi * (seq_len(n) - 0.5) / n),
  boxcar = function(n) rep(1, n)
)
