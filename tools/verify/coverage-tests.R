# Rscript coverage-tests.R FOLDER PART PARTS TRACE: runs a part of the testthat files in
# the folder against the installed package with every expression of its R code counted,
# and keeps the counts in the file TRACE. The C code counts by itself where it was
# compiled to do so.

arguments <- commandArgs(TRUE)
folder <- arguments[1L]
part <- as.integer(arguments[2L])
parts <- as.integer(arguments[3L])

Sys.setenv(NOT_CRAN = "true")
suppressPackageStartupMessages({
  library(testthat)
  library(attn)
})

# covr counts the functions of the namespace, but not those in its lists: the tables of the
# kinds of layers, of properties, of methods, some of which another function has made.
is_uncounted <- function(value) {
  is.function(value) && !is.primitive(value) && !"covr" %in% all.names(body(value)) &&
    identical(topenv(environment(value)), asNamespace("attn"))
}
count_listed <- function(value, name) {
  if (is.list(value)) {
    elements <- if (is.null(names(value))) seq_along(value) else names(value)
    Map(count_listed, value, paste0(name, "$", elements))
  } else if (is_uncounted(value)) {
    covr:::replace(covr:::replacement(name, asNamespace("attn"), value))
  }
}
invisible(covr:::trace_environment(asNamespace("attn")))
for (name in ls(asNamespace("attn"), all.names = TRUE)) {
  count_listed(get(name, asNamespace("attn")), name)
}

# What makes such tables ran when the package was installed: it runs once more, where it
# changes nothing, to be counted.
apart <- new.env(parent = asNamespace("attn"))
for (file in list.files(file.path(Sys.getenv("ATTN_ROOT"), "R"), full.names = TRUE)) {
  for (line in as.list(parse(file, keep.source = FALSE))) {
    if (is.call(line) && identical(line[[1L]], as.name("<-")) && is.call(line[[3L]]) &&
      !identical(line[[3L]][[1L]], as.name("function"))) {
      eval(line, apart)
    }
  }
}

# large files and small ones in each part
files <- list.files(folder, "^test-.*\\.R$")
files <- files[order(-file.size(file.path(folder, files)))]
names <- sub("^test-(.*)\\.R$", "\\1", files[seq_along(files) %% parts == part - 1L])
filter <- paste0("^(", paste(names, collapse = "|"), ")$")

results <- as.data.frame(test_dir(
  folder,
  package = "attn", load_package = "installed", filter = filter,
  reporter = SummaryReporter$new(show_praise = FALSE, omit_dots = TRUE, max_reports = 50L),
  stop_on_failure = FALSE
))
saveRDS(as.list(covr:::.counters), arguments[4L])
cat(sprintf(
  "%d passed, %d failed, %d skipped\n",
  sum(results$passed), sum(results$failed + results$error), sum(results$skipped)
))
