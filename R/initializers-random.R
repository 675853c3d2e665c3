# Initializers that draw random numbers.

# `draw(n, key)` gives n numbers from a key; the key is drawn per call.
new_random_initializer <- function(class_name, config, owner, draw) {
  seed <- config[["seed"]]
  force(draw)
  new_initializer(class_name, config, owner, function(shape, ...) {
    draw(prod(shape), draw_key(seed))
  })
}

#' Initializers with random numbers of a fixed spread
#'
#' Normal numbers, normal numbers cut off at two standard deviations, or uniform
#' numbers, whatever the shape of the weight.
#'
#' @section Seeds:
#' Without a `seed`, each call draws a key from R's random number generator, so
#' [base::set.seed()] (or [set_random_seed()]) makes the numbers reproducible and
#' two calls give different ones. With a whole number as `seed`, equal shapes get
#' equal numbers every time, and R's generator is left alone; note that a layer
#' then gives equal numbers to those of its weights that have equal shapes, as
#' Keras does. The numbers are those of the generator Philox4x32-10, not the ones
#' that Keras draws with the same seed.
#'
#' @inheritSection initializer_zeros Calling an initializer
#' @param mean The mean of the normal distribution.
#' @param stddev Its standard deviation (before it is cut off), at least 0.
#' @param minval,maxval The range of the uniform distribution.
#' @param seed A whole number, or `NULL`.
#' @param ... Not used; anything here is an error.
#' @return An initializer: a function of class `attn_initializer`.
#' @section Errors: `attn_error_argument` when an argument is not of the kind
#'   described, or `maxval` is less than `minval`.
#' @references <https://keras.io/api/layers/initializers/>. For the generator:
#'   J. K. Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3,
#'   SC '11, \doi{10.1145/2063384.2063405}.
#' @examples
#' initializer_random_normal(stddev = 1, seed = 1)(c(2, 3))
#' range(initializer_truncated_normal()(10000))
#' range(initializer_random_uniform(0, 10)(10000))
#' @export
initializer_random_normal <- function(mean = 0, stddev = 0.05, seed = NULL, ...) {
  owner <- "initializer_random_normal()"
  check_no_dots(owner, ...)
  mean <- check_number(mean, owner, "mean")
  stddev <- check_number(stddev, owner, "stddev", min = 0)
  seed <- check_seed(seed, owner)
  new_random_initializer(
    "RandomNormal", list(seed = seed, mean = mean, stddev = stddev), owner,
    function(n, key) philox_normal(n, key, c(mean, stddev))
  )
}

#' @rdname initializer_random_normal
#' @export
initializer_truncated_normal <- function(mean = 0, stddev = 0.05, seed = NULL, ...) {
  owner <- "initializer_truncated_normal()"
  check_no_dots(owner, ...)
  mean <- check_number(mean, owner, "mean")
  stddev <- check_number(stddev, owner, "stddev", min = 0)
  seed <- check_seed(seed, owner)
  new_random_initializer(
    "TruncatedNormal", list(seed = seed, mean = mean, stddev = stddev), owner,
    function(n, key) philox_truncated_normal(n, key, c(mean, stddev))
  )
}

#' @rdname initializer_random_normal
#' @export
initializer_random_uniform <- function(minval = -0.05, maxval = 0.05, seed = NULL, ...) {
  owner <- "initializer_random_uniform()"
  check_no_dots(owner, ...)
  minval <- check_number(minval, owner, "minval")
  maxval <- check_number(maxval, owner, "maxval")
  check_order(minval, maxval, owner, "minval", "maxval")
  seed <- check_seed(seed, owner)
  new_random_initializer(
    "RandomUniform", list(seed = seed, minval = minval, maxval = maxval), owner,
    function(n, key) philox_uniform(n, key, c(minval, maxval - minval))
  )
}

# The standard deviation of a standard normal number cut off at two standard
# deviations: dividing by it gives the variance that was asked for.
truncated_normal_sd <- 0.87962566103423978

# n numbers with variance `variance` around 0.
draw_scaled <- function(n, key, variance, distribution) {
  switch(distribution,
    uniform = philox_uniform(n, key, c(-1, 2), c(0, sqrt(3 * variance))),
    truncated_normal =
      philox_truncated_normal(n, key, c(0, sqrt(variance) / truncated_normal_sd)),
    untruncated_normal = philox_normal(n, key, c(0, sqrt(variance)))
  )
}

# The generator of every initializer that scales with the fans. Axes that came
# with the config hold unless the call brings its own.
variance_scaling_generator <- function(scale, mode, distribution, seed,
                                       input_axes, output_axes, owner) {
  force(scale)
  force(mode)
  force(distribution)
  force(seed)
  function(shape, call_input_axes, call_output_axes) {
    if (is.null(call_input_axes) && is.null(call_output_axes)) {
      rank <- length(shape)
      call_input_axes <- check_kernel_axes(input_axes, rank, owner, "input_axes")
      call_output_axes <- check_kernel_axes(output_axes, rank, owner, "output_axes")
    }
    fans <- kernel_fans(shape, call_input_axes, call_output_axes)
    fan <- switch(mode,
      fan_in = fans[["fan_in"]],
      fan_out = fans[["fan_out"]],
      fan_avg = mean(fans)
    )
    draw_scaled(prod(shape), draw_key(seed), scale / max(1, fan), distribution)
  }
}

# The six named settings of variance scaling.
scaled_settings <- list(
  GlorotUniform = list(scale = 1, mode = "fan_avg", distribution = "uniform"),
  GlorotNormal = list(scale = 1, mode = "fan_avg", distribution = "truncated_normal"),
  HeUniform = list(scale = 2, mode = "fan_in", distribution = "uniform"),
  HeNormal = list(scale = 2, mode = "fan_in", distribution = "truncated_normal"),
  LecunUniform = list(scale = 1, mode = "fan_in", distribution = "uniform"),
  LecunNormal = list(scale = 1, mode = "fan_in", distribution = "truncated_normal")
)

new_scaled_initializer <- function(class_name, seed, input_axes = NULL, output_axes = NULL) {
  owner <- sprintf("initializer_%s()", lower_ascii(gsub("([a-z])([A-Z])", "\\1_\\2", class_name)))
  seed <- check_seed(seed, owner)
  settings <- scaled_settings[[class_name]]
  new_initializer(
    class_name, list(seed = seed, input_axes = input_axes, output_axes = output_axes), owner,
    variance_scaling_generator(
      settings$scale, settings$mode, settings$distribution, seed,
      input_axes, output_axes, owner
    )
  )
}

#' Initializers that scale with the size of the layer: Glorot, He and LeCun
#'
#' Random numbers around 0 whose variance keeps signals at about the same size
#' from layer to layer. With `fan_in` inputs and `fan_out` outputs of a weight,
#' the variance is
#'
#' * `2 / (fan_in + fan_out)` for Glorot (also called Xavier),
#' * `2 / fan_in` for He,
#' * `1 / fan_in` for LeCun.
#'
#' The uniform forms are uniform between plus and minus the square root of three
#' times the variance; the normal forms are normal, cut off at two standard
#' deviations and scaled to have the variance after that.
#'
#' @section Fans:
#' For the kernels of the attention layers the inputs and outputs are those of
#' the product that the kernel takes part in: a query kernel of shape
#' `(D, N, K)` has `fan_in = D` and `fan_out = N * K`; the output kernel of shape
#' `(N, V, D)` has `fan_in = N * V` and `fan_out = D`. Called without
#' `input_axes` and `output_axes`, the rank decides: 1 and 1 for a single number,
#' `n` and `n` for a vector, rows and columns for a matrix; for more axes the last
#' two dims, each times the product of the dims before them.
#'
#' @inheritSection initializer_random_normal Seeds
#' @inheritSection initializer_zeros Calling an initializer
#' @param seed A whole number, or `NULL`.
#' @param ... Not used; anything here is an error.
#' @return An initializer: a function of class `attn_initializer`.
#' @section Errors: `attn_error_argument` when `seed` is not a whole number or
#'   `NULL`.
#' @references <https://keras.io/api/layers/initializers/>.
#'
#' X. Glorot, Y. Bengio (2010), Understanding the difficulty of training deep
#' feedforward neural networks, AISTATS.
#'
#' K. He, X. Zhang, S. Ren, J. Sun (2015), Delving deep into rectifiers, ICCV,
#' \doi{10.1109/ICCV.2015.123}.
#'
#' Y. LeCun, L. Bottou, G. B. Orr, K.-R. Mueller (1998), Efficient BackProp.
#' @examples
#' initializer_glorot_uniform(seed = 1)(c(2, 3))
#'
#' # The kernel of a query projection: 16 inputs, 2 heads of 4.
#' kernel <- initializer_glorot_uniform()(c(16, 2, 4), input_axes = 0, output_axes = c(1, 2))
#' max(abs(kernel)) <= sqrt(6 / (16 + 8))
#' @export
initializer_glorot_uniform <- function(seed = NULL, ...) {
  check_no_dots("initializer_glorot_uniform()", ...)
  new_scaled_initializer("GlorotUniform", seed)
}

#' @rdname initializer_glorot_uniform
#' @export
initializer_glorot_normal <- function(seed = NULL, ...) {
  check_no_dots("initializer_glorot_normal()", ...)
  new_scaled_initializer("GlorotNormal", seed)
}

#' @rdname initializer_glorot_uniform
#' @export
initializer_he_uniform <- function(seed = NULL, ...) {
  check_no_dots("initializer_he_uniform()", ...)
  new_scaled_initializer("HeUniform", seed)
}

#' @rdname initializer_glorot_uniform
#' @export
initializer_he_normal <- function(seed = NULL, ...) {
  check_no_dots("initializer_he_normal()", ...)
  new_scaled_initializer("HeNormal", seed)
}

#' @rdname initializer_glorot_uniform
#' @export
initializer_lecun_uniform <- function(seed = NULL, ...) {
  check_no_dots("initializer_lecun_uniform()", ...)
  new_scaled_initializer("LecunUniform", seed)
}

#' @rdname initializer_glorot_uniform
#' @export
initializer_lecun_normal <- function(seed = NULL, ...) {
  check_no_dots("initializer_lecun_normal()", ...)
  new_scaled_initializer("LecunNormal", seed)
}

#' Initializer with a variance that scales with the size of the layer
#'
#' Random numbers around 0 with variance `scale / n`, where `n` is the number of
#' inputs of the weight, of its outputs, or the mean of the two. The Glorot, He
#' and LeCun initializers are special cases.
#'
#' @inheritSection initializer_glorot_uniform Fans
#' @inheritSection initializer_random_normal Seeds
#' @inheritSection initializer_zeros Calling an initializer
#' @param scale A positive number.
#' @param mode What `n` is: `"fan_in"`, `"fan_out"` or `"fan_avg"`.
#' @param distribution `"truncated_normal"` (or `"normal"`, its other name):
#'   normal, cut off at two standard deviations, with the stated variance after
#'   that; `"untruncated_normal"`; or `"uniform"`. Case does not matter.
#' @param seed A whole number, or `NULL`.
#' @param ... Not used; anything here is an error.
#' @return An initializer: a function of class `attn_initializer`.
#' @section Errors: `attn_error_argument` when an argument is not of the kind
#'   described.
#' @references <https://keras.io/api/layers/initializers/#variancescaling-class>
#' @examples
#' init <- initializer_variance_scaling(2, "fan_out", "untruncated_normal", seed = 1)
#' var(as.vector(init(c(100, 50)))) # close to 2 / 50
#' @export
initializer_variance_scaling <- function(scale = 1, mode = "fan_in",
                                         distribution = "truncated_normal", seed = NULL, ...) {
  check_no_dots("initializer_variance_scaling()", ...)
  new_variance_scaling(scale, mode, distribution, seed)
}

new_variance_scaling <- function(scale, mode, distribution, seed,
                                 input_axes = NULL, output_axes = NULL) {
  owner <- "initializer_variance_scaling()"
  scale <- check_number(scale, owner, "scale")
  if (scale <= 0) {
    abort_argument(owner, "scale", "a positive number", scale)
  }
  mode <- check_string(mode, owner, "mode", choices = c("fan_in", "fan_out", "fan_avg"))
  distribution <- check_distribution(distribution, owner)
  seed <- check_seed(seed, owner)
  config <- list(
    seed = seed, scale = scale, mode = mode, distribution = distribution,
    input_axes = input_axes, output_axes = output_axes
  )
  new_initializer("VarianceScaling", config, owner, variance_scaling_generator(
    scale, mode, distribution, seed, input_axes, output_axes, owner
  ))
}

check_distribution <- function(distribution, owner) {
  choices <- c("truncated_normal", "untruncated_normal", "uniform", "normal")
  if (is_string(distribution)) {
    distribution <- lower_ascii(distribution)
  }
  distribution <- check_string(distribution, owner, "distribution", choices = choices)
  if (distribution == "normal") "truncated_normal" else distribution
}

#' Initializer that gives orthogonal matrices
#'
#' A matrix with orthonormal columns (or rows, where there are fewer of them),
#' times `gain`: the first factor of the QR decomposition of a matrix of normal
#' random numbers, with signs that make it uniformly distributed. A weight of
#' more than two axes is this matrix for the product of all dims but the last,
#' by the last, in the row-major order of Keras. The decomposition is R's own [qr()],
#' which neither Ctrl-C nor [setTimeLimit()] ends before it is done: for matrices of a
#' thousand rows and columns that takes seconds.
#'
#' @inheritSection initializer_random_normal Seeds
#' @inheritSection initializer_zeros Calling an initializer
#' @param gain A number by which the matrix is multiplied.
#' @param seed A whole number, or `NULL`.
#' @param ... Not used; anything here is an error.
#' @return An initializer: a function of class `attn_initializer`.
#' @section Errors: `attn_error_argument` when an argument is not of the kind
#'   described; `attn_error_shape` when it is called for a shape of less than two
#'   dims.
#' @references <https://keras.io/api/layers/initializers/#orthogonal-class>.
#'   A. M. Saxe, J. L. McClelland, S. Ganguli (2014), Exact solutions to the
#'   nonlinear dynamics of learning in deep linear neural networks, ICLR.
#' @examples
#' w <- initializer_orthogonal(seed = 1)(c(4, 3), dtype = "float64")
#' round(crossprod(w), 12)
#' @export
initializer_orthogonal <- function(gain = 1, seed = NULL, ...) {
  owner <- "initializer_orthogonal()"
  check_no_dots(owner, ...)
  gain <- check_number(gain, owner, "gain")
  seed <- check_seed(seed, owner)
  new_initializer("Orthogonal", list(seed = seed, gain = gain), owner, function(shape, ...) {
    if (length(shape) < 2L) {
      abort_shape(owner, "shape", "a shape of two dims or more", format_shape(shape))
    }
    columns <- shape[length(shape)]
    rows <- prod(shape) / max(1L, columns)
    q <- random_orthogonal(rows, columns, draw_key(seed))
    from_row_major(gain * as.vector(t(q)), shape)
  })
}

random_orthogonal <- function(rows, columns, key) {
  long <- max(rows, columns)
  short <- min(rows, columns)
  decomposition <- qr(matrix(philox_normal(long * short, key), long, short))
  signs <- ifelse(diag(qr.R(decomposition)) < 0, -1, 1)
  q <- qr.Q(decomposition) * rep(signs, each = long)
  if (rows < columns) t(q) else q
}
