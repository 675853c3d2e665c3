# Rscript builds-lint.R FOLDER LIBRARY: what codetools finds in the package of that library, and
# T and F for TRUE and FALSE in the R code of the folder.
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
