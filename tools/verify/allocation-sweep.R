# Lets every allocation of the package's C code fail, one after the other, in everything
# that the package does. Run by allocation.sh with a library whose attn was compiled with
# allocation-sites.h. Arguments: the injector, that library, "short" or "long".
arguments <- commandArgs(TRUE)
injector <- arguments[1L]
is_long <- arguments[3L] == "long"
dyn.load(injector, local = FALSE)
library(attn, lib.loc = arguments[2L])
attn_threads(2)

# ---- the injector ----

# Runs code with an allocation failing.
failing <- function(arm, code) {
  arm()
  on.exit(.C("allocation_disarm", 0L))
  result <- force(code)
  c(result, list(failed = .C("allocation_disarm", 0L)[[1L]]))
}

# the k-th that is reached, of R's or of malloc() and the workspace
kth <- function(k, of_r, all_after) {
  function() .C("allocation_arm", as.integer(k), as.integer(all_after), as.integer(of_r))
}

# that of one place in the code
site <- function(i) function() .C("allocation_arm_site", as.integer(i))

live_blocks <- function() {
  gc()
  .C("allocation_live", 0L)[[1L]]
}

where_it_failed <- function() {
  place <- .C("allocation_where", "?", "?", 0L)
  sprintf("%s:%d (%s)", place[[1L]], place[[3L]], place[[2L]])
}

all_sites <- function() {
  n <- .C("allocation_count", 0L)[[1L]]
  found <- .C("allocation_list", character(n), character(n), integer(n), integer(n), integer(n),
    integer(n)
  )
  names(found) <- c("file", "what", "line", "of_r", "asked", "failed")
  as.data.frame(found)
}

# ---- what an object is ----

# weights and numbers of calls, of all that it is made of
state_of <- function(object) {
  if (is.null(object)) {
    return(NULL)
  }
  if (typeof(object) == "raw") {
    return(length(object))
  }
  walk <- function(self) {
    inner <- c(self$parts, lapply(self$layers, attn:::layer_self))
    handle <- self$handle
    c(
      list(self$built),
      if (typeof(handle) == "raw") list(
        .Call(attn:::ffi_layer_get_weights, handle), .Call(attn:::ffi_layer_info, handle)$calls
      ),
      lapply(inner, walk)
    )
  }
  walk(attn:::layer_self(object))
}

# ---- one thing that the package does, with each of its allocations failing ----

tally <- c(failures = 0, wrong = 0, scenarios = 0, of_memory = 0, of_r = 0)
complain <- function(...) {
  tally["wrong"] <<- tally["wrong"] + 1
  cat("WRONG: ", ..., "\n", sep = "")
}

outcome <- function(act, object) {
  force(object) # whose making draws random numbers
  tryCatch(list(value = act(object)), error = function(error) {
    list(error = class(error)[1L], message = conditionMessage(error))
  })
}

small <- layer_dense(units = 1)
small$build(c(NA, 1))
is_busy <- function() inherits(try(set_weights(small, get_weights(small)), TRUE), "try-error")

# `expected`: the outcome where nothing fails. An allocation that fails is an error of the
# promised class; or it costs speed only, and the outcome is the right one. Where R has no
# memory for what is small, the error may be R's own: those are counted.
judge <- function(name, got, expected, of_r) {
  is_small <- of_r && !grepl("make_vector|make_scratch", where_it_failed())
  if (!is.null(got$error) && grepl("memory|allocate", got$message)) {
    kind <- if (got$error == "attn_error_memory") "of_memory"
      else if (is_small && !startsWith(got$error, "attn_")) "of_r"
    if (!is.null(kind)) {
      tally[kind] <<- tally[kind] + 1
      return(invisible())
    }
  }
  if (!identical(got[names(expected)], expected)) {
    complain(name, " at ", where_it_failed(), ": ",
      if (is.null(got$error)) "another result" else paste(got$error, got$message)
    )
  }
}

# FALSE where nothing has failed
fails_well <- function(name, make, act, expected, arm, of_r) {
  object <- make()
  state <- state_of(object)
  got <- failing(arm, outcome(act, object))
  if (got$failed == 0L) {
    return(FALSE)
  }
  tally["failures"] <<- tally["failures"] + 1
  judge(name, got, expected, of_r)
  if (is_busy()) complain(name, " at ", where_it_failed(), ": the next call finds it busy")
  if (!is.null(got$error)) {
    if (!identical(state_of(object), state)) {
      complain(name, " at ", where_it_failed(), ": the object has changed")
    }
    if (!identical(outcome(act, object), expected)) {
      complain(name, " at ", where_it_failed(), ": the next call is wrong")
    }
  }
  TRUE
}

# Every allocation, one after the other; where they go on failing, from every third on.
sweep <- function(name, make, act, of_r, all_after = FALSE) {
  expected <- outcome(act, make())
  k <- 1
  while (fails_well(name, make, act, expected, kth(k, of_r, all_after), of_r)) {
    k <- k + if (all_after) 3 else 1
  }
}

# Every place in the code that is reached, but for those that have failed twice before.
sweep_sites <- function(name, make, act) {
  object <- make()
  before <- all_sites()
  expected <- outcome(act, object)
  after <- all_sites()
  for (i in which(after$asked > before$asked & after$failed < 2L)) {
    fails_well(name, make, act, expected, site(i), after$of_r[i] == 1L)
  }
}

everywhere <- function(scenario) {
  tally["scenarios"] <<- tally["scenarios"] + 1
  one <- scenario[c("name", "make", "act")]
  if (!is_long) {
    return(do.call(sweep_sites, one))
  }
  do.call(sweep, c(one, of_r = FALSE))
  do.call(sweep, c(one, of_r = FALSE, all_after = TRUE))
  if (scenario$is_layer) {
    do.call(sweep_sites, one) # what asks R is the same for each kind
  } else {
    do.call(sweep, c(one, of_r = TRUE))
  }
}

# ---- all that it does ----

nothing <- function() NULL
seeded <- function(code) {
  set.seed(7)
  code
}
numbers <- function(...) array(sin(seq_len(prod(...))), c(...))
sys.source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))),
  "allocation-scenarios.R"), environment())

started <- proc.time()[[3L]]
# what the scenarios themselves hold is there before
chosen <- Filter(function(scenario) is_long || !isTRUE(scenario$only_long), scenarios())
# takes the memory that is kept between calls
invisible(predict(seeded(encoder_model()), tokens))
before <- live_blocks()
for (scenario in chosen) {
  tryCatch(everywhere(scenario), error = function(error) {
    complain(scenario$name, " cannot be tried: ", conditionMessage(error))
  })
}
if (live_blocks() > before) complain(live_blocks() - before, " blocks are left")

# While the package is loaded, in a process of its own: a failure is an error of library().
fails_at_load <- function() {
  code <- sprintf(
    'dyn.load("%s", local = FALSE); .C("allocation_arm", 1L, 0L, 1L)
    refused <- inherits(try(library(attn, lib.loc = "%s"), TRUE), "try-error")
    cat(refused, .C("allocation_disarm", 0L)[[1L]])', injector, arguments[2L]
  )
  said <- suppressWarnings(system2(file.path(R.home("bin"), "Rscript"),
    c("--vanilla", "-e", shQuote(code)), stdout = TRUE, stderr = FALSE
  ))
  identical(utils::tail(said, 1L), "TRUE 1")
}

sites <- all_sites()
at_load <- sites$file == "glue/call.c" & sites$asked == 1L & sites$failed == 0L
if (any(at_load)) {
  if (!fails_at_load()) complain("loading attn goes on after a failure")
  sites$failed[at_load] <- 1L
}
if (nzchar(Sys.getenv("ALLOCATION_SITES"))) write.csv(sites, Sys.getenv("ALLOCATION_SITES"))
place <- paste(sites$file, sites$line, sites$what)
count <- function(of_r) {
  mine <- sites$of_r == of_r
  missed <- setdiff(place[mine], place[mine & sites$failed > 0])
  if (length(missed)) cat("never failed: ", missed, sep = "\n  ")
  c(length(unique(place[mine])) - length(missed), length(unique(place[mine])))
}
cat("RESULT", count(0), count(1),
  tally[c("scenarios", "failures", "wrong", "of_memory", "of_r")],
  round(proc.time()[[3L]] - started), "\n"
)
