.onLoad <- function(libname, pkgname) {
  wanted <- Sys.getenv("ATTN_ISA")
  info <- .Call(ffi_info)
  if (nzchar(wanted) && wanted != info$isa) {
    attn_warn(
      sprintf(
        "ATTN_ISA=%s cannot be used here (available: %s); attn uses %s.",
        wanted, paste(info$isa_available, collapse = ", "), info$isa
      ),
      "attn_warning_isa",
      owner = "library(attn)", argument = "ATTN_ISA"
    )
  }
}
