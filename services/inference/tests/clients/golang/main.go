// Asks the service through Google's own client, with only the address changed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"

	commentanalyzer "google.golang.org/api/commentanalyzer/v1alpha1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
)

type result struct {
	Scores    *commentanalyzer.AnalyzeCommentResponse
	Suggested *commentanalyzer.SuggestCommentScoreResponse
	Refused   *googleapi.Error
}

func main() {
	address, text := os.Args[1], os.Args[2]
	service, err := commentanalyzer.NewService(context.Background(),
		option.WithEndpoint(address), option.WithAPIKey("any"))
	check(err)
	comment := &commentanalyzer.TextEntry{Text: text}

	var answer result
	answer.Scores, err = service.Comments.Analyze(&commentanalyzer.AnalyzeCommentRequest{
		Comment:             comment,
		RequestedAttributes: map[string]commentanalyzer.AttributeParameters{"TOXICITY": {}, "THREAT": {}},
		SpanAnnotations:     true,
		ClientToken:         "token",
	}).Do()
	check(err)
	answer.Suggested, err = service.Comments.Suggestscore(&commentanalyzer.SuggestCommentScoreRequest{
		Comment: comment,
		AttributeScores: map[string]commentanalyzer.AttributeScores{
			"TOXICITY": {SummaryScore: &commentanalyzer.Score{Value: 1}},
		},
		ClientToken: "token",
	}).Do()
	check(err)
	_, err = service.Comments.Analyze(&commentanalyzer.AnalyzeCommentRequest{Comment: comment}).Do()
	if !errors.As(err, &answer.Refused) {
		log.Fatalf("not refused: %v", err)
	}
	check(json.NewEncoder(os.Stdout).Encode(answer))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
