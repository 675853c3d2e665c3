# The table of layer kinds. (Its file comes behind those of the kinds when the package is
# put together.)

attention_kinds <- list(
  multi_head_attention = list(
    module = "keras.layers", calls = "heads",
    class_name = "MultiHeadAttention", serialized_name = "MultiHeadAttention",
    constructor = "layer_multi_head_attention", prefix = "multi_head_attention"
  ),
  group_query_attention = list(
    module = "keras.layers", calls = "heads",
    class_name = "GroupedQueryAttention", serialized_name = "GroupQueryAttention",
    constructor = "layer_group_query_attention", prefix = "grouped_query_attention"
  ),
  attention = list(
    module = "keras.layers", calls = "scores",
    class_name = "Attention", serialized_name = "Attention",
    constructor = "layer_attention", prefix = "attention"
  ),
  additive_attention = list(
    module = "keras.layers", calls = "scores",
    class_name = "AdditiveAttention", serialized_name = "AdditiveAttention",
    constructor = "layer_additive_attention", prefix = "additive_attention"
  )
)

layer_kinds <- c(attention_kinds, list(
  activation = activation_kind,
  add = add_kind,
  average = average_kind,
  concatenate = concatenate_kind,
  conv_1d = conv_1d_kind,
  dense = dense_kind,
  dot = dot_kind,
  dropout = dropout_kind,
  einsum_dense = einsum_dense_kind,
  elu = elu_kind,
  embedding = embedding_kind,
  flatten = flatten_kind,
  functional = functional_kind,
  global_average_pooling_1d = global_average_pooling_1d_kind,
  global_max_pooling_1d = global_max_pooling_1d_kind,
  identity = identity_kind,
  input_layer = input_layer_kind,
  layer_normalization = layer_normalization_kind,
  lambda = lambda_kind,
  leaky_relu = leaky_relu_kind,
  masking = masking_kind,
  maximum = maximum_kind,
  minimum = minimum_kind,
  multiply = multiply_kind,
  operation = operation_kind,
  parametric_relu = parametric_relu_kind,
  permute = permute_kind,
  position_embedding = position_embedding_kind,
  relu = relu_kind,
  repeat_vector = repeat_vector_kind,
  rescaling = rescaling_kind,
  reshape = reshape_kind,
  rms_normalization = rms_normalization_kind,
  rotary_embedding = rotary_embedding_kind,
  sequential = sequential_kind,
  sine_position_encoding = sine_position_encoding_kind,
  softmax = softmax_kind,
  subtract = subtract_kind,
  time_distributed = time_distributed_kind,
  transformer_decoder = transformer_decoder_kind,
  transformer_encoder = transformer_encoder_kind
))
