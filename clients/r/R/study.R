#' The studies that you may see, and one of them
#'
#' A study has a purpose, a dataset and a budget. What you ask is charged to its budget.
#'
#' @param server A connection of [rowless_connect()].
#' @param name The name of the study.
#' @return `studies()` returns a tibble with a row for each study. `study()` returns a study, for [catalog()],
#'   [estimate()], [rehearse()], [ask()], [budget()] and [releases()].
#' @examples
#' \dontrun{
#' server <- rowless_connect()
#' studies(server)
#' flu <- study(server, "flu")
#' }
#' @export
studies <- function(server) {
  items <- all_items(server, "studies")
  texts <- function(name) vapply(items, function(one) one[[name]] %||% NA_character_, "")
  tibble::tibble(
    study = texts("id"), title = texts("title"), dataset = texts("dataset"), state = texts("state"),
    epsilon = vapply(items, function(one) one$budget$epsilon %||% NA_real_, 0),
    remaining = vapply(items, function(one) one$budget$remaining$epsilon %||% NA_real_, 0)
  )
}

#' @rdname studies
#' @export
study <- function(server, name) {
  found <- get_json(server, "studies", as_text(name, "name"))
  structure(
    list(server = server, id = found$id, title = found$title, dataset = found$dataset, state = found$state, terms = found),
    class = "rowless_study"
  )
}

#' @export
print.rowless_study <- function(x, ...) {
  budget <- x$terms$budget
  cat("<rowless study> ", x$id, ": ", x$title, " (", x$state, ")\n", sep = "")
  cat("  data     ", x$dataset, "\n", sep = "")
  cat("  purpose  ", x$terms$purpose, "\n", sep = "")
  cat("  budget   epsilon ", shown(budget$remaining$epsilon), " of ", shown(budget$epsilon), " was left when it was read\n", sep = "")
  invisible(x)
}

#' What can be asked
#'
#' The catalog is public: reading it costs nothing.
#'
#' @param study A study of [study()].
#' @param table The name of a table; by default all.
#' @return A tibble with a row for each column: its table, type, title, whether it belongs to the person (and not to an
#'   event), whether it can be null, its declared `values` (a list), and its `range` as a text.
#' @examples
#' \dontrun{
#' catalog(flu, "years")
#' }
#' @export
catalog <- function(study, table = NULL) {
  tables <- get_json(study$server, "datasets", study$dataset)$tables
  if (!is.null(table)) {
    if (!table %in% names(tables)) {
      abort_use(paste0("There is no table ", table, "; there are ", paste(names(tables), collapse = ", "), "."))
    }
    tables <- tables[table]
  }
  rows <- lapply(names(tables), function(name) catalog_rows(name, tables[[name]]$columns))
  do.call(rbind, rows)
}

#' Find codes by their names
#'
#' What is searched is the catalog: declared values, labels, hierarchies and vocabularies, and never data. Upper and lower
#' case, and letters with and without accents, are alike.
#'
#' @param study A study of [study()].
#' @param search Words, all of which the code or its label has.
#' @param column A column of a table, as in `"visits.diagnosis"`; by default all.
#' @param limit How many codes at most, up to 100.
#' @return A tibble with a row for each code, the best first: its label, how many codes are `under` it, and its `columns` (a
#'   list).
#' @examples
#' \dontrun{
#' codes(flu, "diabetes")
#' }
#' @export
codes <- function(study, search, column = NULL, limit = 20) {
  wanted <- list(search = as_text(search, "search"), column = column, limit = limit)
  found <- get_json(study$server, "datasets", study$dataset, "codes", query = wanted)$items
  tibble::tibble(
    code = vapply(found, function(one) one$code, ""),
    label = vapply(found, function(one) one$label %||% NA_character_, ""),
    under = vapply(found, function(one) as.integer(one$under %||% NA), 0L),
    columns = lapply(found, function(one) as.character(unlist(one$columns)))
  )
}

catalog_rows <- function(table, columns) {
  tibble::tibble(
    table = rep(table, length(columns)),
    column = names(columns),
    type = vapply(columns, function(one) one$type %||% NA_character_, "", USE.NAMES = FALSE),
    title = vapply(columns, function(one) one$title %||% "", "", USE.NAMES = FALSE),
    of_person = vapply(columns, function(one) isTRUE(one$of_person), NA, USE.NAMES = FALSE),
    nullable = vapply(columns, function(one) isTRUE(one$nullable), NA, USE.NAMES = FALSE),
    values = unname(lapply(columns, function(one) as.character(unlist(one$values)))),
    range = vapply(columns, range_in_words, "", USE.NAMES = FALSE)
  )
}

range_in_words <- function(column) {
  if (length(column$bounds) != 2) {
    return(if (identical(column$declared, FALSE)) "not declared" else NA_character_)
  }
  range <- paste(shown(column$bounds[[1]]), "to", shown(column$bounds[[2]]))
  if (is.null(column$step) || column$step == 1) range else paste0(range, ", in steps of ", shown(column$step))
}

#' What a study spent, and what the rest buys
#'
#' @param study A study of [study()].
#' @return A list: `epsilon` and `delta` are the limits; `spent`, `reserved` and `remaining` what became of them, in
#'   epsilon, rho and delta; `buys` says in words what the rest buys, and `queries_left` how many queries like the last
#'   one; `forecast` is a tibble of how many queries of one epsilon would be admitted.
#' @examples
#' \dontrun{
#' budget(flu)
#' }
#' @export
budget <- function(study) {
  found <- get_json(study$server, "studies", study$id, "budget")
  numbers <- function(name) vapply(found$forecast, function(one) as.numeric(one[[name]] %||% NA), 0)
  found$forecast <- tibble::tibble(epsilon = numbers("epsilon"), queries = numbers("queries"))
  structure(found, class = "rowless_budget", study = study$id)
}

#' @export
print.rowless_budget <- function(x, ...) {
  cat("<rowless budget> ", attr(x, "study"), ": epsilon ", shown(x$remaining$epsilon), " of ", shown(x$epsilon), " is left\n", sep = "")
  if (!is.null(x$buys)) cat("  ", x$buys, "\n", sep = "")
  invisible(x)
}

#' What a study was answered
#'
#' Reading a release again is free. The audit log of the server records it.
#'
#' @param study A study of [study()].
#' @param id The id of a release.
#' @param post How the answer is post-processed after the noise: any of `"consistent"`, `"round"`, `"clamp"` and
#'   `"hide_below:11"` (numbers of cells below 11 are `NA`).
#' @param show Which rows are shown, in which order, as in [ask()]: one text.
#' @return `releases()` returns a tibble with a row for each release, oldest first, without its numbers. `release()`
#'   returns the answer, as [ask()] did.
#' @examples
#' \dontrun{
#' past <- releases(flu)
#' release(flu, past$id[1])
#' }
#' @export
releases <- function(study) {
  items <- all_items(study$server, "studies", study$id, "releases")
  numbers <- function(name) vapply(items, function(one) as.numeric(one$cost[[name]] %||% NA), 0)
  tibble::tibble(
    id = vapply(items, function(one) one$id, ""),
    charged_at = vapply(items, function(one) one$charged_at %||% NA_character_, ""),
    edition = vapply(items, function(one) as.integer(one$edition %||% NA), 0L),
    epsilon = numbers("epsilon"), rho = numbers("rho"), delta = numbers("delta"),
    sql = vapply(items, function(one) one$sql %||% NA_character_, "")
  )
}

#' @rdname releases
#' @export
release <- function(study, id, post = NULL, show = NULL) {
  query <- list(post = if (length(post) > 0) paste(post, collapse = ","), show = if (!is.null(show)) as_text(show, "show"))
  query <- Filter(Negate(is.null), query)
  new_answer(get_json(study$server, "studies", study$id, "releases", as_text(id, "id"), query = query))
}

#' The certificate of a release
#'
#' A certificate is a signed document that a paper cites, and that its readers verify offline. Keep it byte for byte.
#'
#' @param study A study of [study()].
#' @param answer An answer of [ask()] or [release()], or the id of a release.
#' @param file Where to write it; by default it is not written.
#' @return The certificate, as one text; invisibly if it was written.
#' @examples
#' \dontrun{
#' certificate(flu, answer, "flu.certificate.json")
#' }
#' @export
certificate <- function(study, answer, file = NULL) {
  id <- if (is.data.frame(answer)) details(answer)$id else answer
  if (is.null(id)) abort_use("A rehearsal has no certificate: its numbers are made up.")
  reply <- send(study$server, c("studies", study$id, "releases", as_text(id, "answer"), "certificate"))
  bytes <- httr2::resp_body_raw(reply)
  text <- rawToChar(bytes)
  Encoding(text) <- "UTF-8"
  if (is.null(file)) {
    return(text)
  }
  writeBin(bytes, file)
  invisible(text)
}

shown <- function(number) {
  if (is.null(number)) "?" else if (is.numeric(number)) format(number, digits = 6, trim = TRUE) else as.character(number)
}
