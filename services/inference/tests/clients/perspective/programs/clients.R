# The requests of peRspective's README, formed and posted by the libraries that it uses; prints what each call returns.
text <- commandArgs(TRUE)[2]

call <- function(models, ...) {
  asked <- list(
    comment = list(text = text), spanAnnotations = FALSE,
    requestedAttributes = sapply(models, function(model) NULL, simplify = FALSE), doNotStore = FALSE, ...
  )
  answer <- httr::content(httr::POST(
    "https://commentanalyzer.googleapis.com/v1alpha1/comments:analyze?key=KEY",
    body = jsonlite::toJSON(asked, auto_unbox = TRUE),
    httr::add_headers(.headers = c("Content-Type" = "application/json"))
  ))
  if (!is.null(answer$error)) return(list(error = answer$error$message))
  # As peRspective does, which reads the spans.
  lapply(answer$attributeScores, function(each) each$spanScores[[1]]$score$value)
}

models <- c(
  "TOXICITY", "SEVERE_TOXICITY", "IDENTITY_ATTACK", "INSULT", "PROFANITY", "SEXUALLY_EXPLICIT", "THREAT",
  "FLIRTATION", "ATTACK_ON_AUTHOR", "ATTACK_ON_COMMENTER", "INCOHERENT", "INFLAMMATORY", "LIKELY_TO_REJECT",
  "OBSCENE", "SPAM", "UNSUBSTANTIAL"
)
found <- list(
  "prsp_score" = call("TOXICITY"),
  "prsp_score, languages = \"en\"" = call("TOXICITY", languages = "en"),
  "prsp_score, every model" = call(models)
)
cat(jsonlite::toJSON(found, auto_unbox = TRUE, digits = NA))
