#' Ask a question
#'
#' `estimate()` returns what a question would cost and how exact its answer would be. `rehearse()` answers it on data
#' that were made up from the catalog, in the shape of an answer. Both are free. `ask()` answers it and charges it to
#' the study.
#'
#' A call is tried again when the connection breaks, the server restarts, or it has too much to do. All tries of one
#' `ask()` have the same `Idempotency-Key`, so that it is charged once, whatever became of a reply. To ask the same
#' question again later is free too, and returns the same answer.
#'
#' @param study A study of [study()].
#' @param sql The question as one SELECT statement.
#' @param query The question as a list, which mirrors the JSON of a query: `list(from = "years", group_by = "sex",
#'   select = list(patients = list(count = "persons")))`. Give `sql` or `query`, one of them.
#' @param epsilon,rho,margin What the question may spend, one of them: epsilon; rho (Gaussian noise, where it is
#'   smaller); or the margins that it has to have, by the names of statistics, for the least that gives them:
#'   `c(patients = 10)`.
#' @param confidence,noise With `margin`: at which confidence (0.95), and `"laplace"` or `"gaussian"`.
#' @param delta Beside one of them, where a key has no declared values.
#' @param bounds With `sql`: how much of one person counts, as `c(cells_per_person = 2, events_per_cell = 4)`. In a
#'   `query` they stand within it.
#' @param post How the answer is post-processed after the noise: any of `"consistent"`, `"round"`, `"clamp"` and
#'   `"hide_below:11"` (numbers of cells below 11 are `NA`).
#' @param show Which rows are shown, in which order: free, and no part of the question. The end of a SELECT statement, as
#'   `"HAVING patients > 99 ORDER BY patients DESC LIMIT 10"`, or a list.
#' @param require What has to hold, or nothing is charged: `list(drowned = 0.5)`, `list(question = ...)`.
#' @param key The `Idempotency-Key` of a question that stayed without an answer: the field `key` of the
#'   [condition][rowless_error].
#' @return `ask()` and `rehearse()` return a tibble with a column for each key and statistic. A statistic has its margin
#'   beside it: `cost`, `cost_low` and `cost_high`; in 95 of 100 answers the number without noise lies between the two.
#'   A statistic of several numbers (a histogram, quantiles, the most frequent values, a survival curve) is a column of
#'   tibbles, which [parts()] unfolds. What the answer cost, its notes and all else are [details()] of it.
#'
#'   `estimate()` returns a list with `cost`, `affordable`, `queries_left`, `columns` (a tibble with the margins),
#'   `notes`, `advice` and the rest of what the server states.
#' @examples
#' \dontrun{
#' sql <- "SELECT sex, AVG(cost) AS cost FROM years GROUP BY sex"
#' estimate(flu, sql, epsilon = 0.3)
#' answer <- ask(flu, sql, epsilon = 0.3)
#' plot(answer)
#' }
#' @export
ask <- function(study, sql = NULL, query = NULL, epsilon = NULL, rho = NULL, margin = NULL, confidence = NULL,
                noise = NULL, delta = NULL, bounds = NULL, post = NULL, show = NULL, require = NULL,
                key = NULL) {
  body <- ask_body(sql, query, epsilon, rho, margin, confidence, noise, delta, bounds, post, require, show)
  new_answer(post_json(study$server, "studies", study$id, "queries", body = body, key = key %||% new_key()))
}

#' @rdname ask
#' @export
rehearse <- function(study, sql = NULL, query = NULL, epsilon = NULL, rho = NULL, margin = NULL, confidence = NULL,
                     noise = NULL, delta = NULL, bounds = NULL, post = NULL, show = NULL, require = NULL) {
  body <- ask_body(sql, query, epsilon, rho, margin, confidence, noise, delta, bounds, post, require, show)
  new_answer(post_json(study$server, "studies", study$id, "rehearsals", body = body))
}

#' @rdname ask
#' @export
estimate <- function(study, sql = NULL, query = NULL, epsilon = NULL, rho = NULL, margin = NULL, confidence = NULL,
                     noise = NULL, delta = NULL, bounds = NULL, post = NULL, show = NULL, require = NULL) {
  body <- ask_body(sql, query, epsilon, rho, margin, confidence, noise, delta, bounds, post, require, show)
  found <- post_json(study$server, "studies", study$id, "estimates", body = body)
  found$columns <- described(found$columns)
  found$notes <- as.character(unlist(found$notes))
  found$advice <- as.character(unlist(found$advice))
  structure(found, class = "rowless_estimate")
}

# The columns of an answer or an estimate. `margins_at` is the margin of a mean and the like over so many events.
described <- function(columns) {
  texts <- function(name) vapply(columns, function(one) one[[name]] %||% NA_character_, "")
  numbers <- function(name) vapply(columns, function(one) as.numeric(one[[name]] %||% NA), 0)
  tibble::tibble(
    name = texts("name"), kind = texts("kind"), mechanism = texts("mechanism"), scale = numbers("scale"),
    margin = numbers("margin"), margins_at = lapply(columns, function(one) unlist(one$margins_at)),
    margin_events = numbers("margin_events"), confidence = numbers("confidence"), threshold = numbers("threshold"),
    truncation = texts("truncation"), expected_loss = numbers("expected_loss")
  )
}

# What an estimate says of the budget. A server before this had no `release`.
standing <- function(estimate) {
  if (!is.null(estimate$release)) {
    "asked before, the same answer is free"
  } else if (isTRUE(estimate$affordable)) {
    if (estimate$queries_left == 1) {
      "1 such question fits the budget"
    } else {
      paste(estimate$queries_left, "such questions fit the budget")
    }
  } else {
    "the budget does not allow it"
  }
}

#' @export
print.rowless_estimate <- function(x, ...) {
  cat("<rowless estimate> epsilon ", shown(x$cost$epsilon), ", rho ", shown(x$cost$rho), "; ", standing(x), "\n", sep = "")
  statistics <- x$columns[x$columns$kind == "statistic", ]
  for (place in seq_len(nrow(statistics))) {
    cat("  ", statistics$name[place], ": ", margin_in_words(statistics[place, ]), "\n", sep = "")
  }
  for (line in unique(c(x$notes, x$advice))) cat(strwrap(line, prefix = "    ", initial = "  * "), sep = "\n")
  invisible(x)
}

margin_in_words <- function(column) {
  at <- column$margins_at[[1]]
  if (!is.na(column$margin)) {
    paste0("\u00b1 ", signif(column$margin, 3))
  } else if (length(at) > 0) {
    paste0("\u00b1 ", signif(at, 3), " over ", names(at), " events", collapse = ", ")
  } else if (!is.na(column$margin_events)) {
    paste0("exact up to ", signif(column$margin_events, 3), " events")
  } else {
    "no margin beforehand"
  }
}
