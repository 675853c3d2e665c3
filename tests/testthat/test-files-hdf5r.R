test_that("compressed files are read by the HDF5 library, in another process", {
  skip_on_cran()
  skip_if_not_installed("hdf5r")
  x <- matrix(seq(-1, 1, length.out = 200), 10)
  path <- local_h5(function(file) {
    group <- file$create_group("vars")
    write_h5_name(group, "\u00e9")
    group$create_dataset("0", x, chunk_dims = c(5, 5), gzip_level = 4)
    group$create_dataset("1", 1:3, chunk_dims = 3)
  })
  read <- read_weights_h5(path)
  expect_identical(read$weights, list("vars/0" = t(x), "vars/1" = array(c(1, 2, 3), 3L)))
  expect_identical(read$names, c("vars" = "\u00e9"))
  expect_identical(read$format, "keras3")
  path <- local_h5(function(file) {
    file$create_dataset("0", x, chunk_dims = c(5, 5), gzip_level = 4)
    file$link_create_external("/etc/passwd", "/x", "link")
  })
  expect_attn_error(read_weights_h5(path), "file", "link is a link to another place")
  bytes <- file_bytes(path)
  expect_attn_error(read_weights_h5(utils::head(bytes, -10)), "file")
})

test_that("a crash or an endless run of the HDF5 library is an error of the file", {
  skip_on_cran()
  folder <- withr::local_tempdir()
  local_function("h5r_main", function(folder) {
    tools::pskill(Sys.getpid(), 9L)
    Sys.sleep(10)
  })
  expect_attn_error(run_h5r(folder, 100, "load()", "x.h5"), "file", "crashed")
  local_function("h5r_main", function(folder) while (TRUE) 1)
  expect_attn_error(run_h5r(folder, -585e6, "load()", "x.h5"), "file", "did not come to an end")
})

# ---- the functions that run in the other process, run in this one ----

# What h5r_main() finds in the file: list(nodes =, attributes =) or list(problem =), and the
# numbers of all data.
found_by_h5r <- function(path) {
  folder <- withr::local_tempdir()
  file.copy(path, file.path(folder, "input.h5"))
  h5r_main(folder)
  values <- file.path(folder, "values")
  c(
    jsonlite::fromJSON(file.path(folder, "index.json"), simplifyVector = FALSE),
    list(values = readBin(values, "double", file.size(values) / 8, endian = "little"))
  )
}

test_that("what the HDF5 library finds is written as numbers and JSON", {
  skip_if_not_installed("hdf5r")
  path <- local_h5(function(file) {
    put_text(file, "names", c("a", "b"))
    put_text(file, "number", 3)
    group <- file$create_group("vars")
    group$create_dataset("0", matrix(1:6 + 0.5, 2), chunk_dims = c(2, 3), gzip_level = 9)
    group$create_dataset("1", 7L, space = hdf5r::H5S$new("scalar"), chunk_dims = NULL)
  })
  found <- found_by_h5r(path)
  expect_null(found$problem)
  paths <- vapply(found$nodes, function(node) node$path, "")
  expect_identical(paths, c("", "vars", "vars/0", "vars/1"))
  expect_identical(found$nodes[[3]]$shape, list(3L, 2L))
  expect_length(found$nodes[[4]]$shape, 0)
  expect_identical(found$values, c(1:6 + 0.5, 7))
  expect_identical(
    found$attributes, list(list(owner = "", name = "names", value = list("a", "b")))
  )
})

test_that("what is no plain data of this file is refused by name", {
  skip_if_not_installed("hdf5r")
  types <- hdf5r::h5types
  put <- function(...) function(file) file$create_dataset("a", ..., chunk_dims = NULL)
  with_plan <- function(prepare, ...) {
    function(file) {
      plan <- hdf5r::H5P_DATASET_CREATE$new()
      prepare(plan)
      file$create_dataset("a", 1:100 + 0, dataset_create_pl = plan, ...)
    }
  }
  files <- list(
    "nested too deeply" = function(file) {
      for (depth in 1:34) file$create_group(paste(rep("g", depth), collapse = "/"))
    },
    "b is a link to another place" = function(file) file$link_create_soft("/a", "b"),
    "a/b is a second name" = function(file) {
      group <- file$create_group("a")
      group$link_create_hard(group, ".", "b")
    },
    "t is neither a group nor data" = function(file) file$commit("t", types$H5T_NATIVE_INT),
    "a has numbers of an unknown type" = put(data.frame(x = 1:2, y = c(0.5, 1))),
    "a has no shape" = put(dtype = types$H5T_IEEE_F64LE, space = hdf5r::H5S$new("null")),
    "a is larger than its data" = function(file) {
      file$create_dataset("a",
        dtype = types$H5T_IEEE_F64LE, space = hdf5r::H5S$new("simple", dims = 100),
        chunk_dims = 10
      )
    },
    "b is larger than its data" = function(file) {
      # each by itself is within what compressed data may come to
      file$create_dataset("a", numeric(4e5), chunk_dims = 4e5, gzip_level = 9)
      file$create_dataset("b", numeric(4e5), chunk_dims = 4e5, gzip_level = 9)
    },
    "a has its data elsewhere" = with_plan(function(plan) {
      plan$set_external(withr::local_tempfile(), 0L, 800L)
    }, chunk_dims = NULL),
    "a is compressed in an unusual way" = with_plan(function(plan) {
      plan$set_chunk(10)
      plan$set_nbit()
    }),
    "a has a number beyond" = put(2^60, dtype = types$H5T_STD_I64LE)
  )
  for (problem in names(files)) {
    expect_match(found_by_h5r(local_h5(files[[problem]]))$problem, problem, fixed = TRUE)
  }
  local_function("h5r_shape", function(...) 4)
  expect_match(found_by_h5r(local_h5(put(c(1, 2, 3))))$problem, "another size than its shape")
})

test_that("what the HDF5 library says is cut to its first line", {
  skip_if_not_installed("hdf5r")
  found <- found_by_h5r(local_file(charToRaw("no HDF5 file")))
  expect_match(found$problem, "^the HDF5 library says: .")
  said <- "HDF5-API Errors:\n\n  error #000: a.c in f(): line 1: why\n b"
  expect_identical(h5r_first_line(said), "why")
  expect_identical(h5r_first_line(" \n"), "nothing")
  expect_identical(nchar(h5r_first_line(strrep("x", 300))), 200L)
})

test_that("values that are fewer than the shapes say are refused", {
  folder <- withr::local_tempdir()
  index <- list(nodes = list(list(path = "a", shape = list(2, 3))))
  writeBin(as.double(1:5), file.path(folder, "values"))
  expect_attn_error(
    read_h5r_nodes(index, folder, "load()", "x.h5"), "file", "something else than it found"
  )
})
