# What the package does, for allocation-sweep.R: list(name, make, act), where make() gives
# an object as it is before act(object), whose value is compared.

# ---- layers ----

# name = list(constructor, inputs as a list, further arguments of the call)
layer_cases <- function(dtype) {
  x <- numbers(2, 5, 6)
  y <- numbers(2, 3, 6) + 1
  masked <- set_keras_mask(x, matrix(c(TRUE, TRUE, TRUE, FALSE, TRUE), 2, 5, byrow = TRUE))
  ids <- matrix(c(1L, 2L, 0L, 3L, 4L, 0L), 2, 3)
  mask <- array(c(TRUE, FALSE, TRUE), c(2, 5, 3))
  heads <- function(...) layer_multi_head_attention(num_heads = 2, key_dim = 3, dtype = dtype, ...)
  groups <- function(...) {
    layer_group_query_attention(head_dim = 3, num_query_heads = 4, num_key_value_heads = 2,
      dtype = dtype, ...)
  }
  grid <- numbers(2, 3, 4, 6)
  list(
    heads = list(heads, list(x, y)),
    heads_self = list(heads, list(x, x), list(use_causal_mask = TRUE)),
    heads_integer = list(heads, list(array(1:60, c(2, 5, 6)), y)),
    heads_key = list(heads, list(x, y, y + 1), list(return_attention_scores = TRUE)),
    heads_mask = list(heads, list(masked, y), list(attention_mask = mask)),
    heads_dropout = list(function() heads(dropout = 0.5, seed = 1L), list(x, y),
      list(training = TRUE)),
    heads_plain = list(function() heads(flash_attention = FALSE), list(x, y)),
    heads_axes = list(function() heads(attention_axes = c(1, 2), output_shape = c(2, 2)),
      list(grid, grid), list(return_attention_scores = TRUE)),
    heads_window = list(function() heads(sliding_window = 2, use_gate = TRUE), list(x, x)),
    heads_regularized = list(function() heads(activity_regularizer = regularizer_l2(0.1)),
      list(x, y)),
    groups = list(groups, list(x, y), list(return_attention_scores = TRUE)),
    groups_mask = list(function() groups(use_gate = TRUE), list(masked, masked),
      list(use_causal_mask = TRUE)),
    attention = list(function() layer_attention(use_scale = TRUE, dtype = dtype),
      list(list(x, y)), list(return_attention_scores = TRUE)),
    attention_concat = list(
      function() layer_attention(score_mode = "concat", dropout = 0.5, seed = 1L, dtype = dtype),
      list(list(x, y, y + 1)), list(training = TRUE)),
    attention_mask = list(function() layer_attention(dtype = dtype), list(list(masked, masked))),
    additive = list(function() layer_additive_attention(dtype = dtype), list(list(x, y)),
      list(return_attention_scores = TRUE)),
    dense = list(function() layer_dense(units = 4, activation = "gelu", dtype = dtype), list(x)),
    einsum = list(
      function() layer_einsum_dense(equation = "abc,cde->abde", output_shape = c(NA, 2, 3),
        bias_axes = "de", dtype = dtype), list(x)),
    einsum_odd = list(
      function() layer_einsum_dense(equation = "abc,bcd->adb", output_shape = c(4, 5),
        bias_axes = "d", dtype = dtype), list(x)),
    einsum_turned = list(
      function() layer_einsum_dense(equation = "abc,dc->abd", output_shape = c(NA, 4),
        dtype = dtype), list(x)),
    conv = list(function() layer_conv_1d(filters = 4, kernel_size = 3, padding = "causal",
      dtype = dtype), list(x)),
    conv_groups = list(function() layer_conv_1d(filters = 4, kernel_size = 2, groups = 2,
      strides = 2, padding = "same", dtype = dtype), list(x)),
    embedding = list(function() layer_embedding(input_dim = 9, output_dim = 4, mask_zero = TRUE,
      dtype = dtype), list(ids)),
    positions = list(function() layer_position_embedding(sequence_length = 8, dtype = dtype),
      list(x)),
    sine = list(function() layer_sine_position_encoding(dtype = dtype), list(x)),
    rotary = list(function() layer_rotary_embedding(dtype = dtype), list(x)),
    rotary_turned = list(function() layer_rotary_embedding(sequence_axis = 3, feature_axis = 2,
      dtype = dtype), list(numbers(2, 6, 5))),
    norm = list(function() layer_layer_normalization(dtype = dtype), list(masked)),
    norm_axes = list(function() layer_layer_normalization(axis = c(2, 3), dtype = dtype), list(x)),
    norm_middle = list(function() layer_layer_normalization(axis = 2, dtype = dtype), list(x)),
    rms = list(function() layer_rms_normalization(dtype = dtype), list(x)),
    dropout = list(function() layer_dropout(rate = 0.5, seed = 1L, dtype = dtype), list(x),
      list(training = TRUE)),
    dropout_shape = list(function() layer_dropout(rate = 0.5, noise_shape = c(NA, 1, NA),
      seed = 1L, dtype = dtype), list(x), list(training = TRUE)),
    prelu = list(function() layer_activation_parametric_relu(shared_axes = 2, dtype = dtype),
      list(x)),
    softmax = list(function() layer_activation_softmax(dtype = dtype), list(x),
      list(mask = x > 0)),
    softmax_row = list(function() layer_activation_softmax(dtype = dtype), list(x),
      list(mask = array(c(TRUE, FALSE), c(1, 1, 6)))),
    softmax_axis = list(function() layer_activation_softmax(axis = 2, dtype = dtype), list(x)),
    masking = list(function() layer_masking(dtype = dtype), list(x)),
    add = list(function() layer_add(dtype = dtype), list(list(x, masked))),
    subtract = list(function() layer_subtract(dtype = dtype),
      list(list(x, x[, 1, , drop = FALSE]))),
    concatenate = list(function() layer_concatenate(axis = 2, dtype = dtype),
      list(list(masked, y))),
    concatenate_last = list(function() layer_concatenate(dtype = dtype), list(list(x, x))),
    dot = list(function() layer_dot(axes = c(3, 3), normalize = TRUE, dtype = dtype),
      list(list(x, y))),
    dot_middle = list(function() layer_dot(axes = c(2, 2), dtype = dtype), list(list(x, x))),
    average = list(function() layer_global_average_pooling_1d(dtype = dtype), list(masked)),
    average_numbers = list(function() layer_global_average_pooling_1d(dtype = dtype), list(x),
      list(mask = matrix(c(1, 0, 1, 1, 1), 2, 5, byrow = TRUE))),
    largest = list(function() layer_global_max_pooling_1d(dtype = dtype), list(x)),
    rescaling = list(function() layer_rescaling(scale = numbers(6), offset = 1, dtype = dtype),
      list(x)),
    reshape = list(function() layer_reshape(target_shape = c(6, 5), dtype = dtype), list(x)),
    permute = list(function() layer_permute(dims = c(2, 1), dtype = dtype), list(x)),
    flatten = list(function() layer_flatten(dtype = dtype), list(x)),
    again = list(function() layer_repeat_vector(n = 3, dtype = dtype), list(numbers(2, 4))),
    distributed = list(
      function() layer_time_distributed(layer = layer_dense(units = 2, dtype = dtype),
        dtype = dtype), list(masked)),
    encoder = list(function() layer_transformer_encoder(intermediate_dim = 4, num_heads = 2,
      dropout = 0.5, dtype = dtype), list(masked), list(training = TRUE)),
    decoder = list(function() layer_transformer_decoder(intermediate_dim = 4, num_heads = 2,
      dtype = dtype), list(x, y)),
    decoder_cache = list(function() layer_transformer_decoder(intermediate_dim = 4, num_heads = 2,
      dtype = dtype), list(x), list(self_attention_cache = array(0, c(2, 2, 7, 2, 3)),
      self_attention_cache_update_index = 1))
  )
}

called <- function(layer, case) {
  do.call(layer, c(case[[2L]], if (length(case) > 2L) case[[3L]]))
}

made <- function(case) seeded(case[[1L]]())

built <- function(case) {
  layer <- made(case)
  called(layer, case)
  # as it is when it has been built, without what calls remember
  unserialize(serialize(layer, NULL))
}

# calls that end in C alone
remembered <- c("heads_key", "heads_mask", "groups_mask", "attention_mask")

layer_scenarios <- function() {
  found <- list()
  for (dtype in c("float32", "float64")) {
    cases <- layer_cases(dtype)
    for (name in names(cases)) {
      local({
        case <- cases[[name]]
        label <- paste(name, dtype)
        found <<- c(found, list(
          list(name = paste("making", label), make = nothing, only_long = TRUE,
            act = function(nothing) {
              layer <- made(case)
              list(seeded(called(layer, case)), get_weights(layer))
            }),
          list(name = paste("first call of", label), only_long = dtype == "float64",
            make = function() built(case),
            act = function(layer) called(layer, case)),
          list(name = paste("later call of", label),
            only_long = dtype == "float64" || !(name %in% remembered),
            make = function() {
              layer <- built(case)
              called(layer, case)
              layer
            },
            act = function(layer) called(layer, case))
        ))
      })
    }
  }
  found
}

# ---- models ----

encoder_model <- function(dtype = "float32") {
  tokens <- keras_input(4, dtype = "int32", name = "tokens")
  x <- layer_embedding(tokens, 9, 6, mask_zero = TRUE, dtype = dtype)
  x <- layer_position_embedding(x, sequence_length = 4, dtype = dtype)
  heads <- layer_multi_head_attention(num_heads = 2, key_dim = 3, dtype = dtype)
  x <- layer_layer_normalization(layer_add(x, heads(x, x)), dtype = dtype)
  x <- layer_transformer_encoder(x, intermediate_dim = 4, num_heads = 2)
  x <- layer_dropout(x * 2 + 1, 0.5, seed = 1L, dtype = dtype)
  scores <- heads(x, x, return_attention_scores = TRUE)
  outputs <- list(
    a = layer_dense(layer_global_average_pooling_1d(x), 3, activation = "softmax"),
    b = scores[[2L]], c = scores[[1L]]
  )
  keras_model(tokens, outputs)
}

tokens <- matrix(c(1L, 2L, 3L, 0L, 4L, 5L, 0L, 0L), 2, 4, byrow = TRUE)

sequential_model <- function() {
  model <- keras_model_sequential(input_shape = c(4, 6))
  layer_dense(model, 5, activation = "relu", name = "first")
  layer_conv_1d(model, 4, 2, name = "second")
  layer_flatten(model)
  layer_dense(model, 3, name = "third")
  model
}

tensor_model <- function() {
  a <- keras_input(c(3, 4), name = "a")
  b <- keras_input(c(3, 4), name = "b")
  keras_model(list(a = a, b = b), list(
    layer_dot(list(a, b), axes = c(2, 2)) / 3 - 1, a - b,
    layer_attention()(list(a, b), return_attention_scores = TRUE)[[2L]]
  ))
}

# masks and first positions that are numbers of another type
numbers_model <- function() {
  x <- keras_input(c(3, 4), name = "x")
  mask <- keras_input(c(3, 3), name = "mask")
  seen <- keras_input(c(3, 4), name = "seen")
  start <- keras_input(batch_shape = 1, name = "start")
  heads <- layer_multi_head_attention(num_heads = 2, key_dim = 3, name = "heads")
  keras_model(list(x = x, mask = mask, seen = seen, start = start), list(
    heads(x, x, attention_mask = mask),
    layer_activation_softmax(name = "softmax")(x, mask = seen),
    layer_position_embedding(sequence_length = 8, name = "positions")(x, start_index = start)
  ))
}

model_cases <- function() {
  list(
    numbers = list(numbers_model, list(list(
      x = numbers(1, 3, 4), mask = array(1, c(1, 3, 3)), seen = array(1, c(1, 3, 4)),
      start = array(1, 1)
    ))),
    encoder = list(function() encoder_model(), list(tokens)),
    encoder_numbers = list(function() encoder_model("float64"), list(tokens + 0)),
    sequential = list(sequential_model, list(numbers(3, 4, 6))),
    tensors = list(tensor_model, list(list(a = numbers(3, 3, 4), b = numbers(3, 3, 4) + 1)))
  )
}

model_scenarios <- function() {
  found <- list()
  cases <- model_cases()
  for (name in names(cases)) {
    local({
      case <- cases[[name]]
      x <- case[[2L]]
      make <- function() made(case)
      add <- function(what, act, before = identity, only_long = FALSE) {
        found <<- c(found, list(list(
          name = paste(what, "of model", name), act = act, only_long = only_long,
          make = function() {
            model <- make()
            before(model)
            model
          }
        )))
      }
      call <- function(model) model(x[[1L]])
      add("first call", call)
      add("later call", call, before = call)
      add("training call", function(model) model(x[[1L]], training = TRUE), only_long = TRUE)
      add("prediction in batches", function(model) predict(model, x[[1L]], batch_size = 1L))
      new <- lapply(get_weights(make()), function(w) w + 1)
      add("setting weights", function(model) {
        set_weights(model, new)
        NULL
      })
      add("serializing", function(model) {
        copy <- unserialize(serialize(model, NULL))
        get_weights(copy)
      })
      add("cloning", function(model) seeded(get_weights(clone_model(model))), only_long = TRUE)
    })
  }
  found
}

# ---- files ----

file_scenarios <- function() {
  folder <- tempfile("files")
  dir.create(folder)
  model <- seeded(sequential_model())
  set_weights(model, lapply(get_weights(model), function(w) w + seq_along(w) / 7))
  paths <- file.path(folder, c("m.keras", "m.safetensors", "m.weights.h5"))
  names(paths) <- c("keras", "safetensors", "h5")
  save_model(model, paths[["keras"]])
  save_model_weights(model, paths[["safetensors"]])
  has_h5 <- tryCatch({
    save_model_weights(model, paths[["h5"]])
    TRUE
  }, error = function(error) FALSE)
  fresh <- function() seeded(sequential_model())
  bytes_of <- function(path) readBin(path, "raw", 1e6)
  add <- function(name, act, make = nothing) list(list(name = name, make = make, act = act))
  loads <- function(path) {
    function(model) {
      load_model_weights(model, path)
      NULL
    }
  }
  c(
    add("saving .keras", function(nothing) {
      to <- file.path(folder, "new.keras")
      on.exit(unlink(to))
      save_model(model, to)
      length(bytes_of(to)) > 0
    }),
    add("loading .keras", function(nothing) get_weights(load_model(paths[["keras"]]))),
    add("saving .safetensors", function(nothing) {
      to <- file.path(folder, "new.safetensors")
      on.exit(unlink(to))
      save_model_weights(model, to)
      bytes_of(to)
    }),
    add("loading .safetensors", loads(paths[["safetensors"]]), fresh),
    if (has_h5) add("loading .weights.h5", loads(paths[["h5"]]), fresh),
    if (has_h5) add("loading .weights.h5 by the package's own reader", function(model) {
      parsed <- .Call(attn:::ffi_hdf5_parse, bytes_of(paths[["h5"]]))
      names(parsed)
    }, fresh),
    add("a file that is damaged", function(nothing) {
      path <- file.path(folder, "bad.safetensors")
      bytes <- bytes_of(paths[["safetensors"]])
      bytes[20] <- as.raw(0)
      writeBin(bytes, path)
      load_model_weights(fresh(), path)
    })
  )
}

# ---- the rest ----

# A block of memory and threads are asked for only where there is not enough of them.
grows <- local({
  step <- 0L
  function(nothing) {
    step <<- step + 1L
    attn_threads(2L + step %% 20L)
    on.exit(attn_threads(2L))
    x <- numbers(1, 200 + 20 * step, 8, 8)
    all(is.finite(op_dot_product_attention(x, x, x)))
  }
})

# a handle whose saved state is of length 0
empty_handle <- function() {
  handle <- attn:::layer_self(layer_dense(units = 1, input_shape = 2))$handle
  if (is.null(handle)) {
    layer <- layer_dense(units = 1)
    layer$build(c(NA, 2))
    handle <- attn:::layer_self(layer)$handle
  }
  bytes <- serialize(handle, NULL)
  size <- length(bytes)
  # a raw vector: its type, 4 bytes of length, the state; then an attribute that is none
  for (length in seq_len(size - 12L)) {
    at <- size - 4L - length - 4L
    if (identical(bytes[at + 1:4], rev(packBits(intToBits(length), "raw")))) {
      return(unserialize(c(bytes[seq_len(at)], raw(4), bytes[size - 3:0])))
    }
  }
}

other_scenarios <- function() {
  q <- numbers(2, 5, 4, 3)
  k <- numbers(2, 6, 2, 3)
  bias <- numbers(1, 4, 5, 6)
  add <- function(name, act, make = nothing) list(list(name = name, make = make, act = act))
  dense <- function() {
    layer <- seeded(layer_dense(units = 4))
    layer$build(c(NA, 3))
    layer
  }
  new <- lapply(get_weights(dense()), function(w) w + 1)
  c(
    add("op", function(nothing) op_dot_product_attention(q, k, k)),
    add("op with bias and mask", function(nothing) {
      op_dot_product_attention(q, k, k + 1, bias = bias, mask = bias > 0, is_causal = TRUE)
    }),
    add("op, plain", function(nothing) {
      op_dot_product_attention(q, k, k, mask = bias > 0, flash_attention = FALSE)
    }),
    add("op of integers", function(nothing) {
      op_dot_product_attention(array(1:120, dim(q)), array(1:72, dim(k)), k)
    }),
    add("setting weights", function(layer) {
      set_weights(layer, new)
      NULL
    }, dense),
    add("weights", function(layer) get_weights(layer), dense),
    add("saving a layer by serialize()", function(layer) {
      get_weights(unserialize(serialize(layer, NULL)))
    }, dense),
    add("activations", function(nothing) {
      list(activation_softmax(q), activation_gelu(q), activation_sparsemax(q[, , , 1]))
    }),
    add("initializers", function(nothing) {
      seeded(list(
        initializer_glorot_uniform()(c(3, 4)), initializer_orthogonal()(c(3, 4)),
        initializer_random_normal(seed = 1L)(c(3, 4))
      ))
    }),
    add("what the build is", function(nothing) {
      attn_info()
      attn_threads(attn_threads())
    }),
    add("ids that are not there", function(nothing) {
      layer_embedding(input_dim = 3, output_dim = 2, name = "small")(matrix(c(1L, 9L), 1))
    }),
    add("calls that grow, on more and more threads", grows),
    add("entries that other packages' files lead to", function(nothing) {
      list(
        .Call(attn:::ffi_hdf5_parse, raw(10)), .Call(attn:::ffi_safetensors_size, raw(8), 5),
        .Call(attn:::ffi_stored_write, array(1e300, 1), "F32", 1, 0, 1),
        .Call(attn:::ffi_file_sync, "/there is no such file"),
        .Call(attn:::ffi_file_create, "/there is no such folder/file"),
        names(.Call(attn:::ffi_memory))
      )
    }),
    add("what a handle says", function(layer) {
      handle <- attn:::layer_self(layer)$handle
      list(
        .Call(attn:::ffi_layer_weight_names, handle), .Call(attn:::ffi_layer_info, handle),
        .Call(attn:::ffi_calls_get, list(handle))
      )
    }, dense),
    add("an error of the C code", function(nothing) .Call(attn:::ffi_crc32, 1, 2)),
    add("saving a handle without a layer", function(handle) serialize(handle, NULL), empty_handle)
  )
}

scenarios <- function() {
  mark <- function(scenarios, is_layer) {
    lapply(scenarios, function(one) c(one, list(is_layer = is_layer)))
  }
  c(
    mark(c(other_scenarios(), file_scenarios(), model_scenarios()), FALSE),
    mark(layer_scenarios(), TRUE)
  )
}
