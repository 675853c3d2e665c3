# For test-fixtures-errors.R: every bad argument and call that real Keras refuses
# (fixtures/errors.rds), as a call in R that must give a classed error; or the
# reason why it does not.

# Named as in the fixture: "layer: what is bad".
refused_calls <- function() {
  x <- random_array(2, 3, 4)
  y <- random_array(2, 5, 4)
  make_mha <- function(num_heads = 2, key_dim = 2, ...) {
    layer_multi_head_attention(num_heads = num_heads, key_dim = key_dim, ...)
  }
  make_gqa <- function(head_dim = 2, num_query_heads = 4, num_key_value_heads = 2, ...) {
    layer_group_query_attention(
      head_dim = head_dim, num_query_heads = num_query_heads,
      num_key_value_heads = num_key_value_heads, ...
    )
  }
  built <- function() {
    layer <- make_mha()
    layer$build(c(2, 3, 4), c(2, 5, 4))
    layer
  }
  scores <- TRUE
  list(
    "MultiHeadAttention: num_heads=0" = function() make_mha(num_heads = 0),
    "MultiHeadAttention: num_heads=-2" = function() make_mha(num_heads = -2),
    "MultiHeadAttention: num_heads=1.5" = function() make_mha(num_heads = 1.5),
    "MultiHeadAttention: key_dim=0" = function() make_mha(key_dim = 0),
    "MultiHeadAttention: key_dim=1.5" = function() make_mha(key_dim = 1.5),
    "MultiHeadAttention: value_dim=0" = function() make_mha(value_dim = 0),
    "MultiHeadAttention: value_dim=-2" = function() make_mha(value_dim = -2),
    "MultiHeadAttention: value_dim=1.5" = function() make_mha(value_dim = 1.5),
    "MultiHeadAttention: attention_axes='a'" = function() make_mha(attention_axes = "a"),
    "MultiHeadAttention: attention_axes=1.5" = function() make_mha(attention_axes = 1.5),
    "MultiHeadAttention: sliding_window=0" = function() make_mha(sliding_window = 0),
    "MultiHeadAttention: sliding_window=-3" = function() make_mha(sliding_window = -3),
    "MultiHeadAttention: sliding_window=1.5" = function() make_mha(sliding_window = 1.5),
    "MultiHeadAttention: unknown constructor argument foo=1" = function() make_mha(foo = 1),
    "MultiHeadAttention: dropout=1.5 (only fails when built)" = function() make_mha(dropout = 1.5),
    "MultiHeadAttention: dropout=-0.1 (only fails when built)" =
      function() make_mha(dropout = -0.1),
    "MultiHeadAttention: kernel_initializer='foo'" =
      function() make_mha(kernel_initializer = "foo"),
    "MultiHeadAttention: kernel_regularizer='foo'" =
      function() make_mha(kernel_regularizer = "foo"),
    "MultiHeadAttention: kernel_constraint='foo'" = function() make_mha(kernel_constraint = "foo"),
    "MultiHeadAttention: dtype='foo'" = function() make_mha(dtype = "foo"),
    "MultiHeadAttention: call: value (2,2,8) and key (2,1,7) differ in S" =
      function() make_mha()(x, random_array(2, 2, 8), random_array(2, 1, 7)),
    "MultiHeadAttention: compute_output_shape: value (2,2,8) key (2,1,7)" =
      function() make_mha()$compute_output_shape(c(2, 4, 8), c(2, 2, 8), c(2, 1, 7)),
    "MultiHeadAttention: call without value" = function() make_mha()(x),
    "MultiHeadAttention: call with unknown argument foo" = function() make_mha()(x, y, foo = 1),
    "MultiHeadAttention: batch mismatch query (2,3,4) value (3,5,4), fused path" =
      function() make_mha()(x, random_array(3, 5, 4)),
    "MultiHeadAttention: batch mismatch, softmax path" =
      function() make_mha()(x, random_array(3, 5, 4), return_attention_scores = scores),
    "MultiHeadAttention: attention_mask (2,3,4) for scores (2,2,3,5), fused path" =
      function() make_mha()(x, y, attention_mask = array(TRUE, c(2, 3, 4))),
    "MultiHeadAttention: attention_mask (2,3,4) for scores (2,2,3,5), softmax path" =
      function() {
        make_mha()(x, y,
          attention_mask = array(TRUE, c(2, 3, 4)), return_attention_scores = scores
        )
      },
    "MultiHeadAttention: attention_mask of rank 5, softmax path" = function() {
      make_mha()(x, y,
        attention_mask = array(TRUE, c(1, 2, 2, 3, 5)), return_attention_scores = scores
      )
    },
    "MultiHeadAttention: attention_mask of rank 1 (5)" =
      function() make_mha()(x, y, attention_mask = rep(TRUE, 5)),
    "MultiHeadAttention: value_mask (2,4) for S=5" =
      function() make_mha()(x, y, value_mask = matrix(TRUE, 2, 4)),
    "MultiHeadAttention: rank-4 attention_mask with value_mask, N != B" = function() {
      make_mha(num_heads = 3)(x, y,
        attention_mask = array(TRUE, c(2, 3, 3, 5)), value_mask = matrix(TRUE, 2, 5)
      )
    },
    "MultiHeadAttention: causal with two attention axes (rank-4 input)" = function() {
      z <- random_array(2, 3, 3, 4)
      make_mha()(z, z, use_causal_mask = TRUE)
    },
    "MultiHeadAttention: rank-2 query and value" =
      function() make_mha()(random_array(2, 4), random_array(2, 4)),
    "MultiHeadAttention: rank-4 query, rank-3 value" =
      function() make_mha()(random_array(2, 3, 3, 4), y),
    "MultiHeadAttention: built for last dim 4, called with last dim 6" =
      function() built()(random_array(2, 3, 6), random_array(2, 5, 6)),
    "MultiHeadAttention: built for rank 3, called with rank 4" =
      function() built()(random_array(2, 3, 3, 4), random_array(2, 3, 3, 4)),
    "MultiHeadAttention: set_weights: wrong number" =
      function() set_weights(built(), get_weights(built())[1]),
    "MultiHeadAttention: set_weights: wrong shape" = function() {
      weights <- get_weights(built())
      weights[[1]] <- random_array(9, 2, 2)
      set_weights(built(), weights)
    },
    "MultiHeadAttention: a string as query" = function() make_mha()("a", "b"),
    "GroupedQueryAttention: num_query_heads=3, num_key_value_heads=2" =
      function() make_gqa(num_query_heads = 3),
    "GroupedQueryAttention: sliding_window=0" = function() make_gqa(sliding_window = 0),
    "GroupedQueryAttention: sliding_window=2.5" = function() make_gqa(sliding_window = 2.5),
    "GroupedQueryAttention: head_dim=0" = function() make_gqa(head_dim = 0),
    "GroupedQueryAttention: head_dim=-1" = function() make_gqa(head_dim = -1),
    "GroupedQueryAttention: num_key_value_heads=0" = function() make_gqa(num_key_value_heads = 0),
    "GroupedQueryAttention: compute_output_shape: query (2,4,8) value (2,2,7)" =
      function() make_gqa()$compute_output_shape(c(2, 4, 8), c(2, 2, 7)),
    "GroupedQueryAttention: compute_output_shape: value (2,2,8) key (2,1,7)" =
      function() make_gqa()$compute_output_shape(c(2, 4, 8), c(2, 2, 8), c(2, 1, 7)),
    "GroupedQueryAttention: rank-4 inputs" =
      function() make_gqa()(random_array(2, 3, 3, 4), random_array(2, 3, 3, 4)),
    "GroupedQueryAttention: attention_mask (2,3,4) for S=5, softmax path" = function() {
      make_gqa()(x, y,
        attention_mask = array(TRUE, c(2, 3, 4)), return_attention_scores = scores
      )
    },
    "GroupedQueryAttention: unknown constructor argument foo=1" = function() make_gqa(foo = 1),
    # Keras's numpy backend stretches a key of length 1; other lengths fail there too.
    "GroupedQueryAttention: call: value S=2, key S=1 (no check in build)" =
      function() make_gqa()(x, random_array(2, 2, 4), random_array(2, 1, 4)),
    "Attention: score_mode='invalid_mode'" =
      function() layer_attention(score_mode = "invalid_mode"),
    "Attention: called on a single tensor" = function() layer_attention()(x),
    "Attention: list of length 1" = function() layer_attention()(list(x)),
    "Attention: list of length 4" = function() layer_attention()(list(x, y, y, y)),
    "Attention: mask is not a list" =
      function() layer_attention()(list(x, y), mask = matrix(TRUE, 2, 3)),
    "Attention: mask list of length 1" =
      function() layer_attention()(list(x, y), mask = list(matrix(TRUE, 2, 3))),
    "Attention: query/key feature dims differ (dot)" =
      function() layer_attention()(list(x, y, random_array(2, 5, 3))),
    "Attention: query/key feature dims differ (concat)" =
      function() layer_attention(score_mode = "concat")(list(x, y, random_array(2, 5, 3))),
    "Attention: value/key lengths differ" =
      function() layer_attention()(list(x, y, random_array(2, 6, 4))),
    "Attention: value_mask (2,4) for Tv=5" =
      function() layer_attention()(list(x, y), mask = list(NULL, matrix(TRUE, 2, 4))),
    "Attention: unknown constructor argument foo=1" = function() layer_attention(foo = 1),
    # Keras accepts it and divides by a negative number.
    "Attention: dropout=1.5, training=TRUE" = function() layer_attention(dropout = 1.5),
    "AdditiveAttention: called on a single tensor" = function() layer_additive_attention()(x),
    "AdditiveAttention: list of length 4" =
      function() layer_additive_attention()(list(x, y, y, y)),
    "AdditiveAttention: mask is not a list" =
      function() layer_additive_attention()(list(x, y), mask = matrix(TRUE, 2, 3)),
    "AdditiveAttention: mask list of length 1" =
      function() layer_additive_attention()(list(x, y), mask = list(matrix(TRUE, 2, 3))),
    "AdditiveAttention: score_mode='foo'" = function() layer_additive_attention(score_mode = "foo"),
    "AdditiveAttention: query/key feature dims differ" =
      function() layer_additive_attention()(list(x, y, random_array(2, 5, 3)))
  )
}

# Not errors here, by design or because the reason is one of Python's.
accepted_calls <- c(
  # 8.0 is a float in Python; in R it is how people write eight (8.5 is refused).
  "MultiHeadAttention: output_shape=8.0",
  # The tiled computation knows dropout and scores.
  "MultiHeadAttention: flash_attention=TRUE, dropout=0.1",
  "MultiHeadAttention: flash_attention=TRUE and return_attention_scores=TRUE",
  "MultiHeadAttention: flash_attention=TRUE on the numpy backend",
  "GroupedQueryAttention: flash_attention=TRUE, dropout=0.1",
  "GroupedQueryAttention: flash_attention=TRUE and return_attention_scores=TRUE",
  # R has no tuples.
  "Attention: tuple instead of list",
  # No error in Keras either; here with a warning.
  "AdditiveAttention: score_mode='dot' (accepted, no error)"
)
