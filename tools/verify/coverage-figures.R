# Line and branch coverage out of what gcov and covr counted. A line or a branch of a header
# that is compiled several times counts as covered if one of its instances was.

# What gcov says of the programs whose notes (.gcno) are in the folders: a data frame of
# file ("core/json.c", as in src/), line, branch (0 for the line itself), function and count.
c_counts <- function(folders, src) {
  notes <- list.files(folders, "\\.gcno$", recursive = TRUE, full.names = TRUE)
  all <- lapply(notes, function(note) {
    json <- system2(
      "gcov", c("--json-format", "--stdout", "--branch-probabilities", shQuote(note)),
      stdout = TRUE, stderr = FALSE
    )
    merge_instances(do.call(rbind, lapply(json, counts_of_json, src)))
  })
  merge_instances(do.call(rbind, all))
}

counts_of_json <- function(json, src) {
  files <- jsonlite::fromJSON(json, simplifyVector = FALSE)$files
  do.call(rbind, lapply(files, function(file) {
    name <- name_in_src(file$file, src)
    if (is.na(name) || !length(file$lines)) {
      return(NULL)
    }
    # one instance of the line: the line itself, then its branches
    counts <- lapply(file$lines, function(line) {
      c(line$count, vapply(line$branches, function(branch) branch$count, 0))
    })
    sizes <- lengths(counts)
    data.frame(
      file = name,
      line = rep(vapply(file$lines, function(line) line$line_number, 0), sizes),
      branch = sequence(sizes) - 1L,
      functions = rep(vapply(file$lines, function_of_line, ""), sizes),
      count = unlist(counts)
    )
  }))
}

# "exponential" of exponential_avx2_f32
function_of_line <- function(line) {
  sub("(_(scalar|avx2|avx512|neon))?_f(32|64)$", "", c(line$function_name, "")[1L])
}

# gcov's path of a file of src/ may begin anywhere, that of a file from elsewhere is NA.
name_in_src <- function(path, src) {
  name <- sub("^.*/([^/]+/[^/]+)$", "\\1", paste0("./", path))
  name <- sub("^\\./", "", sub("^src/", "", name))
  if (file.exists(file.path(src, name)) && !grepl("tests/core/[^/.]+\\.[ch]$", path)) name else NA
}

merge_instances <- function(counts) {
  if (is.null(counts)) {
    return(NULL)
  }
  key <- paste(counts$file, counts$line, counts$branch)
  merged <- counts[!duplicated(key), ]
  merged$count <- as.vector(rowsum(counts$count, key, reorder = FALSE))
  merged
}

# What covr counted: a data frame of file ("json.R", as in R/), line, function and count. A
# line with several expressions counts as covered if all of them were.
r_counts <- function(traces) {
  all <- lapply(traces, readRDS)
  merged <- all[[1L]]
  for (counters in all[-1L]) {
    for (key in names(counters)) {
      value <- counters[[key]]$value
      if (is.null(merged[[key]]$srcref)) {
        merged[[key]] <- counters[[key]]
      } else {
        merged[[key]]$value <- merged[[key]]$value + value
      }
    }
  }
  # counters without a place: of functions that came from another process
  merged <- Filter(function(counter) !is.null(counter$srcref), merged)
  lines <- covr:::tally_coverage(structure(merged, class = "coverage"), by = "line")
  data.frame(
    file = basename(lines$filename), line = lines$line, functions = lines$functions,
    count = lines$value
  )
}

# "12-14, 20" of c(12, 13, 14, 20)
as_ranges <- function(lines) {
  lines <- sort(unique(lines))
  starts <- which(c(TRUE, diff(lines) > 1))
  ends <- c(starts[-1L] - 1L, length(lines))
  ranges <- ifelse(
    lines[starts] == lines[ends], lines[starts], paste0(lines[starts], "-", lines[ends])
  )
  paste(ranges, collapse = ", ")
}

# ---- the report ----

# The functions that uncovered.md explains: of each line "- `file` `function`, ...: why"
# "file function", or "file *" for a whole file.
explained_functions <- function(report) {
  lines <- grep("^- `", readLines(report), value = TRUE)
  unlist(lapply(lines, function(line) {
    named <- gsub("`", "", regmatches(line, gregexpr("`[^`]*`", sub("`:.*", "`", line)))[[1L]])
    paste(named[1L], named[-1L])
  }))
}

# Lines of the report: what, figure, bound, whether it holds.
say <- function(what, figure, bound, holds) {
  cat(what, figure, bound, isTRUE(holds), sep = "\t")
  cat("\n")
}

say_share <- function(what, counts, least) {
  covered <- counts$count > 0
  share <- 100 * mean(covered)
  figure <- sprintf(
    "%.2f %%, %s of %s", share, format(sum(covered), big.mark = ","),
    format(length(covered), big.mark = ",")
  )
  say(what, figure, paste("at least", least, "%"), share >= least)
}

say_folders <- function(lines) {
  shares <- tapply(lines$count > 0, dirname(lines$file), function(x) 100 * mean(x))
  shares <- shares[names(shares) != "."]
  say(
    "lines of each folder of src/", paste(sprintf("%s %.1f %%", names(shares), shares),
      collapse = ", "
    ), "at least 90 % each", all(shares >= 90)
  )
}

# The lines that uncovered.md explains wherever they are: of "- line `text`: why" the text.
explained_lines <- function(report) {
  lines <- grep("^- line `", readLines(report), value = TRUE)
  sub("^- line `([^`]*)`.*", "\\1", lines)
}

text_of_lines <- function(lines, root) {
  files <- file.path(root, ifelse(grepl("\\.[ch]$", lines$file), "src", "R"), lines$file)
  all <- lapply(stats::setNames(nm = unique(files)), readLines)
  trimws(mapply(function(file, line) all[[file]][line], files, lines$line))
}

# gcov has no name for functions that a macro names: "transpose" of the KERNEL(transpose)(...)
# that begins last at or before the line.
name_by_macro <- function(lines, root) {
  for (i in which(lines$functions == "" & grepl("\\.[ch]$", lines$file))) {
    above <- readLines(file.path(root, "src", lines$file[i]), n = lines$line[i])
    head <- grep("^[A-Za-z].*KERNEL\\([a-z_]+\\)\\(", above, value = TRUE)
    if (length(head)) {
      lines$functions[i] <- sub(".*KERNEL\\(([a-z_]+)\\)\\(.*", "\\1", utils::tail(head, 1L))
    }
  }
  lines
}

say_unexplained <- function(lines, root) {
  report <- file.path(root, "tools/verify/uncovered.md")
  uncovered <- lines[lines$count == 0, ]
  known <- text_of_lines(uncovered, root) %in% explained_lines(report)
  uncovered <- name_by_macro(uncovered[!known, ], root)
  functions <- unique(paste(uncovered$file, uncovered$functions))
  explained <- explained_functions(report)
  whole <- sub(" \\*$", "", grep(" \\*$", explained, value = TRUE))
  left <- setdiff(functions, explained)
  left <- left[!sub(" .*", "", left) %in% whole]
  if (length(left)) {
    ranges <- vapply(left, function(name) {
      as_ranges(uncovered$line[paste(uncovered$file, uncovered$functions) == name])
    }, "")
    message(paste0(left, ": ", ranges, collapse = "\n"))
  }
  say(
    "functions with uncovered lines that tools/verify/uncovered.md does not explain",
    sprintf("%d of %d (%d lines)", length(left), length(functions), sum(lines$count == 0)), "0",
    !length(left)
  )
}

# Rscript coverage-figures.R readers FOLDER, or all PACKAGE CORE (and traces beside them)
main <- function(arguments) {
  root <- Sys.getenv("ATTN_ROOT")
  counts <- c_counts(arguments[-1L], file.path(root, "src"))
  lines <- counts[counts$branch == 0L, ]
  if (arguments[1L] == "readers") {
    say_share("lines that read and write safetensors, under their own tests", lines, 95)
    return(invisible())
  }
  r_lines <- r_counts(Sys.glob(file.path(dirname(arguments[2L]), "trace-*.rds")))
  say_share("lines of src/", lines, 95)
  say_folders(lines)
  say_share("branches of src/", counts[counts$branch > 0L, ], 85)
  say_share("lines of R/", r_lines, 98)
  say_unexplained(rbind(lines[names(r_lines)], r_lines), root)
}

if (!interactive() && sys.nframe() == 0L) main(commandArgs(TRUE))
