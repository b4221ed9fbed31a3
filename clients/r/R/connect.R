#' Connect to a server
#'
#' The token says who you are. An admin of the server gives it to you, or the page *My account* shows one. It is sent
#' over https, or over http to this machine, and never to where a redirect leads. Keep it out of scripts: put
#' `ROWLESS_URL` and `ROWLESS_TOKEN` (or `ROWLESS_TOKEN_FILE`, the path of a file that has it) into `~/.Renviron`.
#'
#' @param url The address of the server.
#' @param token The token. By default `ROWLESS_TOKEN`, or what is in the file `ROWLESS_TOKEN_FILE`.
#' @param patience For how many seconds a call is tried again when the server is busy, restarts or cannot be reached.
#' @return A connection. Printing it does not show the token.
#' @examples
#' \dontrun{
#' server <- rowless_connect("https://stats.example.org")
#' studies(server)
#' }
#' @export
rowless_connect <- function(url = Sys.getenv("ROWLESS_URL"), token = NULL, patience = 120) {
  url <- sub("/+$", "", as_text(url, "url"))
  if (!nzchar(url)) {
    abort_use("There is no address: give `url`, or set the environment variable ROWLESS_URL.")
  }
  require_private(url)
  token <- token %||% token_of_environment()
  server <- structure(
    list(url = url, token = function() token, patience = patience, user = NULL, role = NULL),
    class = "rowless_connection"
  )
  me <- get_json(without_patience(server), "me")
  server$user <- me$name
  server$role <- me$role
  server
}

token_of_environment <- function() {
  token <- Sys.getenv("ROWLESS_TOKEN")
  file <- Sys.getenv("ROWLESS_TOKEN_FILE")
  if (!nzchar(token) && nzchar(file)) {
    token <- trimws(paste(readLines(file, warn = FALSE), collapse = ""))
  }
  if (!nzchar(token)) {
    abort_use("There is no token: give `token`, or set the environment variable ROWLESS_TOKEN.")
  }
  token
}

# A token that is sent in plain text over a network is no secret any more.
require_private <- function(url) {
  # httr2 1.1 and later refuse what is no address, earlier ones take it apart somehow.
  parts <- tryCatch(httr2::url_parse(url), error = function(e) list())
  host <- parts$hostname %||% ""
  here <- host %in% c("localhost", "[::1]", "::1") || grepl("^127\\.[0-9.]+$", host)
  if (!identical(parts$scheme, "https") && !(identical(parts$scheme, "http") && here)) {
    abort_use(paste0(
      "A token is not sent to ", url, ": write https://HOST, or http://localhost:PORT for a server on this machine."
    ))
  }
}

without_patience <- function(server) {
  server$patience <- 0
  server
}

#' @export
print.rowless_connection <- function(x, ...) {
  cat("<rowless> ", x$url, " as ", x$user, " (", x$role, ")\n", sep = "")
  invisible(x)
}

#' @export
format.rowless_connection <- function(x, ...) paste0("<rowless> ", x$url)
