# From R to the JSON of a request.

# Members that are lists, also where R has one value: a vector of length one would become that value.
listed <- c("group_by", "all", "any", "bins", "post", "order_by")

to_json <- function(value) {
  # All digits that a number has. Left to itself, jsonlite keeps four.
  as.character(jsonlite::toJSON(value, auto_unbox = TRUE, null = "null", na = "null", digits = I(15)))
}

as_body <- function(value) {
  if (inherits(value, "Date")) value <- format(value, "%Y-%m-%d")
  if (is.factor(value)) value <- as.character(value)
  if (!is.list(value)) {
    return(value)
  }
  names <- names(value)
  for (place in seq_along(value)) {
    name <- if (is.null(names)) "" else names[[place]]
    part <- as_body(value[[place]])
    if (name %in% listed || (name == "value" && is_of_list(value))) part <- as_list(part)
    value[place] <- list(part)
  }
  value
}

is_of_list <- function(condition) {
  op <- condition$op
  is.character(op) && length(op) == 1 && op %in% c("in", "between") && is.null(names(condition$value))
}

# A list of one object is given as list(...) with or without another list around it.
as_list <- function(part) {
  if (is.list(part) && !is.null(names(part))) list(part) else as.list(part)
}

as_text <- function(value, name) {
  if (!is.character(value) || length(value) != 1 || is.na(value)) {
    abort_use(paste0("`", name, "` must be one text."))
  }
  value
}

ask_body <- function(sql, query, epsilon, rho, margin, confidence, noise, delta, bounds, post, require, show = NULL) {
  if (is.null(sql) == is.null(query)) abort_use("Give the question as `sql` or as `query`, one of them.")
  spent <- list(epsilon = epsilon, rho = rho, margin = margin, confidence = confidence, noise = noise, delta = delta)
  spent <- Filter(Negate(is.null), spent)
  if (!is.null(spent$margin)) spent$margin <- as.list(spent$margin)
  if (sum(c("epsilon", "rho", "margin") %in% names(spent)) != 1) {
    abort_use("Say what the question may spend: `epsilon`, `rho` or `margin`, one of them.")
  }
  body <- list(
    sql = if (!is.null(sql)) as_text(sql, "sql"), query = query, privacy = spent, bounds = as_object(bounds),
    post = post, show = if (is.character(show)) list(sql = as_text(show, "show")) else show, require = as_object(require)
  )
  as_body(Filter(Negate(is.null), body))
}

as_object <- function(value) if (is.null(value)) NULL else as.list(value)

# A key that no other request has. It comes from the operating system: set.seed() would repeat R's own.
new_key <- function() paste(as.character(openssl::rand_bytes(16)), collapse = "")
