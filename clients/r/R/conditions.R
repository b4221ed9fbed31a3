#' Errors
#'
#' What the server refuses is an error of class `rowless_error`, and of a class for its code: `rowless_budget_exceeded`
#' for the code `budget-exceeded`. Its message has the server's own words: what was not understood, where, and what to
#' write instead. Nothing is charged, except where the server says so.
#'
#' The fields of the condition are `code`, `status`, `title`, `detail`, `place` (a JSON pointer to what is wrong, or
#' `NULL`), `errors` (a tibble of all that was found, with `place` and `detail`), `request_id` (for the admin), and
#' `problem`, the whole document that the server sent. When a question stays without an answer, `key` is its
#' `Idempotency-Key`: `ask(..., key = e$key)` asks for the same answer, which is paid once. So does the same `ask()`
#' without the key, unless the data were imported anew in between.
#'
#' Treat a code that you do not know by its `status`: later versions of the server may have more.
#'
#' An error of class `rowless_unreachable` means that there was no reply, and one of class `rowless_misuse` that the
#' package itself did not accept an argument.
#'
#' @name rowless_error
#' @examples
#' \dontrun{
#' tryCatch(
#'   ask(flu, "SELECT COUNT(DISTINCT person) AS patients FROM years", epsilon = 1),
#'   rowless_budget_exceeded = function(e) e$problem$remaining
#' )
#' }
NULL

# Stop with what the server says of a request.
abort_problem <- function(problem, status, key = NULL) {
  code <- problem$code %||% paste0("http-", status)
  errors <- tibble::tibble(
    place = vapply(problem$errors, function(one) one$pointer %||% "", ""),
    detail = vapply(problem$errors, function(one) one$detail %||% "", "")
  )
  rlang::abort(
    problem_message(problem, errors, status, code),
    class = c(paste0("rowless_", gsub("-", "_", code, fixed = TRUE)), "rowless_error"),
    code = code, status = status, title = problem$title, detail = problem$detail, place = problem$pointer,
    errors = errors, request_id = problem$request_id, problem = problem, key = key, call = NULL
  )
}

problem_message <- function(problem, errors, status, code) {
  lines <- paste0(problem$title %||% "The server refused this", " (", code, ", ", status, ").")
  many <- nrow(errors) > 0
  details <- if (many) errors$detail else problem$detail
  places <- if (many) errors$place else problem$pointer %||% ""
  if (length(details) > 0) {
    lines <- c(lines, stats::setNames(paste0(ifelse(nzchar(places), paste0(places, ": "), ""), details), rep("x", length(details))))
  }
  c(plain(lines), if (!is.null(problem$request_id) && status >= 500) c(i = paste("Request", problem$request_id)))
}

abort_unreachable <- function(server, reason, key) {
  rlang::abort(
    plain(c(
      paste0("There is no reply from ", server$url, "."),
      x = reason,
      if (!is.null(key)) c(i = paste0("If the question was charged, ask(..., key = \"", key, "\") returns its answer at no further cost."))
    )),
    class = c("rowless_unreachable", "rowless_error"), code = "unreachable", key = key, call = NULL
  )
}

abort_use <- function(message) {
  rlang::abort(plain(message), class = c("rowless_misuse", "rowless_error"), code = "misuse", call = NULL)
}

# Texts of a server are shown as they are: control characters of a terminal are left out.
plain <- function(texts) {
  stats::setNames(gsub("[\\x00-\\x08\\x0b-\\x1f\\x7f]", "", texts, perl = TRUE), names(texts))
}
