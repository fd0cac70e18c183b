#!/bin/sh
# The cURL samples of the API's documentation: unquoted names, and a comma after the last member.
set -eu
api=https://commentanalyzer.googleapis.com/v1alpha1

analyzed=$(curl -sS -H "Content-Type: application/json" --data \
    "{comment: {text: \"$2\"},
      languages: [\"en\"],
      requestedAttributes: {TOXICITY:{}} }" \
    "$api/comments:analyze?key=KEY")
suggested=$(curl -sS -H "Content-Type: application/json" --data \
    "{
      \"comment\": {
        \"text\": \"$2\"
      },
      \"attributeScores\": {
        \"TOXICITY\": {
          \"summaryScore\": {
            \"value\": 0
          }
        },
      },
      \"communityId\": \"/forum/movies\",
      \"clientToken\": \"token\"
    }" \
    "$api/comments:suggestscore?key=KEY")
printf '{"analyze": %s, "suggestscore": %s}' "$analyzed" "$suggested"
