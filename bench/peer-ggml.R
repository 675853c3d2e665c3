# ggmlR as a peer: the layer as one ggml graph with flash attention. R arrays in
# and out, but in ggml's order of axes (D, T, B), which spares it a permutation.

folder <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1L]))
source(file.path(folder, "peer.R"))
suppressPackageStartupMessages(library(ggmlR))

# Beyond this many operations a call takes too long to wait for.
limit <- as.numeric(Sys.getenv("BENCH_LIMIT_GFLOP", "2"))

# y (columns x rows) = w x + bias
project <- function(ctx, x, w, bias) ggml_add(ctx, ggml_mul_mat(ctx, w, x), bias)

graph_of <- function(ctx, case, x) {
  matrix_of <- function() {
    w <- ggml_new_tensor_2d(ctx, GGML_TYPE_F32, case$D, case$D)
    ggml_set_f32(w, random_array(case$D, case$D))
    w
  }
  bias_of <- function() {
    bias <- ggml_new_tensor_1d(ctx, GGML_TYPE_F32, case$D)
    ggml_set_f32(bias, random_array(case$D))
    bias
  }
  # (K, T, N, B)
  heads <- function() {
    y <- project(ctx, x, matrix_of(), bias_of())
    ggml_permute(ctx, ggml_reshape_4d(ctx, y, case$K, case$N, case$T, case$B), 0, 2, 1, 3)
  }
  context <- ggml_flash_attn_ext(ctx, heads(), heads(), heads(), NULL, 1 / sqrt(case$K))
  project(ctx, ggml_reshape_3d(ctx, context, case$D, case$T, case$B), matrix_of(), bias_of())
}

call_of <- function(ctx, case) {
  values <- random_array(case$D, case$T, case$B)
  x <- ggml_new_tensor_3d(ctx, GGML_TYPE_F32, case$D, case$T, case$B)
  ggml_set_f32(x, values)
  result <- graph_of(ctx, case, x)
  graph <- ggml_build_forward_expand(ctx, result)
  function() {
    ggml_set_f32(x, values)
    ggml_graph_compute_with_ctx(ctx, graph, case$threads)
    array(ggml_get_f32(result), dim(values))
  }
}

answer <- function(case) {
  if (case$kind == "hello") {
    return(c("0", format(utils::packageVersion("ggmlR"))))
  }
  if (case$variant != "plain" || case$mask != "full" || case$N != case$G ||
    case$dtype != "float32") stop("not written")
  if (case$D != case$N * case$K) stop("not written")
  if (4e-9 * case$B * case$T * case$D * (2 * case$D + case$T) > limit) stop("too slow")
  megabytes <- 64 + 100 * case$B * case$T * case$D * 4e-6 + 40 * case$D^2 * 4e-6
  ctx <- ggml_init(megabytes * 1e6)
  on.exit(ggml_free(ctx))
  fastest_call(call_of(ctx, case), case$seconds)
}

serve(answer)
