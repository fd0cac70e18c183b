// Google's own client for Go, with nothing set but a key; prints what each call returns, as JSON.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	commentanalyzer "google.golang.org/api/commentanalyzer/v1alpha1"
	"google.golang.org/api/option"
)

func main() {
	service, err := commentanalyzer.NewService(context.Background(), option.WithAPIKey("KEY"))
	if err != nil {
		log.Fatal(err)
	}
	comment := &commentanalyzer.TextEntry{Text: os.Args[1]}
	analyze := func(names ...string) (*commentanalyzer.AnalyzeCommentResponse, error) {
		requested := map[string]commentanalyzer.AttributeParameters{}
		for _, name := range names {
			requested[name] = commentanalyzer.AttributeParameters{}
		}
		return service.Comments.Analyze(&commentanalyzer.AnalyzeCommentRequest{
			Comment: comment, RequestedAttributes: requested, SpanAnnotations: true,
		}).Do()
	}
	suggest := func(scores map[string]commentanalyzer.AttributeScores) (*commentanalyzer.SuggestCommentScoreResponse, error) {
		return service.Comments.Suggestscore(&commentanalyzer.SuggestCommentScoreRequest{
			Comment: comment, AttributeScores: scores, ClientToken: "token",
		}).Do()
	}

	found := map[string]any{}
	record := func(call string, answer any, err error) {
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		found[call] = answer
	}
	scored, err := analyze("TOXICITY", "THREAT")
	record("Analyze", scored, err)
	// The client leaves out every 0.
	harmless := map[string]commentanalyzer.AttributeScores{"TOXICITY": {SummaryScore: &commentanalyzer.Score{Value: 0}}}
	suggested, err := suggest(harmless)
	record("Suggestscore, value 0", suggested, err)
	if scored != nil {
		suggested, err = suggest(scored.AttributeScores)
		record("Suggestscore, an answer's spans", suggested, err)
	}
	refused, err := analyze("FLIRTATION")
	record("Analyze, only FLIRTATION", refused, err)
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		log.Fatal(err)
	}
}
