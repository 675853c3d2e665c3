# What `layer$...` gives: properties, which are read, and methods, which are called.

#' Layers: methods and properties
#'
#' A layer is a function with a class: it is called with data, and `$` gives its
#' methods and properties. Layers have reference semantics, as in Keras: a copy of a
#' layer is the same layer, with the same weights. `saveRDS()`, `serialize()` and
#' parallel workers make a layer of its own, with the same weights, settings and
#' position in its sequence of dropout numbers.
#'
#' @section Methods:
#' Shapes are vectors, with `NA` for an unknown size, or lists with `NULL` for one.
#' * `layer$build(query_shape, value_shape, key_shape = NULL)` or
#'   `layer$build(list(query_shape, value_shape))`: makes the weights. The first call
#'   does so as well. A layer that is built stays as it is.
#' * `layer$call(...)`: the same as `layer(...)`.
#' * `layer$compute_output_shape(query_shape, value_shape, key_shape = NULL)`, or a list
#'   of the shapes: the shape of the output.
#' * `layer$compute_output_spec(...)`: takes symbolic tensors or arrays as a call does and
#'   gives symbolic outputs, without building the layer.
#' * `layer$compute_mask(query, mask = NULL)` (multi-head and grouped query) or
#'   `layer$compute_mask(inputs, mask = NULL)`: the mask that the output gets.
#' * `layer$get_config()`, `layer$from_config(config)`: see [get_config()].
#' * `layer$get_weights()`, `layer$set_weights(weights)`, `layer$count_params()`: see
#'   [get_weights()].
#' * `layer$get_build_config()`: the shapes that the layer was built for.
#'
#' @section Properties:
#' * `name`, `path`, `dtype`, `built`, `supports_masking`.
#' * `trainable`: the only one that can be assigned.
#' * `weights`, `trainable_weights`, `non_trainable_weights`: lists of arrays, named
#'   like `"query/kernel"`.
#' * `losses`: a list of numbers, the losses of activity regularizers in the last call,
#'   then those of weight regularizers, in Keras's order.
#' * `input`, `output`: the symbolic tensors of the layer's only call with such tensors, for
#'   models that end, or begin, at this layer.
#' * What the constructor was given: `num_heads`, `key_dim`, `value_dim`, `head_dim`,
#'   `num_query_heads`, `num_key_value_heads`, `use_scale`, `score_mode`, `dropout`,
#'   `use_bias`, `use_gate`, `output_shape`, `attention_axes` (after building: all of
#'   them, counted from 0), `sliding_window`, `flash_attention`, `seed`,
#'   `kernel_initializer` and so on, as far as the kind of layer has them.
#' * `query_dense`, `key_dense`, `gate_dense`, `value_dense`, `output_dense` of layers
#'   with heads: the projections, each a list of class `attn_projection` with `name`,
#'   `kernel` and `bias` (arrays), and its regularizers and constraints.
#' * `scale` and `concat_score_weight` of the other layers: their weights.
#'
#' `names(layer)` lists them all.
#'
#' @section Errors:
#' `attn_error_read_only` for an assignment to anything but `trainable`;
#' `attn_error_argument` for a name that a layer does not have; `attn_error_state` for
#' projections and weights of a layer that is not built.
#'
#' @param x A layer.
#' @param name,i The name of a method or property.
#' @param ... Not used.
#' @param value The new value of `trainable`: `TRUE` or `FALSE`.
#' @return What the name stands for; for assignments and `names()` as in base R.
#' @references <https://keras.io/api/layers/base_layer/>
#' @examples
#' layer <- layer_multi_head_attention(num_heads = 2, key_dim = 3)
#' layer$num_heads
#' layer$build(c(NA, 5, 4), c(NA, 5, 4))
#' layer$compute_output_shape(c(NA, 5, 4), c(NA, 7, 4))
#' dim(layer$query_dense$kernel)
#' layer$trainable <- FALSE
#' length(layer$trainable_weights)
#' @name attn_layer
NULL

layer_methods <- list(
  build = function(self) {
    function(query_shape = NULL, value_shape = NULL, key_shape = NULL, ...) {
      check_no_dots(self$label, ...)
      build_layer(self, query_shape, value_shape, key_shape)
    }
  },
  call = function(self) unclass(layer_object(self)),
  compute_output_shape = function(self) {
    function(query_shape = NULL, value_shape = NULL, key_shape = NULL, ...) {
      check_no_dots(self$label, ...)
      compute_output_shape(self, query_shape, value_shape, key_shape)
    }
  },
  compute_output_spec = function(self) output_spec_function(self),
  compute_mask = function(self) {
    if (self$heads) heads_mask_function(self) else scores_mask_function(self)
  },
  get_config = function(self) no_arguments(self, layer_config),
  from_config = function(self) {
    function(config, ...) {
      check_no_dots(self$label, ...)
      check_given(missing(config), self$label, "config", "a named list")
      layer_from_config(self$kind, config)
    }
  },
  get_weights = function(self) no_arguments(self, function(self) unname(layer_weights(self))),
  set_weights = function(self) {
    function(weights, ...) {
      check_no_dots(self$label, ...)
      check_given(missing(weights), self$label, "weights", "a list of arrays")
      set_layer_weights(self, weights)
      invisible(layer_object(self))
    }
  },
  count_params = function(self) no_arguments(self, count_layer_params),
  get_build_config = function(self) no_arguments(self, layer_build_config)
)

# A method that needs nothing but the layer.
no_arguments <- function(self, method) {
  force(method)
  function(...) {
    check_no_dots(self$label, ...)
    method(self)
  }
}

layer_properties <- list(
  name = function(self) self$name,
  path = function(self) self$name,
  dtype = function(self) self$dtype,
  built = function(self) self$built,
  trainable = function(self) self$trainable,
  supports_masking = function(self) TRUE,
  activity_regularizer = function(self) self$activity_regularizer,
  weights = function(self) layer_weights(self),
  trainable_weights = function(self) if (self$trainable) layer_weights(self) else list(),
  non_trainable_weights = function(self) if (self$trainable) list() else layer_weights(self),
  losses = function(self) layer_losses(self),
  input = function(self) one_or_list(find_tensors(called_node(self, "input")$inputs)),
  output = function(self) one_or_list(node_outputs(called_node(self, "output")))
)

heads_properties <- list(
  flash_attention = function(self) self$flash_attention,
  query_dense = function(self) projection(self, "query", "query_dense"),
  key_dense = function(self) projection(self, "key", "key_dense"),
  gate_dense = function(self) if (self$config$use_gate) projection(self, "gate", "gate_dense"),
  value_dense = function(self) projection(self, "value", "value_dense"),
  output_dense = function(self) projection(self, "attention_output", "output_dense")
)

scores_properties <- list(
  scale = function(self) if (self$config$use_scale) single_weight(self, "scale"),
  concat_score_weight = function(self) {
    if (identical(self$config$score_mode, "concat")) single_weight(self, "concat_score_weight")
  }
)

# Methods and computed properties of a kind of layer; the rest is in its config.
layer_members <- function(self) {
  own <- switch(self$calls,
    heads = heads_properties,
    scores = scores_properties[c("scale", if (self$kind == "attention") "concat_score_weight")],
    tensors = c(
      layer_kinds[[self$kind]]$members, tensors_properties(self), tensors_methods
    ),
    model = c(model_properties, model_methods)
  )
  all <- c(own, layer_properties, layer_methods)
  all[!duplicated(names(all))]
}

layer_member_names <- function(self) {
  known <- unique(c(names(self$config), names(layer_members(self))))
  was_called_once <- self$calls == "model" || length(called_nodes(self)) == 1L
  if (was_called_once) known else setdiff(known, c("input", "output"))
}

#' @rdname attn_layer
#' @export
`$.attn_layer` <- function(x, name) {
  self <- layer_self(x)
  member <- layer_members(self)[[name]]
  if (!is.null(member)) {
    return(member(self))
  }
  if (!(name %in% names(self$config))) {
    abort_unknown_member(self, name)
  }
  self$config[[name]]
}

#' @rdname attn_layer
#' @export
`[[.attn_layer` <- function(x, i, ...) {
  if (missing(i) || !is_string(i)) {
    abort_argument(layer_self(x)$label, "i", "the name of a method or property", i)
  }
  `$.attn_layer`(x, i)
}

#' @rdname attn_layer
#' @export
`$<-.attn_layer` <- function(x, name, value) {
  self <- layer_self(x)
  if (name == "trainable") {
    set_trainable(self, check_flag(value, self$label, "trainable"))
    return(x)
  }
  attn_abort(
    sprintf(
      "%s: `%s` cannot be assigned. Only `trainable` can; weights are set by set_weights().",
      self$label, name
    ),
    "attn_error_read_only",
    owner = self$label, argument = name,
    expected = "no assignment", received = describe_value(value)
  )
}

#' @rdname attn_layer
#' @export
`[[<-.attn_layer` <- function(x, i, value) {
  if (missing(i) || !is_string(i)) {
    abort_argument(layer_self(x)$label, "i", "the name of a property", i)
  }
  `$<-.attn_layer`(x, i, value)
}

#' @rdname attn_layer
#' @export
`[.attn_layer` <- function(x, ...) {
  abort_argument(layer_self(x)$label, "...", "used with `$` or `[[`, not with `[`",
    received = "an index"
  )
}

#' @export
names.attn_layer <- function(x) layer_member_names(layer_self(x))

#' @importFrom utils .DollarNames
#' @export
.DollarNames.attn_layer <- function(x, pattern = "") {
  members <- layer_member_names(layer_self(x))
  refuse <- function(condition) {
    abort_argument(".DollarNames()", "pattern", "a regular expression", pattern)
  }
  if (!is_string(pattern)) refuse()
  tryCatch(grep(pattern, members, value = TRUE), error = refuse, warning = refuse)
}

abort_unknown_member <- function(self, name) {
  known <- layer_member_names(self)
  nearest <- known[order(utils::adist(name, known, ignore.case = TRUE))][1:3]
  abort_argument(self$label, name,
    paste(
      "a method or property of the layer, such as",
      paste0("`", nearest, "`", collapse = ", ")
    ),
    received = "a name that it does not have"
  )
}

check_built <- function(self, what) {
  if (!self$built) {
    attn_abort(
      sprintf("%s: `%s` exists only once the layer is built.", self$label, what),
      "attn_error_state",
      owner = self$label, argument = what, expected = "a built layer",
      received = "a layer that is not built"
    )
  }
}

single_weight <- function(self, path) {
  check_built(self, path)
  layer_weights(self)[[path]]
}

# One of the projections, as it is now.
projection <- function(self, name, property) {
  check_built(self, property)
  weights <- layer_weights(self)
  config <- self$config
  structure(
    list(
      name = name,
      kernel = weights[[paste0(name, "/kernel")]],
      bias = weights[[paste0(name, "/bias")]],
      kernel_regularizer = config$kernel_regularizer,
      bias_regularizer = config$bias_regularizer,
      activity_regularizer = self$activity_regularizer,
      kernel_constraint = config$kernel_constraint,
      bias_constraint = config$bias_constraint
    ),
    class = "attn_projection"
  )
}

#' @export
`$.attn_projection` <- function(x, name) {
  fields <- names(unclass(x))
  if (!(name %in% fields)) {
    abort_argument("a projection", name,
      paste("one of", paste(fields, collapse = ", ")),
      received = "a name that it does not have"
    )
  }
  unclass(x)[[name]]
}

compute_output_shape <- function(self, query_shape, value_shape, key_shape) {
  shapes <- as_input_shapes(self, query_shape, value_shape, key_shape)
  owner <- self$label
  about_shapes({
    check_rank(shapes$query, owner, "query", 3L,
      exactly = self$kind == "group_query_attention"
    )
    check_same_rank(shapes$value, shapes$query, owner, "value")
    if (!is.null(shapes$key)) {
      check_value_key_agree(shapes$value, shapes$key, owner)
    }
    if (self$heads) {
      heads_output_shape(self, shapes$query, shapes$value, shapes$key)
    } else {
      scores_output_shape(shapes$query, shapes$value)
    }
  })
}

output_spec_function <- function(self) {
  if (self$heads) {
    return(function(query, value, key = NULL, query_mask = NULL, value_mask = NULL,
                    key_mask = NULL, attention_mask = NULL, return_attention_scores = FALSE,
                    training = NULL, use_causal_mask = FALSE, ...) {
      check_no_dots(self$label, ...)
      check_given(missing(query), self$label, "query", "an array or a symbolic tensor")
      check_given(missing(value), self$label, "value", "an array or a symbolic tensor")
      inputs <- list(query = query, value = value, key = key)
      masks <- list(
        query_mask = query_mask, value_mask = value_mask, key_mask = key_mask,
        attention_mask = attention_mask
      )
      scores <- check_flag(return_attention_scores, self$label, "return_attention_scores")
      causal <- check_flag(use_causal_mask, self$label, "use_causal_mask")
      check_flag(training, self$label, "training", null_ok = TRUE)
      check_spec_inputs(self, inputs)
      symbolic_outputs(self, heads_spec(self, inputs, masks, scores, causal), inputs, list())
    })
  }
  function(inputs, mask = NULL, training = NULL, return_attention_scores = FALSE,
           use_causal_mask = FALSE, ...) {
    check_no_dots(self$label, ...)
    check_given(missing(inputs), self$label, "inputs", "a list: query, value[, key]")
    inputs <- check_input_list(inputs, self$label)
    mask <- check_mask_list(mask, self$label)
    scores <- check_flag(return_attention_scores, self$label, "return_attention_scores")
    check_flag(use_causal_mask, self$label, "use_causal_mask")
    check_flag(training, self$label, "training", null_ok = TRUE)
    check_spec_inputs(self, inputs)
    symbolic_outputs(self, scores_spec(self, inputs, mask, scores), inputs, list())
  }
}

check_spec_inputs <- function(self, inputs) {
  if (!is_symbolic_call(inputs, self$label)) {
    for (argument in names(inputs)) {
      if (!is.null(inputs[[argument]]) || argument != "key") {
        check_input(inputs[[argument]], self$label, argument)
      }
    }
  }
}

# The output's mask is the query's: the one that is given, else the attached one.
heads_mask_function <- function(self) {
  force(self)
  function(query, mask = NULL, ...) {
    owner <- self$label
    check_no_dots(owner, ...)
    check_given(missing(query), owner, "query", "an array")
    check_mask_input(query, owner, "query")
    mask <- if (!is.object(mask) && is.list(mask) && length(mask)) mask[[1L]] else mask
    if (is.null(mask)) implicit_mask(query) else check_given_mask(mask, owner)
  }
}

scores_mask_function <- function(self) {
  force(self)
  function(inputs, mask = NULL, ...) {
    owner <- self$label
    check_no_dots(owner, ...)
    check_given(missing(inputs), owner, "inputs", "a list: query, value[, key]")
    inputs <- check_input_list(inputs, owner)
    for (role in names(inputs)[!vapply(inputs, is.null, NA)]) {
      check_mask_input(inputs[[role]], owner, role)
    }
    mask <- check_mask_list(mask, owner)$query
    if (!is.null(mask)) check_given_mask(mask, owner)
  }
}

# It is handed on without a look at the shapes, as in Keras.
check_given_mask <- function(mask, owner) {
  if (!is_keras_tensor(mask)) {
    check_mask_values(mask, owner, "mask")
  }
  mask
}

# Any shape will do: only the mask is looked at.
check_mask_input <- function(x, owner, argument) {
  if (!is_keras_tensor(x)) check_input(x, owner, argument)
}
