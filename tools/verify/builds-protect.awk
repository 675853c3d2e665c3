# awk -f builds-protect.awk FILE...: what may lose an R object to the garbage collector.
# It stands in for rchk, which needs an R of its own. Reads the C files of src/glue/, in
# which a function begins and ends at the margin; prints "file:line: problem" lines.
#   1. two allocations within one statement, the first of which nothing holds
#   2. an allocation that is kept without PROTECT while something else may allocate
#   3. a function that takes off another number of objects than it has protected

BEGIN {
  allocates = "(Rf_(alloc[A-Za-z]*|mk[A-Z][A-Za-z]*|Scalar[A-Za-z]+|coerceVector|duplicate|" \
    "shallow_duplicate|lang[0-9]|list[0-9]|l?cons|install|asChar|setAttrib|eval)|" \
    "R_(MakeExternalPtr|RegisterCFinalizerEx|new_altrep|alloc|FindNamespace))\\("
  made = "(Rf_(alloc[A-Za-z]*|mk[A-Z][A-Za-z]*|Scalar[A-Za-z]+|coerceVector|duplicate|" \
    "lang[0-9]|list[0-9]|l?cons|eval)|R_(MakeExternalPtr|new_altrep|FindNamespace))\\("
}

function problem(text) { printf "%s:%d: %s\n", FILENAME, FNR, text }

FNR == 1 { inside = 0; statement = "" }

{
  gsub(/\/\*.*\*\//, "")
  gsub(/"[^"]*"/, "\"\"")
}

/^[A-Za-z].*\{$/ && !/^(struct|enum|static const|const|union)/ || /^\{$/ {
  inside = 1; protects = 0; most = 0; all = 0; loose = 0; statement = ""
}

inside {
  statement = statement " " $0
  if ($0 ~ /[;{}]$/) {
    text = statement
    count = gsub(allocates, "&", text)
    installs = gsub(/R_alloc\(|Rf_install\(/, "&", text) # neither is lost
    if (count - installs > 1 && text !~ /\?/ && text !~ /Rf_setAttrib\([^;]*PROTECT/) {
      problem("two allocations in a statement:" statement)
    }
    if (loose && count > 0) {
      problem("allocates while the object of line " loose " is not protected")
      loose = 0
    }
    if (text ~ "[A-Za-z_] = " made) { loose = FNR }
    protects += gsub(/(^|[^N])PROTECT\(/, "&", text)
    while (match(text, /UNPROTECT\([0-9]+\)/)) {
      taken = substr(text, RSTART + 10, RLENGTH - 11) + 0
      all += taken
      if (taken > most) { most = taken }
      text = substr(text, RSTART + RLENGTH)
    }
    if (statement ~ /glue_symbols\.[a-z_]+ = /) { loose = 0 } # preserved by the next statement
    statement = ""
  }
}

/^\}/ && inside {
  # at each of several ends, or block by block
  if (protects != most && protects != all) {
    problem("protects " protects " objects and takes off " most)
  }
  inside = 0
}
