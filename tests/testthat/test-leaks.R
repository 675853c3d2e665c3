# Nothing is left of what is gone: the C code counts the layers and bytes it holds.

held <- function() {
  for (i in 1:3) gc(full = TRUE)
  .Call(ffi_memory)
}

# without what calls leave for the next ones
of_layers <- function(held) held[c("layers", "layer_bytes", "under_way")]

mha_for_leaks <- function() layer_multi_head_attention(num_heads = 2, key_dim = 3)

test_that("layers are counted from their making to the garbage collection after their end", {
  before <- held()
  layer <- mha_for_leaks()
  expect_identical(held()[["layers"]], before[["layers"]])
  layer$build(c(NA, NA, 4), c(NA, NA, 4))
  made <- held()
  expect_identical(made[["layers"]], before[["layers"]] + 1)
  expect_gte(made[["layer_bytes"]] - before[["layer_bytes"]], 4 * count_params(layer))
  copy <- unserialize(serialize(layer, NULL))
  expect_identical(held()[["layers"]], before[["layers"]] + 2)
  set_weights(copy, get_weights(layer))
  expect_identical(held()[["layer_bytes"]] - made[["layer_bytes"]],
    made[["layer_bytes"]] - before[["layer_bytes"]]
  )
  rm(layer, copy)
  expect_identical(of_layers(held()), of_layers(before))
})

test_that("calls that fail leave no layer, no bytes and no call under way", {
  layer <- mha_for_leaks()
  x <- random_array(2, 3, 4)
  layer(x, x)
  state <- serialize(layer, NULL)
  at <- grepRaw("ATTNLAY1", state, fixed = TRUE) + 300L
  state[at] <- xor(state[at], as.raw(1))
  before <- held()
  for (i in 1:20) {
    expect_attn_error(layer(x, x, attention_mask = array(TRUE, c(2, 3, 7))), "shape")
    expect_attn_error(layer(x, random_array(2, 3, 5)), "shape")
    expect_attn_error(set_weights(layer, list(1)), "weights")
    expect_attn_error(unserialize(state), "state")
    expect_attn_error(mha_for_leaks()(x, x[, , 1:2], "a"))
  }
  expect_identical(of_layers(held()), of_layers(before))
})

test_that("a call that a time limit ends gives its memory back", {
  x <- array(sin(seq_len(8192 * 8)), c(1, 8192, 8))
  layer <- layer_multi_head_attention(num_heads = 8, key_dim = 8)
  layer(x[, 1:4, , drop = FALSE], x[, 1:4, , drop = FALSE])
  before <- held()
  for (i in 1:3) {
    expect_error(
      local({
        setTimeLimit(elapsed = 0.05, transient = TRUE)
        on.exit(setTimeLimit())
        for (turn in 1:1000) layer(x, x)
      }),
      "time limit"
    )
  }
  after <- held()
  expect_identical(after[["under_way"]], 0)
  expect_identical(after[["layers"]], before[["layers"]])
  # what one call leaves for the next: not more than it may keep
  expect_lte(after[["workspace_bytes"]], before[["workspace_bytes"]] + 128 * 2^20)
})

test_that("models that come and go install no names for good", {
  model <- function() {
    input <- keras_input(c(3, 4))
    keras_model(input, layer_add(list(layer_dense(input, 4), input)))
  }
  cells <- function() {
    for (i in 1:3) used <- gc(full = TRUE)
    used[1, 1]
  }
  kept <- lapply(1:600, function(i) model()) # alive, so that no address comes twice
  rm(kept)
  before <- cells()
  kept <- lapply(1:300, function(i) model())
  rm(kept)
  # a symbol for every node would be 2700 cells and more
  expect_lt(cells() - before, 1500)
})
