visible_files <- function(folder) list.files(folder, all.files = TRUE, no.. = TRUE)

write_text <- function(text) {
  function(temporary) {
    writeBin(charToRaw(text), temporary)
    nchar(text, "bytes")
  }
}

test_that("a file appears whole, under its name, with nothing beside it", {
  folder <- withr::local_tempdir()
  path <- file.path(folder, "model")
  seen <- NULL
  write_atomically(path, FALSE, function(temporary) {
    writeBin(charToRaw("new"), temporary)
    seen <<- c(dirname(temporary), file.exists(path))
    3
  })
  expect_identical(seen, c(folder, "FALSE"))
  expect_identical(visible_files(folder), "model")
  expect_identical(file_bytes(path), charToRaw("new"))
})

test_that("an existing file is refused, or replaced with its mode", {
  folder <- withr::local_tempdir()
  path <- file.path(folder, "model")
  writeBin(charToRaw("old"), path)
  Sys.chmod(path, "640")
  expect_attn_error(
    write_atomically(path, FALSE, function(temporary) stop("not reached")), "file",
    "overwrite = TRUE"
  )
  write_atomically(path, TRUE, write_text("new"))
  expect_identical(file_bytes(path), charToRaw("new"))
  skip_on_os("windows")
  expect_identical(format(file.mode(path)), "640")
})

test_that("a file that appears in the meantime is not replaced", {
  path <- file.path(withr::local_tempdir(), "model")
  expect_attn_error(
    write_atomically(path, FALSE, function(temporary) {
      writeBin(charToRaw("mine"), temporary)
      writeBin(charToRaw("theirs"), path)
      4
    }), "file", "exists"
  )
  expect_identical(file_bytes(path), charToRaw("theirs"))
})

test_that("after errors and interrupts the old file is there, and no other", {
  folder <- withr::local_tempdir()
  path <- file.path(folder, "model")
  writeBin(charToRaw("old"), path)
  half_done <- function(then) {
    function(temporary) {
      writeBin(charToRaw("half"), temporary)
      then()
    }
  }
  expect_error(write_atomically(path, TRUE, half_done(function() stop("oh"))), "^oh$")
  interrupt <- structure(class = c("interrupt", "condition"), list(message = "", call = NULL))
  outcome <- tryCatch(
    write_atomically(path, TRUE, half_done(function() signalCondition(interrupt))),
    interrupt = function(condition) "interrupted"
  )
  expect_identical(outcome, "interrupted")
  expect_attn_error(
    write_atomically(path, TRUE, half_done(function() 5)), "file", "only 4 of 5 bytes"
  )
  expect_attn_error(write_atomically(path, TRUE, function(temporary) 0), "file", "nothing")
  expect_identical(visible_files(folder), "model")
  expect_identical(file_bytes(path), charToRaw("old"))
})

test_that("what is not the name of a file to be is refused", {
  folder <- withr::local_tempdir()
  never <- function(temporary) stop("not reached")
  expect_attn_error(write_atomically(folder, TRUE, never), "file", "folder")
  expect_attn_error(write_atomically(file.path(folder, "a", "b"), TRUE, never), "file", "no folder")
  expect_attn_error(write_atomically("", TRUE, never), "argument")
  expect_attn_error(write_atomically(NA_character_, TRUE, never), "argument")
  expect_attn_error(write_atomically(c("a", "b"), TRUE, never), "argument")
  skip_on_os("windows")
  expect_attn_error(write_atomically("/dev/null", TRUE, never), "file", "regular file")
  expect_attn_error(read_safetensors("/dev/zero"), "file", "regular file")
})

test_that("a folder that cannot be written to is refused", {
  skip_on_os("windows")
  folder <- withr::local_tempdir()
  Sys.chmod(folder, "500")
  withr::defer(Sys.chmod(folder, "700"))
  skip_if(file.access(folder, 2L) == 0L, "this user may write everywhere")
  expect_attn_error(
    write_atomically(file.path(folder, "a"), TRUE, write_text("a")), "file",
    "nothing can be written"
  )
})

test_that("~ and letters beyond ASCII are understood", {
  folder <- withr::local_tempdir()
  path <- file.path(folder, "mod\u00e8le \u20ac \U1F600")
  skip_if(inherits(try(file.create(path), silent = TRUE), "try-error") || !file.exists(path),
    "this locale cannot name such a file"
  )
  unlink(path)
  write_atomically(path, FALSE, write_text("x"))
  expect_identical(file_bytes(path), charToRaw("x"))
  expect_identical(length(visible_files(folder)), 1L)
  home <- path.expand("~")
  skip_if(file.access(home, 2L) != 0L, "the home folder cannot be written to")
  name <- basename(tempfile("attn-test-"))
  withr::defer(unlink(file.path(home, name)))
  write_atomically(file.path("~", name), FALSE, write_text("x"))
  expect_true(file.exists(file.path(home, name)))
})

test_that("a link is followed to the file", {
  skip_on_os("windows")
  folder <- withr::local_tempdir()
  dir.create(file.path(folder, "far"))
  target <- file.path(folder, "far", "model")
  writeBin(charToRaw("old"), target)
  link <- file.path(folder, "link")
  file.symlink(target, link)
  write_atomically(link, TRUE, write_text("new"))
  expect_identical(file_bytes(target), charToRaw("new"))
  expect_identical(Sys.readlink(link), target)
  expect_identical(visible_files(file.path(folder, "far")), "model")
})

test_that("links that lead to no file are refused, and stay", {
  skip_on_os("windows")
  folder <- withr::local_tempdir()
  links <- file.path(folder, c("dangling", "one", "two"))
  file.symlink(file.path(folder, c("nothing", "two", "one")), links)
  for (link in links) {
    for (overwrite in c(FALSE, TRUE)) {
      expect_attn_error(write_atomically(link, overwrite, write_text("x")), "file", "a link")
    }
    expect_attn_error(read_safetensors(link), "file", "no such file")
  }
  expect_setequal(visible_files(folder), basename(links))
})

test_that("while it is written, a file is its owner's alone; then it is as others are", {
  skip_on_os("windows")
  folder <- withr::local_tempdir()
  before <- Sys.umask("027")
  withr::defer(Sys.umask(before))
  path <- file.path(folder, "model")
  seen <- NULL
  write_atomically(path, FALSE, function(temporary) {
    seen <<- format(file.mode(temporary))
    write_text("x")(temporary)
  })
  expect_identical(c(seen, format(file.mode(path))), c("600", "640"))
  # a name that is taken is not opened, be it by a link
  file.symlink(path, file.path(folder, "link"))
  for (name in c("model", "link")) {
    expect_attn_error(create_file(file.path(folder, name), "save()", path), "file", "exists")
  }
  expect_identical(file_bytes(path), charToRaw("x"))
})

test_that("a limit for the size of files makes an error, and does not end R", {
  skip_on_os(c("windows", "mac", "solaris"))
  skip_if(!nzchar(Sys.which("sh")), "there is no shell here")
  folder <- withr::local_tempdir()
  script <- file.path(folder, "save.R")
  writeLines(c(
    sprintf(".libPaths(%s)", paste(deparse(.libPaths()), collapse = "")),
    "x <- attn::keras_input(10)",
    "model <- attn::keras_model(x, attn::layer_dense(x, units = 3000))",
    sprintf("setwd(%s)", deparse(folder)),
    "error <- tryCatch(attn::save_model(model, 'm.safetensors'), error = identity)",
    "cat(class(error)[1])"
  ), script)
  command <- sprintf("ulimit -f 64; exec %s --vanilla %s",
    shQuote(file.path(R.home("bin"), "Rscript")), shQuote(script)
  )
  out <- suppressWarnings(system2("sh", c("-c", shQuote(command)), stdout = TRUE, stderr = FALSE))
  expect_identical(as.vector(out), "attn_error_file")
  expect_identical(visible_files(folder), "save.R")
})

test_that("what R only warns of is an error when files are read and written", {
  path <- file.path(withr::local_tempdir(), "model")
  expect_attn_error(
    with_connection(path, "rb", "load()", function(connection) NULL), "file",
    "^load\\(\\): .*reading"
  )
  writeBin(raw(4), path)
  expect_attn_error(
    with_connection(path, "rb", "load()", function(connection) warning("disk is full")),
    "file", "disk is full"
  )
  expect_attn_error(
    with_connection(path, "rb", "load()", function(connection) {
      read_parts(connection, 5, "load()", path)
    }), "file", "ends before its data"
  )
  expect_identical(
    with_connection(path, "rb", "load()", function(connection) {
      read_parts(connection, 4, "load()", path)
    }), list(raw(4))
  )
})

test_that("a missing package is an error that says how to install it", {
  expect_attn_error(
    check_package("nosuchpackage", "load_model()", "reading this file"), "file",
    "install.packages\\(\"nosuchpackage\"\\)"
  )
  expect_null(check_package("stats", "load_model()", "nothing"))
})

test_that("a file that cannot be brought to the disk is an error", {
  expect_attn_error(
    sync_file(file.path(tempfile(), "none"), "save()", "x.keras"), "file", "waiting for the disk"
  )
})
