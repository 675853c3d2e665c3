# What is measured: one row per case and number of threads. Read by run.R, which
# asks every peer named in `peers` for the time of the case.
#
# A case travels to a peer as a line of `key=value` words:
#   kind      peak, matmul, tanh, attention, layer, additive, concat or encoder (a model of
#             6 Transformer layers with C units between the dense layers of each)
#   B T D N   batch, length, width, heads; G key/value heads, K size of a head
#   M D C     of a matrix product: (M x D) times (D x C)
#   mask      full; causal; window: causal, and at most the last 256 keys;
#             padding: the last quarter of the keys is hidden
#   variant   plain, scores (they are returned as well) or dropout (rate 0.1)
#   dtype, isa, threads, seconds (how long to repeat the call)

blank_case <- list(
  section = "", kind = "", B = 0, T = 0, D = 0, N = 0, G = 0, K = 0, M = 0, C = 0,
  mask = "full", variant = "plain", dtype = "float32", isa = "best", threads = "1,2",
  peers = "", quick = FALSE
)

# Arguments are fields of a case; vectors give one case per element.
cases_of <- function(section, kind, peers, ...) {
  given <- list(section = section, kind = kind, peers = peers, ...)
  fields <- utils::modifyList(blank_case, given)
  made <- do.call(data.frame, c(fields, stringsAsFactors = FALSE))
  made$G <- ifelse(made$G == 0, made$N, made$G)
  made$K <- ifelse(made$K == 0 & made$N > 0, made$D %/% pmax(made$N, 1), made$K)
  made
}

# The same with every mask of `masks`.
masked_cases <- function(masks, ...) {
  do.call(rbind, lapply(masks, function(mask) cases_of(..., mask = mask)))
}

peak_cases <- function() {
  one <- expand.grid(isa = isas, dtype = c("float32", "float64"), stringsAsFactors = FALSE)
  peak <- cases_of("FMA peak", "peak", "core", isa = one$isa, dtype = one$dtype, quick = TRUE)
  tanh <- cases_of("tanh", "tanh", "core", isa = one$isa, dtype = one$dtype, threads = "1",
    quick = one$dtype == "float32"
  )
  rbind(peak, tanh)
}

matmul_cases <- function() {
  section <- "Matrix product"
  peers <- "core openblas"
  rbind(
    cases_of(section, "matmul", peers,
      M = c(2048, 4096, 8192, 2048, 2048, 512, 1024, 2048, 591, 2000, 16),
      D = c(512, 512, 512, 512, 2048, 512, 256, 128, 192, 80, 64),
      C = c(512, 512, 512, 2048, 512, 512, 256, 128, 192, 80, 64),
      quick = c(TRUE, FALSE, FALSE, TRUE, FALSE, FALSE, TRUE, FALSE, FALSE, FALSE, TRUE)
    ),
    cases_of(section, "matmul", peers,
      M = c(2048, 2048, 512, 1024, 16), D = c(512, 2048, 512, 256, 64),
      C = c(512, 512, 512, 256, 64), dtype = "float64",
      quick = c(TRUE, FALSE, FALSE, FALSE, FALSE)
    ),
    cases_of(section, "matmul", "core", M = 2048, D = 512, C = 512, isa = c("avx2", "scalar"),
      threads = c("1,2", "1"), quick = c(TRUE, FALSE)
    ),
    cases_of(section, "matmul", "core", M = 2048, D = 512, C = 512, isa = "avx2",
      dtype = "float64"
    )
  )
}

attention_cases <- function() {
  section <- "Attention alone"
  peers <- "core onnxruntime pytorch"
  heads <- function(...) cases_of(section, "attention", B = 1, T = 2048, ...)
  rbind(
    masked_cases(c("full", "causal", "window", "padding"), section, "attention", peers,
      B = 1, T = 2048, D = 512, N = 8, quick = TRUE
    ),
    masked_cases(c("full", "causal", "window"), section, "attention", "core onnxruntime",
      B = 1, T = 8192, D = 512, N = 8
    ),
    heads(peers = peers, D = c(256, 640, 512), N = c(8, 8, 4)),
    heads(peers = "core onnxruntime", D = c(256, 640, 512), N = c(8, 8, 4), mask = "causal"),
    heads(peers = "core pytorch", D = 512, N = 8, dtype = "float64"),
    heads(peers = "core", D = 512, N = 8, dtype = "float64", mask = "causal"),
    heads(peers = "core", D = 512, N = 8, isa = "avx2", mask = c("full", "causal"),
      quick = c(TRUE, FALSE)
    ),
    cases_of(section, "attention", "core", B = 1, T = 512, D = 512, N = 8, isa = "scalar",
      threads = "1"
    )
  )
}

everyone <- "attn core onnxruntime pytorch ggmlR R R+OpenBLAS"
native <- "attn core onnxruntime pytorch ggmlR"

shapes <- data.frame(
  B = c(8, 8, 1, 1, 32, 1, 3, 2), T = c(128, 512, 2048, 8192, 64, 16, 197, 1000),
  D = c(256, 512, 512, 512, 128, 64, 192, 80), N = c(4, 8, 8, 8, 4, 2, 3, 5),
  quick = c(TRUE, TRUE, TRUE, FALSE, FALSE, TRUE, FALSE, FALSE)
)

layer_cases <- function() {
  section <- "Multi-head layer"
  of_shapes <- function(which, ...) {
    do.call(cases_of, c(list(section, "layer"), as.list(shapes[which, c("B", "T", "D", "N")]),
      list(...)
    ))
  }
  every <- seq_len(nrow(shapes))
  rbind(
    of_shapes(every, peers = everyone, quick = shapes$quick),
    of_shapes(every, peers = native, mask = "causal", quick = shapes$quick & shapes$T > 1000),
    of_shapes(2:3, peers = "attn core pytorch", mask = "window"),
    of_shapes(4, peers = "attn core", mask = "window"),
    of_shapes(2:3, peers = "attn core onnxruntime pytorch", mask = "padding"),
    of_shapes(4, peers = "attn core onnxruntime", mask = "padding"),
    cases_of(section, "layer", native, B = 1, T = 2048, D = c(256, 640, 512), N = c(8, 8, 4)),
    cases_of(section, "layer", "attn core onnxruntime", B = 1, T = 2048, D = c(256, 640, 512),
      N = c(8, 8, 4), mask = "causal"
    ),
    masked_cases(c("full", "causal"), "Multi-head layer, other lengths", "layer",
      "attn core onnxruntime pytorch",
      B = 1, T = c(256, 512, 1024, 4096), D = 512, N = 8
    )
  )
}

variant_cases <- function() {
  layer <- function(section, peers, ...) cases_of(section, "layer", peers, ...)
  both <- list(B = c(8, 1), T = c(128, 2048), D = c(256, 512), N = c(4, 8))
  of_both <- function(section, peers, ...) do.call(layer, c(list(section, peers), both, list(...)))
  of_scores <- function(section, kind) {
    cases_of(section, kind, "attn pytorch R", B = c(8, 2), T = c(128, 512), D = c(256, 256),
      quick = c(TRUE, FALSE)
    )
  }
  rbind(
    layer("Grouped-query layer", "attn core R+OpenBLAS", B = c(8, 1), T = c(512, 2048), D = 512,
      N = 8, G = 2, quick = c(TRUE, FALSE)
    ),
    of_both("With scores", "attn pytorch R+OpenBLAS", variant = "scores", quick = c(TRUE, FALSE)),
    of_both("With dropout", "attn pytorch", variant = "dropout", quick = c(TRUE, FALSE)),
    of_both("float64", "attn core pytorch R+OpenBLAS", dtype = "float64", quick = c(TRUE, FALSE)),
    of_both("AVX2 forced", "attn core", isa = "avx2"),
    layer("Scalar forced", "attn core", B = 8, T = 128, D = 256, N = 4, isa = "scalar"),
    of_scores("Additive scores", "additive"),
    of_scores("Concat scores", "concat")
  )
}

encoder_cases <- function() {
  cases_of("Encoder of 6 layers", "encoder", "attn onnxruntime pytorch",
    B = c(8, 1), T = 128, D = 256, N = 8, C = 1024, quick = TRUE
  )
}

# How the C core scales where there are more than two processors: 1, 2, 4, 8, 16
# threads, beside a peak with as many.
scaling_cases <- function(processors = parallel::detectCores()) {
  threads <- 2^(0:4)
  threads <- threads[threads <= processors]
  if (length(threads) < 3L) return(NULL)
  scaled <- function(section, kind, ...) {
    cases_of(paste("Scaling:", section), kind, "core", ...,
      threads = paste(threads, collapse = ",")
    )
  }
  rbind(
    scaled("FMA peak", "peak"),
    scaled("matrix product", "matmul", M = 8192, D = 512, C = 512),
    scaled("attention", "attention", B = 1, T = c(2048, 8192), D = 512, N = 8),
    scaled("attention", "attention", B = 1, T = 8192, D = 512, N = 8, mask = "causal"),
    scaled("layer", "layer", B = c(8, 1), T = c(512, 8192), D = 512, N = 8)
  )
}

all_cases <- function() {
  made <- rbind(
    peak_cases(), matmul_cases(), attention_cases(), layer_cases(), variant_cases(),
    encoder_cases(), scaling_cases()
  )
  threads <- strsplit(made$threads, ",", fixed = TRUE)
  made <- made[rep(seq_len(nrow(made)), lengths(threads)), ]
  made$threads <- as.integer(unlist(threads))
  rownames(made) <- NULL
  made
}

# ---- What a case costs ------------------------------------------------------

# (query, key) pairs of one head that the mask leaves.
visible_pairs <- function(length, mask) {
  switch(mask,
    full = length^2,
    causal = length * (length + 1) / 2,
    window = sum(pmin(seq_len(length), 256)),
    padding = length * (length - length %/% 4)
  )
}

# Billions of operations that have to be done: masked pairs do not count.
gigaflops_of <- function(case) {
  pairs <- if (case$T > 0) visible_pairs(case$T, case$mask) else 0
  rows <- case$B * case$T
  attention <- 4 * case$B * case$N * case$K * pairs
  projections <- 4 * rows * case$D * case$K * (case$N + case$G)
  1e-9 * switch(case$kind,
    peak = 1e9 * case$threads,
    matmul = 2 * case$M * case$D * case$C,
    attention = attention,
    layer = attention + projections,
    encoder = 6 * (attention + projections + 4 * rows * case$D * case$C),
    NA_real_
  )
}

# tanh evaluations, in billions
gigatanhs_of <- function(case) {
  switch(case$kind,
    tanh = 1e-3,
    additive = , concat = 1e-9 * case$B * case$T^2 * case$D,
    NA_real_
  )
}

case_line <- function(case, seconds) {
  words <- c("kind", "B", "T", "D", "N", "G", "K", "M", "C", "mask", "variant", "dtype",
    "isa", "threads"
  )
  values <- vapply(words, function(word) format(case[[word]], scientific = FALSE), "")
  paste(c(paste0(words, "=", values), paste0("seconds=", seconds)), collapse = " ")
}
