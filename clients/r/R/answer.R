# The lists that the result of a statistic may have, and the member of each part that names it.
lists <- c(bins = "bin", top = "key", quantiles = "at", survival = "until", differences = "until")

# A tibble of what the server answered. Members that this version does not know stay in the details.
new_answer <- function(found) {
  columns <- described(found$columns)
  keys <- columns$name[columns$kind == "key"]
  statistics <- setdiff(columns$name, keys)
  shown <- list()
  for (name in keys) shown[[name]] <- as_vector(lapply(found$rows, function(row) row[[name]]))
  for (name in statistics) {
    results <- lapply(found$rows, function(row) row[[name]])
    single <- if (length(results) > 0) any(vapply(results, is_number, NA)) else !is_asked_as_list(found$query$select[[name]])
    shown <- add_statistic(shown, name, results, single, columns$name)
  }
  answer <- tibble::new_tibble(shown, nrow = length(found$rows), class = "rowless_answer")
  found$columns <- columns
  found$notes <- as.character(unlist(found$notes))
  attr(answer, "details") <- found
  answer
}

# An answer without rows does not show which statistics have several numbers, but the question does.
is_asked_as_list <- function(statistic) {
  any(c("histogram", "top", "survival") %in% names(statistic)) || length(statistic$at) > 1
}

add_statistic <- function(shown, name, results, single, taken) {
  if (single) {
    for (end in c("value", "low", "high")) {
      column <- if (end == "value") name else derived(name, end, taken)
      shown[[column]] <- as_numbers(lapply(results, function(one) one[[end]]))
    }
  } else {
    shown[[name]] <- lapply(results, as_parts)
  }
  shown
}

is_number <- function(result) is.list(result) && "value" %in% names(result)

# Where a column of the answer has the name of a margin, the margin gets an underscore at its end.
derived <- function(name, end, taken) {
  column <- paste0(name, "_", end)
  while (column %in% taken) column <- paste0(column, "_")
  column
}

# The parts of a list as a tibble; a list that this version does not know stays a list.
as_parts <- function(result) {
  member <- intersect(names(lists), names(result))
  if (length(member) != 1) {
    return(result)
  }
  parts <- result[[member]]
  of <- function(name) as_vector(lapply(parts, function(one) one[[name]]))
  numbers <- function(name) as_numbers(lapply(parts, function(one) one[[name]]))
  made <- list(of(lists[[member]]), numbers("value"), numbers("low"), numbers("high"))
  tibble::as_tibble(stats::setNames(made, c(lists[[member]], "value", "low", "high")))
}

as_numbers <- function(values) vapply(values, function(one) as.numeric(one %||% NA), 0)

as_vector <- function(values) {
  if (length(values) == 0) {
    return(character())
  }
  missing <- vapply(values, is.null, NA)
  values[missing] <- NA
  simple <- vapply(values, function(one) is.atomic(one) && length(one) == 1, NA)
  if (all(simple)) unlist(values) else values
}

#' What stands beside the numbers of an answer
#'
#' @param answer An answer of [ask()], [rehearse()] or [release()].
#' @return A list with `id`, `sql`, `query`, `cost`, `budget` (the study's, when the answer came), `columns` (a tibble:
#'   mechanism, margin, and what is known of what the bounds cut off), `bounds`, `notes`, `post`, `replayed`,
#'   `charged_at`, `rows` (as they were sent, with the `raw` numbers), and whatever else the server sent.
#' @examples
#' \dontrun{
#' details(answer)$notes
#' }
#' @export
details <- function(answer) {
  told <- attr(answer, "details")
  if (is.null(told)) abort_use("This is no answer of a Rowless server, or it lost what stood beside its numbers.")
  told
}

#' Unfold a statistic of several numbers
#'
#' Histograms, quantiles, most frequent values and survival curves are columns of tibbles in an answer.
#'
#' @param answer An answer of [ask()], [rehearse()] or [release()].
#' @param name The name of the statistic; by default the first one of several numbers.
#' @return A tibble with the keys of the answer, a column that names each number (`bin`, `key`, `at` or `until`), and
#'   `value`, `low` and `high`.
#' @examples
#' \dontrun{
#' ages <- ask(flu, "SELECT sex, HISTOGRAM(age, [0, 18, 40, 65]) AS ages FROM years GROUP BY sex", epsilon = 0.3)
#' parts(ages)
#' }
#' @export
parts <- function(answer, name = NULL) {
  folded <- names(answer)[vapply(answer, is_folded, NA)]
  name <- name %||% if (length(folded) > 0) folded[[1]]
  if (is.null(name) || !name %in% folded) {
    abort_use("No such statistic of this answer has several numbers.")
  }
  keys <- intersect(key_names(answer), names(answer))
  tables <- lapply(seq_len(nrow(answer)), function(place) {
    part <- answer[[name]][[place]]
    before <- lapply(stats::setNames(keys, keys), function(key) rep(answer[[key]][[place]], nrow(part)))
    tibble::as_tibble(c(before, as.list(part)))
  })
  do.call(rbind, tables)
}

is_folded <- function(column) is.list(column) && length(column) > 0 && all(vapply(column, is.data.frame, NA))

key_names <- function(answer) {
  columns <- details(answer)$columns
  columns$name[columns$kind == "key"]
}

#' @export
as.data.frame.rowless_answer <- function(x, ...) {
  attr(x, "details") <- NULL
  class(x) <- setdiff(class(x), "rowless_answer")
  as.data.frame(x, ...)
}

#' @importFrom tibble tbl_sum
#' @method tbl_sum rowless_answer
#' @export
tbl_sum.rowless_answer <- function(x, ...) {
  told <- attr(x, "details")
  size <- paste(nrow(x), "x", ncol(x))
  if (is.null(told)) {
    return(c("A tibble" = size))
  }
  kind <- if (isTRUE(told$rehearsal)) "A rehearsal with made-up numbers" else "An answer"
  cost <- paste0("epsilon ", shown(told$cost$epsilon), if (isTRUE(told$replayed)) ", paid before")
  notes <- stats::setNames(told$notes, rep("Note", length(told$notes)))
  c(stats::setNames(size, kind), c("Cost" = cost), notes)
}
