# Google's client for Ruby, made by Google's generator from the service's discovery document; prints what each call
# returns, as JSON.

require "json"
require "net/http"
require "tmpdir"
require "google/apis/generator"

HOST = "https://commentanalyzer.googleapis.com"
text = ARGV[1]

document = Net::HTTP.get(URI("#{HOST}/$discovery/rest?version=v1alpha1"))
Dir.mktmpdir do |folder|
  generator = Google::Apis::Generator.new(api_names: File.join(folder, "names.csv"))
  generator.render(document).each do |path, source|
    file = File.join(folder, path)
    FileUtils.mkdir_p(File.dirname(file))
    File.write(file, source)
  end
  $LOAD_PATH.unshift(folder)
  require "google/apis/commentanalyzer_v1alpha1"
end
include Google::Apis::CommentanalyzerV1alpha1

service = CommentAnalyzerService.new
service.key = "KEY"
comment = TextEntry.new(text: text)
asked = lambda do |*names|
  AnalyzeCommentRequest.new(comment: comment, requested_attributes: names.to_h { |name| [name, AttributeParameters.new] })
end
scores = ->(answer) { answer.attribute_scores.to_h { |name, each| [name, each.summary_score.value] } }
suggestion = SuggestCommentScoreRequest.new(
  comment: comment,
  client_token: "token",
  attribute_scores: { "TOXICITY" => AttributeScores.new(summary_score: Score.new(value: 0.0)) }
)
batched = lambda do
  found = {}
  service.batch do |batch|
    %w[TOXICITY THREAT].each do |name|
      batch.analyze_comment(asked.call(name)) { |answer, error| error ? raise(error) : found.merge!(scores.call(answer)) }
    end
  end
  found
end

calls = {
  "analyze_comment" => -> { scores.call(service.analyze_comment(asked.call("TOXICITY", "INSULT"))) },
  "suggestscore_comment" => -> { service.suggestscore_comment(suggestion).client_token },
  "batch" => batched,
  "analyze_comment, only FLIRTATION" => -> { service.analyze_comment(asked.call("FLIRTATION")) }
}
found = calls.to_h do |name, call|
  [name, call.call]
rescue StandardError => e
  [name, { error: "#{e.class}: #{e.message}" }]
end
puts JSON.generate(found)
