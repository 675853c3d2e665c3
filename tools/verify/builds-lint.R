# Rscript builds-lint.R FOLDER LIBRARY: what codetools finds in the package of that library, and
# in the R code of the folder T and F for TRUE and FALSE, long lines, and names that are defined
# twice, of which R would take the last.
arguments <- commandArgs(TRUE)
suppressPackageStartupMessages(library("attn", lib.loc = arguments[2L]))
codetools::checkUsagePackage("attn", all = FALSE, suppressLocalUnused = FALSE)

for (file in list.files(arguments[1L], "[.]R$", full.names = TRUE)) {
  tokens <- utils::getParseData(parse(file, keep.source = TRUE))
  short <- tokens[tokens$token == "SYMBOL" & tokens$text %in% c("T", "F"), ]
  if (nrow(short) > 0L) {
    cat(sprintf("%s:%d: %s for a logical constant\n", file, short$line1, short$text), sep = "")
  }
  long <- which(nchar(readLines(file)) > 100L)
  if (length(long) > 0L) cat(sprintf("%s:%d: a line of over 100 columns\n", file, long), sep = "")
}

defined <- unlist(lapply(list.files(arguments[1L], "[.]R$", full.names = TRUE), function(file) {
  code <- as.list(parse(file, keep.source = FALSE))
  is_definition <- vapply(code, function(line) {
    is.call(line) && identical(line[[1L]], as.name("<-")) && is.name(line[[2L]])
  }, NA)
  vapply(code[is_definition], function(line) as.character(line[[2L]]), "")
}))
twice <- unique(defined[duplicated(defined)])
if (length(twice)) cat(sprintf("%s is defined more than once\n", twice), sep = "")
