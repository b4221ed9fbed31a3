# Calls to the server. Every call of this package may be sent twice: it reads, is free, or has an Idempotency-Key.

transient <- c(429L, 502L, 503L, 504L)
timeout_seconds <- 900
longest_wait_seconds <- 30

get_json <- function(server, ..., query = list()) {
  as_json(send(server, c(...), query = query))
}

post_json <- function(server, ..., body, key = NULL) {
  as_json(send(server, c(...), body = body, key = key))
}

send <- function(server, path, query = list(), body = NULL, key = NULL, accept = "application/json") {
  request <- make_request(server, path, query, body, key, accept)
  deadline <- Sys.time() + server$patience
  tries <- 0
  repeat {
    tries <- tries + 1
    reply <- keeping_seed(tryCatch(httr2::req_perform(request), httr2_failed = identity, httr2_failure = identity))
    lost <- inherits(reply, "condition")
    if (!lost && !httr2::resp_status(reply) %in% transient) {
      return(accepted(reply, server, key))
    }
    pause <- if (lost) backoff(tries) else pause_of(reply, tries)
    if (Sys.time() + pause > deadline) {
      if (lost) abort_unreachable(server, reason_of(reply), key)
      return(accepted(reply, server, key))
    }
    Sys.sleep(pause)
  }
}

# httr2 draws a random number when a try fails. A script's set.seed() should give the same results with and without one.
keeping_seed <- function(code) {
  seed <- get0(".Random.seed", globalenv(), inherits = FALSE)
  on.exit(if (!is.null(seed)) assign(".Random.seed", seed, envir = globalenv()))
  code
}

make_request <- function(server, path, query, body, key, accept) {
  path <- vapply(path, utils::URLencode, "", reserved = TRUE)
  request <- httr2::request(paste(c(server$url, "api", "v1", path), collapse = "/"))
  request <- httr2::req_headers(request,
    Authorization = paste("Bearer", server$token()), Accept = accept, `Idempotency-Key` = key
  )
  request <- httr2::req_user_agent(request, paste0("rowless-r/", utils::packageVersion("rowless")))
  request <- httr2::req_timeout(request, timeout_seconds)
  # The token is for this server alone.
  request <- httr2::req_options(request, followlocation = 0L)
  request <- httr2::req_error(request, is_error = function(reply) FALSE)
  if (length(query) > 0) request <- do.call(httr2::req_url_query, c(list(request), query))
  if (!is.null(body)) request <- httr2::req_body_raw(request, enc2utf8(to_json(body)), type = "application/json")
  request
}

# Twice as long each time. The clock spreads the clients, and not the random numbers of R, which scripts may have seeded.
backoff <- function(tries) {
  min(longest_wait_seconds, 0.25 * 2^(tries - 1)) * (0.75 + (as.numeric(Sys.time()) %% 0.5))
}

pause_of <- function(reply, tries) {
  asked <- suppressWarnings(as.numeric(httr2::resp_header(reply, "Retry-After") %||% NA))
  if (is.na(asked) || asked < 0) backoff(tries) else max(asked, 0.05)
}

reason_of <- function(condition) {
  conditionMessage(condition$parent %||% condition)
}

accepted <- function(reply, server, key) {
  status <- httr2::resp_status(reply)
  if (status < 300) {
    return(reply)
  }
  if (status < 400) {
    abort_use(paste0(server$url, " leads elsewhere (", httr2::resp_header(reply, "Location"), "): connect to that address."))
  }
  problem <- tryCatch(as_json(reply), error = function(e) NULL)
  if (!is.list(problem)) {
    problem <- list(title = "The reply is not that of a Rowless server", code = NULL)
  }
  abort_problem(problem, status, key)
}

as_json <- function(reply) {
  text <- rawToChar(httr2::resp_body_raw(reply))
  Encoding(text) <- "UTF-8"
  tryCatch(
    jsonlite::fromJSON(text, simplifyVector = FALSE),
    error = function(e) abort_use("The reply is no JSON: is this the address of a Rowless server?")
  )
}

# All items of a list that the server sends in pages.
all_items <- function(server, ..., size = 1000) {
  items <- list()
  cursor <- NULL
  repeat {
    page <- get_json(server, ..., query = c(list(limit = size), if (!is.null(cursor)) list(cursor = cursor)))
    items <- c(items, page$items)
    cursor <- page[["next"]]
    if (is.null(cursor)) {
      return(items)
    }
  }
}
