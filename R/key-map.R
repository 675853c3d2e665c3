# A map from keys, which are the addresses of environments (ffi_addresses()) or end in one,
# to values. Not simply an environment with a variable for each: R keeps the name of every
# variable that there has ever been, and addresses are ever new. So variables are what keys
# end in, some hundreds, and their values lists by the whole key.

new_map <- function() new.env(parent = emptyenv())

map_place <- function(key) {
  end <- nchar(key)
  substr(key, end - 2L, end)
}

# NULL where there is none
map_get <- function(map, key) map[[map_place(key)]][[key]]

map_set <- function(map, key, value) {
  place <- map_place(key)
  entries <- as.list(map[[place]])
  entries[[key]] <- value
  assign(place, entries, envir = map)
}
