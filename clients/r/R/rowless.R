#' Statistics of data that must not be seen
#'
#' A client of [Rowless](https://github.com/rowless/rowless), a server that answers statistical queries with
#' differential privacy. Begin with [rowless_connect()] and [study()], look at [catalog()], see what a question costs
#' with [estimate()], and pay for it with [ask()].
#'
#' @keywords internal
"_PACKAGE"

#' @importFrom rlang %||% .data
NULL
