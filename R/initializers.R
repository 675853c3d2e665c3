# Initializers: functions that make the first values of a weight. This file has
# what all of them share; the constant ones are in initializers-constant.R, the
# random ones in initializers-random.R.

# `generate(shape, input_axes, output_axes)` gives the values in R's order, as
# doubles. The function made here checks the arguments of the call and gives the
# values their shape and precision.
new_initializer <- function(class_name, config, owner, generate) {
  force(owner)
  force(generate)
  fun <- function(shape, dtype = NULL, input_axes = NULL, output_axes = NULL, ...) {
    check_no_dots(owner, ...)
    shape <- check_weight_shape(if (missing(shape)) NULL else shape, owner)
    dtype <- as_dtype(dtype, owner)
    input_axes <- check_kernel_axes(input_axes, length(shape), owner, "input_axes")
    output_axes <- check_kernel_axes(output_axes, length(shape), owner, "output_axes")
    finished <- FALSE
    random <- random_state()
    on.exit(if (!finished) suspendInterrupts(restore_random_state(random)))
    values <- round_to_dtype(generate(shape, input_axes, output_axes), dtype)
    finished <- TRUE
    attributes(values) <- if (length(shape)) list(dim = shape) # in place, unlike array()
    values
  }
  new_keras_object(fun, "initializer", class_name, config)
}

# A weight of rank 0 is a plain number; of rank 1, an array with one dim. Numbers are
# copied only where they are not of this form.
with_shape <- function(values, shape) {
  shape <- as.integer(shape)
  if (is.double(values) && identical(attributes(values), if (length(shape)) list(dim = shape))) {
    return(values)
  }
  values <- as.double(values)
  if (length(shape)) array(values, dim = shape) else values
}

# Values in row-major order (the last index runs fastest) -> R's order.
from_row_major <- function(values, shape) {
  if (length(shape) < 2L) values else as.vector(aperm(array(values, dim = rev(shape))))
}

# No array in R can have more elements than this, and no weight should come near.
most_elements <- 2^48

check_weight_shape <- function(shape, owner, argument = "shape") {
  sizes <- if (!is.null(shape)) whole_numbers(shape)
  if (is.null(sizes) || any(sizes < 0)) {
    abort_argument(owner, argument,
      sprintf(
        "at most %d whole numbers (the dims; integer(0) for a single number)", most_dims
      ),
      shape
    )
  }
  if (prod(sizes) > most_elements) {
    abort_argument(owner, argument, "a shape of an array that fits in memory", shape)
  }
  as.integer(sizes)
}

# Axes of a kernel as Keras counts them: from 0, or from the end as -1, -2, ...
check_kernel_axes <- function(axes, rank, owner, argument) {
  if (is.null(axes)) {
    return(NULL)
  }
  given <- axes
  axes <- whole_numbers(given)
  if (is.null(axes) || any(axes < -rank | axes >= rank)) {
    abort_argument(owner, argument,
      sprintf("NULL or axes of an array of rank %d, counted from 0", rank), given
    )
  }
  axes <- ifelse(axes < 0, axes + rank, axes)
  if (anyDuplicated(axes)) {
    abort_argument(owner, argument, "NULL or axes that differ from each other", axes)
  }
  as.integer(axes)
}

# How many numbers feed one output of a kernel (fan_in), and how many outputs one
# input feeds (fan_out). With the axes that an einsum contracts and makes, they
# are the products of these. Without, Keras goes by rank: the last two dims are
# inputs and outputs, and what comes before is a convolution's window.
kernel_fans <- function(shape, input_axes = NULL, output_axes = NULL) {
  if (!is.null(input_axes) && !is.null(output_axes)) {
    return(c(fan_in = prod(shape[input_axes + 1L]), fan_out = prod(shape[output_axes + 1L])))
  }
  rank <- length(shape)
  if (rank < 2L) {
    size <- if (rank == 1L) as.double(shape) else 1
    return(c(fan_in = size, fan_out = size))
  }
  window <- prod(shape[seq_len(rank - 2L)])
  c(fan_in = window * shape[rank - 1L], fan_out = window * shape[rank])
}

# By Keras class; the formals are the keys of the class's config.
initializer_builders <- list(
  Zeros = function() initializer_zeros(),
  Ones = function() initializer_ones(),
  Constant = function(value) constant_from_config(value),
  Identity = function(gain = 1) initializer_identity(gain),
  STFT = function(side, window = "hann", periodic = FALSE, scaling = "density") {
    initializer_stft(side, window, scaling, periodic)
  },
  RandomNormal = function(seed = NULL, mean = 0, stddev = 0.05) {
    initializer_random_normal(mean, stddev, seed)
  },
  TruncatedNormal = function(seed = NULL, mean = 0, stddev = 0.05) {
    initializer_truncated_normal(mean, stddev, seed)
  },
  RandomUniform = function(seed = NULL, minval = -0.05, maxval = 0.05) {
    initializer_random_uniform(minval, maxval, seed)
  },
  VarianceScaling = function(seed = NULL, scale = 1, mode = "fan_in",
                             distribution = "truncated_normal",
                             input_axes = NULL, output_axes = NULL) {
    new_variance_scaling(scale, mode, distribution, seed, input_axes, output_axes)
  },
  GlorotUniform = function(seed = NULL, input_axes = NULL, output_axes = NULL) {
    new_scaled_initializer("GlorotUniform", seed, input_axes, output_axes)
  },
  GlorotNormal = function(seed = NULL, input_axes = NULL, output_axes = NULL) {
    new_scaled_initializer("GlorotNormal", seed, input_axes, output_axes)
  },
  HeUniform = function(seed = NULL, input_axes = NULL, output_axes = NULL) {
    new_scaled_initializer("HeUniform", seed, input_axes, output_axes)
  },
  HeNormal = function(seed = NULL, input_axes = NULL, output_axes = NULL) {
    new_scaled_initializer("HeNormal", seed, input_axes, output_axes)
  },
  LecunUniform = function(seed = NULL, input_axes = NULL, output_axes = NULL) {
    new_scaled_initializer("LecunUniform", seed, input_axes, output_axes)
  },
  LecunNormal = function(seed = NULL, input_axes = NULL, output_axes = NULL) {
    new_scaled_initializer("LecunNormal", seed, input_axes, output_axes)
  },
  Orthogonal = function(seed = NULL, gain = 1) initializer_orthogonal(gain, seed)
)

initializer_aliases <- list(
  zeros = "Zeros", zero = "Zeros", ones = "Ones", one = "Ones",
  constant = "Constant", identity = "Identity", IdentityInitializer = "Identity",
  stft = "STFT", STFTInitializer = "STFT",
  random_normal = "RandomNormal", normal = "RandomNormal",
  random_uniform = "RandomUniform", uniform = "RandomUniform",
  truncated_normal = "TruncatedNormal", variance_scaling = "VarianceScaling",
  glorot_uniform = "GlorotUniform", glorot_normal = "GlorotNormal",
  he_uniform = "HeUniform", he_normal = "HeNormal",
  lecun_uniform = "LecunUniform", lecun_normal = "LecunNormal",
  orthogonal = "Orthogonal", OrthogonalInitializer = "Orthogonal"
)

initializer_kind <- function() {
  list(
    name = "initializer",
    builders = initializer_builders,
    aliases = initializer_aliases,
    constructors = list(
      initializer_zeros, initializer_ones, initializer_constant, initializer_identity,
      initializer_stft, initializer_random_normal, initializer_random_uniform,
      initializer_truncated_normal, initializer_variance_scaling,
      initializer_glorot_uniform, initializer_glorot_normal, initializer_he_uniform,
      initializer_he_normal, initializer_lecun_uniform, initializer_lecun_normal,
      initializer_orthogonal
    ),
    shown = c(
      "zeros", "ones", "random_normal", "random_uniform", "truncated_normal",
      "variance_scaling", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal",
      "lecun_uniform", "lecun_normal", "orthogonal", "identity"
    ),
    also = "a function(shape, dtype), an array"
  )
}

# What a user may give as an initializer -> an object, a plain function or NULL.
as_initializer <- function(x, owner, argument = "initializer") {
  if (!is.object(x) && is.numeric(x) && is.array(x)) {
    return(within_argument(initializer_constant(x), owner, argument))
  }
  as_keras_object(x, initializer_kind(), owner, argument)
}

# The first values of a weight, as an array of dim `shape`. `init` comes from
# as_initializer(); NULL stands for Keras's default for a weight, glorot_uniform.
# Functions of users may know of the dtype or not, and know nothing of axes.
call_initializer <- function(init, shape, dtype = NULL, input_axes = NULL, output_axes = NULL,
                             owner = "initializer", argument = "initializer") {
  if (is.null(init)) {
    init <- initializer_glorot_uniform()
  }
  values <- if (inherits(init, "attn_initializer")) {
    init(shape, dtype, input_axes, output_axes)
  } else {
    call_user_initializer(init, shape, dtype)
  }
  check_initial_values(values, shape, owner, argument)
}

call_user_initializer <- function(init, shape, dtype) {
  parameters <- formals(args(init))
  if (any(c("dtype", "...") %in% names(parameters))) {
    return(init(shape, dtype = dtype))
  }
  takes_two <- length(parameters) >= 2L && is_required_parameter(parameters[[2L]])
  if (takes_two) init(shape, dtype) else init(shape)
}

check_initial_values <- function(values, shape, owner, argument) {
  if (!(is.numeric(values) || is.logical(values)) || is.object(values)) {
    abort_argument(owner, argument, "a function that returns numbers", values)
  }
  actual <- if (is.null(dim(values)) && length(shape) == 1L) length(values) else dim(values)
  fits <- if (length(shape)) {
    length(actual) == length(shape) && all(actual == shape)
  } else {
    length(values) == 1L
  }
  if (!fits) {
    received <- if (is.null(actual)) describe_value(values) else format_shape(actual)
    abort_shape(owner, argument,
      paste("a function that returns values of shape", format_shape(shape)), received
    )
  }
  with_shape(values, shape)
}
